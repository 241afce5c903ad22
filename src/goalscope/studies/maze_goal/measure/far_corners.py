"""Cheese in the far corners, by the size of the maze and by its distance from the border.

What a policy does with the cheese in a corner of the largest mazes says nothing of smaller ones, or of cheese that
lies two squares further in: so both are varied, each beside the third corner, to which mere wandering comes as often.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import nn

from goalscope.rollout import fields
from goalscope.studies.maze import CORNERS, before, is_square
from goalscope.studies.maze_goal.measure.fields import Levels
from goalscope.worlds.contract import take
from goalscope.worlds.maze import place_cheese
from goalscope.worlds.maze.paths import bounding_box, corner, maze_size, top_right

LEAST_SIZE = 7
"""smaller mazes have no corner that is far from another"""
LEAST_LEVELS = 5
"""of a size, for it to be measured"""
MOST_LEVELS = 60
"""of a size or depth: enough for an interval of ten points either way, at a third of the study's other forwards"""
DEPTHS = (0, 2, 4)
"""squares between the cheese and both borders of the largest mazes; those of an even number are always free"""
FAR = ("top_left", "bottom_right")
"""the corners where the cheese is put; what the top-right one is to them, the other of the two is to wandering"""


def measure_far_corners(
    module: nn.Module, levels: Levels, known: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Exact chances with the cheese in the top-left and bottom-right corner, the mean of the two, level by level.

    Args:
        module: the policy's network. levels: the study's.
        known: what `fields.measure` gave for them: the corners of the largest mazes are in there already.

    Returns:
        `far.size.S.QUANTITY` [C] for mazes of a size S below the largest, the cheese in the corner itself, and
        `far.depth.D.QUANTITY` for the largest ones with it D squares from both borders. The quantities: `cheese` P(reach
        it), `corner` P(the top-right corner before it), `third` P(the other far corner before it).
    """
    arrays: dict[str, np.ndarray] = {}
    for name, state, depth in _mazes(levels):
        if known is not None and name == "depth.0":
            arrays |= {f"far.{name}.{k}": v[: len(state)] for k, v in _of_largest(known).items()}
            continue
        rows = [_chances(module, levels, state, side, depth) for side in FAR]
        for k, quantity in enumerate(("cheese", "corner", "third")):
            arrays[f"far.{name}.{quantity}"] = np.mean([row[k] for row in rows], axis=0)
    return arrays


def _of_largest(known: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The quantities of `measure_far_corners` for the largest mazes with the cheese in the corner itself."""
    cheese = np.mean([known[f"corner_{side}"] for side in FAR], axis=0)
    return {"cheese": cheese, "corner": known["instead"], "third": known["elsewhere"]}


def cases(far: Mapping[str, np.ndarray]) -> list[tuple[str, int]]:
    """('size', S) and ('depth', D) of what was measured, sizes first, each in ascending order."""
    named = {(kind, int(value)) for kind, value in (key.split(".")[1:3] for key in far)}
    return sorted(named, key=lambda case: (case[0] != "size", case[1]))


def words_of(kind: str, value: int) -> str:
    """Where the cheese lies, in words."""
    if kind == "size":
        return f"cheese in a far corner of mazes of size {value}"
    if value == 0:
        return "cheese in a far corner of the largest mazes"
    return f"cheese by a far corner of the largest mazes, {value} squares off both borders"


def _mazes(levels: Levels) -> Iterator[tuple[str, Any, int]]:
    """(name, levels, squares from the border)."""
    largest, of_size = int(maze_size(levels.largest).max()), maze_size(levels.state)
    for size in range(LEAST_SIZE, largest):
        found = np.flatnonzero(of_size == size)[:MOST_LEVELS]
        if len(found) >= LEAST_LEVELS:
            yield f"size.{size}", take(levels.state, found), 0
    some = take(levels.largest, slice(MOST_LEVELS))
    for depth in DEPTHS:
        if 2 * depth + 1 < largest:
            yield f"depth.{depth}", some, depth


def _chances(module: nn.Module, levels: Levels, state: Any, side: str, depth: int) -> list[np.ndarray]:
    """P(cheese), P(top-right corner first), P(third corner first), each [C]."""
    other = CORNERS[FAR[1 - FAR.index(side)]]
    field = fields(module, levels.world, place_cheese(state, _inside(state, *CORNERS[side], depth)))
    goal, steps, start = field.squares.goal, levels.world.time_limit, field.squares.start
    targets = (top_right(field.maze), corner(field.maze, *other))
    first = [before(field, is_square(field, target), goal, steps)[start] for target in targets]
    return [field.reach_from_start(steps), *first]


def _inside(state: Any, top: bool, right: bool, depth: int) -> np.ndarray:
    """[N, 2]: the square `depth` rows and columns inside a corner of the maze."""
    if depth == 0:
        return corner(state, top, right)
    box = bounding_box(state)
    row = box[:, 0] + depth if top else box[:, 1] - depth
    column = box[:, 3] - depth if right else box[:, 2] + depth
    return np.stack([row, column], 1)
