"""Value-policy agreement: shortest path with its true value, random values, shuffles by brute force."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goalscope.methods.behaviour.agreement import value_policy_agreement
from goalscope.policies.checkpoint import load
from goalscope.policies.compact import Compact
from goalscope.rollout import fields
from goalscope.worlds.maze import Maze
from goalscope.worlds.maze.paths import decision_square, distances, free_squares

GAMMA = 0.97


@pytest.fixture(scope="module")
def solved():
    """Squares of 60 mazes, steps to the cheese, the shortest-path policy and its true value."""
    state = Maze(size=13, cheese_region=None).generate(range(60))
    squares = free_squares(state)
    steps = distances(state.walls, state.cheese)[squares.level, squares.square[:, 0], squares.square[:, 1]]
    policy = np.zeros(squares.next.shape)
    policy[np.arange(len(policy)), np.argmin(steps[squares.next], axis=1)] = 1
    return state, squares, policy, 10 * GAMMA ** (steps - 1.0)


def _agreement(squares, policy, value, **keywords):
    keywords = {"goal_value": 10 / GAMMA, **keywords}
    return value_policy_agreement(policy, value, squares.next, squares.goal, squares.level, **keywords)


def test_shortest_path_agrees_with_its_true_value_everywhere(solved):
    _, squares, policy, value = solved
    result = _agreement(squares, policy, value)
    assert result.agreement.estimate == 1 and result.agreement.n == 60
    assert result.squares == (~squares.goal).sum()
    assert np.isnan(result.agrees[squares.goal]).all() and (result.agrees[~squares.goal] == 1).all()
    assert result.shuffled.estimate < 0.5
    assert result.difference.low > 0.4


def test_the_value_on_the_goal_square_is_not_read_and_its_worth_matters(solved):
    _, squares, policy, value = solved
    untold = np.where(squares.goal, np.nan, value)
    assert _agreement(squares, policy, untold).agreement.estimate == 1
    worthless = _agreement(squares, policy, untold, goal_value=0.0)
    beside = (squares.goal[squares.next] & ~squares.goal[:, None]).any(axis=1)
    assert (worthless.agrees[beside] == 0).all()
    assert (worthless.agrees[~beside & ~squares.goal] == 1).all()


def test_random_values_agree_by_chance(solved):
    _, squares, policy, _ = solved
    value = np.random.default_rng(0).normal(size=len(policy))
    result = _agreement(squares, policy, value, goal_value=np.inf)
    assert not result.difference.excludes(0)
    assert 0.2 < result.shuffled.estimate < 0.5


def test_opposite_policy_never_agrees(solved):
    _, squares, policy, value = solved
    assert _agreement(squares, policy, -value, goal_value=-20).agreement.estimate < 0.01


def test_mask_counts_decision_squares_alone(solved):
    state, squares, policy, value = solved
    at_decision = (squares.square == decision_square(state)[squares.level]).all(axis=1)
    result = _agreement(squares, policy, value, mask=at_decision)
    assert result.squares == at_decision.sum() == result.agreement.n > 10
    assert result.agreement.estimate == 1
    assert np.array_equal(~np.isnan(result.agrees), at_decision)


def test_ties_and_blocked_moves():
    # A corridor of three squares: 0 - 1 - 2, moves back, on, stay.
    next = np.array([[0, 1, 0], [0, 2, 1], [1, 2, 2]])
    goal, level = np.zeros(3, bool), np.zeros(3, int)
    value = np.array([1.0, 0.0, 1.0])

    def credit(probs):
        return value_policy_agreement(
            np.array(probs, float), value, next, goal, level, goal_value=0
        ).agrees.tolist()

    # Blocked and staying are one choice; at square 1 both neighbours are best.
    assert credit([[0.6, 0, 0.4], [0.9, 0.1, 0], [0, 0.4, 0.6]]) == [1, 1, 1]
    assert credit([[0, 1, 0], [0, 0, 1], [1, 0, 0]]) == [0, 0, 0]
    # Of two equally likely moves each counts half.
    assert credit([[0.5, 0.5, 0], [0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]]) == [0.5, 0.5, pytest.approx(2 / 3)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.booleans())
def test_shuffled_agreement_is_the_mean_over_all_permutations(seed, count, with_goal):
    rng = np.random.default_rng(seed)
    next = rng.integers(0, count, (count, 4))
    goal = np.zeros(count, bool)
    goal[0] = with_goal
    probs = rng.dirichlet(np.ones(4), count)
    probs[-1] = 0.25
    value = rng.integers(0, 4, count).astype(float)  # ties happen
    level = np.zeros(count, int)
    keywords: dict[str, Any] = dict(goal_value=float(rng.integers(0, 4)), resamples=10)
    result = value_policy_agreement(probs, value, next, goal, level, **keywords)
    free = np.flatnonzero(~goal)
    shares = []
    for order in permutations(free):
        shuffled = value.copy()
        shuffled[free] = value[list(order)]
        shares.append(
            value_policy_agreement(probs, shuffled, next, goal, level, **keywords).agreement.estimate
        )
    assert result.shuffled.estimate == pytest.approx(np.mean(shares), abs=1e-12)


def test_levels_are_shuffled_apart_and_levels_without_a_counted_square_drop_out(solved):
    _, squares, policy, value = solved
    lifted = value + 100.0 * squares.level  # between levels, values differ more than within
    plain = _agreement(squares, policy, value, goal_value=np.inf)
    moved = _agreement(squares, policy, lifted, goal_value=np.inf)
    assert moved.shuffled.estimate == pytest.approx(plain.shuffled.estimate, abs=1e-9)
    only = _agreement(squares, policy, value, mask=squares.level < 7)
    assert only.agreement.n == 7


def _good() -> dict[str, Any]:
    return dict(
        probs=np.full((4, 2), 0.5),
        value=np.zeros(4),
        next=np.array([[0, 1], [1, 0], [2, 3], [3, 2]]),
        goal=np.array([False, True, False, False]),
        level=np.array([0, 0, 1, 1]),
        goal_value=1.0,
    )


@pytest.mark.parametrize(
    "change,match",
    [
        (dict(probs=np.full((4, 3), 1 / 3)), r"expected probs and next \[K, A\]"),
        (dict(value=np.zeros(3)), r"expected probs and next \[K, A\]"),
        (dict(value=np.array([np.nan, 0, 0, 0])), "value must be finite"),
        (dict(probs=np.full((4, 2), np.nan)), "probs must be finite"),
        (dict(goal=np.zeros(4)), "goal must be bool"),
        (dict(next=np.full((4, 2), 4)), r"next must lie in 0\.\.3"),
        (dict(next=np.array([[0, 1], [1, 0], [2, 1], [3, 2]])), r"next\[2, 1\] = 1 lies in another level"),
        (dict(goal_value=float("nan")), "goal_value is NaN"),
        (dict(mask=np.ones(3, bool)), r"mask must be bool \[K\]"),
        (dict(mask=np.array([False, True, False, False])), "no square to count"),
    ],
)
def test_errors_say_what_is_wrong(change, match):
    value_policy_agreement(**_good())
    with pytest.raises(ValueError, match=match):
        value_policy_agreement(**{**_good(), **change})


def _network(network: Compact, count: int = 20):
    """Moves and value of a network on the squares of some mazes, and the features that its value head reads."""
    world = Maze(size=network.size, cheese_region=None)
    read: list[np.ndarray] = []
    with torch.no_grad():
        hook = network.hidden_relu.register_forward_hook(lambda *call: read.append(call[2].numpy().copy()))
        found = fields(network, world, world.generate(range(count)))
        hook.remove()
    return found, np.concatenate(read)


def test_an_untrained_network_is_told_from_random_readouts_no_more_often_than_five_in_a_hundred():
    """Of 48 untrained networks 8 or more have p <= 5% in 1% of all trials if the test is exact."""
    p = []
    for seed in range(48):
        torch.manual_seed(seed)
        found, features = _network(Compact(size=9, channels=8, blocks=1).eval())
        squares = found.squares
        result = _agreement(
            squares, found.moves, found.value, goal_value=np.inf, features=features, resamples=10
        )
        assert result.readouts is not None
        p.append(result.readouts.p)
    assert np.sum(np.array(p) <= 0.05) <= 7
    assert 0.35 < np.mean(p) < 0.65  # and it is not simply blind


def test_shuffles_reject_where_random_readouts_do_not():
    """A trained policy beside value heads that know nothing of it: smooth values are no shuffled ones."""
    network = load("mouse-topright").module
    assert isinstance(network, Compact)
    found, features = _network(network, 120)
    by_shuffles, by_readouts = [], []
    for head in np.random.default_rng(1).normal(size=(12, features.shape[1])):
        result = _agreement(
            found.squares, found.moves, features @ head, goal_value=np.inf, features=features, readouts=99,
            resamples=200,
        )  # fmt: skip
        assert result.readouts is not None
        by_shuffles.append(result.difference.excludes(0))
        by_readouts.append(result.readouts.p <= 0.05)
    assert np.sum(by_shuffles) >= 4
    assert np.sum(by_readouts) <= 2


def _smooth_features(squares, value, count=24):
    """[K, count] random fields, averaged over neighbours again and again, the last of them the value itself."""
    fields = np.random.default_rng(1).normal(size=(len(value), count))
    for _ in range(12):
        fields = fields[squares.next].mean(axis=1)
    fields /= fields.std(axis=0)
    fields[:, -1] = (value - value.mean()) / value.std()
    return fields


def test_the_shortest_path_stands_out_among_random_readouts_of_smooth_features(solved):
    _, squares, policy, value = solved
    features = _smooth_features(squares, value)
    result = _agreement(squares, policy, value, features=features)
    assert result.readouts is not None and result.readouts.p == 1 / 200
    assert result.readouts.high < 0.8 < result.agreement.estimate
    # A smooth value of another field is one of many.
    other = _agreement(squares, policy, features[:, 0], goal_value=np.inf, features=features)
    assert other.readouts is not None and other.readouts.p > 0.05


def test_readouts_are_counted_like_the_value_itself(solved):
    """One feature: every readout is the value or its opposite; the goal keeps its rank among the values."""
    _, squares, policy, value = solved
    for goal_value in (10 / GAMMA, float(np.quantile(value, 0.3))):
        result = _agreement(squares, policy, value, goal_value=goal_value, features=value[:, None])
        assert result.readouts is not None
        most, least = result.readouts.shares.max(), result.readouts.shares.min()
        assert most == pytest.approx(result.agreement.estimate, abs=0.003)
        assert least < 0.2 and 0.35 < result.readouts.p < 0.65
        assert set(result.readouts.shares) == {most, least}
    decision = np.zeros(len(value), bool)
    decision[np.flatnonzero(~squares.goal)[:3]] = True
    few = _agreement(squares, policy, value, features=value[:, None], mask=decision)
    assert few.readouts is not None and set(np.round(few.readouts.shares * 3, 9)) <= {0.0, 1.0, 2.0, 3.0}


@pytest.mark.parametrize(
    "change,match",
    [
        (dict(features=np.zeros(4)), r"features must be \[K, H\] with K = 4"),
        (dict(features=np.full((4, 2), np.nan)), "features must be finite"),
        (dict(features=np.zeros((4, 2)), readouts=18), "readouts must be at least 19"),
    ],
)
def test_bad_features_are_told(change, match):
    with pytest.raises(ValueError, match=match):
        value_policy_agreement(**{**_good(), **change})
