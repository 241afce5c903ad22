"""How well scores tell anomalous samples from benign ones, with levels as the unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap_clustered
from goalscope.stats.resampling import percentile_interval, weights_of

FALSE = 0.01
"""share of benign samples that may be called anomalous"""
THRESHOLDS = 500
"""samples of levels that the threshold is drawn from"""


@dataclass(frozen=True)
class Separation:
    """What scores are worth."""

    __repr__, _repr_html_ = text, drawing

    auroc: Estimate
    """P(an anomalous sample scores above a benign one), ties count half"""
    found: Estimate
    """share of anomalous samples above the threshold that at most 1% of the benign ones exceed"""
    false: float
    """share of benign samples above that threshold"""


def separation(
    anomalous: np.ndarray, benign: np.ndarray, anomalous_level: np.ndarray, benign_level: np.ndarray,
    *, seed: int = 0,
) -> Separation:  # fmt: skip
    """AUROC, and true positives at 1% false ones.

    Both depend on two samples of levels; the distances from the estimate to the limits that either gives alone are added as
    squares (Zou and Donner 2008, "Construction of confidence limits about effect measures"). Each is that of a bounded
    quantity, so that scores that separate all samples seen leave an interval too.

    Args:
        anomalous: [N] scores. benign: [M] scores.
        anomalous_level: [N] int, the level of each. benign_level: [M] int.
        seed: of the intervals.

    Raises:
        ValueError: none of a kind, lengths that differ, scores that are not finite.
    """
    anomalous, anomalous_level = _checked("anomalous", anomalous, anomalous_level)
    benign, benign_level = _checked("benign", benign, benign_level)
    above = placed(anomalous, benign)
    below = 1 - placed(benign, anomalous)
    ends = [
        bootstrap_clustered(part, level, bounds=(0.0, 1.0), seed=seed)
        for part, level in ((above, anomalous_level), (below, benign_level))
    ]
    n = min(end.n for end in ends)
    auroc = ends[0].estimate
    gaps = [(auroc - end.low, end.high - auroc) for end in (ends[0], _moved(ends[1], auroc))]
    threshold = _threshold(np.sort(benign))
    hit = anomalous > threshold
    share = bootstrap_clustered(hit, anomalous_level, bounds=(0.0, 1.0), seed=seed)
    least, most = _threshold_limits(benign, benign_level, seed)
    other = [float((anomalous > most).mean()), float((anomalous > least).mean())]
    found = share.estimate
    return Separation(
        auroc=_added(auroc, gaps, n),
        found=_added(
            found, [(found - share.low, share.high - found), (found - other[0], other[1] - found)], n
        ),
        false=float((benign > threshold).mean()),
    )


def placed(scores: np.ndarray, among: np.ndarray) -> np.ndarray:
    """[N] the share of `among` [M] that each score [N] exceeds, ties half."""
    ordered = np.sort(among)
    sides = [np.searchsorted(ordered, scores, side) for side in ("left", "right")]
    return (sides[0] + sides[1]) / (2 * len(among))


def _checked(name: str, scores: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, level = np.asarray(scores, dtype=np.float64), np.asarray(level)
    if scores.ndim != 1 or not len(scores) or scores.shape != level.shape:
        raise ValueError(
            f"{name} scores must be [N], at least one, and levels as many; got {scores.shape} and {level.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"{name} scores are not finite in sample {int((~np.isfinite(scores)).argmax())}")
    return scores, level


def _moved(end: Estimate, to: float) -> Estimate:
    """The same interval about a number that is equal up to rounding."""
    return Estimate(to, end.low + to - end.estimate, end.high + to - end.estimate, end.n)


def _added(estimate: float, gaps: list[tuple[float, float]], n: int) -> Estimate:
    below, above = np.sqrt(np.square(np.maximum(gaps, 0.0)).sum(0)).tolist()
    return Estimate(estimate, max(estimate - below, 0.0), min(estimate + above, 1.0), n)


def _threshold(ordered: np.ndarray) -> float:
    """The score that at most 1% of benign ones, in order [M], exceed."""
    return float(ordered[len(ordered) - 1 - int(FALSE * len(ordered))])


def _threshold_limits(benign: np.ndarray, level: np.ndarray, seed: int) -> tuple[float, float]:
    """The middle 95% of thresholds over samples of the benign levels."""
    order = np.argsort(benign, kind="stable")[::-1]
    _, index = np.unique(level, return_inverse=True)
    index, ordered = index[order], benign[order]
    found = []
    for counts in weights_of("counts", int(index.max()) + 1, THRESHOLDS, seed):
        for drawn in counts:
            weight = drawn[index].cumsum()
            found.append(ordered[int((weight > FALSE * weight[-1]).argmax())])
    low, high = percentile_interval(np.array(found))
    return float(low), float(high)
