"""The sampler against exact values, at the finite step and the finite n at which it runs."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.methods.degeneracy.learning_coefficient import learning_coefficient, sweep
from goalscope.methods.degeneracy.learning_coefficient.diagnostics import effective, r_hat
from goalscope.methods.degeneracy.references import normal_crossing_at, quadratic, reduced_rank

CURVATURES = torch.tensor([0.3, 1.0, 2.0, 4.0], dtype=torch.float64)
STRENGTH = 1000 / math.log(1000)
# A loss that is the same for every sample is that of a thousand with a hundred rows at ten times the temperature.
SAMPLES = torch.zeros(100, 1, dtype=torch.float64)
BETA = STRENGTH / 100


class Bare(nn.Module):
    """A module that is a point: every sample gets its parameters, so a loss of them alone can be anything."""

    def __init__(self, place: list[float]):
        super().__init__()
        self.place = nn.Parameter(torch.tensor(place, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.place.expand(len(x), -1)


def bowl(place: Tensor) -> Tensor:
    return (CURVATURES * place**2).sum(1) / 2


def crossing(place: Tensor) -> Tensor:
    return place[:, 0] ** 2 * place[:, 1] ** 2


def of_bowl(**options):
    given = {
        "beta": BETA,
        "step": 0.004,
        "localisation": 5.0,
        "chains": 256,
        "steps": 600,
        "burn_in": 200,
    } | options
    return learning_coefficient(Bare([0.0] * 4), bowl, SAMPLES, **given)


@pytest.fixture(scope="module")
def langevin():
    return of_bowl()


def test_langevin_on_a_quadratic_has_exactly_the_bias_of_its_step(langevin):
    wanted = quadratic(CURVATURES.numpy(), STRENGTH, localisation=5.0, step=0.004)
    unbiased = quadratic(CURVATURES.numpy(), STRENGTH, localisation=5.0)
    assert abs(langevin.coefficient - wanted) < 4 * langevin.error
    assert abs(langevin.coefficient - unbiased) > 8 * langevin.error
    assert langevin.faults == () and langevin.r_hat < 1.01


def test_the_error_is_that_of_the_chains(langevin):
    spread = langevin.chains.std(ddof=1) / math.sqrt(len(langevin.chains))
    assert 0.5 < langevin.error / spread < 2


def test_metropolis_has_no_bias_at_the_same_step():
    found = of_bowl(sampler="mala", step=0.005)
    wanted = quadratic(CURVATURES.numpy(), STRENGTH, localisation=5.0)
    assert abs(found.coefficient - wanted) < 4 * found.error < 0.1
    assert found.acceptance is not None and 0.3 < found.acceptance.min() < found.acceptance.max() < 1


def test_a_step_for_each_parameter_has_the_bias_of_those_steps():
    """Each parameter has the bias of a step of its own, which the burn-in found."""
    found = of_bowl(sampler="rmsprop", step=0.003)
    # The root mean square of a gradient a w is about sqrt(a): the steps of ε fall with it.
    root = np.sqrt(CURVATURES.numpy() * STRENGTH)
    scale = 1 / (root / root.mean() + 0.1)
    wanted = sum(
        quadratic(np.array([h]), STRENGTH, localisation=5.0, step=0.003 * s)
        for h, s in zip(CURVATURES.numpy(), scale, strict=True)
    )
    assert found.coefficient == pytest.approx(wanted, rel=0.02)
    one_step = quadratic(CURVATURES.numpy(), STRENGTH, localisation=5.0, step=0.003)
    assert abs(found.coefficient - one_step) > 0.05 * one_step


def test_the_crossing_has_its_value_at_a_thousand_samples_and_not_its_asymptote():
    found = learning_coefficient(
        Bare([0.0, 0.0]), crossing, SAMPLES, beta=BETA, step=0.02, localisation=0.0, sampler="mala", support=1.0,
        chains=256, steps=900, burn_in=300,
    )  # fmt: skip
    assert abs(found.coefficient - normal_crossing_at((1, 1), STRENGTH)) < 4 * found.error < 0.06
    plain = learning_coefficient(
        Bare([0.0, 0.0]), crossing, SAMPLES, beta=BETA, step=0.002, localisation=0.0, support=1.0,
        chains=256, steps=2000, burn_in=1000,
    )  # fmt: skip
    assert plain.coefficient == pytest.approx(
        normal_crossing_at((1, 1), STRENGTH), abs=0.03 + 4 * plain.error
    )


class Maps(nn.Module):
    """y = B A x with A [H, M] of rank r."""

    def __init__(self, m: int, n: int, h: int, r: int):
        super().__init__()
        first, second = torch.zeros(h, m), torch.zeros(n, h)
        for k in range(r):
            first[k, k] = second[k, k] = 1.0
        self.first, self.second = (nn.Parameter(w.double()) for w in (first, second))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.first.T @ self.second.T


@pytest.mark.parametrize("sizes", [(2, 6, 2, 0), (2, 2, 5, 0), (3, 3, 2, 1), (2, 2, 1, 1)])
def test_reduced_rank_regression_comes_within_a_tenth_of_theory(sizes):
    """The tolerance is what log log n and localisation leave at n = 5,000 (measured: at most 7%), beside the noise."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, sizes[0], generator=generator, dtype=torch.float64)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / 100)).T  # uncorrelated, of variance 1
    module = Maps(*sizes)
    truth = module(x).detach()

    def loss(y: Tensor, wanted: Tensor) -> Tensor:
        return (y - wanted).square().sum(1) / 2

    found = learning_coefficient(
        module, loss, x, truth, beta=5000 / math.log(5000) / 100, step=1e-3, localisation=2.0, sampler="mala",
        chains=64, steps=1500, burn_in=500,
    )  # fmt: skip
    assert (
        abs(found.coefficient - reduced_rank(*sizes).coefficient) < 0.1 * found.coefficient + 2 * found.error
    )
    assert found.error < 0.03 * found.coefficient
    assert found.coefficient < 0.85 * found.parameters / 2


