"""The maze: a mouse, walls, and a cheese that ends the level.

`state.py` what a level is and the moves; `world.py` the rules behind the World protocol; `text.py`; `edits.py`;
`pillars.py` walls between four
cells; `variants.py` all mazes that one becomes by a kind of change; `paths.py` geometry (distances, corners, the decision
square, the graph of free squares); `kernels.py` the compiled loops.
"""

from goalscope.worlds.maze.edits import place_cheese, place_mouse, remove_cheese, toggle_wall
from goalscope.worlds.maze.state import MazeState, Move
from goalscope.worlds.maze.text import maze_text, parse_maze
from goalscope.worlds.maze.world import Maze

__all__ = [
    "Maze",
    "MazeState",
    "Move",
    "maze_text",
    "parse_maze",
    "place_cheese",
    "place_mouse",
    "remove_cheese",
    "toggle_wall",
]
