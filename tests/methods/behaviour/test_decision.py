"""The regression of P(cheese): planted coefficients on the collinear features of mazes, and null features."""

from __future__ import annotations

import time
from functools import lru_cache
from itertools import combinations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.outliers_influence import variance_inflation_factor

from goalscope.methods.behaviour.decision import _fitted, conditioned, fractional_logit, vif
from goalscope.methods.behaviour.decision.newton import RIDGE
from goalscope.stats import binomial_interval
from goalscope.worlds.maze import Maze
from goalscope.worlds.maze.paths import decision_square, distances, top_right

NAMES = tuple(
    f"{kind}-{pair}"
    for kind in ("euclid", "steps")
    for pair in ("cheese-decision", "cheese-corner", "decision-corner", "cheese-area", "decision-area")
)


@lru_cache
def maze_features(count: int) -> np.ndarray:
    """[N, 10] the distances between cheese, decision square, corner and 5x5 top-right area of real mazes."""
    state = Maze(size=25, cheese_region=None).generate(range(2 * count))
    decision, corner = decision_square(state), top_right(state)
    kept = np.flatnonzero(decision[:, 0] >= 0)[:count]
    levels = np.arange(len(state))
    euclid, steps = {}, {}
    for name, square in (("cheese", state.cheese.astype(int)), ("decision", decision.astype(int))):
        steps_to = distances(state.walls, square)
        for other, target in (("decision", decision.astype(int)), ("corner", corner.astype(int))):
            euclid[f"{name}-{other}"] = np.hypot(*(square - target).T)
            steps[f"{name}-{other}"] = steps_to[levels, target[:, 0], target[:, 1]]
        rows, columns = np.indices(state.walls.shape[1:])
        area = (np.abs(rows - corner[:, :1, None]) < 5) & (np.abs(columns - corner[:, 1:, None]) < 5)
        area &= steps_to >= 0
        away = np.hypot(rows - square[:, :1, None], columns - square[:, 1:, None])
        euclid[f"{name}-area"] = np.where(area, away, np.inf).min(axis=(1, 2))
        steps[f"{name}-area"] = np.where(area, steps_to, np.iinfo(np.int32).max).min(axis=(1, 2))
    table = {
        f"{kind}-{pair}": v for kind, d in (("euclid", euclid), ("steps", steps)) for pair, v in d.items()
    }
    return np.stack([np.asarray(table[name], float)[kept] for name in NAMES], axis=1)


def _standard(features, train):
    return (features - features[train].mean(axis=0)) / features[train].std(axis=0)


def _draw(mean, rng, precision=2.0):
    return rng.beta(mean * precision, (1 - mean) * precision)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


# Steps add up along the tree, so of three of the distances one is left out where all shall be identified.
KEPT = [i for i, name in enumerate(NAMES) if name != "steps-cheese-corner"]
KEPT_NAMES = [NAMES[i] for i in KEPT]
TRUTH = np.array([-0.8, 0.0, 0.5, -0.6, 0.0, -0.7, 0.0, 0.4, 0.0])


@pytest.fixture(scope="module")
def planted():
    features = maze_features(1000)[:, KEPT]
    train = np.arange(1000) % 10 < 7
    response = _draw(_sigmoid(0.3 + _standard(features, train) @ TRUTH), np.random.default_rng(1))
    return features, response, train, fractional_logit(features, response, KEPT_NAMES, train=train)


def test_maze_features_are_as_collinear_as_the_published_ones():
    features = maze_features(1000)
    assert features.shape == (1000, 10)
    correlation = np.corrcoef(features, rowvar=False) - np.eye(10)
    assert correlation.max() > 0.88
    assert 4.6 < vif(features[:, KEPT]).max() < 1000