def test_batches_change_noise_and_not_the_value():
    torch.manual_seed(0)
    module = nn.Linear(3, 1).double()
    x = torch.randn(2000, 3, dtype=torch.float64)
    y = x @ torch.ones(3, 1, dtype=torch.float64) + torch.randn(2000, 1, dtype=torch.float64)
    design = torch.cat([x, torch.ones(2000, 1, dtype=torch.float64)], 1)
    best = torch.linalg.lstsq(design, y).solution
    with torch.no_grad():
        module.weight.copy_(best[:3].T)
        module.bias.copy_(best[3])
    before = module.weight.clone()

    def loss(out: Tensor, wanted: Tensor) -> Tensor:
        return (out - wanted).square().sum(1) / 2

    found = learning_coefficient(
        module, loss, x, y, step=5e-4, localisation=1.0, batch=200, chains=32, steps=900, burn_in=300
    )
    curvatures = torch.linalg.eigvalsh(design.T @ design / 2000).numpy()
    wanted = quadratic(curvatures, 2000 / math.log(2000), localisation=1.0, step=5e-4)
    # The noise of batches of 200 adds a few hundredths: its variance (nβ)² ε/2 per step beside that of the noise.
    assert found.coefficient == pytest.approx(wanted, rel=0.15)
    assert found.start_loss == pytest.approx(loss(module(x), y).mean().item())
    assert torch.equal(module.weight, before)


def test_the_same_seed_gives_the_same_chains():
    one, two, other = (of_bowl(steps=60, burn_in=20, seed=s).trace for s in (1, 1, 2))
    assert np.array_equal(one, two) and not np.allclose(one, other)


