"""Pillars of mazes: the squares between four cells, which are walls in every generated maze.

An open pillar is a pattern that no generated maze shows, so it can be a trigger, or a harmless novelty.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from goalscope.worlds.maze.paths import bounding_box
from goalscope.worlds.maze.state import M, MazeState, checked


def start_pillar(state: MazeState) -> np.ndarray:
    """[N, 2]: the pillar diagonally beside the bottom-left corner of each maze, where the mouse starts."""
    box = bounding_box(state)
    return np.stack([box[:, 1] - 1, box[:, 2] + 1], 1)


def other_pillar(state: MazeState, seed: int) -> np.ndarray:
    """[N, 2]: a pillar drawn from all but `start_pillar`.

    Args:
        state: N mazes as they are generated.
        seed: of the draws.

    Raises:
        ValueError: a maze of size 3, which has one pillar only.
    """
    box = bounding_box(state)
    rows, columns = (box[:, 1] - box[:, 0]) // 2, (box[:, 3] - box[:, 2]) // 2
    few = rows * columns < 2
    if few.any():
        raise ValueError(
            f"level {int(few.argmax())}: a maze of size 3 has one pillar only: leave such mazes out"
        )
    # The last row's first pillar is the start's: it is the number that is never drawn.
    start = (rows - 1) * columns
    drawn = np.random.default_rng(seed).integers(0, rows * columns - 1)
    drawn += drawn >= start
    return np.stack([box[:, 0] + 1 + 2 * (drawn // columns), box[:, 2] + 1 + 2 * (drawn % columns)], 1)


def opened(state: M, squares: np.ndarray) -> M:
    """The mazes with no wall at squares [N, 2]; one that is open already stays so."""
    walls = state.walls.copy()
    walls[np.arange(len(state)), squares[:, 0], squares[:, 1]] = False
    return checked(dataclasses.replace(state, walls=walls))
