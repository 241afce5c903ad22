"""A matrix as coloured cells with their numbers written in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from goalscope.plots.charts.axes import format_number
from goalscope.plots.charts.layout import WIDTH
from goalscope.plots.palette import DIVERGING, SEQUENTIAL, ink_on, scale_colour
from goalscope.plots.svg import (
    SMALL_SIZE,
    TEXT_SIZE,
    clean,
    document,
    heading,
    label,
    rect,
    text_width,
    wrap,
)


def heat(
    matrix: ArrayLike,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    title: str,
    percent: bool = False,
    diverging: bool | None = None,
    value_range: tuple[float, float] | None = None,
    description: str | None = None,
) -> str:
    """Draws a matrix as coloured cells with their numbers written in.

    Args:
        matrix: [R, C] numbers; cells that are not finite stay grey.
        diverging: colours symmetric around 0; None chooses this where both signs occur.
        value_range: numbers at the two ends of the scale; None takes them from the matrix.
        description: the text alternative; None writes the numbers out.

    Returns:
        SVG text.

    Raises:
        ValueError: if the labels do not fit the matrix, or it is empty.
    """
    numbers = np.asarray(matrix, dtype=float)
    if numbers.ndim != 2 or numbers.size == 0 or numbers.shape != (len(row_labels), len(column_labels)):
        wanted = f"({len(row_labels)}, {len(column_labels)})"
        raise ValueError(f"the labels need a matrix of shape {wanted} that is not empty, got {numbers.shape}")
    low, high, stops = _scale(numbers, diverging, value_range)
    span = high - low if high > low else 1.0
    body, top = heading(title, WIDTH)
    left = min(140.0, max(text_width(text, TEXT_SIZE) for text in row_labels) + 10)
    cell = (WIDTH - left) / len(column_labels)
    heads, y = _heads(column_labels, left, cell, top)
    body += heads
    widest = max(text_width(format_number(v, percent), SMALL_SIZE) for v in numbers.ravel().tolist())
    size = SMALL_SIZE if widest <= cell - 2 else SMALL_SIZE - 1.5
    for row_name, row in zip(row_labels, numbers.tolist(), strict=True):
        lines = wrap(row_name, left - 8, TEXT_SIZE)
        tall = max(min(cell, 34.0), 15.0 * len(lines) + 4)
        first = y + tall / 2 + 4.5 - 7.5 * (len(lines) - 1)
        body += [label(0, first + 15 * k, line) for k, line in enumerate(lines)]
        for j, (column_name, value) in enumerate(zip(column_labels, row, strict=True)):
            colour, shown = scale_colour((value - low) / span, stops), format_number(value, percent)
            tip = f"{row_name}, {column_name}: {shown}"
            body += _cell(left + cell * j, y, cell, tall, colour, shown, size, tip)
        y += tall
    said = [
        f"{text}: "
        + ", ".join(f"{name} {format_number(v, percent)}" for name, v in zip(column_labels, row, strict=True))
        for text, row in zip(row_labels, numbers.tolist(), strict=True)
    ]
    return document(WIDTH, y + 4, body, title=title, description=description or "; ".join(said))


def _scale(
    numbers: np.ndarray, diverging: bool | None, value_range: tuple[float, float] | None
) -> tuple[float, float, tuple[str, ...]]:
    """The numbers at both ends of the scale and its colours."""
    finite = numbers[np.isfinite(numbers)]
    low, high = value_range or ((float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0))
    if not (diverging if diverging is not None else low < 0 < high):
        return low, high, SEQUENTIAL
    extent = max(abs(low), abs(high))
    return -extent, extent, DIVERGING


def _heads(labels: Sequence[str], left: float, cell: float, top: float) -> tuple[list[str], float]:
    """The column labels, wrapped, on one line at their feet; returns elements and the y where the cells begin."""
    body, heads = [], [wrap(text, cell - 6, SMALL_SIZE) for text in labels]
    deepest = max(len(lines) for lines in heads)
    for j, lines in enumerate(heads):
        y = top + 13.0 * (deepest - len(lines)) + 11
        x = left + cell * (j + 0.5)
        body += [label(x, y + 13 * k, line, size=SMALL_SIZE, anchor="middle") for k, line in enumerate(lines)]
    return body, top + 13.0 * deepest + 6


def _cell(
    x: float, y: float, wide: float, tall: float, colour: str, shown: str, size: float, tip: str
) -> list[str]:
    """One cell with its number, which loses its leading 0, or is left out, where it would not fit."""
    inside = f"<title>{clean(tip)}</title>"
    body = [rect(x + 1, y + 1, wide - 2, tall - 2, colour, radius=3, inside=inside)]
    brief = shown if text_width(shown, size) <= wide - 2 else shown.replace("0.", ".", 1)
    if text_width(brief, size) <= wide:
        ink, middle = ink_on(colour), x + wide / 2
        body.append(label(middle, y + tall / 2 + 4, brief, size=size, anchor="middle", fill=ink))
    return body
