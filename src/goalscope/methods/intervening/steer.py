"""Steering: add a direction to the activations at a site and see, dose by dose, what behaviour does.

A steering vector is the mean difference of activations between paired states, for instance with and without
the cheese (Turner, Mini and others 2023, "Understanding and controlling a maze-solving policy network",
section 3). Beside each dose stand random vectors of the same norm (`goalscope.activations.random_of_equal_norm` draws
them); levels that the vector was made from may not be among those that it is judged on; and results are kept by level,
so that any interval can be taken.

The behaviour is a callable of the caller: it takes edits, as `goalscope.activations.editing` does, and
returns one number for each level (a probability, a logit difference).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from goalscope.activations import add
from goalscope.activations.inputs import as_tensor
from goalscope.showing import drawing, text
from goalscope.stats import RESAMPLES, Estimate, bootstrap_mean, percentile_interval, resample_counts

Edits = Mapping[str, Any]
Run = Callable[[Edits], Any]


@dataclass(frozen=True)
class SteeringVector:
    """The mean difference of activations between paired states."""

    __repr__, _repr_html_ = text, drawing

    vector: Tensor
    """[..] the mean of present - absent, shaped as one sample at the site"""
    standard_error: Tensor
    """[..] of each entry, over pairs"""
    norm: float
    """Euclidean norm of the vector"""
    noise_norm: float
    """norm that the mean of as many pairs would have from their scatter alone: a vector of about this norm, or
    below, points nowhere"""
    n: int
    """pairs"""
    levels: np.ndarray
    """[n] int, the level of each pair; empty where the caller did not say"""


@dataclass(frozen=True)
class DoseResponse:
    """The metric at each coefficient, level by level, beside random vectors of equal norm.

    Intervals resample levels. Effects are metric with the edit minus metric without.
    """

    __repr__, _repr_html_ = text, drawing

    coefficients: tuple[float, ...]
    """[K]"""
    levels: np.ndarray
    """[N] int, the level of each number; 0..N-1 where the caller did not say"""
    baseline: np.ndarray
    """[N] metric without an edit"""
    metric: np.ndarray
    """[K, N] metric with the vector"""
    random: np.ndarray
    """[K, R, N] metric with each random vector"""
    effect: tuple[Estimate, ...]
    """[K] mean effect of the vector"""
    random_effect: tuple[Estimate, ...]
    """[K] mean effect of the random vectors, averaged over them for each level"""
    beyond_random: tuple[Estimate, ...]
    """[K] effect minus the mean effect of the random vectors, paired by level"""
    as_strong: np.ndarray
    """[K] share of vectors, this one counted, whose mean effect is at least as far from 0: the p-value of a
    randomisation test over directions; never below 1 / (R + 1)"""


@dataclass(frozen=True)
class Transfer:
    """How much of the effect on the levels of one kind there is on those of another."""

    __repr__, _repr_html_ = text, drawing

    first: tuple[Estimate, ...]
    """[K] effects where the vector is from"""
    second: tuple[Estimate, ...]
    """[K] effects where it is applied"""
    share: tuple[Estimate | None, ...]
    """[K] second / first; None where the interval of the first includes 0: there is nothing to be a share of"""


@dataclass(frozen=True)
class Composition:
    """Two edits apart and together, level by level. Intervals resample levels."""

    __repr__, _repr_html_ = text, drawing

    baseline: np.ndarray
    """[N] metric without an edit"""
    metrics: np.ndarray
    """[3, N] metric with the first edit, with the second, with both"""
    first: Estimate
    """mean effect of the first edit"""
    second: Estimate
    """mean effect of the second edit"""
    both: Estimate
    """mean effect of both at once"""
    interaction: Estimate
    """both - first - second, paired by level: 0 where they just add up"""


def steering_vector(
    present: Tensor, absent: Tensor, *, level: np.ndarray | Sequence[int] | None = None
) -> SteeringVector:
    """Mean of `present - absent` over pairs.

    Args:
        present: [N, ..] activations at a site, one row a pair.
        absent: [N, ..] of the same levels without the thing.
        level: [N] int, so that `dose_response` can refuse to judge the vector on its own levels.

    Raises:
        ValueError: shapes that differ, fewer than two pairs, values that are not finite, no difference at all.
    """
    if present.shape != absent.shape or present.ndim < 2:
        raise ValueError(
            f"present and absent must be paired, [N, ..] of one shape, got {tuple(present.shape)} and "
            f"{tuple(absent.shape)}"
        )
    levels = np.empty(0, np.int64) if level is None else np.asarray(level)
    if len(present) < 2 or (level is not None and levels.shape != present.shape[:1]):
        raise ValueError(f"need two pairs and level [N], got {len(present)} pairs and level {levels.shape}")
    difference = present.detach().double() - absent.detach().double()
    if not difference.isfinite().all():
        pair = int((~difference.isfinite()).flatten(1).any(1).nonzero()[0])
        raise ValueError(f"pair {pair}: its activations are not finite")
    if not difference.any():
        raise ValueError("present and absent are equal everywhere: there is no direction between them")
    error = difference.std(0) / math.sqrt(len(difference))
    mean = difference.mean(0)
    return SteeringVector(
        vector=mean.to(present.dtype),
        standard_error=error.to(present.dtype),
        norm=float(mean.norm()),
        noise_norm=float(error.norm()),
        n=len(difference),
        levels=levels,
    )


def dose_response(
    run: Run,
    site: str,
    vector: SteeringVector | Tensor,
    coefficients: Sequence[float],
    *,
    controls: Tensor,
    level: np.ndarray | Sequence[int] | None = None,
    bounds: tuple[float, float] | None = None,
    edit: Callable[[Tensor, float], Any] = add,
    may_be_null: bool = False,
    seed: int = 0,
) -> DoseResponse:
    """Run the behaviour with ``coefficient * vector`` added at the site, and with random vectors instead.

    Args:
        run: edits {site: edit} -> [N] metric, one number a level. ``run({})`` must be the bare behaviour
            (`editing` itself refuses to edit nothing).
        site: name of the site.
        vector: the direction, shaped as an edit at the site takes it.
        coefficients: [K] doses, none of them 0 (the bare behaviour is always run).
        controls: [R, ..] random vectors, as `random_of_equal_norm` draws them; each is scaled to the norm of `vector`.
        level: [N] int, the levels that `run` measures. With a `SteeringVector` that knows its own, a level
            in both is an error: what a vector was made from is no test of it.
        bounds: least and greatest possible metric, (0, 1) for a probability; None where there is none.
        edit: (vector, coefficient) -> edit; by default `activations.add` to every position.
        may_be_null: a vector that changes nothing at any dose is a result and not an error; for callers who know
            that their edits reach the run.
        seed: of the intervals.

    Raises:
        ValueError: levels that the vector was made from, a coefficient of 0, no control, a metric that is
            not [N] or not finite (site, coefficient and level are named), an edit that changes no level at all.
    """
    given = vector.vector if isinstance(vector, SteeringVector) else vector
    wanted = "a direction as the site takes it"
    direction = given.detach() if isinstance(given, Tensor) else as_tensor("vector", given, wanted)
    if not isinstance(controls, Tensor):
        controls = as_tensor("controls", controls, f"[R, *{tuple(direction.shape)}]")
    doses = tuple(float(c) for c in coefficients)
    if not doses or 0.0 in doses or not np.isfinite(doses).all():
        raise ValueError(f"coefficients must be finite and not 0, got {list(coefficients)}")
    others = _of_one_norm(controls, direction)
    baseline = _metric(run, {}, "the bare run", None)
    levels = _unseen(vector, level, baseline)

    def measured(along: Tensor, dose: float, name: str) -> np.ndarray:
        return _metric(run, {site: edit(along, dose)}, f"{name} at {site!r}, coefficient {dose:g}", baseline)

    metric = np.stack([measured(direction, dose, "the vector") for dose in doses])
    random = np.stack(
        [[measured(other, dose, f"random vector {i}") for i, other in enumerate(others)] for dose in doses]
    )
    if (metric == baseline).all() and not may_be_null:
        raise ValueError(
            f"adding the vector at {site!r} changes the metric of no level: does it reach the run?"
        )
    return _response(doses, levels, baseline, metric, random, bounds, seed)


def _unseen(
    vector: SteeringVector | Tensor, level: np.ndarray | Sequence[int] | None, baseline: np.ndarray
) -> np.ndarray:
    """[N] the levels of the run; raises ValueError where the vector was made from one of them."""
    levels = np.arange(len(baseline)) if level is None else np.asarray(level)
    if levels.shape != baseline.shape:
        raise ValueError(f"run gives {baseline.shape} numbers, but level is {levels.shape}")
    if isinstance(vector, SteeringVector) and level is not None:
        known = np.intersect1d(vector.levels, levels)
        if known.size:
            raise ValueError(f"the vector was made from level {known[0]} ({known.size} such): hold them out")
    return levels


def _response(
    doses: tuple[float, ...], levels: np.ndarray, baseline: np.ndarray, metric: np.ndarray, random: np.ndarray,
    bounds: tuple[float, float] | None, seed: int,
) -> DoseResponse:  # fmt: skip
    """What the metrics [K, N] and those of the random vectors [K, R, N] say."""
    span = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
    strength = np.abs((metric - baseline).mean(axis=1))
    stronger = np.abs((random - baseline).mean(axis=2)) >= strength[:, None] * (1 - 1e-12)
    return DoseResponse(
        coefficients=doses,
        levels=levels,
        baseline=baseline,
        metric=metric,
        random=random,
        effect=_means(metric - baseline, span, seed),
        random_effect=_means(random.mean(axis=1) - baseline, span, seed),
        beyond_random=_means(metric - random.mean(axis=1), span, seed),
        as_strong=(1 + stronger.sum(axis=1)) / (1 + random.shape[1]),
    )


def transfer(first: DoseResponse, second: DoseResponse, *, seed: int = 0) -> Transfer:
    """Compare a vector's effect on levels of its own kind with that on levels of another kind.

    Args:
        first: on (held-out) levels of the kind that the vector was made from.
        second: the same vector and coefficients on the others.
        seed: of the intervals. The levels of both sides are resampled, independently.

    Raises:
        ValueError: coefficients that differ.
    """
    if first.coefficients != second.coefficients:
        raise ValueError(f"coefficients differ: {first.coefficients} and {second.coefficients}")
    counts = [
        resample_counts(len(one.baseline), resamples=RESAMPLES, seed=seed + i) / len(one.baseline)
        for i, one in enumerate((first, second))
    ]
    shares: list[Estimate | None] = []
    for k, effect in enumerate(first.effect):
        if effect.low <= 0 <= effect.high:
            shares.append(None)
            continue
        means = [c @ (one.metric[k] - one.baseline) for c, one in zip(counts, (first, second), strict=True)]
        estimate = second.effect[k].estimate / effect.estimate
        # A resample of the first whose effect is 0 has no share; its own interval excludes 0, so these are few.
        low, high = percentile_interval(means[1][means[0] != 0] / means[0][means[0] != 0])
        n = min(effect.n, second.effect[k].n)
        shares.append(Estimate(estimate, min(float(low), estimate), max(float(high), estimate), n))
    return Transfer(first.effect, second.effect, tuple(shares))


def composition(
    run: Run,
    first: Edits,
    second: Edits,
    *,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
) -> Composition:
    """Two edits apart and at once: do their effects add up?

    Args:
        run: edits -> [N] metric, one number a level.
        first: {site: edit}, for instance ``{"block2.res1": add(cheese_vector, -1)}``.
        second: another; where they share a site the first edit is made first.
        bounds: least and greatest possible metric; None where there is none.
        seed: of the intervals.

    Raises:
        ValueError: no edits in one of them, a metric that is not [N] or not finite.
    """
    if not first or not second:
        raise ValueError("first and second must each have an edit")
    both = {name: [*_listed(first.get(name)), *_listed(second.get(name))] for name in {**first, **second}}
    baseline = _metric(run, {}, "the bare run", None)
    metrics = np.stack(
        [
            _metric(run, edits, name, baseline)
            for name, edits in (("the first edit", first), ("the second edit", second), ("both edits", both))
        ]
    )
    span = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
    double = None if span is None else (2 * span[0], 2 * span[1])
    effects = _means(metrics - baseline, span, seed)
    (interaction,) = _means((metrics[2] - metrics[0] - metrics[1] + baseline)[None], double, seed)
    return Composition(baseline, metrics, effects[0], effects[1], effects[2], interaction)


def _of_one_norm(controls: Tensor, direction: Tensor) -> Tensor:
    """[R, ..] the controls with the norm of the direction, in double precision until they are."""
    norm = float(direction.double().norm())
    if not 0 < norm < math.inf:
        raise ValueError(f"the vector must be finite and not 0, its norm is {norm}")
    if controls.shape[1:] != direction.shape or not len(controls):
        raise ValueError(f"controls must be [R, *{tuple(direction.shape)}], got {tuple(controls.shape)}")
    norms = controls.double().flatten(1).norm(dim=1)
    if not (norms > 0).all():
        raise ValueError("a control vector is 0 or not finite")
    return (controls * (norm / norms).reshape(-1, *[1] * direction.ndim)).to(direction)


def _metric(run: Run, edits: Edits, name: str, like: np.ndarray | None) -> np.ndarray:
    values = run(edits)
    values = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, np.float64)
    if values.ndim != 1 or not len(values) or (like is not None and values.shape != like.shape):
        wanted = "[N]" if like is None else str(like.shape)
        raise ValueError(f"{name}: run must return one number a level, {wanted}, got {values.shape}")
    if not np.isfinite(values).all():
        index = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"{name}: the metric is {values[index]} in row {index}")
    return values


def _listed(edit: Any) -> list[Any]:
    return [] if edit is None else list(edit) if isinstance(edit, (list, tuple)) else [edit]


def _means(values: np.ndarray, bounds: tuple[float, float] | None, seed: int) -> tuple[Estimate, ...]:
    return tuple(bootstrap_mean(row, bounds=bounds, seed=seed) for row in values)
