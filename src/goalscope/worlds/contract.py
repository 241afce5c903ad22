"""The World protocol: what a policy can act in, and the contract test that any world passes.

A state is a frozen dataclass of arrays whose first axis is N, the levels of a batch. A world's functions
never change a state; they return new ones. Time limits are the caller's: a state is Markov.

A world may offer more, each as a method that is found by its name (`ABILITIES`) and checked where it is there. They are
what a study of goals asks for: what lies where, and the same level with one thing changed. All states that can be
reached need no ability: `rollout.chain.enumerate_states` finds them by stepping.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from goalscope.showing import drawing, text
from goalscope.worlds.abilities import ABILITIES, check_abilities, require
from goalscope.worlds.batch import concatenate, copied, equal, take

__all__ = [
    "ABILITIES", "ANY", "Step", "World", "check_world", "concatenate", "take", "whole_number", "whole_seeds",
]  # fmt: skip

S = TypeVar("S")


@dataclass(frozen=True)
class Step(Generic[S]):
    """What one step of a batch gives."""

    __repr__, _repr_html_ = text, drawing

    state: S
    """the next state, N levels"""
    reward: np.ndarray
    """[N] float32"""
    ended: np.ndarray
    """[N] bool, True where the level is over (and stays as it is under further steps)"""


class World(Protocol[S]):
    """Levels that can be generated, stepped, observed, read from text and written as text."""

    @property
    def name(self) -> str:
        """What the world is called."""
        ...

    @property
    def actions(self) -> type[IntEnum]:
        """What can be done, numbered."""
        ...

    @property
    def time_limit(self) -> int:
        """Steps after which callers end an episode."""
        ...

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Shape of one observation, (C, H, W)."""
        ...

    def generate(self, seeds: Sequence[int] | np.ndarray) -> S:
        """One level per seed: N = len(seeds)."""
        ...

    def step(self, state: S, actions: np.ndarray) -> Step[S]:
        """Takes actions [N] (values of `actions`); raises ValueError on an illegal one."""
        ...

    def observe(self, state: S) -> np.ndarray:
        """[N, C, H, W] uint8; of a world with an `observation_space` of Gymnasium's, what that says."""
        ...

    def parse(self, text: str) -> S:
        """One level (N = 1) from its text; raises ValueError with line and column."""
        ...

    def text(self, state: S) -> list[str]:
        """The N levels as texts."""
        ...


ANY = 2**63 - 1
"""the largest whole number that torch and NumPy take as a seed or a count"""


def whole_seeds(seeds: Sequence[int] | np.ndarray, last: int = 2**64 - 1) -> np.ndarray:
    """[N] uint64: seeds as they were given. NumPy would round, wrap or read as text what is no seed.

    Args:
        seeds: [N] whole numbers, 0 to `last`.
        last: the largest one.

    Raises:
        ValueError: another shape, other things than whole numbers, negative or too large ones.
    """
    wanted = "seeds must be [N] non-negative integers"
    if isinstance(seeds, (str, bytes)):
        raise ValueError(f"{wanted}, got the text {seeds!r:.40}")
    if isinstance(seeds, np.ndarray):
        if seeds.ndim != 1 or (seeds.size and seeds.dtype.kind not in "iu"):
            raise ValueError(f"{wanted}, got {seeds.dtype} {list(seeds.shape)}")
        extremes = [int(seeds.min()), int(seeds.max())] if seeds.size else []
    else:
        try:
            seeds = list(seeds)
        except TypeError as error:
            raise ValueError(f"{wanted}, got {seeds!r:.40}: write [{seeds!r:.40}] for one") from error
        for i, seed in enumerate(seeds):
            if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, (int, np.integer)):
                raise ValueError(f"{wanted}, got {np.asarray(seed).dtype}: {seed!r:.40} at {i}")
        extremes = seeds
    for seed in extremes:
        if not 0 <= seed <= last:
            raise ValueError(f"{wanted} of at most {last}, got {seed}")
    return np.array(seeds, np.uint64)


