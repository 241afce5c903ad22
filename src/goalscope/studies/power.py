"""What an effect must be to be found: for the sentence beside every null result.

A true effect of the same size on all levels, judged by a test on its mean.
"""

from __future__ import annotations

import math

from scipy import stats as scipy_stats

POWER = 0.8
"""with which an effect that is given out as detectable would have been found: four times in five"""
TAIL = 0.025
"""of a two-sided test at 5%"""


def smallest_effect(error: float, tail: float = TAIL, freedom: float = math.inf) -> float:
    """The least true mean that a test finds with `POWER`.

    Args:
        error: standard error of the mean.
        tail: of the test, on the side of the effect.
        freedom: degrees of freedom of Student's t in the test; infinite for the normal distribution.
    """
    return float((scipy_stats.t.isf(tail, freedom) + scipy_stats.norm.ppf(POWER)) * error)


def error_of(low: float, high: float) -> float:
    """The standard error behind a 95% interval, as far as it is a normal one."""
    return float((high - low) / (2 * scipy_stats.norm.isf(TAIL)))
