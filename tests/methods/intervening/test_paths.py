"""Path patching on a hand-built network with two routes of known weight."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.methods.intervening.paths import path_effect


class TwoRoutes(nn.Module):
    """out = 2 * left(u) + 5 * right(u) + product * left(u) * right(u), with u = x and left = right = identity."""

    def __init__(self, product: float = 0.0):
        super().__init__()
        self.u, self.left, self.right = nn.Identity(), nn.Identity(), nn.Identity()
        self.deep, self.product = nn.Identity(), product

    def forward(self, x: Tensor) -> Tensor:
        u = self.u(x)
        left, right = self.left(u), self.right(u)
        both = self.deep(left + 10 * right)
        return 2 * left + 5 * right + self.product * left * right + 100 * both


def metric(out: Tensor) -> Tensor:
    return out[:, 0]


CLEAN, CORRUPT = torch.tensor([[1.0], [2.0], [0.0]]), torch.tensor([[2.0], [5.0], [0.0]])
CHANGE = np.array([1.0, 3.0, 0.0])


def test_each_route_counts_for_itself():
    module = TwoRoutes()
    left = path_effect(module, CLEAN, CORRUPT, "u", "left", metric)
    right = path_effect(module, CLEAN, CORRUPT, "u", "right", metric)
    assert np.array_equal(left.effect, (2 + 100) * CHANGE)
    assert np.array_equal(right.effect, (5 + 1000) * CHANGE)
    assert np.array_equal(left.effect + right.effect, left.total)  # routes that do not interact add up
    assert np.array_equal(left.source - left.base, left.total)
    assert left.changed.tolist() == [True, True, False] and left.n == 3


def test_held_sites_close_a_route():
    module = TwoRoutes()
    every = path_effect(module, CLEAN, CORRUPT, "u", "deep", metric)
    past = path_effect(module, CLEAN, CORRUPT, "u", "deep", metric, held=["right"])
    assert np.array_equal(every.effect, 1100 * CHANGE)
    assert np.array_equal(past.effect, 100 * CHANGE)
    with pytest.raises(ValueError, match="no route from 'u' to 'deep' past left, right"):
        path_effect(module, CLEAN, CORRUPT, "u", "deep", metric, held=["left", "right"])


def test_routes_that_interact_do_not_add_up():
    module = TwoRoutes(product=1.0)
    left = path_effect(module, CLEAN, CORRUPT, "u", "left", metric)
    right = path_effect(module, CLEAN, CORRUPT, "u", "right", metric)
    clean = CLEAN[:, 0].numpy()
    assert np.array_equal(left.effect, (102 + clean) * CHANGE)
    assert np.array_equal(left.total - left.effect - right.effect, CHANGE**2)


def test_no_route_is_an_error():
    module = TwoRoutes()
    with pytest.raises(ValueError, match="no route from 'left' to 'right'"):
        path_effect(module, CLEAN, CORRUPT, "left", "right", metric)
    with pytest.raises(ValueError, match="'u' touches nothing"):
        path_effect(module, CLEAN, CLEAN.clone(), "u", "left", metric)
    with pytest.raises(ValueError, match="must be different sites"):
        path_effect(module, CLEAN, CORRUPT, "u", "u", metric)
    with pytest.raises(ValueError, match="clean has 3 samples and corrupt 2"):
        path_effect(module, CLEAN, CORRUPT[:2], "u", "left", metric)
