"""The trimmed mean: what a level in the middle of them is like, whatever the few extreme ones do."""

from __future__ import annotations

import numpy as np
from scipy import special

from goalscope.stats.estimate import TAIL, Estimate, finite, within
from goalscope.stats.student import student_ratio

TRIM = 0.2


def trimmed_mean(values: np.ndarray, *, trim: float = TRIM) -> Estimate:
    """Mean over levels without the least and the greatest of them.

    It is another quantity than the mean wherever values are skewed: read beside the mean it says whether a few levels
    make the whole effect. The interval is Tukey and McLaughlin's (1963, "Less vulnerable confidence and significance
    procedures for location based on a single sample"), which Yuen (1974) uses for two samples: Student's with the
    variance of the winsorised values. For a paired comparison give the differences.

    Args:
        values: [N] one number a level, in any unit.
        trim: share of the levels left out at each end, 0 <= trim < 0.5; 0 is the mean.

    Returns:
        The estimate in the values' unit; `n` counts all levels, the trimmed ones too.

    Raises:
        ValueError: no levels, not [N], NaN or infinite values, a trim outside 0..0.5.
    """
    values = finite("values", values)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"expected one number a level [N], at least one level, got {values.shape}")
    if not 0 <= trim < 0.5:
        raise ValueError(f"trim must be at least 0 and below 0.5, got {trim}")
    n, out = len(values), int(trim * len(values))
    if out == 0:
        return student_ratio(values, np.ones(n))
    ordered = np.sort(values)
    kept = ordered[out : n - out]
    estimate = float(kept.mean())
    spread = float(np.clip(ordered, kept[0], kept[-1]).std(ddof=1))
    if len(kept) < 2 or spread <= 1e-12 * float(np.abs(kept).max()):  # the levels in the middle do not differ
        return Estimate.bare(estimate, n)
    half = -special.stdtrit(len(kept) - 1, TAIL) * spread / ((1 - 2 * trim) * np.sqrt(n))
    return within(estimate, estimate - float(half), estimate + float(half), n)
