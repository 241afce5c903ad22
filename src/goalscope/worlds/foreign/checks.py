"""What a Gymnasium environment must be like to be a world: its spaces, its time limit, and whether its levels repeat."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from goalscope.worlds.contract import whole_number

TRIED = 24
"""steps on which an environment is tried before it is taken"""


def made(make: Callable[[], Any]) -> Any:
    """An environment of the maker.

    Raises:
        TypeError: it is no function that returns a Gymnasium environment.
        ValueError: actions that are not numbered, or observations that are no array.
    """
    if not callable(make):
        raise TypeError(
            f"from_gymnasium takes a function that makes an environment, got {type(make).__name__}: write lambda: "
            "gymnasium.make(ID)"
        )
    env = make()
    if not isinstance(env, gymnasium.Env):
        raise TypeError(
            f"a gymnasium.Env is wanted, {getattr(make, '__name__', 'make')}() gives {type(env).__name__}"
        )
    if not isinstance(env.action_space, spaces.Discrete):
        what = "continuous" if isinstance(env.action_space, spaces.Box) else "not numbered"
        raise ValueError(
            f"the actions of {name_of(env)} are {what} ({env.action_space}): a world's are a Discrete space; wrap the "
            "environment in `make` so that it takes a few numbered actions"
        )
    if not isinstance(env.observation_space, spaces.Box):
        raise ValueError(
            f"the observations of {name_of(env)} are no array ({env.observation_space}): wrap the environment in `make`, "
            "for instance by gymnasium.wrappers.FlattenObservation"
        )
    return env


def name_of(env: Any) -> str:
    """The environment's id, or its class."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def limit_of(env: Any, time_limit: int | None) -> int:
    """Steps of an episode: what is asked for, or what the environment states.

    Raises:
        ValueError: neither says it.
    """
    stated = env.spec.max_episode_steps if env.spec is not None else None
    limit = stated if time_limit is None else time_limit
    if limit is None:
        raise ValueError(f"{name_of(env)} states no time limit: give time_limit=, the steps of an episode")
    return whole_number("time_limit", limit, least=1)


def actions_of(env: Any) -> type[IntEnum]:
    """The actions 0, 1, ... of a world; those of the environment begin at its space's start."""
    count = int(env.action_space.n)
    return IntEnum("GymAction", {f"ACTION_{i}": i for i in range(count)})  # type: ignore[return-value]


def walk(env: Any) -> list[tuple[np.ndarray, float, bool]]:
    """Observation, reward and end along random actions from one seed after the other, the same each time."""
    rng = np.random.default_rng(0)
    seen: list[tuple[np.ndarray, float, bool]] = []
    for seed in range(TRIED):
        seen.append((np.asarray(env.reset(seed=seed)[0]), 0.0, False))
        over = cut = False
        while not (over or cut or len(seen) >= TRIED):
            action = env.action_space.start + int(rng.integers(env.action_space.n))
            obs, reward, over, cut, _ = env.step(action)
            seen.append((np.asarray(obs), float(reward), bool(over)))
    return seen


def same(one: tuple[np.ndarray, float, bool], other: tuple[np.ndarray, float, bool]) -> bool:
    """Whether two outcomes are equal to the bit."""
    return np.array_equal(one[0], other[0], equal_nan=one[0].dtype.kind == "f") and one[1:] == other[1:]


def check_repeats(env: Any, again: Any) -> None:
    """Refuses an environment whose levels are not those of their seeds.

    Raises:
        ValueError: two walks from one seed differ.
    """
    first, second = walk(env), walk(again)
    if len(first) != len(second) or not all(map(same, first, second)):
        raise ValueError(
            f"{name_of(env)} draws what reset(seed=...) does not seed: the same actions from the same seed gave two "
            "outcomes, so no level can be played again"
        )
