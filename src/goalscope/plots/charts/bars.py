"""Horizontal bars, grouped by label, each with its interval and its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from goalscope.plots.charts import marks
from goalscope.plots.charts.axes import Scale, format_number, format_tick, limits, nice_ticks
from goalscope.plots.charts.layout import WIDTH, label_width, row_height, row_label
from goalscope.plots.palette import category
from goalscope.plots.svg import (
    SMALL_SIZE,
    Key,
    document,
    grid_line,
    heading,
    legend,
    text_width,
)


@dataclass(frozen=True)
class Bars:
    """One series of `bars`.

    Attributes:
        name: its entry in the legend.
        estimate: [R] one number for each label; not finite where there is none.
        low, high: [R] intervals, or None.
    """

    name: str
    estimate: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


def bars(
    labels: Sequence[str],
    series: Sequence[Bars],
    *,
    title: str,
    x_label: str = "",
    percent: bool = False,
    reference: float | None = None,
    description: str | None = None,
) -> str:
    """Draws horizontal bars from 0, grouped by label, with whiskers for the intervals and numbers.

    Args:
        labels: [R] the groups, from the top.
        series: one bar in each group.
        reference: a number to mark by a dashed line.
        description: the text alternative; None writes the numbers out.

    Returns:
        SVG text.

    Raises:
        ValueError: if there is no label or series, or the lengths differ.
    """
    if not series:
        raise ValueError("bars need at least one series, got none")
    data = [marks.columns(labels, estimate=s.estimate, low=s.low, high=s.high) for s in series]
    values = np.concatenate([column for rows in data for column in rows.values()])
    ends = limits(values, percent=percent, include=(0.0,) if reference is None else (0.0, reference))
    ticks = nice_ticks(*ends, 4)
    body, top = heading(title, WIDTH)
    swatch = '<rect x="3" y="2" width="20" height="12" rx="2" fill="{}"/>'
    keys = [Key(s.name, swatch.format(category(i))) for i, s in enumerate(series)] if len(series) > 1 else []
    drawn, top = legend(keys, 0, top, WIDTH)
    left = label_width(labels, format_tick(ticks[0], ticks, percent))
    shown = [format_number(v, percent) for rows in data for v in rows["estimate"].tolist()]
    right = max(text_width(text, SMALL_SIZE, True) for text in shown) + 12
    scale = Scale(ticks[0], ticks[-1], left + 4, WIDTH - max(right, 40.0))
    y, front, thick = top + 4, [], 13.0 if len(series) > 1 else 16.0
    for i, text in enumerate(labels):
        height = row_height(text, left - 6, (thick + 2) * len(series) + 10)
        front += row_label(text, y + height / 2, left - 6)
        for j, rows in enumerate(data):
            centre = y + height / 2 + (thick + 2) * (j - (len(series) - 1) / 2)
            row = {name: float(column[i]) for name, column in rows.items()}
            front += marks.bar_row(row, scale, centre, thick, j, percent)
        y += height
    body += [*drawn, *marks.vertical_grid(scale, ticks, top + 4, y, percent, x_label)]
    if reference is not None:
        front.append(marks.reference_line(scale(reference), top + 4, scale(reference), y))
    front.append(grid_line(scale(0.0), top + 4, scale(0.0), y, strong=True))
    said = [
        f"{s.name}: {marks.rows_in_words(labels, rows, percent)}"
        for s, rows in zip(series, data, strict=True)
    ]
    words = description or "; ".join(said)
    return document(WIDTH, y + marks.foot(x_label), body + front, title=title, description=words)
