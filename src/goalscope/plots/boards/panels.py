"""Boards beside each other: rows of panels below their captions, and one scale for each quantity that is painted.

What a board is does not matter here: mazes, Sokoban levels and chess positions are laid out alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from goalscope.plots.charts.axes import format_tick, nice_ticks
from goalscope.plots.palette import DIVERGING, SEQUENTIAL, scale_colour
from goalscope.plots.svg import SMALL_SIZE, TEXT_SIZE, label, num, rect, wrap


class Painted(Protocol):
    """A board on which a quantity may be painted."""

    @property
    def heat_label(self) -> str:
        """What the painted numbers are."""
        ...

    @property
    def heat_range(self) -> tuple[float, float] | None:
        """(low, high) of the scale; None takes it from all boards with the same label."""
        ...

    @property
    def diverging(self) -> bool:
        """The scale is symmetric around 0 with a neutral middle."""
        ...

    @property
    def percent(self) -> bool:
        """The scale is labelled in percent."""
        ...

    def painted(self) -> np.ndarray | None:
        """The painted numbers, or None."""
        ...


def in_rows(
    captions: Sequence[str],
    draw: Callable[[int, float, float], tuple[Sequence[str], float]],
    *,
    columns: int,
    top: float,
    panel_px: float,
    gap: float,
    below_caption: float = 4.0,
) -> tuple[list[str], float]:
    """Sets panels in rows of `columns` from y = `top`, in reading order, each below its caption.

    Args:
        captions: one a panel; may be empty.
        draw: (index, left, top) to the elements of the panel whose corner that is, and their height.
        columns: panels in a row.
        panel_px: width of one panel in user units; `gap` lies between two, and below each row.
        below_caption: the room between a caption and its panel.

    Returns:
        Elements, and the y below the last row and its gap.
    """
    body = []
    for start in range(0, len(captions), columns):
        texts = [wrap(text, panel_px, TEXT_SIZE, bold=True) for text in captions[start : start + columns]]
        rise = 16.0 * max(len(lines) for lines in texts) + (below_caption if any(texts) else 0)
        tallest = 0.0
        for i, lines in enumerate(texts):
            left = i * (panel_px + gap)
            body += [label(left, top + 12 + 16 * j, line, bold=True) for j, line in enumerate(lines)]
            drawn, height = draw(start + i, left, top + rise)
            body += drawn
            tallest = max(tallest, height)
        top += rise + tallest + gap
    return body, top


def moved(left: float, top: float, drawn: Sequence[str]) -> str:
    """Elements that were drawn from (0, 0), with their corner at (left, top)."""
    return f'<g transform="translate({num(left)} {num(top)})">{"".join(drawn)}</g>'


def row_width(columns: int, panel_px: float, gap: float) -> float:
    """The width of a row of `columns` panels."""
    return columns * panel_px + (columns - 1) * gap


def heat_ranges(boards: Sequence[Painted]) -> dict[str, tuple[float, float]]:
    """The scale of each painted quantity, by its label, in the order of first use."""
    found: dict[str, list[float]] = {}
    for board in boards:
        painted = board.painted()
        if painted is None:
            continue
        numbers = (
            painted[np.isfinite(painted)].tolist() if board.heat_range is None else list(board.heat_range)
        )
        if board.diverging and numbers:
            extent = max(abs(number) for number in numbers)
            numbers = [-extent, extent]
        found.setdefault(board.heat_label, []).extend(numbers)
    ranges = {}
    for name, numbers in found.items():
        ticks = nice_ticks(min(numbers), max(numbers), 4) if numbers else [0.0, 1.0]
        ranges[name] = (ticks[0], ticks[-1])
    return ranges


def scale_bars(
    boards: Sequence[Painted], ranges: Mapping[str, tuple[float, float]], top: float, width: float
) -> tuple[list[str], float]:
    """The bars of all `heat_ranges` under each other; returns elements and the y below."""
    body = []
    for name, limits in ranges.items():
        first = next(board for board in boards if board.painted() is not None and board.heat_label == name)
        body += _scale_bar(name, limits, first, top + 4, width)
        top += 48
    return body, top


def _scale_bar(name: str, limits: tuple[float, float], board: Painted, top: float, width: float) -> list[str]:
    """A labelled bar of the scale of one painted quantity, 44 high."""
    low, high = limits
    bar, steps = min(width - 24, 300.0), 48
    stops = DIVERGING if board.diverging else SEQUENTIAL
    body = [label(12, top + 10, name, size=SMALL_SIZE + 1)]
    for i in range(steps):
        colour = scale_colour(i / (steps - 1), stops)
        body.append(rect(12 + bar * i / steps, top + 15, bar / steps + 0.4, 10, colour))
    ticks = [tick for tick in nice_ticks(low, high, 4) if low - 1e-9 <= tick <= high + 1e-9]
    for tick in ticks:
        x = 12 + bar * (tick - low) / (high - low)
        body.append(
            label(x, top + 38, format_tick(tick, ticks, board.percent), size=SMALL_SIZE, anchor="middle")
        )
    return [f'<g shape-rendering="crispEdges">{"".join(body)}</g>']