def whole_number(name: str, value: Any, least: int = 0, last: int = ANY) -> int:
    """A setting that counts or seeds: 7.9 and True are refused, not made 7 and 1.

    Raises:
        ValueError: no whole number of `least` to `last`; the message has the setting's name.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{name} must be a whole number, got {value!r:.40}")
    if not least <= value <= last:
        raise ValueError(f"{name} must be at least {least} and at most {last}, got {value}")
    return int(value)


def check_world(world: World, seeds: Sequence[int] | np.ndarray, steps: int = 20) -> None:
    """Checks that `world` keeps the contract; raises ValueError that names the clause it breaks.

    Clauses: the same seed gives the same level, and not all seeds the same; a batch's levels do not influence
    each other; stepping and observing change nothing in place; an ended level stays as it is and gives no more
    reward; shapes and types are those of the protocol; parse after text is the identity; illegal actions, and
    too few of them, raise. Of `ABILITIES` those that the world has: they say what they should of the levels as they were
    generated, edits change what they say and nothing else, and raise where they cannot be done.

    Args:
        world: what to check.
        seeds: [N] of the levels to check it on, at least two.
        steps: random actions taken in each level. Choose levels and steps so that some levels end.
    """
    if len(seeds) < 2:
        raise ValueError("check_world needs at least two seeds")
    start = world.generate(seeds)
    require(equal(start, world.generate(seeds)), "the same seeds gave different levels")
    others = world.generate(np.arange(32))
    require(
        any(not equal(take(others, 0), take(others, i)) for i in range(1, 32)), "all seeds give one level"
    )
    rng = np.random.default_rng(0)
    actions = _drawn(world, start, rng, steps)
    batch = _roll(world, start, actions)
    observed = world.observe(batch[-1].state)
    for i in range(len(seeds)):
        first = world.generate(seeds[i : i + 1])
        require(equal(take(start, i), first), f"level {seeds[i]} generated alone differs from the batch")
        alone = _roll(world, first, actions[:, i : i + 1])
        for t, (many, one) in enumerate(zip(batch, alone, strict=True)):
            same = equal(take(many.state, i), one.state)
            same &= many.reward[i] == one.reward[0] and many.ended[i] == one.ended[0]
            require(bool(same), f"level {seeds[i]} stepped alone differs from the batch at step {t}")
        same = np.array_equal(world.observe(alone[-1].state)[0], observed[i])
        require(same, f"level {seeds[i]} observed alone differs from the batch")
    kind = np.dtype(getattr(getattr(world, "observation_space", None), "dtype", np.uint8))
    require(
        observed.shape == (len(seeds), *world.observation_shape) and observed.dtype == kind,
        f"observe gave {observed.dtype} {observed.shape}, not {kind} [N, *{tuple(world.observation_shape)}]",
    )
    for outcome in (start, batch[-1].state):
        for i, written in enumerate(world.text(outcome)):
            same = equal(world.parse(written), take(outcome, i))
            require(same, f"parse(text(state)) differs for level {seeds[i]}")
    _check_illegal(world, start, actions[0])
    check_abilities(world, start)


def _drawn(world: Any, state: Any, rng: np.random.Generator, steps: int) -> np.ndarray:
    """[steps, N] actions at random; of a world that says which are `legal`, some of those."""
    count = len(getattr(state, dataclasses.fields(state)[0].name))
    if not hasattr(world, "legal"):
        return rng.choice([int(a) for a in world.actions], size=(steps, count))
    actions = np.empty((steps, count), np.int64)
    for t in range(steps):
        legal = world.legal(state)
        shaped = (
            isinstance(legal, np.ndarray)
            and legal.shape == (count, len(world.actions))
            and legal.dtype == bool
        )
        require(shaped, f"legal gave no [{count}, {len(world.actions)}] bool")
        for i in range(count):
            forbidden = np.flatnonzero(~legal[i])
            if t == 0 and len(forbidden):
                one, move = take(state, i), forbidden[:1]
                kept = _refuses(world, one, move) or equal(world.step(one, move).state, one)
                require(kept, f"move {forbidden[0]}, not legal, changed level {i}")
        # Where no move counts the level is over, and any is as good.
        actions[t] = [rng.choice(np.flatnonzero(row if row.any() else ~row)) for row in legal]
        state = world.step(state, actions[t]).state
    return actions


def _check_illegal(world: World, state: Any, actions: np.ndarray) -> None:
    for illegal in (max(world.actions) + 1, -1):
        wrong = actions.copy()
        wrong[-1] = illegal
        require(_refuses(world, state, wrong), f"illegal action {illegal} was accepted")
    require(_refuses(world, state, actions[:1]), f"1 action for {len(actions)} levels was accepted")


def _refuses(world: World, state: Any, actions: np.ndarray) -> bool:
    try:
        world.step(state, actions)
    except ValueError:
        return True
    return False


def _roll(world: World, state: Any, actions: np.ndarray) -> list[Step]:
    outcomes = []
    over = np.zeros(actions.shape[1], bool)
    for chosen in actions:
        before = copied(state)
        outcome = world.step(state, chosen)
        world.observe(state)
        require(equal(before, state), "step or observe changed its input state")
        kinds = [(x.dtype, x.shape) for x in (outcome.reward, outcome.ended)]
        expected = [(np.dtype(kind), over.shape) for kind in (np.float32, bool)]
        require(kinds == expected, f"step gave reward and ended as {kinds}, not {expected}")
        went_on = (over & (~outcome.ended | (outcome.reward != 0))).any()
        went_on |= over.any() and not equal(take(before, over), take(outcome.state, over))
        require(not went_on, "an ended level went on")
        outcomes.append(outcome)
        state, over = outcome.state, outcome.ended
    return outcomes
