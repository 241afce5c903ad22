"""Selection: no more false discoveries than promised, planted units are found, and held-out levels have the last word."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control
from torch import nn

from goalscope.activations import capture, editing, mean
from goalscope.methods.intervening.select import benjamini_hochberg, select

LEVELS = 80
DISCOVERY = np.arange(LEVELS) < 40


def test_adjusted_p_values_are_those_of_scipy():
    rng = np.random.default_rng(0)
    for size in (1, 2, 50, 400):
        p = rng.random(size) ** 3
        assert np.allclose(benjamini_hochberg(p), false_discovery_control(p))
    assert benjamini_hochberg(np.array([0.01, 0.02, 0.03, 0.9])) == pytest.approx([0.04, 0.04, 0.04, 0.9])
    assert benjamini_hochberg(np.empty(0)).shape == (0,)
    with pytest.raises(ValueError, match=r"in 0\.\.1"):
        benjamini_hochberg(np.array([0.5, 1.2]))


@pytest.mark.parametrize("shape", ["normal", "skewed", "sparse"])
def test_false_discoveries_stay_at_the_nominal_rate(shape):
    rng = np.random.default_rng({"normal": 1, "skewed": 2, "sparse": 3}[shape])
    runs, units, planted = 100, 100, 10
    found_shares, confirmed_shares, power, anything = [], [], [], 0
    for _ in range(runs):
        effects = {
            "normal": lambda: rng.normal(size=(units, LEVELS)),
            "skewed": lambda: rng.exponential(size=(units, LEVELS)) - 1,
            "sparse": lambda: rng.normal(size=(units, LEVELS)) * (rng.random((units, LEVELS)) < 0.3),
        }[shape]()
        effects *= rng.uniform(0.1, 10, (units, 1))  # units differ in scale
        null = select(effects, DISCOVERY)
        anything += len(null.found) > 0
        effects[:planted] += 0.9 * effects[:planted].std(axis=1, keepdims=True)
        result = select(effects, DISCOVERY)
        for shares, chosen in ((found_shares, result.found), (confirmed_shares, result.confirmed)):
            shares.append(np.mean(chosen >= planted) if len(chosen) else 0.0)
        power.append(np.mean(np.isin(np.arange(planted), result.confirmed)))
    # With nothing to find: a false discovery in 5% of the runs. Heavy skew costs a factor of three, as documented.
    assert anything / runs <= (0.2 if shape == "skewed" else 0.1)
    assert np.mean(found_shares) <= (0.1 if shape == "skewed" else 0.07)
    assert np.mean(confirmed_shares) < 0.01  # two stages are far stricter than one
    assert np.mean(power) > 0.8


def test_a_random_network_has_no_unit_with_a_systematic_effect():
    # Ablating a channel of a random network changes its output, in either direction equally often over networks:
    # over inputs of both signs (an odd network) every mean effect is exactly 0.
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 200, bias=False), nn.Tanh(), nn.Linear(200, 1, bias=False))
    found, confirmed = 0, 0
    for seed in range(20):
        x = torch.randn(LEVELS, 6, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            bare = module(x)[:, 0]
            acts = capture(module, x, ["1"])["1"]
            effects = -(acts * module[2].weight[0]).T  # type: ignore[operator, index]
            with editing(module, {"1": lambda a: a * (torch.arange(200) != 7)}):
                assert torch.allclose(module(x)[:, 0] - bare, effects[7], atol=1e-5)
        result = select(effects.numpy(), DISCOVERY)
        found, confirmed = found + (len(result.found) > 0), confirmed + len(result.confirmed)
    assert found <= 4 and confirmed <= 2


def test_planted_channels_of_a_network_are_found_by_ablation():
    torch.manual_seed(1)
    module = nn.Sequential(nn.Identity(), nn.Linear(30, 1))
    with torch.no_grad():
        module[1].weight.zero_()  # type: ignore[operator, union-attr]
        module[1].weight[0, [4, 17]] = torch.tensor([2.0, -1.0])  # type: ignore[index, operator]
    x = torch.randn(LEVELS, 30) + 1
    asked = []

    def effects(units, levels):
        asked.append((units, levels))
        rows = x[torch.from_numpy(levels)]
        with torch.no_grad():
            bare = module(rows)[:, 0]
            out = []
            for unit in units:
                with editing(module, {"0": [lambda a: a, mean(channels=[int(unit)])]}):
                    out.append((module(rows)[:, 0] - bare).square().numpy())
        return np.stack(out)

    result = select(effects, DISCOVERY, units=[f"channel {i}" for i in range(30)])
    assert result.found.tolist() == result.confirmed.tolist() == [4, 17]
    assert result.units[4] == "channel 4"
    # Held-out levels were run for the two alone.
    assert [len(units) for units, _ in asked] == [30, 2]
    assert asked[1][1].tolist() == list(range(40, LEVELS))


def test_held_out_estimates_are_unbiased_where_discovery_is_not():
    rng = np.random.default_rng(2)
    first, second = [], []
    for _ in range(60):
        effects = 0.25 + rng.normal(size=(200, LEVELS))  # all alike: who is found was lucky
        result = select(effects, DISCOVERY)
        if len(result.found):
            first.append(result.discovery[result.found].mean())
            second.append(np.mean([e.estimate for e in result.held_out]))
    assert np.mean(first) > 0.4
    assert np.mean(second) == pytest.approx(0.25, abs=0.02)
    assert (result.shrinkage < 1).mean() > 0.8


def test_an_effect_that_turns_round_is_not_confirmed():
    rng = np.random.default_rng(5)
    effects = rng.normal(size=(3, LEVELS))
    effects[0] += np.where(DISCOVERY, 1, -1)
    effects[1] -= 1
    result = select(effects, DISCOVERY)
    assert sorted(result.found.tolist()) == [0, 1] and result.confirmed.tolist() == [1]
    assert result.held_out_q[result.found.tolist().index(0)] > 0.9


def test_units_that_do_no_more_than_a_random_one_are_not_found():
    rng = np.random.default_rng(4)
    shared = 1 + rng.normal(size=LEVELS) * 0.3  # whatever is ablated, this much is lost
    effects = shared + 0.3 * rng.normal(size=(50, LEVELS))
    effects[9] += 1
    effects[11] -= 3  # an effect of the other sign is not an excess over the random one's
    assert len(select(effects, DISCOVERY).found) == 50
    result = select(effects, DISCOVERY, control=shared)
    assert {9, 11} <= set(result.found.tolist()) and len(result.found) <= 5
    assert set(result.confirmed.tolist()) <= {9, 11} | set(result.found.tolist())
    assert result.beyond_random[result.found.tolist().index(9)].low > 0.8


def test_levels_that_all_agree_are_no_more_certain_than_coins():
    effects = np.ones((1, 12))
    result = select(effects, np.arange(12) < 6)
    assert result.p[0] == pytest.approx(2 * 2**-6)
    with pytest.warns(RuntimeWarning, match="6 discovery levels"):
        zeros = select(np.zeros((4, 12)), np.arange(12) < 6)
    assert (zeros.p == 1).all() and not len(zeros.found) and zeros.held_out == ()


def test_too_few_levels_to_find_anything_are_not_silent():
    def chosen(units: int, discovery: int, clear: int, held: int = 40, **settings):
        effects = np.random.default_rng(6).normal(size=(units, discovery + held))
        effects[:clear] = 1 + 1e-3 * effects[:clear]  # as clear as can be
        return select(effects, np.arange(discovery + held) < discovery, **settings)

    words = r"10 discovery levels the smallest possible q of one unit among 32 is 0\.0625 > 0\.05: no unit can be found "
    with pytest.warns(RuntimeWarning, match=words + r"unless 2 or more .*; give at least 11$") as said:
        assert not len(chosen(32, 10, 1).found)
    assert said[0].filename == __file__
    with pytest.warns(RuntimeWarning, match=words):
        assert sorted(chosen(32, 10, 2).found) == [0, 1]
    with pytest.warns(
        RuntimeWarning, match=r"5 discovery .*is 0\.25 > 0\.05: nothing can be found; give at least 8$"
    ):
        assert not len(chosen(4, 5, 4).found)
    held = r"5 held-out .* one unit among 4 is 0\.125 > 0\.05: .*confirmed unless 3 or more .*at least 7$"
    with pytest.warns(RuntimeWarning, match=held):
        assert len(chosen(4, 40, 4, held=5).confirmed) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert chosen(32, 11, 1).confirmed.tolist() == [0]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (dict(effects=np.zeros((3, 79))), r"effects must be \[U, 80\]"),
        (dict(effects=np.full((3, LEVELS), np.nan)), "unit '0' on level 0 is nan"),
        (dict(discovery=DISCOVERY.astype(int)), "discovery must be bool"),
        (dict(discovery=np.arange(LEVELS) < 78), "5 levels on each side .* 78, 2"),
        (dict(rate=0), "a rate in"),
        (dict(units=["a"]), "units says"),
        (dict(units=4), "units says 4"),
        (dict(effects=lambda units, levels: np.zeros((3, 40))), "with a callable"),
        (
            dict(effects=lambda units, levels: np.zeros((2, 40)), units=3),
            r"give \(3, 40\) numbers, got \(2, 40\)",
        ),
        (dict(control=np.zeros(3)), "control must be finite"),
        (dict(effects=np.zeros((0, LEVELS))), "no units"),
    ],
)
def test_errors(change, match):
    arguments = dict(effects=np.zeros((3, LEVELS)), discovery=DISCOVERY) | change
    with pytest.raises(ValueError, match=match):
        select(**arguments)


def test_a_unit_that_does_no_more_than_a_random_one_on_held_out_levels_is_not_confirmed():
    """Its effect holds there, but the random unit has as much."""
    rng = np.random.default_rng(7)
    control = np.where(DISCOVERY, 0.0, 1.0) + 0.1 * rng.normal(size=LEVELS)
    effects = 1 + 0.1 * rng.normal(size=(2, LEVELS))
    effects[1] += np.where(DISCOVERY, 0, 1)
    result = select(effects, DISCOVERY, control=control)
    assert sorted(result.found.tolist()) == [0, 1] and result.confirmed.tolist() == [1]
    assert result.held_out_q[result.found.tolist().index(0)] > 0.05
