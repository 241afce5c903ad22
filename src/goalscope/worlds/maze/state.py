"""What a maze is: walls, a mouse, a cheese or none; and the moves of the mouse."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np

from goalscope.showing import drawing, text
from goalscope.worlds.maze import kernels


class Move(IntEnum):
    """What the mouse can do; a move into a wall stays."""

    LEFT = 0
    DOWN = 1
    UP = 2
    RIGHT = 3
    STAY = 4


@dataclass(frozen=True)
class MazeState:
    """N mazes in a W x W world. Coordinates are (row, column), row 0 on top."""

    __repr__, _repr_html_ = text, drawing

    walls: np.ndarray
    """[N, W, W] bool, True where there is a wall; W is odd"""
    mouse: np.ndarray
    """[N, 2] int16"""
    cheese: np.ndarray
    """[N, 2] int16, (-1, -1) where there is none"""

    def __len__(self) -> int:
        return len(self.walls)


M = TypeVar("M", bound=MazeState)
"""Edits keep the kind of state that they are given."""


def checked(state: M) -> M:
    """`state`, once mouse and cheese stand on free squares and the cheese can be reached."""
    levels = np.arange(len(state))
    for thing, squares in (("mouse", state.mouse), ("cheese", state.cheese)):
        row, column = squares.astype(np.int64).T
        walled = state.walls[levels, row, column] & (row >= 0)
        if walled.any():
            n = int(walled.argmax())
            raise ValueError(f"level {n}: the {thing} at {(int(row[n]), int(column[n]))} is in a wall")
    steps = np.full(state.walls.shape, -1, np.int32)
    kernels.distances(state.walls, np.ascontiguousarray(state.cheese, np.int64), steps)
    row, column = state.mouse.astype(np.int64).T
    cut = (steps[levels, row, column] < 0) & (state.cheese[:, 0] >= 0)
    if cut.any():
        n = int(cut.argmax())
        raise ValueError(
            f"level {n}: the cheese at {tuple(map(int, state.cheese[n]))} cannot be reached from the mouse at "
            f"{tuple(map(int, state.mouse[n]))}: open a wall or move one of them"
        )
    return state
