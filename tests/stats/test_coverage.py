"""How often an interval of a mean without bounds holds the truth, by simulation, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from goalscope.stats import bootstrap, bootstrap_clustered, bootstrap_mean, bootstrap_ratio, trimmed_mean
from goalscope.stats.student import _others, _spread, _trace, student_limits, student_ratio

SIZES = (5, 10, 22, 50, 100, 220, 500)
RUNS = 1000
RARE = 9.56
"""standard deviation of one level in a hundred where that of the others is 1: a kurtosis of 70"""


def _draw(kind: str, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers whose true mean is 0."""
    if kind == "normal":
        return rng.normal(size=shape)
    if kind == "exponential":
        return rng.exponential(size=shape) - 1
    if kind == "lognormal":
        return rng.lognormal(size=shape) - np.exp(0.5)
    if kind == "t3":
        return rng.standard_t(3, size=shape)
    if kind == "rare wide":
        return rng.normal(size=shape) * np.where(rng.random(shape) < 0.01, RARE, 1)
    large = rng.random(shape) < 0.015  # "rare large": one level in 67 is far above, none is far below
    return 0.3 * rng.normal(size=shape) + large * (4 + rng.normal(size=shape)) - 0.06


def _covered(low: np.ndarray, high: np.ndarray) -> float:
    """Percentage of the intervals that hold 0."""
    return 100 * float(np.mean((low <= 0) & (high >= 0)))


def _covered_by(interval, samples: np.ndarray) -> float:
    """The same, asking for one sample after the other."""
    low, high = np.array([(e.low, e.high) for e in map(interval, samples)]).T
    return _covered(low, high)


LOWEST = {
    # kind: the lowest coverage that is accepted at each of SIZES, of 95% nominal; 1,000 runs have a standard error of
    # 0.7 points, and what 2,000 runs gave stands in `stats/student.py`: these are two points below.
    "normal": (93, 93, 93, 93, 93, 93, 93),
    "exponential": (90, 92, 93, 93, 93, 93, 93),
    "lognormal": (85, 88, 90, 91, 93, 93, 93),  # nothing reaches 95% from 5 numbers of so long a tail
    "t3": (94, 93, 93, 93, 93, 93, 92),
    "rare wide": (93, 93, 93, 93, 92, 93, 92),
    "rare large": (93, 91, 87, 82, 83, 92, 93),  # what happens in one level of 67 is seen or is not
}


@pytest.mark.parametrize("kind", LOWEST)
def test_the_interval_of_a_mean_without_bounds_covers(kind: str):
    rng = np.random.default_rng(0)
    found = []
    for n in SIZES:
        samples = _draw(kind, rng, (RUNS, n))
        _, low, high = student_limits(samples, np.ones_like(samples))
        found.append(_covered(low, high))
        one = bootstrap_mean(samples[3])  # what is asked for one sample is what was simulated
        assert (one.low, one.high) == pytest.approx((low[3], high[3]), rel=1e-12)
    assert all(f >= least for f, least in zip(found, LOWEST[kind], strict=True)), found
    assert max(found) <= 99  # an interval that held everything would say nothing


def test_the_simulation_notices_an_interval_that_is_too_sure():
    """What stood here before: the bias-corrected and accelerated bootstrap of the same means."""

    def bca(values):
        return bootstrap(lambda counts: counts @ values / counts.sum(axis=1), len(values), resamples=300)

    rng = np.random.default_rng(0)
    for kind, n, most in (("normal", 5, 88), ("lognormal", 22, 90), ("rare wide", 50, 93)):
        assert _covered_by(bca, _draw(kind, rng, (400, n))) < most


def test_for_normal_values_the_interval_is_students_and_hardly_wider():
    values = np.random.default_rng(1).normal(size=(200, 22))
    ours = [bootstrap_mean(row) for row in values]
    theirs = [scipy_stats.t.interval(0.95, 21, row.mean(), row.std(ddof=1) / np.sqrt(22)) for row in values]
    ratio = [(e.high - e.low) / (high - low) for e, (low, high) in zip(ours, theirs, strict=True)]
    assert min(ratio) >= 1 - 1e-9 and np.median(ratio) < 1.06
    symmetric = np.concatenate([values[0], -values[0]])
    exact = scipy_stats.t.interval(0.95, 43, 0, symmetric.std(ddof=1) / np.sqrt(44))
    found = bootstrap_mean(symmetric)
    assert (found.low, found.high) == pytest.approx(exact, abs=1e-12)


def test_skewed_values_get_room_on_the_side_of_their_tail():
    values = np.random.default_rng(2).lognormal(size=50)
    right, left = bootstrap_mean(values), bootstrap_mean(-values)
    assert right.high - right.estimate > 1.2 * (right.estimate - right.low)
    assert left.estimate - left.low > 1.2 * (left.high - left.estimate)


# --- levels of several values -------------------------------------------------------------------------------------


