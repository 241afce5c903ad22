"""How far a patch of one channel of [N, C, H, W] stays in its channel, read off a graph and the shapes of a small run.

Activation functions, pooling and sums keep it there. The first convolution mixes channels, but linearly: its output is
what it was plus what the change in the one channel contributes, W[:, c] * (a' - a).
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from goalscope.activations.recompute.from_site import Recording
from goalscope.activations.recompute.plan import Plan, Step

_PER_CHANNEL_MODULES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid, nn.Softplus,
    nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Identity, nn.MaxPool2d, nn.AvgPool2d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
)  # fmt: skip
_PER_CHANNEL_FUNCTIONS = (
    torch.relu, torch.tanh, torch.sigmoid, torch.clamp, torch.abs, torch.exp, torch.neg, operator.neg,
    F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.gelu, F.silu, F.mish, F.tanh, F.sigmoid, F.softplus,
    F.hardtanh, F.hardswish, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d,
)  # fmt: skip
_PER_CHANNEL_METHODS = ("relu", "tanh", "sigmoid", "clamp", "abs", "exp", "neg")
_SUMS = (operator.add, operator.sub, operator.mul, torch.add, torch.sub, torch.mul)
_SUM_METHODS = ("add", "sub", "mul", "__add__", "__radd__", "__mul__", "__rmul__")

NARROW, MIXING = "narrow", "mixing"
"""only the patched channel is computed; the first convolution after it, by its linearity"""


_FRESH = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.BatchNorm2d)
"""modules whose output shares no memory with anything"""


@dataclass(frozen=True)
class Ways:
    """How to run the patches of a site.

    Attributes:
        plan: what to run.
        ways: step -> NARROW or MIXING while the patch is in its channel; all other steps take all channels.
        clean: nodes whose unpatched values are needed beside those of the plan.
        spare: step -> the input that it may write its result into, since nobody else reads it.
    """

    plan: Plan
    ways: Mapping[fx.Node, str]
    clean: frozenset[fx.Node]
    spare: Mapping[fx.Node, fx.Node]

    @property
    def narrow(self) -> bool:
        """Whether a patch of one channel can run as one channel."""
        return self.ways.get(self.plan.place) == NARROW


def ways_of(plan: Plan, small: Recording) -> Ways:
    """How each step runs while the patch is still in its channel, read off the shapes of the small run."""
    start, spare = small.values[plan.place], _spare(plan, small)
    if plan.path or not isinstance(start, Tensor) or start.ndim != 4:
        return Ways(plan, {}, frozenset(), spare)
    ways, clean = {plan.place: NARROW}, set()
    made = {step.node for step in plan.steps}
    for step in plan.steps:
        inner = {used for used in step.inputs if ways.get(used) == NARROW}
        if not inner:
            continue
        value = small.values[step.node]
        alone = not (step.inputs & made) - inner and _stays_in_channel(step, small.values, inner)
        if alone and value.shape[:2] == start.shape[:2]:
            ways[step.node] = NARROW
        elif _mixes_linearly(step) and not step.kwargs and not step.copies:
            ways[step.node] = MIXING
            clean |= {step.node}
        else:
            clean |= inner
    clean |= {node for node in plan.outputs if ways.get(node) == NARROW}
    return Ways(plan, ways, frozenset(clean), spare)


def _stays_in_channel(step: Step, values: dict[fx.Node, Any], inner: set[fx.Node]) -> bool:
    call, node = step.call, step.node
    if not isinstance(values[node], Tensor) or values[node].ndim != 4:
        return False
    if isinstance(call, nn.BatchNorm2d):
        return type(call) is nn.BatchNorm2d and not call.training and call.running_mean is not None
    if isinstance(call, nn.Module):
        dropped = isinstance(call, (nn.Dropout, nn.Dropout2d)) and not call.training
        return dropped or type(call) in _PER_CHANNEL_MODULES
    method = str(node.target) if node.op == "call_method" else ""
    if call in _SUMS or method in _SUM_METHODS:
        shapes = {
            tuple(values[used].shape) if isinstance(values[used], Tensor) else () for used in step.inputs
        }
        return shapes <= {tuple(values[node].shape)}
    return step.inputs == inner and (call in _PER_CHANNEL_FUNCTIONS or method in _PER_CHANNEL_METHODS)


def _mixes_linearly(step: Step) -> bool:
    conv = step.call
    return type(conv) is nn.Conv2d and conv.groups == 1 and conv.padding_mode == "zeros"


def _spare(plan: Plan, small: Recording) -> dict[fx.Node, fx.Node]:
    """Steps that may overwrite an input: relu and sums of a new tensor that is read only there."""
    readers: dict[fx.Node, int] = {}
    for step in plan.steps:
        for used in step.inputs:
            readers[used] = readers.get(used, 0) + 1
    found: dict[fx.Node, fx.Node] = {}
    fresh: set[fx.Node] = set()
    for step in plan.steps:
        is_sum = step.call in (operator.add, torch.add) and len(step.args) == 2 and not step.kwargs
        is_relu = type(step.call) is nn.ReLU or step.call in (torch.relu, F.relu)
        if type(step.call) in _FRESH or is_sum:
            fresh.add(step.node)
        if not (is_sum or is_relu) or step.copies or step.kwargs:
            continue
        value = small.values[step.node]
        for used in step.args:
            if used in fresh and used in step.last and readers[used] == 1 and used not in plan.outputs:
                was = small.values[used]
                if was.shape == value.shape and was.dtype == value.dtype:
                    found[step.node] = used
    return found


def overwriting(step: Step, operands: Mapping[fx.Node, Any], spare: fx.Node) -> Tensor:
    """The step's result in the memory of its input `spare`; the same bits as without."""
    target = operands[spare]
    if len(step.args) == 1:
        return torch.relu_(target)
    other = step.args[0] if step.args[1] is spare else step.args[1]
    return target.add_(operands[other] if isinstance(other, fx.Node) else other)


def narrow_step(step: Step, operands: dict[fx.Node, Any], channels: list[int]) -> Any:
    """A step that stays in the channel, on [N, G, H, W]."""
    norm = step.call
    if isinstance(norm, nn.BatchNorm2d):
        (x,) = operands.values()
        mean, variance, weight, bias = (
            None if tensor is None else tensor[channels]
            for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, norm.eps)
    return step.evaluate(operands, nn.Identity())


def mixing_step(conv: Any, was: Tensor, change: Tensor, channels: list[int]) -> Tensor:
    """The first convolution after patched channels: what it gave, and what the change in the channel adds.

    Args:
        conv: the convolution.
        was: [N, O, H, W] its output without a patch.
        change: [N, G, H, W] patched minus unpatched input in the G channels.
        channels: their numbers.

    Returns:
        [G * N, O, H, W] patch after patch.
    """
    count = len(was)
    added = [
        F.conv2d(
            change[:, g : g + 1], conv.weight[:, c : c + 1], None, conv.stride, conv.padding, conv.dilation
        )
        for g, c in enumerate(channels)
    ]
    if len(added) == 1 and added[0].stride() == was.stride():
        return added[0].add_(was)
    shape = (len(channels) * count, *was.shape[1:])
    new = torch.empty(shape, dtype=was.dtype, device=was.device, memory_format=_format(was))
    for g, more in enumerate(added):
        torch.add(was, more, out=new[g * count : (g + 1) * count])
    return new


def _format(tensor: Tensor) -> torch.memory_format:
    last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last and not tensor.is_contiguous() else torch.contiguous_format
