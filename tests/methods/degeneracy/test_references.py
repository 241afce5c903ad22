"""Exact values: against known ones, and against each other where two roads lead to one number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from goalscope.methods.degeneracy.references import (
    Pole,
    free_energy,
    normal_crossing,
    normal_crossing_at,
    quadratic,
    reduced_rank,
)


def test_a_quadratic_without_bias_is_half_its_parameters():
    assert quadratic(np.array([1.0, 3.0, 9.0]), 1e9, localisation=1.0) == pytest.approx(1.5, rel=1e-6)


def test_a_flat_direction_counts_nothing():
    assert quadratic(np.array([0.0, 2.0]), 10.0, localisation=0.0) == 0.5


def test_the_bias_of_the_step_is_that_of_the_linear_recursion():
    a, gamma, step = 7.0, 2.0, 0.05
    keep = 1 - step * (a + gamma) / 2
    variance = 0.0
    for _ in range(10_000):
        variance = keep**2 * variance + step
    assert quadratic(np.array([a]), 1.0, localisation=gamma, step=step) == pytest.approx(a * variance / 2)


def test_a_step_that_diverges_is_named_with_the_one_that_does_not():
    with pytest.raises(ValueError, match=r"below 4 / .* = 0\.4, got 1"):
        quadratic(np.array([9.0]), 1.0, localisation=1.0, step=1.0)


def test_the_product_of_two_squares_is_not_at_its_asymptote_for_a_thousand_samples():
    assert normal_crossing_at((1, 1), 1000 / math.log(1000)) == pytest.approx(0.356, abs=5e-4)
    assert normal_crossing((1, 1)) == Pole(0.5, 2)


def test_the_expectation_is_that_of_the_plain_double_integral():
    w = (np.arange(1500) + 0.5) / 1500
    k = w[:, None] ** 2 * w[None] ** 4
    weight = np.exp(-50 * k)
    assert normal_crossing_at((1, 2), 50.0) == pytest.approx((weight * 50 * k).sum() / weight.sum(), rel=1e-4)


@pytest.mark.parametrize(("powers", "value"), [((1, 2), 0.25), ((2, 1), 0.25), ((1, 3), 1 / 6)])
def test_crossings_of_unequal_powers_come_to_their_asymptote(powers, value):
    assert normal_crossing(powers) == Pole(value, 1)
    assert normal_crossing_at(powers, 1e12) == pytest.approx(value, rel=0.02)


@pytest.mark.parametrize(
    ("sizes", "pole"),
    [
        ((1, 1, 1, 0), Pole(0.5, 2)),  # w1² w2²
        ((1, 1, 1, 1), Pole(0.5, 1)),  # a hyperbola: one direction counts
        ((2, 6, 3, 0), Pole(3.0, 1)),  # M + H < N + r: only A counts, HM / 2
        ((6, 2, 3, 0), Pole(3.0, 1)),  # N + H < M + r: only B counts, HN / 2
        ((2, 6, 3, 1), Pole(4.5, 1)),
        ((2, 2, 5, 0), Pole(2.0, 1)),  # M + N < H + r: the map is free, MN / 2
        ((2, 2, 2, 0), Pole(1.5, 1)),
        ((3, 3, 2, 1), Pole((2 * 3 * 6 + 18 - 9 - 18 + 1) / 8, 2)),
        ((10, 10, 5, 5), Pole(37.5, 1)),
    ],
)
def test_reduced_rank_regression_in_all_four_cases(sizes, pole):
    assert reduced_rank(*sizes) == pole


def test_a_full_rank_truth_has_the_dimension_of_its_manifold():
    for m in range(1, 6):
        for n in range(1, 6):
            for h in range(1, min(m, n) + 1):
                assert reduced_rank(m, n, h, h).coefficient == h * (m + n - h) / 2


def test_inputs_and_outputs_may_change_places_and_the_cases_meet_at_their_borders():
    for m in range(1, 7):
        for n in range(1, 7):
            for h in range(1, 7):
                for r in range(min(m, n, h) + 1):
                    here = reduced_rank(m, n, h, r)
                    assert here == reduced_rank(n, m, h, r)
                    assert here.coefficient <= min(h * (m + n) / 2, m * n / 2)
                    if r < min(m, n, h):
                        assert here.coefficient < reduced_rank(m, n, h, r + 1).coefficient + 1e-9


def test_a_local_minimum_keeps_its_loss_in_the_free_energy():
    assert free_energy(1000, 0.25, Pole(0.5, 2)) == pytest.approx(
        250 + 0.5 * math.log(1000) - math.log(math.log(1000))
    )


@pytest.mark.parametrize("call", [
    lambda: reduced_rank(2, 2, 1, 2),
    lambda: reduced_rank(0, 2, 1, 0),
    lambda: normal_crossing((0, 1)),
    lambda: quadratic(np.array([-1.0]), 1.0, localisation=1.0),
    lambda: free_energy(2, 0.0, Pole(1, 1)),
])  # fmt: skip
def test_what_cannot_be_is_refused(call):
    with pytest.raises(ValueError):
        call()
