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

import math

import numpy as np
from scipy import stats as scipy_stats

from goalscope.stats.estimate import TAIL, Estimate, within


def student_ratio(totals: np.ndarray, counts: np.ndarray) -> Estimate:
    """Sum of `totals` [N] over sum of `counts` [N] > 0 with its interval, N levels being the unit.

    One level says nothing of others: its interval is infinite. Levels that all agree give limits equal to the estimate,
    which is no certainty (`Estimate.has_interval`).
    """
    n = len(totals)
    estimate = float(totals.sum() / counts.sum())
    if n == 1:
        return Estimate(estimate, -math.inf, math.inf, 1)
    values = totals / counts
    apart = values - estimate
    scale = float(np.abs(apart).max())
    if scale <= 1e-12 * float(np.abs(values).max()):  # rounding alone: the levels do not differ
        return Estimate(estimate, estimate, estimate, n)
    error, degrees, skewness, effective = _spread(apart / scale, counts / counts.sum())
    reach = float(scipy_stats.t.isf(TAIL, degrees))
    spread, step = error * math.sqrt(effective), reach / math.sqrt(effective)
    low = estimate - scale * max(reach * error, spread * _hall(step, skewness, effective))
    high = estimate + scale * max(reach * error, -spread * _hall(-step, skewness, effective))
    return within(estimate, low, high, n)


def _spread(apart: np.ndarray, share: np.ndarray) -> tuple[float, float, float, float]:
    """Standard error of the mean, its degrees of freedom, the values' skewness, and how many equal levels it is worth.

    Args:
        apart: [N] each level's mean minus the mean of all values.
        share: [N] each level's share of all values; sums to 1.
    """
    squares = float(np.square(share).sum())
    pull = share / (1 - share)  # what leaving a level out moves the mean by, per unit apart
    moved = pull * apart
    variance = float(np.square(moved).sum())
    # The squares apart, where levels of equal variance 1 are less apart from their own mean than they vary.
    own = np.square(1 - share) + _others(share)
    expected = float((np.square(pull) * own).sum())
    degrees = max(1.0, expected**2 / _trace(np.square(pull), share, own))
    effective = 1 / squares
    skewness = float(np.power(moved, 3).sum()) / variance**1.5 * math.sqrt(effective)
    return math.sqrt(variance * squares / expected), degrees, skewness, effective


def _others(share: np.ndarray) -> np.ndarray:
    """[N] the sum of the squared shares of all other levels, exact for one that is nearly everything too."""
    squares, large = np.square(share), int(share.argmax())
    others = squares.sum() - squares
    others[large] = np.delete(squares, large).sum()
    return others


def _trace(weight: np.ndarray, share: np.ndarray, own: np.ndarray) -> float:
    """Sum over all pairs i, j of weight_i weight_j times their covariance squared, which is own_i for i = j.

    Two levels covary by (sum of all squared shares) - share_i - share_j. The pairs of the largest level are summed as they
    are and all others by powers of the share: with a level that is nearly everything the powers would cancel to nothing.
    """
    large = int(share.argmax())
    w, s, first = np.delete(weight, large), np.delete(share, large), share[large]
    with_large = np.square(s).sum() - first * (1 - first) - s
    mixed = 2 * weight[large] * float((w * np.square(with_large)).sum())
    squares = float(np.square(share).sum())
    zeroth, once, twice = float(w.sum()), float((w * s).sum()), float((w * s * s).sum())
    pairs = squares**2 * zeroth**2 + 2 * zeroth * twice - 4 * squares * zeroth * once + 2 * once**2
    diagonal = float((np.square(w) * np.square(squares - 2 * s)).sum())
    return float(np.square(weight * own).sum()) + mixed + pairs - diagonal


def _hall(step: float, skewness: float, n: float) -> float:
    """Where Hall's cubic x + skewness x²/3 + skewness² x³/27 + skewness/(6 n) is `step`: its inverse in closed form."""
    if abs(skewness) < 1e-6:
        return step
    return 3 / skewness * (math.cbrt(1 + skewness * (step - skewness / (6 * n))) - 1)
