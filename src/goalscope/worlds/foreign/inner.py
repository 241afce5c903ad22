"""An environment as a world whose states are what is inside it, read and written by functions of the user's own.

Such states can be edited, compared and enumerated, as those of a world of ours.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from goalscope.showing import drawing, text
from goalscope.worlds.abilities import ABILITIES
from goalscope.worlds.contract import Step, whole_seeds
from goalscope.worlds.foreign import checks
from goalscope.worlds.foreign.played import LARGEST_SEED, checked_actions


@dataclass(frozen=True)
class Inside:
    """How what is inside an environment is read, written and seen; CartPole's is `env.unwrapped.state`."""

    read: Callable[[Any], Any]
    """environment -> all numbers that its future depends on, [K] float64 or what becomes that"""
    write: Callable[[Any, np.ndarray], None]
    """environment, [K] float64: puts it there"""
    observe: Callable[[Any], Any]
    """environment -> what is seen of it as it stands"""


@dataclass(frozen=True)
class InnerState:
    """N levels, each what is inside its environment."""

    __repr__, _repr_html_ = text, drawing

    inner: np.ndarray
    """[N, K] float64: what `Inside.read` gives"""
    over: np.ndarray
    """[N] bool: the level has ended"""

    def __len__(self) -> int:
        return len(self.inner)


class InnerWorld:
    """An environment behind the World protocol; see `from_gymnasium`."""

    def __init__(
        self, make: Callable[[], Any], time_limit: int | None, inside: Inside, abilities: Mapping[str, Any]
    ):
        env = checks.made(make)
        self._env, self._inside, self._abilities = env, inside, dict(abilities)
        self.name = checks.name_of(env)
        for ability, function in self._abilities.items():
            if ability not in ABILITIES or not callable(function):
                raise ValueError(
                    f"abilities are functions by the names {', '.join(ABILITIES)}; got {ability!r}: {function!r:.40}"
                )
        self.actions = checks.actions_of(env)
        self.time_limit = checks.limit_of(env, time_limit)
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.observation_shape: tuple[int, ...] = tuple(env.observation_space.shape)
        self._check(make())

    def __getattr__(self, name: str) -> Any:
        given = self.__dict__.get("_abilities", {})
        if name in given:
            return functools.partial(given[name], self)
        raise AttributeError(
            f"the world {self.__dict__.get('name', '')} has no {name!r}: give from_gymnasium a function for it in "
            "abilities={...}, which takes the world and then what the ability takes"
        )

    def generate(self, seeds: Sequence[int] | np.ndarray) -> InnerState:
        """What is inside after the environment's `reset(seed=...)`.

        Args:
            seeds: [N] integers of 0 to 2**32 - 1.
        """
        rows = []
        for seed in whole_seeds(seeds, LARGEST_SEED):
            self._env.reset(seed=int(seed))
            rows.append(self._read(self._env))
        width = len(rows[0]) if rows else len(self._read(self._env))
        return InnerState(np.array(rows, np.float64).reshape(len(rows), width), np.zeros(len(rows), bool))

    def step(self, state: InnerState, actions: np.ndarray) -> Step[InnerState]:
        """One action in each level; a level that is over stays as it is and gives no reward.

        Args:
            state: N levels.
            actions: [N] of 0, 1, ...

        Raises:
            ValueError: no such action.
        """
        actions = checked_actions(actions, len(state), len(self.actions))
        inner, over = state.inner.copy(), state.over.copy()
        reward = np.zeros(len(state), np.float32)
        for i in np.flatnonzero(~over):
            self._put(self._env, state.inner[i])
            _, reward[i], over[i], _, _ = self._env.step(self.action_space.start + int(actions[i]))
            inner[i] = self._read(self._env)
        return Step(InnerState(inner, over), reward, over.copy())

    def observe(self, state: InnerState) -> np.ndarray:
        """[N, *observation_shape] of the environment's type."""
        seen = np.zeros((len(state), *self.observation_shape), self.observation_space.dtype)
        for i in range(len(state)):
            self._put(self._env, state.inner[i])
            seen[i] = self._inside.observe(self._env)
        return seen

    def text(self, state: InnerState) -> list[str]:
        """The N levels as texts: whether they are over, and the numbers inside."""
        return [
            f"over {'yes' if over else 'no'}\ninner {' '.join(map(repr, inner.tolist()))}"
            for inner, over in zip(state.inner, state.over, strict=True)
        ]

    def parse(self, text: str) -> InnerState:
        """One level from its text.

        Raises:
            ValueError: with its line, for another form.
        """
        lines = [line.split() for line in text.strip().split("\n")]
        if len(lines) != 2 or lines[0] not in (["over", "yes"], ["over", "no"]) or lines[1][:1] != ["inner"]:
            raise ValueError("line 1: 'over yes' or 'over no', and then a line 'inner 0.5 ...', are wanted")
        try:
            inner = np.array([[float(word) for word in lines[1][1:]]])
        except ValueError as error:
            raise ValueError(f"line 2: {error}") from None
        width = len(self._read(self._env))
        if inner.shape[1] != width:
            raise ValueError(f"line 2: {inner.shape[1]} numbers, {self.name} has {width} inside")
        return InnerState(inner, np.array([lines[0][1] == "yes"]))

    def _put(self, env: Any, inner: np.ndarray) -> None:
        env.reset(seed=0)  # after an end most environments do not go on
        self._inside.write(env, inner.copy())

    def _read(self, env: Any) -> np.ndarray:
        inner = np.array(self._inside.read(env), np.float64)
        return inner.reshape(-1)

    def _check(self, live: Any) -> None:
        """Tries a walk beside the same one from what was read before each step.

        Raises:
            ValueError: they part, so what is read is not all, or the environment draws.
        """
        rng = np.random.default_rng(0)
        observation = live.reset(seed=1)[0]
        for _ in range(checks.TRIED):
            inner = self._read(live)
            self._put(self._env, inner)
            shown = np.asarray(self._inside.observe(self._env), self.observation_space.dtype)
            if not np.array_equal(shown, observation):
                raise ValueError(
                    f"inside.observe shows {shown!r:.60} of {self.name} where the environment shows {observation!r:.60}"
                )
            action = self.action_space.start + int(rng.integers(self.action_space.n))
            live_outcome, outcome = live.step(action), self._env.step(action)
            observation, _, over, cut, _ = live_outcome
            told = [(np.asarray(one[0]), float(one[1]), bool(one[2])) for one in (live_outcome, outcome)]
            if not checks.same(*told) or not np.array_equal(self._read(live), self._read(self._env)):
                raise ValueError(
                    f"{self.name} goes another way from what inside.read gave: it draws at random (leave `inside` out: its "
                    "levels are then a seed and the actions since), or read and write leave something out"
                )
            if over or cut:
                break
