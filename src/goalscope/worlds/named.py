"""The one rule by which a world is taken: a name, 'minigrid:ID', 'procgen:maze', 'file.py:factory', or a World."""

from __future__ import annotations

import difflib
import functools
import inspect
import os
from collections.abc import Callable
from typing import Any

from goalscope.worlds.contract import World
from goalscope.worlds.factory import called, file_and_name, function_in

NEEDED = (
    "name",
    "actions",
    "time_limit",
    "observation_shape",
    "generate",
    "step",
    "observe",
    "parse",
    "text",
)
"""what a World has; see `goalscope.worlds.contract`"""
KINDS = {
    "maze": "",
    "sokoban": "",
    "gomoku": "",
    "reversi": "",
    "minigrid": "ID",
    "procgen": "GAME",
    "gym": "ID",
}
"""name -> what stands behind its colon"""
PROCGEN = ("maze", "coinrun", "heist")
"""games of Procgen that are known here"""


def world_of(given: Any, **settings: Any) -> World:
    """The world that is meant.

    Args:
        given: 'maze', 'sokoban', 'gomoku' or 'reversi'; 'minigrid:ID' with the name of an environment of the package, as in
            'minigrid:MiniGrid-DoorKey-6x6-v0'; 'procgen:maze', 'procgen:coinrun' or 'procgen:heist'; 'gym:ID', any
            Gymnasium environment, as in 'gym:CartPole-v1'; 'file.py:factory', a function without arguments that returns a
            World, in a file that is run as `python file.py` runs it; or a World, which stays as it is.
        settings: of the world's class, such as observation="full" for MiniGrid or size=15 for the maze; none for a World
            or a factory, which have their own.

    Raises:
        ValueError: no such world (the message has near matches) or setting; the factory fails or returns no World.
        FileNotFoundError: no such file.
        ImportError: the world needs an extra; the message says which.
        TypeError: it is neither a text nor a World.
    """
    if isinstance(given, str | os.PathLike):
        return _of_text(os.fspath(given), settings)
    missing = [name for name in NEEDED if not hasattr(given, name)]
    if missing:
        raise TypeError(
            f"a world is {_forms()}, or a World; {type(given).__name__} has no {', '.join(missing)}: see "
            "goalscope.worlds.contract"
        )
    _no_settings(type(given).__name__, settings)
    return given


def _of_text(text: str, settings: dict[str, Any]) -> World:
    if found := file_and_name(text, "world", "a World"):
        _no_settings(text, settings)
        return _of_factory(*found)
    kind, _, which = text.partition(":")
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, 1)
        hint = f"did you mean {near[0] + text[len(kind) :]!r}? " if near else ""
        raise ValueError(f"no world is called {text!r}: {hint}a world is {_forms()}")
    if bool(which) != bool(KINDS[kind]):
        raise ValueError(f"no world is called {text!r}: write {_form(kind)}")
    # What needs an extra, or takes long to import, is imported where it is asked for.
    if kind == "maze":
        from goalscope.worlds.maze import Maze

        return _made(Maze, (), settings)
    if kind == "sokoban":
        from goalscope.worlds.sokoban import Sokoban

        return _made(Sokoban, (), settings)
    if kind in ("gomoku", "reversi"):
        from goalscope.worlds.boards import GomokuBoard, ReversiBoard

        return _made(GomokuBoard if kind == "gomoku" else ReversiBoard, (), settings)
    if kind == "minigrid":
        from goalscope.worlds.minigrid import MiniGrid

        return _made(MiniGrid, (which,), settings)
    if kind == "gym":
        return _gym(which, settings)
    if which not in PROCGEN:
        near = difflib.get_close_matches(which, PROCGEN, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(PROCGEN)}"
        raise ValueError(f"no game of Procgen is called {which!r} here: {hint}")
    from goalscope.worlds.procgen import ProcgenGame, ProcgenMaze

    return _made(ProcgenMaze, (), settings) if which == "maze" else _made(ProcgenGame, (which,), settings)


def _gym(environment: str, settings: dict[str, Any]) -> World:
    import gymnasium

    from goalscope.worlds.foreign import from_gymnasium

    if environment not in gymnasium.registry:
        near = difflib.get_close_matches(environment, gymnasium.registry, 3)
        hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else "none has a name like it; is its package imported?"
        )
        raise ValueError(f"no Gymnasium environment is called {environment!r}: {hint}")
    make = functools.partial(gymnasium.make, environment, disable_env_checker=True)
    return _made(from_gymnasium, (make,), settings)  # type: ignore[arg-type]


def _made(make: Callable[..., World], arguments: tuple[str, ...], settings: dict[str, Any]) -> World:
    """The world, once all its settings are known to be some."""
    known = list(inspect.signature(make).parameters)[len(arguments) :]
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
            raise ValueError(f"{getattr(make, '__name__', make)} has no setting {name!r}: {hint}")
    return make(*arguments, **settings)


def _of_factory(file: Any, name: str) -> World:
    made = called(function_in(file, name), file, name)
    missing = [part for part in NEEDED if not hasattr(made, part)]
    if missing:
        raise ValueError(
            f"{file}: {name}() returns {type(made).__name__}, which has no {', '.join(missing)}; a World is wanted, see "
            "goalscope.worlds.contract"
        )
    return made


def _no_settings(named: str, settings: dict[str, Any]) -> None:
    if settings:
        raise ValueError(f"{named} has settings of its own: {', '.join(settings)} can be given to names only")


def _form(kind: str) -> str:
    return f"{kind}:{KINDS[kind]}" if KINDS[kind] else kind


def _forms() -> str:
    return ", ".join([*map(_form, KINDS), "file.py:factory"])
