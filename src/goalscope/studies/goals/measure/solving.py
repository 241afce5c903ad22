"""Where a policy goes from some levels: exactly from all their states, or, where these are too many, by sampled play."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from torch import nn

from goalscope.methods.behaviour.reach import occupancy, reach_probability
from goalscope.rollout import States, chain, enumerate_states, play
from goalscope.studies.any_world import Uniform
from goalscope.studies.goals.setup import Target, View, view
from goalscope.worlds.contract import take

PLAYS = 4
"""sampled plays of each level, where there is no exact chain: more levels narrow an interval further than more plays do"""


@dataclass(frozen=True)
class Case:
    """C levels, and what is to be looked for in their play."""

    world: Any
    start: Any
    """C levels"""
    targets: Mapping[str, Target]
    limit: int | None
    """states of one level at most; None samples without trying"""
    steps: int
    """time limit"""
    seed: int
    """of sampled play"""

    @cached_property
    def states(self) -> States | None:
        """All states of the levels; None where play is sampled."""
        return None if self.limit is None else enumerate_states(self.world, self.start, self.limit)

    @cached_property
    def flags(self) -> dict[str, np.ndarray]:
        """[K] bool of each target in all states."""
        if self.states is None:
            return {}
        seen = view(self.world, self.states.state, self.states.level)
        return {name: target(seen) for name, target in self.targets.items()}

    @cached_property
    def begins(self) -> dict[str, np.ndarray]:
        """[C] bool: where the agent is at the target from the beginning, so that it cannot come there."""
        count = len(self.world.observe(self.start))
        seen = view(self.world, self.start, np.arange(count))
        return {name: target(seen) for name, target in self.targets.items()}


@dataclass(frozen=True)
class Exact:
    """What the chain of one policy says of a case."""

    case: Case
    moves: np.ndarray
    """[K, A] probability of each action"""
    value: np.ndarray
    """[K]; NaN of a policy without value head"""

    def comes(self, one: str) -> np.ndarray:
        """[C] P(comes to a target within the time limit)."""
        return self.everywhere(one)[self._states.start]

    def first(self, one: str, other: str) -> np.ndarray:
        """[C] P(comes to one target, and not to the other before or with it)."""
        return self.everywhere(one, other)[self._states.start]

    def everywhere(self, one: str, other: str | None = None) -> np.ndarray:
        """[K] the same from every state."""
        following, wanted = self._states.next, self.case.flags[one]
        if other is not None:
            barred = self.case.flags[other]
            following = np.where(barred[:, None], np.arange(len(barred))[:, None], following)
            wanted = wanted & ~barred
        return reach_probability(self.moves, following, wanted, self.case.steps)

    def ends(self, one: str) -> np.ndarray:
        """[C] P(is at a target at the end)."""
        states = self._states
        final = occupancy(self.moves, states.next, states.over, states.start, self.case.steps).final
        return np.bincount(states.level, final * self.case.flags[one], len(states.start))

    @property
    def _states(self) -> States:
        if self.case.states is None:
            raise ValueError("an exact answer needs the states of its levels")
        return self.case.states


@dataclass(frozen=True)
class Sampled:
    """What sampled play says of a case."""

    times: Mapping[str, np.ndarray]
    """[C, R] steps until each target was first come to; inf for never"""
    last: Mapping[str, np.ndarray] = field(default_factory=dict)
    """[C, R] bool: there at the end"""

    def comes(self, one: str) -> np.ndarray:
        """As `Exact.comes`: the share of the R plays."""
        return np.isfinite(self.times[one]).mean(1)

    def first(self, one: str, other: str) -> np.ndarray:
        """As `Exact.first`."""
        return (self.times[one] < self.times[other]).mean(1)

    def ends(self, one: str) -> np.ndarray:
        """As `Exact.ends`."""
        return self.last[one].mean(1)


def solved(module: nn.Module, case: Case) -> Exact | Sampled:
    """Where the policy goes.

    Raises:
        NoExactChain: a level has too many states, the world draws, or the policy has a memory.
        ValueError: the policy does not take the world's observations, or gives no logits for its actions.
    """
    states = case.states
    if states is None:
        return _played(module, case)
    if isinstance(module, Uniform):
        shape = states.next.shape
        return Exact(case, np.full(shape, 1 / shape[1]), np.full(len(states), np.nan, np.float32))
    found = chain(module, case.world, states)
    return Exact(case, found.moves, found.value)


def first_levels(states: States, most: int) -> States:
    """The states of the first levels that have `most` states together, and at least those of the first one."""
    levels = max(1, int(np.searchsorted(states.offsets, most, side="right")) - 1)
    part = slice(int(states.offsets[levels]))
    return States(
        take(states.state, part), states.offsets[: levels + 1], states.level[part], states.next[part],
        states.reward[part], states.over[part], states.start[:levels],
    )  # fmt: skip


def _played(module: nn.Module, case: Case) -> Sampled:
    count = len(case.world.observe(case.start))
    level = np.repeat(np.arange(count), PLAYS)
    times = {name: np.full(len(level), np.inf) for name in case.targets}
    last = {name: np.zeros(len(level), bool) for name in case.targets}

    def watch(state: Any, step: int) -> None:
        seen: View = view(case.world, state, level)
        for name, target in case.targets.items():
            last[name] = target(seen)
            times[name][last[name] & np.isinf(times[name])] = step

    play(module, case.world, take(case.start, level), case.steps, case.seed, watch)
    shape = (count, PLAYS)
    return Sampled(
        {k: x.reshape(shape) for k, x in times.items()}, {k: x.reshape(shape) for k, x in last.items()}
    )
