"""Levels of any world of squares as drawings: open squares, the agent, things by their first letters, and a heat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from goalscope.plots.boards import panels
from goalscope.plots.palette import MISSING, PAPER, SEQUENTIAL, VERMILLION, category, ink_on, scale_colour
from goalscope.plots.svg import Key, clean, document, heading, legend, num, rect

_GAP = 16.0
_WALL, _FLOOR, _LINE = "#2e3138", "#f4f1e8", "#e4dfd0"


@dataclass(frozen=True)
class GridBoard:
    """One level and what is drawn on it."""

    squares: np.ndarray
    """[H, W] bool: open squares; the others are drawn as wall"""
    agent: tuple[int, int] | None = None
    """(row, column)"""
    things: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """name -> (row, column)"""
    heat: np.ndarray | None = None
    """[H, W] what is painted, NaN where nothing is"""
    heat_label: str = "value"
    heat_range: tuple[float, float] | None = None
    """of the scale; None takes it from all boards with the same label"""
    diverging: bool = False
    percent: bool = False
    caption: str = ""

    def painted(self) -> np.ndarray | None:
        """The painted numbers, or None."""
        return self.heat


def grid_svg(
    boards: Sequence[GridBoard], *, columns: int = 2, title: str, description: str | None = None, panel_px: float = 215.0
) -> str:  # fmt: skip
    """Draws boards in rows of `columns`, with one legend, and one scale for each painted quantity.

    Args:
        description: the text alternative; None composes one from the boards.
        panel_px: width of one board in user units.

    Returns:
        SVG text: static, the same bytes for the same input.

    Raises:
        ValueError: no board, or one whose arrays and squares do not fit each other.
    """
    if not boards:
        raise ValueError("a panel needs at least one board, got none")
    for board in boards:
        _check(board)
    columns = max(1, min(columns, len(boards)))
    width = panels.row_width(columns, panel_px, _GAP)
    body, top = heading(title, width)
    ranges = panels.heat_ranges(boards)
    names = list(dict.fromkeys(name for board in boards for name in board.things))

    def draw(i: int, left: float, top: float) -> tuple[list[str], float]:
        rows, squares = boards[i].squares.shape
        cell = panel_px / squares
        ground = panels.moved(left, top, _ground(boards[i], cell, ranges))
        return [ground, *_things(boards[i], cell, names, left, top)], cell * rows

    captions = [board.caption for board in boards]
    rows, top = panels.in_rows(captions, draw, columns=columns, top=top, panel_px=panel_px, gap=_GAP)
    keys = [Key(name, _disc(names.index(name), 13, 8, 16)) for name in names]
    if any(board.agent is not None for board in boards):
        keys.append(Key("where the agent begins", _agent(13, 8, 16)))
    entries, bottom = legend(keys, 0, top - 2, width)
    scales, bottom = panels.scale_bars(boards, ranges, bottom, width)
    words = description or _describe(boards)
    return document(width, bottom + 4, [*body, *rows, *entries, *scales], title=title, description=words)


def _check(board: GridBoard) -> None:
    shape = board.squares.shape
    if len(shape) != 2 or (board.heat is not None and board.heat.shape != shape):
        heat = None if board.heat is None else list(board.heat.shape)
        raise ValueError(f"squares must be [H, W] and heat as they are, got {list(shape)} and {heat}")
    for name, (row, column) in {
        **board.things,
        **({"the agent": board.agent} if board.agent else {}),
    }.items():
        if not (0 <= row < shape[0] and 0 <= column < shape[1]):
            raise ValueError(f"{name}: {(row, column)} lies outside the {shape[0]} x {shape[1]} squares")


def _ground(board: GridBoard, cell: float, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    rows, columns = board.squares.shape
    parts = [rect(0, 0, columns * cell, rows * cell, _WALL, radius=min(6, 0.3 * cell))]
    low, high = ranges.get(board.heat_label, (0.0, 1.0))
    for row, column in np.argwhere(board.squares).tolist():
        fill, tip = _FLOOR, ""
        if board.heat is not None:
            value = float(board.heat[row, column])
            fill = scale_colour((value - low) / (high - low), SEQUENTIAL)
            shown = f"{100 * value:.1f}%" if board.percent else f"{value:.3g}"
            tip = f"<title>row {row}, column {column}: {clean(board.heat_label)} {shown}</title>"
            fill, tip = (fill, tip) if np.isfinite(value) else (MISSING, "")
        square = rect(column * cell, row * cell, cell, cell, fill, inside=tip)
        parts.append(square.replace("<rect ", f'<rect stroke="{_LINE}" ', 1))
    return parts


def _things(board: GridBoard, cell: float, names: Sequence[str], left: float, top: float) -> list[str]:
    size = max(0.66 * cell, 12.0)

    def centre(square: tuple[int, int]) -> tuple[float, float]:
        return left + (square[1] + 0.5) * cell, top + (square[0] + 0.5) * cell

    parts = [_token(name, names.index(name), *centre(square), size) for name, square in board.things.items()]
    if board.agent is not None:
        parts.append(_agent(*centre(board.agent), size))
    return [f'<g pointer-events="none">{"".join(parts)}</g>']


def _token(name: str, index: int, x: float, y: float, size: float) -> str:
    """A disc with the first letters of a thing's words; things of one letter differ in colour."""
    letters = "".join(word[0] for word in name.split())[:3].upper()
    tall = size * (0.6 if len(letters) == 1 else 0.44)
    return _disc(index, x, y, size) + (
        f'<text x="{num(x)}" y="{num(y + 0.36 * tall)}" font-size="{num(tall)}" text-anchor="middle" '
        f'font-weight="700" fill="{ink_on(category(index))}">{clean(letters)}</text>'
    )


def _disc(index: int, x: float, y: float, size: float) -> str:
    fill = category(index)
    return f'<circle cx="{num(x)}" cy="{num(y)}" r="{num(size / 2)}" fill="{fill}" stroke="{PAPER}" stroke-width="1.5"/>'


def _agent(x: float, y: float, size: float) -> str:
    """A triangle, whichever way the agent looks."""
    r = size / 2
    path = f"M{num(x)} {num(y - r)}L{num(x + r)} {num(y + 0.8 * r)}H{num(x - r)}Z"
    return (
        f'<path d="{path}" fill="{VERMILLION}" stroke="{PAPER}" stroke-width="1.5" stroke-linejoin="round"/>'
    )


def _describe(boards: Sequence[GridBoard]) -> str:
    """A text alternative made from what is drawn."""
    said = []
    for board in boards:
        rows, columns = board.squares.shape
        words = [f"{board.caption or 'level'}: {rows} by {columns} squares"]
        spots = {**board.things, **({"the agent": board.agent} if board.agent else {})}
        words += [f"{name} at row {row}, column {column}" for name, (row, column) in spots.items()]
        if board.heat is not None and np.isfinite(board.heat).any():
            words.append(
                f"{board.heat_label} from {np.nanmin(board.heat):.3g} to {np.nanmax(board.heat):.3g}"
            )
        said.append(", ".join(words))
    return "; ".join(said) + "."
