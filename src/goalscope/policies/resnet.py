"""A residual network on Sokoban boards: what a policy without memory can do with as many parameters as a DRC.

Every post-relu activation is a named module, and so is every residual sum (`blocks.0`, `blocks.1`, ...).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput
from goalscope.policies.compact import Residual
from goalscope.policies.drc.head import board_head, encode_board


class ResNet(nn.Module):
    """Policy and value of a Sokoban level, from what is seen now.

    Args:
        blocks: number of residual blocks.
        channels: width of the residual stream.
        planes: of an observation: 4 symbolic ones, or 3 for pixels.
        size: side of the boards, which the head flattens; None is any size, with a head that reads the features at
            the player, their mean and their maximum.
        hidden: size of the vector that policy and value read.
        actions: number of actions.

    Raises:
        ValueError: no size, and other planes than a Sokoban world's four.
    """

    def __init__(
        self, blocks: int = 8, channels: int = 32, planes: int = 4, size: int | None = None, hidden: int = 256,
        actions: int = 4,
    ):  # fmt: skip
        super().__init__()
        self.planes, self.size = planes, size
        self.stem = nn.Conv2d(planes, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(Residual(channels) for _ in range(blocks)))
        self.relu = nn.ReLU()
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.orthogonal_(layer.weight, 2**0.5)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        # Blocks begin near the identity, as in `Compact`.
        for block in self.blocks:
            nn.init.orthogonal_(block.conv2.weight, 0.5)  # type: ignore[union-attr, arg-type]
        self.head = board_head(channels, planes, size, hidden, actions)

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, planes, H, W] uint8 to float32 on the policy's device; see `encode_board`."""
        return encode_board(observations, self.planes, self.size, self.stem.weight.device)

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, planes, H, W] float to logits [N, A] and value [N]."""
        return self.head(self.relu(self.blocks(self.stem(x))), x)


def parameters(module: nn.Module) -> int:
    """How many numbers a network has learnt."""
    return sum(p.numel() for p in module.parameters())


def as_large_as(size: int, blocks: int, planes: int = 4, **arguments: int) -> int:
    """The number of channels with which a residual network comes closest to `size` parameters.

    Args:
        size: number of parameters to come close to, such as those of a DRC.
        blocks: of the residual network.
        planes: of an observation.
        arguments: further ones of `ResNet`.
    """
    with torch.device("meta"):
        return min(
            range(4, 257), key=lambda c: abs(parameters(ResNet(blocks, c, planes, **arguments)) - size)
        )
