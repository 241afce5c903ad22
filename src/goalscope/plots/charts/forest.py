"""A forest of intervals: no estimate stands without its interval and n, and its control is right below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from goalscope.plots.charts import marks
from goalscope.plots.charts.axes import Scale, format_number, format_tick, limits, nice_ticks
from goalscope.plots.charts.layout import WIDTH, label_width, row_height, row_label
from goalscope.plots.svg import (
    SMALL_SIZE,
    TEXT_SIZE,
    Key,
    document,
    heading,
    label,
    legend,
    text_width,
)


def forest(
    labels: Sequence[str],
    estimate: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    n: ArrayLike | None = None,
    *,
    control: ArrayLike | None = None,
    control_low: ArrayLike | None = None,
    control_high: ArrayLike | None = None,
    control_name: str = "control",
    groups: Sequence[str] | None = None,
    reference: float | None = None,
    title: str,
    x_label: str = "",
    percent: bool = False,
    description: str | None = None,
) -> str:
    """Draws estimates with intervals, one a row, each with its control right below it.

    Args:
        labels: [R] what each row is.
        estimate, low, high: [R] estimate and interval; a row that is not finite says "not estimated".
        n: [R] independent units behind each estimate, printed at the right.
        control, control_low, control_high: [R] the control of each row and its interval; not finite where
            there is none.
        control_name: what the control is, for the legend.
        groups: [R] a header is drawn where the group changes.
        reference: a number to mark by a dashed line, such as 0 for coefficients.
        percent: write shares as percent.
        description: the text alternative; None writes the numbers out.

    Returns:
        SVG text.

    Raises:
        ValueError: if the lengths differ or there is no row.
    """
    rows = marks.columns(
        labels, estimate=estimate, low=low, high=high, control=control, control_low=control_low,
        control_high=control_high,
    )  # fmt: skip
    counts = [""] * len(labels) if n is None else [f"n {int(value):,}" for value in np.ravel(n).tolist()]
    if len(counts) != len(labels) or (groups is not None and len(groups) != len(labels)):
        raise ValueError(f"a forest of {len(labels)} labels needs as many n and groups")
    body, top = heading(title, WIDTH)
    entries, top = legend(_keys(rows, control_name), 0, top, WIDTH)
    ends = limits(np.concatenate(list(rows.values())), percent=percent, include=_known(reference))
    ticks = nice_ticks(*ends, 4)
    rows = rows if percent else {**rows, "estimate": _seen(rows["estimate"], ticks)}
    shown = [format_number(value, percent) for value in rows["estimate"].tolist()]
    right = max(text_width(text, TEXT_SIZE, True) for text in [*shown, *counts]) + 8
    left = label_width(labels, format_tick(ticks[0], ticks, percent))
    scale = Scale(ticks[0], ticks[-1], left + 6, WIDTH - right - 10)
    front, bottom = _rows(labels, rows, list(zip(shown, counts, strict=True)), groups, scale, top + 4)
    body += [*entries, *marks.vertical_grid(scale, ticks, top + 4, bottom, percent, x_label)]
    if reference is not None:
        body.append(marks.reference_line(scale(reference), top + 4, scale(reference), bottom))
    words = description or marks.rows_in_words(labels, rows, percent, control_name)
    return document(WIDTH, bottom + marks.foot(x_label), body + front, title=title, description=words)


def _seen(values: np.ndarray, ticks: Sequence[float]) -> np.ndarray:
    """What cannot be seen on the axis is nothing: 0.00 beside 2.99, not 8.6e-04."""
    return np.where(np.abs(values) < 1e-3 * (ticks[-1] - ticks[0]), 0.0, values)


def _known(reference: float | None) -> tuple[float, ...]:
    return () if reference is None else (reference,)


def _has_controls(rows: Mapping[str, np.ndarray]) -> bool:
    return bool(np.isfinite(rows["control"]).any())


def _keys(rows: Mapping[str, np.ndarray], control_name: str) -> list[Key]:
    """The legend: the control only where some row has one."""
    keys = [Key("estimate, 95% interval", marks.interval_mark(13, 8, 1, 25, "estimate"))]
    if _has_controls(rows):
        keys.append(Key(control_name, marks.interval_mark(13, 8, 3, 23, "control")))
    return keys


def _rows(
    labels: Sequence[str],
    rows: Mapping[str, np.ndarray],
    numbers: Sequence[tuple[str, str]],
    groups: Sequence[str] | None,
    scale: Scale,
    top: float,
) -> tuple[list[str], float]:
    """All rows under each other from `top`, with headers of their groups; returns elements and the y below.

    `numbers` are what stands at the right of each row: its estimate, and its n below that (or nothing).
    """
    body, y, width, paired = [], top, scale.start - 12, _has_controls(rows)
    for i, (text, (shown, count)) in enumerate(zip(labels, numbers, strict=True)):
        if groups is not None and (i == 0 or groups[i] != groups[i - 1]):
            body.append(label(0, y + 17, groups[i], bold=True))
            y += 24
        height = row_height(text, width, 34.0)
        middle = y + height / 2
        body += row_label(text, middle, width)
        row = {name: float(values[i]) for name, values in rows.items()}
        body += marks.forest_row(row, scale, middle, paired)
        body.append(label(WIDTH, middle - 2 if count else middle + 4.5, shown, anchor="end", bold=True))
        body.append(label(WIDTH, middle + 12, count, size=SMALL_SIZE, anchor="end", muted=True))
        y += height
    return body, y
