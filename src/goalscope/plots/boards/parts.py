"""The record of one maze with what is drawn on it, and the pieces that draw it for `board`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

import numpy as np

from goalscope.plots.boards import glyphs
from goalscope.plots.palette import (
    DIVERGING,
    INK,
    PAPER,
    PURPLE,
    SEQUENTIAL,
    VERMILLION,
    ink_on,
    scale_colour,
)
from goalscope.plots.svg import Key, clean, num, rect

MOVE_NAMES = ("left", "down", "up", "right", "stay")
MOVE_STEPS = np.array([[0, -1], [1, 0], [-1, 0], [0, 1], [0, 0]], dtype=float)
_MARGIN = 0.45
_WALL, _FLOOR = "#2e3138", "#f4f1e8"
_PATHS = ((VERMILLION, ""), ("#16181c", "6 5"), ("#5b2a86", "1.5 5"))
Square = tuple[int, int] | Sequence[int] | np.ndarray


@dataclass(frozen=True)
class Board:
    """One maze and what is drawn on it.

    Attributes:
        walls: [W, W] bool, True where there is a wall.
        mouse, cheese: (row, column), or None; (-1, -1) counts as None.
        squares: [K, 2] the free squares that the arrays below speak of.
        probabilities: [K, 5] probability of each move; arrows show the expected displacement.
        vectors: [K, 2] (rows, columns) arrows drawn in place of those of `probabilities`.
        vector_full: length of a vector that is drawn as a full arrow.
        value: [K] the policy's value, painted where `heat` is None.
        heat: [K] what is painted under the arrows.
        heat_label: what the painted numbers are.
        heat_range: (low, high) of the scale; None takes it from all boards with the same label.
        diverging: the scale is symmetric around 0 with a neutral middle.
        percent: the scale is labelled in percent.
        paths: name to [L, 2] squares, drawn as lines that differ in colour and dashes.
        decision_square: (row, column) to ring, or None.
        arrow_label: what the arrows are, for the legend.
        caption: a few words above the maze.
        cropped: only the free squares and what lies between them is drawn; otherwise the whole world.
    """

    walls: np.ndarray
    mouse: Square | None = None
    cheese: Square | None = None
    squares: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    vectors: np.ndarray | None = None
    vector_full: float = 1.0
    value: np.ndarray | None = None
    heat: np.ndarray | None = None
    heat_label: str = "value"
    heat_range: tuple[float, float] | None = None
    diverging: bool = False
    percent: bool = False
    paths: Mapping[str, np.ndarray] = field(default_factory=dict)
    decision_square: Square | None = None
    arrow_label: str = "expected move (full length: certain)"
    caption: str = ""
    cropped: bool = True

    def painted(self) -> np.ndarray | None:
        """[K] the numbers painted under the arrows, or None."""
        chosen = self.heat if self.heat is not None else self.value
        return None if chosen is None else np.asarray(chosen, dtype=float)

    def arrows(self) -> np.ndarray | None:
        """[K, 2] (rows, columns) the arrows in units of a full arrow, or None."""
        if self.vectors is not None:
            return np.asarray(self.vectors, dtype=float) / self.vector_full
        if self.probabilities is None:
            return None
        return np.asarray(self.probabilities, dtype=float) @ MOVE_STEPS


@dataclass(frozen=True)
class _Place:
    """Where the squares of a cropped maze lie: `cell` user units each, the square (top, left) first."""

    cell: float
    top: int
    left: int

    def centre(self, square: Square) -> tuple[float, float]:
        """(x, y) of the centre of a square."""
        x = (int(square[1]) - self.left + _MARGIN + 0.5) * self.cell
        return x, (int(square[0]) - self.top + _MARGIN + 0.5) * self.cell


def there(square: Square | None) -> TypeGuard[Square]:
    """Whether a square is given: neither None nor (-1, -1)."""
    return square is not None and int(square[0]) >= 0


def path_order(boards: Sequence[Board]) -> list[str]:
    """Names of all paths in the order of first use: a path looks the same in every board."""
    return list(dict.fromkeys(name for board in boards for name in board.paths))


def maze(
    board: Board, side: float, ranges: Mapping[str, tuple[float, float]], order: Sequence[str]
) -> tuple[list[str], float]:
    """One maze, `side` wide; returns its elements and its height.

    `ranges` are the scales of `panels.heat_ranges`, `order` the paths of `path_order`.
    """
    free = np.argwhere(~board.walls)
    shown = free if board.cropped else np.argwhere(np.ones_like(board.walls))
    (top, left), (bottom, right) = (shown.min(axis=0), shown.max(axis=0)) if len(shown) else ((0, 0), (0, 0))
    cell = side / (right - left + 1 + 2 * _MARGIN)
    height = cell * (bottom - top + 1 + 2 * _MARGIN)
    place = _Place(cell, int(top), int(left))
    body = [
        f'<rect width="{num(side)}" height="{num(height)}" rx="{num(min(6, 0.4 * cell))}" fill="{_WALL}"/>'
    ]
    grounds = _grounds(board, ranges)
    tips = _tips(board)
    floor = []
    for square in ((row, column) for row, column in free.tolist()):
        tip = f"<title>{clean(tips[square])}</title>" if square in tips else ""
        floor.append(rect(square[1] - left, square[0] - top, 1, 1, grounds.get(square, _FLOOR), inside=tip))
    shift = f"translate({num(_MARGIN * cell)} {num(_MARGIN * cell)}) scale({cell:.4f})"
    body.append(f'<g shape-rendering="crispEdges" transform="{shift}">{"".join(floor)}</g>')
    over = _path_lines(board, place, order) + _arrows(board, place, grounds)
    size = max(0.98 * cell, 15.0)
    if there(board.decision_square):
        over.append(glyphs.ring(*place.centre(board.decision_square), max(1.1 * cell, 13.0), PURPLE))
    ends = {name: tuple(map(int, path[-1])) for name, path in board.paths.items() if len(path)}
    for name, end in ends.items():
        if not there(board.cheese) or end != tuple(map(int, board.cheese)):
            over.append(glyphs.flag(*place.centre(end), size, _PATHS[order.index(name) % len(_PATHS)][0]))
    if there(board.cheese):
        over.append(glyphs.cheese(*place.centre(board.cheese), size))
    if there(board.mouse):
        over.append(glyphs.mouse(*place.centre(board.mouse), size))
    return [*body, f'<g pointer-events="none">{"".join(over)}</g>'], height


def _grounds(board: Board, ranges: Mapping[str, tuple[float, float]]) -> dict[tuple[int, int], str]:
    """Square to the colour painted on it."""
    painted = board.painted()
    if painted is None or board.squares is None:
        return {}
    low, high = ranges[board.heat_label]
    stops = DIVERGING if board.diverging else SEQUENTIAL
    colours = [scale_colour((number - low) / (high - low), stops) for number in painted.tolist()]
    return {tuple(square): colour for square, colour in zip(board.squares.tolist(), colours, strict=True)}


def _tips(board: Board) -> dict[tuple[int, int], str]:
    """Square to the numbers shown when a pointer rests on it."""
    if board.squares is None:
        return {}
    painted, tips = board.painted(), {}
    for i, (row, column) in enumerate(board.squares.tolist()):
        parts = []
        if painted is not None:
            shown = f"{100 * painted[i]:.1f}%" if board.percent else f"{painted[i]:.3g}"
            parts.append(f"{board.heat_label} {shown}")
        if board.probabilities is not None:
            shares = zip(MOVE_NAMES, board.probabilities[i].tolist(), strict=True)
            parts.append(", ".join(f"{name} {100 * share:.0f}%" for name, share in shares if share >= 0.005))
        if parts:
            tips[(row, column)] = f"row {row}, column {column}: " + "; ".join(parts)
    return tips


def _arrows(board: Board, place: _Place, grounds: Mapping[tuple[int, int], str]) -> list[str]:
    """Arrows in the ink that reads best on each square; thin spokes per move on large squares."""
    arrows = board.arrows()
    if arrows is None or board.squares is None:
        return []
    cell = place.cell
    hidden = {tuple(map(int, s)) for s in (board.mouse, board.cheese) if s is not None and there(s)}
    outlines: dict[str, list[str]] = {INK: [], PAPER: []}
    spokes: dict[str, list[str]] = {INK: [], PAPER: []}
    for i, square in enumerate((row, column) for row, column in board.squares.tolist()):
        if square in hidden:
            continue
        x, y = place.centre(square)
        ink = ink_on(grounds.get(square, _FLOOR))
        d_row, d_column = arrows[i].tolist()
        if board.vectors is None or math.hypot(d_row, d_column) >= 0.06:
            outlines[ink].append(glyphs.arrow_outline(x, y, d_row, d_column, 0.86 * cell))
        if board.probabilities is not None and board.vectors is None and cell >= 16:
            for share, step in zip(board.probabilities[i].tolist(), MOVE_STEPS[:4], strict=False):
                if share >= 0.1:
                    spokes[ink].append(f"M{num(x)} {num(y)}l{num(0.42 * cell * share * step[1])} ")
                    spokes[ink].append(num(0.42 * cell * share * step[0]))
    body, thin = [], num(max(1.0, 0.045 * cell))
    for ink in (INK, PAPER):
        if spokes[ink]:
            lines = f'<path d="{"".join(spokes[ink])}" fill="none" stroke="{ink}"'
            body.append(f'{lines} stroke-width="{thin}" stroke-opacity=".6"/>')
        if outlines[ink]:
            body.append(f'<path d="{"".join(outlines[ink])}" fill="{ink}"/>')
    return body


def _path_lines(board: Board, place: _Place, order: Sequence[str]) -> list[str]:
    """Paths as lines along the sides of the corridors, clear of the arrows, each with a white rim."""
    body = []
    cell = place.cell
    thick = max(1.7, 0.1 * cell)
    for name, path in board.paths.items():
        i = order.index(name)
        shift = (-0.33, 0.33, 0.0)[i % 3] * cell
        points = [
            f"{num(x + shift)} {num(y + shift)}"
            for x, y in (place.centre(square) for square in path.tolist())
        ]
        if len(points) < 2:
            continue
        colour, dashes = _PATHS[i % len(_PATHS)]
        shape = f'<path d="M{"L".join(points)}" fill="none" stroke-linejoin="round"'
        body.append(f'{shape} stroke="{PAPER}" stroke-opacity=".8" stroke-width="{num(2.1 * thick)}"/>')
        pattern = f' stroke-dasharray="{dashes}"' if dashes else ""
        body.append(f'{shape} stroke="{colour}" stroke-width="{num(thick)}"{pattern}/>')
    return body


def keys(boards: Sequence[Board]) -> list[Key]:
    """The legend of all marks that the boards use."""
    keys = []
    if any(there(board.mouse) for board in boards):
        keys.append(Key("mouse", glyphs.mouse(13, 8, 17)))
    if any(there(board.cheese) for board in boards):
        keys.append(Key("cheese", glyphs.cheese(13, 8, 17)))
    for i, name in enumerate(path_order(boards)):
        colour, dashes = _PATHS[i % len(_PATHS)]
        pattern = f' stroke-dasharray="{dashes}"' if dashes else ""
        line = f'<path d="M1 8H25" stroke="{colour}" stroke-width="2.6"{pattern} fill="none"/>'
        keys.append(Key(name, f'<path d="M1 8H25" stroke="{PAPER}" stroke-width="6"/>{line}'))
    if any(there(board.decision_square) for board in boards):
        keys.append(Key("decision square", glyphs.ring(13, 8, 14, PURPLE)))
    drawn = [board for board in boards if board.arrows() is not None]
    for text in dict.fromkeys(board.arrow_label for board in drawn):
        shape = f'<path class="gs-ink" d="{glyphs.arrow_outline(13, 8, 0, 1, 22)}" fill="{INK}"/>'
        keys.append(Key(text, shape))
    return keys
