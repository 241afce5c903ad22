"""How good forecasts were: Brier with its parts, log score, CRPS, skill and calibration, for each forecaster.

What is ambiguous or void is counted and not scored. Statements (a probability, yes or no) are scored one by one;
a group of choices is one forecast over its members, scored apart; numbers by the CRPS of their quantiles. The
unit of the intervals is a forecast, as if forecasts were independent; those decided by one study are not quite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goalscope.evidence.resolve import Resolution
from goalscope.showing import drawing, text
from goalscope.stats import Estimate, binomial_interval, bootstrap_mean

CLIP = 1e-3
"""the log score takes probabilities as at least this and at most 1 minus this"""
BINS = 10
"""of the calibration, equally wide"""
RESAMPLES = 1000
"""of the forecasts, for the interval of the Brier score"""
EVERYONE = "everyone"


@dataclass(frozen=True)
class Brier:
    """Mean (p - o)^2 and its parts: score = reliability - resolution + uncertainty + within.

    Attributes:
        score: lower is better; 0.25 is saying 1/2 always.
        reliability: how far the forecasts of a bin are from what happened there (0 is calibrated).
        resolution: how far what happened in the bins differs from what happened overall (more is better).
        uncertainty: base rate times 1 minus it, what the forecaster could not choose.
        within: what forecasts that differ inside of a bin add (Stephenson et al. 2008, "Two extra components in the
            Brier score decomposition"); 0 where each bin has one value.
    """

    __repr__, _repr_html_ = text, drawing

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


@dataclass(frozen=True)
class Calibration:
    """One bin of a reliability diagram: of `n` forecasts of mean `forecast`, the share `observed` came true."""

    __repr__, _repr_html_ = text, drawing

    forecast: float
    observed: Estimate
    """Clopper-Pearson; n is the number of forecasts"""


@dataclass(frozen=True)
class Scores:
    """What one forecaster reached; None where there is nothing to score."""

    __repr__, _repr_html_ = text, drawing

    forecaster: str
    statements: int
    """scored, without choices and numbers"""
    true: int
    """of them"""
    ambiguous: int
    void: int
    brier: Brier | None
    brier_interval: Estimate | None
    """of the mean, over forecasts"""
    log: float | None
    """mean natural logarithm of the probability given to what happened; 0 is best, log(1/2) = -0.69 is a coin"""
    clipped: int
    """statements and groups whose log score was clipped at `CLIP`"""
    skill_half: float | None
    """1 - Brier / 0.25; above 0 is better than saying 1/2 always"""
    skill_base: float | None
    """1 - Brier / uncertainty: against one who knew the share that came true, in hindsight; None where all or
    none came true"""
    groups: int
    """scored"""
    group_brier: float | None
    """mean over groups of the sum over members of (p - o)^2: 0 to 2, twice the scale of `brier`"""
    group_log: float | None
    numbers: int
    """scored"""
    crps: float | None
    """mean, in the units of the numbers"""
    calibration: tuple[Calibration, ...]


def brier(probability: np.ndarray, outcome: np.ndarray, bins: int = BINS) -> Brier:
    """Brier score (Brier 1950) and its three parts (Murphy 1973), over equally wide bins.

    Args:
        probability: [N] in 0..1.
        outcome: [N] bool or 0/1.
        bins: number of bins of the parts; the score does not depend on it.

    Raises:
        ValueError: no forecast, shapes that differ, a probability outside 0..1, an outcome that is neither 0 nor 1.
    """
    p, o = _checked(probability, outcome)
    place = _bin(p, bins)
    n = np.bincount(place, minlength=bins)
    filled = n > 0
    mean_p = np.bincount(place, p, bins)[filled] / n[filled]
    mean_o = np.bincount(place, o, bins)[filled] / n[filled]
    weight = n[filled] / len(p)
    score = float(np.mean((p - o) ** 2))
    reliability = float(np.sum(weight * (mean_p - mean_o) ** 2))
    resolution = float(np.sum(weight * (mean_o - o.mean()) ** 2))
    uncertainty = float(o.mean() * (1 - o.mean()))
    within = score - (reliability - resolution + uncertainty)
    return Brier(score, reliability, resolution, uncertainty, within if abs(within) > 1e-12 else 0.0)


def log_score(probability: np.ndarray, outcome: np.ndarray) -> tuple[float, int]:
    """(mean log of the probability given to what happened, how many were clipped at `CLIP`); Good 1952.

    Raises:
        ValueError: as `brier`.
    """
    p, o = _checked(probability, outcome)
    given = np.where(o == 1, p, 1 - p)
    # Clipping one side only could reward a lie near 1; both sides keep "honest is best" up to the clip.
    clipped = (given < CLIP) | (given > 1 - CLIP)
    return float(np.mean(np.log(np.clip(given, CLIP, 1 - CLIP)))), int(clipped.sum())


def crps(quantiles: Sequence[tuple[float, float]], outcome: float) -> float:
    """Continuous ranked probability score of a forecast given by quantiles, in the unit of the outcome.

    Twice the pinball loss, summed over levels, each with the width of the levels nearer to it than to another
    (Gneiting and Ranjan 2011, "Comparing density forecasts using threshold- and quantile-weighted scoring rules"):
    honest quantiles are best whatever the levels; at the levels (i - 1/2)/n it equals the CRPS of an ensemble of n.

    Args:
        quantiles: [Q] (level, value), levels rising inside of 0..1.
        outcome: what happened.

    Raises:
        ValueError: no quantiles, levels that do not rise or leave 0..1, a number that is not finite.
    """
    if not quantiles:
        raise ValueError("a CRPS needs at least one quantile")
    level, value = (np.asarray(x, dtype=float) for x in zip(*quantiles, strict=True))
    if not (np.isfinite(value).all() and math.isfinite(outcome)):
        raise ValueError("quantiles and outcome must be finite")
    if level[0] <= 0 or level[-1] >= 1 or (np.diff(level) <= 0).any():
        raise ValueError(f"levels must rise between 0 and 1, got {level.tolist()}")
    edges = np.concatenate([[0.0], (level[1:] + level[:-1]) / 2, [1.0]])
    pinball = ((outcome < value) - level) * (value - outcome)
    return float(2 * np.sum(np.diff(edges) * pinball))


def multiclass(probability: Sequence[float], true: int) -> tuple[float, float, bool]:
    """(Brier summed over the members, log score, whether that was clipped) of one group.

    Args:
        probability: [K] that sum to 1.
        true: the member that came true.

    Raises:
        ValueError: they do not sum to 1, or there is no such member.
    """
    p = np.asarray(probability, dtype=float)
    if p.min() < 0 or abs(p.sum() - 1) > 1e-6 or not 0 <= true < len(p):
        raise ValueError(
            f"a group needs probabilities that sum to 1 and one true member, got {p.tolist()}, {true}"
        )
    o = np.arange(len(p)) == true
    given = float(p[true])
    log = math.log(min(max(given, CLIP), 1 - CLIP))
    return float(np.sum((p - o) ** 2)), log, not CLIP <= given <= 1 - CLIP


def calibration(probability: np.ndarray, outcome: np.ndarray, bins: int = BINS) -> tuple[Calibration, ...]:
    """The bins that hold forecasts, from low to high.

    Raises:
        ValueError: as `brier`.
    """
    p, o = _checked(probability, outcome)
    place = _bin(p, bins)
    made = []
    for i in np.unique(place):
        here = place == i
        made.append(
            Calibration(float(p[here].mean()), binomial_interval(int(o[here].sum()), int(here.sum())))
        )
    return tuple(made)


def score(resolutions: Sequence[Resolution], seed: int = 0) -> list[Scores]:
    """Scores of each forecaster, in the order of appearance; of everyone together first where there are several.

    Args:
        resolutions: of one subject.
        seed: of the bootstrap.
    """
    by_name: dict[str, list[Resolution]] = {}
    for resolution in resolutions:
        by_name.setdefault(resolution.forecast.by, []).append(resolution)
    made = [_scores(name, mine, seed) for name, mine in by_name.items()]
    return [_scores(EVERYONE, resolutions, seed), *made] if len(made) > 1 else made


def _scores(name: str, resolutions: Sequence[Resolution], seed: int) -> Scores:
    decided = [r for r in resolutions if r.verdict in ("yes", "no")]
    plain = [r for r in decided if r.forecast.kind not in ("choice", "numeric")]
    p = np.array([r.forecast.probability for r in plain], dtype=float)
    o = np.array([r.verdict == "yes" for r in plain], dtype=float)
    parts = brier(p, o) if len(p) else None
    log, clipped = log_score(p, o) if len(p) else (None, 0)
    choices: dict[tuple[str, str], list[Resolution]] = {}
    for r in decided:
        if r.forecast.kind == "choice":
            choices.setdefault((r.forecast.by, r.forecast.group), []).append(r)
    groups = [
        multiclass(
            [r.forecast.probability or 0.0 for r in members], [r.verdict for r in members].index("yes")
        )
        for members in choices.values()
    ]
    numbers = [crps(r.forecast.quantiles, r.value.estimate) for r in decided if r.value is not None]
    return Scores(
        forecaster=name,
        statements=len(plain),
        true=int(o.sum()),
        ambiguous=sum(r.verdict == "ambiguous" for r in resolutions),
        void=sum(r.verdict == "void" for r in resolutions),
        brier=parts,
        brier_interval=bootstrap_mean((p - o) ** 2, bounds=(0.0, 1.0), seed=seed, resamples=RESAMPLES)
        if len(p)
        else None,
        log=log,
        clipped=clipped + sum(cut for _, _, cut in groups),
        skill_half=1 - parts.score / 0.25 if parts else None,
        skill_base=1 - parts.score / parts.uncertainty if parts and parts.uncertainty else None,
        groups=len(groups),
        group_brier=float(np.mean([b for b, _, _ in groups])) if groups else None,
        group_log=float(np.mean([g for _, g, _ in groups])) if groups else None,
        numbers=len(numbers),
        crps=float(np.mean(numbers)) if numbers else None,
        calibration=calibration(p, o) if len(p) else (),
    )


def _checked(probability: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, o = np.asarray(probability, dtype=float), np.asarray(outcome, dtype=float)
    if p.ndim != 1 or p.shape != o.shape or not len(p):
        raise ValueError(
            f"need as many outcomes as probabilities, and at least one, got {p.shape} and {o.shape}"
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"probabilities must lie in 0..1, got {p[~((p >= 0) & (p <= 1))][0]}")
    if not np.isin(o, (0.0, 1.0)).all():
        raise ValueError("outcomes must be 0 or 1; what is ambiguous or void is not scored")
    return p, o


def _bin(p: np.ndarray, bins: int) -> np.ndarray:
    """[N] the bin of each probability; 1 is in the last one. The rounding makes 0.3 the start of a bin of 10."""
    return np.minimum(np.floor(np.round(p * bins, 9)).astype(int), bins - 1)
