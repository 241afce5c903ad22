"""The maze: a mouse, walls, and a cheese that ends the level.

`world.py` the rules behind the World protocol, with text and edits; `paths.py` geometry (distances, corners, the decision
square, the graph of free squares); `kernels.py` the compiled loops.
"""

from goalscope.worlds.maze.world import (
    Maze,
    MazeState,
    Move,
    maze_text,
    parse_maze,
    place_cheese,
    place_mouse,
    remove_cheese,
    toggle_wall,
)

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
