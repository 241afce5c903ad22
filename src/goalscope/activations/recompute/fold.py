"""Many patches of one site in one forward: patched copies of the batch lie behind each other on axis 0.

A patch of one channel of [N, C, H, W] stays in that channel through activation functions, pooling and sums, so only that
channel is computed; and the first convolution that mixes channels is linear, so its output is what it was plus the
contribution of what changed in that channel: W[:, c] * (a' - a).

What may be folded is not guessed from the operations but tried: the forward is run on a few samples, one at a time
patched and folded, and where the outputs differ the patches of that site run one by one, without folding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from goalscope.activations.hooks import refuse_not_finite
from goalscope.activations.recompute.from_site import Recording
from goalscope.activations.recompute.narrow import (
    MIXING,
    NARROW,
    mixing_step,
    narrow_step,
    overwriting,
    ways_of,
)
from goalscope.activations.recompute.plan import Step
from goalscope.activations.recompute.trace import Untraceable
from goalscope.activations.sites import tensor_at, with_tensor


class Sweep:
    """A module, ready to be run with many different values at some of its sites; without gradients.

    Args:
        module: any module.
        inputs: the arguments of its forward; axis 0 of every tensor counts samples.
        sites: the sites that will be patched.

    Attributes:
        output: what the module returns for the inputs of `record`, unpatched.
        sites: site -> how its patches run.
        small: a run on a few samples, with the values of all operations.
        few: how many samples that are.

    Raises:
        ValueError: an unknown site, one that is not reached or means several calls; inputs of unequal length.
        Untraceable: the forward has no graph that can be trusted.
    """

    def __init__(self, module: nn.Module, inputs: tuple, sites: Sequence[str]):
        count = samples(inputs)
        self.few = 3 if count == 2 else 2
        rows = torch.arange(self.few) % count
        try:
            small = Recording(module, rows_of(inputs, rows), sites, everything=True)
        except RuntimeError as error:
            text = str(error).split("\n")[0]
            raise Untraceable(f"it does not take {self.few} samples: {text}") from error
        self.small, self.trace, self.module = small, small.trace, module
        self.sites = {text: ways_of(plan, small) for text, plan in small.plans.items()}
        self._foldable: dict[str, bool] = {}
        self._values: dict[fx.Node, Any] = {}
        self._count, self.output = 0, None

    def record(self, inputs: tuple, first_sample: int = 0) -> None:
        """Run the module once on these samples and keep what the sites need.

        Args:
            inputs: the arguments of its forward.
            first_sample: number of the first of the samples; only for the words of errors.

        Raises:
            ValueError: activations at a site that are not finite (site and sample).
        """
        self._count = samples(inputs)
        keep = set().union(*({s.plan.place} | s.plan.kept | s.clean for s in self.sites.values()))
        self._values, self.output, rewritten = self.trace.run(inputs, keep)
        if rewritten:
            raise Untraceable("other operations are in place with more samples")
        for site in self.sites:
            refuse_not_finite(self.value(site), site, first_sample=first_sample)

    def read(self, inputs: tuple, first_sample: int = 0) -> tuple[dict[str, Tensor], Any]:
        """The activations at all sites on other inputs, and the output; what was recorded stays. Else as `record`."""
        plans = {text: site.plan for text, site in self.sites.items()}
        values, output, _ = self.trace.run(inputs, {plan.place for plan in plans.values()})
        found = {text: tensor_at(values[plan.place], plan.path) for text, plan in plans.items()}
        for site, value in found.items():
            refuse_not_finite(value, site, first_sample=first_sample)
        return found, output

    def value(self, site: str) -> Tensor:
        """The activation at a site in the recorded run."""
        plan = self.sites[site].plan
        return tensor_at(self._values[plan.place], plan.path)

    def narrow(self, site: str) -> bool:
        """Whether patches of single channels can be run by `channels`."""
        return self.sites[site].narrow and self.foldable(site)

    def foldable(self, site: str) -> bool:
        """Whether several patches of a site can share a forward: tried once on a few samples."""
        if site not in self._foldable:
            self._foldable[site] = self._tried(site)
        return self._foldable[site]

    def patched(self, site: str, values: Tensor) -> Any:
        """Outputs of a whole site's patches.

        Args:
            site: the site.
            values: [G * N, ...] patch after patch; G = 1 where the site is not foldable.

        Returns:
            The output of the module on G * N rows.
        """
        if not self.foldable(site):
            with torch.no_grad():
                return self.sites[site].plan.run(self._values, values, self.module)
        return _Forward(self, site, self._values, self._count, None).run(values)

    def channels(self, site: str, channels: Sequence[int], values: Tensor) -> Any:
        """Outputs of patches of one channel each.

        Args:
            site: a site for which `narrow` is true.
            channels: G channels.
            values: [N, G, H, W] what to put there.

        Returns:
            The output of the module on G * N rows, patch after patch. Equal to that of full forwards but for the
            order of the sum in the first convolution, which is worth 1e-6 of the size of the activations.
        """
        return _Forward(self, site, self._values, self._count, list(channels)).run(values)

    def _tried(self, name: str) -> bool:
        """Whether folding gives, on a few samples, what single patches give."""
        site, small = self.sites[name], self.small
        clean = small.value(name)
        if not clean.is_floating_point() or not clean.ndim or len(clean) != self.few:
            return False
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(clean.shape, generator=generator).to(clean) * (clean.std() + 1e-3)
        trials: list[tuple[Tensor, list[int] | None, Tensor]] = [
            (torch.cat([clean, clean + noise]), None, clean + noise)
        ]
        if site.narrow:
            last = clean.shape[1] - 1
            other = clean.clone()
            other[:, last] += noise[:, last]
            trials = [(torch.stack([clean[:, 0], other[:, last]], 1), [0, last], other)]
        try:
            for folded, channels, single in trials:
                both = _Forward(self, name, small.values, self.few, channels).run(folded)
                first, second = (fold_of(both, self.few, g) for g in (0, 1))
                if not (close(first, small.output) and close(second, small.run(name, single))):
                    return False
        except (RuntimeError, ValueError, TypeError, IndexError):
            return False
        return True


class _Forward:
    """One forward with patches of a site; `channels` are those of G patches of one channel, or None."""

    def __init__(
        self, sweep: Sweep, site: str, kept: dict[fx.Node, Any], count: int, channels: list[int] | None
    ):
        self.sweep, self.ways, self.kept = sweep, sweep.sites[site], kept
        self.count, self.channels, self.folds = count, channels or [], len(channels or [])
        self.narrow = {self.ways.plan.place} if channels is not None else set()
        self.made = {self.ways.plan.place} | {step.node for step in self.ways.plan.steps}
        self.values: dict[fx.Node, Any] = {}

    @torch.no_grad()
    def run(self, value: Tensor) -> Any:
        """The output on all rows, without gradients."""
        plan, values = self.ways.plan, self.values
        if not self.channels:
            self.folds = len(value) // self.count
            whole = self.repeated(plan.place) if plan.path else None
            value = with_tensor(whole, plan.path, value)
        else:  # beside the G patched channels go the same channels as they were
            value = torch.cat([value, self.kept[plan.place][:, self.channels]], 1)
        values[plan.place] = value
        for step in plan.steps:
            values[step.node] = self.step(step)
            for used in step.last:
                values.pop(used, None)
                self.narrow.discard(used)
        return plan.output({node: self.operand(node) for node in plan.outputs})

    def step(self, step: Step) -> Any:
        """The value that a step makes."""
        way = self.ways.ways.get(step.node) if self.narrow & step.inputs else None
        if way == MIXING:
            (source,) = step.inputs
            patched, was = self.values[source].split(self.folds, 1)
            return mixing_step(step.call, self.kept[step.node], patched - was, self.channels)
        if way == NARROW:
            self.narrow.add(step.node)
            twice = self.channels * 2
            parts = {
                used: self.values[used] if used in self.narrow else self.kept[used][:, twice]
                for used in step.inputs
            }
            return narrow_step(step, parts, twice)
        operands = {used: self.operand(used) for used in step.inputs}
        spare = self.ways.spare.get(step.node)
        if spare is not None and spare not in self.narrow:
            return overwriting(step, operands, spare)
        return step.evaluate(operands, self.sweep.module)

    def operand(self, node: fx.Node) -> Any:
        """A node's value on all rows, all channels."""
        if node not in self.made:
            return self.repeated(node)
        if node not in self.narrow:
            return self.values[node]
        whole = _repeat(self.kept[node], self.folds)
        for g, channel in enumerate(self.channels):
            whole[g * self.count : (g + 1) * self.count, channel] = self.values[node][:, g]
        return whole

    def repeated(self, node: fx.Node) -> Any:
        """What does not depend on the patch, once for each patch: samples are repeated, and their number too."""
        value, twin, few = self.kept[node], self.sweep.small.values[node], self.sweep.few
        if self.folds == 1:
            return value

        def one(leaf: Any, other: Any) -> Any:
            if isinstance(leaf, Tensor):
                batched = leaf.ndim and len(leaf) == self.count and len(other) == few
                return _repeat(leaf, self.folds) if batched else leaf
            counted = type(leaf) is int and leaf == self.count and other == few
            return leaf * self.folds if counted else leaf

        if isinstance(value, torch.Size):
            return torch.Size(one(leaf, other) for leaf, other in zip(value, twin, strict=True))
        return pytree.tree_map(one, value, twin)


