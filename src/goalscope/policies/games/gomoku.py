"""The network of AlphaZero_Gomoku (Song 2017, MIT): moves and value of stones in a row on a small board.

Planes: own stones, theirs, the last move, and all ones where the first player is to move. Layer names are its own; a site is
`conv1` ... or the relu behind it, `relu1`, `relu2`, `relu3`, `act_relu`, `val_relu`, `val_fc1_relu`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput

PLANES = 4


class Gomoku(nn.Module):
    """Policy and value of a board.

    Args:
        side: of the board.
    """

    def __init__(self, side: int = 6):
        super().__init__()
        self.side = side
        self.conv1, self.relu1 = nn.Conv2d(PLANES, 32, 3, padding=1), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()
        self.conv3, self.relu3 = nn.Conv2d(64, 128, 3, padding=1), nn.ReLU()
        self.act_conv, self.act_relu = nn.Conv2d(128, 4, 1), nn.ReLU()
        self.act_fc = nn.Linear(4 * side * side, side * side)
        self.val_conv, self.val_relu = nn.Conv2d(128, 2, 1), nn.ReLU()
        self.val_fc1, self.val_fc1_relu = nn.Linear(2 * side * side, 64), nn.ReLU()
        self.val_fc2, self.val_tanh = nn.Linear(64, 1), nn.Tanh()

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, 4, side, side] planes to float32 on the policy's device."""
        return planes_of(self, observations, (PLANES, self.side, self.side))

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, 4, side, side] to logits of the squares [N, side x side], legal or not, and the mover's value [N] in -1..1."""
        features = self.relu1(self.conv1(x))
        features = self.relu3(self.conv3(self.relu2(self.conv2(features))))
        logits = self.act_fc(self.act_relu(self.act_conv(features)).flatten(1))
        # Its moves are numbered from the bottom row, its planes from the top one; here both are from the top.
        logits = logits.unflatten(1, (self.side, self.side)).flip(1).flatten(1)
        value = self.val_fc1_relu(self.val_fc1(self.val_relu(self.val_conv(features)).flatten(1)))
        return PolicyOutput(logits, self.val_tanh(self.val_fc2(value)).squeeze(1))


def planes_of(module: nn.Module, observations: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    """Planes as float32 on the module's device; raises ValueError for another shape than [N, *shape]."""
    if observations.shape[1:] != shape:
        raise ValueError(
            f"this policy takes observations [N, {', '.join(map(str, shape))}], got {list(observations.shape)}"
        )
    return torch.from_numpy(np.ascontiguousarray(observations)).to(next(module.parameters()).device).float()