def test_distances_that_add_up_are_called_unidentified_and_do_no_harm(planted):
    kept, response, train, without = planted
    features = maze_features(1000)
    names = dict(zip(NAMES, features.T, strict=True))
    triple = ["steps-cheese-decision", "steps-cheese-corner", "steps-decision-corner"]
    assert np.array_equal(names[triple[0]] + names[triple[2]], names[triple[1]])
    result = fractional_logit(features, response, NAMES, train=train)
    assert [n for n, known in zip(NAMES, result.identified, strict=True) if not known] == triple
    assert without.identified.all()
    lost = ~result.identified
    assert np.isinf(result.vif[lost]).all()
    assert np.allclose(result.vif[~lost], vif(features[train])[~lost])
    assert all(
        np.isinf([c.low, c.high]).all() for c, gone in zip(result.coefficients, lost, strict=True) if gone
    )
    for name, c in zip(NAMES, result.coefficients, strict=True):
        if name not in triple:
            other = without.coefficients[KEPT_NAMES.index(name)]
            assert c.estimate == pytest.approx(other.estimate, abs=0.01 * (other.high - other.low))
    assert np.allclose(result.prediction, without.prediction, atol=0.01)
    assert np.isfinite([result.subset_low, result.subset_high, result.sign_stability]).all()
    # Beside subsets that break the relation they are as well determined as others are.
    assert np.abs([result.subset_low, result.subset_high]).max() < 10
    twins = np.concatenate([kept, kept[:, [0]], kept[:, [1]]], axis=1)[:, [0, 1, 2, 9, 10]]
    assert np.array_equal(np.isinf(vif(twins)), [True, True, False, True, True])
    assert vif(twins)[2] == pytest.approx(vif(twins[:, :3])[2])


def test_estimate_is_that_of_statsmodels(planted):
    features, response, train, result = planted
    design = sm.add_constant(_standard(features, train)[train])
    theirs = sm.GLM(response[train], design, family=sm.families.Binomial()).fit().params
    ours = np.array([result.intercept.estimate, *(c.estimate for c in result.coefficients)])
    errors = np.array([c.high - c.low for c in (result.intercept, *result.coefficients)])
    assert (np.abs(ours - theirs) < 0.02 * errors).all()  # the ridge is far below the uncertainty
    assert np.allclose(result.prediction, _sigmoid(ours[0] + _standard(features, train) @ ours[1:]))


def test_planted_coefficients_are_recovered_with_nominal_coverage():
    features = maze_features(600)[:, KEPT]
    train = np.arange(600) < 500
    truth = TRUTH
    mean = _sigmoid(0.3 + _standard(features, train) @ truth)
    rng = np.random.default_rng(2)
    runs = 120
    inside, signed, wrong_sign, estimates = np.zeros(9), 0, 0, []
    for run in range(runs):
        # The coefficients alone; the fits of all subsets beside them take most of the time of a whole regression.
        response = _draw(mean, rng)
        coefficients = _fitted(features, response, KEPT_NAMES, train, run, 200).estimates[1:]
        if run == 0:
            whole = fractional_logit(features, response, KEPT_NAMES, train=train, seed=run, resamples=200)
            assert whole.coefficients == coefficients
        for i, c in enumerate(coefficients):
            inside[i] += c.low <= truth[i] <= c.high
            if truth[i] and c.excludes(0):
                signed += 1
                wrong_sign += np.sign(c.estimate) != np.sign(truth[i])
        estimates.append([c.estimate for c in coefficients])
    for count in inside:  # each coefficient, the null ones included; 9 looks, hence the wide interval
        assert binomial_interval(int(count), runs).high > 0.93 and count / runs > 0.88
    assert 0.925 <= inside.mean() / runs <= 0.975
    bias = np.mean(estimates, axis=0) - truth
    assert (np.abs(bias) < 0.5 * np.std(estimates, axis=0)).all()
    assert signed > runs and wrong_sign <= 0.03 * signed


def test_shuffled_response_has_no_effects(planted):
    features, response, train, real = planted
    shuffled = np.random.default_rng(3).permutation(response)
    null = fractional_logit(features, shuffled, KEPT_NAMES, train=train)
    assert sum(c.excludes(0) for c in null.coefficients) <= 2
    assert not null.log_loss_gain.low > 0 and null.accuracy_gain.low <= 0
    assert real.log_loss_gain.low > 0 and real.accuracy_gain.low > 0
    assert real.log_loss.estimate < real.base_log_loss.estimate
    assert real.base_accuracy.estimate < real.accuracy.estimate < real.best_accuracy


def test_signs_that_depend_on_the_company_are_called_unstable():
    # x causes; its near-copy z does nothing, looks good alone and changes its sign beside x.
    rng = np.random.default_rng(4)
    x = rng.normal(size=800)
    z = x + 0.3 * rng.normal(size=800)
    other = rng.normal(size=800)
    response = _sigmoid(1.5 * x - 0.5 * (z - x) + 0.4 * other)
    train = np.arange(800) < 600
    result = fractional_logit(np.stack([x, z, other], 1), response, ["x", "z", "other"], train=train)
    assert result.alone[1].low > 0 and result.coefficients[1].high < 0
    assert np.array_equal(result.sign_stability, [1, 0.5, 1])
    assert result.subset_low[1] < 0 < result.subset_high[1]
    assert result.vif[1] > 10 > 1.1 > result.vif[2]


