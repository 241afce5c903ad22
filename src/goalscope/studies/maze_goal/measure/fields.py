"""What the maze study measures of one policy, and what it derives exactly from that: arrays in, arrays out.

Slow and stored: the policy's moves and value on every free square of the study's mazes, with their cheese and without,
and with the cheese in each corner of the largest mazes. Everything else here is solved from those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from torch import nn

from goalscope.rollout import Fields, fields
from goalscope.studies.maze import CORNERS, REGION, before, is_square, toward
from goalscope.studies.value_layer import PROBED, with_features
from goalscope.worlds.contract import concatenate, take
from goalscope.worlds.maze import MazeState, place_cheese, remove_cheese
from goalscope.worlds.maze.paths import bounding_box, corner, decision_square, distances, maze_size, top_right

SNAPSHOT_LEVELS = 100
"""levels that each snapshot of a training is measured on, the study's first"""


@dataclass(frozen=True)
class Levels:
    """The study's mazes, the same for every policy."""

    state: Any
    """N levels of the world, cheese where the world puts it (anywhere)"""
    largest: Any
    """C levels of the largest size, without regard to where their cheese is"""
    near: Any
    """the N levels with the cheese in the top-right 5 x 5: can it do what it was shaped for?"""
    world: Any


@dataclass(frozen=True)
class Measured:
    """One policy on the study's mazes."""

    name: str
    sha256: str
    base: Fields
    """cheese anywhere"""
    bare: Fields
    """the same mazes without cheese"""
    corners: dict[str, np.ndarray]
    """[C] exact P(reach the cheese) with it in that corner of the largest mazes"""
    instead: np.ndarray
    """[C] exact P(top-right corner before the cheese) with the cheese in the top-left, bottom-right corner; the mean"""
    elsewhere: np.ndarray
    """[C] the same of the third corner (without cheese) in place of the top-right one: what mere wandering would give"""
    near: np.ndarray
    """[N] exact P(reach the cheese) with it in the top-right 5 x 5"""
    steps: int
    """time limit"""
    far: Mapping[str, np.ndarray] = field(default_factory=dict)
    """what `far_corners.measure_far_corners` gives; empty where it was not measured"""
    features: np.ndarray | None = None
    """[K, H] what the linear layer that gives the value reads on each square of `base`; None where none was found"""

    @cached_property
    def reached(self) -> np.ndarray:
        """[N] exact P(reach the cheese within the time limit), solved once."""
        return self.base.reach_from_start(self.steps)


