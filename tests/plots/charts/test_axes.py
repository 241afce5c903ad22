"""Ticks are round, cover the data and are written without noise; labels that are kept do not touch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalscope.plots.charts import axes
from goalscope.plots.svg import text_width


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (-1.6, 0.4, [-2, -1.5, -1, -0.5, 0, 0.5]),
        (0, 0.013, [0, 0.005, 0.01, 0.015]),
    ],
)
def test_nice_ticks_known(low: float, high: float, expected: list[float]) -> None:
    assert axes.nice_ticks(low, high, 5) == pytest.approx(expected)


@given(st.floats(-1e6, 1e6), st.floats(0.5, 1e6), st.integers(2, 8))
def test_nice_ticks_cover_evenly(low: float, span: float, count: int) -> None:
    ticks = axes.nice_ticks(low, low + span, count)
    assert ticks[0] <= low + 1e-6 * span and ticks[-1] >= low + span - 1e-6 * span
    assert 2 <= len(ticks) <= 2.5 * count + 2
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0], rtol=1e-4, atol=1e-9)


def test_nice_ticks_of_a_point_and_of_nothing() -> None:
    assert axes.nice_ticks(-1e-12, 1e-12, 4) == pytest.approx([-1e-12, -5e-13, 0, 5e-13, 1e-12], abs=1e-20)
    ticks = axes.nice_ticks(3.0, 3.0)
    assert ticks[0] < 3 < ticks[-1]
    assert axes.nice_ticks(float("nan"), 1.0) == [0.0, 1.0]


def test_log_ticks() -> None:
    assert axes.log_ticks(1e3, 1e6) == pytest.approx([1e3, 1e4, 1e5, 1e6])
    assert axes.log_ticks(2, 60) == pytest.approx([3, 10, 30])


def test_linear_and_log_scales() -> None:
    assert axes.Scale(0, 10, 100, 200)(2.5) == 125
    log = axes.Scale(1, 1000, 0, 300, log=True)
    assert [log(x) for x in (1, 10, 100, 1000)] == pytest.approx([0, 100, 200, 300])


@pytest.mark.parametrize(
    ("value", "ticks", "percent", "expected"),
    [
        (5e-13, [0, 5e-13, 1e-12], False, "5e\N{MINUS SIGN}13"),
        (0.25, [0, 0.25, 0.5], True, "25%"),
        (0.025, [0, 0.025, 0.05], True, "2.5%"),
        (0.0, [-0.5, 0, 0.5], False, "0"),
        (-0.5, [-0.5, 0, 0.5], False, "\N{MINUS SIGN}0.5"),
        (2.0, [0, 2, 4], False, "2"),
        (50_000, [0, 50_000, 100_000], False, "50k"),
        (2_500_000, [0, 2_500_000, 5_000_000], False, "2.5M"),
    ],
)
def test_format_tick(value: float, ticks: list[float], percent: bool, expected: str) -> None:
    assert axes.format_tick(value, ticks, percent) == expected


@pytest.mark.parametrize(
    ("value", "percent", "expected"),
    [
        (-0.0004, True, "0%"),
        (0.974, True, "97%"),
        (0.9974, True, "99.7%"),
        (1.0, True, "100%"),
        (0.031, True, "3.1%"),
        (0.0, True, "0%"),
        (-1.2, False, "\N{MINUS SIGN}1.20"),
        (812.0, False, "812"),
        (float("nan"), False, axes.NOTHING),
    ],
)
def test_format_number(value: float, percent: bool, expected: str) -> None:
    assert axes.format_number(value, percent) == expected


def test_limits_take_the_whole_range_of_shares_only_where_the_data_spread() -> None:
    assert axes.limits([0.1, 0.9], percent=True) == (0, 1)
    assert axes.limits([0.95, 0.99], percent=True) == (0.95, 0.99)
    assert axes.limits([float("nan"), 2.0], percent=False, include=(0.0,)) == (0, 2)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30, unique=True))
def test_thinned_labels_do_not_touch(numbers: list[int]) -> None:
    numbers.sort()
    texts, places = [str(n) for n in numbers], list(np.linspace(0, 200, len(numbers)))
    kept = axes.thin(texts, places)
    assert kept[0] == 0
    for a, b in itertools.pairwise(kept):
        gap = places[b] - places[a] - (text_width(texts[a], 11) + text_width(texts[b], 11)) / 2
        assert gap > 0
