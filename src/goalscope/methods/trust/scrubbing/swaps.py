"""The worst that a hypothesis allows: one swap of one part, and the worst subset of the swaps.

Drawing everything at once averages, and may hide in a crowd of swaps what one alone would show. So each pair of inputs
that a part may be swapped between is tried alone (or many of the pairs, drawn at random), and each subset of the parts
is scrubbed with all others left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import nn

from goalscope.activations.inputs import Inputs
from goalscope.methods.trust.scrubbing.hypothesis import REST, Hypothesis, allowed
from goalscope.methods.trust.scrubbing.scrub import BATCH, NumberedMetric, Runs, measured_on
from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap_mean

MOST_PARTS = 10
"""parts, the rest among them, of which all subsets are tried"""


@dataclass(frozen=True)
class WorstSwap:
    """The swap of one part between two inputs of one label that changes the metric most."""

    __repr__, _repr_html_ = text, drawing

    part: str
    """name of the part, or 'the rest'"""
    change: float
    """|metric with that part taken from `other` - metric of the module|"""
    input: int
    """number of the input that is run"""
    other: int
    """number of the input that the part is taken from"""
    by_part: Mapping[str, float]
    """part -> the largest change of its swaps; 0 where its feature allows none"""
    exhaustive: Mapping[str, bool]
    """part -> whether all allowed pairs were tried"""


@dataclass(frozen=True)
class WorstSubset:
    """The subset of swaps under which the metric is least."""

    __repr__, _repr_html_ = text, drawing

    swapped: tuple[str, ...]
    """names of the parts that are drawn anew; all others stay as on the input itself"""
    metric: Estimate
    """mean metric under it, on inputs on which it was not chosen"""
    fullest: Estimate
    """the same with everything drawn that may be"""
    by_subset: Mapping[tuple[str, ...], float]
    """subset -> mean metric on the inputs on which the worst was chosen"""


def worst_swap(
    module: nn.Module,
    inputs: Inputs,
    hypothesis: Hypothesis,
    metric: NumberedMetric,
    *,
    pairs: int = 20_000,
    batch: int = BATCH,
    seed: int = 0,
) -> WorstSwap:
    """Takes each part alone from another input of the same label; the rest too, with all parts of the output kept.

    Args:
        module, inputs, hypothesis, metric, batch: as for `scrub`.
        pairs: of each part at most; where more are allowed, so many are drawn and the maximum is a lower limit.
        seed: of those draws.

    Raises:
        ValueError: as `scrub`; or pairs below 1.
    """
    if isinstance(pairs, bool) or pairs < 1:
        raise ValueError(f"pairs must be at least 1, got {pairs!r}")
    runs, rng = Runs(module, inputs, hypothesis, batch), np.random.default_rng(seed)
    plain = np.concatenate(
        [measured_on(metric, runs.output(rows, {}), rows) for rows in runs.batches(np.arange(runs.count))]
    )
    most, where, by_part, exhaustive = -1.0, (REST, 0, 0), {}, {}
    for name in [*runs.hypothesis.parts, REST]:
        feature = None if name == REST else runs.hypothesis.parts[name].feature
        tried, whole = allowed(feature, runs.count, pairs, rng)
        by_part[name], exhaustive[name] = 0.0, whole
        for first in range(0, len(tried), batch):
            one, other = tried[first : first + batch].T
            changed = np.abs(_swapped(runs, name, one, other, metric) - plain[one])
            at = int(changed.argmax())
            by_part[name] = max(by_part[name], float(changed[at]))
            if changed[at] > most:
                most, where = float(changed[at]), (name, int(one[at]), int(other[at]))
    return WorstSwap(where[0], max(most, 0.0), where[1], where[2], by_part, exhaustive)


def _swapped(runs: Runs, name: str, one: np.ndarray, other: np.ndarray, metric: NumberedMetric) -> np.ndarray:
    """[B] the metric of inputs `one` with one part as it is on `other`."""

    def value(part: str, of: np.ndarray) -> torch.Tensor:
        return runs.plain[runs.hypothesis.parts[part].site][torch.from_numpy(of)]

    if name == REST:
        output = runs.output(other, {part: value(part, one) for part in runs.hypothesis.output})
    else:
        output = runs.output(one, {name: value(name, other)})
    return measured_on(metric, output, one)


def worst_subset(
    module: nn.Module,
    inputs: Inputs,
    hypothesis: Hypothesis,
    metric: NumberedMetric,
    *,
    draws: int = 16,
    batch: int = BATCH,
    seed: int = 0,
) -> WorstSubset:
    """Scrubs every subset of the parts. The one of least mean metric is chosen on half of the inputs, judged on the rest.

    Args:
        module, inputs, hypothesis, metric, draws, batch, seed: as for `scrub`.

    Raises:
        ValueError: as `scrub`; fewer than four inputs, or more than `MOST_PARTS` parts with the rest among them.
    """
    runs, rng = Runs(module, inputs, hypothesis, batch), np.random.default_rng(seed)
    names = [*runs.hypothesis.parts, REST]
    if len(names) > MOST_PARTS:
        raise ValueError(
            f"{len(names)} parts have {2 ** len(names)} subsets: join some, {MOST_PARTS} are taken"
        )
    if runs.count < 4:
        raise ValueError(f"half of the inputs choose and half judge: give at least four, got {runs.count}")
    order = rng.permutation(runs.count)
    choose, judge = order[: runs.count // 2], order[runs.count // 2 :]
    subsets = [some for size in range(1, len(names) + 1) for some in combinations(names, size)]
    by_subset = {some: float(_mean(runs, some, choose, metric, draws, rng).mean()) for some in subsets}
    worst = min(subsets, key=lambda some: by_subset[some])
    judged, full = (
        bootstrap_mean(_mean(runs, some, judge, metric, draws, rng)) for some in (worst, subsets[-1])
    )
    return WorstSubset(worst, judged, full, by_subset)


def _mean(
    runs: Runs, some: tuple[str, ...], numbers: np.ndarray, metric: NumberedMetric, draws: int, rng: np.random.Generator
) -> np.ndarray:  # fmt: skip
    """[B] the metric of some inputs, mean over the draws, with some parts swapped."""
    total = np.zeros(len(numbers))
    for _ in range(draws):
        total += np.concatenate(
            [measured_on(metric, runs.scrubbed(rows, rng, some), rows) for rows in runs.batches(numbers)]
        )
    return total / draws
