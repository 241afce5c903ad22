"""Singular values and directions of Jacobians, and what a few entries say beside a few directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from goalscope.showing import drawing, text


@dataclass(frozen=True)
class Spectrum:
    """Jacobians [N, K, *S] by their singular directions, R of them."""

    __repr__, _repr_html_ = text, drawing

    values: np.ndarray
    """[N, R] of each sample, R = min(K, size of S), falling"""
    left: np.ndarray
    """[N, K, R] directions in the logits"""
    right: np.ndarray
    """[N, R, *S] directions at the site"""
    stacked: np.ndarray
    """[Q] singular values of all samples' rows together [N K, size of S], falling"""
    shared: np.ndarray
    """[Q, *S] directions at the site of all samples together"""


@dataclass(frozen=True)
class OnBudget:
    """Squared error of what is kept, as a share of the whole, mean over samples. r directions cost r (K + D) numbers, an
    entry costs two: its value and its place.
    """

    __repr__, _repr_html_ = text, drawing

    numbers: np.ndarray
    """[R] budget of 1, 2, ... directions"""
    low_rank: np.ndarray
    """[R] error of the best directions"""
    shuffled: np.ndarray
    """[R] the same of the same entries in random places: what directions keep of any matrix of this size"""
    sparse: np.ndarray
    """[R] error of the largest entries on the same budget"""
    rotated: np.ndarray
    """[R] the same in randomly rotated axes: what entries keep of any matrix with these singular values"""


def spectrum(jacobian: Tensor) -> Spectrum:
    """The singular value decomposition of each sample's Jacobian and of all together.

    Args:
        jacobian: [N, K, *S], as `jacobians` gives it.

    Raises:
        ValueError: fewer than three axes, or numbers that are not finite.
    """
    flat, shape = _flat(jacobian)
    left, values, right = torch.linalg.svd(flat, full_matrices=False)
    _, stacked, shared = torch.linalg.svd(flat.flatten(0, 1), full_matrices=False)
    return Spectrum(
        values.numpy(),
        left.numpy(),
        right.reshape(*right.shape[:2], *shape).numpy(),
        stacked.numpy(),
        shared.reshape(len(shared), *shape).numpy(),
    )


def directions_for(values: np.ndarray, share: float) -> int:
    """How many of the largest singular values [R] hold a share of the sum of all squares; 0 if all are 0.

    Raises:
        ValueError: a share that is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    squares = np.sort(np.square(np.asarray(values, float)))[::-1]
    total = squares.sum()
    return int((np.cumsum(squares) < share * total * (1 - 1e-12)).sum() + 1) if total > 0 else 0


def on_budget(jacobian: Tensor, *, seed: int = 0) -> OnBudget:
    """What few directions and few entries keep of a Jacobian for the same amount of numbers.

    Args:
        jacobian: [N, K, *S].
        seed: of the shuffling and the rotations.

    Raises:
        ValueError: as `spectrum`, or a Jacobian of zeros.
    """
    flat, _ = _flat(jacobian)
    size = flat.square().sum((1, 2))
    if not (size > 0).any():
        raise ValueError("the Jacobian is 0 for every sample: the logits do not depend on this site")
    flat, size = flat[size > 0], size[size > 0]
    generator = torch.Generator().manual_seed(seed)
    samples, kinds, width = flat.shape
    order = torch.rand(samples, kinds * width, generator=generator).argsort(1)
    shuffled = flat.flatten(1).gather(1, order).reshape(flat.shape)
    turned = _rotation(kinds, generator) @ flat @ _rotation(width, generator)
    budget = np.arange(1, min(kinds, width) + 1) * (kinds + width)
    return OnBudget(
        budget,
        _beyond_directions(flat, size),
        _beyond_directions(shuffled, size),
        _beyond_entries(flat, size, budget // 2),
        _beyond_entries(turned, size, budget // 2),
    )


def _flat(jacobian: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """[N, K, D] float64, and the shape of one sample at the site."""
    if not isinstance(jacobian, Tensor) or jacobian.ndim < 3 or not jacobian.numel():
        got = list(jacobian.shape) if isinstance(jacobian, Tensor) else type(jacobian).__name__
        raise ValueError(f"need the Jacobian of one site as a tensor [N, K, ...], got {got}")
    if not jacobian.isfinite().all():
        raise ValueError("the Jacobian holds nan or infinity: look at the inputs and the weights")
    return jacobian.detach().double().cpu().flatten(2), tuple(jacobian.shape[2:])


def _beyond_directions(flat: Tensor, size: Tensor) -> np.ndarray:
    squares = torch.linalg.svdvals(flat).square()
    return _left_over(squares, size)


def _beyond_entries(flat: Tensor, size: Tensor, entries: np.ndarray) -> np.ndarray:
    squares = flat.flatten(1).square().sort(1, descending=True).values
    return _left_over(squares, size)[np.minimum(entries, squares.shape[1]) - 1]


def _left_over(squares: Tensor, size: Tensor) -> np.ndarray:
    """[Q] share of the sum of falling squares [N, Q] that lies beyond the first 1, 2, ..., mean over samples."""
    return (1 - squares.cumsum(1) / size[:, None]).clamp_min(0).mean(0).numpy()


def _rotation(width: int, generator: torch.Generator) -> Tensor:
    """[D, D] uniformly random orthogonal."""
    basis, triangle = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))
    return basis * triangle.diagonal().sign()
