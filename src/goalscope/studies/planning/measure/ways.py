"""Ways in mazes: the right move on every square, the squares of a way, and another way to write.

The right move of a square is the first one of the shortest way from there to some square, the cheese above all. In a maze
without loops there is but one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goalscope.worlds.maze import MazeState
from goalscope.worlds.maze.kernels import MOVE_COLUMNS, MOVE_ROWS
from goalscope.worlds.maze.paths import distances, shortest_path

MOVES = 4
NOWHERE = -1
"""no move is right: a wall, the square that the ways lead to, or no way"""
BEFORE, BEYOND = 1, 3
"""squares between the start and the fork, and of the other way beyond it, at least"""
MOST_BEYOND = 8
"""squares of the other way that are asked of"""


def right_moves(walls: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The move of the shortest way to a square from everywhere.

    Args:
        walls: [N, W, W] bool. goal: [N, 2].

    Returns:
        moves [N, W, W] int8, LEFT, DOWN, UP, RIGHT, or `NOWHERE`; and steps [N, W, W], -1 where there is no way.
    """
    steps = distances(walls, goal)
    moves = np.full(walls.shape, NOWHERE, np.int8)
    for move in range(MOVES):
        moves[(steps > 0) & (after(steps, move, -1) == steps - 1) & (moves == NOWHERE)] = move
    return moves, steps


def after(values: np.ndarray, move: int, outside: float) -> np.ndarray:
    """[N, W, W] what stands on the square that a move leads to from each square."""
    row, column = int(MOVE_ROWS[move]), int(MOVE_COLUMNS[move])
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), constant_values=outside)
    height, width = values.shape[1:]
    return padded[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]


def open_moves(walls: np.ndarray) -> np.ndarray:
    """[N, W, W, 4] bool: moves that lead to a free square."""
    return np.stack([~after(walls, move, True) for move in range(MOVES)], -1)


def on_way(state: MazeState) -> np.ndarray:
    """[N, W, W] bool: the squares between mouse and cheese on the shortest way, both ends left out."""
    there = np.zeros(state.walls.shape, bool)
    for i in range(len(state)):
        squares = shortest_path(state.walls[i], state.mouse[i], state.cheese[i])[1:-1]
        there[i, squares[:, 0], squares[:, 1]] = True
    return there


@dataclass(frozen=True)
class Others:
    """Other ways in L mazes, each from a fork of the way to the cheese into a branch without it."""

    maze: np.ndarray
    """[L] int, which maze"""
    end: np.ndarray
    """[L, 2] int, where the other way leads: a dead end"""
    squares: tuple[np.ndarray, ...]
    """of each [K, 2], where the mouse is asked: the fork, and the squares after it"""


def other_ways(state: MazeState, seed: int) -> Others:
    """A branch of each maze that has one: it leaves the way `BEFORE` squares after the start or later, before the cheese,
    and is more than `BEYOND` squares deep."""
    rng = np.random.default_rng([seed, 21])
    kept, ends, squares = [], [], []
    from_mouse, from_cheese = distances(state.walls, state.mouse), distances(state.walls, state.cheese)
    for i in range(len(state)):
        total = from_mouse[i][tuple(state.cheese[i].astype(int))]
        # Off a tree's way by k steps, and leaving it `left` steps after the start.
        off = (from_mouse[i] + from_cheese[i] - total) // 2
        left = from_mouse[i] - off
        blind = open_moves(state.walls[i : i + 1])[0].sum(-1) == 1
        fits = (from_mouse[i] >= 0) & (off > BEYOND) & (left >= BEFORE) & (left < total) & blind
        if not fits.any():
            continue
        end = rng.permutation(np.argwhere(fits))[0]
        way = shortest_path(state.walls[i], state.mouse[i], end)
        fork = int(left[tuple(end)])
        kept.append(i)
        ends.append(end)
        squares.append(way[fork:-1][:MOST_BEYOND])
    return Others(np.array(kept, int), np.array(ends, int).reshape(-1, 2), tuple(squares))
