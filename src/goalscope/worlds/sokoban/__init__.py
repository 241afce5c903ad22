"""Sokoban: push every box onto a goal.

`state.py` what a level is and the moves; `world.py` the rules behind the World protocol; `text.py` XSB and Boxoban files;
`lurd.py` solutions as text; `edits.py` boxes, targets and the player elsewhere; `picture.py` a level drawn; `generate.py`
solvable levels by reverse play; `deadlocks.py` what can be said before a search (the lower bound, dead squares);
`search.py` and `solver.py` solutions with the fewest moves; `tables.py` exact distances of small levels; `symmetries.py`
levels turned and mirrored; `kernels.py` the compiled loops.
"""

from goalscope.worlds.sokoban.state import Move, MoveOrNothing, SokobanState, solved
from goalscope.worlds.sokoban.world import Sokoban, rgb

__all__ = ["Move", "MoveOrNothing", "Sokoban", "SokobanState", "rgb", "solved"]
