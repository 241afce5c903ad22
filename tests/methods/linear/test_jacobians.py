"""Jacobians against known ones, and against the plain way of taking them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap

import goalscope
from goalscope.activations import sites
from goalscope.methods.linear.jacobians import jacobians
from goalscope.methods.linear.jacobians.spectrum import directions_for, on_budget, spectrum


def relus() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16, bias=False), nn.ReLU(), nn.Linear(16, 16, bias=False), nn.ReLU(inplace=True),
        nn.Linear(16, 3, bias=False),
    ).double()  # fmt: skip


X = torch.randn(20, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_a_network_of_relus_without_biases_is_its_jacobian_times_its_input():
    module = relus()
    found = jacobians(module, X)
    assert set(found) == {":in", "0", "1", "2", "3", "4"}
    for site in (":in", "0", "1", "2", "3"):
        at = X if site == ":in" else goalscope.capture(module, X, [site])[site]
        assert torch.allclose(torch.einsum("nkd,nd->nk", found[site], at), module(X))
    assert torch.equal(found["4"], torch.eye(3, dtype=torch.float64).expand(20, 3, 3))


def test_a_jacobian_through_open_gates_is_the_product_of_the_weights():
    module = relus()
    first, second, third = (module.state_dict()[f"{k}.weight"] for k in (0, 2, 4))
    for weight in (first, second):
        weight.abs_()
    assert torch.allclose(jacobians(module, X.abs())[":in"][0], third @ second @ first)


def test_every_site_of_a_policy_has_what_torch_gives_one_sample_at_a_time():
    torch.manual_seed(0)
    module: Any = goalscope.load("mouse-topright").module.double()
    world = goalscope.Maze(size=13, cheese_region=None)
    x = module.encode(world.observe(world.generate(range(3)))).double()
    found = jacobians(module, x, batch=2)
    assert len(found) > 20
    assert set(found) >= {site for site in sites(module, x) if site and site[0] != ":"}
    whole = vmap(jacrev(lambda one: module(one[None]).logits[0]))(x)
    assert torch.allclose(found[":in"], whole, atol=1e-12)
    for site in ("blocks.1.relu2", "hidden"):

        def later(change: Tensor, one: Tensor, site: str = site) -> Tensor:
            with goalscope.editing(module, {site: lambda a: a + change}):
                return module(one[None]).logits[0]

        at = goalscope.capture(module, x, [site])[site]
        for k in range(3):
            one = torch.autograd.functional.jacobian(lambda c, k=k: later(c, x[k]), torch.zeros_like(at[k]))
            assert torch.allclose(found[site][k], one, atol=1e-12)
    assert not found["value_head"].any()  # the logits do not see the value


def test_samples_that_change_each_other_are_refused():
    module = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).double()
    with (
        pytest.warns(UserWarning, match="training mode"),
        pytest.raises(ValueError, match="each other's logits"),
    ):
        jacobians(module, X)
    assert jacobians(module.eval(), X)[":in"].shape == (20, 3, 6)


def test_what_has_no_jacobian_is_refused():
    module = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 3))
    tokens = torch.ones(2, 2, dtype=torch.long)
    assert set(jacobians(module, tokens)) == {"0", "1", "2"}  # not the tokens
    with pytest.raises(ValueError, match=r"0:in' holds torch.int64"):
        jacobians(module, tokens, ["0:in"])
    with pytest.raises(ValueError, match="no site"):
        jacobians(module, tokens, ["relu"])
    with pytest.raises(ValueError, match=r"logits must be \[2, K\]"):
        jacobians(module, tokens, of=lambda y: y.sum(1))
    with pytest.raises(ValueError, match="batch must be"):
        jacobians(module, tokens, batch=0)


def test_directions_rebuild_the_jacobian_and_a_planted_one_is_found():
    rng = np.random.default_rng(0)
    logit, place = rng.standard_normal(4), rng.standard_normal((3, 3))
    planted = torch.from_numpy(np.einsum("n,k,ij->nkij", rng.uniform(1, 2, 30), logit, place))
    noisy = planted + 0.01 * torch.randn(planted.shape, generator=torch.Generator().manual_seed(0))
    found = spectrum(noisy)
    again = np.einsum("nkr,nr,nrij->nkij", found.left, found.values, found.right)
    assert np.allclose(again, noisy)
    assert abs((found.shared[0] * place).sum()) / np.linalg.norm(place) > 0.999
    assert directions_for(found.stacked, 0.99) == 1
    assert directions_for(spectrum(torch.randn(30, 4, 3, 3)).stacked, 0.99) == 9


def test_the_number_of_directions_counts_squares():
    assert directions_for(np.array([1.0, 3.0]), 0.9) == 1
    assert directions_for(np.array([3.0, 1.0]), 0.91) == 2
    assert directions_for(np.zeros(3), 0.5) == 0
    with pytest.raises(ValueError, match="share"):
        directions_for(np.ones(2), 0.0)


def test_on_one_budget_directions_win_on_low_rank_and_entries_on_a_sparse_one():
    generator = torch.Generator().manual_seed(0)
    low = torch.randn(10, 4, 1, generator=generator) @ torch.randn(10, 1, 50, generator=generator)
    found = on_budget(low)
    assert found.low_rank[0] < 1e-10 < 0.1 < found.sparse[0]
    assert found.shuffled[0] > 0.4
    sparse = torch.zeros(10, 4, 50)
    for k in range(4):
        sparse[:, k, 7 * k] = 1.0
    found = on_budget(sparse)
    assert found.sparse[0] == 0 and found.low_rank[0] == pytest.approx(0.75)
    assert found.rotated[0] > 0.2
    assert list(found.numbers) == [54, 108, 162, 216]


def test_a_jacobian_of_nothing_is_refused():
    with pytest.raises(ValueError, match="do not depend"):
        on_budget(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r"\[N, K, ...\]"):
        spectrum(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="nan"):
        spectrum(torch.full((1, 2, 2), torch.nan))
