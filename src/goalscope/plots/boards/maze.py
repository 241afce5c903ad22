"""Mazes as drawings: walls, mouse, cheese, the policy's vector field, a heat, paths, decision square.

A `Board` is one maze with what is drawn on it, as plain arrays; `maze_svg` draws one, `panel_grid` several
beside each other on shared scales, and `difference` makes the board of what changed between two. Moves are
columns in the order LEFT, DOWN, UP, RIGHT, STAY; squares are (row, column) with row 0 on top.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from goalscope.plots.boards import panels, parts
from goalscope.plots.boards.parts import Board, Square, there
from goalscope.plots.svg import document, heading, legend

__all__ = ["Board", "difference", "maze_svg", "panel_grid"]

_GAP = 16.0


def maze_svg(
    walls: ArrayLike,
    mouse: Square | None = None,
    cheese: Square | None = None,
    *,
    squares: ArrayLike | None = None,
    probabilities: ArrayLike | None = None,
    value: ArrayLike | None = None,
    heat: ArrayLike | None = None,
    heat_label: str = "value",
    heat_range: tuple[float, float] | None = None,
    diverging: bool = False,
    percent: bool = False,
    paths: Mapping[str, ArrayLike] | None = None,
    decision_square: Square | None = None,
    title: str = "Maze",
    description: str | None = None,
    size_px: float = 420.0,
) -> str:
    """Draws one maze; see `Board` for the shapes.

    Args:
        description: the text alternative; None composes one from the parts.
        size_px: side of the maze in user units (pixels at natural size).

    Returns:
        SVG text: static, the same bytes for the same input.

    Raises:
        ValueError: if an array has a wrong shape, a square lies outside or in a wall, or probabilities do not
            sum to 1.
    """

    def array(given: ArrayLike | None) -> np.ndarray | None:
        return None if given is None else np.asarray(given)

    board = Board(
        np.asarray(walls),
        mouse,
        cheese,
        squares=array(squares),
        probabilities=array(probabilities),
        value=array(value),
        heat=array(heat),
        heat_label=heat_label,
        heat_range=heat_range,
        diverging=diverging,
        percent=percent,
        paths={name: np.asarray(path) for name, path in (paths or {}).items()},
        decision_square=decision_square,
    )
    return panel_grid([board], columns=1, title=title, description=description, panel_px=size_px)


def panel_grid(
    boards: Sequence[Board],
    *,
    columns: int = 2,
    title: str,
    description: str | None = None,
    panel_px: float = 215.0,
) -> str:
    """Draws boards in rows of `columns`, with one legend, and one scale per painted quantity.

    Args:
        description: the text alternative; None composes one from the boards.
        panel_px: side of one maze in user units.

    Returns:
        SVG text: static, the same bytes for the same input.

    Raises:
        ValueError: if there is no board, or one does not hold together (see `maze_svg`).
    """
    if not boards:
        raise ValueError("a panel needs at least one board, got none")
    for board in boards:
        _check(board)
    columns = max(1, min(columns, len(boards)))
    width = panels.row_width(columns, panel_px, _GAP)
    body, top = heading(title, width)
    ranges, order = panels.heat_ranges(boards), parts.path_order(boards)

    def draw(i: int, left: float, top: float) -> tuple[list[str], float]:
        drawn, height = parts.maze(boards[i], panel_px, ranges, order)
        return [panels.moved(left, top, drawn)], height

    captions = [board.caption for board in boards]
    rows, top = panels.in_rows(captions, draw, columns=columns, top=top, panel_px=panel_px, gap=_GAP)
    entries, bottom = legend(parts.keys(boards), 0, top - 2, width)
    scales, bottom = panels.scale_bars(boards, ranges, bottom, width)
    words = description or _describe(boards)
    return document(width, bottom + 4, [*body, *rows, *entries, *scales], title=title, description=words)


def difference(before: Board, after: Board, *, caption: str = "difference", heat_label: str = "") -> Board:
    """The board of what changed from `before` to `after` on the squares that both hold.

    Arrows are the change of the expected displacement, a full reversal drawn as a full arrow; the heat is the
    change of what both paint, on a diverging scale. Mouse and cheese are those of `after`.

    Raises:
        ValueError: if the walls differ, or either board lacks squares.
    """
    if not np.array_equal(before.walls, after.walls):
        raise ValueError("the difference of two fields needs the same walls in both boards")
    if before.squares is None or after.squares is None:
        raise ValueError("the difference of two fields needs `squares` in both boards")
    place = {tuple(map(int, square)): i for i, square in enumerate(before.squares)}
    pairs = [(place[s], j) for j, s in enumerate(tuple(map(int, q)) for q in after.squares) if s in place]
    old, new = np.array(pairs, dtype=int).reshape(-1, 2).T
    arrows = (before.arrows(), after.arrows())
    paints = (before.painted(), after.painted())
    return replace(
        after,
        squares=np.asarray(after.squares)[new],
        probabilities=None,
        vectors=None if arrows[0] is None or arrows[1] is None else arrows[1][new] - arrows[0][old],
        vector_full=2.0,
        value=None,
        heat=None if paints[0] is None or paints[1] is None else paints[1][new] - paints[0][old],
        heat_label=heat_label or f"change of {after.heat_label}",
        heat_range=None,
        diverging=True,
        arrow_label="change of the expected move (full length: reversal)",
        caption=caption,
    )


def _check(board: Board) -> None:
    """Raises ValueError where a board does not hold together."""
    if board.walls.ndim != 2:
        raise ValueError(f"walls are [W, W], got shape {board.walls.shape}")
    rows, columns = board.walls.shape
    named = {"mouse": board.mouse, "cheese": board.cheese, "decision_square": board.decision_square}
    spots = {name: np.asarray(square).reshape(1, -1) for name, square in named.items() if there(square)}
    spots |= {f"path {name!r}": np.asarray(path) for name, path in board.paths.items() if len(path)}
    if board.squares is not None and len(board.squares):
        spots["squares"] = np.asarray(board.squares)
    for name, squares in spots.items():
        if squares.ndim != 2 or squares.shape[1] != 2:
            raise ValueError(f"{name}: squares are [K, 2] (row, column), got shape {squares.shape}")
        outside = ((squares < 0) | (squares >= (rows, columns))).any(axis=1)
        if outside.any():
            raise ValueError(f"{name}: {tuple(squares[outside][0])} lies outside the {rows}x{columns} maze")
        blocked = board.walls[squares[:, 0], squares[:, 1]]
        if blocked.any():
            raise ValueError(f"{name}: {tuple(squares[blocked][0])} lies in a wall")
    count = 0 if board.squares is None else len(board.squares)
    shapes = {"probabilities": (count, 5), "vectors": (count, 2), "value": (count,), "heat": (count,)}
    for name, shape in shapes.items():
        given = getattr(board, name)
        if given is not None and np.shape(given) != shape:
            raise ValueError(f"{name} has shape {np.shape(given)}, {count} squares need {shape}")
    if board.probabilities is not None and not np.allclose(
        np.sum(board.probabilities, axis=1), 1.0, atol=1e-3
    ):
        raise ValueError("each row of probabilities must sum to 1 (order LEFT, DOWN, UP, RIGHT, STAY)")


def _describe(boards: Sequence[Board]) -> str:
    """A text alternative made from what is drawn."""
    said = []
    for board in boards:
        rows, columns = board.walls.shape
        words = [f"{board.caption or 'maze'}: {rows} by {columns} squares"]
        for name, square in (("mouse", board.mouse), ("cheese", board.cheese)):
            if square is not None and there(square):
                words.append(f"{name} at row {int(square[0])}, column {int(square[1])}")
        painted = board.painted()
        if painted is not None and np.isfinite(painted).any():
            words.append(f"{board.heat_label} from {np.nanmin(painted):.3g} to {np.nanmax(painted):.3g}")
        arrows = board.arrows()
        if arrows is not None and len(arrows):
            strength = float(np.mean([math.hypot(*arrow) for arrow in arrows.tolist()]))
            words.append(f"mean arrow length {strength:.2f} of full")
        said.append(", ".join(words))
    return "; ".join(said) + "."
