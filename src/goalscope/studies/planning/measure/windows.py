"""What a window around a square can tell of the right move there: all that it shows for certain, and the best guess beyond.

A linear read-out of a window follows no corridor, so it is a weak control. This one follows them: a move that leads to the
cheese within the window is right, a branch that ends within it is wrong, and among the others a table, fitted on other
mazes, says which is right most often, by the open moves, the possible ones and the one with most ways out of the window.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from goalscope.studies.planning.measure.ways import MOVES
from goalscope.worlds.maze import MazeState
from goalscope.worlds.maze.kernels import MOVE_COLUMNS, MOVE_ROWS

SIDES = (3, 5, 7, 9, 11, 15, 19)
"""of the windows, in squares"""
LARGEST = 0.8
"""of the maze's side: a window beyond that sees the whole maze from most squares"""
KEYS = 16 * 16 * 5 * 5
SMOOTHING = 0.5
"""added to the counts of each open move of a table"""


def sides_for(size: int) -> tuple[int, ...]:
    """The windows that are asked in mazes of a size."""
    return tuple(side for side in SIDES if side <= LARGEST * size)


@njit(cache=True)
def _keys(walls, cheese, level, square, radius, rows, columns, keys):
    """Fills keys [R] with what the window of each square shows."""
    width = walls.shape[1]
    seen = np.zeros((width, width), np.int64)
    queue = np.empty((width * width, 2), np.int64)
    for r in range(level.shape[0]):
        n, row, column = level[r], square[r, 0], square[r, 1]
        open_, possible, certain, widest, most = 0, 0, 4, 4, 0
        for move in range(4):
            i, j = row + rows[move], column + columns[move]
            if i < 0 or j < 0 or i >= width or j >= width or walls[n, i, j]:
                continue
            open_ |= 1 << move
            mark = r * 4 + move + 1
            seen[row, column], seen[i, j] = mark, mark
            queue[0, 0], queue[0, 1] = i, j
            head, tail, exits = 0, 1, 0
            while head < tail:
                a, b = queue[head, 0], queue[head, 1]
                head += 1
                if cheese[n, 0] == a and cheese[n, 1] == b:
                    certain = move
                for step in range(4):
                    c, d = a + rows[step], b + columns[step]
                    if c < 0 or d < 0 or c >= width or d >= width:
                        continue
                    if abs(c - row) > radius or abs(d - column) > radius:
                        exits += 1
                    elif not walls[n, c, d] and seen[c, d] != mark:
                        seen[c, d] = mark
                        queue[tail, 0], queue[tail, 1] = c, d
                        tail += 1
            if exits > 0:
                possible |= 1 << move
            if exits > most:
                most, widest = exits, move
        keys[r] = ((open_ * 16 + possible) * 5 + certain) * 5 + widest


def window_keys(state: MazeState, level: np.ndarray, square: np.ndarray, side: int) -> np.ndarray:
    """[R] int, what the window of `side` squares around each square shows, one number for each thing that it may show.

    Args:
        state: N mazes. level: [R] of each square. square: [R, 2]. side: odd.
    """
    keys = np.empty(len(level), np.int64)
    _keys(
        state.walls, state.cheese.astype(np.int64), level.astype(np.int64), square.astype(np.int64), side // 2,
        MOVE_ROWS.astype(np.int64), MOVE_COLUMNS.astype(np.int64), keys,
    )  # fmt: skip
    return keys


def table_of(keys: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """[KEYS, 4] how often each move is right where a window shows that, of squares [R]."""
    table = np.zeros((KEYS, MOVES))
    np.add.at(table, (keys, moves), 1.0)
    return table


def said_by(table: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """[R, 4] the chance of each move by a window: what is certain, else the table, else any possible move."""
    rest, widest = np.divmod(keys, 5)
    rest, certain = np.divmod(rest, 5)
    open_, possible = np.divmod(rest, 16)
    bits = 1 << np.arange(MOVES)
    can = (possible[:, None] & bits) > 0
    can = np.where(can.any(1, keepdims=True), can, (open_[:, None] & bits) > 0)
    counts = (table[keys] + SMOOTHING + 1e-3 * (widest[:, None] == np.arange(MOVES))) * can
    known = certain < MOVES
    counts[known] = np.eye(MOVES)[certain[known]]
    return counts / counts.sum(1, keepdims=True)
