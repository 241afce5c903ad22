"""What the charts draw into their axes: intervals, bars, lines, bands, and the words for all of them.

Rows of numbers are dicts of [R] arrays made by `columns`; a number that is missing is nan and is not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from goalscope.plots.charts.axes import (
    NOTHING,
    Scale,
    format_log,
    format_number,
    format_tick,
    log_ticks,
    nice_ticks,
    thin,
)
from goalscope.plots.palette import BLUE, INK, MUTED, PAPER, category, dash
from goalscope.plots.svg import SMALL_SIZE, grid_line, label, num, rect

_CONTROL = f'class="gs-muted-line" stroke="{MUTED}"'


def columns(labels: Sequence[object], **given: ArrayLike | None) -> dict[str, np.ndarray]:
    """[R] float arrays by name, one number for each label; nan where nothing was given.

    Raises:
        ValueError: if there is no label, or an array has another length.
    """
    if not len(labels):
        raise ValueError("nothing to draw: the chart has no row")
    rows = {}
    for name, values in given.items():
        column = np.full(len(labels), np.nan) if values is None else np.asarray(values, dtype=float).ravel()
        if len(column) != len(labels):
            raise ValueError(f"{name} has {len(column)} numbers for {len(labels)} rows")
        rows[name] = column
    return rows


def interval_mark(x: float, y: float, low: float, high: float, kind: str) -> str:
    """A point with its interval: a blue disc for an "estimate", a thin grey diamond for a "control".

    Arguments are user units; an interval that is not finite is left out.
    """
    control = kind == "control"
    stroke = _CONTROL if control else f'stroke="{BLUE}"'
    parts = []
    if math.isfinite(low) and math.isfinite(high):
        cap = 3.0 if control else 4.5
        ends = f"M{num(low)} {num(y - cap)}v{num(2 * cap)}M{num(high)} {num(y - cap)}v{num(2 * cap)}"
        shape = f"M{num(low)} {num(y)}H{num(high)}{ends}"
        parts.append(f'<path d="{shape}" fill="none" {stroke} stroke-width="{"1.3" if control else "2.4"}"/>')
    if math.isfinite(x) and control:
        diamond = f"M{num(x)} {num(y - 5)}l5 5l-5 5l-5 -5Z"
        parts.append(f'<path d="{diamond}" class="gs-muted-line gs-hollow" fill="{PAPER}" stroke="{MUTED}" ')
        parts.append('stroke-width="1.5"/>')
    elif math.isfinite(x):
        parts.append(f'<circle cx="{num(x)}" cy="{num(y)}" r="4.6" fill="{BLUE}"/>')
    return "".join(parts)


def forest_row(row: Mapping[str, float], scale: Scale, middle: float, paired: bool) -> list[str]:
    """One row of a forest: the estimate, and below it the control where the forest has controls."""
    if not math.isfinite(row["estimate"]):
        marks = [label(scale.start, middle + 4.5, "not estimated", size=SMALL_SIZE, muted=True)]
    else:
        at = [
            scale(row[name]) if math.isfinite(row[name]) else math.nan for name in ("estimate", "low", "high")
        ]
        marks = [interval_mark(at[0], middle - (6 if paired else 0), at[1], at[2], "estimate")]
    if math.isfinite(row["control"]):
        names = ("control", "control_low", "control_high")
        at = [scale(row[name]) if math.isfinite(row[name]) else math.nan for name in names]
        marks.append(interval_mark(at[0], middle + 8, at[1], at[2], "control"))
    return marks


def bar_row(
    row: Mapping[str, float], scale: Scale, y: float, thick: float, index: int, percent: bool
) -> list[str]:
    """One bar from 0 with its whisker and its number."""
    value = row["estimate"]
    if not math.isfinite(value):
        return [label(scale(0.0) + 6, y + 4, "none", size=SMALL_SIZE, muted=True)]
    left, right = sorted((scale(0.0), scale(value)))
    long = max(right - left, 0.8)
    marks = [rect(left, y - thick / 2, long, thick, category(index), radius=1.5)]
    far = right
    if math.isfinite(row["low"]) and math.isfinite(row["high"]):
        low, high = scale(row["low"]), scale(row["high"])
        shape = f"M{num(low)} {num(y)}H{num(high)}M{num(low)} {num(y - 3)}v6M{num(high)} {num(y - 3)}v6"
        marks.append(f'<path d="{shape}" class="gs-ink-line" stroke="{INK}" stroke-width="1.3" fill="none"/>')
        far = max(far, high)
    marks.append(label(far + 5, y + 4, format_number(value, percent), size=SMALL_SIZE, bold=True))
    return marks


def vertical_grid(
    scale: Scale, ticks: Sequence[float], top: float, bottom: float, percent: bool, x_label: str
) -> list[str]:
    """Grid lines of a horizontal axis, their numbers below, and the axis label below these."""
    texts = [format_tick(tick, ticks, percent) for tick in ticks]
    body = [grid_line(scale(tick), top, scale(tick), bottom) for tick in ticks]
    for i in thin(texts, [scale(tick) for tick in ticks]):
        body.append(label(scale(ticks[i]), bottom + 15, texts[i], size=SMALL_SIZE, anchor="middle"))
    if x_label:
        body.append(axis_label((scale.start + scale.end) / 2, bottom + 32, x_label))
    return body


def axis_label(middle: float, y: float, text: str) -> str:
    """What an axis measures, below its numbers."""
    return label(middle, y, text, size=SMALL_SIZE + 0.5, anchor="middle", muted=True)


def foot(x_label: str) -> float:
    """The height that the numbers of a horizontal axis take below it, with its label where it has one."""
    return 38.0 if x_label else 22.0


def reference_line(x1: float, y1: float, x2: float, y2: float) -> str:
    """A dashed line at a number that matters."""
    shape = f'<path d="M{num(x1)} {num(y1)}L{num(x2)} {num(y2)}" fill="none" stroke-dasharray="4 3"'
    return f'{shape} class="gs-ink-line" stroke="{INK}" stroke-width="1.2"/>'


def line_mark(index: int) -> str:
    """The legend's sample of the `index`-th line: colour, dashes and marker."""
    pattern = f' stroke-dasharray="{dash(index)}"' if dash(index) else ""
    stroke = f'<path d="M1 8H25" stroke="{category(index)}" stroke-width="2.4"{pattern} fill="none"/>'
    return stroke + _marker(13, 8, index)


