"""Means over levels: of one number a level, of several, of differences, and of ratios."""

from __future__ import annotations

import numpy as np

from goalscope.stats.estimate import CONFIDENCE, Estimate, check_bounds, finite, within
from goalscope.stats.resampling import RESAMPLES, matvec, weights_of
from goalscope.stats.student import student_ratio


def bootstrap_mean(
    values: np.ndarray,
    *,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Mean over levels.

    Args:
        values: [N] one number a level. Booleans imply ``bounds=(0, 1)``.
        bounds: the least and the greatest value that is possible; None where there is no bound.
        seed: seed of the resampling; there is none without bounds.
        resamples: number of resamples.
        confidence: as `bootstrap_ratio`.

    Raises:
        ValueError: no levels, NaN or infinite values, values outside `bounds`.
    """
    values = np.asarray(values)
    if values.dtype == bool and bounds is None:
        bounds = (0.0, 1.0)
    return bootstrap_ratio(
        values, np.ones(values.shape), bounds=bounds, seed=seed, resamples=resamples, confidence=confidence
    )


def bootstrap_clustered(
    values: np.ndarray,
    level: np.ndarray,
    *,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Mean over all values, every value weighing the same, with whole levels resampled.

    Args:
        values: [M] numbers, several a level. Booleans imply ``bounds=(0, 1)``.
        level: [M] int, the level of each value (any ids, in any order).
        bounds: the least and the greatest value that is possible; None where there is no bound.
        seed: seed of the resampling; there is none without bounds.
        resamples: number of resamples.

    Returns:
        The estimate; `n` is the number of different levels.

    Raises:
        ValueError: no values, shapes that differ, NaN or infinite values, values outside `bounds`.
    """
    values, level = np.asarray(values), np.asarray(level)
    if values.ndim != 1 or values.shape != level.shape:
        raise ValueError(f"values and level must be [M] of one length, got {values.shape} and {level.shape}")
    if values.dtype == bool and bounds is None:
        bounds = (0.0, 1.0)
    values = finite("values", values)
    if bounds is not None:
        check_bounds(values, bounds)
    _, index = np.unique(level, return_inverse=True)
    totals = np.bincount(index, weights=values)
    return bootstrap_ratio(totals, np.bincount(index), bounds=bounds, seed=seed, resamples=resamples)


def bootstrap_difference(
    first: np.ndarray,
    second: np.ndarray,
    *,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Mean of ``first - second`` over levels that both were measured on (paired).

    Args:
        first: [N] one number a level.
        second: [N] the other number of the same level.
        bounds: bounds *of the difference*: (-1, 1) for two probabilities. Two boolean arrays imply that.
        seed: seed of the resampling; there is none without bounds.
        resamples: number of resamples.

    Raises:
        ValueError: shapes that differ, or as `bootstrap_mean`.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape:
        raise ValueError(f"paired values need one shape, got {first.shape} and {second.shape}")
    if bounds is None and first.dtype == bool and second.dtype == bool:
        bounds = (-1.0, 1.0)
    difference = first.astype(np.float64) - second.astype(np.float64)
    return bootstrap_mean(difference, bounds=bounds, seed=seed, resamples=resamples)


def bootstrap_ratio(
    totals: np.ndarray,
    counts: np.ndarray,
    *,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Sum of `totals` over sum of `counts`, with levels resampled: the mean of all values of all levels.

    Args:
        totals: [N] sum of the values of each level.
        counts: [N] number of values (or any weight >= 0) of each level. Levels of count 0 are left out
            and not counted in `n`.
        bounds: the least and the greatest *value*; None where there is no bound.
        seed: seed of the resampling; there is none without bounds.
        resamples: number of resamples.
        confidence: of the interval. Of m intervals that are to hold all at once each takes 1 - 0.05 / m, and some more
            resamples; only with bounds.

    Raises:
        ValueError: no levels, shapes that differ, NaN or infinite values, negative counts, a total
            where the count is 0, values outside `bounds`.
    """
    totals, counts = finite("values", totals), finite("counts", counts)
    if totals.ndim != 1 or totals.shape != counts.shape:
        raise ValueError(f"expected one number a level [N], got {totals.shape} and counts {counts.shape}")
    if (counts < 0).any() or (totals[counts == 0] != 0).any():
        raise ValueError("counts must be >= 0, and the total of a level of count 0 must be 0")
    totals, counts = totals[counts > 0], counts[counts > 0]
    n = len(totals)
    if n == 0:
        raise ValueError("no levels: an interval needs at least one level with a value")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    if not 0 < confidence < 1 or (bounds is None and confidence != CONFIDENCE):
        raise ValueError(
            f"confidence must be between 0 and 1, and another than 95% needs bounds; got {confidence}"
        )
    if bounds is None:
        return student_ratio(totals, counts)
    check_bounds(totals / counts, bounds)
    low_sums, high_sums, weights = [], [], []
    # The unseen level is as large as the level in which a value drawn from all lies: with levels of unequal size the
    # mean level is too small to stand for what a large one would have changed.
    pseudo = np.square(counts).sum() / counts.sum()
    for draw in weights_of("dirichlet", n + 1, resamples, seed):
        seen = matvec(draw[:, :n], totals)
        low_sums.append(seen + draw[:, n] * (pseudo * bounds[0]))
        high_sums.append(seen + draw[:, n] * (pseudo * bounds[1]))
        weights.append(matvec(draw[:, :n], counts) + draw[:, n] * pseudo)
    weight = np.concatenate(weights)
    low = np.quantile(np.concatenate(low_sums) / weight, (1 - confidence) / 2)
    high = np.quantile(np.concatenate(high_sums) / weight, (1 + confidence) / 2)
    return within(float(totals.sum() / counts.sum()), float(low), float(high), n, bounds)
