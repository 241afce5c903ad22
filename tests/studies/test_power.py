"""What effect would have been found: by the formula, against samples that are drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from goalscope.studies.power import POWER, TAIL, error_of, smallest_effect


def test_an_effect_of_this_size_is_found_four_times_in_five() -> None:
    n, rng = 60, np.random.default_rng(0)
    least = smallest_effect(1 / math.sqrt(n), freedom=n - 1)
    drawn = rng.normal(least, 1, (20_000, n))
    statistic = drawn.mean(1) / (drawn.std(1, ddof=1) / math.sqrt(n))
    assert (statistic > scipy_stats.t.isf(TAIL, n - 1)).mean() == pytest.approx(POWER, abs=0.01)


def test_a_stricter_test_and_fewer_degrees_of_freedom_need_a_larger_effect() -> None:
    assert smallest_effect(1) == pytest.approx(2.8016, abs=1e-4)
    assert smallest_effect(1, tail=0.001) > smallest_effect(1)
    assert smallest_effect(1, freedom=5) > smallest_effect(1)
    assert smallest_effect(3) == pytest.approx(3 * smallest_effect(1))


def test_the_error_is_read_off_a_normal_interval() -> None:
    low, high = scipy_stats.norm.interval(0.95, 2.0, 0.25)
    assert error_of(low, high) == pytest.approx(0.25)
