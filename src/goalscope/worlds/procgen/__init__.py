"""Games of the real Procgen behind the World protocol (extra `procgen`).

The maze: `world.py` the rules, `bytes.py` the game's states. CoinRun and Heist: `games.py` the rules, `layout.py` the states
as arrays and bytes, `lying.py` what lies where and edits of it.
"""

from goalscope.worlds.procgen.games import ProcgenGame
from goalscope.worlds.procgen.layout import GameState
from goalscope.worlds.procgen.world import MOVES, SIZES, Facing, ProcgenAction, ProcgenMaze, face

__all__ = ["MOVES", "SIZES", "Facing", "GameState", "ProcgenAction", "ProcgenGame", "ProcgenMaze", "face"]
