"""A mouse that thinks for a number of ticks before it steps, and plans for every square of its maze at once.

A weight-tied convolutional network: the same block runs again and again on what it made of the maze the tick before,
with the maze shown anew (Bansal et al. 2022, "End-to-end Algorithm Synthesis with Recurrent Networks": "recall").
What is known spreads by at most two squares a tick, so that only thinking longer can tell which way a far cheese lies.
Nothing is remembered from step to step: a state is all there is to know, and chains of it are exact.

It is shown free squares and cheese, not the mouse: logits and value stand at every square, and the mouse reads those of
its own. `everywhere` gives them all in one forward. Walls hold nothing, so that a maze in a larger world, with more
wall around it, is the same maze to the network.

Sites are as in `drc`: `blocks.0@2` is what stands at the squares after the third tick, `blocks.0.relu1@2` what it was
made from, `head` the map of logits (and value, last) that is read. Without tied weights every tick has a block of its
own, `blocks.2`: the same network as a reflex, which cannot think longer than it is deep.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput

SHOWN = 2
"""planes that every tick sees: free squares, cheese"""
RESIDUAL_GAIN = 0.3
"""of a block's second convolution at first: what stands at the squares is changed little by a tick"""


def encode_maze(observations: np.ndarray, device: torch.device) -> Tensor:
    """[N, 3, H, W] uint8 planes of a maze of any size to float32.

    Raises:
        ValueError: observations of another shape.
    """
    if observations.ndim != 4 or observations.shape[1] != 3:
        raise ValueError(
            f"this policy takes observations [N, 3, H, W] of walls, mouse and cheese, got {list(observations.shape)}"
        )
    return torch.from_numpy(np.ascontiguousarray(observations)).to(device).float()


class Block(nn.Module):
    """One tick: two convolutions of what stands at the squares and of the maze, added to what stands there."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels + SHOWN, channels, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu2 = nn.ReLU()
        for conv, gain in ((self.conv1, 1.0), (self.conv2, RESIDUAL_GAIN)):
            nn.init.kaiming_normal_(conv.weight)
            conv.weight.data.mul_(gain)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, h: Tensor, shown: Tensor) -> Tensor:
        """[N, C, H, W] and what is shown [N, 2, H, W] to [N, C, H, W]; zero on walls, halfway too."""
        free = shown[:, :1]
        halfway = self.relu1(self.conv1(torch.cat([h, shown], 1))) * free
        return self.relu2(h + self.conv2(halfway)) * free


class Thinker(nn.Module):
    """Policy and value from planes [N, 3, H, W] of walls, mouse and cheese, of mazes of any size.

    Args:
        ticks: how often it thinks for one step; the attribute `ticks` can be set to another number afterwards.
        channels: what a square holds.
        tied: whether all ticks share one block; else each has its own, and `ticks` can only be made smaller.
        actions: number of actions.
    """

    def __init__(self, ticks: int = 16, channels: int = 32, tied: bool = True, actions: int = 5):
        super().__init__()
        self.ticks, self.tied = ticks, tied
        self.stem = nn.Conv2d(SHOWN, channels, 3, padding=1)
        self.relu = nn.ReLU()
        self.blocks = nn.ModuleList(Block(channels) for _ in range(1 if tied else ticks))
        self.head = nn.Conv2d(channels, actions + 1, 1)
        nn.init.kaiming_normal_(self.stem.weight)
        nn.init.orthogonal_(self.head.weight, 0.1)
        for layer in (self.stem, self.head):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, 3, H, W] uint8 planes to float32 on the policy's device."""
        return encode_maze(observations, self.stem.weight.device)

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, 3, H, W] float planes to logits [N, A] and value [N] (in units of a tenth of the world's reward)."""
        out = (self._maps(x) * x[:, 1:2]).sum((2, 3))
        return PolicyOutput(out[:, :-1], out[:, -1])

    def everywhere(self, x: Tensor) -> PolicyOutput:
        """The same for a mouse on every square: logits [N, A, H, W] and value [N, H, W]; x may show no mouse."""
        maps = self._maps(x)
        return PolicyOutput(maps[:, :-1], maps[:, -1])

    def begin(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Planes [N, 3, H, W] to what stands at the squares before the first tick, and what every tick is shown."""
        shown = torch.cat([1 - x[:, :1], x[:, 2:]], 1)
        return self.relu(self.stem(shown)) * shown[:, :1], shown

    def _maps(self, x: Tensor) -> Tensor:
        """[N, A + 1, H, W] after all ticks: logits, then the value."""
        if self.ticks < 1 or (not self.tied and self.ticks > len(self.blocks)):
            most = "" if self.tied else f" to {len(self.blocks)}, for every tick has its own weights"
            raise ValueError(f"ticks must be 1{most or ' or more'}, got {self.ticks}")
        h, shown = self.begin(x)
        for t in range(self.ticks):
            h = self.blocks[0 if self.tied else t](h, shown)
        return self.head(h)
