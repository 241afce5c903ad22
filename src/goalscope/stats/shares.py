"""Shares of independent trials."""

from __future__ import annotations

from scipy import special

from goalscope.stats.estimate import TAIL, Estimate


def binomial_interval(successes: int, trials: int) -> Estimate:
    """Clopper-Pearson interval of a share of independent trials (one a level).

    Raises:
        ValueError: no trials, or successes outside 0..trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"need 0 <= successes <= trials and trials >= 1, got {successes} of {trials}")
    low = special.betaincinv(successes, trials - successes + 1, TAIL) if successes else 0.0
    high = special.betaincinv(successes + 1, trials - successes, 1 - TAIL) if successes < trials else 1.0
    return Estimate(successes / trials, float(low), float(high), int(trials))
