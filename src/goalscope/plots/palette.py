"""Colours that readers with any colour vision can tell apart.

Categories use the Okabe-Ito set (Okabe & Ito 2008, "Color Universal Design"), without its yellow, which
vanishes on white paper, and without black, which is the ink. Scales are monotone in lightness (sequential) or
symmetric in lightness around a neutral middle (diverging), so they also survive a black-and-white print.
"""

from __future__ import annotations

import math

import numpy as np

INK = "#1f2328"
MUTED = "#57606a"
GRID = "#dde1e6"
PAPER = "#ffffff"

BLUE, VERMILLION, GREEN = "#0072b2", "#d55e00", "#009e73"
PURPLE, ORANGE, SKY = "#cc79a7", "#e69f00", "#56b4e9"
CATEGORIES: tuple[str, ...] = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DASHES: tuple[str, ...] = ("", "7 4", "2 3", "10 3 2 3", "5 2", "1 3")

SEQUENTIAL: tuple[str, ...] = ("#fbf7e4", "#e3e9bf", "#b0d8b5", "#73bfb2", "#439fae", "#2f7ba0", "#2d588a")
DIVERGING: tuple[str, ...] = ("#125f97", "#5a9cc7", "#b3d2e5", "#f6f4f0", "#f4cda9", "#e0914c", "#b5500b")
MISSING = "#cfd2d6"


def category(index: int) -> str:
    """Colour of the `index`-th category; the set repeats after its six colours."""
    return CATEGORIES[index % len(CATEGORIES)]


def dash(index: int) -> str:
    """Dash pattern of the `index`-th line ("" is solid), so that lines differ by more than colour."""
    return DASHES[index % len(DASHES)]


def scale_colour(fraction: float, stops: tuple[str, ...] = SEQUENTIAL) -> str:
    """Colour at `fraction` of a scale.

    Args:
        fraction: position on the scale, clipped to [0, 1]; not a number gives the grey of missing data.
        stops: evenly spaced colours "#rrggbb", `SEQUENTIAL` or `DIVERGING`.

    Returns:
        "#rrggbb".
    """
    if not math.isfinite(fraction):
        return MISSING
    position = min(max(fraction, 0.0), 1.0) * (len(stops) - 1)
    lower = min(int(position), len(stops) - 2)
    weight = position - lower
    low, high = _channels(stops[lower]), _channels(stops[lower + 1])
    mixed = np.rint(low + weight * (high - low)).astype(int)
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" in [0, 1] (WCAG 2.1, "relative luminance")."""
    share = _channels(colour) / 255.0
    linear = np.where(share <= 0.03928, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours "#rrggbb", between 1 and 21 (WCAG 2.1, "contrast ratio")."""
    a, b = luminance(first), luminance(second)
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def ink_on(colour: str) -> str:
    """Dark ink or white, whichever reads better on `colour`."""
    return INK if contrast(INK, colour) >= contrast(PAPER, colour) else PAPER


def _channels(colour: str) -> np.ndarray:
    """[3] the red, green and blue of "#rrggbb", 0 to 255."""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)
