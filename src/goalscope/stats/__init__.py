"""Intervals: what may be said of all levels from the levels that were seen.

The unit of resampling is the level: two squares of one maze are not two samples, so every function here
counts levels in ``n`` and resamples whole levels. Intervals are at 95%.

Two kinds of quantity need two intervals:

* *Unbounded* (a distance, a log-likelihood): the wider end of Student's and Hall's intervals of the mean, in closed form;
  its docstring has the coverage that was measured. `trimmed_mean` stands beside it where tails are heavy. If every level
  gave the same number there is no interval: the data cannot say what they have never shown. A statistic that is no mean
  (a coefficient, a rank correlation) takes `bootstrap`, the bias-corrected and accelerated one (Efron 1987, "Better
  bootstrap confidence intervals"), which is too sure with few levels.
* *Bounded* (a probability, a share, a difference of two of them): pass ``bounds``. The interval is then
  Gaffke's (Gaffke 2005, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a
  nonnegative variable"; discussed in Phan, Thomas and Learned-Miller 2021, "Towards practical mean bounds
  for small samples", section 2): a bootstrap with Dirichlet weights in which one more level, at the far
  bound, stands for what has not been seen. For zeros and ones it *is* the Clopper-Pearson interval, so
  1,000 successes in 1,000 levels give a lower limit of 0.996 and not 1.

`estimate.py` the number and its interval; `means.py` means, differences and ratios; `student.py` their interval without
bounds; `trimmed.py` the trimmed mean; `shares.py` shares of trials; `statistic.py` any other statistic; `ranking.py`
ranks; `power.py` what would have been found; `resampling.py` the samples of levels.
"""

from __future__ import annotations

from goalscope.stats.estimate import CONFIDENCE, Estimate
from goalscope.stats.means import bootstrap_clustered, bootstrap_difference, bootstrap_mean, bootstrap_ratio
from goalscope.stats.power import POWER, above_zero, above_zero_within, least_effect, power_at
from goalscope.stats.ranking import ranks
from goalscope.stats.resampling import RESAMPLES, percentile_interval, resample_counts
from goalscope.stats.shares import binomial_interval
from goalscope.stats.statistic import bootstrap
from goalscope.stats.trimmed import trimmed_mean

__all__ = [
    "CONFIDENCE",
    "POWER",
    "RESAMPLES",
    "Estimate",
    "above_zero",
    "above_zero_within",
    "binomial_interval",
    "bootstrap",
    "bootstrap_clustered",
    "bootstrap_difference",
    "bootstrap_mean",
    "bootstrap_ratio",
    "least_effect",
    "percentile_interval",
    "power_at",
    "ranks",
    "resample_counts",
    "trimmed_mean",
]
