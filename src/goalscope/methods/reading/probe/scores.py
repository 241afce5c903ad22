"""Scores of predictions on rows that belong to levels: sums by level first, then ratios of resampled sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap, bootstrap_ratio


@dataclass(frozen=True)
class Scores:
    """How well one read-out does on held-out levels: every row weighs the same, intervals resample levels."""

    __repr__, _repr_html_ = text, drawing

    score: Estimate
    """accuracy; for ridge R squared (about the held-out mean, averaged over the targets)"""
    macro_f1: Estimate | None
    """F1 averaged over the classes that occur or are predicted; None for ridge"""
    loss: Estimate
    """log loss in nats a row; for ridge the squared error, averaged over the targets"""


def tally(kind: str, guess: np.ndarray, target: np.ndarray, classes: int, level: np.ndarray) -> np.ndarray:
    """[L, 4, K] sums by level: hits, predicted, actual, log loss; or 1, y, y squared, squared error."""
    if kind == "ridge":
        y = target - target.mean(axis=0)
        rows = np.stack([np.ones_like(y), y, y * y, np.square(guess - target)], 1)
    else:
        said, true = np.eye(classes)[guess.argmax(1)], np.eye(classes)[target]
        rows = np.stack([said * true, said, true, -guess * true], 1)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=level[order[0]] - 1))
    return np.add.reduceat(rows[order], starts, axis=0)


def summary(kind: str, sums: np.ndarray) -> np.ndarray:
    """[B, 4, K] sums to [B] accuracy or R squared."""
    if kind == "logistic":
        return sums[:, 0].sum(1) / sums[:, 2].sum(1)
    total = sums[:, 2] - np.square(sums[:, 1]) / sums[:, 0]
    return np.where(total > 0, 1 - sums[:, 3] / np.where(total > 0, total, 1), 0).mean(1)


def _f1(kind: str, sums: np.ndarray) -> np.ndarray:
    both = sums[:, 1] + sums[:, 2]
    return (2 * sums[:, 0] / np.maximum(both, 1e-300)).sum(1) / (both > 0).sum(1)


def _over_levels(
    statistic: Callable[[str, np.ndarray], np.ndarray],
    kind: str,
    seed: int,
    first: np.ndarray,
    second: np.ndarray | None = None,
) -> Estimate:
    """Interval of a statistic of sums by level, or of the difference of two."""

    def value(counts: np.ndarray) -> np.ndarray:
        sums = [np.einsum("bl,lpk->bpk", counts, parts) for parts in (first, second) if parts is not None]
        return statistic(kind, sums[0]) - (statistic(kind, sums[1]) if len(sums) > 1 else 0.0)

    return bootstrap(value, len(first), seed=seed)


def scores(kind: str, parts: np.ndarray, seed: int) -> Scores:
    """Scores from what `tally` returns."""
    n, loss = parts[:, 2 if kind == "logistic" else 0].sum(1), parts[:, 3].sum(1)
    lost = bootstrap_ratio(loss, n, seed=seed)
    if kind == "ridge":
        return Scores(_over_levels(summary, kind, seed, parts), None, lost)
    score = bootstrap_ratio(parts[:, 0].sum(1), n, bounds=(0, 1), seed=seed)
    return Scores(score, _over_levels(_f1, kind, seed, parts), lost)


def gains(kind: str, ours: np.ndarray, theirs: np.ndarray, seed: int) -> tuple[Estimate, Estimate | None]:
    """Ours minus theirs, paired by level: in accuracy and macro-F1, or in R squared."""
    if kind == "ridge":
        return _over_levels(summary, kind, seed, ours, theirs), None
    difference = (ours[:, 0] - theirs[:, 0]).sum(1)
    gain = bootstrap_ratio(difference, ours[:, 2].sum(1), bounds=(-1, 1), seed=seed)
    return gain, _over_levels(_f1, kind, seed, ours, theirs)
