"""What the charts have in common: their width, and the column of row labels at the left.

All are 420 units wide, so that their lettering stays readable on a phone of 360 pixels, and grow with the
number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from goalscope.plots.svg import SMALL_SIZE, TEXT_SIZE, label, text_width, wrap

WIDTH = 420.0
_LEFT_MOST = 150.0


def label_width(labels: Sequence[str], first_tick: str) -> float:
    """Width of the column of row labels: what they need, up to a limit beyond which they wrap.

    Never less than half of the first number of the axis, which is centred on the right end of the column.
    """
    needed = max(text_width(text, TEXT_SIZE) for text in labels) + 10
    return max(min(_LEFT_MOST, needed), text_width(first_tick, SMALL_SIZE) / 2)


def row_label(text: str, middle: float, width: float) -> list[str]:
    """A label at the left, wrapped to `width` and centred on `middle`."""
    lines = wrap(text, width, TEXT_SIZE) or [""]
    first = middle + 4.5 - 7.5 * (len(lines) - 1)
    return [label(0, first + 15 * i, line) for i, line in enumerate(lines)]


def row_height(text: str, width: float, least: float) -> float:
    """Height that a wrapped label needs."""
    return max(least, 15.0 * len(wrap(text, width, TEXT_SIZE)) + 8)
