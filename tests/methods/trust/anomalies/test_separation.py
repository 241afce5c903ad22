"""How well scores separate, and whether the intervals hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from goalscope.methods.trust.anomalies.separation import separation


def test_it_is_the_share_of_pairs_in_order_and_of_hits_above_the_threshold():
    found = separation(np.array([1.0, 2, 3]), np.array([0.0, 2, 2.5]), np.arange(3), np.arange(3))
    assert found.auroc.estimate == pytest.approx((1 + 1.5 + 3) / 9)
    assert found.found.estimate == pytest.approx(1 / 3) and found.false == 0
    rng = np.random.default_rng(0)
    benign = rng.standard_normal(1000)
    found = separation(rng.standard_normal(500) + 3, benign, np.arange(500), np.arange(1000))
    assert found.false == pytest.approx(0.01)
    assert found.found.estimate == pytest.approx(norm.sf(norm.isf(0.01) - 3), abs=0.06)


def test_scores_that_separate_all_samples_seen_leave_an_interval():
    found = separation(np.ones(20), np.zeros(30), np.arange(20), np.arange(30))
    assert found.auroc.estimate == 1 and 0.75 < found.auroc.low < 0.95 and found.auroc.has_interval
    assert found.found.estimate == 1 and found.found.low < 0.9


def test_intervals_hold_the_truth_with_levels_as_the_unit():
    truth = {"auroc": norm.cdf(1.5 / 2**0.5), "found": norm.sf(norm.isf(0.01) - 1.5)}
    rng = np.random.default_rng(1)
    held, samples = {"auroc": 0, "found": 0}, 150
    for _ in range(samples):
        # Three samples a level that differ little: the level is the unit.
        strange, usual = (rng.standard_normal((n, 1)) + 0.1 * rng.standard_normal((n, 3)) for n in (40, 200))
        made = separation(
            strange.ravel() + 1.5, usual.ravel(), np.repeat(np.arange(40), 3), np.repeat(np.arange(200), 3)
        )
        for name in held:
            estimate = getattr(made, name)
            held[name] += estimate.low <= truth[name] <= estimate.high
    assert all(count / samples > 0.92 for count in held.values()), held


def test_bad_scores_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        separation(np.array([]), np.ones(3), np.array([]), np.arange(3))
    with pytest.raises(ValueError, match="not finite in sample 1"):
        separation(np.array([0, np.nan]), np.ones(3), np.arange(2), np.arange(3))
