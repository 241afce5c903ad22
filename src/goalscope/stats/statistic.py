"""Any statistic of levels, by the bias-corrected and accelerated bootstrap."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special

from goalscope.stats.estimate import TAIL, Estimate, within
from goalscope.stats.resampling import BLOCK, RESAMPLES, weights_of


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    n: int,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """BCa interval of any statistic of `n` levels.

    Args:
        statistic: maps counts [B, n] (how often each level is in the sample, float64) to [B] values;
            all ones is the data as they are.
        n: number of levels.
        seed: seed of the resampling.
        resamples: number of resamples.

    Raises:
        ValueError: n < 1, or a statistic that is not finite on the data or on a resample.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1 level, got {n}")
    estimate = float(np.asarray(statistic(np.ones((1, n))))[0])
    replicates = np.concatenate([np.asarray(statistic(c)) for c in weights_of("counts", n, resamples, seed)])
    if not np.isfinite(estimate) or not np.isfinite(replicates).all():
        bad = int((~np.isfinite(replicates)).sum())
        raise ValueError(
            f"the statistic is {estimate} on the data and not finite on {bad} of {len(replicates)} "
            "resamples: define it for samples in which some levels are missing"
        )
    if n == 1:
        return Estimate(estimate, -math.inf, math.inf, 1)
    rows = max(1, BLOCK // n)
    left_out = [
        np.asarray(statistic(np.ones((min(rows, n - first), n)) - np.eye(min(rows, n - first), n, first)))
        for first in range(0, n, rows)
    ]
    low, high = bca_limits(estimate, replicates, np.concatenate(left_out))
    return within(estimate, low, high, n)


def bca_limits(estimate: float, replicates: np.ndarray, left_out: np.ndarray) -> tuple[float, float]:
    """BCa limits from replicates [B] and jackknife values [n] (Efron 1987, equations 2.3 and 6.6)."""
    spread = np.ptp(replicates)
    if spread <= 1e-12 * max(1.0, abs(estimate)):  # rounding alone: the levels do not differ
        return estimate, estimate
    # A resample of all levels once each is the data: that is a tie, whatever rounding makes of the sum.
    tie = np.abs(replicates - estimate) <= 1e-9 * spread
    below = np.mean((replicates < estimate) & ~tie) + np.mean(tie) / 2
    edge = 0.5 / len(replicates)
    bias = special.ndtri(np.clip(below, edge, 1 - edge))
    deviation = left_out.mean() - left_out
    squares = np.square(deviation).sum()
    acceleration = np.power(deviation, 3).sum() / (6 * squares**1.5) if squares > 0 else 0.0
    z = bias + special.ndtri([TAIL, 1 - TAIL])
    denominator = 1 - acceleration * z
    # Past the pole of the formula the correction means nothing; the plain percentile is what is left.
    shifted = np.where(denominator > 0, bias + z / np.maximum(denominator, 1e-12), z - bias)
    low, high = np.quantile(replicates, special.ndtr(shifted))
    return float(low), float(high)
