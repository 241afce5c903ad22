"""DRC(D, N): a recurrent policy of D convolutional LSTM layers that ticks N times for each step of the world.

Architecture: after Guez et al. 2019, "An Investigation of Model-Free Planning", section 3 and appendix. The defaults are
those of the packaged policies; which arguments make the published networks is said in `policies/learned_planner/`
(Taufeeque et al. 2024) and `policies/emergent_planning/` (Bush et al. 2025), which read their files.

A site is a module's output; a cell runs once a tick, so `core.cells.0@2` is the hidden state h of the first layer
after the third tick of a forward, and `core.cells.0:out.1@2` its cell state c; `core.cells.0:in.2@2` and `:in.3@2` are
those that it began with, `:in.1@2` is h of the layer below. `core.cells.0.i`, `.j`, `.f` and `.o` are its gates, after
what they go through. `core.encoder` is the encoded observation, which every layer sees at every tick;
`core.cells.0.pool` is what a layer tells all of its squares.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, fx, nn

from goalscope.policies.drc.cell import Carry, Cell, one_of
from goalscope.policies.drc.head import board_head, encode_board

ENCODERS = ("relu", "relu between", "linear")
SKIPS = ("none", "add", "concatenate")


class RecurrentOutput(NamedTuple):
    """What a recurrent policy's forward returns."""

    logits: Tensor
    """[N, A]: unnormalised log-probabilities of the actions"""
    value: Tensor
    """[N]: estimated discounted return"""
    carry: Carry
    """what the policy remembers, to be given back at the next step"""


def _taps(height: int, width: int, like: Tensor) -> Tensor:
    """[9, HW]: 1 where that tap of a 3 x 3 kernel falls on the board and not on the padding around it."""
    rows, columns = (torch.ones(3, side, device=like.device) for side in (height, width))
    for taps in (rows, columns):
        taps[0, 0] = taps[2, -1] = 0
    return (rows[:, None, :, None] * columns[None, :, None, :]).reshape(9, height * width)


def _edge(height: int, width: int, like: Tensor) -> Tensor:
    """[1, 1, H, W]: 1 on the squares at the boundary of the board, 0 within."""
    edge = torch.ones(1, 1, height, width, dtype=like.dtype, device=like.device)
    edge[..., 1:-1, 1:-1] = 0
    return edge


# Both write into tensors, which a traced forward cannot: they are one operation of its graph each.
fx.wrap("_taps")
fx.wrap("_edge")


class Core(nn.Module):
    """Encoder and ticking layers: planes and carry in, carry out.

    Args:
        layers, ticks, channels, planes, kernel, convolutions, encoder, residual: as of `DRC`.
        feeds_sum: whether a residual sum is also the top layer's h.
        boundary: as of `Cell`.
        forms: further arguments of every `Cell`.
    """

    def __init__(
        self, layers: int, ticks: int, channels: int, planes: int, kernel: int, convolutions: int = 2,
        encoder: str = "relu", residual: bool = False, feeds_sum: bool = True, boundary: str = "edge", **forms: str,
    ):  # fmt: skip
        super().__init__()
        one_of("encoder", encoder, ENCODERS)
        self.ticks, self.residual, self.boundary = ticks, residual, boundary
        self.feeds_sum = feeds_sum
        # An even kernel has no middle: one square more is seen to the right and below.
        before, after = (kernel - 1) // 2, kernel // 2
        parts: list[nn.Module] = []
        for k in range(convolutions):
            pad = nn.ZeroPad2d((before, after, before, after))
            parts += [pad, nn.Conv2d(channels if k else planes, channels, kernel)]
            if encoder == "relu" or (encoder == "relu between" and k + 1 < convolutions):
                parts.append(nn.ReLU())
        self.encoder = nn.Sequential(*parts)
        for layer in self.encoder:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.cells = nn.ModuleList(Cell(channels, boundary=boundary, **forms) for _ in range(layers))

    def forward(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry, Tensor]:
        """[N, planes, H, W] and the carry to the top layer's h, the carry after all ticks, and what was encoded."""
        height, width = x.shape[2:]
        encoded = self.encoder(x)
        taps = _taps(height, width, x)
        cells: Any = self.cells
        seen = [cell.observation(encoded) for cell in cells]
        if self.boundary != "none":
            around = 0 if self.boundary == "edge" else 2
            edge = _edge(height + around, width + around, x)
            seen = [gates + cell.boundary(edge) for cell, gates in zip(cells, seen, strict=True)]
        by_layer = (part.expand(-1, -1, -1, height, width).unbind(1) for part in carry)
        # One by one: what is traced does not know how many it holds.
        hidden, memory = ([part[d] for d in range(len(cells))] for part in by_layer)
        for _ in range(self.ticks):
            below = hidden[-1]
            for d, cell in enumerate(cells):
                hidden[d], memory[d] = cell(seen[d], below, hidden[d], memory[d], taps)
                below = below + hidden[d] if self.residual else hidden[d]
            if self.residual and self.feeds_sum:
                hidden[-1] = below
        return hidden[-1], (torch.stack(hidden, 1), torch.stack(memory, 1)), encoded


