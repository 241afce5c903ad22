"""What torch's own attention does out of the sight of hooks, and how to see it all the same.

`nn.MultiheadAttention` and `nn.TransformerEncoderLayer` have fused forwards for evaluation without gradients, in
which no inner module is called. And `nn.MultiheadAttention` never calls its `out_proj`, whose input is where the
heads are still apart. A torch function mode, which belongs to one thread, mends both: while it is on, torch leaves
the fused forwards by itself, and the output projection is done as a step of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from goalscope.activations.tree import first_names

_FUSED = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
_WEIGHT, _BIAS = (
    11,
    12,
)  # positions of out_proj_weight, out_proj_bias in functional.multi_head_attention_forward


def has_fused_paths(module: nn.Module) -> bool:
    """Whether torch's own attention is somewhere in a module."""
    return any(isinstance(child, _FUSED) for child in first_names(module))


def projections(module: nn.Module) -> dict[nn.Module, nn.MultiheadAttention]:
    """The output projection of each `nn.MultiheadAttention` -> the attention that it belongs to."""
    return {
        child.out_proj: child for child in first_names(module) if isinstance(child, nn.MultiheadAttention)
    }


class Unfused(TorchFunctionMode):
    """Keeps torch's attention off its fused forwards, and shows watches its output projections.

    A watched projection's input and output are shown as [N, T, C] (with `batch_first=False`: [T, N, C]).

    Args:
        projected: the projections that stand in the module.
        watches: gives the open watches, outermost first.
    """

    def __init__(
        self, projected: Mapping[nn.Module, nn.MultiheadAttention], watches: Callable[[], Iterable[Any]]
    ):
        super().__init__()
        self._projected, self._watches = projected, watches

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Passes everything on, but for the attention of a watched projection."""
        kwargs = kwargs or {}
        if func is functional.multi_head_attention_forward:
            for projection, attention in self._projected.items():
                if args[_WEIGHT] is projection.weight:
                    watches = [watch for watch in self._watches() if watch.watches(projection)]
                    if watches:
                        return _in_two_steps(projection, attention, watches, args, kwargs)
        return func(*args, **kwargs)


def _in_two_steps(
    projection: nn.Module,
    attention: nn.MultiheadAttention,
    watches: list[Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> tuple[Tensor, Tensor | None]:
    """Attention with the identity for a projection, which leaves every number as it is; then the projection."""
    weight, bias = args[_WEIGHT], args[_BIAS]
    identity = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
    unprojected = (*args[:_WEIGHT], identity, None, *args[_BIAS + 1 :])
    attend: Any = functional.multi_head_attention_forward
    heads, scores = attend(*unprojected, **kwargs)
    turned = attention.batch_first and heads.ndim == 3
    given = (heads.transpose(0, 1) if turned else heads,)
    for watch in watches:
        new = watch.before(projection, given, {})
        given = given if new is None else new[0]
    heads = given[0].transpose(0, 1) if turned else given[0]
    # Two axes, as torch multiplies here: other shapes may sum in another order.
    flat = functional.linear(heads.reshape(-1, heads.shape[-1]), weight, bias)
    out = flat.view(*heads.shape[:-1], flat.shape[-1])
    shown = out.transpose(0, 1) if turned else out
    for watch in watches:
        new = watch.after(projection, given, {}, shown)
        shown = shown if new is None else new
    return (shown.transpose(0, 1) if turned else shown), scores


def warn_of_fused_path(module: nn.Module, level: int) -> None:
    """Says so where a bare forward without gradients may take a fused path, which rounds in another way."""
    if torch.backends.mha.get_fastpath_enabled() and any(
        isinstance(child, _FUSED) and not child.training for child in first_names(module)
    ):
        warnings.warn(
            f"{type(module).__name__} holds torch's own attention, which without gradients may run fused; under "
            "hooks it runs unfused, equal up to rounding. For the same bits in bare forwards call "
            "torch.backends.mha.set_fastpath_enabled(False)",
            stacklevel=level,
        )
