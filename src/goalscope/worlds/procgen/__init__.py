"""The real Procgen maze behind the World protocol (extra `procgen`): `world.py` the rules, `bytes.py` the game's states."""

from goalscope.worlds.procgen.world import MOVES, SIZES, Facing, ProcgenAction, ProcgenMaze, face

__all__ = ["MOVES", "SIZES", "Facing", "ProcgenAction", "ProcgenMaze", "face"]
