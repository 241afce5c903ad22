"""Intervals: known formulas, coverage by simulation, honest ends where the data show no spread."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats

from goalscope.stats import (
    Estimate,
    binomial_interval,
    bootstrap,
    bootstrap_clustered,
    bootstrap_difference,
    bootstrap_mean,
    bootstrap_ratio,
    percentile_interval,
    resample_counts,
    trimmed_mean,
)


def test_mean_interval_is_near_the_normal_one_for_normal_data():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    result = bootstrap_mean(values, resamples=4000)
    half = 1.96 * values.std(ddof=1) / 20
    assert result.estimate == pytest.approx(values.mean(), abs=1e-12)
    assert result.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert result.high == pytest.approx(values.mean() + half, abs=0.15 * half)
    assert result.n == 400


@pytest.mark.parametrize("confidence", [0.9, 0.99, 1 - 0.05 / 12])
def test_an_interval_of_another_confidence_is_that_of_clopper_and_pearson(confidence):
    values = np.arange(40) < 29
    result = bootstrap_mean(values, confidence=confidence, resamples=60_000)
    exact = scipy_stats.binomtest(29, 40).proportion_ci(confidence)
    assert [result.low, result.high] == pytest.approx([exact.low, exact.high], abs=0.01)
    with pytest.raises(ValueError, match="another than 95% needs bounds"):
        bootstrap_mean(values.astype(float), confidence=0.9)


def test_bca_limits_of_any_statistic_are_those_of_scipy():
    values = np.random.default_rng(2).lognormal(size=80)
    theirs = scipy_stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=20_000, rng=np.random.default_rng(0)
    )
    ours = bootstrap(_mean_of(values), 80, resamples=20_000)
    width = ours.high - ours.low
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.04 * width)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.04 * width)
    percentile = np.quantile(
        values[np.random.default_rng(0).integers(0, 80, (20_000, 80))].mean(axis=1), 0.975
    )
    assert ours.high > percentile + 0.04 * width  # the correction for skewness is there


def _mean_of(values):
    return lambda counts: counts @ values / counts.sum(axis=1)


def _coverage(draw, interval, truth: float, runs: int) -> tuple[float, float, float]:
    rng = np.random.default_rng(0)
    results = [interval(draw(rng)) for _ in range(runs)]
    below = sum([r.low > truth for r in results]) / runs
    above = sum([r.high < truth for r in results]) / runs
    return 1 - below - above, below, above


@pytest.mark.parametrize("chance", [0.5, 0.9, 0.99])
def test_coverage_of_a_share_holds_at_the_edge_on_both_sides(chance):
    covered, below, above = _coverage(
        lambda rng: rng.random(100) < chance, lambda v: bootstrap_mean(v, resamples=500), chance, 500
    )
    assert covered >= 0.94
    assert max(below, above) <= 0.045


def test_coverage_of_clustered_values_and_its_control():
    def draw(rng):
        level = np.repeat(np.arange(50), 20)
        return rng.normal(size=50)[level] + 0.1 * rng.normal(size=1000), level

    covered, _, _ = _coverage(draw, lambda d: bootstrap_clustered(*d, resamples=400), 0.0, 400)
    assert 0.91 <= covered <= 0.98
    # Squares taken for independent samples would be far too sure of themselves.
    naive, _, _ = _coverage(draw, lambda d: bootstrap_mean(d[0], resamples=400), 0.0, 100)
    assert naive < 0.5


@pytest.mark.parametrize("successes,trials", [(0, 1), (1, 1), (50, 50), (0, 1000), (1000, 1000), (7, 20)])
def test_bounded_mean_of_zeros_and_ones_is_clopper_pearson(successes, trials):
    values = np.arange(trials) < successes
    ours = bootstrap_mean(values, resamples=20_000)
    exact = binomial_interval(successes, trials)
    reference = scipy_stats.binomtest(successes, trials).proportion_ci(method="exact")
    assert (exact.low, exact.high) == pytest.approx((reference.low, reference.high), abs=1e-12)
    slack = 0.05 * (exact.high - exact.low)
    assert ours.low == pytest.approx(exact.low, abs=slack)
    assert ours.high == pytest.approx(exact.high, abs=slack)


def test_all_ones_are_not_certainty():
    result = bootstrap_mean(np.ones(100), bounds=(0, 1))
    assert result.estimate == result.high == 1
    assert 0.955 < result.low < 0.972


def test_levels_that_never_differ_give_no_interval_and_exclude_nothing():
    same = bootstrap_mean(np.full(20, 0.1))
    assert same.estimate == pytest.approx(0.1) and same.low == same.high == same.estimate
    flat = bootstrap(lambda counts: 0.7 * counts.sum(axis=1) / 20, 20)
    for value in (same, flat, trimmed_mean(np.full(20, 0.1))):
        assert not value.has_interval and not value.excludes(0)
    assert str(same) == "0.100 (no interval, n = 20)"
    single = bootstrap_mean(np.array([4.0]))
    assert (single.low, single.high, single.n) == (-math.inf, math.inf, 1)
    assert not single.excludes(0) and not single.has_interval
    alone = bootstrap(lambda counts: counts[:, 0], 1)
    assert (alone.low, alone.high) == (-math.inf, math.inf)
    assert bootstrap_mean(np.ones(20), bounds=(0, 1)).excludes(0)  # bounds say what has not been seen


def test_bounded_interval_is_near_the_bootstrap_inside_the_bounds():
    values = np.random.default_rng(3).uniform(0.2, 0.8, 2000)
    bounded, free = bootstrap_mean(values, bounds=(0, 1)), bootstrap_mean(values)
    width = free.high - free.low
    assert bounded.low == pytest.approx(free.low, abs=0.15 * width)
    assert bounded.high == pytest.approx(free.high, abs=0.15 * width)


def test_paired_difference_uses_the_pairing():
    rng = np.random.default_rng(5)
    base = rng.normal(0, 10, 200)
    result = bootstrap_difference(base + 1 + 0.1 * rng.normal(size=200), base)
    assert result.excludes(0) and result.high - result.low < 0.1
    assert not bootstrap_difference(base, base + 0.1 * rng.normal(size=200)).excludes(0)
    booleans = bootstrap_difference(np.ones(10, bool), np.ones(10, bool))
    assert booleans.low < 0 < booleans.high


def test_ratio_is_the_pooled_mean_and_empty_levels_do_not_count():
    values, level = np.array([1.0, 2.0, 3.0, 10.0]), np.array([7, 7, 7, 9])
    clustered = bootstrap_clustered(values, level)
    ratio = bootstrap_ratio(np.array([6.0, 0.0, 10.0]), np.array([3, 0, 1]))
    assert clustered == ratio
    assert clustered.estimate == 4.0 and clustered.n == 2
    # Two levels hold no more than one degree of freedom: 12.7 standard errors each way.
    assert clustered.low < -20 and clustered.high > 28


def test_rounding_does_not_tip_ties():
    # Of 5 levels 4% of the resamples are the data again; rounding must not put them below or above the mean.
    values = np.random.default_rng(9).normal(size=5)
    plain = bootstrap(_mean_of(values), 5)
    for factor in np.linspace(0.1, 3, 40):
        assert bootstrap(_mean_of(values * factor), 5).low == pytest.approx(plain.low * factor, abs=1e-9)


def test_same_seed_same_bits_other_seed_other_bits():
    values = np.random.default_rng(6).random(50)
    first, again, other = (bootstrap_mean(values, bounds=(0, 1), seed=seed) for seed in (1, 1, 2))
    assert first == again and first != other
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=2)  # without bounds: a formula


def test_blocks_of_many_levels_are_as_good_as_one():
    values = np.random.default_rng(7).normal(size=5000)  # 2,000 resamples of these do not fit one block
    result = bootstrap(_mean_of(values), 5000)
    assert result.high - result.low == pytest.approx(2 * 1.96 / math.sqrt(5000), rel=0.1)
    assert resample_counts(5000, resamples=600).shape == (600, 5000)


def test_resample_counts_are_samples_with_replacement():
    counts = resample_counts(30, resamples=4000)
    assert (counts.sum(axis=1) == 30).all()
    assert counts.var() == pytest.approx(29 / 30, rel=0.03)
    low, high = percentile_interval(np.stack([np.arange(1001.0), -np.arange(1001.0)], axis=1))
    assert np.allclose(low, [25, -975]) and np.allclose(high, [975, -25])


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1)))
def test_bounded_interval_holds_its_estimate_stays_in_bounds_and_mirrors(values):
    result = bootstrap_mean(values, bounds=(0, 1), resamples=200)
    assert 0 <= result.low <= result.estimate <= result.high <= 1
    assert result.low < 1 and result.high > 0
    mirrored = bootstrap_mean(1 - values, bounds=(0, 1), resamples=200)
    assert mirrored.low == pytest.approx(1 - result.high, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.integers(2, 30), elements=st.floats(-1e6, 1e6)))
def test_unbounded_interval_holds_its_estimate_moves_with_the_data_and_mirrors(values):
    result = bootstrap_mean(values)
    assert result.low <= result.estimate <= result.high
    # (It may leave the data: from a few levels the mean of all can lie beyond any that was seen.)
    slack = 1e-6 * (1 + np.abs(values).max())
    moved, mirrored = bootstrap_mean(3 * values), bootstrap_mean(-values)
    if result.high - result.low > slack:
        assert (moved.low, moved.high) == pytest.approx((3 * result.low, 3 * result.high), abs=slack)
        assert (mirrored.low, mirrored.high) == pytest.approx((-result.high, -result.low), abs=slack)


def test_a_thousand_levels_take_milliseconds():
    values = np.random.default_rng(8).random(1000)
    bootstrap_mean(values, bounds=(0, 2))
    start = time.process_time()
    bootstrap_mean(values * 2, bounds=(0, 2))
    assert time.process_time() - start < 0.25  # measured 3 ms; the room is for a busy machine


@pytest.mark.parametrize(
    "call,match",
    [
        (lambda: bootstrap_mean(np.array([])), "at least one level"),
        (lambda: bootstrap_mean(np.array([0.0, np.nan])), r"NaN or infinity first at index \[1\]"),
        (lambda: bootstrap_mean(np.array([0.0, 1.5]), bounds=(0, 1)), "leave the bounds"),
        (lambda: bootstrap_mean(np.zeros(3), bounds=(1, 0)), r"must be \(least, greatest\)"),
        (lambda: bootstrap_mean(np.zeros((2, 2))), r"\[N\]"),
        (lambda: bootstrap_mean(np.zeros(3), resamples=0), "resamples must be at least 1"),
        (lambda: trimmed_mean(np.zeros((2, 2))), r"\[N\]"),
        (lambda: trimmed_mean(np.array([])), "at least one level"),
        (lambda: trimmed_mean(np.zeros(3), trim=0.5), "below 0.5"),
        (lambda: bootstrap_clustered(np.zeros(3), np.zeros(2)), "one length"),
        (
            lambda: bootstrap_clustered(np.array([0.5, 2.0, -1.0]), np.zeros(3), bounds=(0, 1)),
            "leave the bounds",
        ),
        (lambda: bootstrap_difference(np.zeros(3), np.zeros(2)), "one shape"),
        (lambda: bootstrap_ratio(np.ones(2), np.array([1, 0])), "count 0 must be 0"),
        (lambda: bootstrap_ratio(np.ones(2), np.array([1, -1])), "must be >= 0"),
        (lambda: bootstrap(lambda c: c[:, 0] / c[:, 1], 2), "not finite on"),
        (lambda: bootstrap(lambda c: c[:, 0], 0), "at least 1 level"),
        (lambda: resample_counts(0), "at least 1"),
        (lambda: binomial_interval(3, 2), "successes <= trials"),
    ],
)
def test_errors_say_what_is_wrong(call, match):
    with np.errstate(divide="ignore", invalid="ignore"), pytest.raises(ValueError, match=match):
        call()


def test_estimate_reads_well_and_is_frozen():
    value = Estimate(0.5, 0.25, 0.75, 8)
    assert str(value) == "0.500 [0.250, 0.750] (n = 8)"
    assert value.excludes(0.2) and value.excludes(0.8) and not value.excludes(0.25)
    with pytest.raises(AttributeError):
        value.low = 0  # type: ignore[misc]