def test_subsets_and_single_features_are_the_separate_fits(planted):
    features, response, train, _ = planted
    columns = [0, 3, 5, 8]
    names = [KEPT_NAMES[c] for c in columns]
    result = fractional_logit(features[:, columns], response, names, train=train, resamples=50)
    design = _standard(features[:, columns], train)[train]
    fits: dict[int, list[float]] = {i: [] for i in range(4)}
    for size in range(1, 5):
        for chosen in combinations(range(4), size):
            x = sm.add_constant(design[:, chosen])
            params = sm.GLM(response[train], x, family=sm.families.Binomial()).fit().params[1:]
            for i, value in zip(chosen, params, strict=True):
                fits[i].append(value)
            if size == 1:
                assert result.alone[chosen[0]].estimate == pytest.approx(params[0], abs=1e-3)
    for i, values in fits.items():
        assert len(values) == 8
        assert result.subset_low[i] == pytest.approx(min(values), abs=2e-3)
        assert result.subset_high[i] == pytest.approx(max(values), abs=2e-3)
        assert result.positive_share[i] == np.mean(np.array(values) > 0)
        assert result.sign_stability[i] == max(result.positive_share[i], 1 - result.positive_share[i])


def test_vif_is_that_of_statsmodels():
    features = maze_features(300)[:, KEPT]
    design = sm.add_constant(features)
    theirs = [variance_inflation_factor(design, i + 1) for i in range(9)]
    assert np.allclose(vif(features), theirs, rtol=1e-8)
    assert np.allclose(vif(np.linalg.qr(sm.add_constant(features))[0][:, 1:]), 1)


def test_scores_are_those_of_held_out_levels_alone(planted):
    features, response, train, result = planted
    p, y = result.prediction[~train], response[~train]
    assert result.log_loss.estimate == pytest.approx(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))
    assert result.accuracy.estimate == pytest.approx(np.mean(np.where(p > 0.5, y, 1 - y)))
    assert result.best_accuracy == pytest.approx(np.maximum(y, 1 - y).mean())
    assert result.log_loss.n == 300 and result.coefficients[0].n == 700
    changed = response.copy()
    changed[~train] = 0.5
    again = fractional_logit(features, changed, KEPT_NAMES, train=train)
    assert again.coefficients == result.coefficients
    assert again.log_loss != result.log_loss


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-50, 50))
def test_units_and_order_of_features_do_not_matter(seed, factor, shift):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(60, 3))
    response = rng.random(60)
    train = np.arange(60) < 45
    plain = fractional_logit(features, response, "abc", train=train, resamples=20)
    other = fractional_logit((features * factor + shift)[:, ::-1], response, "cba", train=train, resamples=20)
    for ours, theirs in zip(plain.coefficients, other.coefficients[::-1], strict=True):
        assert ours.estimate == pytest.approx(theirs.estimate, abs=1e-6)
        assert ours.low == pytest.approx(theirs.low, abs=1e-6)
    assert np.allclose(plain.vif, other.vif[::-1])


@pytest.mark.parametrize("kind", ["separable", "all zero", "heavy tails"])
def test_hard_samples_give_finite_coefficients_at_the_optimum(kind):
    rng = np.random.default_rng(5)
    features = rng.standard_t(2, size=(50, 2)) if kind == "heavy tails" else rng.normal(size=(50, 2))
    response = np.zeros(50) if kind == "all zero" else (features[:, 0] > 0).astype(float)
    train = np.arange(50) < 40
    result = fractional_logit(features, response, "ab", train=train, resamples=100)
    beta = np.array([c.estimate for c in result.coefficients])
    design = _standard(features, train)[train]
    gradient = (response[train] - result.prediction[train]) @ design - RIDGE * beta
    assert np.abs(gradient).max() < 1e-6
    assert np.isfinite([[c.low, c.high] for c in (*result.coefficients, *result.alone)]).all()


def test_same_seed_same_result_and_a_thousand_levels_in_time(planted):
    features, response, train, result = planted
    start = time.process_time()
    again = fractional_logit(features, response, KEPT_NAMES, train=train)
    assert time.process_time() - start < 2  # measured 0.35 s
    assert again.coefficients == result.coefficients and again.log_loss == result.log_loss


def _broken(**change):
    rng = np.random.default_rng(0)
    good = dict(
        features=rng.normal(size=(40, 3)),
        response=rng.random(40),
        names=["a", "b", "c"],
        train=np.arange(40) < 30,
    )
    return {**good, **change}


