"""One layer of a DRC at one tick, in the forms that networks of the literature have."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

RECURRENT_GAIN = 3.0
"""of the initial weights through which h reaches the gates; h is small at first, see `Cell`"""

Carry = tuple[Tensor, Tensor]
"""hidden and cell states, each [N, D, C, H, W]; [N, D, C, 1, 1] of zeros begins a level of any size"""

POOLS = ("weighted", "biased", "full", "mean", "max")
BOUNDARIES = ("edge", "ring", "none")
POOLED = ("own", "below", "none")
OUTPUTS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def one_of(what: str, word: str, known: object) -> None:
    """Raises ValueError for a word that is none of those known."""
    words = list(known)  # type: ignore[call-overload]
    if word not in words:
        raise ValueError(f"{what} must be one of {', '.join(words)}, got {word!r}")


class Pool(nn.Module):
    """Mean and maximum of each channel over the board, mixed.

    Args:
        channels: C.
        mix: "weighted" has two weights a channel, of mean and maximum; "biased" a bias besides; "full" mixes all 2C
            numbers by a matrix; "mean" and "max" take one of them as it is.
    """

    def __init__(self, channels: int, mix: str = "weighted"):
        super().__init__()
        one_of("pool", mix, POOLS)
        self.kind = mix
        if mix in ("weighted", "biased"):
            self.weight = nn.Parameter(torch.full((2, channels), 0.5))
        if mix == "biased":
            self.bias = nn.Parameter(torch.zeros(channels))
        if mix == "full":
            self.weight = nn.Parameter(torch.eye(channels).repeat(1, 2) / 2)

    def forward(self, h: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C]."""
        if self.kind == "mean":
            return h.mean((2, 3))
        if self.kind == "max":
            return h.amax((2, 3))
        if self.kind == "full":
            return functional.linear(torch.cat([h.mean((2, 3)), h.amax((2, 3))], 1), self.weight)
        mixed = self.weight[0] * h.mean((2, 3)) + self.weight[1] * h.amax((2, 3))
        return mixed + self.bias if self.kind == "biased" else mixed


class Cell(nn.Module):
    """One layer at one tick: gates from the observation, the layer below, its own past, its pooled past, the boundary.

    The gates are i (tanh), j, f and o (sigmoid): c becomes f c + i j, and h is o tanh(c). What they sum is a single
    3 x 3 convolution over all of these as planes. It is taken apart because most of it need not be redone at every
    tick: the observation and the boundary stay, and a plane of one value everywhere is a matter of its nine borders.

    Args:
        channels: C.
        output: what o goes through, "sigmoid" or "tanh".
        boundary: the squares on which the boundary's plane is 1: "edge" the outermost of the board, "ring" those around
            it, outside; "none" has no such plane.
        pooled: whose h is pooled: the layer's "own" of the last tick, that of the layer "below", or "none".
        pool: how, see `Pool`.
    """

    def __init__(
        self, channels: int, output: str = "sigmoid", boundary: str = "edge", pooled: str = "own",
        pool: str = "weighted",
    ):  # fmt: skip
        super().__init__()
        one_of("output", output, OUTPUTS)
        one_of("boundary", boundary, BOUNDARIES)
        one_of("pooled", pooled, POOLED)
        self.pooled = pooled
        self.observation = nn.Conv2d(channels, 4 * channels, 3, padding=1)
        scaled: list[tuple[Tensor, float]] = [(self.observation.weight, 1.0)]
        if boundary != "none":
            # The ring is on the padding's place: it is convolved as it is.
            padding = 1 if boundary == "edge" else 0
            self.boundary = nn.Conv2d(1, 4 * channels, 3, padding=padding, bias=False)
            scaled.append((self.boundary.weight, 0.3))
        self.recurrent = nn.Conv2d(2 * channels, 4 * channels, 3, padding=1, bias=False)
        scaled.append((self.recurrent.weight, RECURRENT_GAIN))
        if pooled != "none":
            self.pool = Pool(channels, pool)
            self.inject = nn.Parameter(torch.empty(4 * channels, channels, 3, 3))
            scaled.append((self.inject, 1.0))
        self.i, self.j, self.f, self.o = nn.Tanh(), nn.Sigmoid(), nn.Sigmoid(), OUTPUTS[output]()
        # h is small (o tanh(c) of cells that have hardly filled): unless its weights make up for that, a layer hears
        # the observation alone at first, and nothing spreads over the board.
        for weight, gain in scaled:
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
        gates = self.recurrent(torch.cat([below, h], 1)) + seen
        if self.pooled != "none":
            told = self.pool(h if self.pooled == "own" else below)
            # Every square is told the same: what a convolution makes of that differs at the borders only.
            by_tap = functional.linear(told, self.inject.permute(0, 2, 3, 1).reshape(-1, channels))
            everywhere = by_tap.view(-1, 9) @ taps.to(by_tap.dtype)
            gates = gates + everywhere.view(n, -1, height, width)
        i, j, f, o = gates.chunk(4, 1)
        c = self.f(f) * c + self.i(i) * self.j(j)
        return self.o(o) * torch.tanh(c), c
