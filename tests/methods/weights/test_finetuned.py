"""Grafting a network of two towers and a gate: the altered tower carries all of the change, the other none."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.methods.weights.finetuned import graft, grafting, relative_change

LEVELS = 50


class Towers(nn.Module):
    """Two towers; a gate in the input says for each sample whose answer counts."""

    def __init__(self):
        super().__init__()
        self.left = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
        self.right = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        x = self.norm(x)
        return torch.where(gate, self.left(x), self.right(x)).squeeze(1)


@pytest.fixture
def towers():
    torch.manual_seed(0)
    original = Towers().eval()
    finetuned = copy.deepcopy(original)
    with torch.no_grad():
        for value in finetuned.left.parameters():
            value += 0.5 * torch.randn(value.shape)
        # The answers of the left tower rise, so that there is a mean change to be carried.
        finetuned.left[2].bias += 2  # type: ignore[operator, union-attr]
    x = torch.randn(LEVELS, 6)
    gate = torch.arange(LEVELS)[:, None] % 2 == 0

    def behaviour(module):
        with torch.no_grad():
            return module(x, gate)

    return original, finetuned, behaviour


SETS = {"left": ["left"], "right": ["right"], "first": ["left.0", "right.0"], "all": [""]}


def test_the_altered_tower_carries_everything_and_the_other_nothing(towers):
    original, finetuned, behaviour = towers
    result = grafting(original, finetuned, behaviour, SETS, controls={})
    assert result.grafts["left"].carried.estimate == result.grafts["left"].lost.estimate == 1
    assert result.grafts["left"].carried.low == result.grafts["left"].carried.high == 1
    assert result.grafts["right"].carried.estimate == result.grafts["right"].lost.estimate == 0
    assert result.grafts["all"].carried.estimate == 1
    first = result.grafts["first"]
    assert 0 < abs(first.carried.estimate) < 1 or first.carried.excludes(1)
    assert first.parameters == ("left.0.weight", "left.0.bias", "right.0.weight", "right.0.bias")
    assert np.array_equal(result.grafts["left"].behaviour, result.finetuned)
    assert result.grafts["right"].relative_change == 0 < result.grafts["left"].relative_change
    assert result.change.estimate == pytest.approx(float((result.finetuned - result.original).mean()))


def test_shares_of_a_linear_network_add_up():
    torch.manual_seed(1)
    original = nn.ModuleDict({"a": nn.Linear(3, 1), "b": nn.Linear(3, 1)})
    finetuned = copy.deepcopy(original)
    with torch.no_grad():
        finetuned["a"].bias += 3.0  # type: ignore[operator]
        finetuned["b"].bias += 1.0  # type: ignore[operator]
    x = torch.randn(30, 3)

    def behaviour(module):
        return (module["a"](x) + module["b"](x)).squeeze(1)

    result = grafting(original, finetuned, behaviour, {"a": ["a"], "b": ["b"]}, controls={})
    assert result.grafts["a"].carried.estimate == pytest.approx(0.75, abs=1e-5)
    assert result.grafts["b"].carried.estimate == pytest.approx(0.25, abs=1e-5)
    assert result.grafts["b"].lost.estimate == pytest.approx(0.25, abs=1e-5)


def test_layers_that_matter_only_together_are_lost_but_not_carried():
    # The product of two gains: either new one alone does nothing, and without either everything is lost.
    original = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False), "b": nn.Linear(1, 1, bias=False)})
    finetuned = copy.deepcopy(original)
    with torch.no_grad():
        for layer in original.values():
            layer.weight.zero_()  # type: ignore[operator, union-attr]
        for layer in finetuned.values():
            layer.weight.fill_(2.0)  # type: ignore[operator, union-attr]
    x = torch.ones(10, 1)

    def behaviour(module):
        return module["b"](module["a"](x)).squeeze(1)

    result = grafting(original, finetuned, behaviour, {"a": ["a"]}, controls={})
    assert result.grafts["a"].carried.estimate == 0 and result.grafts["a"].lost.estimate == 1
    assert result.grafts["a"].relative_change == np.inf


def test_controls_that_went_elsewhere_carry_little(towers):
    original, finetuned, behaviour = towers
    same = copy.deepcopy(original)
    drifted = copy.deepcopy(original)
    with torch.no_grad():
        for value in drifted.parameters():
            value += 0.01 * torch.randn(value.shape)
    result = grafting(
        original, finetuned, behaviour, {"left": ["left"]}, controls={"same": same, "drifted": drifted}
    )
    assert result.controls["same"].estimate == result.grafts["left"].controls["same"].estimate == 0
    assert 0 < abs(result.controls["drifted"].estimate) < 0.2
    assert abs(result.grafts["left"].controls["drifted"].estimate) < 0.2
    assert relative_change(original, drifted).total < 0.1 < relative_change(original, finetuned).total


def test_interval_of_a_share_covers_it():
    rng = np.random.default_rng(2)
    original = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
    finetuned = copy.deepcopy(original)
    with torch.no_grad():
        finetuned["a"].bias += 1.0  # type: ignore[operator]
        finetuned["b"].bias += 1.0  # type: ignore[operator]
    inside = 0
    for run in range(60):
        noise = rng.normal(size=(2, 80))

        def behaviour(module, noise=noise):
            # Level by level the two layers matter unequally; over all levels, 0.3 and 0.7.
            moved = [
                module.state_dict()[k].item() - original.state_dict()[k].item() for k in ("a.bias", "b.bias")
            ]
            return (0.3 + 0.5 * noise[0]) * moved[0] + (0.7 + 0.5 * noise[1]) * moved[1]

        carried = (
            grafting(original, finetuned, behaviour, {"a": ["a"]}, controls={}, seed=run).grafts["a"].carried
        )
        inside += carried.low <= 0.3 <= carried.high
    assert inside >= 52


def test_a_change_that_is_none_has_no_shares(towers):
    original, _, behaviour = towers
    with pytest.raises(ValueError, match="includes 0, so there is no change to share out"):
        grafting(original, copy.deepcopy(original), behaviour, {"left": ["left"]}, controls={})
    noisy = copy.deepcopy(original)
    with torch.no_grad():
        noisy.left[0].weight += 0.01 * torch.randn(16, 6)  # type: ignore[operator, union-attr]
    rng = np.random.default_rng(3)
    with pytest.raises(ValueError, match="includes 0"):
        grafting(original, noisy, lambda m: rng.normal(size=LEVELS), {"left": ["left"]}, controls={})


def test_graft_copies_what_it_says_and_touches_neither_network(towers):
    original, finetuned, _ = towers
    before = {name: value.clone() for name, value in original.state_dict().items()}
    after = {name: value.clone() for name, value in finetuned.state_dict().items()}
    made = graft(original, finetuned, ["left.2", "left.0.bias"])
    taken = {"left.2.weight", "left.2.bias", "left.0.bias"}
    for name, value in made.state_dict().items():
        assert torch.equal(value, (after if name in taken else before)[name])
        assert (name in taken) <= (not torch.equal(before[name], after[name]))
    with torch.no_grad():
        for value in made.parameters():
            value.zero_()
    for module, kept in ((original, before), (finetuned, after)):
        assert all(torch.equal(value, kept[name]) for name, value in module.state_dict().items())


def test_relative_change_by_hand():
    original = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    with torch.no_grad():
        original[0].weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))  # type: ignore[operator, union-attr]
        original[0].bias.zero_()  # type: ignore[operator, union-attr]
    finetuned = copy.deepcopy(original)
    with torch.no_grad():
        finetuned[0].weight[0, 1] += 1.0  # type: ignore[operator, index]
        finetuned[0].bias += 1.0  # type: ignore[operator]
    result = relative_change(original, finetuned)
    assert result.parameters["0.weight"] == pytest.approx(1 / 5)
    assert result.parameters["0.bias"] == np.inf  # it was 0: there is no scale to compare with
    assert result.parameters["1.weight"] == 0
    assert result.modules == {"0": pytest.approx(3**0.5 / 5), "1": 0}
    assert result.norms["0.bias"] == (pytest.approx(2**0.5), 0)
    whole = float(sum(v.square().sum() for v in original.state_dict().values()) ** 0.5)
    assert result.total == pytest.approx(3**0.5 / whole)


def test_statistics_of_batch_norm_count_and_are_grafted(towers):
    original, _, _ = towers
    moved = copy.deepcopy(original)
    moved.get_buffer("norm.running_mean").add_(1)
    assert relative_change(original, moved).modules["norm"] > 0
    made = graft(original, moved, ["norm"])
    assert torch.equal(made.get_buffer("norm.running_mean"), moved.get_buffer("norm.running_mean"))


def test_networks_and_layers_that_do_not_fit(towers):
    original, finetuned, behaviour = towers
    with pytest.raises(ValueError, match="only one of the networks has"):
        relative_change(original, nn.Linear(2, 2))
    wider = copy.deepcopy(finetuned)
    wider.left[2] = nn.Linear(16, 2)
    with pytest.raises(ValueError, match=r"'left.2.weight' is \(1, 16\) before and \(2, 16\) after"):
        graft(original, wider, ["left"])
    with pytest.raises(KeyError, match=r"'left.1'.*near: .*left"):
        graft(original, finetuned, ["left.1"])
    with pytest.raises(ValueError, match="sequence of names"):
        graft(original, finetuned, "left")
    broken = copy.deepcopy(finetuned)
    with torch.no_grad():
        broken.right[0].bias[2] = torch.nan  # type: ignore[operator, index]
    with pytest.raises(ValueError, match=r"'right.0.bias' has weights that are not finite"):
        relative_change(original, broken)
    with pytest.raises(ValueError, match=r"finetuned: behaviour is not finite in level 3"):
        bad = torch.zeros(LEVELS)
        bad[3] = torch.nan
        grafting(original, finetuned, lambda m: bad if m is finetuned else behaviour(m), SETS, controls={})
    with pytest.raises(ValueError, match="one number a level"):
        grafting(original, finetuned, lambda m: torch.zeros(2, 2), SETS, controls={})
    with pytest.raises(ValueError, match="no layer sets"):
        grafting(original, finetuned, behaviour, {}, controls={})
