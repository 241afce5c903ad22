"""What would have been found: closed forms where there are any, and the order of the shapes where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from goalscope.stats import POWER, above_zero, above_zero_within, bootstrap_ratio, least_effect, power_at


def _closed(values: np.ndarray, power: float = POWER) -> float:
    """The effect of a constant size that Student's test finds, as a standard error and normal quantiles have it."""
    n = len(values)
    quantiles = scipy_stats.t.isf(0.025, n - 1) + scipy_stats.norm.ppf(power)
    return float(quantiles * values.std(ddof=1) / np.sqrt(n))


@pytest.mark.parametrize("n", [60, 220])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_the_least_constant_effect_in_normal_scatter_is_that_of_the_closed_form(n: int, power: float):
    values = np.random.default_rng(0).normal(3, 0.05, n)  # the mean of the data has no say
    assert least_effect(values, power=power) == pytest.approx(_closed(values, power), rel=0.08)
    assert power_at(_closed(values, power), values) == pytest.approx(power, abs=0.06)
    assert least_effect(1000 * values, power=power) == pytest.approx(1000 * least_effect(values, power=power))  # type: ignore[operator]


def test_the_least_effect_is_found_as_often_as_is_said_in_other_samples():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, 100)
    least = least_effect(values)
    assert least is not None
    samples = rng.normal(least, values.std(ddof=1), (2000, 100))
    assert above_zero(samples, np.ones_like(samples)).mean() == pytest.approx(POWER, abs=0.04)


def test_the_same_mean_is_found_less_often_the_fewer_levels_have_it():
    """A true mean of 1.6 points that three of four samples show where all mazes have it alike."""
    values = np.random.default_rng(2).normal(0, 1, 22)
    values *= 1.6 / _closed(values, 0.75)
    constant, exponential, sparse = (
        power_at(1.6, values, shape=shape) for shape in ("constant", "exponential", "sparse")
    )
    assert 0.6 < constant < 0.8
    assert constant > exponential + 0.05 and exponential > sparse + 0.3
    assert sparse < 0.2


def test_a_sparse_effect_must_be_larger_and_of_few_levels_none_is_found():
    values = np.random.default_rng(3).normal(0, 1, 60)
    constant, exponential, sparse = (
        least_effect(values, shape=shape) for shape in ("constant", "exponential", "sparse")
    )
    assert constant is not None and exponential is not None and sparse is not None
    assert constant < exponential < sparse and sparse > 2 * constant
    # Of 22 levels two have it: however large it is there, that is no mean over levels that a test would swear to.
    assert least_effect(values[:22], shape="sparse") is None
    assert least_effect(np.full(22, 0.3)) is None  # no scatter, nothing to say


def test_the_rule_that_decides_is_the_rule_that_is_asked():
    values = np.random.default_rng(4).normal(0, 1, 80)

    def strict(totals, counts):
        """A test at 5% in each of 32 channels, corrected."""
        t = totals.mean(1) / (totals.std(1, ddof=1) / np.sqrt(totals.shape[1]))
        return scipy_stats.t.sf(t, totals.shape[1] - 1) * 2 * 32 <= 0.05

    lax, hard = least_effect(values), least_effect(values, rule=strict)
    quantiles = scipy_stats.t.isf(0.05 / 64, 79) + scipy_stats.norm.ppf(0.8)
    assert lax is not None and hard is not None and hard > 1.3 * lax
    assert hard == pytest.approx(quantiles * values.std(ddof=1) / np.sqrt(80), rel=0.08)
    assert least_effect(values, rule=lambda totals, counts: np.zeros(len(totals), bool)) is None
    assert power_at(0, values, rule=lambda totals, counts: np.ones(len(totals), bool)) == 1


def test_without_an_effect_the_rule_says_yes_in_one_of_forty_samples():
    values = np.random.default_rng(5).normal(0, 1, 100)
    assert power_at(0, values, draws=4000) == pytest.approx(0.025, abs=0.01)
    assert power_at(-1, values) == 0  # an effect the other way is not found as one


def test_levels_of_several_values_are_drawn_whole():
    rng = np.random.default_rng(6)
    counts = np.full(50, 4)
    means = rng.normal(size=50)
    assert least_effect(4 * means, counts) == pytest.approx(least_effect(means), rel=1e-6)
    # Of levels of very unequal size few count, so that an effect must be larger to be found.
    unequal = np.where(np.arange(50) < 5, 100.0, 1.0)
    assert least_effect(unequal * means, unequal) > 2 * least_effect(means)  # type: ignore[operator]


def test_the_rule_of_a_bounded_quantity_is_its_interval():
    rng = np.random.default_rng(7)
    totals = rng.choice([-1.0, 0.0, 1.0], (40, 100), p=[0.05, 0.75, 0.2])
    totals[:20] = rng.choice([-1.0, 0.0, 1.0], (20, 100), p=[0.1, 0.75, 0.15])
    counts = np.ones_like(totals)
    ours = above_zero_within((-1, 1), resamples=2000)(totals, counts)
    theirs = [bootstrap_ratio(t, c, bounds=(-1, 1)).low > 0 for t, c in zip(totals, counts, strict=True)]
    assert 5 < sum(theirs) < 35 and (ours == theirs).mean() >= 0.95


def test_bounds_cut_the_effect_and_the_mean_that_is_left_is_given():
    gain = np.random.default_rng(8).choice([-1.0, 0.0, 1.0], 100, p=[0.05, 0.9, 0.05])
    bounds = (-1.0, 1.0)
    rule = above_zero_within(bounds)
    constant = least_effect(gain, rule=rule, bounds=bounds)
    assert constant is not None and 0.05 < constant < 0.15
    # One level in ten gains at most 1, so the mean at most 0.1, and that is not found four times in five.
    assert least_effect(gain, rule=rule, bounds=bounds, shape="sparse") is None
    assert power_at(50, gain, rule=rule, bounds=bounds, shape="sparse") < POWER


def test_the_same_seed_gives_the_same_number():
    values = np.random.default_rng(9).normal(size=40)
    assert least_effect(values, seed=1) == least_effect(values, seed=1) != least_effect(values, seed=2)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: least_effect(np.array([1.0])), "two or more levels"),
        (lambda: least_effect(np.ones(3), np.array([1, 0, 1])), "counts > 0"),
        (
            lambda: least_effect(np.ones(3), shape="linear"),
            "one of constant, exponential, sparse, got 'linear'",
        ),
        (lambda: least_effect(np.ones(3), power=1.0), "between 0 and 1, got 1.0"),
        (lambda: least_effect(np.array([1.0, np.nan])), "finite"),
        (lambda: power_at(1, np.ones(3), draws=0), "at least 1"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_line(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_a_wider_interval_finds_less():
    totals = np.random.default_rng(0).choice([0.0, 1.0], (200, 12), p=[0.4, 0.6])
    found = [
        above_zero_within((-1, 1), 2000, tail)(totals, np.ones_like(totals)).sum() for tail in (0.025, 0.001)
    ]
    assert found[0] > found[1] > 0
