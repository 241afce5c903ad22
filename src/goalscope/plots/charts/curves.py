"""Lines with bands over a common axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from goalscope.plots.charts import marks
from goalscope.plots.charts.axes import Scale, format_tick, limits, nice_ticks
from goalscope.plots.charts.layout import WIDTH
from goalscope.plots.svg import (
    SMALL_SIZE,
    Key,
    document,
    grid_line,
    heading,
    label,
    legend,
    text_width,
)

_HEIGHTS = ("y", "low", "high")


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


def curves(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    log_x: bool = False,
    percent: bool = False,
    x_ticks: ArrayLike | None = None,
    x_names: Sequence[str] | None = None,
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
        x_names: what to write in place of the numbers, one for each of `x_ticks`, such as names of layers.
        y_limits: ends of the y axis, at which bands and lines are cut; None takes them from the data.
        reference, reference_label: a dashed horizontal line and its name.
        height: of the plotting area, in user units.
        description: the text alternative; None writes the ends of each line out.

    Returns:
        SVG text.

    Raises:
        ValueError: if there is no line, lengths differ (names and ticks too), or an x is not positive on a logarithmic axis.
    """
    data = _columns(lines)
    xs = np.concatenate([values["x"] for values in data])
    x_low, x_high = _x_ends(xs, log_x)
    spread = np.concatenate([values[name] for values in data for name in _HEIGHTS])
    include = () if reference is None else (reference,)
    ticks = nice_ticks(*(y_limits or limits(spread, percent=percent, include=include)), 5)
    body, top = heading(title, WIDTH)
    entries, top = legend(_keys(lines, reference_label if reference is not None else ""), 0, top, WIDTH)
    body += entries
    if y_label:
        body.append(label(0, top + 13, y_label, size=SMALL_SIZE + 0.5, muted=True))
        top += 18
    up = Scale(ticks[0], ticks[-1], top + 8 + height, top + 8)
    left, rungs = _rungs(up, ticks, percent)
    across = Scale(x_low, x_high, left + 10, WIDTH - 14, log_x)
    wanted = _few(xs, log_x) if x_ticks is None else np.ravel(x_ticks).tolist()
    names = None if x_names is None else dict(zip(wanted or (), x_names, strict=True))
    body += [*rungs, *marks.x_numbers(across, wanted, up.start, names)]
    body += [marks.axis_label((left + WIDTH) / 2, up.start + 35, x_label)] if x_label else []
    if reference is not None:
        body.append(marks.reference_line(left, up(reference), WIDTH, up(reference)))
    said = [marks.line_in_words(each.name, values, percent) for each, values in zip(lines, data, strict=True)]
    cut = [values | {name: np.clip(values[name], up.low, up.high) for name in _HEIGHTS} for values in data]
    for draw in (marks.band, marks.line):
        body += [part for i, values in enumerate(cut) for part in draw(values, across, up, i)]
    bottom = up.start + (44 if x_label else 26)
    return document(WIDTH, bottom, body, title=title, description=description or "; ".join(said))


def _columns(lines: Sequence[Line]) -> list[dict[str, np.ndarray]]:
    """The points of each line; raises ValueError where there is none, or lengths differ."""
    if not lines:
        raise ValueError("curves need at least one line, got none")
    return [
        marks.columns(np.ravel(line.x).tolist(), x=line.x, y=line.y, low=line.low, high=line.high)
        for line in lines
    ]


def _keys(lines: Sequence[Line], reference: str) -> list[Key]:
    """The legend: the lines, and the reference where it has a name."""
    keys = [Key(each.name, marks.line_mark(i)) for i, each in enumerate(lines)]
    return [*keys, Key(reference, marks.reference_line(1, 8, 25, 8))] if reference else keys


def _rungs(up: Scale, ticks: Sequence[float], percent: bool) -> tuple[float, list[str]]:
    """The grid lines of the y axis with their numbers at the left; returns the x where the lines begin, and elements."""
    texts = [format_tick(tick, ticks, percent) for tick in ticks]
    left = max(text_width(text, SMALL_SIZE) for text in texts) + 8
    body = []
    for tick, text in zip(ticks, texts, strict=True):
        body.append(grid_line(left, up(tick), WIDTH, up(tick), strong=tick == ticks[0]))
        body.append(label(left - 6, up(tick) + 4, text, size=SMALL_SIZE, anchor="end"))
    return left, body


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
