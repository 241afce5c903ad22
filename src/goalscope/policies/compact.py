"""A small convolutional policy on symbolic maze planes, for any W.

A strided stem turns the W x W planes into a grid of one cell per 2 x 2 squares; residual blocks spread what is known
along the corridors; the head sees the mean, the maximum and the features of the cell that the mouse is in.
Every post-relu activation is a named module, and so is every residual sum.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput


class Residual(nn.Module):
    """relu - conv - relu - conv, added to the input; the module's output is the residual stream after the block."""

    def __init__(self, channels: int):
        super().__init__()
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, h, w] to the same shape."""
        return x + self.conv2(self.relu2(self.conv1(self.relu1(x))))


class Compact(nn.Module):
    """Policy and value from planes of walls, mouse and cheese.

    Args:
        size: W, odd; observations are [N, 3, W, W] with one mouse each.
        channels: width of the residual stream.
        blocks: number of residual blocks.
        actions: number of actions.
    """

    def __init__(self, size: int = 13, channels: int = 32, blocks: int = 4, actions: int = 5):
        super().__init__()
        self.size = size
        self.stem = nn.Conv2d(3, channels, 5, stride=2, padding=2)
        self.blocks = nn.Sequential(*(Residual(channels) for _ in range(blocks)))
        self.relu = nn.ReLU()
        self.mouse_cell = nn.MaxPool2d(2, ceil_mode=True)
        self.hidden = nn.Linear(3 * channels, 2 * channels)
        self.hidden_relu = nn.ReLU()
        self.policy_head = nn.Linear(2 * channels, actions)
        self.value_head = nn.Linear(2 * channels, 1)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.orthogonal_(layer.weight, 2**0.5)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        # Blocks begin near the identity, the policy near uniform: PPO's first updates then go where rewards point.
        for block in self.blocks:
            nn.init.orthogonal_(block.conv2.weight, 0.5)  # type: ignore[union-attr, arg-type]
        nn.init.orthogonal_(self.policy_head.weight, 0.01)
        nn.init.orthogonal_(self.value_head.weight, 1.0)

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, 3, W, W] uint8 planes to float32 on the policy's device."""
        if observations.shape[1:] != (3, self.size, self.size):
            raise ValueError(
                f"this policy takes observations [N, 3, {self.size}, {self.size}], got {list(observations.shape)}"
            )
        planes = torch.from_numpy(np.ascontiguousarray(observations)).to(self.stem.weight.device)
        return planes.float()

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, 3, W, W] float planes to logits [N, A] and value [N] (in units of a tenth of the world's reward)."""
        features = self.relu(self.blocks(self.stem(x)))
        mouse = self.mouse_cell(x[:, 1:2])
        at_mouse = (features * mouse).sum((2, 3))
        summary = torch.cat([features.mean((2, 3)), features.amax((2, 3)), at_mouse], 1)
        hidden = self.hidden_relu(self.hidden(summary))
        return PolicyOutput(self.policy_head(hidden), self.value_head(hidden).squeeze(1))
