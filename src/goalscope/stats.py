"""Intervals: what may be said of all levels from the levels that were seen.

The unit of resampling is the level: two squares of one maze are not two samples, so every function here
counts levels in ``n`` and resamples whole levels. Intervals are at 95%.

Two kinds of quantity need two intervals:

* *Unbounded* (a distance, a log-likelihood, a coefficient): the bias-corrected and accelerated bootstrap
  (Efron 1987, "Better bootstrap confidence intervals"). If every level gave the same number, the
  interval has no width: the data cannot say what they have never shown.
* *Bounded* (a probability, a share, a difference of two of them): pass ``bounds``. The interval is then
  Gaffke's (Gaffke 2005, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a
  nonnegative variable"; discussed in Phan, Thomas and Learned-Miller 2021, "Towards practical mean bounds
  for small samples", section 2): a bootstrap with Dirichlet weights in which one more level, at the far
  bound, stands for what has not been seen. For zeros and ones it *is* the Clopper-Pearson interval, so
  1,000 successes in 1,000 levels give a lower limit of 0.996 and not 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats as scipy_stats

CONFIDENCE = 0.95
RESAMPLES = 2000

_TAIL = (1 - CONFIDENCE) / 2
# Weight matrices up to this many entries are kept for the next call, larger ones are made in blocks of
# this size and thrown away: 16,000 levels must not cost 16 times the memory of 1,000.
_BLOCK = 2_500_000


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval.

    Attributes:
        estimate: the value on the data.
        low: lower limit.
        high: upper limit.
        n: number of independent units (levels) that it rests on.
    """

    estimate: float
    low: float
    high: float
    n: int

    def excludes(self, value: float = 0.0) -> bool:
        """True where `value` lies outside the interval."""
        return bool(value < self.low or value > self.high)

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}] (n = {self.n})"


