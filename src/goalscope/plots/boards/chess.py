"""Chess boards as SVG: pieces, arrows of a line that is looked ahead, a heat on the squares, rings around some.

A `ChessBoard` is one position with what is drawn on it, as plain values; `chess_svg` draws one, `chess_grid` several on
shared scales. Squares are (row, column) with row 0 on top, which is rank 8 with White at the bottom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from goalscope.plots.boards import panels
from goalscope.plots.boards.chess_glyphs import NAMES, piece
from goalscope.plots.charts.axes import format_number
from goalscope.plots.palette import (
    BLUE,
    DIVERGING,
    GREEN,
    INK,
    PAPER,
    PURPLE,
    SEQUENTIAL,
    VERMILLION,
    ink_on,
    scale_colour,
)
from goalscope.plots.svg import (
    SMALL_SIZE,
    Key,
    clean,
    document,
    heading,
    label,
    legend,
    num,
    rect,
)

Square = tuple[int, int]
LIGHT, DARK = "#f1ece0", "#cfc6b3"
ARROW_COLOURS = (VERMILLION, BLUE, GREEN, PURPLE)
RING_COLOURS = (INK, VERMILLION, BLUE, PURPLE)
_GAP, _EDGE = 16.0, 15.0


@dataclass(frozen=True)
class Arrow:
    """One move of a line.

    Attributes:
        start, end: (row, column).
        name: its entry in the legend; arrows of one name look the same in every board.
        strength: 0 to 1, how opaque and thick it is, such as a probability.
    """

    start: Square
    end: Square
    name: str
    strength: float = 1.0


@dataclass(frozen=True)
class ChessBoard:
    """One position and what is drawn on it.

    Attributes:
        pieces: the first word of a FEN.
        heat: [8, 8] painted on the squares, NaN where there is none; row 0 is rank 8.
        heat_label: what the painted numbers are.
        heat_range: (low, high) of the scale; None takes it from all boards with the same label.
        diverging: the scale is symmetric around 0 with a neutral middle.
        percent: the scale is labelled in percent.
        arrows: drawn in their order.
        rings: name to squares that are ringed.
        flipped: Black is at the bottom; squares keep their numbers.
        caption: a few words above the board.
    """

    pieces: str
    heat: np.ndarray | None = None
    heat_label: str = "effect"
    heat_range: tuple[float, float] | None = None
    diverging: bool = False
    percent: bool = False
    arrows: tuple[Arrow, ...] = ()
    rings: dict[str, tuple[Square, ...]] = field(default_factory=dict)
    flipped: bool = False
    caption: str = ""

    def painted(self) -> np.ndarray | None:
        """[8, 8] the numbers painted on the squares, or None."""
        return self.heat


def placement(fen: str) -> dict[Square, str]:
    """(row, column) to the letter of the piece there, from the first word of a FEN.

    Raises:
        ValueError: not eight rows of eight squares, or a letter that is no piece.
    """
    words = fen.split()
    rows = words[0].split("/") if words else []
    found: dict[Square, str] = {}
    for row, text in enumerate(rows):
        column = 0
        for letter in text:
            if letter in "12345678":
                column += int(letter)
            elif letter in "PNBRQKpnbrqk":
                found[row, column] = letter
                column += 1
            else:
                raise ValueError(f"{letter!r} is no piece: {fen[:90]!r} is not the first word of a FEN")
        if column != 8:
            raise ValueError(f"row {row + 1} of {fen[:90]!r} has {column} squares, not 8")
    if len(rows) != 8:
        raise ValueError(f"{fen[:90]!r} has {len(rows)} rows, a board has 8")
    return found


def chess_svg(
    fen: str,
    *,
    heat: ArrayLike | None = None,
    heat_label: str = "effect",
    heat_range: tuple[float, float] | None = None,
    diverging: bool = False,
    percent: bool = False,
    arrows: Sequence[Arrow] = (),
    rings: dict[str, tuple[Square, ...]] | None = None,
    flipped: bool = False,
    title: str = "Position",
    description: str | None = None,
    size_px: float = 360.0,
) -> str:
    """Draws one position; see `ChessBoard` for the shapes, `chess_grid` for the rest."""
    painted = None if heat is None else np.asarray(heat, dtype=float)
    board = ChessBoard(
        fen, painted, heat_label, heat_range, diverging, percent, tuple(arrows), rings or {}, flipped
    )
    return chess_grid([board], columns=1, title=title, description=description, panel_px=size_px)


def chess_grid(
    boards: Sequence[ChessBoard],
    *,
    columns: int = 2,
    title: str,
    description: str | None = None,
    panel_px: float = 202.0,
) -> str:
    """Draws boards in rows of `columns`, with one legend, and one scale per painted quantity.

    Args:
        boards: what to draw.
        columns: boards in a row, at most.
        title: above the drawing.
        description: the text alternative; None composes one from the boards.
        panel_px: side of one board in user units.

    Returns:
        SVG text: static, the same bytes for the same input.

    Raises:
        ValueError: no board, a placement that is none, a heat that is not [8, 8], a square off the board.
    """
    if not boards:
        raise ValueError("a panel needs at least one board, got none")
    placed = [_checked(board) for board in boards]
    columns = max(1, min(columns, len(boards)))
    width = panels.row_width(columns, panel_px, _GAP)
    body, top = heading(title, width)
    ranges = panels.heat_ranges(boards)
    arrow_names = list(dict.fromkeys(a.name for b in boards for a in b.arrows))
    ring_names = list(dict.fromkeys(name for b in boards for name in b.rings))

    def draw(i: int, left: float, top: float) -> tuple[list[str], float]:
        drawn = _board(boards[i], placed[i], panel_px, ranges, arrow_names, ring_names)
        return [panels.moved(left, top, drawn), *_edges(boards[i], left, top, panel_px)], panel_px

    captions = [board.caption for board in boards]
    rows, top = panels.in_rows(captions, draw, columns=columns, top=top, panel_px=panel_px, gap=_GAP)
    keys = [
        Key(name, _arrow((1, 8), (25, 8), 9, _arrow_colour(i), 1.0)) for i, name in enumerate(arrow_names)
    ]
    keys += [Key(name, _ring((13, 8), 15, i)) for i, name in enumerate(ring_names)]
    entries, bottom = legend(keys, 0, top - 2, width)
    scales, bottom = panels.scale_bars(boards, ranges, bottom, width)
    words = description or _describe(boards, placed)
    return document(width, bottom + 4, [*body, *rows, *entries, *scales], title=title, description=words)


def _checked(board: ChessBoard) -> dict[Square, str]:
    placed = placement(board.pieces)
    if board.heat is not None and np.shape(board.heat) != (8, 8):
        raise ValueError(f"heat must be [8, 8] with row 0 on rank 8, got shape {np.shape(board.heat)}")
    squares = [square for arrow in board.arrows for square in (arrow.start, arrow.end)]
    squares += [square for ringed in board.rings.values() for square in ringed]
    for row, column in squares:
        if not (0 <= row < 8 and 0 <= column < 8):
            raise ValueError(f"square {(row, column)} is off the board: rows and columns are 0..7")
    return placed


def _board(
    board: ChessBoard,
    placed: dict[Square, str],
    side: float,
    ranges: dict[str, tuple[float, float]],
    arrow_names: Sequence[str],
    ring_names: Sequence[str],
) -> list[str]:
    cell = (side - _EDGE) / 8

    def centre(square: Square) -> tuple[float, float]:
        row, column = (7 - square[0], 7 - square[1]) if board.flipped else square
        return _EDGE + (column + 0.5) * cell, (row + 0.5) * cell

    floor, over = [], []
    for row in range(8):
        for column in range(8):
            x, y = centre((row, column))
            colour = LIGHT if (row + column) % 2 == 0 else DARK
            shown = NAMES.get(placed.get((row, column), ""), "empty")
            tip = f"{'abcdefgh'[column]}{8 - row}: {shown}"
            if board.heat is not None and math.isfinite(board.heat[row, column]):
                low, high = ranges[board.heat_label]
                value = float(board.heat[row, column])
                colour = scale_colour(
                    (value - low) / (high - low), DIVERGING if board.diverging else SEQUENTIAL
                )
                tip += f"; {board.heat_label} {format_number(value, board.percent)}"
            inside = f"<title>{clean(tip)}</title>"
            gap = (
                0.0 if board.heat is None else 1.0
            )  # painted squares lose the chequering that tells them apart
            x, y, wide = x - cell / 2 + gap / 2, y - cell / 2 + gap / 2, cell - gap
            floor.append(rect(x, y, wide, wide, colour, inside=inside))
    ground = rect(_EDGE, 0, 8 * cell, 8 * cell, DARK)
    body = [f'<g shape-rendering="crispEdges">{ground}{"".join(floor)}</g>']
    for name, squares in board.rings.items():
        over += [_ring(centre(square), 0.92 * cell, ring_names.index(name)) for square in squares]
    over += [piece(letter, *centre(square), 0.86 * cell) for square, letter in placed.items()]
    for arrow in board.arrows:
        colour = _arrow_colour(arrow_names.index(arrow.name))
        over.append(_arrow(centre(arrow.start), centre(arrow.end), 0.3 * cell, colour, arrow.strength))
    return [*body, f'<g pointer-events="none">{"".join(over)}</g>']


def _edges(board: ChessBoard, left: float, top: float, side: float) -> list[str]:
    """Ranks at the left; files inside the lowest row, where they need no room of their own."""
    cell = (side - _EDGE) / 8
    order = range(8) if not board.flipped else range(7, -1, -1)
    ranks = [
        label(left + 3, top + (i + 0.5) * cell + 4, str(8 - row), size=SMALL_SIZE, muted=True)
        for i, row in enumerate(order)
    ]
    bottom, body = top + side - _EDGE + 11, list(ranks)
    for i, column in enumerate(order):
        x = left + _EDGE + (i + 0.5) * cell
        body.append(label(x, bottom, "abcdefgh"[column], size=SMALL_SIZE, anchor="middle", muted=True))
    return body


def _arrow_colour(index: int) -> str:
    return ARROW_COLOURS[index % len(ARROW_COLOURS)]


def _arrow(
    start: tuple[float, float], end: tuple[float, float], thick: float, colour: str, strength: float
) -> str:
    """A filled arrow from centre to centre with a white rim; thinner and paler where its strength is below 1."""
    across, down = end[0] - start[0], end[1] - start[1]
    length = math.hypot(across, down) or 1.0
    along, side = (across / length, down / length), (-down / length, across / length)
    share = min(max(strength, 0.0), 1.0)
    shaft = thick * (0.2 + 0.3 * share)
    head = min(2.1 * thick, 0.6 * length)
    half = 0.5 * head + shaft / 2
    shape = ((0.3 * thick, shaft), (length - head, shaft), (length - head, half), (length, 0.0))
    outline = [*shape, *((a, -b) for a, b in reversed(shape[:-1]))]
    points = [
        (start[0] + a * along[0] + b * side[0], start[1] + a * along[1] + b * side[1]) for a, b in outline
    ]
    path = "M" + "L".join(f"{num(x)} {num(y)}" for x, y in points) + "Z"
    return (
        f'<path d="{path}" fill="{colour}" fill-opacity="{num(0.35 + 0.5 * share)}" stroke="{PAPER}" '
        f'stroke-width="{num(max(0.8, 0.12 * thick))}" stroke-linejoin="round"/>'
    )


def _ring(centre: tuple[float, float], size: float, index: int) -> str:
    """A ring around a square, rimmed for light and dark grounds."""
    colour = RING_COLOURS[index % len(RING_COLOURS)]
    half = size / 2
    box = f'<rect x="{num(centre[0] - half)}" y="{num(centre[1] - half)}" width="{num(size)}" height="{num(size)}"'
    box += f' rx="{num(0.16 * size)}" fill="none"'
    rim = PAPER if ink_on(colour) == PAPER else INK
    return (
        f'{box} stroke="{rim}" stroke-width="{num(0.17 * size)}"/>'
        f'{box} stroke="{colour}" stroke-width="{num(0.1 * size)}"/>'
    )


def _describe(boards: Sequence[ChessBoard], placed: Sequence[dict[Square, str]]) -> str:
    """A text alternative made from what is drawn."""

    def name(square: Square) -> str:
        return f"{'abcdefgh'[square[1]]}{8 - square[0]}"

    said = []
    for board, pieces in zip(boards, placed, strict=True):
        words = [f"{board.caption or 'position'}: {len(pieces)} pieces, {board.pieces.split()[0]}"]
        words += [f"{a.name} {name(a.start)} to {name(a.end)}" for a in board.arrows]
        words += [
            f"{ring}: {', '.join(map(name, squares))}" for ring, squares in board.rings.items() if squares
        ]
        if board.heat is not None and np.isfinite(board.heat).any():
            best = np.unravel_index(np.nanargmax(board.heat), (8, 8))
            greatest = format_number(float(np.nanmax(board.heat)), board.percent)
            words.append(
                f"{board.heat_label} is greatest on {name((int(best[0]), int(best[1])))}, {greatest}"
            )
        said.append("; ".join(words))
    return ". ".join(said) + "."
