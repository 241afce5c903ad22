"""What else the repositories of Procgen agents train: IMPALA with a memory, and the small network of Atari agents.

Architectures: `recurrent: True` and `architecture: nature` of train-procgen-pytorch. Sites of the first are those of
`Impala` and `gru` (the hidden vector that the heads read, which is also the memory), `gru.reset`, `gru.update` and
`gru.candidate` its gates; of the second `embedder.layers.K`, with relus at 1, 3, 5 and 8.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput
from goalscope.policies.drc import RecurrentOutput
from goalscope.policies.impala.network import SIDE, Embedder, encode_pixels, initialise

NATURE_SIDES = {64: 4, 84: 7}
"""pixels of a side that the small network is given, and the squares of its last feature map"""


class GRU(nn.Module):
    """A gated recurrent unit in single steps, its gates as modules (Cho et al. 2014, in torch's form)."""

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.input = nn.Linear(inputs, 3 * size)
        self.memory = nn.Linear(size, 3 * size)
        self.reset, self.update, self.candidate = nn.Sigmoid(), nn.Sigmoid(), nn.Tanh()

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """[N, inputs] and the memory [N, size] to the next memory."""
        into, kept = self.input(x).chunk(3, 1), self.memory(h).chunk(3, 1)
        reset, update = self.reset(into[0] + kept[0]), self.update(into[1] + kept[1])
        candidate = self.candidate(into[2] + reset * kept[2])
        return (1 - update) * candidate + update * h


class RecurrentImpala(nn.Module):
    """Policy and value from 64 x 64 pixels, with a memory between the dense layer and the heads.

    Args:
        channels: of the three blocks.
        hidden: size of the vector that the memory reads, and of the memory.
        actions: number of actions; Procgen has 15.

    Raises:
        ValueError: not three channel numbers.
    """

    def __init__(self, channels: Sequence[int] = (16, 32, 32), hidden: int = 256, actions: int = 15):
        super().__init__()
        if len(channels) != 3:
            raise ValueError(f"channels must be three numbers, one a block, got {list(channels)}")
        self.hidden = hidden
        self.embedder = Embedder(channels, hidden)
        self.gru = GRU(hidden, hidden)
        self.fc_policy, self.fc_value = nn.Linear(hidden, actions), nn.Linear(hidden, 1)
        initialise(self)

    def initial_carry(self, n: int) -> Tensor:
        """[n, hidden]: the memory of levels that begin, zeros."""
        return torch.zeros(n, self.hidden, device=self.fc_policy.weight.device)

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, 3, 64, 64] uint8 pixels to float32 in [0, 1] on the policy's device, channels last."""
        return encode_pixels(observations, SIDE, self.fc_policy.weight.device)

    def forward(self, x: Tensor, carry: Tensor) -> RecurrentOutput:
        """[N, 3, 64, 64] float pixels in [0, 1] and the memory to logits [N, A], value [N] and the next memory."""
        hidden = self.gru(self.embedder(x), carry)
        return RecurrentOutput(self.fc_policy(hidden), self.fc_value(hidden).squeeze(1), hidden)


class NatureEmbedder(nn.Module):
    """Pixels to the hidden vector by three convolutions (Mnih et al. 2015, figure 1)."""

    def __init__(self, hidden: int, squares: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(),
            nn.Flatten(), nn.Linear(64 * squares * squares, hidden), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, side, side] to [N, hidden], not negative."""
        return self.layers(x)


class Nature(nn.Module):
    """Policy and value from pixels, without memory.

    Args:
        hidden: size of the vector that the heads read.
        actions: number of actions; Procgen has 15.
        side: of the observations, 64 or 84 pixels.

    Raises:
        ValueError: another side.
    """

    def __init__(self, hidden: int = 512, actions: int = 15, side: int = 64):
        super().__init__()
        if side not in NATURE_SIDES:
            raise ValueError(f"side must be one of {', '.join(map(str, NATURE_SIDES))}, got {side}")
        self.side = side
        self.embedder = NatureEmbedder(hidden, NATURE_SIDES[side])
        self.fc_policy, self.fc_value = nn.Linear(hidden, actions), nn.Linear(hidden, 1)
        initialise(self)

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, 3, side, side] uint8 pixels to float32 in [0, 1] on the policy's device, channels last."""
        return encode_pixels(observations, self.side, self.fc_policy.weight.device)

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, 3, side, side] float pixels in [0, 1] to logits [N, A] and value [N]."""
        hidden = self.embedder(x)
        return PolicyOutput(self.fc_policy(hidden), self.fc_value(hidden).squeeze(1))