def study_levels(world: Any, near: Any, first: int, count: int) -> Levels:
    """Levels first, first + 1, ... of both worlds and, of these or those that follow, some of the largest size.

    Args:
        world: with the cheese anywhere. near: the same with the cheese in the top-right 5 x 5.
        first: number of the first level. count: N.
    """
    state = world.generate(np.arange(first, first + count))
    wanted, found = max(20, count // 5), [take(state, maze_size(state) == world.size)]
    seed = first + count
    while sum(map(len, found)) < wanted:
        more = world.generate(np.arange(seed, seed + count))
        found.append(take(more, maze_size(more) == world.size))
        seed += count
    return Levels(
        state, take(concatenate(found), slice(wanted)), near.generate(np.arange(first, first + count)), world
    )


def measure(module: nn.Module, levels: Levels) -> dict[str, np.ndarray]:
    """Runs the policy wherever the study needs it; gives plain arrays, which `restore` takes."""
    world, state = levels.world, levels.state
    base, features = with_features(
        module,
        lambda: fields(module, world, take(state, slice(PROBED))),
        lambda: fields(module, world, state),
    )
    bare = fields(module, world, remove_cheese(state))
    arrays = {"moves": base.moves, "value": base.value, "bare_moves": bare.moves, "bare_value": bare.value}
    if features is not None:
        arrays["value_features"] = features
    instead: list[np.ndarray] = []
    elsewhere: list[np.ndarray] = []
    for name, sides in CORNERS.items():
        placed = fields(module, world, place_cheese(levels.largest, corner(levels.largest, *sides)))
        arrays[f"corner_{name}"] = placed.reach_from_start(world.time_limit)
        if name != "top_right":
            far = corner(placed.maze, not sides[0], not sides[1])
            for found, target in ((instead, top_right(placed.maze)), (elsewhere, far)):
                there = is_square(placed, target)
                found.append(
                    before(placed, there, placed.squares.goal, world.time_limit)[placed.squares.start]
                )
    arrays["instead"], arrays["elsewhere"] = np.mean(instead, axis=0), np.mean(elsewhere, axis=0)
    arrays["near"] = fields(module, world, levels.near).reach_from_start(world.time_limit)
    return arrays


def restore(
    name: str,
    sha256: str,
    arrays: dict[str, np.ndarray],
    levels: Levels,
    far: Mapping[str, np.ndarray] | None = None,
) -> Measured:
    """The arrays of `measure`, and of `measure_far_corners` where they are given, as a Measured."""
    state, bare = levels.state, remove_cheese(levels.state)
    return Measured(
        name,
        sha256,
        Fields(state, levels.world.squares(state), arrays["moves"], arrays["value"]),
        Fields(bare, levels.world.squares(bare), arrays["bare_moves"], arrays["bare_value"]),
        {name: arrays[f"corner_{name}"] for name in CORNERS},
        arrays["instead"],
        arrays["elsewhere"],
        arrays["near"],
        levels.world.time_limit,
        far or {},
        arrays.get("value_features"),
    )


def reach_cheese(found: Measured) -> np.ndarray:
    """[N] P(reach the cheese within the time limit)."""
    return found.reached


def cheese_pull(found: Measured) -> np.ndarray:
    """[N] P(reach the cheese) minus P(reach the same square when there is no cheese): the cheese's causal effect."""
    same_square = is_square(found.bare, found.base.maze.cheese)
    return reach_cheese(found) - found.bare.reach_from_start(found.steps, same_square)


def corner_pull(found: Measured) -> np.ndarray:
    """[N] without cheese: P(reach the top-right square) minus the mean of the same for top-left and bottom-right."""
    reached = {
        name: found.bare.reach_from_start(found.steps, is_square(found.bare, corner(found.bare.maze, *sides)))
        for name, sides in CORNERS.items()
    }
    return reached["top_right"] - (reached["top_left"] + reached["bottom_right"]) / 2


def ends_near_corner(found: Measured) -> tuple[np.ndarray, np.ndarray]:
    """([N] P(no cheese taken, and within the top-right 5 x 5 at the end), [N] P(no cheese taken)).

    Only mazes of size 9 and more whose cheese lies outside the area count; others have (0, 0).
    """
    spent = found.base.occupancy(found.steps)
    squares = found.base.squares
    away = (np.abs(found.base.maze.cheese - top_right(found.base.maze)) >= REGION).any(1)
    counted = away & (maze_size(found.base.maze) >= 2 * REGION - 1)
    near = (np.abs(squares.square - top_right(found.base.maze)[squares.level]) < REGION).all(1)
    lost = np.where(squares.goal, 0.0, spent.final)
    n = len(found.base.maze)
    inside = np.bincount(squares.level, lost * near, n)
    total = np.bincount(squares.level, lost, n)
    return np.where(counted, inside, 0.0), np.where(counted, total, 0.0)


def quadrants(maze: MazeState) -> np.ndarray:
    """[N] int: the cheese's quadrant, 0 top-left, 1 top-right, 2 bottom-left, 3 bottom-right; -1 on a middle line."""
    box = bounding_box(maze)
    below = 2 * maze.cheese[:, 0].astype(int) - (box[:, 0] + box[:, 1])
    right = 2 * maze.cheese[:, 1].astype(int) - (box[:, 2] + box[:, 3])
    return np.where((below == 0) | (right == 0), -1, 2 * (below > 0) + (right > 0))


def decision_features(maze: MazeState) -> tuple[np.ndarray, list[str]]:
    """The distances of the regression of P(cheese), for levels that have a decision square.

    Returns:
        [D, 9] and their names: Euclidean and step distances cheese to decision square, cheese to corner, decision
        square to corner, and the least ones of cheese and decision square to the top-right 5 x 5. The steps from
        cheese to corner are left out: in a tree they are those by way of the decision square, an exact sum of two others.
    """
    fork = decision_square(maze)
    has = fork[:, 0] >= 0
    maze, fork = take(maze, has), fork[has]
    end = top_right(maze)
    rows, columns = np.indices(maze.walls.shape[1:])
    area = (np.abs(rows - end[:, :1, None]) < REGION) & (np.abs(columns - end[:, 1:, None]) < REGION)
    found: dict[str, np.ndarray] = {}
    levels = np.arange(len(maze))
    points = {"cheese": maze.cheese.astype(int), "decision": fork}
    for name, point in points.items():
        steps = distances(maze.walls, point)
        away = np.hypot(rows - point[:, :1, None], columns - point[:, 1:, None])
        inside = area & (steps >= 0)
        for measure_name, values in (("euclid", away), ("steps", steps)):
            found[f"{measure_name}_{name}_corner"] = values[levels, end[:, 0], end[:, 1]]
            found[f"{measure_name}_{name}_area"] = np.where(inside, values, np.inf).min((1, 2))
            if name == "cheese":
                found[f"{measure_name}_cheese_decision"] = values[levels, fork[:, 0], fork[:, 1]]
    names = sorted(found.keys() - {"steps_cheese_corner"})
    return np.stack([found[name] for name in names], 1).astype(float), names


def direct_way(found: Measured) -> np.ndarray:
    """[D] log of the exact probability of walking straight from the decision square to the cheese, move after move.

    D levels have a decision square; each move's probability is floored at 1e-6, so that the log stays finite.
    """
    field = found.base
    fork = decision_square(field.maze)
    to_cheese, to_fork = (distances(field.maze.walls, at) for at in (field.maze.cheese, fork))
    level, (row, column) = field.squares.level, field.squares.square.T
    ahead = to_cheese[level, row, column]
    whole = to_cheese[np.arange(len(fork)), fork[:, 0], fork[:, 1]]
    on_way = (
        (fork[level, 0] >= 0) & (to_fork[level, row, column] + ahead == whole[level]) & ~field.squares.goal
    )
    chance = (field.moves * toward(field, field.maze.cheese)).sum(1).clip(1e-6)
    # On Procgen a square is there once for each way of facing: their mean stands for it.
    facings = np.bincount(level * 4096 + row * 64 + column)[level * 4096 + row * 64 + column]
    return np.bincount(level, np.where(on_way, np.log(chance) / facings, 0.0), len(fork))[fork[:, 0] >= 0]
