"""goalscope finds out what a trained policy network pursues, and how.

Policies and what they do:
    load, save          a policy by its name or file; a network with its config into a folder
    fields, play        what a policy does on every square of mazes, exactly; sampled play in any world
    vector_field        the same of one maze, drawn
    Maze, MazeState, parse_maze, place_cheese, remove_cheese    mazes, from text and changed

The inside of any policy or torch module:
    sites               every place at which activations can be read or changed
    capture             activations at some sites
    editing             changes activations while a `with` block lasts

Methods, on your own arrays and networks (more in `goalscope.methods`):
    probe               what can be read in activations, beside its controls
    patch_effects       what each part of a site does to the answer, one patch at a time
    steer               a direction added at a site, dose by dose, beside random ones (`dose_response` in
                        `goalscope.methods.intervening.steer`)

Whole questions:
    study               runs a study of a policy by its name and writes its run folder
    goal_study          what any policy pursues in any world, also of your own

Rooms: `worlds`, `policies`, `rollout`, `training`, `activations`, `stats`, `methods`, `evidence`, `studies`,
`parallel`, `sweep`, `viewing`, `plots`, `report`, `app`, `commands`; beside them `verbs.py` is the inside of whatever
acts, `files.py` writes files whole, `showing.py` shows records, `progress.py` counts long work,
`moved.py` keeps the module names of 0.1.

The names are loaded on first use, so that `import goalscope` and `goalscope --help` stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goalscope.methods.intervening.patch import patch_effects
    from goalscope.methods.intervening.steer import dose_response as steer
    from goalscope.methods.reading.probe import probe
    from goalscope.policies.checkpoint import load, save
    from goalscope.rollout import fields, play, vector_field
    from goalscope.studies import goal_study, study
    from goalscope.verbs import capture, editing, sites
    from goalscope.worlds.maze import Maze, MazeState, parse_maze, place_cheese, remove_cheese

from goalscope import moved

__version__ = "0.2.0"

_WHERE = {
    "capture": "verbs",
    "editing": "verbs",
    "sites": "verbs",
    "patch_effects": "methods.intervening.patch",
    "steer": "methods.intervening.steer",
    "probe": "methods.reading.probe",
    "load": "policies.checkpoint",
    "save": "policies.checkpoint",
    "fields": "rollout",
    "play": "rollout",
    "vector_field": "rollout",
    "goal_study": "studies",
    "study": "studies",
    "Maze": "worlds.maze",
    "MazeState": "worlds.maze",
    "parse_maze": "worlds.maze",
    "place_cheese": "worlds.maze",
    "remove_cheese": "worlds.maze",
}
_NAMED = {"steer": "dose_response"}
"""name here -> name there, where that is another"""
__all__ = [
    "Maze", "MazeState", "__version__", "capture", "editing", "fields", "goal_study", "load", "parse_maze", "patch_effects",
    "place_cheese", "play", "probe", "remove_cheese", "save", "sites", "steer", "study", "vector_field",
]  # fmt: skip

moved.install()


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'goalscope' has no attribute {name!r}")
    return getattr(import_module(f"goalscope.{_WHERE[name]}"), _NAMED.get(name, name))


def __dir__() -> list[str]:
    return [*__all__, "__doc__"]
