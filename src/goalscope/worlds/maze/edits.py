"""Edits of mazes: each gives new states, and refuses what would be no maze."""

from __future__ import annotations

import dataclasses

import numpy as np

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


def toggle_wall(state: M, squares: np.ndarray) -> M:
    """The mazes with the wall at squares [N, 2] removed, or put where there was none."""
    squares = _squares(state, squares).astype(np.int64)
    walls = state.walls.copy()
    walls[np.arange(len(state)), squares[:, 0], squares[:, 1]] ^= True
    return checked(dataclasses.replace(state, walls=walls))


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
