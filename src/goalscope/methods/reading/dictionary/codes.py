"""The codes of a batch with their gradients: k latents a row are chosen, and only those are computed with.

A row of a TopK dictionary has k of m latents, so of six products of a training step all but one, which finds the k, are
sums of k rows in place of m: they are done as bags of embeddings.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function


class _Chosen(Function):
    """The k greatest pre-activations of each row; gradients reach only their latents."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, encoder: Tensor, shift: Tensor, k: int) -> tuple:
        """See `chosen`."""
        inner = x - bias
        values, index = torch.addmm(shift, inner, encoder.T).topk(k, dim=1)
        ctx.save_for_backward(inner, index, encoder)
        ctx.mark_non_differentiable(index)
        return values, index

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple:
        """Of bias, encoder and shift."""
        inner, index, encoder = ctx.saved_tensors
        values, flat = grads[0].reshape(-1), index.reshape(-1)
        counts = torch.bincount(flat, minlength=len(encoder))
        order = flat.argsort(stable=True)
        starts = counts.cumsum(0) - counts
        rows = order // index.shape[1]
        of_encoder = F.embedding_bag(rows, inner, starts, per_sample_weights=values[order], mode="sum")
        of_shift = values.new_zeros(len(encoder)).index_add_(0, flat, values)
        return None, -(of_shift @ encoder), of_encoder, of_shift, None


def chosen(x: Tensor, bias: Tensor, encoder: Tensor, shift: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """([n, k] values, [n, k] latents): the k greatest of (x - bias) encoderᵀ + shift, the greatest first.

    Args:
        x: [n, d]. bias: [d]. encoder: [m, d]. shift: [m].
        k: how many.
    """
    return _Chosen.apply(x, bias, encoder, shift, k)  # type: ignore[return-value]


def decoded(values: Tensor, index: Tensor, decoder: Tensor) -> Tensor:
    """[n, d] the sum of each row's k decoder rows, weighted by its values."""
    return F.embedding_bag(index.contiguous(), decoder, per_sample_weights=values.contiguous(), mode="sum")


class _Jump(Function):
    """pre where it exceeds θ, else 0; θ's gradient by a rectangular kernel (Rajamanoharan et al. 2024, equation 11)."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, theta: Tensor, width: float) -> Tensor:
        """See `jumped`."""
        ctx.save_for_backward(pre, theta)
        ctx.width = width
        return pre * (pre > theta)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple:
        """Of pre and theta."""
        pre, theta = ctx.saved_tensors
        near = ((pre - theta).abs() < ctx.width / 2) / ctx.width
        return grads[0] * (pre > theta), -(theta * near * grads[0]).sum(0), None


class _Step(Function):
    """1 where pre exceeds θ; θ's gradient by the same kernel (equation 12)."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, theta: Tensor, width: float) -> Tensor:
        """See `jumped`."""
        ctx.save_for_backward(pre, theta)
        ctx.width = width
        return (pre > theta).to(pre.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple:
        """Of theta alone."""
        pre, theta = ctx.saved_tensors
        near = ((pre - theta).abs() < ctx.width / 2) / ctx.width
        return None, -(near * grads[0]).sum(0), None


def jumped(pre: Tensor, theta: Tensor, width: float) -> tuple[Tensor, Tensor]:
    """([n, m] latents, [n] how many of them are active), both with a gradient for θ.

    Args:
        pre: [n, m] pre-activations. theta: [m] thresholds, positive.
        width: of the kernel.
    """
    positive = pre.clamp(min=0)
    return _Jump.apply(positive, theta, width), _Step.apply(positive, theta, width).sum(1)  # type: ignore[return-value]
