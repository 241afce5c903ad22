"""The interval of a mean without bounds: the wider end of Student's and of Hall's, each a formula.

Resampling cannot show what the levels do not hold, and where the levels are few or the tails heavy it is too sure:
the bootstrap's BCa interval covered the mean of 5 normal numbers in 83% instead of 95%, that of 100 numbers of
kurtosis 70 in 89%. Student's interval is right there and errs where the values are skewed; Hall's transformation
(Hall 1992, "On the removal of skewness by transformation") corrects for skewness and errs where tails are heavy. The
wider of both ends errs least. It is not right everywhere. Coverage of 95% intervals in simulation (2,000 samples each):

    n                               5     10     22     50    100    220    500
    normal                         96     96     95     95     95     95     95
    exponential                    92     95     95     96     96     96     95
    lognormal                      88     91     94     94     95     96     96
    Student's t, 3 degrees         97     96     96     96     96     95     94
    rare wide ones, kurtosis 70    96     96     96     96     95     96     95
    rare large ones, kurtosis 65   95     94     91     86     88     96     96

What happens in one level of 67 is seen or it is not: from 22 to 100 levels no interval of the mean is right there
(`trimmed_mean` says something else that is).

Of levels of very unequal size the standard error is the jackknife's, made unbiased, with the degrees of freedom that
the sizes leave (Bell and McCaffrey 2002, "Bias reduction in standard errors for linear regression with multi-stage
samples"), both for levels that differ as much whatever their size. One level that is half of all values leaves about
one degree of freedom, so such intervals are wide.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from goalscope.stats.estimate import TAIL, Estimate, within


def student_ratio(totals: np.ndarray, counts: np.ndarray) -> Estimate:
    """Sum of `totals` [N] over sum of `counts` [N] > 0 with its interval, N levels being the unit.

    One level says nothing of others: its interval is infinite. Levels that all agree give limits equal to the estimate,
    which is no certainty (`Estimate.has_interval`).
    """
    estimate, low, high = (float(v) for v in student_limits(totals, counts))
    return within(estimate, low, high, len(totals))


def student_limits(totals: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate and limits of many samples at once, each [...], from totals and counts > 0 [..., N]."""
    estimate = totals.sum(-1) / counts.sum(-1)
    n = totals.shape[-1]
    if n == 1:
        return estimate, np.full_like(estimate, -np.inf), np.full_like(estimate, np.inf)
    values = totals / counts
    apart = values - estimate[..., None]
    scale = np.abs(apart).max(-1)
    flat = scale <= 1e-12 * np.abs(values).max(-1)  # rounding alone: the levels do not differ
    unit = np.where(flat[..., None], np.resize([-1.0, 1.0], n), apart / np.where(flat, 1, scale)[..., None])
    error, degrees, skewness, effective = _spread(unit, counts / counts.sum(-1, keepdims=True))
    reach = -special.stdtrit(degrees, TAIL)
    spread, step = error * np.sqrt(effective), reach / np.sqrt(effective)
    below = np.maximum(reach * error, spread * _hall(step, skewness, effective))
    above = np.maximum(reach * error, -spread * _hall(-step, skewness, effective))
    scale = np.where(flat, 0, scale)
    return estimate, estimate - scale * below, estimate + scale * above


def _spread(apart: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Standard error of the mean, its degrees of freedom, the values' skewness, and how many equal levels it is worth.

    Args:
        apart: [..., N] each level's mean minus the mean of all values.
        share: [..., N] each level's share of all values; sums to 1.
    """
    squares = np.square(share).sum(-1)
    pull = share / (1 - share)  # what leaving a level out moves the mean by, per unit apart
    moved = pull * apart
    variance = np.square(moved).sum(-1)
    # The squares apart, where levels of equal variance 1 are less apart from their own mean than they vary.
    own = np.square(1 - share) + _others(share)
    expected = (np.square(pull) * own).sum(-1)
    degrees = np.maximum(1.0, expected**2 / _trace(np.square(pull), share, own))
    effective = 1 / squares
    skewness = np.power(moved, 3).sum(-1) / variance**1.5 * np.sqrt(effective)
    return np.sqrt(variance * squares / expected), degrees, skewness, effective


def _largest(share: np.ndarray) -> np.ndarray:
    """[..., N] bool, true at one level of each sample: the largest."""
    return np.arange(share.shape[-1]) == share.argmax(-1)[..., None]


def _others(share: np.ndarray) -> np.ndarray:
    """[..., N] the sum of the squared shares of all other levels, exact for one that is nearly everything too."""
    squares, large = np.square(share), _largest(share)
    rest = np.where(large, 0, squares).sum(-1, keepdims=True)
    return np.where(large, rest, squares.sum(-1, keepdims=True) - squares)


def _trace(weight: np.ndarray, share: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Sum over all pairs i, j of weight_i weight_j times their covariance squared, which is own_i for i = j.

    Two levels covary by (sum of all squared shares) - share_i - share_j. The pairs of the largest level are summed as they
    are and all others by powers of the share: with a level that is nearly everything the powers would cancel to nothing.
    """
    large = _largest(share)
    w, s = np.where(large, 0, weight), share
    first = share.max(-1, keepdims=True)
    with_large = np.where(large, 0, np.square(s)).sum(-1, keepdims=True) - first * (1 - first) - s
    mixed = 2 * np.where(large, weight, 0).sum(-1) * (w * np.square(with_large)).sum(-1)
    squares = np.square(share).sum(-1)
    zeroth, once, twice = w.sum(-1), (w * s).sum(-1), (w * s * s).sum(-1)
    pairs = squares**2 * zeroth**2 + 2 * zeroth * twice - 4 * squares * zeroth * once + 2 * once**2
    diagonal = (np.square(w) * np.square(squares[..., None] - 2 * s)).sum(-1)
    return np.square(weight * own).sum(-1) + mixed + pairs - diagonal


def _hall(step: np.ndarray, skewness: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Where Hall's cubic x + skewness x²/3 + skewness² x³/27 + skewness/(6 n) is `step`: its inverse in closed form."""
    symmetric = np.abs(skewness) < 1e-6
    by = np.where(symmetric, 1, skewness)
    return np.where(symmetric, step, 3 / by * (np.cbrt(1 + by * (step - by / (6 * n))) - 1))
