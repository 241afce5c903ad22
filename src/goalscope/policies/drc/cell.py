"""One layer of a DRC at one tick."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

RECURRENT_GAIN = 3.0
"""of the initial weights through which h reaches the gates; h is small at first, see `Cell`"""

Carry = tuple[Tensor, Tensor]
"""hidden and cell states, each [N, D, C, H, W]; [N, D, C, 1, 1] of zeros begins a level of any size"""


class Pool(nn.Module):
    """Mean and maximum of each channel over the board, mixed with two weights a channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.full((2, channels), 0.5))

    def forward(self, h: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C]."""
        return self.weight[0] * h.mean((2, 3)) + self.weight[1] * h.amax((2, 3))


class Cell(nn.Module):
    """One layer at one tick: gates from the observation, the layer below, its own past, its pooled past, the boundary.

    The gates are i (tanh), j, f and o (sigmoid): c becomes f c + i j, and h is o tanh(c). What they sum is a single
    3 x 3 convolution over all of these as planes. It is taken apart because most of it need not be redone at every
    tick: the observation and the boundary stay, and a plane of one value everywhere is a matter of its nine borders.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.observation = nn.Conv2d(channels, 4 * channels, 3, padding=1)
        self.boundary = nn.Conv2d(1, 4 * channels, 3, padding=1, bias=False)
        self.recurrent = nn.Conv2d(2 * channels, 4 * channels, 3, padding=1, bias=False)
        self.pool = Pool(channels)
        self.inject = nn.Parameter(torch.empty(4 * channels, channels, 3, 3))
        # h is small (o tanh(c) of cells that have hardly filled): unless its weights make up for that, a layer hears
        # the observation alone at first, and nothing spreads over the board.
        for weight, gain in (
            (self.observation.weight, 1.0), (self.boundary.weight, 0.3), (self.recurrent.weight, RECURRENT_GAIN),
            (self.inject, 1.0),
        ):  # fmt: skip
            nn.init.normal_(weight, std=gain * (9 * weight.shape[1]) ** -0.5)
        nn.init.zeros_(self.observation.bias)  # type: ignore[arg-type]
        # Forget gates begin mostly open: what a step writes lasts for several steps.
        nn.init.ones_(self.observation.bias[2 * channels : 3 * channels])  # type: ignore[index]

    def forward(self, seen: Tensor, below: Tensor, h: Tensor, c: Tensor, taps: Tensor) -> Carry:
        """One tick.

        Args:
            seen: [N, 4C, H, W], what observation and boundary add to the gates.
            below: [N, C, H, W] h of the layer below at this tick (of the top layer at the last, for the first).
            h: [N, C, H, W] own hidden state of the last tick.
            c: [N, C, H, W] own cell state of the last tick.
            taps: [9, HW] from `_taps`.

        Returns:
            The new h and c.
        """
        n, channels, height, width = h.shape
        pooled = functional.linear(self.pool(h), self.inject.permute(0, 2, 3, 1).reshape(-1, channels))
        everywhere = pooled.view(-1, 9) @ taps.to(pooled.dtype)
        gates = self.recurrent(torch.cat([below, h], 1)) + seen + everywhere.view(n, -1, height, width)
        i, j, f, o = gates.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.tanh(i) * torch.sigmoid(j)
        return torch.sigmoid(o) * torch.tanh(c), c