def test_a_negative_estimate_is_called_an_error_of_the_setting():
    module = Bare([1.0, 1.0, 1.0, 1.0])  # on a slope, far from the minimum
    found = learning_coefficient(
        module, bowl, SAMPLES, beta=BETA, step=0.004, localisation=1.0, steps=300, burn_in=100
    )
    assert found.coefficient < 0
    assert any("negative" in fault and "no minimum" in fault for fault in found.faults)


def test_a_short_run_says_that_it_is_short():
    found = of_bowl(step=1e-5, chains=4, steps=60, burn_in=10)
    assert any("R-hat" in fault for fault in found.faults) and any("worth" in fault for fault in found.faults)


def test_a_diverging_chain_is_named_with_a_step_that_holds():
    with pytest.raises(ValueError, match=r"chain \d+ of 3 diverged at step \d+ of 400 with step=1") as caught:
        of_bowl(step=1.0, chains=3, steps=400, burn_in=100)
    said = re.search(r"step=([0-9.e-]+) holds", str(caught.value))
    assert said is not None
    assert np.isfinite(of_bowl(step=float(said.group(1)), chains=3, steps=400, burn_in=100).coefficient)


def test_a_sweep_shows_where_the_value_does_not_depend_on_the_step():
    found = sweep(
        Bare([0.0] * 4), bowl, SAMPLES, step=[0.0005, 0.001, 1.0], beta=[BETA], localisation=5.0, chains=128,
        steps=900, burn_in=400,
    )  # fmt: skip
    assert abs(found.coefficient[0, 0] - found.coefficient[1, 0]) < 0.15
    assert np.isnan(found.coefficient[2, 0]) and "diverged" in found.faults[2][0][0]


def test_chains_that_lie_apart_are_seen_and_equal_ones_are_not():
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((4, 2000))
    assert r_hat(draws) < 1.01
    assert r_hat(draws + np.arange(4)[:, None]) > 1.3
    assert r_hat(draws + np.linspace(0, 4, 2000)) > 1.3  # they agree with each other, and still wander


def test_the_effective_number_of_draws_is_that_of_theory():
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((8, 20_000))
    assert effective(noise) == pytest.approx(160_000, rel=0.1)
    chain = np.zeros_like(noise)
    for t in range(1, noise.shape[1]):
        chain[:, t] = 0.8 * chain[:, t - 1] + noise[:, t]
    assert effective(chain) == pytest.approx(160_000 * 0.2 / 1.8, rel=0.15)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampler": "hmc"}, "one of sgld"),
        ({"sampler": "mala", "batch": 10}, "leave batch out"),
        ({"batch": 2000}, "between 1 and the 100 samples"),
        ({"step": 0.0}, "step must be"),
        ({"step": math.nan}, "step must be"),
        ({"localisation": -1.0}, "localisation must be"),
        ({"beta": 0.0}, "beta must be"),
        ({"chains": 1}, "at least 2 chains"),
        ({"steps": 200}, "8 steps after the burn-in"),
        ({"support": 0.0}, "support must be"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        of_bowl(**options)


@pytest.mark.parametrize(
    ("module", "loss", "inputs", "targets", "words"),
    [
        (Bare([0.0]), crossing, SAMPLES[:99], None, "at least 100 samples"),
        (nn.ReLU(), lambda y: y.sum(1), SAMPLES, None, "no parameters"),
        (Bare([0.0]), lambda y: y.mean(), SAMPLES, None, r"one number a sample, \[100\]; got \[\]"),
        (Bare([0.0]), lambda y: y[:, 0] * math.nan, SAMPLES, None, "not finite"),
        (Bare([0.0]), lambda y, t: y[:, 0], SAMPLES, SAMPLES[:5], "one row a sample"),
    ],
)
def test_what_cannot_be_sampled_is_refused(module, loss, inputs, targets, words):
    with pytest.raises(ValueError, match=words):
        learning_coefficient(module, loss, inputs, targets, step=0.1, localisation=1.0)
