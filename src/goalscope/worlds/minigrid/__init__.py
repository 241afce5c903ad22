"""The real MiniGrid levels behind the World protocol (extra `minigrid`), stepped here, a batch at a time.

`state.py` what a level is; `world.py` the rules; `kernels.py` the compiled loops; `package.py` levels of the package read
into arrays; `views.py` what the agent is shown; `text.py` levels as text; `edits.py` what lies where, moved, removed and
added, square by square; `by_name.py` things by their names; `picture.py` a level as SVG.
"""

from goalscope.worlds.minigrid.edits import add, move, move_agent, remove, things
from goalscope.worlds.minigrid.state import Action, Colour, Facing, Kind, MiniGridState, Rule
from goalscope.worlds.minigrid.world import MiniGrid

__all__ = [
    "Action",
    "Colour",
    "Facing",
    "Kind",
    "MiniGrid",
    "MiniGridState",
    "Rule",
    "add",
    "move",
    "move_agent",
    "remove",
    "things",
]
