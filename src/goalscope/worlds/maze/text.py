"""Mazes as text: '#' wall, '.' free, 'M' mouse, 'C' cheese, '*' mouse on the cheese (the level is over)."""

from __future__ import annotations

import numpy as np

from goalscope.worlds.maze.state import MazeState, checked


def parse_maze(text: str, size: int | None = None) -> MazeState:
    """One maze from its text, centred in a world of side `size` (its own side where None). See `Maze.parse`."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
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
    return checked(MazeState(walls, mouse, cheese))


def maze_text(state: MazeState, index: int = 0) -> str:
    """The text of one maze of a batch, W lines."""
    grid = np.where(state.walls[index], "#", ".")
    row, column = state.cheese[index]
    if row >= 0:
        grid[row, column] = "C"
    row, column = state.mouse[index]
    grid[row, column] = "*" if grid[row, column] == "C" else "M"
    return "\n".join("".join(line) for line in grid)
