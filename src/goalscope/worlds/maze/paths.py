"""Geometry of mazes: distances, paths, corners, the decision square, and the graph of free squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goalscope.worlds.maze import kernels
from goalscope.worlds.maze.state import MazeState


@dataclass(frozen=True)
class Squares:
    """The K free squares of N mazes, level after level, and what each move leads to.

    Squares that the mouse cannot reach are left out.
    """

    offsets: np.ndarray
    """[N + 1] int64: the squares of level i are offsets[i]:offsets[i + 1]"""
    level: np.ndarray
    """[K] int32"""
    square: np.ndarray
    """[K, 2] int16, (row, column)"""
    next: np.ndarray
    """[K, 5] int32: index of the square after each Move, itself where blocked"""
    goal: np.ndarray
    """[K] bool: the cheese's square"""
    start: np.ndarray
    """[N] int64: index of the mouse's square"""

    def __len__(self) -> int:
        return len(self.level)


def free_squares(state: MazeState) -> Squares:
    """The squares that each mouse can reach, in reading order within a level."""
    reachable = distances(state.walls, state.mouse) >= 0
    level, row, column = np.nonzero(reachable)
    index = np.full(state.walls.shape, -1, np.int32)
    index[level, row, column] = np.arange(len(level))
    square = np.stack([row, column], 1).astype(np.int16)
    following = np.empty((len(level), 5), np.int32)
    kernels.successors(state.walls, level, square, index, following)
    counts = reachable.sum((1, 2))
    mouse = state.mouse.astype(np.int64)
    return Squares(
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        level=level.astype(np.int32),
        square=square,
        next=following,
        goal=(square == state.cheese[level]).all(1),
        start=index[np.arange(len(state)), mouse[:, 0], mouse[:, 1]].astype(np.int64),
    )


def free(state: MazeState) -> np.ndarray:
    """[N, W, W] bool: the squares that each mouse can walk to, but for its own and the cheese's."""
    found = distances(state.walls, state.mouse) >= 0
    for squares in (state.mouse, state.cheese):
        there = np.flatnonzero(squares[:, 0] >= 0)
        row, column = squares[there].astype(np.int64).T
        found[there, row, column] = False
    return found


def distances(walls: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Steps from everywhere to one square per level.

    Args:
        walls: [N, W, W] bool.
        squares: [N, 2]; a negative row gives -1 everywhere.

    Returns:
        [N, W, W] int32, -1 on walls and where there is no way.

    Raises:
        ValueError: shapes that do not fit, a square outside the world.
    """
    if walls.ndim != 3 or np.shape(squares) != (len(walls), 2):
        raise ValueError(
            f"walls [N, W, W] and squares [N, 2] expected, got {walls.shape} and {np.shape(squares)}"
        )
    squares = np.asarray(squares)
    outside = (squares[:, 0] >= 0) & ((squares < 0) | (squares >= walls.shape[1:])).any(1)
    if outside.any():
        n = int(outside.argmax())
        raise ValueError(f"level {n}: square {tuple(map(int, squares[n]))} lies outside {walls.shape[1:]}")
    steps = np.full(walls.shape, -1, np.int32)
    # One kind of integer and layout: each other one would be compiled anew.
    kernels.distances(walls, np.ascontiguousarray(squares, np.int64), steps)
    return steps


def shortest_path(walls: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The squares [L, 2] of a shortest path from a to b, both included (the only one in a tree).

    Args:
        walls: [W, W] bool.
        a: (row, column). b: likewise.

    Raises:
        ValueError: there is no way from a to b.
    """
    steps = distances(walls[None], np.asarray(b)[None])[0]
    square = (int(a[0]), int(a[1]))
    if steps[square] < 0:
        raise ValueError(f"there is no way from {square} to {tuple(map(int, b))}")
    path = [square]
    while steps[square] > 0:
        neighbours = [(square[0] + r, square[1] + c) for r, c in ((0, -1), (1, 0), (-1, 0), (0, 1))]
        width = len(walls)
        inside = [s for s in neighbours if 0 <= s[0] < width and 0 <= s[1] < width]
        square = next(s for s in inside if steps[s] == steps[square] - 1)
        path.append(square)
    return np.array(path)


def bounding_box(state: MazeState) -> np.ndarray:
    """[N, 4]: first and last row, first and last column of the free squares."""
    rows, columns = ~state.walls.all(2), ~state.walls.all(1)
    width = state.walls.shape[1]
    edges = [a for free in (rows, columns) for a in (free.argmax(1), width - 1 - free[:, ::-1].argmax(1))]
    return np.stack(edges, 1)


def maze_size(state: MazeState) -> np.ndarray:
    """[N]: the longer side of the free squares' bounding box, in squares."""
    box = bounding_box(state)
    return np.maximum(box[:, 1] - box[:, 0], box[:, 3] - box[:, 2]) + 1


def corner(state: MazeState, top: bool, right: bool) -> np.ndarray:
    """[N, 2]: the reachable free square nearest to a corner of the bounding box (the corner itself in a generated maze)."""
    box = bounding_box(state)
    row = box[:, 0] if top else box[:, 1]
    column = box[:, 3] if right else box[:, 2]
    rows, columns = np.indices(state.walls.shape[1:])
    away = (rows - row[:, None, None]) ** 2 + (columns - column[:, None, None]) ** 2
    away = np.where(distances(state.walls, state.mouse) >= 0, away, np.iinfo(np.int64).max)
    flat = away.reshape(len(state), -1).argmin(1)
    return np.stack(np.divmod(flat, state.walls.shape[2]), 1)


def top_right(state: MazeState) -> np.ndarray:
    """[N, 2]: the top-right free square."""
    return corner(state, top=True, right=True)


def decision_square(state: MazeState) -> np.ndarray:
    """Where the way to the cheese leaves the way to the top-right corner.

    Returns:
        [N, 2]: the last square that the mouse's paths to both share; (-1, -1) where there is no cheese, or one of the
        two lies on the way to the other.
    """
    target = top_right(state)
    to_corner, to_cheese = distances(state.walls, target), distances(state.walls, state.cheese)
    from_mouse = distances(state.walls, state.mouse)
    levels = np.arange(len(state))

    def at(steps: np.ndarray, squares: np.ndarray) -> np.ndarray:
        squares = squares.astype(np.int64)
        return steps[levels, squares[:, 0], squares[:, 1]]

    on_both = from_mouse + to_corner == at(from_mouse, target)[:, None, None]
    on_both &= from_mouse + to_cheese == at(from_mouse, state.cheese)[:, None, None]
    on_both &= from_mouse >= 0
    last = np.where(on_both, from_mouse, -1).reshape(len(state), -1).argmax(1)
    found = np.stack(np.divmod(last, state.walls.shape[2]), 1)
    none = (state.cheese[:, 0] < 0) | (found == target).all(1) | (found == state.cheese).all(1)
    found[none] = -1
    return found
