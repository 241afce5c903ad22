"""Exact reach: hand-written policies, SciPy's linear solve and matrix powers, sampled rollouts."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import spsolve

from goalscope.methods.behaviour.reach import occupancy, reach_probability
from goalscope.stats import binomial_interval
from goalscope.worlds.maze import Maze
from goalscope.worlds.maze.paths import distances, free_squares


@pytest.fixture(scope="module")
def mazes():
    state = Maze(size=13, cheese_region=None).generate(range(40))
    return state, free_squares(state)


def _uniform(next):
    return np.full(next.shape, 1 / next.shape[1])


def _softmax(shape, rng, scale=1.5):
    probs = np.exp(scale * rng.normal(size=shape))
    return probs / probs.sum(axis=1, keepdims=True)


def _matrix(probs, next, goal):
    """The chain as SciPy sees it: [K, K], goal rows the identity."""
    count, moves = next.shape
    rows = np.repeat(np.arange(count), moves)
    matrix = sparse.csr_matrix((probs.ravel(), (rows, next.ravel())), shape=(count, count))
    keep = sparse.diags((~goal).astype(float))
    return (keep @ matrix + sparse.diags(goal.astype(float))).tocsr()


def _solve(system, right) -> np.ndarray:
    return np.asarray(spsolve(system, right))


def _random_chain(rng, levels, moves=3):
    """Levels of 1 to 12 nodes with arbitrary moves, some without a goal, some with several."""
    sizes = rng.integers(1, 13, levels)
    base = np.repeat(np.cumsum(sizes) - sizes, sizes)
    next = base[:, None] + (rng.random((len(base), moves)) * np.repeat(sizes, sizes)[:, None]).astype(
        np.int64
    )
    goal = rng.random(len(base)) < 0.15
    return next, goal, np.cumsum(sizes) - sizes, base


def test_shortest_path_reaches_from_everywhere_and_takes_exactly_the_distance(mazes):
    state, squares = mazes
    steps_to = distances(state.walls, state.cheese)[squares.level, squares.square[:, 0], squares.square[:, 1]]
    policy = np.zeros(squares.next.shape)
    policy[np.arange(len(policy)), np.argmin(steps_to[squares.next], axis=1)] = 1
    assert (reach_probability(policy, squares.next, squares.goal, 200) == 1).all()
    for limit in (0, 1, 7, 20):
        reach = reach_probability(policy, squares.next, squares.goal, limit)
        assert np.array_equal(reach, (steps_to <= limit).astype(float))
    spent = occupancy(policy, squares.next, squares.goal, squares.start, 200).visits
    length = np.bincount(squares.level, weights=spent)
    assert np.array_equal(length, steps_to[squares.start])


def test_uniform_random_equals_scipy_matrix_powers(mazes):
    _, squares = mazes
    probs = _uniform(squares.next)
    matrix = _matrix(probs, squares.next, squares.goal)
    expected = squares.goal.astype(float)
    for _ in range(150):
        expected = matrix @ expected
    reach = reach_probability(probs, squares.next, squares.goal, 150)
    assert np.abs(reach - expected).max() < 1e-13
    assert 0.05 < reach[squares.start].mean() < 0.9


def test_uniform_random_without_a_limit_equals_scipy_linear_solve(mazes):
    # With the cheese alone every walk arrives, so a trap is added: the agent also stops at its start.
    _, squares = mazes
    trap = np.zeros(len(squares.goal), bool)
    trap[squares.start] = True
    next = np.where(trap[:, None], np.arange(len(trap))[:, None], squares.next)
    probs = _uniform(next)
    free = ~(trap | squares.goal)
    matrix = _matrix(probs, next, squares.goal | trap)
    system = sparse.identity(free.sum()) - matrix[free][:, free]
    expected = _solve(system.tocsc(), np.asarray(matrix[free][:, squares.goal & ~trap].sum(axis=1)).ravel())
    reach = reach_probability(probs, next, squares.goal, 200_000)
    assert np.abs(reach[free] - expected).max() < 1e-9
    assert 0.02 < np.mean(expected) < 0.98


def test_expected_time_equals_scipy_linear_solve(mazes):
    _, squares = mazes
    probs = _uniform(squares.next)
    free = ~squares.goal
    matrix = _matrix(probs, squares.next, squares.goal)
    times = np.zeros(len(free))
    times[free] = _solve((sparse.identity(free.sum()) - matrix[free][:, free]).tocsc(), np.ones(free.sum()))
    result = occupancy(probs, squares.next, squares.goal, squares.start, 200_000)
    length = np.bincount(squares.level, weights=result.visits)
    assert np.allclose(length, times[squares.start], rtol=1e-7)
    assert np.allclose(result.final, squares.goal)  # sooner or later the random walk is there


def test_ten_thousand_rollouts_lie_within_their_interval(mazes):
    _, squares = mazes
    rng = np.random.default_rng(0)
    probs = _softmax(squares.next.shape, rng, scale=0.5)
    reach = reach_probability(probs, squares.next, squares.goal, 80)
    final = occupancy(probs, squares.next, squares.goal, squares.start, 80).final
    level = int(np.argmin(np.abs(reach[squares.start] - 0.4)))
    at = np.full(10_000, squares.start[level])
    bounds = np.cumsum(probs, axis=1)
    for _ in range(80):
        move = (rng.random(10_000)[:, None] > bounds[at]).sum(axis=1).clip(max=4)
        at = np.where(squares.goal[at], at, squares.next[at, move])
    interval = binomial_interval(int(squares.goal[at].sum()), 10_000)
    assert 0.2 < interval.estimate < 0.6
    assert interval.low <= reach[squares.start[level]] <= interval.high
    nodes = np.flatnonzero(squares.level == level)
    observed, expected = np.bincount(at, minlength=len(probs))[nodes], 10_000 * final[nodes]
    common = expected > 5
    z = (observed - expected)[common] / np.sqrt(expected * (1 - final[nodes]))[common]
    assert np.abs(z).max() < 4.5


def test_other_time_limit_or_goal_would_be_seen(mazes):
    _, squares = mazes
    probs = _uniform(squares.next)
    assert not np.allclose(
        reach_probability(probs, squares.next, squares.goal, 60),
        reach_probability(probs, squares.next, squares.goal, 61),
    )
    assert (reach_probability(probs, squares.next, np.zeros_like(squares.goal), 60) == 0).all()


def test_facing_doubles_the_chain_and_changes_nothing_where_the_policy_ignores_it(mazes):
    _, squares = mazes
    probs = _softmax(squares.next.shape, np.random.default_rng(1))
    count = len(probs)
    facing = np.array([0, -1, -1, 1, -1])  # left and right turn the mouse, other moves do not
    doubled = np.stack(
        [2 * squares.next + np.where(facing >= 0, facing, side)[None] for side in (0, 1)], axis=1
    ).reshape(2 * count, 5)
    plain = reach_probability(probs, squares.next, squares.goal, 90)
    double = reach_probability(np.repeat(probs, 2, axis=0), doubled, np.repeat(squares.goal, 2), 90)
    assert np.allclose(double.reshape(count, 2), plain[:, None], atol=1e-13)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(0, 30))
def test_any_chain_equals_dense_powers_and_the_two_solvers_agree(seed, levels, steps):
    rng = np.random.default_rng(seed)
    next, goal, starts, base = _random_chain(rng, levels)
    probs = _softmax(next.shape, rng)
    probs[rng.random(len(probs)) < 0.3] = np.eye(3)[0]  # certain moves leave the others at zero
    power = np.linalg.matrix_power(_matrix(probs, next, goal).toarray(), steps)
    reach = reach_probability(probs, next, goal, steps)
    assert np.allclose(reach, power @ goal, atol=1e-12)
    assert reach.max(initial=0) <= 1 and (reach[goal] == 1).all()
    result = occupancy(probs, next, goal, starts, steps)
    assert np.allclose(result.final, power[starts].sum(axis=0), atol=1e-12)
    _, level = np.unique(base, return_inverse=True)
    assert np.allclose(np.bincount(level, weights=result.final), 1)
    assert np.allclose(np.bincount(level, weights=result.final * goal), reach[starts], atol=1e-12)
    assert (result.visits[goal] == 0).all()
    before = [
        np.linalg.matrix_power(_matrix(probs, next, goal).toarray(), t)[starts].sum(axis=0)
        for t in range(steps)
    ]
    assert np.allclose(result.visits, np.where(goal, 0, np.sum(before, axis=0)), atol=1e-10)


def test_levels_do_not_touch_each_other(mazes):
    _, squares = mazes
    rng = np.random.default_rng(2)
    probs = _softmax(squares.next.shape, rng)
    together = reach_probability(probs, squares.next, squares.goal, 100)
    first, last = squares.offsets[17], squares.offsets[18]
    alone = reach_probability(
        probs[first:last], squares.next[first:last] - first, squares.goal[first:last], 100
    )
    assert np.array_equal(together[first:last], alone)


def test_inputs_are_left_as_they_were_and_single_precision_will_do(mazes):
    _, squares = mazes
    probs = _softmax(squares.next.shape, np.random.default_rng(3)).astype(np.float32)
    copies = probs.copy(), squares.next.copy(), squares.goal.copy()
    single = reach_probability(probs, squares.next, squares.goal, 50)
    double = reach_probability(probs.astype(float), squares.next, squares.goal, 50)
    assert single.dtype == np.float64 and np.array_equal(single, double)
    for array, copy in zip((probs, squares.next, squares.goal), copies, strict=True):
        assert np.array_equal(array, copy)


def test_rows_of_goals_are_not_read():
    probs = np.array([[0.5, 0.5], [np.nan, np.nan]])
    next = np.array([[0, 1], [1, 1]])
    assert np.array_equal(reach_probability(probs, next, np.array([False, True]), 2), [0.75, 1])


def test_a_thousand_large_mazes_in_time():
    state = Maze(size=25, cheese_region=None).generate(range(300))
    squares = free_squares(state)
    probs = _softmax(squares.next.shape, np.random.default_rng(4))
    reach_probability(probs, squares.next, squares.goal, 1)
    start = time.process_time()
    reach_probability(probs, squares.next, squares.goal, 200)
    assert time.process_time() - start < 2  # measured under 0.1 s


GOOD: dict[str, Any] = dict(
    probs=np.full((3, 2), 0.5), next=np.zeros((3, 2), int), goal=np.array([True, False, False]), steps=3
)


@pytest.mark.parametrize(
    "change,match",
    [
        (
            dict(probs=np.array([[0.5, 0.5], [0.5, 0.5], [0.7, 0.5]])),
            r"probs\[2\] sums to 1.2, not 1 \(1 of 3",
        ),
        (dict(probs=np.array([[0.5, 0.5], [1.5, -0.5], [0.5, 0.5]])), r"probs\[1, 1\] = -0.5"),
        (dict(probs=np.array([[0.5, 0.5], [0.5, 0.5], [np.nan, 0.5]])), r"probs\[2, 0\] = nan"),
        (dict(probs=np.full((3, 3), 1 / 3)), r"expected probs \[K, A\]"),
        (dict(goal=np.zeros(4, bool)), r"expected probs \[K, A\]"),
        (dict(goal=np.zeros(3)), "goal must be bool"),
        (dict(next=np.zeros((3, 2))), "next integer"),
        (dict(next=np.array([[0, 1], [0, 3], [0, 0]])), r"next\[1, 1\] = 3 is no node: there are 0..2"),
        (dict(next=np.array([[0, -1], [0, 2], [0, 0]])), r"next\[0, 1\] = -1"),
        (dict(steps=-1), "steps must be"),
        (dict(steps=2.5), "steps must be"),
    ],
)
def test_errors_say_which_row(change, match):
    with pytest.raises(ValueError, match=match):
        reach_probability(**{**GOOD, **change})
    with pytest.raises(ValueError, match=match):
        occupancy(**{**GOOD, **change}, start=np.array([1]))


@pytest.mark.parametrize(
    "start,match", [([3], "0..2"), ([-1], "0..2"), ([0.5], "integers"), ([[1]], "integers")]
)
def test_errors_of_start(start, match):
    with pytest.raises(ValueError, match=match):
        occupancy(**GOOD, start=np.array(start))


def test_no_levels_are_no_error():
    empty = reach_probability(np.zeros((0, 5)), np.zeros((0, 5), int), np.zeros(0, bool), 5)
    assert empty.shape == (0,)
