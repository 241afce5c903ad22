"""Shares of independent trials."""

from __future__ import annotations

from scipy import stats as scipy_stats

from goalscope.stats.estimate import TAIL, Estimate


def binomial_interval(successes: int, trials: int) -> Estimate:
    """Clopper-Pearson interval of a share of independent trials (one a level).

    Raises:
        ValueError: no trials, or successes outside 0..trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"need 0 <= successes <= trials and trials >= 1, got {successes} of {trials}")
    low = scipy_stats.beta.ppf(TAIL, successes, trials - successes + 1) if successes else 0.0
    high = scipy_stats.beta.ppf(1 - TAIL, successes + 1, trials - successes) if successes < trials else 1.0
    return Estimate(successes / trials, float(low), float(high), int(trials))
