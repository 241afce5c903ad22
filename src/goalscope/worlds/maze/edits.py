"""Edits of mazes: each gives new states, and refuses what would be no maze."""

from __future__ import annotations

import dataclasses

import numpy as np

from goalscope.worlds.maze.paths import distances, free
from goalscope.worlds.maze.state import M, MazeState, checked


def place_cheese(state: M, squares: np.ndarray) -> M:
    """The mazes with the cheese at squares [N, 2] (or one [2] for all); raises ValueError on a wall."""
    return checked(dataclasses.replace(state, cheese=_squares(state, squares)))


def remove_cheese(state: M) -> M:
    """The mazes without cheese: such levels never end."""
    return dataclasses.replace(state, cheese=np.full_like(state.cheese, -1))


def place_mouse(state: M, squares: np.ndarray) -> M:
    """The mazes with the mouse at squares [N, 2] (or one [2] for all); raises ValueError on a wall."""
    return checked(dataclasses.replace(state, mouse=_squares(state, squares)))


def scattered(state: M, seed: int | list[int]) -> M:
    """The mazes with each mouse on a square drawn from those it can reach, but the cheese's.

    Args:
        state: N mazes with a cheese.
        seed: of the draws.
    """
    steps = distances(state.walls, state.cheese).reshape(len(state), -1)
    draw = np.random.default_rng(seed).random(steps.shape)
    square = np.where(steps > 0, draw, -1).argmax(1)
    mouse = np.stack(np.divmod(square, state.walls.shape[1]), 1).astype(np.int16)
    return dataclasses.replace(state, mouse=mouse)


def toggle_wall(state: M, squares: np.ndarray) -> M:
    """The mazes with the wall at squares [N, 2] removed, or put where there was none."""
    squares = _squares(state, squares).astype(np.int64)
    walls = state.walls.copy()
    walls[np.arange(len(state)), squares[:, 0], squares[:, 1]] ^= True
    return checked(dataclasses.replace(state, walls=walls))


def lone_cheese(state: M, name: str, there: bool) -> M:
    """The mazes, where each has a cheese (`there`), or none.

    Raises:
        ValueError: a maze has one and should not, or the other way round; another name than 'cheese'.
    """
    if name != "cheese":
        raise ValueError(f"level 0: a maze has no {name!r}, but a cheese")
    wrong = (state.cheese[:, 0] >= 0) != there
    if wrong.any():
        raise ValueError(f"level {int(wrong.argmax())}: there is {'no' if there else 'already a'} cheese")
    return state


def to_free(state: MazeState, squares: np.ndarray) -> np.ndarray:
    """[N, 2]: squares, once all are free.

    Raises:
        ValueError: a square outside the world, a wall, out of the mouse's reach, or where mouse or cheese are.
    """
    squares = _squares(state, squares)
    row, column = squares.astype(np.int64).T
    taken = ~free(state)[np.arange(len(state)), row, column]
    if taken.any():
        n = int(taken.argmax())
        raise ValueError(
            f"level {n}: the square {(int(row[n]), int(column[n]))} is not free: a wall, out of reach, mouse or cheese"
        )
    return squares


def _squares(state: MazeState, squares: np.ndarray) -> np.ndarray:
    squares = np.asarray(squares)
    if squares.shape == (2,):
        squares = np.broadcast_to(squares, (len(state), 2))
    if squares.shape != (len(state), 2) or squares.dtype.kind not in "iu":
        raise ValueError(
            f"squares must be [{len(state)}, 2] or [2] integers, got {squares.dtype} {list(squares.shape)}"
        )
    width = state.walls.shape[1]
    outside = ((squares < 0) | (squares >= width)).any(1)
    if outside.any():
        n = int(outside.argmax())
        raise ValueError(
            f"level {n}: square {tuple(map(int, squares[n]))} lies outside the {width} x {width} world"
        )
    return squares.astype(np.int16)
