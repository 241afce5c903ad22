"""The IMPALA network of Procgen agents, without memory; every post-relu activation and residual sum a named module.

Architecture: Espeholt et al. 2018, "IMPALA", figure 3 (the large network, without the LSTM), as trained on
Procgen by Cobbe et al. 2020; layer names are those of the public PyTorch checkpoints.

A site is a module's output:

* `embedder.blockB.pool`: the residual stream that enters the two residual blocks of block B;
* `embedder.blockB.resR.relu1`, `.relu2`: post-relu activations inside residual block R;
* `embedder.blockB.resR`: the residual stream after the add of residual block R, so the first residual add of
  block 2 is `embedder.block2.res1`, and `embedder.blockB.res2` is also the output of block B;
* `embedder.relu`, `embedder.flatten`: the last feature map after its relu, and as a vector;
* `embedder.relu_fc`: the hidden vector that policy (`fc_policy`) and value (`fc_value`) read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput

SIDE = 64
"""pixels; observations are [N, 3, 64, 64]"""


class Residual(nn.Module):
    """relu - conv - relu - conv, added to the input; the output is the residual stream after the add."""

    def __init__(self, channels: int):
        super().__init__()
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, h, w] to the same shape."""
        return self.conv2(self.relu2(self.conv1(self.relu1(x)))) + x


class Block(nn.Module):
    """Convolution, max-pool that halves the side, two residual blocks."""

    def __init__(self, inputs: int, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, channels, 3, padding=1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.res1 = Residual(channels)
        self.res2 = Residual(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, h, w] to [N, channels, h / 2, w / 2]."""
        return self.res2(self.res1(self.pool(self.conv(x))))


class Embedder(nn.Module):
    """Pixels to the hidden vector."""

    def __init__(self, channels: Sequence[int], hidden: int):
        super().__init__()
        first, second, third = channels
        self.block1 = Block(3, first)
        self.block2 = Block(first, second)
        self.block3 = Block(second, third)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(third * (SIDE // 8) ** 2, hidden)
        self.relu_fc = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, 64, 64] to [N, hidden], not negative."""
        features = self.relu(self.block3(self.block2(self.block1(x))))
        return self.relu_fc(self.fc(self.flatten(features)))


def encode_pixels(observations: np.ndarray, side: int, device: torch.device) -> Tensor:
    """[N, 3, side, side] uint8 pixels to float32 in [0, 1], channels last.

    Raises:
        ValueError: observations of another shape or type.
    """
    if observations.shape[1:] != (3, side, side) or observations.dtype != np.uint8:
        raise ValueError(
            f"this policy takes observations [N, 3, {side}, {side}] uint8, "
            f"got {list(observations.shape)} {observations.dtype}"
        )
    pixels = torch.from_numpy(observations).to(device)
    return pixels.to(torch.float32, memory_format=torch.channels_last) / 255


def initialise(network: nn.Module) -> None:
    """Fresh weights of a network with heads `fc_policy` and `fc_value`, as the published agents had them."""
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.xavier_uniform_(parameter)
    # The policy starts near uniform.
    nn.init.orthogonal_(network.get_parameter("fc_policy.weight"), 0.01)
    nn.init.orthogonal_(network.get_parameter("fc_value.weight"))


class Impala(nn.Module):
    """Policy and value from 64 x 64 pixels.

    Args:
        channels: of the three blocks.
        hidden: size of the vector that the heads read.
        actions: number of actions; Procgen has 15.
    """

    def __init__(self, channels: Sequence[int] = (16, 32, 32), hidden: int = 256, actions: int = 15):
        super().__init__()
        if len(channels) != 3:
            raise ValueError(f"channels must be three numbers, one a block, got {list(channels)}")
        self.embedder = Embedder(channels, hidden)
        self.fc_policy = nn.Linear(hidden, actions)
        self.fc_value = nn.Linear(hidden, 1)
        initialise(self)

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, 3, 64, 64] uint8 pixels to float32 in [0, 1] on the policy's device, channels last.

        Channels last is an order in memory, not of the axes: a forward takes a third of the time on a CPU. It
        also sums in another order, so compare outputs bit for bit only between inputs of one memory format.
        """
        return encode_pixels(observations, SIDE, self.fc_policy.weight.device)

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, 3, 64, 64] float pixels in [0, 1] to logits [N, A] and value [N]."""
        hidden = self.embedder(x)
        return PolicyOutput(self.fc_policy(hidden), self.fc_value(hidden).squeeze(1))
