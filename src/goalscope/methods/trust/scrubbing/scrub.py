"""Causal scrubbing: everything that a hypothesis calls irrelevant is drawn anew, and the output must not care.

The evaluation is recursive: to make the output for an input, each of its parents is made for an input of the same label
that is drawn for it alone; to make a part, its own parents are made likewise, the module runs on an input that is drawn
from all (nothing outside of the hypothesis matters), with the parents' values put in their places (Chan et al. 2022,
"Causal scrubbing: a method for rigorously testing interpretability hypotheses").

One number would flatter. The average over inputs lets errors of opposite sign cancel (for f = x1 x2 on ±1 "nothing
matters" is recovered in full), so beside it stand the absolute change of every input and, where there is one, the
divergence of the output's distribution. A hypothesis that is only equal in extension cannot be told from the true one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.activations import capture, editing
from goalscope.activations.edits import Edit, replace
from goalscope.activations.inputs import Inputs, as_inputs, explained
from goalscope.activations.metric import measured
from goalscope.activations.recompute.fold import rows_of, samples
from goalscope.methods.trust.scrubbing.hypothesis import REST, Hypothesis, alone, checked, draw
from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap, bootstrap_difference, bootstrap_mean

NumberedMetric = Callable[[Any, np.ndarray], Tensor]
"""(output of the module for B inputs, [B] their numbers) -> [B], one number an input; higher is better"""
BATCH = 256
"""inputs in one forward"""


@dataclass(frozen=True)
class Scrubbed:
    """What is left of a metric when everything is drawn anew that a hypothesis calls irrelevant."""

    __repr__, _repr_html_ = text, drawing

    model: np.ndarray
    """[N] metric of the module as it is"""
    scrubbed: np.ndarray
    """[N, D] metric of D scrubbed runs"""
    random: np.ndarray
    """[N, D] metric where the whole output is that of an input drawn from all"""
    divergence: np.ndarray | None
    """[N, D] nats, KL of the scrubbed distribution from the module's; None where no distribution was asked for"""
    recovered: Estimate | None
    """(scrubbed - random) / (model - random), means over inputs; None where the model is not shown to be better than
    random, so that there is nothing to recover"""
    average: Estimate
    """mean of model - scrubbed: what is published as the loss of the hypothesis; errors of opposite sign cancel in it"""
    absolute: Estimate
    """mean of |model - scrubbed| over inputs and runs: never below |average|, the difference is what cancels"""
    untested: Mapping[str, float]
    """part -> share of inputs that share their label with no other input: nothing is tested there"""


def scrub(
    module: nn.Module,
    inputs: Inputs,
    hypothesis: Hypothesis,
    metric: NumberedMetric,
    *,
    distribution: Callable[[Any], Tensor] | None = None,
    draws: int = 16,
    batch: int = BATCH,
    seed: int = 0,
) -> Scrubbed:
    """Runs the module with every part of a hypothesis fed as the hypothesis allows.

    Args:
        module: any module whose samples do not see each other (evaluation mode).
        inputs: N inputs, the independent units (one a level): a tensor or a tuple of arguments.
        hypothesis: parts, features and what the output depends on.
        metric: (output, numbers of its inputs) -> one number each; the output of an input is judged against what that
            input asks for, whatever was drawn.
        distribution: output -> [B, K] logits of the distribution whose divergence is reported.
        draws: D, scrubbed runs of each input.
        batch: inputs in one forward.
        seed: of the draws.

    Raises:
        ValueError: as `hypothesis.checked`; fewer than two inputs, a site that the module lacks or never runs, a part
            that its parents do not reach, a metric that is not one finite number an input.
    """
    runs = Runs(module, inputs, hypothesis, batch)
    if isinstance(draws, bool) or draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws!r}")
    rng, numbers = np.random.default_rng(seed), np.arange(runs.count)
    plain = [(rows, runs.output(rows, {})) for rows in runs.batches(numbers)]
    model = np.concatenate([measured_on(metric, out, rows) for rows, out in plain])
    clean = _logs(distribution, [out for _, out in plain])
    scrubbed, random = np.empty((2, runs.count, draws))
    divergence = None if clean is None else np.empty((runs.count, draws))
    for d in range(draws):
        for rows in runs.batches(numbers):
            output = runs.scrubbed(rows, rng)
            scrubbed[rows, d] = measured_on(metric, output, rows)
            if (
                clean is not None
                and divergence is not None
                and (logs := _logs(distribution, [output])) is not None
            ):
                divergence[rows, d] = _kl(clean[rows], logs)
            other = draw(None, rows, runs.count, rng)
            random[rows, d] = measured_on(metric, runs.output(other, {}), rows)
    apart = model[:, None] - scrubbed
    return Scrubbed(
        model=model, scrubbed=scrubbed, random=random, divergence=divergence,
        recovered=_recovered(model, scrubbed.mean(1), random.mean(1)),
        average=bootstrap_mean(apart.mean(1)),
        absolute=bootstrap_mean(np.abs(apart).mean(1)),
        untested={name: alone(part.feature, runs.count) for name, part in runs.hypothesis.parts.items()},
    )  # fmt: skip


