"""One level through a policy's eyes, for `goalscope play` and `goalscope bound`.

`kinds.py` what a text shows; `maze.py` a maze with arrows, `bound.py` the worst over all changes of one; `level.py` a
Sokoban level from its text, played by `sokoban.py` with the plan that `plan_reader.py` reads in the policy's memory;
`chess.py` a position.
"""
