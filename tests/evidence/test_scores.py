"""Scores against cases computed by hand, against references written the long way round, and against what theory says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalscope.evidence.forecast import Forecast
from goalscope.evidence.resolve import Resolution
from goalscope.evidence.rule import Interval, Verdict
from goalscope.evidence.scores import CLIP, brier, calibration, crps, log_score, multiclass, score

PROBABILITY = st.floats(0.0, 1.0)


def resolution(
    i: int, by: str, verdict: Verdict, p: float | None = 0.5, kind: str = "claim", group: str = "",
    quantiles: tuple = (), value: float | None = None,
) -> Resolution:  # fmt: skip
    forecast = Forecast(f"f{i}", by, kind, "words", p, quantiles, group, "", None, "why", "")
    number = None if value is None else Interval(value, value, value)
    return Resolution(forecast, verdict, number, "", ())


def test_brier_by_hand() -> None:
    # 0.9 came true, 0.9 did not, 0.2 did not, 0.2 did not: errors 0.01, 0.81, 0.04, 0.04
    parts = brier(np.array([0.9, 0.9, 0.2, 0.2]), np.array([1, 0, 0, 0]))
    assert parts.score == pytest.approx(0.90 / 4)
    assert parts.reliability == pytest.approx((0.4**2 + 0.2**2) / 2)  # bins: 0.9 against 1/2, 0.2 against 0
    assert parts.resolution == pytest.approx((0.25**2 + 0.25**2) / 2)  # 1/2 and 0 against 1/4
    assert parts.uncertainty == pytest.approx(3 / 16)
    assert parts.within == 0


@given(st.lists(st.tuples(PROBABILITY, st.booleans()), min_size=1, max_size=40))
def test_the_parts_add_up(cases: list[tuple[float, bool]]) -> None:
    p, o = np.array([c[0] for c in cases]), np.array([c[1] for c in cases])
    parts = brier(p, o)
    whole = parts.reliability - parts.resolution + parts.uncertainty + parts.within
    assert whole == pytest.approx(parts.score, abs=1e-9)
    assert min(parts.reliability, parts.resolution, parts.uncertainty) >= 0
    one_value = brier(np.full(len(o), 0.37), o)
    assert one_value.within == 0 and one_value.resolution == pytest.approx(0, abs=1e-12)


def test_a_calibrated_forecaster_pays_the_mean_of_p_times_1_minus_p() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(2, 3, 200_000)
    parts = brier(p, rng.random(len(p)) < p)
    assert parts.score == pytest.approx(np.mean(p * (1 - p)), abs=1.5e-3)
    assert parts.reliability < 1e-4
    # Negative control: one who exaggerates pays more, and it shows in the reliability.
    bold = brier(np.clip(p + 0.15 * np.sign(p - 0.5), 0, 1), rng.random(len(p)) < p)
    assert bold.score > parts.score + 0.01 and bold.reliability > 0.01


@given(st.floats(0.01, 0.99), st.floats(0.0, 1.0))
def test_honest_reports_are_best_for_brier_log_and_groups(truth: float, said: float) -> None:
    def expected(p: float) -> tuple[float, float, float]:
        pairs = []
        for happens, weight in ((1, truth), (0, 1 - truth)):
            loss = brier(np.array([p]), np.array([happens])).score
            gain = log_score(np.array([p]), np.array([happens]))[0]
            many = multiclass([p, 1 - p], 1 - happens)[0]
            pairs.append(weight * np.array([-loss, gain, -many]))
        return tuple(np.sum(pairs, 0))

    for honest, other in zip(expected(truth), expected(said), strict=True):
        assert honest >= other - 1e-12
        if abs(truth - said) > 1e-3 and CLIP < said < 1 - CLIP:
            assert honest > other


def test_log_score_by_hand_and_its_clip() -> None:
    value, clipped = log_score(np.array([0.8, 0.3]), np.array([1, 0]))
    assert value == pytest.approx((math.log(0.8) + math.log(0.7)) / 2) and clipped == 0
    value, clipped = log_score(np.array([1.0, 0.0, 0.0]), np.array([0, 0, 1]))
    assert value == pytest.approx((2 * math.log(0.001) + math.log(0.999)) / 3) and clipped == 3


def ensemble_crps(members: np.ndarray, y: float) -> float:
    """E|X - y| - E|X - X'| / 2 over the members (Gneiting and Raftery 2007, equation 21), the long way."""
    apart = np.abs(members[:, None] - members[None, :]).mean()
    return float(np.abs(members - y).mean() - apart / 2)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=12), st.floats(-60, 60))
def test_crps_at_even_levels_is_that_of_the_ensemble(members: list[float], y: float) -> None:
    values = sorted(members)
    levels = (np.arange(len(values)) + 0.5) / len(values)
    quantiles = list(zip(levels.tolist(), values, strict=True))
    assert crps(quantiles, y) == pytest.approx(ensemble_crps(np.array(values), y), abs=1e-9)


