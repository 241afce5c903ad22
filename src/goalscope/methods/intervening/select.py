"""Which units matter? Chosen by causal effect on some levels, confirmed on others, false discoveries controlled.

Of four hundred channels with no effect, twenty pass a test at 5%, and the one with the largest effect looks large.
So there are two stages: on discovery levels the units with effects survive a control of the false discovery
rate (Benjamini and Hochberg 1995, "Controlling the false discovery rate"); those alone are measured on held-out
levels, tested again in the direction that was found, under the same control, and estimated there. The
discovery estimate stands beside it, and shows what selection alone adds (the winner's curse).

The test is the more cautious of Student's and Hall's over levels (Hall 1992, "On the removal of skewness by
transformation"): effects are skewed, and Student's test alone then finds twenty times too many at p = 0.0005
from 40 levels; the two together three times too many, which is what the second stage is for.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap_mean

RATE = 0.05

Effects = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Selection:
    """Units that were found, and those of them that held. All effects are in the units of the effects given."""

    __repr__, _repr_html_ = text, drawing

    units: tuple[str, ...]
    """[U] names"""
    discovery: np.ndarray
    """[U] mean effect on discovery levels"""
    p: np.ndarray
    """[U] p-value on discovery levels, two-sided: of no effect, or where a control is given the greater of that
    and of no more effect than a random unit has"""
    q: np.ndarray
    """[U] least false discovery rate at which the unit is found"""
    found: np.ndarray
    """[F] indices of the units with q up to `rate`, strongest first"""
    held_out: tuple[Estimate, ...]
    """[F] effect of each on held-out levels; 95% interval, not corrected for their number"""
    beyond_random: tuple[Estimate, ...]
    """[F] effect minus that of a random unit on held-out levels, paired; empty without a control"""
    held_out_q: np.ndarray
    """[F] as q among the found ones on held-out levels, one-sided in the direction that was found"""
    confirmed: np.ndarray
    """[C] indices of the units with held_out_q up to `rate`, strongest first on held-out levels"""
    rate: float
    """false discovery rate of both stages"""
    levels: tuple[int, int]
    """number of discovery and of held-out levels"""

    @property
    def shrinkage(self) -> np.ndarray:
        """[F] held-out over discovery effect: below 1 by what selection alone had added."""
        return np.array([e.estimate for e in self.held_out]) / self.discovery[self.found]


def select(
    effects: np.ndarray | Effects,
    discovery: np.ndarray,
    *,
    units: int | Sequence[str] | None = None,
    control: np.ndarray | None = None,
    rate: float = RATE,
    seed: int = 0,
) -> Selection:
    """Choose units on discovery levels and confirm them on the others.

    Args:
        effects: [U, N] effect of each unit on each level; or (units [k], levels [n], indices) -> [k, n], which is
            asked for all units on discovery levels, then for the found ones alone on held-out levels.
        discovery: [N] bool, the levels to choose on; all others confirm.
        units: names, or with a callable at least how many there are; None: numbers.
        control: [N] effect of a random unit on each level (the mean over several draws), in the same metric.
            Where all units do something, say by leaving the data, the control says how much is nothing special.
        rate: false discovery rate, of each stage.
        seed: of the intervals.

    Warns:
        RuntimeWarning: levels so few that, however clear its effect, no unit can be found or confirmed, or none that
            is the only one; the message says how many it takes.

    Raises:
        ValueError: shapes that do not fit, effects that are not finite (unit and level are named), fewer than 5
            levels on a side, a rate outside 0..1.
    """
    sides, control = _sides(discovery, control, rate)
    names = _names(effects, units, len(discovery))
    _warn_of_few("discovery", len(sides[0]), len(names), rate, tails=2)
    mean, sign, p = _discovery(_asked(effects, np.arange(len(names)), sides[0], names), control, sides[0])
    q = benjamini_hochberg(p)
    found = np.flatnonzero(q <= rate)
    found = found[np.argsort(-np.abs(mean[found]), kind="stable")]

    second = _asked(effects, found, sides[1], names) if len(found) else np.empty((0, len(sides[1])))
    _warn_of_few("held-out", len(sides[1]), len(found), rate, tails=1)
    turned = second * sign[found, None]
    again = _one_sided(turned)
    beside = second[:0] if control is None else second - control[sides[1]]
    if control is not None:
        again = np.maximum(again, _one_sided(beside * sign[found, None]))
    held_q = benjamini_hochberg(again)
    kept = np.flatnonzero(held_q <= rate)
    kept = kept[np.argsort(-turned[kept].mean(axis=1), kind="stable")]
    return Selection(
        units=names,
        discovery=mean,
        p=p,
        q=q,
        found=found,
        held_out=tuple(bootstrap_mean(row, seed=seed) for row in second),
        beyond_random=tuple(bootstrap_mean(row, seed=seed) for row in beside),
        held_out_q=held_q,
        confirmed=found[kept],
        rate=rate,
        levels=(len(sides[0]), len(sides[1])),
    )


def _sides(
    discovery: np.ndarray, control: np.ndarray | None, rate: float
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray | None]:
    """Discovery and held-out levels, and the control as float [N]; raises ValueError as `select` says."""
    discovery = np.asarray(discovery)
    if discovery.ndim != 1 or discovery.dtype != bool:
        raise ValueError(f"discovery must be bool [N], got {discovery.shape} of {discovery.dtype}")
    sides = np.flatnonzero(discovery), np.flatnonzero(~discovery)
    if min(map(len, sides)) < 5 or not 0 < rate < 1:
        raise ValueError(
            f"need 5 levels on each side and a rate in 0..1, got {len(sides[0])}, {len(sides[1])}, {rate}"
        )
    if control is not None:
        control = np.asarray(control, np.float64)
        if control.shape != discovery.shape or not np.isfinite(control).all():
            raise ValueError(f"control must be finite [{len(discovery)}], got {control.shape}")
    return sides, control


def _discovery(
    effects: np.ndarray, control: np.ndarray | None, levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[U] mean effect of each unit on the discovery levels, its sign, and the two-sided p-value."""
    mean = effects.mean(axis=1)
    sign = np.where(mean < 0, -1.0, 1.0)
    p = 2 * _one_sided(effects * sign[:, None])
    if control is not None:
        p = np.maximum(p, 2 * _one_sided((effects - control[levels]) * sign[:, None]))
    return mean, sign, np.minimum(p, 1.0)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Adjusted p-values: the least false discovery rate at which each hypothesis is rejected.

    Args:
        p: [U] p-values, independent or positively dependent.

    Returns:
        [U] in 0..1.

    Raises:
        ValueError: not [U], or values outside 0..1.
    """
    p = np.asarray(p, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p must be [U] in 0..1, got shape {p.shape}")
    order = np.argsort(p, kind="stable")
    stepped = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty_like(p)
    q[order] = np.minimum.accumulate(stepped[::-1])[::-1]
    return np.minimum(q, 1.0)


def discovery_p(effects: np.ndarray) -> np.ndarray:
    """[U] two-sided p-value of no effect, from effects [U, n] on n discovery levels: the test that `select` makes.

    For asking what effect would have been found; `select` corrects it for the number of units.
    """
    effects = np.asarray(effects, np.float64)
    return _discovery(effects, None, np.arange(effects.shape[1]))[2]


def _one_sided(values: np.ndarray) -> np.ndarray:
    """[U] p-value of a mean of at most 0, over levels [U, n]."""
    count = values.shape[1]
    mean, spread = values.mean(axis=1), values.std(axis=1, ddof=1)
    flat = spread <= 1e-12 * np.abs(mean)
    spread = np.where(flat, 1, spread)
    skew = ((values - mean[:, None]) ** 3).mean(axis=1) / spread**3 * (count / (count - 1)) ** 1.5
    u = mean / spread
    hall = u + skew * u**2 / 3 + skew**2 * u**3 / 27 + skew / (6 * count)
    p = special.stdtr(count - 1, -np.minimum(u, hall) * np.sqrt(count))
    p = np.where(flat, np.where(mean > 0, 0.0, 1.0), p)
    return np.maximum(p, 2.0**-count)  # levels that all agree: no more certain than so many tosses of a coin


def _warn_of_few(side: str, levels: int, units: int, rate: float, *, tails: int) -> None:
    """Says so where the least p-value of so many levels is too large for the rate over so many units."""
    least = tails * 2.0**-levels  # as `_one_sided` has it
    if least * units <= rate:
        return
    together = math.ceil(least * units / rate)
    what = "found" if side == "discovery" else "confirmed"
    lost = (
        f"nothing can be {what}"
        if together > units
        else f"no unit can be {what} unless {together} or more are all as clear as that"
    )
    needed = math.ceil(math.log2(tails * units / rate))
    warnings.warn(
        f"with {levels} {side} levels the smallest possible q of one unit among {units} is "
        f"{min(least * units, 1.0):.4g} > {rate:g}: {lost}; give at least {needed}",
        RuntimeWarning,
        stacklevel=3,
    )


def _names(effects: np.ndarray | Effects, units: int | Sequence[str] | None, levels: int) -> tuple[str, ...]:
    if callable(effects):
        if units is None:
            raise ValueError("with a callable, say the names or the number of units")
        names = range(units) if isinstance(units, int) else units
    else:
        shape = np.shape(effects)
        if len(shape) != 2 or shape[1] != levels:
            raise ValueError(f"effects must be [U, {levels}], got {shape}")
        names = range(shape[0]) if units is None or isinstance(units, int) else units
        if len(names) != shape[0] or (isinstance(units, int) and units != shape[0]):
            raise ValueError(f"{shape[0]} rows of effects, but units says {units}")
    if not len(names):
        raise ValueError("no units to choose from")
    return tuple(map(str, names))


def _asked(
    effects: np.ndarray | Effects, units: np.ndarray, levels: np.ndarray, names: Sequence[str]
) -> np.ndarray:
    values = effects(units, levels) if callable(effects) else np.asarray(effects)[np.ix_(units, levels)]
    values = np.asarray(values, np.float64)
    if values.shape != (len(units), len(levels)):
        raise ValueError(f"effects must give {(len(units), len(levels))} numbers, got {values.shape}")
    if not np.isfinite(values).all():
        unit, level = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(
            f"the effect of unit {names[units[unit]]!r} on level {levels[level]} is {values[unit, level]}"
        )
    return values
