"""Attribution patching: exact where networks are linear, complete with steps, and caught where it misses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.methods.intervening.attribution import agreement, attribution, draw_parts
from goalscope.methods.intervening.patch import patch_effects


def first(output: Tensor) -> Tensor:
    return output[:, 0]


def pair(*shape: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clean, corrupt = (torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return clean, corrupt


def network(*layers: nn.Module, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    for layer in layers:
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layer.reset_parameters()
    return nn.Sequential(*layers).double()


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("direction", ["noising", "denoising"])
def test_in_a_linear_network_the_estimate_is_exact(steps: int, direction):
    module = network(nn.Conv2d(2, 4, 3), nn.AvgPool2d(2), nn.Conv2d(4, 3, 2), nn.Flatten(), nn.Linear(3, 2))
    clean, corrupt = pair(5, 2, 6, 6)
    for over in ("channels", "positions"):
        options = {"over": over, "direction": direction}
        guess = attribution(module, clean, corrupt, ["0", "1", "2"], first, steps=steps, **options)
        exact = patch_effects(module, clean, corrupt, ["0", "1", "2"], first, **options)
        report = agreement(guess.effect, guess.parts, exact.effect, exact.parts)
        assert np.allclose(report.approximate, report.exact, atol=1e-12)
        assert report.slope == pytest.approx(1) and report.rank_correlation == pytest.approx(1)
        assert report.same_sign == 1 and report.missed == 0
        assert np.allclose(guess.base, exact.base) and np.allclose(guess.source, exact.source)
        for site in ("0", "1", "2"):
            assert np.allclose(guess.effect[site].sum(0), guess.whole[site], atol=1e-12)


def test_integrated_gradients_are_complete_and_the_gradient_is_not():
    module = network(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5), nn.Softplus(), nn.Linear(5, 2))
    clean, corrupt = pair(9, 6)
    for site in ("0", "2"):
        fine = attribution(module, clean, corrupt, [site], first, steps=400)
        assert np.allclose(fine.effect[site].sum(0), fine.whole[site], atol=1e-5)
        assert np.allclose(fine.whole[site], fine.source - fine.base, atol=1e-12)
        coarse = attribution(module, clean, corrupt, [site], first)
        assert np.abs(coarse.effect[site].sum(0) - coarse.whole[site]).max() > 0.01


def test_more_steps_come_closer():
    module = network(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 2))
    clean, corrupt = pair(9, 6)
    gaps = []
    for steps in (1, 4, 16):
        found = attribution(module, clean, corrupt, ["0"], first, steps=steps)
        gaps.append(np.abs(found.effect["0"].sum(0) - found.whole["0"]).mean())
    assert gaps[0] > 4 * gaps[1] > 16 * gaps[2]  # the midpoint rule is of second order: 16 times


class Saturated(nn.Module):
    """Channels 0 to 4 act through a unit that is saturated on the clean input; 5 and 6 act directly, a little."""

    def __init__(self):
        super().__init__()
        self.site = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.site(x)
        return (torch.relu(1 - torch.relu(y[:, :5])).sum(1) + 0.01 * y[:, 5] + 0.02 * y[:, 6])[:, None]


def test_saturation_hides_from_the_gradient_and_the_report_says_so():
    clean, corrupt = torch.full((4, 7), 3.0), torch.zeros(4, 7)
    clean[:, :5] += torch.arange(5) / 10
    guess = attribution(Saturated(), clean, corrupt, ["site"], first)
    exact = patch_effects(Saturated(), clean, corrupt, ["site"], first)
    assert (guess.effect["site"][:5] == 0).all()
    assert np.allclose(exact.effect["site"][:5], 1)
    report = agreement(guess.effect, guess.parts, exact.effect, exact.parts)
    assert report.missed > 0.95
    assert report.worst[1] in range(5) and report.worst_exact == pytest.approx(1)
    assert report.worst_approximate == 0
    assert report.same_sign == pytest.approx(2 / 7)
    integrated = attribution(Saturated(), clean, corrupt, ["site"], first, steps=300)
    report = agreement(integrated.effect, integrated.parts, exact.effect, exact.parts)
    assert report.missed == 0 and report.slope == pytest.approx(1, abs=0.02)


def test_random_estimates_do_not_agree():
    """The negative control of the report."""
    rng = np.random.default_rng(0)
    parts = {"site": list(range(200))}
    one, other = ({"site": rng.normal(size=(200, 6))} for _ in range(2))
    report = agreement(one, parts, other, parts)
    assert abs(report.rank_correlation) < 0.2 and abs(report.slope) < 0.2
    assert 0.35 < report.same_sign < 0.65 and report.n == 6


def test_agreement_on_a_drawn_sample_of_parts():
    module = network(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    clean, corrupt = pair(9, 6)
    guess = attribution(module, clean, corrupt, ["0", "2"], first)
    drawn = draw_parts(guess.parts, 7, seed=1)
    assert sum(map(len, drawn.values())) == 7 and drawn == draw_parts(guess.parts, 7, seed=1)
    exact = patch_effects(module, clean, corrupt, list(drawn), first, parts=drawn)
    report = agreement(guess.effect, guess.parts, exact.effect, exact.parts)
    assert len(report.pairs) == 7
    for (site, part), value in zip(report.pairs, report.approximate, strict=True):
        assert value == pytest.approx(guess.effect[site][part].mean())
    with pytest.raises(ValueError, match="no estimate for site '0', part 99"):
        agreement(guess.effect, guess.parts, {"0": np.zeros((3, 9))}, {"0": [0, 1, 99]})
    with pytest.raises(ValueError, match="needs 3 pairs"):
        agreement(guess.effect, guess.parts, {"0": np.zeros((2, 9))}, {"0": [0, 1]})
    with pytest.raises(ValueError, match=r"3\.\.14"):
        draw_parts(guess.parts, 15)


def test_a_site_beside_the_metric_has_no_effect():
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(6, 2), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.used(x), self.unused(x)

    module = network(nn.Linear(6, 6), Beside())
    for steps, trained in ((0, True), (2, True), (2, False)):  # frozen weights have no gradient to stand in
        module.requires_grad_(trained)
        found = attribution(
            module, *pair(4, 6), ["1.unused", "1.used"], lambda out: out[0][:, 0], steps=steps
        )
        assert (found.effect["1.unused"] == 0).all() and (found.whole["1.unused"] == 0).all()
        assert (found.effect["1.used"][1] == 0).all() and (found.effect["1.used"][0] != 0).all()


def test_operations_in_place_after_the_site_do_not_matter():
    clean, corrupt = pair(9, 6)
    layers = [nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)]
    plain = network(*layers)
    inplace = nn.Sequential(layers[0], nn.ReLU(inplace=True), layers[2])
    one, other = (attribution(m, clean, corrupt, ["0"], first).effect["0"] for m in (plain, inplace))
    assert np.array_equal(one, other) and np.abs(one).max() > 0


def test_bad_input():
    module = network(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    clean, corrupt = pair(9, 6)
    with pytest.raises(ValueError, match="touches nothing"):
        attribution(module, clean, clean.clone(), ["0"], first)
    with pytest.raises(ValueError, match="steps"):
        attribution(module, clean, corrupt, ["0"], first, steps=-1)
    with pytest.raises(ValueError, match="one number a sample"):
        attribution(module, clean, corrupt, ["0"], lambda out: out)
    with pytest.raises(ValueError, match=r"nan at the run without a patch, sample 0"):
        attribution(module, clean, corrupt, ["0"], lambda out: out[:, 0] * float("nan"))
    for metric in (lambda out: out.argmax(1).double(), lambda out: out[:, 0].detach()):
        with pytest.raises(ValueError, match=r"no gradient at '0'.*use patch_effects"):
            attribution(module, clean, corrupt, ["0"], metric)
    broken = clean.clone()
    broken[4, 2] = torch.nan
    with pytest.raises(ValueError, match=r"site '0': sample 4 has"):
        attribution(module, broken, corrupt, ["0"], lambda out: out[:, 0].nan_to_num())