def _sizes(kind: str, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    if kind == "equal":
        return np.full(shape, 4.0)
    if kind == "geometric":
        return rng.geometric(0.1, shape).astype(float)
    return np.ceil(
        rng.lognormal(1, 1.5, shape)
    )  # "unequal": of 22 levels the largest has a third of all values


@pytest.mark.parametrize("kind", ["equal", "geometric", "unequal"])
def test_levels_of_very_unequal_size_are_covered_too(kind: str):
    """A level has a part of its own and noise in each of its values."""
    rng = np.random.default_rng(0)
    found = []
    for n in (5, 10, 22, 50, 220):
        counts = _sizes(kind, rng, (RUNS, n))
        totals = counts * rng.normal(size=counts.shape) + np.sqrt(counts) * rng.normal(size=counts.shape)
        mean, low, high = student_limits(totals, counts)
        found.append(_covered(low, high))
        if (
            kind == "unequal" and n == 22
        ):  # the control: as many degrees of freedom as there are levels, less one
            apart = totals - counts * mean[:, None]
            half = scipy_stats.t.isf(0.025, n - 1) * np.sqrt(np.square(apart).sum(1)) / counts.sum(1)
            assert _covered(mean - half, mean + half) < 90
    assert min(found) >= 93, found


def test_the_standard_error_of_unequal_levels_is_right_on_average_and_has_their_degrees_of_freedom():
    """Against the closed formulas by whole matrices, for levels that differ as much whatever their size."""
    for share in (np.full(6, 1 / 6), np.array([0.5, 0.2, 0.1, 0.1, 0.1]), np.array([1 - 4e-9, *[1e-9] * 4])):
        n, squares = len(share), float(np.square(share).sum())
        residual = np.eye(n) - share
        covariance = residual @ residual.T
        weight = np.square(share / (1 - share))
        whole = np.diag(weight) @ covariance
        own = np.square(1 - share) + _others(share)
        assert own == pytest.approx(np.diag(covariance), rel=1e-6, abs=0)
        assert _trace(weight, share, own) == pytest.approx(np.trace(whole @ whole), rel=1e-4)
        made = np.random.default_rng(0).normal(size=(4000, n)) @ residual.T
        error = _spread(made, np.tile(share, (4000, 1)))[0]
        assert np.square(error).mean() == pytest.approx(squares, rel=0.1)
    assert _spread(np.array([1.0, -1.0, 0.5, -0.5]), np.full(4, 0.25))[1] == pytest.approx(3)
    assert _spread(np.array([0.0, 1.0, -1.0]), np.array([0.998, 0.001, 0.001]))[1] < 1.01


@pytest.mark.parametrize("kind", ["equal", "geometric", "unequal"])
def test_shares_over_levels_of_very_unequal_size_are_covered(kind: str):
    """Each level has a chance of its own, a half on average. With an unseen level of the mean size 91% were covered."""
    rng = np.random.default_rng(0)
    for n in (22, 50):
        held = 0
        for _ in range(300):
            counts = _sizes(kind, rng, (n,))
            totals = rng.binomial(counts.astype(int), rng.random(n))
            result = bootstrap_ratio(totals, counts, bounds=(0, 1), resamples=300)
            held += result.low <= 0.5 <= result.high
        assert held / 300 >= 0.94, n


def test_the_unseen_level_is_as_large_as_the_level_of_a_value_drawn_at_random():
    """One level of 99 and one of 1, all of them 0: the upper limit is the 97.5th percentile of what the unseen adds."""
    totals, counts = np.zeros(2), np.array([99.0, 1.0])
    found = bootstrap_ratio(totals, counts, bounds=(0, 1), resamples=20_000)
    rng = np.random.default_rng(5)
    a, b, unseen = rng.standard_exponential((3, 200_000))
    size = (99**2 + 1) / 100
    expected = np.quantile(size * unseen / (99 * a + b + size * unseen), 0.975)
    assert found.high == pytest.approx(expected, abs=0.003)
    for other in (counts.mean(), counts.min(), counts.max() * 2):
        wrong = np.quantile(other * unseen / (99 * a + b + other * unseen), 0.975)
        assert abs(wrong - found.high) > 0.006


def test_clustered_values_are_their_sums_over_their_numbers():
    rng = np.random.default_rng(3)
    level = np.repeat(np.arange(20), rng.integers(1, 30, 20))
    values = rng.normal(size=len(level))
    assert bootstrap_clustered(values, level) == student_ratio(
        np.bincount(level, weights=values), np.bincount(level).astype(float)
    )


# --- the trimmed mean ---------------------------------------------------------------------------------------------


def test_the_trimmed_mean_is_scipys_and_covers_the_middle_of_heavy_tails():
    values = np.random.default_rng(4).standard_t(3, size=33)
    found = trimmed_mean(values)
    assert found.estimate == pytest.approx(scipy_stats.trim_mean(values, 0.2))
    # Yuen's test of two samples with the second one all zeros but for its variance: limits by hand.
    ordered = np.sort(values)
    winsorised = np.concatenate([np.full(6, ordered[6]), ordered[6:27], np.full(6, ordered[26])])
    half = scipy_stats.t.isf(0.025, 20) * winsorised.std(ddof=1) / (0.6 * np.sqrt(33))
    assert (found.low, found.high) == pytest.approx((found.estimate - half, found.estimate + half))
    for n, least in ((5, 90), (22, 92), (100, 92)):  # of five levels three are left
        samples = _draw("rare wide", np.random.default_rng(0), (400, n))
        assert _covered_by(trimmed_mean, samples) >= least


def test_the_trimmed_mean_does_not_see_what_one_level_does_and_is_narrower_under_heavy_tails():
    values = np.random.default_rng(5).normal(1, 1, 40)
    wild = np.append(values, 1e6)
    assert abs(trimmed_mean(wild).estimate - 1) < 0.5 and not bootstrap_mean(wild).excludes(0)
    assert trimmed_mean(wild).excludes(0)
    assert trimmed_mean(values, trim=0) == bootstrap_mean(values)
