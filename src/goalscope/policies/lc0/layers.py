"""Convolutional parts of Leela-format networks; every activation is a module, so that hooks reach it by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from goalscope.policies.lc0.moves import MOVES, convolution_map
from goalscope.worlds.chess.planes import PLANES

SQUARES = 64
MOVE_PLANES = 73
"""of a convolutional policy head, before the eighty of the files, the last seven of which stand for nothing"""
STORED_PLANES = 80


class SquaredRelu(nn.Module):
    """relu(x) squared."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return torch.relu(x).square()


ACTIVATIONS = {
    "relu": nn.ReLU, "mish": nn.Mish, "none": nn.Identity, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "selu": nn.SELU,
    "swish": nn.SiLU, "relu_2": SquaredRelu,
}  # fmt: skip


def activation(name: str) -> nn.Module:
    """A new activation module.

    Raises:
        ValueError: an unknown name.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"no activation {name!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


class SqueezeExcite(nn.Module):
    """Scales and shifts each channel by what the whole board looks like (Hu et al. 2018, with a shift)."""

    def __init__(self, channels: int, squeeze: int, act: str):
        super().__init__()
        self.dense1 = nn.Linear(channels, squeeze)
        self.act = activation(act)
        self.dense2 = nn.Linear(squeeze, 2 * channels)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, 8, 8] to the same shape."""
        # Rows of one number a square: several times faster than torch's mean over the two last axes.
        mean = x.permute(0, 2, 3, 1).flatten(1, 2).mean(1)
        scale, shift = self.dense2(self.act(self.dense1(mean))).chunk(2, 1)
        return torch.addcmul(shift[:, :, None, None], x, self.gate(scale)[:, :, None, None])


class Residual(nn.Module):
    """Two convolutions, squeeze and excitation, the skip, an activation; the output is the residual stream."""

    def __init__(self, channels: int, squeeze: int | None, act: str):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.act1 = activation(act)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.se = SqueezeExcite(channels, squeeze, act) if squeeze else nn.Identity()
        self.act2 = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, 8, 8] to the same shape."""
        return self.act2(self.se(self.conv2(self.act1(self.conv1(x)))) + x)


class ConvolutionBody(nn.Module):
    """Planes to features: `conv`, `act`, then the residual `blocks`."""

    def __init__(self, width: int, blocks: int, squeeze: int | None, act: str):
        super().__init__()
        self.conv = nn.Conv2d(PLANES, width, 3, padding=1)
        self.act = activation(act)
        self.blocks = nn.Sequential(*(Residual(width, squeeze, act) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        """[N, 112, 8, 8] to [N, C, 8, 8]."""
        return self.blocks(self.act(self.conv(x)))


class ConvolutionPolicy(nn.Module):
    """Moves as planes: one of 73 kinds of move from each square."""

    place: Tensor

    def __init__(self, channels: int, width: int, act: str):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.act = activation(act)
        self.conv2 = nn.Conv2d(width, STORED_PLANES, 3, padding=1)
        place = convolution_map()
        plane, square = place // SQUARES, place % SQUARES
        # The planes lie channels last in memory, so that way they are flattened without a copy.
        self.register_buffer("place", square * STORED_PLANES + plane, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, 8, 8] to logits [N, 1858]."""
        planes = self.conv2(self.act(self.conv1(x)))
        return planes.permute(0, 2, 3, 1).flatten(1).index_select(1, self.place)


class ClassicalPolicy(nn.Module):
    """Few channels a square, then one dense layer to all moves."""

    def __init__(self, channels: int, width: int, act: str):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 1)
        self.act = activation(act)
        self.dense = nn.Linear(width * SQUARES, MOVES)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, 8, 8] to logits [N, 1858]."""
        return self.dense(self.act(self.conv(x)).flatten(1))


class ConvolutionScalars(nn.Module):
    """Few channels a square, a hidden layer, then a few numbers: the value and moves-left heads."""

    def __init__(self, channels: int, width: int, hidden: int, outputs: int, act: str, last: nn.Module):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 1)
        self.act1 = activation(act)
        self.dense1 = nn.Linear(width * SQUARES, hidden)
        self.act2 = activation(act)
        self.dense2 = nn.Linear(hidden, outputs)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, 8, 8] to [N, outputs]."""
        hidden = self.act2(self.dense1(self.act1(self.conv(x)).flatten(1)))
        return self.last(self.dense2(hidden))
