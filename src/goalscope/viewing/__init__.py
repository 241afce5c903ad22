"""One level through a policy's eyes, for `goalscope play`.

`kinds.py` what a text shows; `maze.py` a maze with arrows, `level.py` a Sokoban level from its text, played by `sokoban.py`
with the plan that `plan_reader.py` reads in the policy's memory, `chess.py` a position.
"""
