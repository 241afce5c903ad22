"""Square levels in their eight symmetries: quarter turns to the left, and the mirror image; what moves become in them."""

from __future__ import annotations

import numpy as np

from goalscope.worlds.sokoban.state import Move, SokobanState

SYMMETRIES = 8
_LEFT = np.array([Move.LEFT, Move.RIGHT, Move.DOWN, Move.UP])
"""what a move becomes in a quarter turn to the left"""
_MIRRORED = np.array([Move.UP, Move.DOWN, Move.RIGHT, Move.LEFT])


def turned(state: SokobanState, symmetry: int) -> SokobanState:
    """Square levels turned `symmetry % 4` times to the left and, from 4 on, mirrored left to right before that."""
    size = state.walls.shape[1]
    row, column = state.player[:, 0], state.player[:, 1]
    column = size - 1 - column if symmetry >= 4 else column
    for _ in range(symmetry % 4):
        row, column = size - 1 - column, row
    walls, goals, boxes = (turned_grid(grid, symmetry) for grid in (state.walls, state.goals, state.boxes))
    return SokobanState(walls, goals, boxes, np.stack([row, column], 1).astype(np.int16))


def turned_grid(grid: np.ndarray, symmetry: int) -> np.ndarray:
    """[N, H, H] of any kind, as `turned` turns the squares of levels."""
    return np.rot90(grid[:, :, ::-1] if symmetry >= 4 else grid, symmetry % 4, (1, 2)).copy()


def turned_moves(moves: np.ndarray, symmetry: int) -> np.ndarray:
    """What moves become in a level that `turned` has turned; numbers that are no move, such as -1, stay."""
    table = _MIRRORED if symmetry >= 4 else np.arange(len(Move))
    for _ in range(symmetry % 4):
        table = _LEFT[table]
    is_move = (moves >= 0) & (moves < len(Move))
    return np.where(is_move, table[np.where(is_move, moves, 0)], moves).astype(np.int8)
