"""An environment as a world whose states are histories: a seed and the actions since. Nothing of its inside is needed.

A state is brought about by playing its actions again, or goes on where an environment that is kept stands already.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from goalscope.showing import drawing, text
from goalscope.worlds.contract import Step, whole_seeds
from goalscope.worlds.foreign import checks

KEPT = 1024
"""environments that are kept where they stand; what more levels there are is played again at each step"""
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class PlayedState:
    """N levels, each the seed it began with and the actions since."""

    __repr__, _repr_html_ = text, drawing

    seed: np.ndarray
    """[N] int64: of the environment's reset"""
    taken: np.ndarray
    """[N, T] int16: the actions up to the time limit T; -1 where none is taken yet"""
    observation: np.ndarray
    """[N, *observation_shape]: what is seen now"""
    over: np.ndarray
    """[N] bool: the level has ended"""

    def __len__(self) -> int:
        return len(self.seed)


class PlayedWorld:
    """An environment behind the World protocol; see `from_gymnasium`."""

    no_chain = (
        "its states are histories, so two ways to one place are two states (from_gymnasium with `inside` reads the "
        "environment's own state)"
    )
    """why `rollout.enumerate_states` need not try"""

    def __init__(self, make: Callable[[], Any], time_limit: int | None):
        self._make, env = make, checks.made(make)
        checks.check_repeats(env, make())
        self.name = checks.name_of(env)
        self.actions = checks.actions_of(env)
        self.time_limit = checks.limit_of(env, time_limit)
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.observation_shape: tuple[int, ...] = tuple(env.observation_space.shape)
        self._standing: OrderedDict[tuple[int, bytes], Any] = OrderedDict()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the world {self.__dict__.get('name', '')} has no {name!r}: its states are a seed and the actions since; "
            "from_gymnasium(make, inside=Inside(read, write, observe), abilities={...}) gives states that can be edited, "
            "by functions of your own"
        )

    def generate(self, seeds: Sequence[int] | np.ndarray) -> PlayedState:
        """What the environment's `reset(seed=...)` gives.

        Args:
            seeds: [N] integers of 0 to 2**32 - 1.
        """
        seeds = whole_seeds(seeds, LARGEST_SEED).astype(np.int64)
        taken = np.full((len(seeds), self.time_limit), -1, np.int16)
        observation = np.zeros((len(seeds), *self.observation_shape), self.observation_space.dtype)
        for i, seed in enumerate(seeds):
            env = self._make()
            observation[i] = env.reset(seed=int(seed))[0]
            self._keep(int(seed), taken[i], env)
        return PlayedState(seeds, taken, observation, np.zeros(len(seeds), bool))

    def step(self, state: PlayedState, actions: np.ndarray) -> Step[PlayedState]:
        """One action in each level; a level that is over stays as it is and gives no reward.

        Args:
            state: N levels.
            actions: [N] of 0, 1, ...

        Raises:
            ValueError: no such action; a level has come to the time limit.
        """
        actions = checked_actions(actions, len(state), len(self.actions))
        taken, observation, over = state.taken.copy(), state.observation.copy(), state.over.copy()
        reward = np.zeros(len(state), np.float32)
        ages = (taken >= 0).sum(1)
        late = ~over & (ages >= taken.shape[1])
        if late.any():
            raise ValueError(
                f"level {int(late.argmax())} has been played for {taken.shape[1]} steps, the time limit: give a larger "
                "time_limit= to from_gymnasium"
            )
        for i in np.flatnonzero(~over):
            env = self._at(int(state.seed[i]), state.taken[i])
            obs, paid, ended, cut, _ = env.step(self.action_space.start + int(actions[i]))
            taken[i, ages[i]] = actions[i]
            observation[i], reward[i] = obs, paid
            # Cut short at the time limit an episode is not over: time limits are the caller's.
            over[i] = ended or (cut and ages[i] + 1 < self.time_limit)
            if not over[i]:
                self._keep(int(state.seed[i]), taken[i], env)
        return Step(PlayedState(state.seed, taken, observation, over), reward, over.copy())

    def observe(self, state: PlayedState) -> np.ndarray:
        """[N, *observation_shape] of the environment's type."""
        return state.observation.copy()

    def path(self, state: PlayedState, i: int) -> np.ndarray:
        """[t + 1, *observation_shape]: all that was seen in level i, from its start until now."""
        env = self._make()
        seen = [env.reset(seed=int(state.seed[i]))[0]]
        for action in state.taken[i][state.taken[i] >= 0]:
            seen.append(env.step(self.action_space.start + int(action))[0])
        return np.array(seen, self.observation_space.dtype)

    def text(self, state: PlayedState) -> list[str]:
        """The N levels as texts: the seed, and the actions since."""
        return [
            f"seed {seed}\nactions {' '.join(map(str, taken[taken >= 0]))}".rstrip()
            for seed, taken in zip(state.seed, state.taken, strict=True)
        ]

    def parse(self, text: str) -> PlayedState:
        """One level from its text, which is played again.

        Raises:
            ValueError: with its line, for another form; an action that is none; more of them than the time limit, or than
                the level lasts.
        """
        lines = [line.split() for line in text.strip().split("\n")]
        if len(lines) != 2 or [line[:1] for line in lines] != [["seed"], ["actions"]] or len(lines[0]) != 2:
            raise ValueError("line 1: 'seed NUMBER' and then a line 'actions 0 1 ...' are wanted")
        for number, line in enumerate(lines, 1):
            wrong = [word for word in line[1:] if not word.isdecimal()]
            if wrong:
                raise ValueError(f"line {number}: {wrong[0]!r} is no whole number")
        state = self.generate([int(lines[0][1])])
        for action in lines[1][1:]:
            if state.over[0]:
                raise ValueError("line 2: actions follow after the level is over")
            state = self.step(state, np.array([int(action)])).state
        return state

    def _at(self, seed: int, taken: np.ndarray) -> Any:
        env = self._standing.pop((seed, taken.tobytes()), None)
        if env is None:
            env = self._make()
            env.reset(seed=seed)
            for action in taken[taken >= 0]:
                env.step(self.action_space.start + int(action))
        return env

    def _keep(self, seed: int, taken: np.ndarray, env: Any) -> None:
        self._standing[seed, taken.tobytes()] = env
        if len(self._standing) > KEPT:
            self._standing.popitem(last=False)


def checked_actions(actions: np.ndarray, count: int, known: int) -> np.ndarray:
    """[count] actions, once they are numbers of 0 to `known` - 1; raises ValueError."""
    actions = np.asarray(actions)
    if actions.shape != (count,) or actions.dtype.kind not in "iu":
        raise ValueError(f"actions must be [{count}] integers, got {actions.dtype} {list(actions.shape)}")
    wrong = (actions < 0) | (actions >= known)
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(f"level {i}: action {actions[i]} is not one of 0 to {known - 1}")
    return actions
