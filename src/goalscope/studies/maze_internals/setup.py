"""What every part of the internals study shares: the networks, the mazes, the sites, and runs under edits.

Three sets of mazes, disjoint by their level numbers: *discovery* (where anything is chosen), *held* (where everything
is reported) and *donors* (whose activations are put into other mazes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.activations import capture, random_of_equal_norm
from goalscope.policies.checkpoint import Policy
from goalscope.policies.compact import Compact
from goalscope.policies.impala import Impala
from goalscope.rollout import BATCH, Fields, fields
from goalscope.studies.about import About
from goalscope.studies.maze import is_square
from goalscope.worlds.contract import concatenate, take
from goalscope.worlds.maze import place_cheese, remove_cheese
from goalscope.worlds.maze.paths import decision_square, maze_size

LEAST_SIZE = 7
"""smaller mazes leave no room for a choice"""

APART = 3
"""a different place for the cheese is more than this many rows and columns away"""


@dataclass(frozen=True)
class Sizes:
    """How many mazes each part uses."""

    discovery: int
    held: int
    reading: int
    """for probes and channel correlations, one observation each"""
    largest: int
    """held-out largest mazes for retargeting; a quarter as many again for discovery, at least four"""
    targets: int
    """random targets in each largest maze"""
    mapped: int
    """of the held-out largest mazes, in how many every free square is a target"""
    multiples: tuple[int, ...]
    """of an edit's compute, spent on finetuning beside it; empty where there is none"""


FULL = Sizes(40, 100, 1200, 40, 6, 6, (1, 4, 16))
QUICK = Sizes(12, 24, 300, 12, 3, 1, (1, 4))
PIXELS = Sizes(16, 24, 400, 12, 2, 1, ())
"""of a network on Procgen's pixels, whose forward and pictures cost ten times as much; from 10 discovery mazes no one of
32 channels could be found at a false discovery rate of 5%, with a least p-value of 2 / 2**10; 11 is the least"""


@dataclass(frozen=True)
class Layout:
    """Where a known architecture keeps its residual stream."""

    layers: tuple[str, ...]
    """the residual stream after each part, from input to output"""
    early: str
    """where readable channels are looked for: after the first block"""
    middle: str
    """where the goal is edited: in the middle of the network"""
    exact_cells: bool
    """cell i of a map lies over squares 2i and 2i + 1 (otherwise the picture is divided evenly)"""


@dataclass(frozen=True)
class Setup:
    """A policy, its untrained twin, and the mazes of the study."""

    policy: Policy
    blank: Policy
    world: Any
    layout: Layout
    sizes: Sizes
    discovery: Any
    """levels with a decision square, of size 7 and more, cheese anywhere"""
    held: Any
    """as discovery, others"""
    reading: Any
    """levels of any size, cheese anywhere"""
    largest: Any
    """discovery levels of the largest size"""
    largest_held: Any
    """held-out levels of the largest size"""
    pool: Any
    """donors"""
    about: About

    @property
    def module(self) -> nn.Module:
        """The policy's network."""
        return self.policy.module

    @property
    def steps(self) -> int:
        """The world's time limit."""
        return self.world.time_limit


