"""What a Sokoban level is: walls, goals, boxes, a player; and the player's moves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from goalscope.showing import drawing, text
from goalscope.worlds.sokoban import kernels


class Move(IntEnum):
    """What the player can do; a move into a wall, or into a box that cannot be pushed, stays."""

    UP = 0
    DOWN = 1
    LEFT = 2
    RIGHT = 3


class MoveOrNothing(IntEnum):
    """The same where doing nothing is an action, in the order of emergent-planning's agents (Bush et al. 2025)."""

    NOTHING = 0
    UP = 1
    DOWN = 2
    LEFT = 3
    RIGHT = 4


@dataclass(frozen=True)
class SokobanState:
    """N levels of H x W squares. Coordinates are (row, column), row 0 on top; outside the grid is wall."""

    __repr__, _repr_html_ = text, drawing

    walls: np.ndarray
    """[N, H, W] bool"""
    goals: np.ndarray
    """[N, H, W] bool"""
    boxes: np.ndarray
    """[N, H, W] bool"""
    player: np.ndarray
    """[N, 2] int16"""

    def __len__(self) -> int:
        return len(self.walls)


def solved(state: SokobanState) -> np.ndarray:
    """[N] bool: no box is off the goals."""
    out = np.empty(len(state), bool)
    kernels.solved(state.goals, state.boxes, out)
    return out
