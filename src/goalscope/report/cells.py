"""A finding as the texts of a table's cells, the same on every page: the numbers, the intervals, how it stands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from goalscope.evidence.standing import REASONS, Standing, could_differ, standing
from goalscope.report.reading import Row

_SHARES = frozenset(("probability", "share", "fraction", "proportion", "accuracy", "rate"))
"""units whose numbers are told in percent"""


@dataclass(frozen=True)
class Grade:
    """How a finding stands.

    Attributes:
        kind: its standing (`evidence.standing`).
        sign: a character that repeats it for the eye.
        text: the badge.
    """

    kind: Standing
    sign: str
    text: str


def grade(row: Row) -> Grade:
    """The standing of a finding, with the side of its control on which it lies, or why there is no answer."""
    if not math.isfinite(row.estimate):
        return Grade("untested", "?", "untested: not estimated")
    has = math.isfinite(row.control)
    low, high = (x if math.isfinite(x) else row.control for x in (row.control_low, row.control_high))
    kind = standing(row.low, row.high, low if has else None, high if has else None, row.claim, row.invalid)
    if kind == "invalid":
        return Grade(kind, "✗", f"invalid: {REASONS.get(row.invalid, row.invalid)}")
    if kind == "untested":
        return Grade(kind, "?", f"untested: no {'interval' if has else 'control'}")
    if kind == "inconclusive":
        return Grade(kind, "≈", "inconclusive: not distinguishable from control")
    above = row.low > high
    return Grade(kind, "▲" if above else "▼", f"{kind}: {'above' if above else 'below'} control")


def cells(row: Row) -> dict[str, Any]:
    """One finding as the texts of its cells."""
    share = is_share(row.unit)
    return {
        "id": row.id,
        "question": row.question or row.id,
        "estimate": number(row.estimate, share),
        "interval": interval(row.low, row.high, share),
        "unit": row.unit,
        "n": f"{row.n:,}" if row.n >= 0 else "not given",
        "control": number(row.control, share) if math.isfinite(row.control) else "none",
        "control_interval": interval(row.control_low, row.control_high, share),
        "control_name": row.control_name,
        "control_said": said_of_control(row),
        "grade": grade(row),
    }


def said_of_control(row: Row) -> str:
    """Whether the control could have come out otherwise, by `standing.could_differ`; empty where that is not known."""
    low, high = (x if math.isfinite(x) else row.control for x in (row.control_low, row.control_high))
    could = could_differ(row.low, row.high, low, high, row.floor)
    if could is None:
        return ""
    floor = f"its floor, {number(row.floor, is_share(row.unit))}"
    if could:
        return f"could have come out otherwise: off {floor}"
    return f"at {floor}: nothing shows that it could have come out otherwise"


def is_share(unit: str) -> bool:
    """Whether numbers of this unit are told in percent."""
    return unit.strip().lower() in _SHARES


def number(value: float, share: bool = False) -> str:
    """A number for a table: shares as percent with one decimal, others with three significant digits."""
    if not math.isfinite(value):
        return "not estimated"
    if share:
        text = f"{100 * value:.1f}%"
        text = text if text.strip("-0.%") else text.removeprefix("-")
    elif value != 0 and not 1e-3 <= abs(value) < 1e6:
        text = f"{value:.2e}"
    elif abs(value) >= 100:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.{2 if abs(value) >= 0.1 or value == 0 else 4}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def interval(low: float | None, high: float | None, share: bool) -> str:
    """'LOW to HIGH', or nothing where an end is not known or there is no width."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return ""
    return f"{number(low, share)} to {number(high, share)}"
