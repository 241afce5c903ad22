"""What an edit costs: how far it takes activations off the data, and what else it changes in behaviour.

Both belong beside every intervention. An effect of activations that no input produces says little about the
network at work; a goal that is moved at the price of the policy everywhere else is not moved but broken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap_clustered

FIT_SHARE = 0.5


@dataclass(frozen=True)
class OffManifold:
    """Mahalanobis distances of edited activations, beside those of clean ones that the fit has not seen."""

    __repr__, _repr_html_ = text, drawing

    distance: np.ndarray
    """[E] of the edited activations; the square is of the order of D where they are ordinary"""
    clean: np.ndarray
    """[H] of held-out clean activations"""
    percentile: np.ndarray
    """[E] share of held-out clean activations that lie nearer, 0..1"""
    beyond: float
    """share of the edited activations that lie further than 95% of the held-out clean ones; 0.05 is nothing"""
    ratio: float
    """median distance of the edited over that of the clean ones"""
    shrinkage: float
    """weight 0..1 of the sphere in the covariance: near 1, there were too few samples to know its shape"""


@dataclass(frozen=True)
class Collateral:
    """Change of a policy where it should not have changed. Every row weighs the same; intervals resample levels."""

    __repr__, _repr_html_ = text, drawing

    kl: Estimate
    """Kullback-Leibler divergence of the edited from the clean policy, nats a row"""
    flipped: Estimate
    """share of rows whose most probable action is another one"""
    rows: np.ndarray
    """[N] divergence of each row; NaN where the row is not counted"""


def mahalanobis(
    clean: Tensor, edited: Tensor, *, level: np.ndarray | None = None, seed: int = 0
) -> OffManifold:
    """How far off the data edited activations lie.

    Mean and covariance are fitted on half of the clean activations, the covariance shrunk towards a sphere (Ledoit
    and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices"), after every direction
    is divided by its standard deviation; the other half says what distances are ordinary.

    Args:
        clean: [M, D] activations of unedited runs.
        edited: [E, D].
        level: [M] int, levels of the clean activations, which then stay together; None: every row its own.
        seed: of the split.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, fewer than 4 clean rows or 2 levels.
    """
    if clean.ndim != 2 or edited.ndim != 2 or clean.shape[1:] != edited.shape[1:] or not len(edited):
        raise ValueError(f"expected [M, D] and [E, D], got {tuple(clean.shape)} and {tuple(edited.shape)}")
    x, y = clean.detach().cpu().double(), edited.detach().cpu().double()
    for name, rows in (("clean", x), ("edited", y)):
        if not rows.isfinite().all():
            raise ValueError(
                f"{name} activations are not finite, first in row {int((~rows.isfinite()).nonzero()[0, 0])}"
            )
    level = np.arange(len(x)) if level is None else np.asarray(level)
    names = np.unique(level)
    if level.shape != (len(x),) or len(x) < 4 or len(names) < 2:
        raise ValueError(f"need 4 clean rows of 2 levels, level [M]; got {len(x)} rows, level {level.shape}")
    order = np.random.default_rng(seed).permutation(names)
    fit = torch.from_numpy(np.isin(level, order[: max(1, round(FIT_SHARE * len(names)))]))
    mean, scale = x[fit].mean(0), x[fit].std(0, correction=0)
    # A direction that never varied: any change along it is off the data, but by no known unit; take the mean one.
    scale = torch.where(scale > 1e-9 * mean.abs(), scale, scale.mean().clamp(min=1e-30))
    z = (x[fit] - mean) / scale
    covariance, shrinkage = _shrunk(z)
    lower = torch.linalg.cholesky(covariance)

    def distance(rows: Tensor) -> np.ndarray:
        return (
            torch.linalg.solve_triangular(lower, ((rows - mean) / scale).T, upper=False).norm(dim=0).numpy()
        )

    far, near = distance(y), np.sort(distance(x[~fit]))
    percentile = np.searchsorted(near, far) / len(near)
    return OffManifold(
        distance=far,
        clean=near,
        percentile=percentile,
        beyond=float(np.mean(far > np.quantile(near, 0.95))),
        ratio=float(np.median(far) / max(np.median(near), 1e-300)),
        shrinkage=shrinkage,
    )


def collateral(
    clean_logits: Tensor,
    edited_logits: Tensor,
    *,
    level: np.ndarray | None = None,
    counted: np.ndarray | None = None,
    seed: int = 0,
) -> Collateral:
    """How much an edit changes a policy in states where it should change nothing.

    Args:
        clean_logits: [N, A] without the edit; -inf for illegal actions.
        edited_logits: [N, A] with it.
        level: [N] int, levels of the rows; None: every row its own.
        counted: [N] bool, rows off target; None counts all.
        seed: of the intervals.

    Raises:
        ValueError: shapes that differ, logits that give no probabilities (NaN, +inf, or -inf alone) in any row,
            no row counted, an action that only the clean policy can take.
    """
    if clean_logits.ndim != 2 or clean_logits.shape != edited_logits.shape:
        raise ValueError(
            f"logits must be [N, A] of one shape, got {tuple(clean_logits.shape)} and {tuple(edited_logits.shape)}"
        )
    count = len(clean_logits)
    level = np.arange(count) if level is None else np.asarray(level)
    counted = np.ones(count, bool) if counted is None else np.asarray(counted)
    if level.shape != (count,) or counted.shape != (count,) or counted.dtype != bool or not counted.any():
        raise ValueError(
            f"level and counted (bool, not empty) must be [{count}], got {level.shape}, {counted.shape}"
        )
    p, q = _log_probabilities("clean", clean_logits), _log_probabilities("edited", edited_logits)
    kl = torch.where(p > -torch.inf, p.exp() * (p - q), 0.0).sum(1).clamp(min=0)  # rounding alone is below 0
    if not kl.isfinite().all():
        row = int((~kl.isfinite()).nonzero()[0])
        raise ValueError(
            f"row {row}: an action that only the clean policy can take, so the divergence is infinite; give both "
            "the same legal actions"
        )
    flipped = (p.argmax(1) != q.argmax(1)).numpy()
    values = kl.numpy()
    return Collateral(
        kl=bootstrap_clustered(values[counted], level[counted], seed=seed),
        flipped=bootstrap_clustered(flipped[counted], level[counted], seed=seed),
        rows=np.where(counted, values, np.nan),
    )


def _log_probabilities(name: str, logits: Tensor) -> Tensor:
    """[N, A] float64; ValueError with the first row that has none."""
    log_p = logits.detach().cpu().double().log_softmax(1)
    none = log_p.isnan().any(1)
    if none.any():
        row = int(none.nonzero()[0])
        raise ValueError(
            f"row {row} of the {name} logits gives no probabilities ({int(none.sum())} such rows): it has NaN or +inf, "
            "or no action above -inf; look at what the policy was run on and at the legal actions"
        )
    return log_p


def _shrunk(z: Tensor) -> tuple[Tensor, float]:
    """[D, D] Ledoit-Wolf covariance of centred rows [M, D], and its shrinkage."""
    count, width = z.shape
    sample = z.T @ z / count
    sphere = sample.diagonal().mean().clamp(min=1e-12)
    spread = (sample.square().sum() - width * sphere**2).clamp(min=0)  # squared distance from the sphere
    error = (z.square().T @ z.square() / count - sample.square()).sum() / count
    weight = float((error / spread).clamp(0, 1)) if spread > 0 else 1.0
    weight = max(weight, 1e-6)  # a covariance of full rank, whatever the sample
    return (1 - weight) * sample + weight * sphere * torch.eye(width, dtype=z.dtype), weight
