"""Small charts as static SVG: forests of intervals with their controls, curves, bars and numbered heat maps.

All are 420 units wide, so that their lettering stays readable on a phone of 360 pixels, and grow with the
number of rows. In a forest no estimate stands without its interval and n, and its control is right below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from goalscope.plots.charts import marks
from goalscope.plots.charts.axes import Scale, format_number, format_tick, limits, nice_ticks
from goalscope.plots.palette import DIVERGING, SEQUENTIAL, category, ink_on, scale_colour
from goalscope.plots.svg import (
    SMALL_SIZE,
    TEXT_SIZE,
    Key,
    clean,
    document,
    grid_line,
    heading,
    label,
    legend,
    rect,
    text_width,
    wrap,
)

WIDTH = 420.0


@dataclass(frozen=True)
class Line:
    """One line of `curves`.

    Attributes:
        name: its entry in the legend.
        x, y: [P] points, joined in their order; a gap where y is not finite.
        low, high: [P] interval drawn as a band, or None.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


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
        labels,
        estimate=estimate,
        low=low,
        high=high,
        control=control,
        control_low=control_low,
        control_high=control_high,
    )
    counts = [""] * len(labels) if n is None else [f"n {int(value):,}" for value in np.ravel(n).tolist()]
    if len(counts) != len(labels) or (groups is not None and len(groups) != len(labels)):
        raise ValueError(f"a forest of {len(labels)} labels needs as many n and groups")
    shown = [format_number(value, percent) for value in rows["estimate"].tolist()]
    paired = bool(np.isfinite(rows["control"]).any())
    body, top = heading(title, WIDTH)
    keys = [Key("estimate, 95% interval", marks.interval_mark(13, 8, 1, 25, "estimate"))]
    keys += [Key(control_name, marks.interval_mark(13, 8, 3, 23, "control"))] if paired else []
    drawn, top = legend(keys, 0, top, WIDTH)
    right = max(text_width(text, TEXT_SIZE, True) for text in [*shown, *counts]) + 8
    everything = np.concatenate(list(rows.values()))
    ends = limits(everything, percent=percent, include=() if reference is None else (reference,))
    ticks = nice_ticks(*ends, 4)
    left = _label_width(labels, format_tick(ticks[0], ticks, percent))
    scale = Scale(ticks[0], ticks[-1], left + 6, WIDTH - right - 10)
    y, front = top + 4, []
    for i, text in enumerate(labels):
        if groups is not None and (i == 0 or groups[i] != groups[i - 1]):
            front.append(label(0, y + 17, groups[i], bold=True))
            y += 24
        height = marks.row_height(text, left - 6, 34.0)
        middle = y + height / 2
        front += marks.row_label(text, middle, left - 6)
        front += marks.forest_row(
            {name: float(values[i]) for name, values in rows.items()}, scale, middle, paired
        )
        front.append(
            label(WIDTH, middle - 2 if counts[i] else middle + 4.5, shown[i], anchor="end", bold=True)
        )
        front.append(label(WIDTH, middle + 12, counts[i], size=SMALL_SIZE, anchor="end", muted=True))
        y += height
    body += [*drawn, *marks.vertical_grid(scale, ticks, top + 4, y, percent, x_label)]
    if reference is not None:
        body.append(marks.reference_line(scale(reference), top + 4, scale(reference), y))
    words = description or marks.rows_in_words(labels, rows, percent, control_name)
    return document(WIDTH, y + (38 if x_label else 22), body + front, title=title, description=words)


