"""The loss of many copies of a module at once, as a function of one row of numbers each.

All parameters of a chain lie in one row of a matrix [C, P], so an update of all chains is a few operations on one tensor.
The gradients of all chains come from one vmapped forward and backward, which is traced once and then runs without the
bookkeeping of torch.func: for small networks that takes most of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from goalscope.activations.hooks import sample_count
from goalscope.activations.inputs import Inputs, as_inputs, explained

Loss = Callable[..., Tensor]
"""(what the module gives for N samples, their targets) -> [N] loss of each; without targets only the first"""
LEAST_SAMPLES, _ROWS = 100, 1024


class Potential:
    """The mean loss over some samples of a module, in many places of its parameters at once.

    Args:
        module: any module; its parameters are not changed. It runs as it is: call `eval()` first.
        loss: the loss of each sample.
        inputs: what the module takes, N samples on axis 0 of each tensor.
        targets: a tensor with N on axis 0, or None.

    Raises:
        ValueError: fewer than 100 samples, no parameters, targets of another length, a loss that does not give one finite
            number a sample.
    """

    def __init__(self, module: nn.Module, loss: Loss, inputs: Inputs, targets: Tensor | None):
        arguments = as_inputs(inputs, module)
        if not all(isinstance(x, Tensor) for x in arguments):
            raise ValueError(
                "every argument of the module must be a tensor or an array with one row a sample"
            )
        self.count = sample_count(arguments)
        if self.count < LEAST_SAMPLES:
            raise ValueError(
                f"a learning coefficient needs at least {LEAST_SAMPLES} samples (β = 1 / log n means nothing with few), "
                f"got {self.count}"
            )
        self._module, self._loss = module, loss
        self._named = {name: p.detach() for name, p in module.named_parameters() if p.is_floating_point()}
        if not self._named:
            raise ValueError(f"{type(module).__name__} has no parameters, so it has no learning coefficient")
        if targets is not None and (not isinstance(targets, Tensor) or len(targets) != self.count):
            got = list(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
            raise ValueError(f"targets must be a tensor with one row a sample, {self.count}; got {got}")
        self._data = (*arguments, *(() if targets is None else (targets,)))
        self._arguments = len(arguments)
        self._sizes = [p.numel() for p in self._named.values()]
        self.start = torch.cat([p.reshape(-1) for p in self._named.values()])
        """[P] the parameters as they are, w*"""
        self._traced: dict[tuple[int, ...], Callable[..., Any]] = {}
        self.start_losses = self._at_start()
        """[N] loss of each sample at w*"""

    def gradient(self, places: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean loss and its gradient.

        Args:
            places: [C, P] parameters of each chain.
            rows: [C, B] samples of each chain; None for all samples.

        Returns:
            [C] loss, and [C, P] gradient.
        """
        data = self._data if rows is None else tuple(x[rows] for x in self._data)
        key = (len(places), 0 if rows is None else rows.shape[1])
        if key not in self._traced:
            over = (0, *([None if rows is None else 0] * len(data)))
            self._traced[key] = make_fx(vmap(grad_and_value(self._mean), in_dims=over))(places, *data)
        gradient, value = self._traced[key](places, *data)
        return value, gradient

    def start_loss(self, rows: Tensor | None) -> Tensor:
        """[C] mean loss at w* of the rows [C, B], or [] of all samples."""
        return self.start_losses.mean() if rows is None else self.start_losses[rows].mean(1)

    def _mean(self, place: Tensor, *data: Tensor) -> Tensor:
        return self._losses(place, *data).mean()

    def _losses(self, place: Tensor, *data: Tensor) -> Tensor:
        pieces = zip(self._named.items(), place.split(self._sizes), strict=True)
        named = {name: piece.view(p.shape) for (name, p), piece in pieces}
        output = functional_call(self._module, named, data[: self._arguments])
        return self._loss(output, *data[self._arguments :])

    @torch.no_grad()
    def _at_start(self) -> Tensor:
        parts = []
        for first in range(0, self.count, _ROWS):
            cut = tuple(x[first : first + _ROWS] for x in self._data)
            with explained(self._module, cut[: self._arguments]):
                found = self._losses(self.start, *cut)
            if not isinstance(found, Tensor) or found.shape != (len(cut[0]),):
                got = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
                raise ValueError(f"the loss must give one number a sample, [{len(cut[0])}]; got {got}")
            parts.append(found)
        losses = torch.cat(parts)
        wrong = (~losses.isfinite()).nonzero()
        if len(wrong):
            raise ValueError(
                f"the loss of sample {int(wrong[0])} is not finite at the parameters as they are "
                f"({len(wrong)} of {self.count} samples): look at the data"
            )
        return losses
