"""What patch sweeps refuse or say beforehand: numbers that are not finite, modules that draw at random."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from goalscope.methods.intervening.patch import ablation_effects, patch_effects


def first(output: Tensor) -> Tensor:
    return output[:, 0]


@pytest.fixture
def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 2)).double()


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(7, 6, dtype=torch.float64), torch.randn(7, 6, dtype=torch.float64)


@pytest.mark.parametrize("value", [torch.inf, -torch.inf])
def test_an_infinite_metric_is_refused(linear, pair, value: float):
    clean, corrupt = pair
    where = torch.arange(7) == 2  # infinite in every run alike: its effect would be NaN
    with pytest.raises(
        ValueError, match=rf"metric is {value} at the run without a patch, sample 2 \(1 in all\)"
    ):
        patch_effects(linear, clean, corrupt, ["1"], lambda out: torch.where(where, value, out[:, 0]))


@pytest.mark.parametrize("traced", [True, False])
def test_activations_that_are_not_finite_name_run_site_and_sample(linear, branching, pair, traced: bool):
    clean, corrupt = pair
    module = linear if traced else branching.double()
    site = "1" if traced else "first"
    for given, run in ((clean, "the run that is patched"), (corrupt, "the noising source run")):
        broken = given.clone()
        broken[5, 0] = torch.nan
        one, other = (broken, corrupt) if given is clean else (clean, broken)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A metric that hides it: only the activations say so.
            with pytest.raises(ValueError, match=f"{run}: site '{site}': sample 5 has"):
                patch_effects(module, one, other, [site], lambda out: out[:, 0].nan_to_num(), batch=2)
    with pytest.raises(ValueError, match="site '0': sample 6 has"):
        clean[6] = torch.inf
        ablation_effects(linear, clean, ["0"], lambda out: out[:, 0].nan_to_num(), how="mean", batch=4)


def test_dropout_in_training_mode_is_said_once_for_the_callers_line(pair):
    clean, corrupt = pair
    module = nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.5), nn.Linear(5, 2)).double()
    words = r"training mode and runs so.*\(1\).*module.eval\(\)"
    for run in (
        lambda: patch_effects(module, clean, corrupt, ["0"], first),
        lambda: ablation_effects(module, clean, ["0"], first),
    ):
        module.train()
        with pytest.warns(UserWarning, match=words) as said:
            run()
        assert len(said) == 1 and said[0].filename == __file__
        module.eval()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run()