_X = np.random.default_rng(0).normal(size=(40, 3))


@pytest.mark.parametrize(
    "change,match",
    [
        (dict(features=_X[:39]), r"features \[N, P\]"),
        (dict(response=np.full(40, 1.2)), r"0\.\.1, got 1.2 in row 0"),
        (dict(response=np.full(40, np.nan)), r"0\.\.1, got nan"),
        (dict(names=["a", "b"]), "as many different names"),
        (dict(names=["a", "b", "b"]), "as many different names"),
        (dict(train=np.ones(40, bool)), "holds every level"),
        (dict(train=np.arange(40) < 4), "4 training levels are too few for 3"),
        (dict(train=np.ones(40)), "train must be bool"),
        (dict(features=np.where(np.arange(3) == 1, 7.0, _X)), "constant on the training levels: 'b'"),
        (dict(features=np.where((np.arange(40) == 3)[:, None], np.nan, _X)), "feature 'a' is nan in row 3"),
        (dict(features=np.zeros((40, 13)), names=list("abcdefghijklm")), "13 features: between 1 and 12"),
    ],
)
def test_errors_name_the_culprit(change, match):
    with pytest.raises(ValueError, match=match):
        fractional_logit(**_broken(**change))


def test_the_base_rate_is_that_of_the_training_levels():
    """Held-out levels have another mean here; the base predicts what training said all the same."""
    rng = np.random.default_rng(0)
    train = np.arange(80) < 50
    response = np.where(train, 0.2, 0.7) + rng.uniform(-0.1, 0.1, 80)
    result = fractional_logit(rng.normal(size=(80, 1)), response, ["noise"], train=train, resamples=20)
    base, y = response[train].mean(), response[~train]
    assert result.base_log_loss.estimate == pytest.approx(
        -np.mean(y * np.log(base) + (1 - y) * np.log(1 - base))
    )
    assert result.base_accuracy.estimate == pytest.approx(np.mean(1 - y))


def test_features_are_scaled_by_the_training_levels_alone():
    rng = np.random.default_rng(1)
    train = np.arange(80) < 50
    features = rng.normal(size=(80, 2)) + np.where(train, 0, 100)[:, None]
    result = fractional_logit(features, rng.random(80), "ab", train=train, resamples=20)
    assert result.mean == pytest.approx(features[:50].mean(0))
    assert result.scale == pytest.approx(features[:50].std(0))


def test_a_feature_that_decides_gains_over_the_base_rate():
    rng = np.random.default_rng(2)
    train, feature = np.arange(200) < 120, rng.normal(size=(200, 1))
    response = (feature[:, 0] > 0).astype(float) * 0.8 + 0.1
    result = fractional_logit(feature, response, ["it"], train=train, resamples=20)
    assert result.log_loss_gain.low > 0.1 and result.accuracy_gain.low > 0.2
    assert result.log_loss_gain.estimate == pytest.approx(
        result.base_log_loss.estimate - result.log_loss.estimate
    )


def test_a_mediator_is_kept_apart_and_what_it_turns_round_is_named():
    """The feature lowers the response through the mediator, and raises it a little where that stays the same."""
    rng = np.random.default_rng(3)
    train = np.arange(600) < 400
    features = rng.normal(size=(600, 2))
    mediator = -2 * features[:, 0] + 0.5 * rng.normal(size=600)
    response = _draw(_sigmoid(features[:, 0] + mediator), rng, 10)
    main = fractional_logit(features, response, ["cause", "idle"], train=train, resamples=200)
    result = conditioned(main, features, response, mediator, "way", train=train, resamples=200)
    assert main.coefficients[0].high < 0 and main.names == ("cause", "idle")
    assert result.mediator == "way" and result.names == main.names and result.flipped == ("cause",)
    assert result.coefficients[0].low > 0 and not result.coefficients[1].excludes(0)
    assert result.of_mediator.low > 0
    # A variable that the feature does not work through turns nothing round.
    other = conditioned(main, features, response, rng.normal(size=600), "noise", train=train, resamples=200)
    assert other.flipped == () and not other.of_mediator.excludes(0)
    assert other.coefficients[0].estimate == pytest.approx(main.coefficients[0].estimate, abs=0.05)
    with pytest.raises(ValueError, match="the mediator must be"):
        conditioned(main, features, response, mediator[:-1], "way", train=train)
    with pytest.raises(ValueError, match="different names"):
        conditioned(main, features, response, mediator, "idle", train=train)
