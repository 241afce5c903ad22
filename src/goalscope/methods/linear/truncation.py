"""How many singular directions of a network's weights does its behaviour need?

Every weight matrix keeps its largest singular values and loses the rest; a convolution's weight counts as the matrix [out,
in x rows x columns]. One number rules all matrices, the share of each one's squared singular values that is kept; it is
chosen on discovery levels and judged on others, beside as many directions of each matrix drawn at random. `spectral_edge`
needs no levels: it counts the singular values that noise of the size of the bulk could not have made.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.activations.inputs import as_array
from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap_difference, bootstrap_mean

Score = Callable[[nn.Module], np.ndarray]
"""a module -> [L] how well it does on each of some levels"""
_HALVINGS = 12


@dataclass(frozen=True)
class Truncation:
    """The least ranks at which a share of the score is kept, chosen on discovery levels, judged on held-out ones."""

    __repr__, _repr_html_ = text, drawing

    ranks: Mapping[str, int]
    """weight -> directions kept"""
    full: Mapping[str, int]
    """weight -> directions that it has"""
    kept: float
    """share of each matrix's squared singular values that is kept at least"""
    alone: Mapping[str, int]
    """weight -> directions that it needs where all others are whole, by the same share of the score"""
    whole: Estimate
    """score of the whole network on the held-out levels"""
    truncated: Estimate
    """score of the truncated one there"""
    lost: Estimate
    """the difference of the two, level by level"""
    random: Estimate
    """score there with as many directions of each matrix, drawn at random"""


