"""The maze: a mouse, walls, and a cheese that ends the level. Procgen's mazes by distribution, without pixels.

Mazes are spanning trees on the odd grid, their size uniform in {3, 5, ..., W} and centred in the W x W world; the mouse
starts bottom-left, the cheese lies in the top-right r x r squares or anywhere (Cobbe et al. 2020, "Leveraging
Procedural Generation"; the top-right region is that of Langosco et al. 2022, "Goal Misgeneralization in Deep RL").
Every state has a text: '#' wall, '.' free, 'M' mouse, 'C' cheese, '*' mouse on the cheese (the level is over).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np

from goalscope.worlds.contract import Step
from goalscope.worlds.maze import kernels
from goalscope.worlds.maze.paths import Squares, free_squares


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


class Maze:
    """The maze world behind the World protocol.

    Args:
        size: W, the side of the world in squares, odd and at least 3.
        cheese_region: r, the cheese is uniform on the free squares of the top-right r x r; None is anywhere.
        time_limit: steps after which callers end an episode.
    """

    name = "maze"
    actions = Move
    moves = np.array([int(m) for m in Move])
    """[A] int: the Move that each action is"""

    def __init__(self, size: int = 13, cheese_region: int | None = 5, time_limit: int = 200):
        if size < 3 or size % 2 == 0:
            raise ValueError(f"size must be odd and at least 3, got {size}")
        if cheese_region is not None and cheese_region < 1:
            raise ValueError(f"cheese_region must be at least 1 (or None for anywhere), got {cheese_region}")
        self.size = size
        self.cheese_region = cheese_region
        self.time_limit = time_limit

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """(3, W, W): planes of walls, mouse, cheese."""
        return (3, self.size, self.size)

    def generate(self, seeds: Sequence[int] | np.ndarray) -> MazeState:
        """One maze per seed; a seed's maze does not depend on the others.

        Args:
            seeds: [N] non-negative integers.
        """
        # Seeds are spread over the 64-bit space, so that neighbouring ones share no random numbers.
        seeds = np.asarray(seeds, np.int64).astype(np.uint64) * np.uint64(0xD1342543DE82EF95)
        n = len(seeds)
        walls = np.ones((n, self.size, self.size), bool)
        mouse = np.empty((n, 2), np.int16)
        cheese = np.empty((n, 2), np.int16)
        kernels.generate(seeds, self.size, self.cheese_region or 0, walls, mouse, cheese)
        return MazeState(walls, mouse, cheese)

    def step(self, state: MazeState, actions: np.ndarray) -> Step[MazeState]:
        """Moves each mouse once; reward 10 on reaching the cheese, which ends the level.

        Args:
            state: N mazes.
            actions: [N] values of Move.
        """
        n = len(state)
        actions = np.asarray(actions)
        if actions.shape != (n,) or actions.dtype.kind not in "iu":
            raise ValueError(f"actions must be [{n}] integers, got {actions.dtype} {list(actions.shape)}")
        mouse = np.empty_like(state.mouse)
        reward = np.empty(n, np.float32)
        ended = np.empty(n, bool)
        illegal = kernels.step(state.walls, state.mouse, state.cheese, actions, mouse, reward, ended)
        if illegal >= 0:
            raise ValueError(f"level {illegal}: action {actions[illegal]} is not a Move (0 to 4)")
        return Step(MazeState(state.walls, mouse, state.cheese), reward, ended)

    def observe(self, state: MazeState) -> np.ndarray:
        """[N, 3, W, W] uint8 planes of 0 and 1: walls, mouse, cheese."""
        planes = np.empty((len(state), 3, *state.walls.shape[1:]), np.uint8)
        kernels.observe(state.walls, state.mouse, state.cheese, planes)
        return planes

    def squares(self, state: MazeState) -> Squares:
        """Where each mouse can get, and how; see `free_squares`."""
        return free_squares(state)

    def at_squares(self, state: MazeState, squares: Squares, index: slice) -> MazeState:
        """The levels with the mouse on the squares that `index` selects, one state a square."""
        level = squares.level[index]
        return MazeState(state.walls[level], squares.square[index], state.cheese[level])

    def parse(self, text: str) -> MazeState:
        """One maze from its text; one smaller than the world is centred in it.

        Raises:
            ValueError: with line and column, for ragged rows, an unknown character, no mouse or two, two cheeses,
                a cheese that cannot be reached, and a side that is even or exceeds the world's.
        """
        return parse_maze(text, self.size)

    def text(self, state: MazeState) -> list[str]:
        """The N mazes as texts of W lines."""
        return [maze_text(state, i) for i in range(len(state))]


def parse_maze(text: str, size: int | None = None) -> MazeState:
    """One maze from its text, centred in a world of side `size` (its own side where None). See `Maze.parse`."""
    text = text.replace("\r\n", "\n")
    rows = text.strip("\n").split("\n")
    above = len(text) - len(text.lstrip("\n"))  # empty lines above the maze count as lines
    side = len(rows[0])
    if not text.strip():
        raise ValueError(
            "the maze text is empty: write one character a square, # for walls, . for free, M, C"
        )
    found: dict[str, tuple[int, int]] = {}
    for line, row in enumerate(rows, above + 1):
        if len(row) != side:
            raise ValueError(
                f"line {line} has {len(row)} characters, line {above + 1} has {side}: rows must be equally long"
            )
        for column, character in enumerate(row, 1):
            if character not in "#.MC*":
                raise ValueError(
                    f"line {line}, column {column}: unknown character {character!r}; known are "
                    "'#' wall, '.' free, 'M' mouse, 'C' cheese, '*' mouse on the cheese"
                )
            for letter, thing in (("M", "mouse"), ("C", "cheese")):
                if character in (letter, "*"):
                    if thing in found:
                        first = found[thing]
                        raise ValueError(
                            f"line {line}, column {column}: a second {thing}; the first is at "
                            f"line {first[0]}, column {first[1]}"
                        )
                    found[thing] = (line, column)
    if len(rows) != side:
        raise ValueError(f"the maze has {len(rows)} lines of {side} characters: it must be square")
    if side % 2 == 0 or side < 3:
        raise ValueError(
            f"the maze is {side} x {side}: its side must be odd (3, 5, ...); add or drop a row and column"
        )
    if size is not None and side > size:
        raise ValueError(
            f"the maze is {side} x {side}, larger than the {size} x {size} that this world or policy takes"
        )
    if "mouse" not in found:
        raise ValueError("the maze has no mouse: write M on one free square")
    width = side if size is None else size
    margin = (width - side) // 2
    walls = np.ones((1, width, width), bool)
    walls[0, margin : margin + side, margin : margin + side] = [[c == "#" for c in row] for row in rows]
    # Lines and columns count from 1.
    squares = {
        thing: (line - above - 1 + margin, column - 1 + margin) for thing, (line, column) in found.items()
    }
    mouse, cheese = (np.array([squares.get(thing, (-1, -1))], np.int16) for thing in ("mouse", "cheese"))
    return _checked(MazeState(walls, mouse, cheese))


def maze_text(state: MazeState, index: int = 0) -> str:
    """The text of one maze of a batch, W lines."""
    grid = np.where(state.walls[index], "#", ".")
    row, column = state.cheese[index]
    if row >= 0:
        grid[row, column] = "C"
    row, column = state.mouse[index]
    grid[row, column] = "*" if grid[row, column] == "C" else "M"
    return "\n".join("".join(line) for line in grid)


def place_cheese(state: M, squares: np.ndarray) -> M:
    """The mazes with the cheese at squares [N, 2] (or one [2] for all); raises ValueError on a wall."""
    return _checked(dataclasses.replace(state, cheese=_squares(state, squares)))


def remove_cheese(state: M) -> M:
    """The mazes without cheese: such levels never end."""
    return dataclasses.replace(state, cheese=np.full_like(state.cheese, -1))


def place_mouse(state: M, squares: np.ndarray) -> M:
    """The mazes with the mouse at squares [N, 2] (or one [2] for all); raises ValueError on a wall."""
    return _checked(dataclasses.replace(state, mouse=_squares(state, squares)))


def toggle_wall(state: M, squares: np.ndarray) -> M:
    """The mazes with the wall at squares [N, 2] removed, or put where there was none."""
    squares = _squares(state, squares).astype(np.int64)
    walls = state.walls.copy()
    walls[np.arange(len(state)), squares[:, 0], squares[:, 1]] ^= True
    return _checked(dataclasses.replace(state, walls=walls))


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


def _checked(state: M) -> M:
    """`state`, once mouse and cheese stand on free squares and the cheese can be reached."""
    levels = np.arange(len(state))
    for thing, squares in (("mouse", state.mouse), ("cheese", state.cheese)):
        row, column = squares.astype(np.int64).T
        walled = state.walls[levels, row, column] & (row >= 0)
        if walled.any():
            n = int(walled.argmax())
            raise ValueError(f"level {n}: the {thing} at {(int(row[n]), int(column[n]))} is in a wall")
    steps = np.full(state.walls.shape, -1, np.int32)
    kernels.distances(state.walls, state.cheese, steps)
    row, column = state.mouse.astype(np.int64).T
    cut = (steps[levels, row, column] < 0) & (state.cheese[:, 0] >= 0)
    if cut.any():
        n = int(cut.argmax())
        raise ValueError(
            f"level {n}: the cheese at {tuple(map(int, state.cheese[n]))} cannot be reached from the mouse at "
            f"{tuple(map(int, state.mouse[n]))}: open a wall or move one of them"
        )
    return state
