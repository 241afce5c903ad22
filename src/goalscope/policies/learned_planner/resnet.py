"""The residual network that Taufeeque et al. 2024 compare their recurrent one with, after Guez et al. 2019.

A sequence is a convolution and two blocks of one convolution each; nothing is normed or pooled. Sites: `sequences.S`
is the stream after sequence S, `sequences.S.conv` the one that enters its blocks, `sequences.S.block1` and `.block2`
the stream after each add, `.relu` what a block's convolution reads; `relu` and `hidden_relu` before the heads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from goalscope.policies import PolicyOutput
from goalscope.policies.drc.head import board_head, encode_board


def same_padded(inputs: int, outputs: int, kernel: int) -> nn.Module:
    """A convolution whose output is as large as its input; an even kernel sees one square more right and below."""
    before, after = (kernel - 1) // 2, kernel // 2
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(inputs, outputs, kernel))


class Block(nn.Module):
    """x + conv(relu(x))."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.relu = nn.ReLU()
        self.conv = same_padded(channels, channels, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same shape."""
        return x + self.conv(self.relu(x))


class ConvolutionSequence(nn.Module):
    """A convolution that sets the width, and two blocks."""

    def __init__(self, inputs: int, channels: int, kernel: int):
        super().__init__()
        self.conv = same_padded(inputs, channels, kernel)
        self.block1 = Block(channels, kernel)
        self.block2 = Block(channels, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, channels, H, W]."""
        return self.block2(self.block1(self.conv(x)))


class GuezResNet(nn.Module):
    """Policy and value of a Sokoban level, from what is seen now.

    Args:
        channels: of each sequence.
        kernels: sides of the convolutions of each sequence.
        planes: of an observation: 4 symbolic ones, or 3 for pixels.
        size: side of the boards.
        hidden: size of the vector that policy and value read.
        actions: number of actions.

    Raises:
        ValueError: not as many kernels as channels.
    """

    def __init__(
        self, channels: Sequence[int] = (32, 32, 64, 64, 64, 64, 64, 64, 64), kernels: Sequence[int] = (4,) * 9,
        planes: int = 3, size: int = 10, hidden: int = 256, actions: int = 4,
    ):  # fmt: skip
        super().__init__()
        if len(channels) != len(kernels) or not channels:
            raise ValueError(
                f"each sequence has channels and a kernel, got {list(channels)} and {list(kernels)}"
            )
        self.planes, self.size = planes, size
        inputs = [planes, *channels[:-1]]
        self.sequences = nn.Sequential(
            *(ConvolutionSequence(*sizes) for sizes in zip(inputs, channels, kernels, strict=True))
        )
        self.relu = nn.ReLU()
        self.head = board_head(channels[-1], planes, size, hidden, actions)

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, planes, H, W] uint8 to float32 on the policy's device; see `encode_board`."""
        return encode_board(observations, self.planes, self.size, next(self.parameters()).device)

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, planes, H, W] float to logits [N, A] and value [N]."""
        return self.head(self.relu(self.sequences(x)), x)