def layout(module: nn.Module) -> Layout:
    """The sites of a compact or IMPALA network.

    Raises:
        ValueError: another architecture.
    """
    if isinstance(module, Compact):
        blocks = tuple(f"blocks.{i}" for i in range(len(module.blocks)))
        return Layout(("stem", *blocks), blocks[0], blocks[len(blocks) // 2], True)
    if isinstance(module, Impala):
        adds = tuple(f"embedder.block{b}.res{r}" for b in (1, 2, 3) for r in (1, 2))
        return Layout(adds, "embedder.block1.res2", "embedder.block2.res1", False)
    raise ValueError(
        f"the internals study knows the compact and the IMPALA network, not {type(module).__name__}: of others it cannot "
        "tell at which sites the residual stream lies, which it reads and edits as maps [N, C, h, w]; the methods take "
        "any module and any site, see goalscope.methods"
    )


def prepare(policy: Policy, blank: Policy, world: Any, sizes: Sizes, first: int, about: About) -> Setup:
    """Draws the mazes, numbers `first` and up, each part's after the one before.

    Raises:
        ValueError: the network's sites are not known, or its mazes leave no room for a choice.
    """
    places = layout(policy.module)
    if world.size < LEAST_SIZE:
        raise ValueError(
            f"the internals study needs mazes of size {LEAST_SIZE} at least, {policy.name} sees {world.size}: "
            "smaller ones leave no room for a choice"
        )

    def forked(state: Any) -> np.ndarray:
        return (decision_square(state)[:, 0] >= 0) & (maze_size(state) >= LEAST_SIZE)

    def largest(state: Any) -> np.ndarray:
        return maze_size(state) == world.size

    discovery, at = draw(world, first, sizes.discovery, forked)
    held, at = draw(world, at, sizes.held, forked)
    found, at = draw(world, at, max(4, sizes.largest // 4), largest)
    confirmed, at = draw(world, at, sizes.largest, largest)
    reading, at = draw(world, at, sizes.reading, lambda state: np.ones(len(state), bool))
    pool, _ = draw(world, at, 4 * sizes.held, lambda state: maze_size(state) >= LEAST_SIZE)
    return Setup(
        policy, blank, world, places, sizes, discovery, held, reading, found, confirmed, pool,
        about,
    )  # fmt: skip


def draw(world: Any, first: int, count: int, wanted: Callable[[Any], np.ndarray]) -> tuple[Any, int]:
    """The first `count` levels from number `first` on that are wanted, and the number after the last one looked at."""
    kept, seed = [], first
    while sum(map(len, kept)) < count:
        levels = world.generate(np.arange(seed, seed + max(64, count)))
        kept.append(take(levels, np.flatnonzero(wanted(levels))))
        seed += max(64, count)
    return take(concatenate(kept), slice(count)), seed


def run(
    setup: Setup, state: Any, site: str = "", change: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Fields:
    """The policy everywhere in the mazes, with what comes out of a site changed.

    Args:
        setup: the study.
        state: N levels.
        site: where. change: (activations [B, ...], levels [B] int) -> activations; None changes nothing.
    """  # fmt: skip
    if change is None:
        return fields(setup.module, setup.world, state)

    def edits(level: np.ndarray) -> dict[str, Callable[[Tensor], Tensor]]:
        at = torch.from_numpy(level.astype(np.int64))
        return {site: lambda activations: change(activations, at)}

    return fields(setup.module, setup.world, state, edits=edits)


def shifted(setup: Setup, state: Any, site: str, vector: Tensor) -> Fields:
    """`run` with a vector [N, C, h, w], one a level, added at a site."""
    return run(setup, state, site, lambda activations, level: activations + vector[level])


def reached(found: Fields, squares: np.ndarray, steps: int) -> np.ndarray:
    """[N] exact P(come to the square [N, 2] of the level within `steps`), whatever lies on the way."""
    return found.reach_from_start(steps, is_square(found, squares))


def activations(module: nn.Module, world: Any, state: Any, *sites: str) -> dict[str, Tensor]:
    """Site -> [N, ...] activations with each mouse where it is."""
    x = module.encode(world.observe(state))  # type: ignore[operator]
    with torch.inference_mode():
        return capture(module, x, sites, batch=BATCH)


def cheese_vector(setup: Setup, state: Any, site: str) -> Tensor:
    """[N, C, h, w]: activations with the cheese minus without it, mouse at its start."""
    bare = activations(setup.module, setup.world, remove_cheese(state), site)[site]
    return activations(setup.module, setup.world, state, site)[site] - bare


def donors(setup: Setup, state: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """For each level another maze with the cheese on the same square, and that maze with it on a different one.

    Raises:
        ValueError: no donor of a level has its cheese's square free.
    """
    pool, chosen, other = setup.pool, [], []
    sizes, squares = maze_size(pool), setup.world.squares(pool)
    for level in range(len(state)):
        row, column = state.cheese[level]
        fits = ~pool.walls[:, row, column] & (pool.mouse != state.cheese[level]).any(1)
        fits &= sizes == maze_size(take(state, level))[0]
        if not fits.any():
            raise ValueError(f"none of {len(pool)} donor mazes has the square ({row}, {column}) free")
        donor = int(rng.choice(np.flatnonzero(fits)))
        free = squares.square[squares.level == donor]
        apart = (free != pool.mouse[donor]).any(1) & (np.abs(free - state.cheese[level]).sum(1) > APART)
        chosen.append(donor)
        other.append(free[rng.choice(np.flatnonzero(apart))])
    mazes = take(pool, np.array(chosen))
    return place_cheese(mazes, state.cheese), place_cheese(mazes, np.array(other))


def cells(setup: Setup, squares: np.ndarray, side: int) -> np.ndarray:
    """[N, 2]: the cell of a map of side x side that lies over each square [N, 2]."""
    squares = np.asarray(squares).astype(np.int64)
    if setup.layout.exact_cells:
        return squares // 2
    return np.floor((squares + 0.5) * side / setup.world.size).astype(np.int64)


def alike(vector: Tensor, generator: torch.Generator) -> Tensor:
    """Random directions [N, ...] of each vector's norm, nonzero only where it is: the control of every edit."""
    return random_of_equal_norm(vector, generator, where_nonzero=True)