class DRC(nn.Module):
    """Policy and value of a Sokoban level, with a memory.

    Args:
        layers: D.
        ticks: N, the times that all layers run for one step of the world.
        channels: of every layer.
        planes: of an observation: 4 symbolic ones, 3 for pixels, or 7 of one kind of square each.
        size: side of the boards, which the head flattens; None is any size, with a head that reads the features at
            the player, their mean and their maximum.
        hidden: size of the vector that policy and value read.
        kernel: side of the encoder's convolutions.
        actions: number of actions.
        convolutions: how many the encoder has.
        encoder: "relu" after each of them, "relu between" them, or "linear".
        output, boundary, pooled, pool: of every layer, see `Cell`.
        skip: how the head sees the encoded observation beside h of the top layer: "none", "add" or "concatenate".
        residual: whether a layer is handed the sum of all below it; with no skip that sum is also the top layer's h.

    Raises:
        ValueError: no size, and other planes than a Sokoban world's four, or a word that is none of these.
    """

    def __init__(
        self, layers: int = 3, ticks: int = 3, channels: int = 32, planes: int = 4, size: int | None = None,
        hidden: int = 256, kernel: int = 3, actions: int = 4, convolutions: int = 2, encoder: str = "relu",
        output: str = "sigmoid", boundary: str = "edge", pooled: str = "own", pool: str = "weighted",
        skip: str = "none", residual: bool = False,
    ):  # fmt: skip
        super().__init__()
        one_of("skip", skip, SKIPS)
        self.layers, self.ticks, self.channels, self.planes, self.size = layers, ticks, channels, planes, size
        self.skip = skip
        self.core = Core(
            layers, ticks, channels, planes, kernel, convolutions, encoder, residual, skip == "none", boundary,
            output=output, pooled=pooled, pool=pool,
        )  # fmt: skip
        read = 2 * channels if skip == "concatenate" else channels
        self.head = board_head(read, planes, size, hidden, actions)

    def initial_carry(self, n: int) -> Carry:
        """The memory of n levels that begin: zeros [n, D, C, 1, 1], which spread over boards of any size."""
        zeros = torch.zeros(n, self.layers, self.channels, 1, 1, device=self._weight().device)
        return zeros, zeros

    def _weight(self) -> Tensor:
        return self.core.cells[0].observation.weight  # type: ignore[return-value, union-attr]

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, planes, H, W] uint8 to float32 on the policy's device; see `encode_board`."""
        return encode_board(observations, self.planes, self.size, self._weight().device)

    def forward(self, x: Tensor, carry: Carry) -> RecurrentOutput:
        """[N, planes, H, W] float and the carry to logits [N, A], value [N] and the next carry."""
        features, carry, encoded = self.core(x, carry)
        if self.skip == "add":
            features = features + encoded
        elif self.skip == "concatenate":
            features = torch.cat([encoded, features], 1)
        logits, value = self.head(features, x)
        return RecurrentOutput(logits, value, carry)


def think(policy: Any, x: Tensor, steps: int, carry: Carry | None = None) -> Carry | None:
    """What a policy remembers after it has looked at the same observation `steps` times without acting.

    Args:
        policy: with `initial_carry`; one without remembers nothing.
        x: [N, planes, H, W] from `policy.encode`.
        steps: how often it looks; 0 changes nothing.
        carry: what it remembers so far; None is the beginning of a level.

    Returns:
        The carry, or None for a policy without memory.

    Raises:
        ValueError: a negative number of steps.
    """
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, got {steps}")
    if not hasattr(policy, "initial_carry"):
        return None
    carry = policy.initial_carry(len(x)) if carry is None else carry
    for _ in range(steps):
        carry = policy(x, carry)[2]
    return carry