def truncation(
    module: nn.Module,
    discovery: Score,
    held_out: Score,
    *,
    share: float = 0.99,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
) -> Truncation:
    """Finds the least ranks that keep a share of the score.

    Args:
        module: any module; it is not changed.
        discovery: the score on the levels that choose.
        held_out: the score on the levels that judge.
        share: of the whole network's mean score on the discovery levels.
        bounds: the least and the greatest score of a level; None where there is none.
        seed: of the random directions and the intervals.

    Raises:
        ValueError: no weight matrix, a share that is not above 0 and at most 1, scores that are not [L] finite numbers, a
            mean score of the whole network that is not above 0.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    values = singular_values(module)
    full = {name: len(each) for name, each in values.items()}
    first = _scored(discovery, module).mean()
    if not first > 0:
        raise ValueError(
            f"the whole network scores {first:.3g} on the discovery levels: a share of it needs a score above 0"
        )

    def enough(ranks: Mapping[str, int]) -> bool:
        return bool(_scored(discovery, truncated(module, ranks)).mean() >= share * first)

    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(_ranks(values, middle)) else (middle, high)
    ranks = _ranks(values, high)
    cut, whole = _scored(held_out, truncated(module, ranks)), _scored(held_out, module)
    drawn = _scored(held_out, truncated(module, ranks, at_random=seed))
    return Truncation(
        ranks=ranks,
        full=full,
        kept=high,
        alone={name: _least(lambda r, name=name: enough({name: r}), full[name]) for name in full},
        whole=bootstrap_mean(whole, bounds=bounds, seed=seed),
        truncated=bootstrap_mean(cut, bounds=bounds, seed=seed),
        lost=bootstrap_difference(
            whole,
            cut,
            bounds=None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0]),
            seed=seed,
        ),
        random=bootstrap_mean(drawn, bounds=bounds, seed=seed),
    )


def truncated(module: nn.Module, ranks: Mapping[str, int], *, at_random: int | None = None) -> nn.Module:
    """A copy of a module whose named weights keep so many singular directions.

    Args:
        module: any module.
        ranks: name of a parameter of two or more axes -> directions, 0 for none.
        at_random: None keeps the largest; a seed keeps as many drawn at random.

    Raises:
        ValueError: a name without such a parameter, a rank outside 0 .. its size.
    """
    made = copy.deepcopy(module)
    named = _matrices(made)
    generator = torch.Generator().manual_seed(at_random or 0)
    for name, rank in ranks.items():
        if name not in named or not 0 <= rank <= min(named[name].flatten(1).shape):
            held = ", ".join(f"{n} ({min(p.flatten(1).shape)})" for n, p in list(named.items())[:4])
            raise ValueError(
                f"no weight {name!r} of rank {rank} or more; the weights and their ranks: {held}, ..."
            )
        weight = named[name]
        left, values, right = torch.linalg.svd(weight.detach().double().flatten(1), full_matrices=False)
        keep = (
            torch.arange(rank)
            if at_random is None
            else torch.randperm(len(values), generator=generator)[:rank]
        )
        cut = (left[:, keep] * values[keep]) @ right[keep]
        with torch.no_grad():
            weight.copy_(cut.reshape(weight.shape))
    return made


def singular_values(module: nn.Module) -> dict[str, np.ndarray]:
    """Parameter of two or more axes -> [R] its singular values, falling.

    Raises:
        ValueError: there is none.
    """
    found = {
        name: torch.linalg.svdvals(weight.detach().double().flatten(1)).numpy()
        for name, weight in _matrices(module).items()
    }
    if not found:
        raise ValueError(f"{type(module).__name__} has no weight matrix")
    return found


def spectral_edge(matrix: np.ndarray) -> int:
    """How many singular values of [M, N] lie beyond the edge of what independent noise of its size makes.

    The size of the noise is that whose Marchenko-Pastur law has the median of the singular values; the edge is its upper
    end, √M + √N in units of the noise, with room for its fluctuation (two units of the scale of Tracy and Widom's law).

    Raises:
        ValueError: not [M, N] with at least 4 of each.
    """
    x = as_array("matrix", matrix, "[M, N]").astype(float)
    if x.ndim != 2 or min(x.shape) < 4:
        raise ValueError(f"needs a matrix [M, N] with at least 4 rows and columns, got {list(x.shape)}")
    values = np.linalg.svd(x, compute_uv=False)
    small, large = sorted(x.shape)
    ratio = small / large
    noise = np.median(values) / np.sqrt(large * _median_of_noise(ratio))
    mean = (np.sqrt(large) + np.sqrt(small)) ** 2
    spread = (np.sqrt(large) + np.sqrt(small)) * (large**-0.5 + small**-0.5) ** (1 / 3)
    return int((values > noise * np.sqrt(mean + 2 * spread)).sum())


def _median_of_noise(ratio: float) -> float:
    """Median of the Marchenko-Pastur law of a ratio of at most 1, for noise of variance 1."""
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2
    # By angle the density has no edges: x = middle + half-width cos(a).
    angle = (np.arange(20_000) + 0.5) / 20_000 * np.pi
    x = (high + low) / 2 - (high - low) / 2 * np.cos(angle)
    mass = np.square(np.sin(angle)) / x
    total = np.cumsum(mass) / mass.sum()
    return float(x[np.searchsorted(total, 0.5)])


def _matrices(module: nn.Module) -> dict[str, Tensor]:
    return {name: p for name, p in module.named_parameters() if p.ndim >= 2 and p.is_floating_point()}


def _ranks(values: Mapping[str, np.ndarray], kept: float) -> dict[str, int]:
    """Directions that hold a share of each matrix's squares."""
    found = {}
    for name, each in values.items():
        shares = np.cumsum(np.square(each)) / max(np.square(each).sum(), np.finfo(float).tiny)
        found[name] = min(int((shares < kept * (1 - 1e-12)).sum()) + 1, len(each)) if kept > 0 else 0
    return found


def _least(enough: Callable[[int], bool], most: int) -> int:
    """The least rank that is enough, by halving: more directions are taken to be no worse."""
    low, high = -1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _scored(score: Score, module: nn.Module) -> np.ndarray:
    found = np.asarray(score(module), float)
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all():
        raise ValueError(f"a score must be [L] finite numbers, one a level; got an array {list(found.shape)}")
    return found
