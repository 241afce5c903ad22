"""A planted rank is found, and what truncation loses is judged where nothing was chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from goalscope.methods.linear.truncation import singular_values, spectral_edge, truncated, truncation

RNG = np.random.default_rng(0)


def planted(rank: int, rows: int = 60, columns: int = 90, strength: float = 6.0) -> np.ndarray:
    left = np.linalg.qr(RNG.standard_normal((rows, rank)))[0]
    right = np.linalg.qr(RNG.standard_normal((columns, rank)))[0]
    return strength * np.sqrt(columns) * left @ right.T + RNG.standard_normal((rows, columns))


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_the_edge_finds_the_planted_rank_and_truncating_there_the_plant(rank):
    matrix = planted(rank)
    assert spectral_edge(matrix) == spectral_edge(17 * matrix) == spectral_edge(matrix.T) == rank
    layer = nn.Linear(90, 60, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(matrix))
    cut = truncated(layer, {"weight": rank}).state_dict()["weight"].numpy()
    assert np.linalg.matrix_rank(cut) == rank
    assert np.linalg.norm(cut) ** 2 > 0.9 * rank * 36 * 90


def test_noise_alone_has_no_direction_beyond_its_edge():
    found = [spectral_edge(RNG.standard_normal((40, 120))) for _ in range(40)]
    assert np.mean(np.array(found) > 0) < 0.1


def two_layers() -> nn.Sequential:
    """A map that is read off two directions of each layer, with much that nobody reads."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(20, 20, bias=False), nn.Linear(20, 20, bias=False)).double()
    with torch.no_grad():
        for layer in module:
            layer.weight.copy_(torch.diag(torch.tensor([9.0, 8.0] + [1.0] * 18, dtype=torch.float64)))  # type: ignore[operator]
    return module


def score_on(x: torch.Tensor):
    wanted = two_layers()(x).detach()[:, :2]

    def score(module: nn.Module) -> np.ndarray:
        away = (module(x).detach()[:, :2] - wanted).square().sum(1) / wanted.square().sum(1)
        return (1 - away).clamp_min(0).numpy()

    return score


X, Y = torch.randn(2, 40, 20, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_two_directions_of_twenty_are_enough_and_random_ones_are_not():
    module = two_layers()
    found = truncation(module, score_on(X), score_on(Y), bounds=(0.0, 1.0))
    assert found.ranks == found.alone == {"0.weight": 2, "1.weight": 2}
    assert found.full == {"0.weight": 20, "1.weight": 20}
    assert found.lost.estimate < 1e-9 and found.whole.estimate == pytest.approx(1.0)
    assert found.random.high < found.truncated.low
    assert torch.equal(module[0].state_dict()["weight"], two_layers()[0].state_dict()["weight"])


def test_held_out_levels_choose_nothing():
    """On levels that need the third direction the loss shows, since the others did not ask for it."""
    needs = torch.zeros(40, 20, dtype=torch.float64)
    needs[:, 2] = 1.0

    def third(module: nn.Module) -> np.ndarray:
        return module(needs).detach()[:, 2].clamp(0, 1).numpy()

    found = truncation(two_layers(), score_on(X), third)
    assert found.whole.estimate == 1.0 and found.truncated.estimate == 0.0 and found.lost.estimate == 1.0


def test_ranks_and_scores_that_cannot_be_are_refused():
    module = two_layers()
    assert list(singular_values(module)) == ["0.weight", "1.weight"]
    with pytest.raises(ValueError, match=r"no weight 'x'"):
        truncated(module, {"x": 1})
    with pytest.raises(ValueError, match="rank 21"):
        truncated(module, {"0.weight": 21})
    with pytest.raises(ValueError, match="no weight matrix"):
        singular_values(nn.ReLU())
    with pytest.raises(ValueError, match="a score above 0"):
        truncation(module, lambda m: np.zeros(3), lambda m: np.zeros(3))
    with pytest.raises(ValueError, match="finite numbers"):
        truncation(module, lambda m: np.array(1.0), lambda m: np.zeros(3))
    with pytest.raises(ValueError, match="share must be"):
        truncation(module, score_on(X), score_on(Y), share=0.0)
    with pytest.raises(ValueError, match="at least 4"):
        spectral_edge(np.ones((3, 9)))
