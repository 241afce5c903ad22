"""All mazes that one maze becomes by one kind of change: what a bound on a policy's behaviour is taken over."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations
from math import comb

import numpy as np

from goalscope.showing import drawing, text
from goalscope.worlds.batch import take
from goalscope.worlds.maze.paths import bounding_box, distances
from goalscope.worlds.maze.state import MazeState

MOST = 20_000
"""mazes that are made at most: a network looks at each square of each"""


@dataclass(frozen=True)
class Variants:
    """The mazes that one maze becomes."""

    __repr__, _repr_html_ = text, drawing

    state: MazeState
    """K mazes"""
    what: str
    """the change, in words"""
    all: bool
    """whether these are all of them; otherwise they were drawn at random, and no bound follows from them"""
    closed: int
    """mazes left out because no way leads to the cheese: there every policy fails"""


def cheese_anywhere(maze: MazeState) -> Variants:
    """The maze with its cheese on each square that the mouse can reach, its own square apart.

    Raises:
        ValueError: more than one maze, or one in which the mouse cannot move.
    """
    _one(maze)
    steps = distances(maze.walls, maze.mouse)[0]
    squares = np.argwhere(steps > 0)
    if not len(squares):
        raise ValueError("the mouse cannot leave its square: there is nowhere to put the cheese")
    many = take(maze, np.zeros(len(squares), int))
    return Variants(
        dataclasses.replace(many, cheese=squares.astype(np.int16)),
        f"the cheese on each of {len(squares)} squares", True, 0,
    )  # fmt: skip


def walls_toggled(maze: MazeState, most: int, *, sample: int | None = None, seed: int = 0) -> Variants:
    """The maze with up to `most` squares turned from wall to free or back, and the maze itself.

    Squares are those of the free squares' bounding box, without the mouse's and the cheese's.

    Args:
        maze: one maze with a cheese.
        most: squares turned at once, at least 1.
        sample: so many of the sets of squares, drawn at random with replacement; None is all of them.
        seed: of the draw.

    Raises:
        ValueError: more than one maze, none with a cheese, most below 1; more than `MOST` mazes and no sample.
    """
    _one(maze)
    if isinstance(most, bool) or most < 1:
        raise ValueError(f"at least 1 wall is turned, got {most!r}")
    if maze.cheese[0, 0] < 0:
        raise ValueError("the maze has no cheese to be reached: put one there")
    squares = _inside(maze)
    sizes = np.array([comb(len(squares), k) for k in range(most + 1)], float)
    if sample is None and sizes.sum() > MOST:
        raise ValueError(
            f"up to {most} of {len(squares)} squares make {int(sizes.sum())} mazes, {MOST} are taken: turn fewer, or draw "
            "some with `sample`, an estimate that is no bound"
        )
    if sample is not None and not 1 <= sample <= MOST:
        raise ValueError(f"sample must be 1 to {MOST}, got {sample!r}")
    sets = list(_every(squares, most) if sample is None else _drawn(squares, sizes, sample, seed))
    walls = np.repeat(maze.walls, len(sets), 0)
    for n, turned in enumerate(sets):
        for row, column in turned:
            walls[n, row, column] ^= True
    many = dataclasses.replace(take(maze, np.zeros(len(sets), int)), walls=walls)
    rows = np.arange(len(sets))
    way = distances(walls, many.cheese)[rows, many.mouse[:, 0], many.mouse[:, 1]] >= 0
    count = f"up to {most} of {len(squares)} squares turned from wall to free or back"
    return Variants(take(many, way), count, sample is None, int((~way).sum()))


def _one(maze: MazeState) -> None:
    if len(maze) != 1:
        raise ValueError(f"one maze is varied, got {len(maze)}: take(state, i) picks one")


def _inside(maze: MazeState) -> list[tuple[int, int]]:
    top, bottom, left, right = bounding_box(maze)[0]
    kept = {tuple(map(int, maze.mouse[0])), tuple(map(int, maze.cheese[0]))}
    grid = [(row, column) for row in range(top, bottom + 1) for column in range(left, right + 1)]
    return [square for square in grid if square not in kept]


def _every(squares: list[tuple[int, int]], most: int) -> Iterator[tuple[tuple[int, int], ...]]:
    return chain.from_iterable(combinations(squares, k) for k in range(most + 1))


def _drawn(
    squares: list[tuple[int, int]], sizes: np.ndarray, sample: int, seed: int
) -> Iterator[tuple[tuple[int, int], ...]]:
    """Every set as likely as any other."""
    rng = np.random.default_rng(seed)
    for k in rng.choice(len(sizes), sample, p=sizes / sizes.sum()):
        yield tuple(squares[i] for i in rng.choice(len(squares), k, replace=False))
