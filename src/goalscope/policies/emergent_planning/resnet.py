"""The residual network that Bush et al. 2025 compare their recurrent one with.

Batch norms are folded into the convolutions before them. Sites: `encoder`, which has no activation; `blocks.B` is the
stream after block B (after its relu), `blocks.B.relu1` the activation inside it.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from goalscope.policies import PolicyOutput
from goalscope.policies.drc.head import board_head, encode_board


class Block(nn.Module):
    """relu(x + conv(relu(conv(x))))."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same shape."""
        return self.relu2(self.conv2(self.relu1(self.conv1(x))) + x)


class EmergentResNet(nn.Module):
    """Policy and value of a Sokoban level, from what is seen now.

    Args:
        blocks: number of residual blocks.
        channels: width of the residual stream.
        planes: of an observation.
        size: side of the boards that it sees, without the outer ring of walls.
        hidden: size of the vector that policy and value read.
        actions: number of actions; nothing is the first.
    """

    def __init__(
        self,
        blocks: int = 24,
        channels: int = 32,
        planes: int = 7,
        size: int = 8,
        hidden: int = 256,
        actions: int = 5,
    ):
        super().__init__()
        self.planes, self.size = planes, size
        self.encoder = nn.Conv2d(planes, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(blocks)))
        self.head = board_head(channels, planes, size, hidden, actions)

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, planes, H, W] uint8 to float32 on the policy's device; see `encode_board`."""
        return encode_board(observations, self.planes, self.size, self.encoder.weight.device)

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, planes, H, W] float to logits [N, A] and value [N]."""
        return self.head(self.blocks(self.encoder(x)), x)