def bootstrap_mean(
    values: np.ndarray,
    *,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Mean over levels.

    Args:
        values: [N] one number a level. Booleans imply ``bounds=(0, 1)``.
        bounds: the least and the greatest value that is possible; None where there is no bound.
        seed: seed of the resampling.
        resamples: number of resamples.

    Raises:
        ValueError: no levels, NaN or infinite values, values outside `bounds`.
    """
    values = np.asarray(values)
    if values.dtype == bool and bounds is None:
        bounds = (0.0, 1.0)
    return bootstrap_ratio(values, np.ones(values.shape), bounds=bounds, seed=seed, resamples=resamples)


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
        seed: seed of the resampling.
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
    values = _finite("values", values)
    if bounds is not None:
        _check_bounds(values, bounds)
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
        seed: seed of the resampling.
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
) -> Estimate:
    """Sum of `totals` over sum of `counts`, with levels resampled: the mean of all values of all levels.

    Args:
        totals: [N] sum of the values of each level.
        counts: [N] number of values (or any weight >= 0) of each level. Levels of count 0 are left out
            and not counted in `n`.
        bounds: the least and the greatest *value*; None where there is no bound.
        seed: seed of the resampling.
        resamples: number of resamples.

    Raises:
        ValueError: no levels, shapes that differ, NaN or infinite values, negative counts, a total
            where the count is 0, values outside `bounds`.
    """
    totals, counts = _finite("values", totals), _finite("counts", counts)
    if totals.ndim != 1 or totals.shape != counts.shape:
        raise ValueError(f"expected one number a level [N], got {totals.shape} and counts {counts.shape}")
    if (counts < 0).any() or (totals[counts == 0] != 0).any():
        raise ValueError("counts must be >= 0, and the total of a level of count 0 must be 0")
    totals, counts = totals[counts > 0], counts[counts > 0]
    n = len(totals)
    if n == 0:
        raise ValueError("no levels: an interval needs at least one level with a value")
    if bounds is None:
        return _bca_ratio(totals, counts, seed, resamples)
    _check_bounds(totals / counts, bounds)
    low_sums, high_sums, weights = [], [], []
    pseudo = counts.mean()  # the unseen level is as large as the mean level
    for draw in _weights("dirichlet", n + 1, resamples, seed):
        seen = _matvec(draw[:, :n], totals)
        low_sums.append(seen + draw[:, n] * (pseudo * bounds[0]))
        high_sums.append(seen + draw[:, n] * (pseudo * bounds[1]))
        weights.append(_matvec(draw[:, :n], counts) + draw[:, n] * pseudo)
    weight = np.concatenate(weights)
    low = np.quantile(np.concatenate(low_sums) / weight, _TAIL)
    high = np.quantile(np.concatenate(high_sums) / weight, 1 - _TAIL)
    return _estimate(float(totals.sum() / counts.sum()), float(low), float(high), n, bounds)


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
    replicates = np.concatenate([np.asarray(statistic(c)) for c in _weights("counts", n, resamples, seed)])
    if not np.isfinite(estimate) or not np.isfinite(replicates).all():
        bad = int((~np.isfinite(replicates)).sum())
        raise ValueError(
            f"the statistic is {estimate} on the data and not finite on {bad} of {len(replicates)} "
            "resamples: define it for samples in which some levels are missing"
        )
    if n == 1:
        return Estimate(estimate, -math.inf, math.inf, 1)
    rows = max(1, _BLOCK // n)
    left_out = [
        np.asarray(statistic(np.ones((min(rows, n - first), n)) - np.eye(min(rows, n - first), n, first)))
        for first in range(0, n, rows)
    ]
    low, high = _bca_limits(estimate, replicates, np.concatenate(left_out))
    return _estimate(estimate, low, high, n)


def resample_counts(n: int, *, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """[resamples, n] float64: how often each level is in each bootstrap sample of `n` levels (read-only)."""
    if n < 1 or resamples < 1:
        raise ValueError(f"n and resamples must be at least 1, got {n} and {resamples}")
    return np.concatenate(list(_weights("counts", n, resamples, seed)))


def percentile_interval(replicates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Limits [..] and [..] of the middle 95% of replicates [B, ..]."""
    low, high = np.quantile(replicates, [_TAIL, 1 - _TAIL], axis=0)
    return low, high


def binomial_interval(successes: int, trials: int) -> Estimate:
    """Clopper-Pearson interval of a share of independent trials (one a level).

    Raises:
        ValueError: no trials, or successes outside 0..trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"need 0 <= successes <= trials and trials >= 1, got {successes} of {trials}")
    low = scipy_stats.beta.ppf(_TAIL, successes, trials - successes + 1) if successes else 0.0
    high = scipy_stats.beta.ppf(1 - _TAIL, successes + 1, trials - successes) if successes < trials else 1.0
    return Estimate(successes / trials, float(low), float(high), int(trials))


def _bca_ratio(totals: np.ndarray, counts: np.ndarray, seed: int, resamples: int) -> Estimate:
    n = len(totals)
    total, count = totals.sum(), counts.sum()
    estimate = float(total / count)
    if n == 1:
        return Estimate(estimate, -math.inf, math.inf, 1)
    # A sum over sums has its jackknife in closed form, so the general route through [n, n] counts is spared.
    replicates = np.concatenate(
        [_matvec(draw, totals) / _matvec(draw, counts) for draw in _weights("counts", n, resamples, seed)]
    )
    low, high = _bca_limits(estimate, replicates, (total - totals) / (count - counts))
    return _estimate(estimate, low, high, n)


def _bca_limits(estimate: float, replicates: np.ndarray, left_out: np.ndarray) -> tuple[float, float]:
    """BCa limits from replicates [B] and jackknife values [n] (Efron 1987, equations 2.3 and 6.6)."""
    spread = np.ptp(replicates)
    if spread <= 1e-12 * max(1.0, abs(estimate)):  # rounding alone: the levels do not differ
        return estimate, estimate
    # A resample of all levels once each is the data: that is a tie, whatever rounding makes of the sum.
    tie = np.abs(replicates - estimate) <= 1e-9 * spread
    below = np.mean((replicates < estimate) & ~tie) + np.mean(tie) / 2
    edge = 0.5 / len(replicates)
    bias = scipy_stats.norm.ppf(np.clip(below, edge, 1 - edge))
    deviation = left_out.mean() - left_out
    squares = np.square(deviation).sum()
    acceleration = np.power(deviation, 3).sum() / (6 * squares**1.5) if squares > 0 else 0.0
    z = bias + scipy_stats.norm.ppf([_TAIL, 1 - _TAIL])
    denominator = 1 - acceleration * z
    # Past the pole of the formula the correction means nothing; the plain percentile is what is left.
    shifted = np.where(denominator > 0, bias + z / np.maximum(denominator, 1e-12), z - bias)
    low, high = np.quantile(replicates, scipy_stats.norm.cdf(shifted))
    return float(low), float(high)


def _estimate(
    value: float, low: float, high: float, n: int, bounds: tuple[float, float] | None = None
) -> Estimate:
    """An interval always holds its own estimate and never leaves its bounds, rounding included."""
    if bounds is not None:
        value = min(max(value, bounds[0]), bounds[1])
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return Estimate(value, min(low, value), max(high, value), n)


def _weights(kind: str, n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks [b, n] of resampling weights, `resamples` rows in all."""
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    rows = max(1, _BLOCK // n)
    for block, first in enumerate(range(0, resamples, rows)):
        size = min(rows, resamples - first)
        make = _cached_block if resamples <= rows else _block
        yield make(kind, n, size, seed, block)


def _block(kind: str, n: int, size: int, seed: int, block: int) -> np.ndarray:
    rng = np.random.default_rng([seed, block])
    if kind == "dirichlet":  # up to the common factor, which a ratio does not see
        weights = rng.standard_exponential((size, n))
    else:
        drawn = rng.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
    weights.flags.writeable = False
    return weights


_cached_block = lru_cache(maxsize=4)(_block)


def _matvec(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    # einsum, not BLAS: the same bits whatever the number of threads.
    return np.einsum("rn,n->r", matrix, vector)


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array, dtype=np.float64)
    if array.size and not np.isfinite(array).all():
        first = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(f"{name} must be finite: NaN or infinity first at index {first}")
    return array


def _check_bounds(values: np.ndarray, bounds: tuple[float, float]) -> None:
    slack = 1e-9 * max(1.0, abs(bounds[0]), abs(bounds[1]))
    if not bounds[0] < bounds[1]:
        raise ValueError(f"bounds must be (least, greatest), got {bounds}")
    if values.size and (values.min() < bounds[0] - slack or values.max() > bounds[1] + slack):
        raise ValueError(f"values from {values.min():g} to {values.max():g} leave the bounds {bounds}")
