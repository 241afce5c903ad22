"""DRC(D, N): a recurrent policy of D convolutional LSTM layers that ticks N times for each step of the world.

Architecture: after Guez et al. 2019, "An Investigation of Model-Free Planning", section 3 and appendix; the boundary
plane, the pooling weights and the sizes are after Taufeeque et al. 2024, "Planning in a recurrent neural network that
plays Sokoban". `DRC(3, 3, 32, planes=3, size=10, hidden=256, kernel=4)` has as many parameters as their network,
1,285,125, one for one, but is *not the same function*, and their weights are not to be put into it. It differs in seven
things:

1. The encoder has a ReLU after each of its two convolutions; theirs has none.
2. h is sigmoid(o) tanh(c); theirs is tanh(o) tanh(c).
3. The boundary plane is 1 on the outermost squares of the board, zeros around it; theirs is 1 on a ring of squares
   outside the board.
4. The head reads h of the top layer; theirs reads h plus the encoded observation.
5. The head flattens channels, rows, columns; theirs rows, columns, channels.
6. The pool's two weights are of mean and maximum; theirs of maximum and mean.
7. With `size=None` the head reads the player's square, means and maxima; theirs has no such head.

A site is a module's output; a cell runs once a tick, so `core.cells.0@2` is the hidden state h of the first layer
after the third tick of a forward, and `core.cells.0:out.1@2` its cell state c. `core.encoder` is the encoded
observation, which every layer sees at every tick; `core.cells.0.pool` is what a layer tells all of its squares.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, fx, nn

from goalscope.policies.drc.cell import Carry, Cell
from goalscope.policies.drc.head import board_head, encode_board


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
    """Encoder and ticking layers: planes and carry in, carry out."""

    def __init__(self, layers: int, ticks: int, channels: int, planes: int, kernel: int):
        super().__init__()
        self.ticks = ticks
        # An even kernel has no middle: one square more is seen to the right and below.
        before, after = (kernel - 1) // 2, kernel // 2
        pad = (before, after, before, after)
        self.encoder = nn.Sequential(
            nn.ZeroPad2d(pad), nn.Conv2d(planes, channels, kernel), nn.ReLU(),
            nn.ZeroPad2d(pad), nn.Conv2d(channels, channels, kernel), nn.ReLU(),
        )  # fmt: skip
        for layer in self.encoder:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.cells = nn.ModuleList(Cell(channels) for _ in range(layers))

    def forward(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """[N, planes, H, W] and the carry to the top layer's h [N, C, H, W] and the carry after all ticks."""
        height, width = x.shape[2:]
        encoded = self.encoder(x)
        edge, taps = _edge(height, width, x), _taps(height, width, x)
        cells: Any = self.cells
        seen = [cell.observation(encoded) + cell.boundary(edge) for cell in cells]
        by_layer = (part.expand(-1, -1, -1, height, width).unbind(1) for part in carry)
        # One by one: what is traced does not know how many it holds.
        hidden, memory = ([part[d] for d in range(len(cells))] for part in by_layer)
        for _ in range(self.ticks):
            for d, cell in enumerate(cells):
                hidden[d], memory[d] = cell(seen[d], hidden[d - 1], hidden[d], memory[d], taps)
        return hidden[-1], (torch.stack(hidden, 1), torch.stack(memory, 1))


class DRC(nn.Module):
    """Policy and value of a Sokoban level, with a memory.

    Args:
        layers: D.
        ticks: N, the times that all layers run for one step of the world.
        channels: of every layer.
        planes: of an observation: 4 symbolic ones, or 3 for pixels.
        size: side of the boards, which the head flattens; None is any size, with a head that reads the features at
            the player, their mean and their maximum.
        hidden: size of the vector that policy and value read.
        kernel: side of the encoder's two convolutions.
        actions: number of actions.

    Raises:
        ValueError: no size, and other planes than a Sokoban world's four.
    """

    def __init__(
        self, layers: int = 3, ticks: int = 3, channels: int = 32, planes: int = 4, size: int | None = None,
        hidden: int = 256, kernel: int = 3, actions: int = 4,
    ):  # fmt: skip
        super().__init__()
        self.layers, self.ticks, self.channels, self.planes, self.size = layers, ticks, channels, planes, size
        self.core = Core(layers, ticks, channels, planes, kernel)
        self.head = board_head(channels, planes, size, hidden, actions)

    def initial_carry(self, n: int) -> Carry:
        """The memory of n levels that begin: zeros [n, D, C, 1, 1], which spread over boards of any size."""
        zeros = torch.zeros(n, self.layers, self.channels, 1, 1, device=self.core.cells[0].inject.device)  # type: ignore[arg-type]
        return zeros, zeros

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, planes, H, W] uint8 to float32 on the policy's device; see `encode_board`."""
        return encode_board(observations, self.planes, self.size, self.core.cells[0].inject.device)  # type: ignore[arg-type]

    def forward(self, x: Tensor, carry: Carry) -> RecurrentOutput:
        """[N, planes, H, W] float and the carry to logits [N, A], value [N] and the next carry."""
        features, carry = self.core(x, carry)
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
