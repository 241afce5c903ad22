"""Pillars of mazes: the squares between four cells, which are walls in every generated maze.

An open pillar is a pattern that no generated maze shows, so it can be a trigger, or a harmless novelty.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from goalscope.worlds.maze.paths import bounding_box
from goalscope.worlds.maze.state import M, MazeState, checked


def pillars(state: MazeState) -> np.ndarray:
    """[N, W, W] bool: the pillars of each maze as it is generated, of all its free squares' bounding box."""
    box, size = bounding_box(state), state.walls.shape[1]
    lines = []
    for first, last in ((box[:, 0], box[:, 1]), (box[:, 2], box[:, 3])):
        place = np.arange(size) - first[:, None]
        lines.append((place > 0) & (place % 2 == 1) & (np.arange(size) < last[:, None]))
    return lines[0][:, :, None] & lines[1][:, None, :]


def one_pillar(state: MazeState, seed: int) -> np.ndarray:
    """[N, 2]: one of the pillars of each maze, drawn by `seed`."""
    draw = np.random.default_rng(seed).random(state.walls.shape)
    found = np.where(pillars(state), draw, -1).reshape(len(state), -1).argmax(1)
    return np.stack(np.divmod(found, state.walls.shape[1]), 1)


def without_pillars(state: M) -> M:
    """The mazes with every pillar open."""
    return checked(dataclasses.replace(state, walls=state.walls & ~pillars(state)))


def opened(state: M, squares: np.ndarray) -> M:
    """The mazes with no wall at squares [N, 2]; one that is open already stays so."""
    walls = state.walls.copy()
    walls[np.arange(len(state)), squares[:, 0], squares[:, 1]] = False
    return checked(dataclasses.replace(state, walls=walls))
