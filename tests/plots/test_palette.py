"""Colours must stay apart for readers who see fewer of them, and scales must be read in one direction."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from goalscope.plots import palette

# Machado, Oliveira & Fernandes 2009, table 1, severity 1.0: linear RGB as two kinds of readers see it.
SEEN = {
    "normal": np.eye(3),
    "protan": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.052]]),
    "deutan": np.array([[0.3673, 0.8606, -0.228], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour: str, vision: str) -> np.ndarray:
    """CIE L*a*b* of "#rrggbb" as that reader sees it."""
    share = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    x, y, z = TO_XYZ @ np.clip(SEEN[vision] @ linear, 0, 1) / (0.9505, 1.0, 1.089)
    fx, fy, fz = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


@pytest.mark.parametrize("vision", SEEN)
def test_categories_stay_apart(vision: str) -> None:
    for first, second in itertools.combinations(palette.CATEGORIES, 2):
        assert np.linalg.norm(lab(first, vision) - lab(second, vision)) > 14, (first, second)


def test_the_measure_catches_a_bad_pair() -> None:
    # Of the same lightness, red and green merge for a deutan reader: the test above must be able to fail.
    assert np.linalg.norm(lab("#b06000", "deutan") - lab("#708000", "deutan")) < 14


def test_sequential_darkens_all_the_way() -> None:
    tones = [palette.luminance(palette.scale_colour(f)) for f in np.linspace(0, 1, 50)]
    assert all(a > b for a, b in itertools.pairwise(tones))


def test_diverging_is_lightest_in_the_middle_and_balanced() -> None:
    tones = [palette.luminance(palette.scale_colour(f, palette.DIVERGING)) for f in np.linspace(0, 1, 51)]
    assert int(np.argmax(tones)) == 25
    assert abs(tones[0] - tones[-1]) < 0.06


def test_scale_ends_middle_and_missing() -> None:
    assert palette.scale_colour(0.0) == palette.SEQUENTIAL[0]
    assert palette.scale_colour(1.0) == palette.SEQUENTIAL[-1] == palette.scale_colour(7.0)
    assert palette.scale_colour(0.5, ("#000000", "#ffffff")) == "#808080"
    assert palette.scale_colour(float("nan")) == palette.MISSING


def test_contrast_of_black_and_white_is_21() -> None:
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("stops", [palette.SEQUENTIAL, palette.DIVERGING])
def test_ink_is_legible_on_every_colour_of_a_scale(stops: tuple[str, ...]) -> None:
    for fraction in np.linspace(0, 1, 40):
        ground = palette.scale_colour(float(fraction), stops)
        assert palette.contrast(palette.ink_on(ground), ground) >= 3.9
