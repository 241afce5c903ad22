"""Relus that are not needed go first and cost nothing; the ones that are needed cost where they are needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import goalscope
from goalscope.activations import editing
from goalscope.methods.linear.relus import linear_at, remove_relus


class Gated(nn.Module):
    """Six units: two always open, one never, one that decides, two that nothing reads."""

    def __init__(self):
        super().__init__()
        self.first, self.relu, self.last = nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2, bias=False)
        with torch.no_grad():
            self.first.weight.zero_()
            self.first.weight[:4, 0] = torch.tensor([1.0, -1.0, 1.0, 1.0])
            self.first.weight[4:, 1] = 1.0
            self.first.bias.copy_(torch.tensor([9.0, 9.0, -9.0, 0.0, 0.0, 0.0]))
            self.last.weight.zero_()
            self.last.weight[0, :4] = torch.tensor([0.1, -0.1, 5.0, 3.0])

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.relu(self.first(x)))


X, Y = torch.randn(2, 300, 3, generator=torch.Generator().manual_seed(0))
LEVEL = np.arange(300) // 3


@pytest.fixture(scope="module")
def gated():
    return remove_relus(Gated(), X, Y, LEVEL, rounds=6)


def test_gates_that_are_always_open_or_never_or_unread_go_at_no_loss(gated):
    assert gated.always == 2
    assert [site for site, _ in gated.units] == ["relu"] * 6
    assert gated.units[-1] == ("relu", 3)
    assert list(gated.removed) == list(range(7))
    assert all(abs(point.estimate) < 1e-6 for point in gated.held_out[:6])
    assert gated.held_out[6].low > 0.05
    assert gated.affected.shape == (7, 300)


def test_a_random_order_pays_earlier(gated):
    found = remove_relus(Gated(), X, Y, LEVEL, rounds=6, orders=20)
    assert found.random[5].mean() > 10 * abs(found.held_out[5].estimate) + 0.01
    assert np.allclose(found.random[6], found.held_out[6].estimate)


def test_a_relu_made_linear_gives_its_mean_slope():
    module = Gated()
    slopes = {"relu": torch.tensor([1.0, 1.0, 0.0, 0.25, 0.5, 0.5])}
    with editing(module, linear_at(slopes, [("relu", 3)])):
        out = module(X)
    before = module.first(X)
    after = before.relu()
    after[:, 3] = 0.25 * before[:, 3]
    assert torch.allclose(out, module.last(after))


def test_held_out_samples_choose_nothing():
    """Where the discovery samples never close a gate, its going costs on the others, and the curve says so."""
    module = Gated()
    found = remove_relus(module, X.abs() + 0.1, Y, LEVEL, rounds=6)
    assert found.always == 5  # all but the one that is never open
    assert max(found.discovery) < 1e-6
    assert found.held_out[-1].low > 0.1


def test_the_relus_of_a_policy_go_in_an_order_that_beats_chance():
    policy: Any = goalscope.load("mouse-topright").module
    world = goalscope.Maze(size=13, cheese_region=None)
    x, y = (policy.encode(world.observe(world.generate(seeds))) for seeds in (range(32), range(1000, 1032)))
    found = remove_relus(policy, x, y, np.arange(32), rounds=3, orders=1)
    assert len(found.units) == len(set(found.units)) == 10 * 32 + 32 + 64
    assert found.held_out[0].estimate == 0.0
    assert found.held_out[1].estimate < 0.5 * found.random[1].mean()


def test_what_has_no_relus_or_no_levels_is_refused():
    with pytest.raises(ValueError, match="name sites"):
        remove_relus(nn.Linear(3, 2), X, Y, LEVEL)
    with pytest.raises(ValueError, match=r"level must be \[300\]"):
        remove_relus(Gated(), X, Y, LEVEL[:5])
    with pytest.raises(ValueError, match="at least 1 round"):
        remove_relus(Gated(), X, Y, LEVEL, rounds=0)
    with pytest.raises(ValueError, match="give `of`"):
        remove_relus(Gated(), X, Y, LEVEL, of=lambda y: y.sum(1))
