"""Steering: on a linear network an effect is coefficient times projection, to the last digit."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from goalscope.activations import add, capture, editing, random_of_equal_norm, replace
from goalscope.methods.intervening.steer import composition, dose_response, steering_vector, transfer

LEVELS = 60
WIDTH = 12


class Linear(nn.Module):
    """read(embed(x)): what is added to `embed` comes out as its projection on the read-out."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(5, WIDTH)
        self.read = nn.Linear(WIDTH, 1)

    def forward(self, x):
        return self.read(self.embed(x)).squeeze(-1)


@pytest.fixture
def linear():
    torch.manual_seed(0)
    module = Linear().double()
    x = torch.randn(LEVELS, 5, dtype=torch.float64)

    def run(edits):
        with torch.no_grad(), editing(module, edits) if edits else nullcontext():
            return module(x)

    return module, x, run


def noise(vector, count=8, seed=0):
    """[count, ..] random vectors of the norm of the vector."""
    return random_of_equal_norm(vector.expand(count, *vector.shape), torch.Generator().manual_seed(seed))


def test_steering_vector_is_the_mean_of_paired_differences():
    generator = torch.Generator().manual_seed(1)
    truth = torch.randn(3, 4, 4, generator=generator)
    absent = 5 * torch.randn(
        200, 3, 4, 4, generator=generator
    )  # far more scatter between levels than the effect
    noise = 0.5 * torch.randn(200, 3, 4, 4, generator=generator)
    found = steering_vector(absent + truth + noise, absent)
    assert torch.allclose(found.vector, truth + noise.mean(0), atol=1e-5)
    assert found.norm == pytest.approx(float(found.vector.norm()), rel=1e-5)
    assert found.n == 200 and found.vector.shape == (3, 4, 4)
    within = (found.vector - truth).abs() < 1.96 * found.standard_error
    assert 0.8 < within.float().mean() <= 1
    assert torch.allclose(found.standard_error, noise.std(0) / 200**0.5, atol=1e-4)


def test_noise_norm_is_the_norm_where_there_is_no_difference():
    generator = torch.Generator().manual_seed(2)
    nothing = torch.randn(100, 400, generator=generator)
    found = steering_vector(nothing, torch.zeros_like(nothing))
    assert found.norm == pytest.approx(found.noise_norm, rel=0.1)
    real = steering_vector(nothing + 1, torch.zeros_like(nothing))
    assert real.norm > 5 * real.noise_norm


