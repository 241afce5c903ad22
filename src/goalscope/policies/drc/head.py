"""What Sokoban policies see of a board, and the heads that read its features: used by recurrent and residual ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput

PLAYER = 3
"""index of the player's plane among a Sokoban world's four"""

HEAD_GAIN = 3.0
"""of the initial weights of the heads' first layer: what it reads is small at first"""


class BoardHead(nn.Module):
    """Logits and value from the flattened board: for boards of one size."""

    def __init__(self, channels: int, size: int, hidden: int, actions: int):
        super().__init__()
        self.hidden = nn.Linear(channels * size * size, hidden)
        self.relu = nn.ReLU()
        self.policy, self.value = _outputs(self.hidden, actions)

    def forward(self, features: Tensor, x: Tensor) -> PolicyOutput:
        """[N, C, size, size] to logits [N, A] and value [N]; the planes x are not looked at."""
        hidden = self.relu(self.hidden(features.flatten(1)))
        return PolicyOutput(self.policy(hidden), self.value(hidden).squeeze(1))


class PlayerHead(nn.Module):
    """Logits and value from the features at the player, their mean and their maximum: for boards of any size."""

    def __init__(self, channels: int, hidden: int, actions: int):
        super().__init__()
        self.hidden = nn.Linear(3 * channels, hidden)
        self.relu = nn.ReLU()
        self.policy, self.value = _outputs(self.hidden, actions)

    def forward(self, features: Tensor, x: Tensor) -> PolicyOutput:
        """[N, C, H, W] and the planes x [N, 4, H, W] to logits [N, A] and value [N]."""
        at_player = (features * x[:, PLAYER : PLAYER + 1]).sum((2, 3))
        summary = torch.cat([features.mean((2, 3)), features.amax((2, 3)), at_player], 1)
        hidden = self.relu(self.hidden(summary))
        return PolicyOutput(self.policy(hidden), self.value(hidden).squeeze(1))


def _outputs(hidden: nn.Linear, actions: int) -> tuple[nn.Linear, nn.Linear]:
    """The layers of policy and value; the policy starts near uniform, but what it reads is far from zero."""
    policy, value = nn.Linear(hidden.out_features, actions), nn.Linear(hidden.out_features, 1)
    for layer, gain in ((hidden, HEAD_GAIN), (policy, 0.01), (value, 1.0)):
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return policy, value


def board_head(channels: int, planes: int, size: int | None, hidden: int, actions: int) -> nn.Module:
    """The head for boards of `size` x `size`, or for those of any size where None.

    Raises:
        ValueError: a head for any size without the world's four planes, in which the player stands.
    """
    if size is not None:
        return BoardHead(channels, size, hidden, actions)
    if planes != PLAYER + 1:
        raise ValueError(
            f"a policy for boards of any size reads the features at the player and needs the four planes of a "
            f"Sokoban world, got {planes}: give the size of the boards"
        )
    return PlayerHead(channels, hidden, actions)


def encode_board(observations: np.ndarray, planes: int, size: int | None, device: torch.device) -> Tensor:
    """[N, planes, H, W] uint8 observations as float32: planes as they are, pixels (three planes) divided by 255.

    Raises:
        ValueError: observations of another shape, boards of another size than the policy's, or another type.
    """
    side = ("H", "W") if size is None else (size, size)
    fits = observations.ndim == 4 and observations.shape[1] == planes
    fits &= size is None or observations.shape[2:] == side
    if not fits or observations.dtype != np.uint8:
        raise ValueError(
            f"this policy takes observations [N, {planes}, {side[0]}, {side[1]}] uint8, "
            f"got {list(observations.shape)} {observations.dtype}"
        )
    x = torch.from_numpy(np.ascontiguousarray(observations)).to(device).float()
    return x / 255 if planes == 3 else x
