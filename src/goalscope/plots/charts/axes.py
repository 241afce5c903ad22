"""Axes for the charts: scales, nice ticks, and how their numbers are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from goalscope.plots.svg import SMALL_SIZE, text_width

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Scale:
    """A map from data to user units.

    Attributes:
        low, high: the data at both ends; `low < high`, and `low > 0` where `log`.
        start, end: user units at `low` and `high`.
        log: logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, 1e-300))
        return self.start + (self.end - self.start) * (value - low) / (high - low)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten that cover [low, high] with about `count` steps.

    The first is at or below `low`, the last at or above `high`. A range that is next to nothing is widened.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return [0.0, 1.0]
    if high - low <= 1e-7 * max(abs(low), abs(high)):
        pad = 0.5 * abs(low) or 0.5
        low, high = low - pad, high + pad
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within [low, high], with 2 and 5 between them where there are fewer than three."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for multiples in ((1,), (1, 3), (1, 2, 5)):
        ticks = [m * 10.0**e for e in range(first, last + 1) for m in multiples]
        kept = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(kept) >= 3:
            break
    return kept or [low, high]


def limits(values: Iterable[float], *, percent: bool, include: Sequence[float] = ()) -> tuple[float, float]:
    """Least and greatest finite value; shares near the whole range take all of it, 0 to 1."""
    numbers = np.array([*values, *include], dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return 0.0, 1.0
    low, high = float(numbers.min()), float(numbers.max())
    if percent and low >= 0 and high <= 1 and high - low > 0.3:
        return 0.0, 1.0
    return low, high


def format_tick(value: float, ticks: Sequence[float], percent: bool = False) -> str:
    """`value` with as many decimals as the spacing of `ticks` needs; thousands as k, millions as M."""
    factor = 100.0 if percent else 1.0
    gaps = [abs(b - a) * factor for a, b in pairwise(ticks) if b != a]
    step = min(gaps) if gaps else abs(value * factor) or 1.0
    shown, suffix = value * factor, "%" if percent else ""
    if not percent and max(map(abs, ticks), default=0.0) >= 10_000:
        unit, suffix = (1e6, "M") if max(map(abs, ticks)) >= 1e6 else (1e3, "k")
        shown, step = shown / unit, step / unit
    if step < 1e-5:
        return (f"{shown:g}" + suffix).replace("-", MINUS)
    decimals = next((d for d in range(6) if abs(step * 10**d - round(step * 10**d)) < 1e-6 * step * 10**d), 6)
    text = f"{shown:.{decimals}f}"
    if float(text) == 0:
        return "0" + ("%" if percent else "")
    return text.replace("-", MINUS) + suffix


def format_log(value: float) -> str:
    """A tick of a logarithmic axis: 0.01, 3, 20k, 1M."""
    for unit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit * 0.9999:
            return f"{value / unit:g}{suffix}"
    return f"{value:g}"


def format_number(value: float, percent: bool = False) -> str:
    """A number beside a mark: percent, or about three significant digits."""
    if not math.isfinite(value):
        return NOTHING
    if percent:
        shown = 100 * value
        text = f"{shown:.0f}" if 10 <= abs(shown) <= 99 or round(shown, 1) in (0, 100) else f"{shown:.1f}"
        return (text if text.strip("-0.") else text.removeprefix("-")).replace("-", MINUS) + "%"
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}".replace("-", MINUS)
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return text.replace("-", MINUS)


def thin(
    labels: Sequence[str], positions: Sequence[float], size: float = SMALL_SIZE, gap: float = 6.0
) -> list[int]:
    """Indices of centred labels that fit along a line without touching: all, or each second, third, …"""
    for step in range(1, len(labels) + 1):
        kept = list(range(0, len(labels), step))
        ends = [(positions[i], text_width(labels[i], size) / 2) for i in kept]
        if all(abs(b[0] - a[0]) >= a[1] + b[1] + gap for a, b in pairwise(ends)):
            return kept
    return [0] if labels else []
