"""The residual network (version 2) that pgx trains by AlphaZero, as Ludax has it for Reversi.

Planes: the mover's stones, the other's. The residual stream is the output of `first` and of each `blocks.K`; post-relu
activations are `blocks.K.relu1`, `.relu2`, `relu`, `policy_relu`, `value_relu`, `value_hidden_relu`.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from goalscope.policies import PolicyOutput
from goalscope.policies.games.gomoku import planes_of


class Block(nn.Module):
    """Norm - relu - conv - norm - relu - conv, added to the input."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1, self.relu1 = nn.BatchNorm2d(channels), nn.ReLU()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2, self.relu2 = nn.BatchNorm2d(channels), nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] to the same shape."""
        return x + self.conv2(self.relu2(self.norm2(self.conv1(self.relu1(self.norm1(x))))))


class AzNet(nn.Module):
    """Policy and value of a square board.

    Args:
        side: of the board.
        planes: of the observations.
        channels: of the residual stream.
        blocks: number of residual blocks.
        actions: number of moves; Reversi has one a square and passing.
    """

    def __init__(
        self, side: int = 8, planes: int = 2, channels: int = 64, blocks: int = 4, actions: int = 65
    ):
        super().__init__()
        self.shape = (planes, side, side)
        self.first = nn.Conv2d(planes, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(blocks)))
        self.norm, self.relu = nn.BatchNorm2d(channels), nn.ReLU()
        self.policy_conv, self.policy_norm, self.policy_relu = (
            nn.Conv2d(channels, 2, 1),
            nn.BatchNorm2d(2),
            nn.ReLU(),
        )
        self.policy = nn.Linear(2 * side * side, actions)
        self.value_conv, self.value_norm, self.value_relu = (
            nn.Conv2d(channels, 1, 1),
            nn.BatchNorm2d(1),
            nn.ReLU(),
        )
        self.value_hidden, self.value_hidden_relu = nn.Linear(side * side, channels), nn.ReLU()
        self.value, self.value_tanh = nn.Linear(channels, 1), nn.Tanh()

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, planes, side, side] to float32 on the policy's device."""
        return planes_of(self, observations, self.shape)

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, planes, side, side] to logits [N, moves], legal or not, and the mover's value [N] in -1..1."""
        features = self.relu(self.norm(self.blocks(self.first(x))))
        policy = self.policy_relu(self.policy_norm(self.policy_conv(features)))
        # Haiku flattens with the channels last.
        logits = self.policy(policy.permute(0, 2, 3, 1).flatten(1))
        value = self.value_relu(self.value_norm(self.value_conv(features))).flatten(1)
        value = self.value_tanh(self.value(self.value_hidden_relu(self.value_hidden(value))))
        return PolicyOutput(logits, value.squeeze(1))
