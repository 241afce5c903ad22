"""goalscope finds out what a trained policy network pursues, and how.

The names below are loaded on first use, so that `import goalscope` and `goalscope --help` stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goalscope.policies.checkpoint import load, save
    from goalscope.rollout import fields, play, vector_field
    from goalscope.worlds.maze import Maze, MazeState, parse_maze, place_cheese, remove_cheese

from goalscope import moved

__version__ = "0.1.0"

_WHERE = {
    "load": "policies.checkpoint",
    "save": "policies.checkpoint",
    "fields": "rollout",
    "play": "rollout",
    "vector_field": "rollout",
    "Maze": "worlds.maze",
    "MazeState": "worlds.maze",
    "parse_maze": "worlds.maze",
    "place_cheese": "worlds.maze",
    "remove_cheese": "worlds.maze",
}
__all__ = [
    "Maze", "MazeState", "__version__", "fields", "load", "parse_maze", "place_cheese", "play", "remove_cheese", "save",
    "vector_field",
]  # fmt: skip

moved.install()


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'goalscope' has no attribute {name!r}")
    return getattr(import_module(f"goalscope.{_WHERE[name]}"), name)