def test_crps_of_known_distributions() -> None:
    levels = (np.arange(2000) + 0.5) / 2000
    uniform = list(zip(levels, levels, strict=True))
    assert crps(uniform, 0.5) == pytest.approx(1 / 12, abs=1e-5)
    assert crps(uniform, 0.0) == pytest.approx(1 / 3, abs=1e-5)
    assert crps([(0.5, 3.0)], 5.0) == pytest.approx(2.0)  # a point is scored by its distance
    assert crps([(0.25, 1.0), (0.75, 2.0)], 4.0) == pytest.approx(0.25 * 3 + 0.75 * 2)


@settings(deadline=None, max_examples=30)
@given(st.floats(-1, 1), st.sampled_from([0.1, 0.25, 0.5, 0.8]))
def test_honest_quantiles_are_best(shift: float, level: float) -> None:
    outcomes = (np.arange(100) + 0.5) / 100  # uniform on 0..1: the quantile of a level is the level
    honest = np.mean([crps([(level, level)], y) for y in outcomes])
    other = np.mean([crps([(level, level + shift)], y) for y in outcomes])
    assert honest <= other + 1e-4
    if abs(shift) > 0.02:
        assert honest < other


def test_groups_by_hand() -> None:
    loss, log, clipped = multiclass([0.1, 0.2, 0.7], 1)
    assert loss == pytest.approx(0.01 + 0.64 + 0.49)
    assert log == pytest.approx(math.log(0.2)) and not clipped
    assert multiclass([0.0, 1.0], 0)[1:] == (pytest.approx(math.log(CLIP)), True)
    with pytest.raises(ValueError, match="sum to 1"):
        multiclass([0.1, 0.2], 0)


def test_calibration_has_exact_intervals() -> None:
    bins = calibration(np.array([0.72, 0.78, 0.70, 0.1, 1.0]), np.array([1, 1, 0, 0, 1]))
    assert [b.observed.n for b in bins] == [1, 3, 1]
    assert bins[1].forecast == pytest.approx(2.2 / 3) and bins[1].observed.estimate == pytest.approx(2 / 3)
    # Clopper-Pearson for 2 of 3, from the tables
    assert bins[1].observed.low == pytest.approx(0.0943, abs=1e-4)
    assert bins[1].observed.high == pytest.approx(0.9916, abs=1e-4)


def test_calibration_intervals_cover() -> None:
    rng = np.random.default_rng(1)
    held = total = 0
    for _ in range(200):
        p = np.repeat([0.15, 0.55, 0.85], 20)
        for b in calibration(p, rng.random(60) < p):
            held += b.observed.low <= b.forecast <= b.observed.high
            total += 1
    assert held / total >= 0.95


def test_forecasters_are_scored_apart_and_together() -> None:
    rows = [
        resolution(0, "A", "yes", 0.9),
        resolution(1, "A", "no", 0.3),
        resolution(2, "A", "ambiguous", 0.9),
        resolution(3, "A", "void", 0.9),
        resolution(4, "B", "yes", 0.5),
        resolution(5, "B", "no", 0.6, "choice", "g"),
        resolution(6, "B", "yes", 0.4, "choice", "g"),
        resolution(7, "B", "yes", None, "numeric", quantiles=((0.5, 3.0),), value=5.0),
        resolution(8, "B", "void", None, "numeric", quantiles=((0.5, 3.0),)),
    ]
    everyone, a, b = score(rows)
    assert [s.forecaster for s in (everyone, a, b)] == ["everyone", "A", "B"]
    assert (a.statements, a.true, a.ambiguous, a.void) == (2, 1, 1, 1)
    assert a.brier is not None and a.brier_interval is not None
    assert a.brier.score == pytest.approx((0.01 + 0.09) / 2)
    assert a.brier_interval.low < a.brier.score < a.brier_interval.high
    assert a.skill_half == pytest.approx(1 - 0.05 / 0.25) and a.skill_base == pytest.approx(1 - 0.05 / 0.25)
    assert (b.statements, b.groups, b.numbers, b.void) == (1, 1, 1, 1)
    assert b.group_brier == pytest.approx(0.72) and b.group_log == pytest.approx(math.log(0.4))
    assert b.crps == pytest.approx(2.0)
    assert b.skill_base is None, "one outcome has no base rate to beat"
    assert (everyone.statements, everyone.groups, everyone.numbers) == (3, 1, 1)
    assert [s.forecaster for s in score(rows[:4])] == ["A"]


def test_nothing_decided_scores_nothing() -> None:
    (only,) = score([resolution(0, "A", "void")])
    assert only.brier is only.log is only.skill_half is only.crps is only.group_brier is None
    assert only.calibration == ()
    assert score([]) == []


@pytest.mark.parametrize(
    "p, o, said",
    [
        ([1.2], [1], "0..1"),
        ([float("nan")], [1], "0..1"),
        ([0.5], [0.5], "0 or 1"),
        ([0.5, 0.5], [1], "as many"),
        ([], [], "at least one"),
    ],
)
def test_bad_numbers_are_refused(p: list, o: list, said: str) -> None:
    for function in (brier, log_score, calibration):
        with pytest.raises(ValueError, match=said):
            function(np.array(p), np.array(o))


@pytest.mark.parametrize("quantiles", [[], [(0.5, 1.0), (0.5, 2.0)], [(0.0, 1.0)], [(0.5, float("inf"))]])
def test_bad_quantiles_are_refused(quantiles: list) -> None:
    with pytest.raises(ValueError):
        crps(quantiles, 1.0)
