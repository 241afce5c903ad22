"""Alignment of maps whose directions are known, and of random ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import goalscope
from goalscope.methods.linear.alignment import alignment, same_spectra

RNG = np.random.default_rng(0)
BASIS = np.linalg.qr(RNG.standard_normal((40, 40)))[0]
STRONG = np.array([9.0, 8.0, 7.0] + [0.1] * 7)


def lower(columns: np.ndarray) -> np.ndarray:
    """[40, 10] whose strong outputs are the first three columns."""
    return (columns[:, :10] * STRONG) @ np.linalg.qr(RNG.standard_normal((10, 10)))[0]


def test_maps_that_share_their_strong_directions_align_and_random_ones_do_not():
    turn = np.linalg.qr(RNG.standard_normal((3, 3)))[0]
    same = np.concatenate([BASIS[:, :3] @ turn, BASIS[:, 20:27]], 1)
    found = alignment(lower(BASIS), lower(same).T, None, 3)
    assert found.aligned == pytest.approx(1.0) and found.residual == pytest.approx(0.0, abs=1e-9)
    assert found.p < 0.01 and found.zeroed.max() < 0.7
    assert found.expected == pytest.approx(3 / 40)
    assert found.random.mean() == pytest.approx(3 / 40, rel=0.1)
    assert found.residual_random.min() > 0.4
    other = alignment(lower(BASIS), lower(np.linalg.qr(RNG.standard_normal((40, 40)))[0]).T, None, 3)
    assert other.aligned < np.quantile(other.random, 0.99) and other.p > 0.01


def test_gates_that_shut_what_is_shared_end_the_alignment():
    axes = np.eye(40)
    open_, shut = np.ones((5, 40)), np.ones((5, 40))
    shut[:, :3] = 0
    through, none = (alignment(lower(axes), lower(axes).T, gates, 3) for gates in (open_, shut))
    assert through.aligned == pytest.approx(1.0) and none.aligned == pytest.approx(0.0, abs=1e-9)
    assert none.ungated == pytest.approx(1.0)
    assert none.expected == pytest.approx(3 / 40 * 37 / 40)
    assert none.p > 0.9


def test_maps_of_each_sample_are_taken_with_its_own_gates():
    below = np.stack([lower(BASIS), lower(BASIS[:, ::-1])])
    above = np.stack([lower(BASIS).T, lower(BASIS[:, ::-1]).T])
    assert alignment(below, above, np.ones((2, 40)), 3).aligned == pytest.approx(1.0)
    assert alignment(below, above[::-1], np.ones((2, 40)), 3).aligned == pytest.approx(0.0, abs=0.01)


def test_the_null_network_keeps_every_singular_value_and_no_direction():
    policy = goalscope.load("mouse-topright").module
    made = same_spectra(policy, seed=1)
    for (name, was), now in zip(policy.named_parameters(), made.parameters(), strict=True):
        if was.ndim < 2:
            assert torch.equal(was, now)
            continue
        one, two = was.detach().flatten(1), now.detach().flatten(1)
        assert torch.allclose(torch.linalg.svdvals(one), torch.linalg.svdvals(two), rtol=1e-3, atol=1e-4), (
            name
        )
        if min(one.shape) > 8:
            left = torch.linalg.svd(one)[0][:, :2].T @ torch.linalg.svd(two)[0][:, :2]
            assert float(left.square().sum()) / 2 < 0.6, name
    assert not torch.equal(
        same_spectra(policy, seed=2).state_dict()["stem.weight"], made.state_dict()["stem.weight"]
    )


@pytest.mark.parametrize(
    ("lower", "upper", "gates", "k", "words"),
    [
        (np.ones((4, 3)), np.ones((2, 5)), None, 1, "of one D"),
        (np.ones((4, 3)), np.ones((2, 4)), None, 3, "between 1 and 2"),
        (np.ones((4, 3)), np.ones((2, 4)), np.ones(5), 1, r"gates must be \[4\]"),
        (np.ones((6, 4, 3)), np.ones((7, 2, 4)), None, 1, "numbers of samples"),
        (np.full((4, 3), np.nan), np.ones((2, 4)), None, 1, "nan"),
    ],
)
def test_maps_that_do_not_meet_are_refused(lower, upper, gates, k, words):
    with pytest.raises(ValueError, match=words):
        alignment(lower, upper, gates, k)


def test_a_module_without_matrices_has_no_null():
    with pytest.raises(ValueError, match="no weight matrix"):
        same_spectra(nn.ReLU())