def curves(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    log_x: bool = False,
    percent: bool = False,
    x_ticks: ArrayLike | None = None,
    y_limits: tuple[float, float] | None = None,
    reference: float | None = None,
    reference_label: str = "",
    height: float = 230.0,
    description: str | None = None,
) -> str:
    """Draws lines with bands; lines differ by colour, dashes and marker.

    Args:
        lines: what to draw, in the order of the legend.
        log_x: logarithmic x axis; all x must then be positive.
        x_ticks: where to write numbers on the x axis (thinned where they would touch); None chooses.
        y_limits: ends of the y axis, at which bands and lines are cut; None takes them from the data.
        reference, reference_label: a dashed horizontal line and its name.
        height: of the plotting area, in user units.
        description: the text alternative; None writes the ends of each line out.

    Returns:
        SVG text.

    Raises:
        ValueError: if there is no line, lengths differ, or an x is not positive on a logarithmic axis.
    """
    if not lines:
        raise ValueError("curves need at least one line, got none")
    data = [
        marks.columns(np.ravel(line.x).tolist(), x=line.x, y=line.y, low=line.low, high=line.high)
        for line in lines
    ]
    xs = np.concatenate([values["x"] for values in data])
    x_low, x_high = _x_ends(xs, log_x)
    spread = np.concatenate([values[name] for values in data for name in ("y", "low", "high")])
    include = () if reference is None else (reference,)
    y_ticks = nice_ticks(*(y_limits or limits(spread, percent=percent, include=include)), 5)
    texts = [format_tick(tick, y_ticks, percent) for tick in y_ticks]
    body, top = heading(title, WIDTH)
    keys = [Key(each.name, marks.line_mark(i)) for i, each in enumerate(lines)]
    if reference is not None and reference_label:
        keys.append(Key(reference_label, marks.reference_line(1, 8, 25, 8)))
    drawn, top = legend(keys, 0, top, WIDTH)
    body += drawn
    if y_label:
        body.append(label(0, top + 13, y_label, size=SMALL_SIZE + 0.5, muted=True))
        top += 18
    left = max(text_width(text, SMALL_SIZE) for text in texts) + 8
    across = Scale(x_low, x_high, left + 10, WIDTH - 14, log_x)
    up = Scale(y_ticks[0], y_ticks[-1], top + 8 + height, top + 8)
    for tick, text in zip(y_ticks, texts, strict=True):
        body.append(grid_line(left, up(tick), WIDTH, up(tick), strong=tick == y_ticks[0]))
        body.append(label(left - 6, up(tick) + 4, text, size=SMALL_SIZE, anchor="end"))
    wanted = _few(xs, log_x) if x_ticks is None else np.ravel(x_ticks).tolist()
    body += marks.x_numbers(across, wanted, up.start)
    if x_label:
        middle = (left + WIDTH) / 2
        body.append(label(middle, up.start + 35, x_label, size=SMALL_SIZE + 0.5, anchor="middle", muted=True))
    if reference is not None:
        body.append(marks.reference_line(left, up(reference), WIDTH, up(reference)))
    said = [marks.line_in_words(each.name, values, percent) for each, values in zip(lines, data, strict=True)]
    for values in data:
        for name in ("y", "low", "high"):
            values[name] = np.clip(values[name], y_ticks[0], y_ticks[-1])
    for draw in (marks.band, marks.line):
        body += [part for i, values in enumerate(data) for part in draw(values, across, up, i)]
    bottom = up.start + (44 if x_label else 26)
    return document(WIDTH, bottom, body, title=title, description=description or "; ".join(said))


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
    left = _label_width(labels, format_tick(ticks[0], ticks, percent))
    shown = [format_number(v, percent) for rows in data for v in rows["estimate"].tolist()]
    right = max(text_width(text, SMALL_SIZE, True) for text in shown) + 12
    scale = Scale(ticks[0], ticks[-1], left + 4, WIDTH - max(right, 40.0))
    y, front, thick = top + 4, [], 13.0 if len(series) > 1 else 16.0
    for i, text in enumerate(labels):
        height = marks.row_height(text, left - 6, (thick + 2) * len(series) + 10)
        front += marks.row_label(text, y + height / 2, left - 6)
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
    bottom = y + (38 if x_label else 22)
    return document(WIDTH, bottom, body + front, title=title, description=description or "; ".join(said))


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
    finite = numbers[np.isfinite(numbers)]
    low, high = value_range or ((float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0))
    two_sided = diverging if diverging is not None else low < 0 < high
    if two_sided:
        high = max(abs(low), abs(high))
        low = -high
    span = high - low if high > low else 1.0
    body, top = heading(title, WIDTH)
    left = min(140.0, max(text_width(text, TEXT_SIZE) for text in row_labels) + 10)
    cell = (WIDTH - left) / len(column_labels)
    heads = [wrap(text, cell - 6, SMALL_SIZE) for text in column_labels]
    deepest = max(len(lines) for lines in heads)
    for j, lines in enumerate(heads):
        y = top + 13.0 * (deepest - len(lines)) + 11
        x = left + cell * (j + 0.5)
        body += [label(x, y + 13 * k, line, size=SMALL_SIZE, anchor="middle") for k, line in enumerate(lines)]
    widest = max(text_width(format_number(v, percent), SMALL_SIZE) for v in numbers.ravel().tolist())
    size = SMALL_SIZE if widest <= cell - 2 else SMALL_SIZE - 1.5
    y = top + 13.0 * deepest + 6
    for i, text in enumerate(row_labels):
        lines = wrap(text, left - 8, TEXT_SIZE)
        tall = max(min(cell, 34.0), 15.0 * len(lines) + 4)
        first = y + tall / 2 + 4.5 - 7.5 * (len(lines) - 1)
        body += [label(0, first + 15 * k, line) for k, line in enumerate(lines)]
        for j, value in enumerate(numbers[i].tolist()):
            colour = scale_colour((value - low) / span, DIVERGING if two_sided else SEQUENTIAL)
            x, shown = left + cell * j, format_number(value, percent)
            tip = f"<title>{clean(f'{text}, {column_labels[j]}: {shown}')}</title>"
            body.append(rect(x + 1, y + 1, cell - 2, tall - 2, colour, radius=3, inside=tip))
            brief = shown if text_width(shown, size) <= cell - 2 else shown.replace("0.", ".", 1)
            if text_width(brief, size) <= cell:
                middle = x + cell / 2
                body.append(
                    label(middle, y + tall / 2 + 4, brief, size=size, anchor="middle", fill=ink_on(colour))
                )
        y += tall
    said = [
        f"{text}: "
        + ", ".join(f"{name} {format_number(v, percent)}" for name, v in zip(column_labels, row, strict=True))
        for text, row in zip(row_labels, numbers.tolist(), strict=True)
    ]
    return document(WIDTH, y + 4, body, title=title, description=description or "; ".join(said))


def _label_width(labels: Sequence[str], first_tick: str) -> float:
    """Width of the column of row labels: what they need, up to a limit beyond which they wrap.

    Never less than half of the first number of the axis, which is centred on the right end of the column.
    """
    needed = max(text_width(text, TEXT_SIZE) for text in labels) + 10
    return max(min(marks.LEFT_MOST, needed), text_width(first_tick, SMALL_SIZE) / 2)


def _few(x: np.ndarray, log: bool) -> list[float] | None:
    """The x themselves as ticks where they are few whole numbers, such as sizes of mazes."""
    distinct = np.unique(x[np.isfinite(x)])
    whole = len(distinct) <= 15 and bool((distinct == np.rint(distinct)).all())
    return distinct.tolist() if whole and not log else None


def _x_ends(x: np.ndarray, log: bool) -> tuple[float, float]:
    """Ends of an x axis; raises ValueError where a logarithm does not exist."""
    low, high = float(np.nanmin(x)), float(np.nanmax(x))
    if log and low <= 0:
        raise ValueError(f"a logarithmic x axis needs positive x, got {low:g}")
    if low == high:
        return (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
    return low, high
