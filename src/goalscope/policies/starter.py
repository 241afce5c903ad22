"""The network of rl-starter-files (Willems 2018, MIT), which public MiniGrid agents have; its layer names are kept.

It takes the numbers of the partial view as amounts: three planes (kind, colour, status), first across, then down.
Every relu and tanh is a named module: `image_conv.1`, `.4`, `.6`, `actor.1`, `critic.1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput

FIRST = "image_conv.0.weight"
"""a layer that every network of this kind has"""
WITH_MEMORY, WITH_TEXT = "memory_rnn.", ("word_embedding.", "text_rnn.")
WIDTH = 64
"""channels of the last convolution, and size of the layer before each head"""


class Starter(nn.Module):
    """Policy and value from a view of MiniGrid, without memory and without the mission's words.

    Args:
        embedding: numbers that the heads read, 64 for each place that the convolutions leave (one of a 7 x 7 view).
        actions: number of actions.
    """

    def __init__(self, embedding: int = WIDTH, actions: int = 7):
        super().__init__()
        self.image_conv = nn.Sequential(
            nn.Conv2d(3, 16, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 2), nn.ReLU(),
            nn.Conv2d(32, WIDTH, 2), nn.ReLU(),
        )  # fmt: skip
        self.flatten = nn.Flatten()
        self.actor = nn.Sequential(nn.Linear(embedding, WIDTH), nn.Tanh(), nn.Linear(WIDTH, actions))
        self.critic = nn.Sequential(nn.Linear(embedding, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1))

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, 3, across, down] uint8 to float32, the numbers as they are, on the policy's device."""
        shape, embedding = observations.shape[1:], self.actor[0].in_features
        left = [max((side - 1) // 2 - 2, 0) for side in shape[1:]]
        if len(shape) != 3 or shape[0] != 3 or WIDTH * left[0] * left[1] != embedding:
            fitting = "the partial view, [N, 3, 7, 7]" if embedding == WIDTH else "a larger view"
            raise ValueError(
                f"this policy reads {embedding} numbers, that is {fitting}; observations {list(observations.shape)} "
                f"leave {WIDTH * int(np.prod(left))}: MiniGrid(NAME, observation='partial') gives what it was trained on"
            )
        return torch.from_numpy(np.ascontiguousarray(observations)).to(next(self.parameters()).device).float()

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, 3, across, down] to logits [N, A] and value [N]."""
        features = self.flatten(self.image_conv(x))
        return PolicyOutput(self.actor(features), self.critic(features).squeeze(1))


def arguments_from(shapes: Mapping[str, Tensor], path: Path) -> dict[str, int]:
    """The arguments of `Starter` that layers [name -> tensor] tell.

    Raises:
        ValueError: an agent with a memory, or one that reads the mission: those are not read.
    """
    if any(name.startswith(WITH_MEMORY) for name in shapes):
        raise ValueError(
            f"{path} is an agent with a memory (layers {WITH_MEMORY}*): what it does depends on what it saw before, and it "
            "is not read; take one that was trained with --recurrence 1"
        )
    if any(name.startswith(WITH_TEXT) for name in shapes):
        raise ValueError(
            f"{path} reads the mission's words (layers {WITH_TEXT[1]}*), which our MiniGrid observations do not hold; take "
            "one that was trained without --text"
        )
    sizes = {}
    for argument, name, axis in (("embedding", "actor.0.weight", 1), ("actions", "actor.2.weight", 0)):
        if name not in shapes or shapes[name].ndim != 2:
            raise ValueError(
                f"{path} lacks the layer {name} [.., ..] of a MiniGrid agent of rl-starter-files"
            )
        sizes[argument] = int(shapes[name].shape[axis])
    return sizes
