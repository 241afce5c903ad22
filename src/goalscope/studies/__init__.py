"""One question a folder, the same rooms in each.

`study.py` is the story, top to bottom; `measure.py` what is run (slow, stored); `findings.py` estimates with controls;
`figures.py` pictures; `words.py` sentences. `maze_goal/` what a maze policy pursues, `maze_internals/` which activations
carry it, `sokoban_plan/` and `chess_lookahead/` whether a network plans; `forecasts.py` scores forecasts on runs.
"""
