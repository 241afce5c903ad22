"""What an intervention is measured by: a metric of the module's output on pairs of inputs, checked at the boundary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from goalscope.activations.inputs import Inputs, as_inputs
from goalscope.activations.recompute.fold import samples

Metric = Callable[[Any], Tensor]
"""what the module returns for N samples -> [N], one number a sample"""


def paired(clean: Inputs, corrupt: Inputs, module: nn.Module) -> tuple[tuple, tuple]:
    """The arguments of two forwards whose samples belong together.

    Raises:
        ValueError: other numbers of samples, other shapes or types; the message has both.
    """
    one, other = as_inputs(clean, module), as_inputs(corrupt, module)
    leaves, form = pytree.tree_flatten(one)
    twins, twin_form = pytree.tree_flatten(other)
    if form != twin_form:
        raise ValueError(f"clean and corrupt are not the same arguments: {form} and {twin_form}")
    count, twin_count = samples(one), samples(other)
    if count != twin_count:
        raise ValueError(
            f"clean has {count} samples and corrupt {twin_count}: sample k of one must belong to sample k of the other"
        )
    for leaf, twin in zip(leaves, twins, strict=True):
        both = isinstance(leaf, Tensor) and isinstance(twin, Tensor)
        if both and (leaf.shape != twin.shape or leaf.dtype != twin.dtype):
            raise ValueError(
                f"clean and corrupt differ in shape or type: {list(leaf.shape)} {leaf.dtype} "
                f"and {list(twin.shape)} {twin.dtype}; levels of unequal size cannot be patched into each other"
            )
    return one, other


def checked(value: Any, count: int, where: str) -> Tensor:
    """A metric's value [N].

    Raises:
        ValueError: another shape, or not finite; the message says where and for which sample.
    """
    if not isinstance(value, Tensor) or tuple(value.shape) != (count,):
        got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"the metric must give one number a sample, [{count}]; got {got} ({where})")
    wrong = ~value.isfinite()
    if wrong.any():
        sample = int(wrong.nonzero()[0])
        raise ValueError(
            f"the metric is {value[sample].item()} at {where}, sample {sample} ({int(wrong.sum())} in all): effects "
            "are differences of finite numbers; where actions may be illegal (-inf), choose legal ones"
        )
    return value


def measured(metric: Metric, output: Any, count: int, where: str) -> np.ndarray:
    """[N] float64, the metric of an output.

    Args:
        metric: the metric.
        output: what the module returned for N samples.
        count: N.
        where: which run this is, for the words of errors.

    Raises:
        ValueError: as `checked`.
    """
    return checked(metric(output), count, where).detach().double().cpu().numpy()
