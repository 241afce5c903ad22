"""Levels of the package `minigrid`, read into arrays: its environments, by name, and what ends them."""

from __future__ import annotations

import difflib
import os
from typing import Any

import numpy as np

from goalscope.worlds.minigrid.state import Colour, Kind, MiniGridState, Rule, mission_array

RULES = {
    "MiniGridEnv": Rule.GOAL,
    "UnlockEnv": Rule.OPEN,
    "KeyCorridorEnv": Rule.PICK,
    "UnlockPickupEnv": Rule.PICK,
    "BlockedUnlockPickupEnv": Rule.PICK,
    "ObstructedMazeEnv": Rule.PICK,
    "FetchEnv": Rule.FETCH,
    "GoToDoorEnv": Rule.GO,
    "GoToObjectEnv": Rule.GO,
    "PutNearEnv": Rule.PUT,
    "MemoryEnv": Rule.MATCH,
    "RedBlueDoorEnv": Rule.IN_ORDER,
}
"""class of the package whose `step` an environment has -> its rule"""
RANDOM = {"DynamicObstaclesEnv": "its obstacles move at random, which no state tells"}
"""classes whose steps cannot be told from a state -> why"""


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
    except ImportError as error:
        raise ImportError(f"MiniGrid needs an extra ({error}): pip install 'goalscope[minigrid]'") from error
    names = [known for known in gymnasium.registry if known.startswith("MiniGrid-")]
    if name not in names:
        near = difflib.get_close_matches(str(name), names, 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names[:3])}, ..."
        raise ValueError(f"no MiniGrid environment is called {name!r}: {hint}")
    env: Any = gymnasium.make(name, disable_env_checker=True).unwrapped
    rule_of(env, name)
    return env


def rule_of(env: Any, name: str) -> Rule:
    """What ends the levels of an environment.

    Raises:
        ValueError: it steps by a rule of its own.
    """
    steps = type(env).step
    owner = steps.__qualname__.partition(".")[0]
    if not steps.__module__.startswith("minigrid.") or owner not in RULES:
        why = RANDOM.get(owner, f"the rules known here are those of {', '.join(RULES)}")
        raise ValueError(f"{name} has rules of its own ({owner}.step): {why}")
    return RULES[owner]


def read(env: Any, rule: Rule) -> MiniGridState:
    """The level that the environment, which has this rule, is in.

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
    wants, target = _asked(env, rule)
    alike = int((cells[0, :, :, :2] == wants).all(2).sum() + (inside[0] == wants).all(2).sum())
    if rule in (Rule.OPEN, Rule.PICK) and alike > 1:
        raise ValueError(f"{alike} things of this level are alike in kind and colour to the one that ends it")
    return MiniGridState(
        cells,
        inside,
        agent,
        carries,
        wants=np.array([wants], np.uint8),
        target=np.array([target], np.int16),
        mission=mission_array(env.mission),
        over=np.zeros(1, bool),
    )


def _asked(env: Any, rule: Rule) -> tuple[tuple[int, int], tuple[int, int]]:
    """Kind and colour of what is wanted, and the square that the rule speaks of."""
    nothing, nowhere = (0, 0), (-1, -1)
    if rule == Rule.OPEN:
        return env.door.encode()[:2], nowhere
    if rule == Rule.PICK:
        return env.obj.encode()[:2], nowhere
    if rule == Rule.FETCH:
        return _named(env.targetType, env.targetColor), nowhere
    if rule == Rule.GO:
        column, row = env.target_pos
        return _named(getattr(env, "targetType", "door"), env.target_color), (int(row), int(column))
    if rule == Rule.PUT:
        column, row = env.target_pos
        return _named(env.move_type, env.moveColor), (int(row), int(column))
    if rule == Rule.MATCH:
        column, row = min(env.success_pos, env.failure_pos, key=lambda at: at[1])
        return nothing, (int(row), int(column))
    return nothing, nowhere


def _named(kind: str, colour: str) -> tuple[int, int]:
    return int(Kind[kind.upper()]), int(Colour[colour.upper()])


def _plain(thing: Any) -> tuple[int, int]:
    kind, colour, _ = thing.encode()
    if kind not in (Kind.KEY, Kind.BALL):
        raise ValueError(f"a box of this level holds a {thing.type}: only keys and balls are known here")
    return kind, colour
