"""One question a folder, the same rooms in each.

`study(name, policy, ...)` in `run.py` runs any of them. In each folder `study.py` is the story, top to bottom;
`measure` what is run (slow, stored); `findings` estimates with controls; `figures.py` pictures; `words.py` sentences.
`maze_goal/` asks what a maze policy pursues, `maze_internals/` which activations carry it, `sokoban_plan/` and
`chess_lookahead/` whether a network plans, `planning/` whether a mouse plans its way, `goals/` what any policy
pursues in any world, `anomalies/` whether a changed mechanism is told from what is new, `utility/`
whether it acts for one utility or several. What they share stands beside them: `checks.py` (what is refused
before anything heavy is loaded),
`frame.py` (policies, run folder, what is written),
`kept.py` (what a measurement depends on), `about.py` (findings and outcome), `value_layer.py` (the layer that
gives a value), `any_world.py` (worlds, controls and what is where), `figures.py`, `words.py`, and `maze.py` (mazes).
`forecasts.py` scores forecasts on runs.
"""

from goalscope.studies.run import goal_study, study

__all__ = ["goal_study", "study"]
