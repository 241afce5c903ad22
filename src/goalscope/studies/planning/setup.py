"""What every part of the planning study shares: the policy and its control, the mazes, the moments of a thought.

A *moment* is a site that holds something of every square, [N, C, H, W]: what stands there after a tick, or after a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from goalscope.policies.checkpoint import Policy
from goalscope.policies.handwritten_networks import LocalPatterns, ValueIteration
from goalscope.policies.thinker import Thinker
from goalscope.studies.about import About
from goalscope.worlds.contract import concatenate, take
from goalscope.worlds.maze import Maze, MazeState
from goalscope.worlds.maze.paths import distances, maze_size

SMALLEST = 7
"""side of a maze in which a way is worth planning"""
MOMENTS = 40
"""most moments that are read; of a longer thought evenly spaced ones, the last among them"""

DRAWN = 500
"""levels drawn at once, of which those of the full size are kept"""


@dataclass(frozen=True)
class Sizes:
    """How many mazes each part uses."""

    read: int
    """whose ways are read: 60% fit the probes, the others judge them"""
    chosen: int
    """on which place and strength of writing are chosen"""
    written: int
    """on which they are judged"""
    random: int
    """random vectors beside each written way"""
    thinking: int
    """in which thinking longer is tried"""
    closing: int
    """in which a wall closes on the way"""


FULL = Sizes(300, 16, 60, 2, 200, 100)
QUICK = Sizes(80, 8, 20, 1, 40, 30)


@dataclass(frozen=True)
class Setup:
    """A policy, its control, and the mazes of the study: no maze is in two parts."""

    policy: Policy
    blank: Policy
    """the untrained network of its shape"""
    world: Maze
    sites: tuple[str, ...]
    """the moments, in the order of the forward"""
    sizes: Sizes
    read: MazeState
    chosen: MazeState
    written: MazeState
    thinking: MazeState
    closing: MazeState
    about: About

    @property
    def module(self) -> Any:
        """The policy's network."""
        return self.policy.module

    @property
    def thinks(self) -> bool:
        """Whether the number of ticks can be set, and says at once what it would do on every square."""
        return isinstance(getattr(self.module, "ticks", None), int) and hasattr(self.module, "everywhere")


def moments(module: nn.Module, sites: tuple[str, ...] | None) -> tuple[str, ...]:
    """The moments of a network that thinks in ticks, or those that the caller names for another one.

    Raises:
        ValueError: another network, and no sites.
    """
    if sites:
        return sites
    if isinstance(module, LocalPatterns):
        return ("plan",)
    if isinstance(module, ValueIteration | Thinker):
        name = "sweep" if isinstance(module, ValueIteration) else "blocks.0"
        if isinstance(module, Thinker) and not module.tied:
            return tuple(f"blocks.{t}" for t in range(module.ticks))
        if module.ticks == 1:
            return (name,)
        kept = np.unique(np.linspace(0, module.ticks - 1, min(module.ticks, MOMENTS)).round().astype(int))
        return tuple(f"{name}@{t}" for t in kept)
    raise ValueError(
        f"the planning study knows the moments of networks that think in ticks, not of {type(module).__name__}: name sites "
        "that hold [N, C, H, W] activations of mazes H x W, in the order of the forward: --site NAME for each, in Python "
        "sites=(NAME, ...); goalscope.sites lists them"
    )


def side(policy: Policy, size: int | None) -> int:
    """The side of the mazes: what the network says, else what is asked for, else what its config says.

    Raises:
        ValueError: a side that is even or too small, another one than the network's, or none is known; the policy has a
            memory.
    """
    if hasattr(policy.module, "initial_carry"):
        raise ValueError(
            f"{policy.name} has a memory (`initial_carry`): the planning study of mazes reads and writes within one forward"
        )
    own = getattr(policy.module, "size", None)
    if isinstance(own, int) and size not in (None, own):
        raise ValueError(f"{policy.name} sees mazes of size {own}, --size says {size}: leave it out")
    said = policy.config.get("world") or {}
    found = (
        own if isinstance(own, int) else size or (said.get("size") if said.get("name") == "maze" else None)
    )
    if found is None:
        raise ValueError(f"{policy.name} does not say the side of its mazes: give --size")
    if found < SMALLEST or found % 2 == 0:
        raise ValueError(f"--size must be odd and at least {SMALLEST}, got {found}")
    return int(found)


def shared_out(world: Maze, sizes: Sizes) -> dict[str, MazeState]:
    """Mazes of the world's full size for each part, no maze twice."""
    counts = {name: getattr(sizes, name) for name in ("read", "chosen", "written", "thinking", "closing")}
    every, first, found = mazes_of(world, sum(counts.values())), 0, {}
    for name, count in counts.items():
        found[name] = take(every, slice(first, first + count))
        first += count
    return found


def mazes_of(world: Maze, count: int) -> MazeState:
    """The first levels whose maze fills the world, with the cheese two steps away or more: `count` of them."""
    found, first, have = [], 0, 0
    while have < count:
        drawn = world.generate(np.arange(first, first + DRAWN))
        steps = distances(drawn.walls, drawn.cheese)[np.arange(DRAWN), *drawn.mouse.astype(int).T]
        kept = np.flatnonzero((maze_size(drawn) == world.size) & (steps > 1))
        found.append(take(drawn, kept))
        first, have = first + DRAWN, have + len(kept)
    return take(concatenate(found), slice(count))
