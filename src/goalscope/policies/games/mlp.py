"""The networks of gymnax-blines (Lange 2022): two relu networks on flattened planes, one of moves and one of the value."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput


class FlatMlp(nn.Module):
    """Moves, and where it was trained with one a value, from planes.

    Args:
        inputs: C x H x W.
        hidden: width of both hidden layers.
        actions: number of actions.
        value: whether there is a value network beside; agents of evolution strategies have none.
    """

    def __init__(self, inputs: int, hidden: int = 64, actions: int = 4, value: bool = True):
        super().__init__()
        self.inputs = inputs
        self.actor, self.critic = _layers(inputs, hidden, actions), None
        if value:
            self.critic = _layers(inputs, hidden, 1)

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, C, H, W] to float32 [N, H x W x C], in the order of JAX, on the policy's device."""
        if observations.ndim != 4 or int(np.prod(observations.shape[1:])) != self.inputs:
            raise ValueError(
                f"this policy reads {self.inputs} numbers of planes [N, C, H, W], got {list(observations.shape)}"
            )
        flat = np.ascontiguousarray(observations.transpose(0, 2, 3, 1)).reshape(len(observations), -1)
        return torch.from_numpy(flat).to(next(self.parameters()).device).float()

    def forward(self, x: Tensor) -> PolicyOutput | Tensor:
        """[N, inputs] to logits [N, A] and value [N], or logits alone."""
        logits = self.actor(x)
        return logits if self.critic is None else PolicyOutput(logits, self.critic(x).squeeze(1))


def _layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )
