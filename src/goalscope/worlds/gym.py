"""Any World as a gymnasium environment, for other people's training code: `WorldEnv` and `WorldVectorEnv`.

Both end an episode with `terminated` where the world says so and with `truncated` at the world's time limit.
Each reset draws the seed of the next level from the environment's own generator, which `reset(seed=)` seeds;
`info` names it, so that any level met in training can be generated again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from goalscope.worlds.contract import World, concatenate, whole_number

_LEVEL_SEEDS = 2**31 - 1
"""level seeds are drawn from 0 up to here; Procgen takes no larger ones"""

NO_SEED = -1
"""`info["level_seed"]` of a level that came from a text or a state"""


class WorldEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One level at a time.

    `reset(seed=)` seeds the draw of levels; `reset(options=)` starts from a level of choice: `{"text": ...}`
    reads it, `{"state": ...}` takes a state of one level, `{"level_seed": ...}` generates it.
    `info["level_seed"]` is the seed of the current level, `NO_SEED` where it has none.

    Args:
        world: what to act in; actions are its own numbers.
        render_mode: None, or "ansi": `render()` gives the level's text.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 10}  # noqa: RUF012  (gymnasium's own form)

    def __init__(self, world: World, render_mode: str | None = None):
        self.world = world
        self.render_mode = _checked_mode(render_mode)
        self.observation_space, self.action_space = _spaces(world)
        self.state: Any = None
        """the current state, one level; None before the first reset"""
        self._age = 0
        self._level_seed = NO_SEED

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts the next level, or the one that `options` names (see the class).

        Raises:
            ValueError: a text that is no level, a state of more than one, an unknown option.
        """
        super().reset(seed=seed)
        state, seeds = _chosen(self.world, options, 1)
        if state is None:
            seeds = np.array([_draw(self.np_random)])
            state = self.world.generate(seeds)
        self.state, self._level_seed, self._age = state, int(seeds[0]), 0
        return self.world.observe(state)[0], {"level_seed": self._level_seed}

    def step(self, action: int | np.int64) -> tuple[np.ndarray, SupportsFloat, bool, bool, dict[str, Any]]:
        """Takes one action; raises ValueError on one that the world does not know."""
        if self.state is None:
            raise gymnasium.error.ResetNeeded("call reset() before step(): there is no level yet")
        outcome = self.world.step(self.state, np.array([action]))
        self.state = outcome.state
        self._age += 1
        ended = bool(outcome.ended[0])
        truncated = not ended and self._age >= self.world.time_limit
        info = {"level_seed": self._level_seed}
        return self.world.observe(self.state)[0], float(outcome.reward[0]), ended, truncated, info

    def render(self) -> str | None:  # type: ignore[override]
        """The current level as text in mode "ansi", otherwise None."""
        if self.render_mode is None:
            return None
        if self.state is None:
            raise gymnasium.error.ResetNeeded("call reset() before render(): there is no level yet")
        return self.world.text(self.state)[0]


class WorldVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many levels stepped as one batch; step for step the same as gymnasium's SyncVectorEnv of `WorldEnv`s.

    An environment whose level is over starts its next one on the following step, which ignores its action and
    gives reward 0 (autoreset mode "next step"). Environment i draws its levels from a generator of its own,
    seeded with `seed + i`, so what it meets does not depend on how many others there are.

    Args:
        world: what to act in.
        num_envs: how many levels at a time.
        render_mode: None, or "ansi": `render()` gives the levels' texts.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["ansi"], "render_fps": 10, "autoreset_mode": AutoresetMode.NEXT_STEP,
    }  # fmt: skip

    def __init__(self, world: World, num_envs: int, render_mode: str | None = None):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self.world = world
        self.num_envs = num_envs
        self.render_mode = _checked_mode(render_mode)
        self.single_observation_space, self.single_action_space = _spaces(world)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.state: Any = None
        """the current states, num_envs levels; None before the first reset"""
        self._random = [seeding.np_random()[0] for _ in range(num_envs)]
        self._seeds: tuple[int | None, ...] = (None,) * num_envs
        self._age = np.zeros(num_envs, np.int64)
        self._over = np.zeros(num_envs, bool)
        self._level_seeds = np.full(num_envs, NO_SEED, np.int64)

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generator that each environment draws its levels from."""
        return tuple(self._random)

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """What the last reset with a seed seeded each generator with; None where there was none."""
        return self._seeds

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts a level in every environment.

        Args:
            seed: of environment 0, the others counting up from it; or one for each; None goes on drawing.
            options: as `WorldEnv`: one "text" or "level_seed" for all, or a "state" of one level or num_envs.

        Raises:
            ValueError: another number of seeds or levels than of environments, an unknown option, a text that
                is no level.
        """
        if seed is not None:
            counted = np.ndim(seed) == 0  # type: ignore[arg-type]
            first = [whole_number("seed", seed) + i for i in range(self.num_envs)] if counted else seed
            each = [None if one is None else whole_number("seed", one) for one in first]  # type: ignore[union-attr]
            if len(each) != self.num_envs:
                raise ValueError(f"{len(each)} seeds for {self.num_envs} environments: give one for each")
            for i, one in enumerate(each):
                if one is not None:
                    self._random[i], _ = seeding.np_random(one)
            self._seeds = tuple(each)
        state, seeds = _chosen(self.world, options, self.num_envs)
        if state is None:
            seeds = np.array([_draw(random) for random in self._random])
            state = self.world.generate(seeds)
        self.state, self._level_seeds = state, seeds
        self._age = np.zeros(self.num_envs, np.int64)
        self._over = np.zeros(self.num_envs, bool)
        return self.world.observe(state), self._info()

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Takes one action in every environment; those whose level was over start their next one instead."""
        if self.state is None:
            raise gymnasium.error.ResetNeeded("call reset() before step(): there are no levels yet")
        again = self._over
        outcome = self.world.step(self.state, np.asarray(actions))
        reward, ended, state = outcome.reward.astype(np.float64), outcome.ended.copy(), outcome.state
        self._age += 1
        if again.any():
            fresh = np.array([_draw(self._random[i]) for i in np.flatnonzero(again)])
            state = _replaced(state, again, self.world.generate(fresh))
            self._level_seeds = self._level_seeds.copy()
            self._level_seeds[again] = fresh
            self._age[again], reward[again], ended[again] = 0, 0.0, False
        truncated = (self._age >= self.world.time_limit) & ~ended & ~again
        self.state, self._over = state, ended | truncated
        return self.world.observe(state), reward, ended, truncated, self._info()

    def render(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """The current levels as texts in mode "ansi", otherwise None."""
        if self.render_mode is None:
            return None
        if self.state is None:
            raise gymnasium.error.ResetNeeded("call reset() before render(): there are no levels yet")
        return tuple(self.world.text(self.state))

    def _info(self) -> dict[str, Any]:
        # gymnasium's form of a batch of infos: values and a mask of where there is one.
        return {"level_seed": self._level_seeds.copy(), "_level_seed": np.ones(self.num_envs, bool)}


def _checked_mode(render_mode: str | None) -> str | None:
    if render_mode not in (None, "ansi"):
        raise ValueError(f"render_mode must be None or 'ansi', got {render_mode!r}")
    return render_mode


def _spaces(world: World) -> tuple[spaces.Box, spaces.Discrete]:
    numbers = sorted(int(a) for a in world.actions)
    if numbers != list(range(len(numbers))):
        raise ValueError(f"{world.name}: gymnasium needs actions numbered 0, 1, ...; these are {numbers}")
    return spaces.Box(0, 255, world.observation_shape, np.uint8), spaces.Discrete(len(numbers))


def _draw(random: np.random.Generator) -> int:
    return int(random.integers(_LEVEL_SEEDS))


def _chosen(world: World, options: dict[str, Any] | None, count: int) -> tuple[Any, np.ndarray]:
    """The `count` levels that reset's options name and their seeds; None where they name none."""
    seeds = np.full(count, NO_SEED, np.int64)
    known = ("text", "state", "level_seed")
    for option in options or {}:
        if option not in known:
            near = get_close_matches(str(option), known, 1, 0)[0]
            raise ValueError(
                f"unknown reset option {option!r}: did you mean {near!r}? There are {', '.join(known)}"
            )
    if not options:
        return None, seeds
    if len(options) > 1:
        raise ValueError(f"reset takes one of the options {', '.join(known)}, got {', '.join(options)}")
    if "level_seed" in options:
        seeds[:] = whole_number("level_seed", options["level_seed"])
        return world.generate(seeds), seeds
    state = world.parse(options["text"]) if "text" in options else options["state"]
    levels, *shape = world.observe(state).shape
    if tuple(shape) != tuple(world.observation_shape):
        raise ValueError(
            f"the state is of another world: observed {shape}, not {list(world.observation_shape)}"
        )
    if levels not in (1, count):
        raise ValueError(
            f"the option 'state' has {levels} levels: give {count if count == 1 else f'1 or {count}'}"
        )
    return concatenate([state] * count) if levels == 1 else state, seeds


def _replaced(state: Any, where: np.ndarray, levels: Any) -> Any:
    """`state` with the levels `where` [N] bool replaced; a new state, as states never change in place."""
    fields = {}
    for field in dataclasses.fields(state):
        values = getattr(state, field.name).copy()
        values[where] = getattr(levels, field.name)
        fields[field.name] = values
    return dataclasses.replace(state, **fields)
