"""Do the maps on both sides of a gate turn towards each other?

What a lower map A [D, I] puts out most lies along its first k left singular vectors U; what an upper map B [O, D] takes
in most along its first k right ones V. With gates G between them, alignment is ‖Uᵀ G V‖² / k: 1 where they are the same k
directions, k / D for random ones. A product of maps with spectra that separate aligns by itself, whatever was learned:
hence networks with the same singular values and random directions (`same_spectra`) are measured beside it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from goalscope.activations.inputs import as_array
from goalscope.showing import drawing, text


@dataclass(frozen=True)
class Alignment:
    """How far k directions out of one map are those into the next, beside random rotations."""

    __repr__, _repr_html_ = text, drawing

    aligned: float
    """‖Uᵀ G V‖² / k, mean over samples"""
    ungated: float
    """the same without gates, ‖Uᵀ V‖² / k: does the gate matter?"""
    expected: float
    """what random directions give through these gates: k / D times the mean square of the gates"""
    random: np.ndarray
    """[draws] the same with U turned at random, through the same gates"""
    p: float
    """share of random rotations that align at least as well, itself counted among them"""
    zeroed: np.ndarray
    """[draws] with a random half of the columns of U at 0: about half of `aligned`, and spread where one column does it"""
    residual: float
    """‖U R - V‖² / 2k for the best rotation R (Procrustes, ungated): 0 where they span the same space, 1 at right angles"""
    residual_random: np.ndarray
    """[draws] the same with U turned at random"""


def alignment(
    lower: np.ndarray, upper: np.ndarray, gates: np.ndarray | None, k: int, *, draws: int = 200, seed: int = 0
) -> Alignment:
    """Alignment of two adjacent maps through the gates between them.

    Args:
        lower: A, [D, I] or [N, D, I] of each sample.
        upper: B, [O, D] or [N, O, D].
        gates: [D] or [N, D], the slope of each unit (0 or 1 of a relu); None for none.
        k: directions of each.
        draws: random rotations.
        seed: of these.

    Raises:
        ValueError: shapes that do not fit, numbers that are not finite, k outside 1 .. the least size of a map.
    """
    below, above, slope = _checked(lower, upper, gates, k)
    u = np.linalg.svd(below, full_matrices=False)[0][..., :k]
    v = np.swapaxes(np.linalg.svd(above, full_matrices=False)[2][..., :k, :], -1, -2)
    width = u.shape[-2]
    rng = np.random.default_rng(seed)
    aligned = _overlap(u, slope, v)
    turned = [_rotation(width, rng) @ u for _ in range(draws)]
    random = np.array([_overlap(each, slope, v) for each in turned])
    halves = [rng.permutation(k) < k - k // 2 for _ in range(draws)]
    return Alignment(
        aligned=aligned,
        ungated=_overlap(u, np.ones_like(slope), v),
        expected=float(k / width * np.square(slope).mean()),
        random=random,
        p=float((1 + (random >= aligned).sum()) / (1 + draws)),
        zeroed=np.array([_overlap(u * half, slope, v) for half in halves]),
        residual=_residual(u, v),
        residual_random=np.array([_residual(each, v) for each in turned]),
    )


def same_spectra(module: nn.Module, *, seed: int = 0) -> nn.Module:
    """A copy whose every weight matrix has its singular values and random directions: the null of what was learned.

    A convolution's weight counts as the matrix [out, in x rows x columns]; biases and normalisation stay.

    Args:
        module: any module; it is not changed.
        seed: of the directions.

    Raises:
        ValueError: no weight matrix in it.
    """
    made = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(seed)
    found = 0
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim < 2 or not weight.is_floating_point():
                continue
            values = torch.linalg.svdvals(weight.double().flatten(1))
            rank = len(values)
            out, into = (
                torch.linalg.qr(torch.randn(size, rank, generator=generator, dtype=torch.float64))[0]
                for size in (weight.shape[0], weight[0].numel())
            )
            weight.copy_(((out * values) @ into.T).reshape(weight.shape))
            found += 1
    if not found:
        raise ValueError(f"{type(module).__name__} has no weight matrix")
    return made


def _checked(
    lower: np.ndarray, upper: np.ndarray, gates: np.ndarray | None, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    below, above = (
        as_array("lower", lower, "[D, I] or [N, D, I]"),
        as_array("upper", upper, "[O, D] or [N, O, D]"),
    )
    if below.ndim not in (2, 3) or above.ndim not in (2, 3) or below.shape[-2] != above.shape[-1]:
        raise ValueError(
            f"lower must be [D, I] and upper [O, D] of one D, got {below.shape} and {above.shape}"
        )
    width = below.shape[-2]
    slope = np.ones(width) if gates is None else as_array("gates", gates, "[D] or [N, D]").astype(float)
    if slope.ndim not in (1, 2) or slope.shape[-1] != width:
        raise ValueError(f"gates must be [{width}] or [N, {width}], got {slope.shape}")
    lengths = {len(x) for x, axes in ((below, 3), (above, 3), (slope, 2)) if x.ndim == axes}
    if len(lengths) > 1:
        raise ValueError(f"maps and gates are of different numbers of samples: {sorted(lengths)}")
    most = min(*below.shape[-2:], *above.shape[-2:])
    if isinstance(k, bool) or not 1 <= k <= most:
        raise ValueError(f"k must be between 1 and {most}, the least size of a map; got {k}")
    for name, x in (("lower", below), ("upper", above), ("gates", slope)):
        if not np.isfinite(x).all():
            raise ValueError(f"{name} holds nan or infinity")
    return below.astype(float), above.astype(float), slope


def _overlap(u: np.ndarray, slope: np.ndarray, v: np.ndarray) -> float:
    """‖Uᵀ G V‖² / k, mean over samples."""
    inner = np.swapaxes(u, -1, -2) @ (slope[..., None] * v)
    return float(np.square(inner).sum((-1, -2)).mean() / u.shape[-1])


def _residual(u: np.ndarray, v: np.ndarray) -> float:
    """1 - (sum of singular values of Uᵀ V) / k, mean over samples."""
    inner = np.swapaxes(u, -1, -2) @ v
    return float(1 - np.linalg.svd(inner, compute_uv=False).sum(-1).mean() / u.shape[-1])


def _rotation(width: int, rng: np.random.Generator) -> np.ndarray:
    """[D, D] uniformly random orthogonal."""
    basis, triangle = np.linalg.qr(rng.standard_normal((width, width)))
    return basis * np.sign(np.diag(triangle))