class Runs:
    """The runs of a module that a hypothesis asks for.

    Args:
        module, inputs, hypothesis: as for `scrub`.
        batch: inputs in one forward.

    Attributes:
        count: N.
        hypothesis: with its labels counted.
    """

    def __init__(self, module: nn.Module, inputs: Inputs, hypothesis: Hypothesis, batch: int):
        self.module, self.inputs = module, as_inputs(inputs, module)
        self.count = samples(self.inputs)
        if self.count < 2:
            raise ValueError("one input has no other one to be swapped with: give at least two")
        if isinstance(batch, bool) or batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch!r}")
        self.batch = batch
        self.hypothesis = checked(hypothesis, self.count)
        sites = sorted({part.site for part in self.hypothesis.parts.values()})
        # What a part without parents is worth is read off the plain runs, all at once.
        self.plain = capture(module, self.inputs, sites, batch=batch) if sites else {}
        self._refuse_unreached()

    def batches(self, numbers: np.ndarray) -> Iterator[np.ndarray]:
        """The numbers, so many at a time."""
        for first in range(0, len(numbers), self.batch):
            yield numbers[first : first + self.batch]

    def scrubbed(
        self, rows: np.ndarray, rng: np.random.Generator, swapped: Collection[str] | None = None
    ) -> Any:
        """The module's output for some inputs [B], every part drawn as it may be.

        Args:
            rows: numbers of the inputs.
            rng: of the draws.
            swapped: names of the parts that are swapped (and `REST`); all others stay as on the input itself. None: all.
        """
        values = {name: self._value(name, rows, rng, swapped) for name in self.hypothesis.output}
        return self.output(self._background(rows, rng, swapped), values)

    def output(self, background: np.ndarray, values: Mapping[str, Tensor]) -> Any:
        """The output of a run on inputs `background` [B], values of parts (each of its site's shape) put in their places."""
        with self._edited(values), torch.no_grad(), explained(self.module, self.inputs):
            return self.module(*rows_of(self.inputs, torch.from_numpy(background)))

    def _value(
        self, name: str, rows: np.ndarray, rng: np.random.Generator, swapped: Collection[str] | None
    ) -> Tensor:
        """[B, ...] what stands at a part's site for some inputs, made by way of an input of the same label."""
        part = self.hypothesis.parts[name]
        if swapped is None or name in swapped:
            rows = draw(part.feature, rows, self.count, rng)
        if not part.parents:
            return self.plain[part.site][torch.from_numpy(rows)]
        values = {parent: self._value(parent, rows, rng, swapped) for parent in part.parents}
        background = torch.from_numpy(self._background(rows, rng, swapped))
        with self._edited(values):
            return capture(self.module, rows_of(self.inputs, background), [part.site])[part.site]

    def _background(
        self, rows: np.ndarray, rng: np.random.Generator, swapped: Collection[str] | None
    ) -> np.ndarray:
        return draw(None, rows, self.count, rng) if swapped is None or REST in swapped else rows

    def _edited(self, values: Mapping[str, Tensor]) -> Any:
        edits: dict[str, list[Edit]] = {}
        for name, value in values.items():
            part = self.hypothesis.parts[name]
            edits.setdefault(part.site, []).append(replace(value, **part.where))
        return editing(self.module, edits) if edits else torch.no_grad()

    def _refuse_unreached(self) -> None:
        """A part that does not move when a parent is another input's says nothing of that parent: the graph is wrong."""
        few = np.arange(min(self.count, self.batch))
        other = np.roll(few, 1)
        for name, part in self.hypothesis.parts.items():
            for parent in part.parents:
                value = {parent: self.plain[self.hypothesis.parts[parent].site][torch.from_numpy(other)]}
                with self._edited(value):
                    moved = capture(self.module, rows_of(self.inputs, torch.from_numpy(few)), [part.site])[
                        part.site
                    ]
                if torch.equal(moved, self.plain[part.site][torch.from_numpy(few)]):
                    raise ValueError(
                        f"{name!r} ({part.site}) does not change when {parent!r} "
                        f"({self.hypothesis.parts[parent].site}) does: that parent does not reach it"
                    )


def measured_on(metric: NumberedMetric, output: Any, rows: np.ndarray) -> np.ndarray:
    """[B] float64, the metric of an output as that of the inputs `rows` [B].

    Raises:
        ValueError: it is not one finite number an input.
    """
    return measured(lambda given: metric(given, rows), output, len(rows), "a scrubbed run")


def _logs(distribution: Callable[[Any], Tensor] | None, outputs: list[Any]) -> Tensor | None:
    """[B, K] log-probabilities."""
    if distribution is None:
        return None
    return torch.cat([distribution(output).detach().double().log_softmax(1) for output in outputs])


def _kl(clean: Tensor, other: Tensor) -> np.ndarray:
    apart = torch.where(clean.exp() > 0, clean.exp() * (clean - other), torch.zeros_like(clean))
    return apart.sum(1).cpu().numpy()


def _recovered(model: np.ndarray, scrubbed: np.ndarray, random: np.ndarray) -> Estimate | None:
    """None unless the module beats a random output by a whole interval: a share of nothing is no number."""
    better = bootstrap_difference(model, random)
    if not (better.excludes(0.0) and better.low > 0):
        return None

    def share(counts: np.ndarray) -> np.ndarray:
        return (counts @ (scrubbed - random)) / (counts @ (model - random))

    return bootstrap(share, len(model))
