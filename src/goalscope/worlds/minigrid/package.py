"""Levels of the package `minigrid`, read into arrays: its environments, by name, and what ends them."""

from __future__ import annotations

import difflib
import os
from typing import Any

import numpy as np

from goalscope.worlds.minigrid.state import Kind, MiniGridState

PICKED = ("KeyCorridorEnv", "UnlockPickupEnv", "BlockedUnlockPickupEnv")
"""environments that end when the agent picks up one thing"""


def make(name: str) -> Any:
    """The package's environment, without wrappers.

    Raises:
        ImportError: the extra is not installed.
        ValueError: no environment has this name, or its rules are not those that are stepped here.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import gymnasium
        import minigrid  # noqa: F401  registers its environments
        from minigrid.minigrid_env import MiniGridEnv
    except ImportError as error:
        raise ImportError(f"MiniGrid needs an extra ({error}): pip install 'goalscope[minigrid]'") from error
    names = [known for known in gymnasium.registry if known.startswith("MiniGrid-")]
    if name not in names:
        near = difflib.get_close_matches(str(name), names, 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names[:3])}, ..."
        raise ValueError(f"no MiniGrid environment is called {name!r}: {hint}")
    env: Any = gymnasium.make(name, disable_env_checker=True).unwrapped
    kind = type(env)
    if kind.step is not MiniGridEnv.step and kind.__name__ not in ("UnlockEnv", *PICKED):
        raise ValueError(
            f"{name} has rules of its own ({kind.__name__}.step) that are not known here: those that end at the goal "
            f"square are, and UnlockEnv, {', '.join(PICKED)}"
        )
    return env


def read(env: Any) -> MiniGridState:
    """The level that the environment is in.

    Raises:
        ValueError: a box holds a box; the thing to be picked up is not the only one of its kind and colour.
    """
    height, width = env.height, env.width
    cells = env.grid.encode().transpose(1, 0, 2)[None].copy()
    inside = np.zeros((1, height, width, 2), np.uint8)
    for at, thing in enumerate(env.grid.grid):
        if thing is not None and thing.contains is not None:
            inside[0, at // width, at % width] = _plain(thing.contains)
    column, row = env.agent_pos
    agent = np.array([[row, column, env.agent_dir]], np.int16)
    carries = np.zeros((1, 4), np.uint8)
    if env.carrying is not None:
        carries[0, :2] = env.carrying.encode()[:2]
        if env.carrying.contains is not None:
            carries[0, 2:] = _plain(env.carrying.contains)
    wants = np.zeros((1, 2), np.uint8)
    if type(env).__name__ in ("UnlockEnv", *PICKED):
        wanted = env.door if type(env).__name__ == "UnlockEnv" else env.obj
        wants[0] = wanted.encode()[:2]
        alike = int((cells[0, :, :, :2] == wants[0]).all(2).sum() + (inside[0] == wants[0]).all(2).sum())
        if alike > 1:
            raise ValueError(
                f"{alike} things of this level are alike in kind and colour to the one that ends it"
            )
    return MiniGridState(cells, inside, agent, carries, wants, np.zeros(1, bool))


def _plain(thing: Any) -> tuple[int, int]:
    kind, colour, _ = thing.encode()
    if kind not in (Kind.KEY, Kind.BALL):
        raise ValueError(f"a box of this level holds a {thing.type}: only keys and balls are known here")
    return kind, colour