def test_effect_on_a_linear_network_is_coefficient_times_projection(linear):
    module, _, run = linear
    vector = torch.randn(WIDTH, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    doses = (-2.0, 0.5, 3.0)
    result = dose_response(run, "embed", vector, doses, controls=noise(vector, 20))
    projection = float(module.read.weight[0].detach() @ vector)
    for k, dose in enumerate(doses):
        assert np.allclose(result.metric[k] - result.baseline, dose * projection, atol=1e-12)
        assert result.effect[k].estimate == pytest.approx(dose * projection)
    assert result.metric.shape == (3, LEVELS) and result.random.shape == (3, 20, LEVELS)
    # Equal norm: no random direction does more than the read-out's own direction of that norm would.
    most = float(module.read.weight.norm() * vector.norm())
    moved = np.abs(result.random - result.baseline).mean(axis=2)
    assert (moved <= np.abs(doses)[:, None] * most + 1e-9).all()
    assert np.allclose(moved[2] / 3, moved[1] / 0.5)  # the same directions at every dose


def test_random_vectors_of_equal_norm_have_mean_zero_and_the_scatter_of_a_projection(linear):
    module, _, run = linear
    vector = module.read.weight[0].detach() * 2
    result = dose_response(run, "embed", vector, [1.0], controls=noise(vector, 600))
    effects = (result.random - result.baseline).mean(axis=2)[0]
    most = 2 * float(module.read.weight.square().sum())
    expected = most / np.sqrt(WIDTH)  # of a unit vector's projection on a fixed one
    assert effects.std() == pytest.approx(expected, rel=0.12)
    assert abs(effects.mean()) < 4 * expected / np.sqrt(600)
    assert result.effect[0].estimate == pytest.approx(most)
    assert result.as_strong[0] == pytest.approx(1 / 601)
    assert result.beyond_random[0].low > 0


def test_the_effect_beyond_random_vectors_is_paired_with_theirs(linear):
    """What is measured is how far the activations moved: as far along any vector of the norm."""
    module, x, _ = linear
    seen = module.embed(x).detach()
    size = torch.linspace(1, 3, LEVELS, dtype=torch.float64)

    def run(edits):
        with torch.no_grad(), editing(module, edits) if edits else nullcontext():
            return (capture(module, x, ["embed"])["embed"] - seen).norm(dim=1) * size

    result = dose_response(
        run,
        "embed",
        torch.ones(WIDTH, dtype=torch.float64),
        [2.0],
        controls=torch.eye(WIDTH, dtype=torch.float64)[:5],
    )
    assert result.effect[0].low > 1
    assert result.beyond_random[0].estimate == pytest.approx(0, abs=1e-9)
    assert result.as_strong[0] == 1


def test_a_vector_that_is_one_of_many_random_ones_is_not_special(linear):
    _, _, run = linear
    strength = []
    for seed in range(40):
        vector = torch.randn(WIDTH, generator=torch.Generator().manual_seed(100 + seed), dtype=torch.float64)
        others = noise(vector, 19, seed)
        strength.append(dose_response(run, "embed", vector, [1.0], controls=others).as_strong[0])
    # p-values of a true null hypothesis: uniform on 1/20..1
    assert 0.35 < np.mean(strength) < 0.7
    assert np.mean(np.array(strength) <= 0.1) < 0.3


def test_levels_of_the_vector_are_refused(linear):
    _, x, run = linear
    module, _, _ = linear
    activations = module.embed(x).detach()
    vector = steering_vector(activations[:10] + 1, activations[:10], level=range(10))
    others = noise(vector.vector)
    assert dose_response(run, "embed", vector, [1.0], controls=others, level=range(10, 70)).levels[0] == 10
    with pytest.raises(ValueError, match=r"made from level 9 \(1 such\)"):
        dose_response(run, "embed", vector, [1.0], controls=others, level=range(9, 69))


def test_transfer_is_the_ratio_of_effects_and_unknown_where_there_is_none():
    rng = np.random.default_rng(4)

    def behaviour(slope, noise):
        base, wobble = rng.normal(size=200), noise * rng.normal(size=200)

        def run(edits):
            moved = sum(float(edit(torch.zeros(1, 2))[0, 0]) for edit in edits.values())
            return base + slope * moved + wobble * (moved != 0)

        return run

    vector = torch.tensor([1.0, 0.0])
    others = noise(vector)
    first = dose_response(behaviour(2.0, 0.3), "site", vector, [1.0, -1.0], controls=others)
    second = dose_response(behaviour(0.5, 0.3), "site", vector, [1.0, -1.0], controls=others)
    shares = transfer(first, second).share
    for share in shares:
        assert share is not None and share.low < 0.25 < share.high and share.high - share.low < 0.1
    nothing = dose_response(behaviour(0.0, 0.3), "site", vector, [1.0, -1.0], controls=others)
    assert transfer(nothing, second).share == (None, None)
    with pytest.raises(ValueError, match="coefficients differ"):
        transfer(first, dose_response(behaviour(1.0, 0), "site", vector, [2.0], controls=others))


def test_edits_of_a_linear_network_add_up(linear):
    module, _, run = linear
    one, other = torch.randn(2, WIDTH, dtype=torch.float64)
    result = composition(run, {"embed": add(one)}, {"embed": add(other, 2.0)})
    assert result.both.estimate == pytest.approx(float(module.read.weight[0] @ (one + 2 * other)))
    assert result.interaction.estimate == pytest.approx(0, abs=1e-12)
    assert result.metrics.shape == (3, LEVELS)


def test_edits_that_undo_each_other_interact(linear):
    module, _, run = linear
    fixed = torch.zeros(WIDTH, dtype=torch.float64)
    result = composition(run, {"embed": add(fixed + 1)}, {"embed": replace(fixed)})
    # The second wipes the first out: together they do what the second does alone.
    assert np.allclose(result.metrics[2], result.metrics[1])
    assert result.interaction.estimate == pytest.approx(-float(module.read.weight.sum()))
    # It is the same on every level of a linear network: no interval, so no certainty of other levels.
    assert not result.interaction.has_interval and result.interaction.high < 0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (dict(coefficients=[0.0, 1.0]), "not 0"),
        (dict(vector=torch.zeros(WIDTH)), "its norm is 0"),
        (dict(controls=torch.ones(0, WIDTH)), r"controls must be \[R"),
        (dict(controls=torch.zeros(2, WIDTH)), "control vector is 0"),
        (dict(controls=torch.ones(2, 3)), r"controls must be \[R"),
        (dict(level=range(3)), "level is"),
        (dict(run=lambda edits: torch.zeros(3, 3)), r"\[N\], got \(3, 3\)"),
        (dict(run=lambda edits: torch.tensor([0.0, float("nan") if edits else 0.0])), "'embed', coefficient 1.* row 1"),
        (dict(run=lambda edits: torch.zeros(4)), "changes the metric of no level"),
    ],
)  # fmt: skip
def test_errors(linear, change, match):
    vector = torch.ones(WIDTH)
    arguments = dict(run=linear[2], site="embed", vector=vector, coefficients=[1.0], controls=noise(vector))
    arguments |= change
    with pytest.raises(ValueError, match=match):
        dose_response(**arguments)


def test_pairs_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(4, 3\) and \(5, 3\)"):
        steering_vector(torch.zeros(4, 3), torch.zeros(5, 3))
    with pytest.raises(ValueError, match="equal everywhere"):
        steering_vector(torch.ones(4, 3), torch.ones(4, 3))
    with pytest.raises(ValueError, match="pair 2"):
        steering_vector(torch.tensor([[0.0], [1.0], [float("inf")]]), torch.zeros(3, 1))
