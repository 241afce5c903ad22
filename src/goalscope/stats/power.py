"""What would have been found: the rule that decides, tried on made data with a known effect.

A power that is read off a standard error takes for granted that the effect is the same on all levels and that a test at
5% decides. Neither need be so: a true mean of 1.6 points that a rule found in 75 of 100 samples where every maze had it
was found in 52 where it was exponential and in 2 where one maze in ten had all of it. So the data are made here: the
levels' own scatter, drawn anew, plus an effect of a shape that is said; and the deciding rule itself is applied.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from goalscope.stats.estimate import TAIL, finite
from goalscope.stats.resampling import weights_of
from goalscope.stats.student import student_limits

POWER = 0.8
"""with which an effect that is given out as detectable would have been found: four times in five"""
DRAWS = 400
"""samples that are made; at a power of 80% their share has a standard error of 2 points"""
ONE_IN = 10
"""levels of which one has the whole effect, where it is sparse"""

Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(totals [B, N], counts [B, N]) of B samples of N levels -> [B] bool, what was to be found is found"""

SHAPES: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "constant": lambda rng, shape: np.ones(shape),
    "exponential": lambda rng, shape: rng.standard_exponential(shape),
    "sparse": lambda rng, shape: ONE_IN * (rng.random(shape) < 1 / ONE_IN),
}
"""the effect on each level, of mean 1: the same on all; exponential over levels; in one level of ten, at random"""


def above_zero(totals: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[B] bool: the interval of a mean without bounds lies above 0 (the rule of `bootstrap_ratio`)."""
    _, low, high = student_limits(totals, counts)
    return (low > 0) & (low < high)


def above_zero_within(bounds: tuple[float, float], resamples: int = 500, tail: float = TAIL) -> Rule:
    """The rule that the bounded interval lies above 0, for values within `bounds` (Gaffke's, as `bootstrap_ratio`).

    Args:
        bounds: the least and the greatest value. resamples: number of them. tail: half of what the interval leaves out.
    """

    def decide(totals: np.ndarray, counts: np.ndarray) -> np.ndarray:
        unseen = np.square(counts).sum(1) / counts.sum(1)
        means = []
        for draw in weights_of("dirichlet", totals.shape[1] + 1, resamples, 0):
            seen, last = draw[:, :-1], draw[:, -1:]
            weight = np.einsum("rn,bn->rb", seen, counts) + last * unseen
            means.append((np.einsum("rn,bn->rb", seen, totals) + last * unseen * bounds[0]) / weight)
        return np.quantile(np.concatenate(means), tail, axis=0) > 0

    return decide


def power_at(
    effect: float,
    totals: np.ndarray,
    counts: np.ndarray | None = None,
    *,
    shape: str = "constant",
    rule: Rule = above_zero,
    bounds: tuple[float, float] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """The share of made samples in which the rule finds an effect.

    Args:
        effect: true mean of the effect, in the unit of the values.
        totals: [N] sum of the values of each level that was measured; their scatter about the mean of all values is what
            made samples have, their mean is not used.
        counts: [N] number of values of each level, > 0; None: one each.
        shape: of the effect over levels, one of `SHAPES`.
        rule: what decides.
        bounds: the least and the greatest value; made values are cut off there, so that a large effect is less than it says.
        draws: number of samples.
        seed: of the samples.

    Raises:
        ValueError: fewer than two levels, shapes that differ, NaN or infinite values, counts of 0, another shape's name.
    """
    noise, counts, unit = _made(totals, counts, shape, draws, seed)
    return _found(effect, noise, counts, unit, rule, bounds)[0]


def least_effect(
    totals: np.ndarray,
    counts: np.ndarray | None = None,
    *,
    shape: str = "constant",
    rule: Rule = above_zero,
    power: float = POWER,
    bounds: tuple[float, float] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> float | None:
    """The smallest true mean that the rule finds with the stated power, by bisection over one set of made samples.

    Args:
        power: share of the samples in which it must be found. The others: as `power_at`.

    Returns:
        In the unit of the values (within `bounds` the mean that is left after cutting off); None where no effect of that
        shape is found so often however large, or where the levels do not scatter, so that nothing can be said.

    Raises:
        ValueError: a power outside 0..1, or as `power_at`.
    """
    if not 0 < power < 1:
        raise ValueError(f"power must be between 0 and 1, got {power}")
    noise, counts, unit = _made(totals, counts, shape, draws, seed)
    if (high := 0.1 * float((noise / counts).std())) == 0:
        return None
    low = 0.0
    for _ in range(12):  # from a tenth of the scatter to 400 times as much
        share, mean = _found(high, noise, counts, unit, rule, bounds)
        if share >= power:
            break
        low, high = high, 2 * high
    else:
        return None
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        share, there = _found(middle, noise, counts, unit, rule, bounds)
        if share >= power:
            high, mean = middle, there
        else:
            low = middle
    return mean


def _made(
    totals: np.ndarray, counts: np.ndarray | None, shape: str, draws: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples [B, N] of the levels' scatter (as totals) and counts, and effects of mean 1 for each."""
    totals = finite("values", totals)
    counts = np.ones(totals.shape) if counts is None else finite("counts", counts)
    if totals.ndim != 1 or totals.shape != counts.shape or len(totals) < 2 or (counts <= 0).any():
        raise ValueError(
            f"need totals and counts > 0 of the same two or more levels [N], got {totals.shape} and {counts.shape}"
        )
    if shape not in SHAPES:
        raise ValueError(f"the shape of the effect must be one of {', '.join(SHAPES)}, got {shape!r}")
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    n = len(totals)
    apart = totals - counts * (totals.sum() / counts.sum())
    # Drawn levels are nearer to each other than levels are: by n / (n - 1) in variance.
    apart = apart * np.sqrt(n / (n - 1))
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, n, (draws, n))
    return apart[drawn], counts[drawn], SHAPES[shape](rng, (draws, n))


def _found(
    effect: float,
    noise: np.ndarray,
    counts: np.ndarray,
    unit: np.ndarray,
    rule: Rule,
    bounds: tuple[float, float] | None,
) -> tuple[float, float]:
    """The share of the samples in which the rule finds the effect, and the effect's mean, after the bounds."""
    if bounds is None:
        return float(rule(noise + effect * counts * unit, counts).mean()), effect
    bare, with_effect = (counts * np.clip(noise / counts + size * unit, *bounds) for size in (0.0, effect))
    mean = float((with_effect - bare).sum() / counts.sum())
    return float(rule(with_effect, counts).mean()), mean