def x_numbers(
    scale: Scale, wanted: Sequence[float] | None, base: float, names: Mapping[float, str] | None = None
) -> list[str]:
    """Numbers, or their names, and small ticks along the x axis at height `base`, thinned where they would touch."""
    if wanted is not None:
        ticks = [tick for tick in wanted if scale.low <= tick <= scale.high]
    else:
        found = log_ticks(scale.low, scale.high) if scale.log else nice_ticks(scale.low, scale.high, 5)
        slack = 1e-9 * abs(scale.high)
        ticks = [tick for tick in found if scale.low - slack <= tick <= scale.high + slack]
    texts = [format_log(tick) if scale.log else format_tick(tick, ticks) for tick in ticks]
    texts = [(names or {}).get(tick, text) for tick, text in zip(ticks, texts, strict=True)]
    body = []
    for i in thin(texts, [scale(tick) for tick in ticks]):
        x = scale(ticks[i])
        body.append(grid_line(x, base, x, base + 4, strong=True))
        body.append(label(x, base + 17, texts[i], size=SMALL_SIZE, anchor="middle"))
    return body


def band(values: Mapping[str, np.ndarray], across: Scale, up: Scale, index: int) -> list[str]:
    """The interval of a line as a shaded band; one piece for each run of finite points."""
    body = []
    known = np.isfinite(values["low"]) & np.isfinite(values["high"]) & np.isfinite(values["x"])
    for run in _runs(known):
        there = [f"{num(across(values['x'][i]))} {num(up(values['high'][i]))}" for i in run]
        back = [f"{num(across(values['x'][i]))} {num(up(values['low'][i]))}" for i in reversed(run)]
        body.append(f'<path d="M{"L".join(there + back)}Z" fill="{category(index)}" fill-opacity=".17"/>')
    return body


def line(values: Mapping[str, np.ndarray], across: Scale, up: Scale, index: int) -> list[str]:
    """A line with its markers; dense lines go without markers."""
    body, marked = [], len(values["x"]) <= 16
    pattern = f' stroke-dasharray="{dash(index)}"' if dash(index) else ""
    for run in _runs(np.isfinite(values["y"]) & np.isfinite(values["x"])):
        points = [(across(values["x"][i]), up(values["y"][i])) for i in run]
        shape = "L".join(f"{num(x)} {num(y)}" for x, y in points)
        stroke = f'fill="none" stroke="{category(index)}" stroke-width="2.2" stroke-linejoin="round"{pattern}'
        body.append(f'<path d="M{shape}" {stroke}/>')
        body += [_marker(x, y, index) for x, y in points] if marked or len(points) == 1 else []
    return body


def rows_in_words(
    labels: Sequence[str], rows: Mapping[str, np.ndarray], percent: bool, control_name: str = "control"
) -> str:
    """The numbers of a forest or of bars as a sentence, for the text alternative."""

    def said(i: int, names: Sequence[str]) -> str:
        value, low, high = (format_number(rows[name][i], percent) for name in names)
        return value if low == high == NOTHING else f"{value} ({low} to {high})"

    parts = []
    for i, text in enumerate(labels):
        part = f"{text} {said(i, ('estimate', 'low', 'high'))}"
        if "control" in rows and math.isfinite(rows["control"][i]):
            part += f", {control_name} {said(i, ('control', 'control_low', 'control_high'))}"
        parts.append(part)
    return "; ".join(parts)


def line_in_words(name: str, values: Mapping[str, np.ndarray], percent: bool) -> str:
    """Both ends of a line as a sentence, for the text alternative."""
    known = np.flatnonzero(np.isfinite(values["y"]))
    if not len(known):
        return f"{name}: no points"
    ends = [
        f"{format_number(float(values['y'][i]), percent)} at {values['x'][i]:g}"
        for i in (known[0], known[-1])
    ]
    return f"{name}: {ends[0]}" + (f" to {ends[1]}" if len(known) > 1 else "")


def _marker(x: float, y: float, index: int) -> str:
    """A small disc, square, triangle or diamond in the colour of its line."""
    shapes = (
        f"M{num(x - 3.4)} {num(y)}a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0 -6.8 0Z",
        f"M{num(x - 3.1)} {num(y - 3.1)}h6.2v6.2h-6.2Z",
        f"M{num(x)} {num(y - 4)}l4 7h-8Z",
        f"M{num(x)} {num(y - 4.4)}l4.4 4.4l-4.4 4.4l-4.4 -4.4Z",
    )
    return f'<path d="{shapes[index % 4]}" fill="{category(index)}"/>'


def _runs(known: np.ndarray) -> list[list[int]]:
    """Indices of consecutive true entries, run by run."""
    runs: list[list[int]] = []
    for i in np.flatnonzero(known).tolist():
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs
