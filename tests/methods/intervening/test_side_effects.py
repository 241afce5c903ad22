"""Off-manifold distances against known Gaussians, and collateral against divergences worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chi

from goalscope.methods.intervening.side_effects import collateral, mahalanobis


def gaussian(count: int, width: int, seed: int) -> torch.Tensor:
    """Rows with mean 3, correlations and scales a hundredfold apart."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    mix = (
        torch.eye(width) + 0.2 * mix
    )  # worse conditioned, and the shrinkage is felt where there is least scatter
    scales = torch.logspace(-1, 1, width, dtype=torch.float64)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) @ mix * scales + 3


def test_distances_of_gaussian_rows_follow_the_chi_distribution():
    result = mahalanobis(gaussian(8000, 10, 0), gaussian(4000, 10, 1))
    for share in (0.1, 0.5, 0.9):
        assert np.quantile(result.distance, share) == pytest.approx(chi(10).ppf(share), rel=0.03)
    assert result.beyond == pytest.approx(0.05, abs=0.015)
    assert result.percentile.mean() == pytest.approx(0.5, abs=0.03) and result.ratio == pytest.approx(
        1, abs=0.02
    )
    assert result.shrinkage < 0.02


def test_a_shift_against_the_correlations_is_far_and_along_them_is_near():
    clean = gaussian(20_000, 10, 2)
    centred = (clean - clean.mean(0)) / clean.std(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    small, large = (vectors[:, i] * clean.std(0) for i in (0, -1))
    start = clean.mean(0)
    result = mahalanobis(clean, torch.stack([start + small, start + large, start]))
    assert result.distance[0] > 3 * result.distance[1] > 0
    # The same length in standard deviations; what is off the data is the direction.
    assert result.percentile[0] > 0.99 and result.percentile[2] == 0
    assert result.distance[0] == pytest.approx(float((len(clean) / values[0]) ** 0.5), rel=0.1)


def test_more_directions_than_samples_shrink_and_still_separate():
    generator = torch.Generator().manual_seed(3)
    clean = torch.randn(60, 300, generator=generator)
    ordinary = torch.randn(200, 300, generator=generator)
    result = mahalanobis(clean, torch.cat([ordinary, ordinary + 2]))
    assert result.shrinkage > 0.8
    assert 0.2 < result.percentile[:200].mean() < 0.8 and result.percentile[200:].min() > 0.99


def test_levels_stay_together():
    rng = np.random.default_rng(4)
    offset = 5 * rng.normal(
        size=(20, 40)
    )  # fewer levels than directions: any new one lies outside their span
    level = np.repeat(np.arange(20), 50)
    rows = torch.from_numpy(offset[level] + 0.1 * rng.normal(size=(1000, 40)))
    new = torch.from_numpy(5 * rng.normal(size=(300, 40)))
    assert mahalanobis(rows, new, level=level).beyond < 0.4  # held-out levels are as far off
    assert (
        mahalanobis(rows, new).beyond == 1
    )  # where rows of known levels are the measure, everything new is strange


def test_a_direction_that_never_varies_is_not_divided_by_zero():
    clean = gaussian(500, 4, 5)
    clean[:, 2] = 7
    moved = clean[:100].clone()
    moved[:, 2] += 50 * clean.std()
    result = mahalanobis(clean, torch.cat([clean[:100], moved]))
    assert np.isfinite(result.distance).all()
    assert (
        result.percentile[:100].mean() == pytest.approx(0.5, abs=0.1) and result.percentile[100:].min() == 1
    )


@pytest.mark.parametrize(
    ("clean", "edited", "level", "match"),
    [
        (torch.zeros(9, 3), torch.zeros(2, 4), None, r"got \(9, 3\) and \(2, 4\)"),
        (torch.zeros(3, 3), torch.zeros(2, 3), None, "need 4 clean rows"),
        (torch.zeros(9, 3), torch.tensor([[0.0, 0, 0], [0, float("nan"), 0]]), None, "edited .* row 1"),
        (torch.zeros(9, 3), torch.zeros(2, 3), np.zeros(9, int), "2 levels"),
    ],
)
def test_distance_errors(clean, edited, level, match):
    with pytest.raises(ValueError, match=match):
        mahalanobis(clean, edited, level=level)


def test_collateral_is_the_divergence_worked_out_by_hand():
    clean = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]).log()
    edited = torch.tensor([[0.25, 0.75], [0.9, 0.1], [0.6, 0.4]]).log() + 3  # logits know no constant
    result = collateral(clean, edited)
    first = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    third = 0.2 * np.log(0.2 / 0.6) + 0.8 * np.log(0.8 / 0.4)
    assert result.rows == pytest.approx([first, 0, third], abs=1e-6)
    assert result.kl.estimate == pytest.approx((first + third) / 3, abs=1e-6)
    assert result.flipped.estimate == pytest.approx(2 / 3)


def test_no_edit_has_no_collateral_and_rows_on_target_do_not_count():
    logits = torch.randn(50, 5, generator=torch.Generator().manual_seed(6))
    nothing = collateral(logits, logits)
    assert nothing.kl.estimate == nothing.kl.high == 0 and nothing.flipped.estimate == 0
    edited = logits.clone()
    edited[:10] = edited[:10].flip(1) * 4
    counted = np.arange(50) >= 10
    assert collateral(logits, edited, counted=counted).kl.estimate == 0
    assert np.isnan(collateral(logits, edited, counted=counted).rows[:10]).all()
    assert collateral(logits, logits.flip(1), level=np.arange(50) // 5).kl.low > 0


def test_illegal_actions_are_no_nan():
    clean = torch.tensor([[0.0, 1.0, -torch.inf]])
    assert collateral(clean, clean + torch.tensor([1.0, 0, 0])).kl.estimate > 0
    with pytest.raises(ValueError, match=r"row 0: .*only the clean policy can take"):
        collateral(clean, torch.tensor([[0.0, -torch.inf, 0.0]]))


@pytest.mark.parametrize("side", ["clean", "edited"])
@pytest.mark.parametrize("row", [[0.0, np.nan], [np.nan, np.nan], [0.0, np.inf], [-np.inf, -np.inf]])
def test_logits_without_probabilities_are_not_no_side_effect(side: str, row: list[float]):
    fine, broken = torch.zeros(3, 2), torch.zeros(3, 2)
    broken[1] = torch.tensor(row)
    given = (broken, fine) if side == "clean" else (fine, broken)
    with pytest.raises(
        ValueError, match=rf"row 1 of the {side} logits gives no probabilities \(1 such rows\)"
    ):
        collateral(*given)


def test_collateral_shapes():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 4\)"):
        collateral(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="counted"):
        collateral(torch.zeros(2, 3), torch.zeros(2, 3), counted=np.zeros(2, bool))