def _repeat(tensor: Tensor, folds: int) -> Tensor:
    """The rows, `folds` times, in a tensor of its own and of the same memory format."""
    return tensor.clone() if folds == 1 else torch.cat([tensor] * folds)


def fold_of(output: Any, count: int, fold: int) -> Any:
    """The rows of one patch of a folded output."""
    rows = slice(fold * count, (fold + 1) * count)
    return pytree.tree_map(lambda leaf: leaf[rows] if isinstance(leaf, Tensor) else leaf, output)


def join(outputs: Sequence[Any]) -> Any:
    """Outputs of the same structure, their tensors joined on axis 0."""
    if len(outputs) == 1:
        return outputs[0]
    return pytree.tree_map(
        lambda leaf, *others: torch.cat([leaf, *others]) if isinstance(leaf, Tensor) else leaf, *outputs
    )


def close(one: Any, other: Any) -> bool:
    """Whether two outputs agree to the last digits of their type."""
    pairs = list(zip(pytree.tree_leaves(one), pytree.tree_leaves(other), strict=True))
    for leaf, twin in pairs:
        if not isinstance(leaf, Tensor):
            continue
        if leaf.shape != twin.shape:
            return False
        tolerance = 1e-4 if leaf.dtype == torch.float32 else 1e-8 if leaf.dtype == torch.float64 else 2e-2
        size = float(twin.detach().abs().max()) if twin.numel() else 0.0
        if not torch.allclose(leaf, twin, rtol=tolerance, atol=tolerance * size):
            return False
    return True


def samples(inputs: tuple) -> int:
    """The number of samples in the arguments of a forward.

    Raises:
        ValueError: there is no tensor, no sample, or the tensors differ in length.
    """
    lengths = [
        len(leaf) if leaf.ndim else 0 for leaf in pytree.tree_leaves(inputs) if isinstance(leaf, Tensor)
    ]
    if not lengths or not lengths[0] or len(set(lengths)) > 1:
        raise ValueError(f"axis 0 of every input must count the same samples, got lengths {lengths}")
    return lengths[0]


def rows_of(inputs: tuple, rows: Any) -> tuple:
    """Some samples of the arguments of a forward."""
    return pytree.tree_map(lambda leaf: leaf[rows] if isinstance(leaf, Tensor) else leaf, inputs)
