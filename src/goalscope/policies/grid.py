"""A small convolutional policy on what an agent of MiniGrid sees, for partial and full views of any side.

What lies on each square is given to the network one-hot: kind, colour and status are names, not amounts.
Every post-relu activation is a named module.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput

NAMES = (11, 6, 4)
"""of kinds (0 unseen, 10 the agent in full views), colours, and statuses (a door's, or where the agent looks)"""


class Grid(nn.Module):
    """Policy and value from a square view.

    Args:
        side: S, of observations [N, 3, S, S].
        channels: of both convolutions.
        hidden: size of the vector that the heads read.
        actions: number of actions.
    """

    def __init__(self, side: int = 7, channels: int = 16, hidden: int = 64, actions: int = 7):
        super().__init__()
        self.side = side
        self.conv1 = nn.Conv2d(sum(NAMES), channels, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.flatten = nn.Flatten()
        self.hidden = nn.Linear(channels * side * side, hidden)
        self.hidden_relu = nn.ReLU()
        self.policy_head = nn.Linear(hidden, actions)
        self.value_head = nn.Linear(hidden, 1)
        for layer in (self.conv1, self.conv2, self.hidden):
            nn.init.orthogonal_(layer.weight, 2**0.5)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        # The policy begins near uniform: PPO's first updates then go where rewards point.
        for head, gain in ((self.policy_head, 0.01), (self.value_head, 1.0)):
            nn.init.orthogonal_(head.weight, gain)
            nn.init.zeros_(head.bias)

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, 3, S, S] uint8 to float32 [N, 21, S, S], one plane a name, on the policy's device."""
        if observations.shape[1:] != (3, self.side, self.side):
            raise ValueError(
                f"this policy takes observations [N, 3, {self.side}, {self.side}], got {list(observations.shape)}"
            )
        codes = torch.from_numpy(np.ascontiguousarray(observations)).to(self.conv1.weight.device).long()
        for plane, names in enumerate(NAMES):
            if codes.numel() and int(codes[:, plane].max()) >= names:
                raise ValueError(
                    f"plane {plane} of the observations has {int(codes[:, plane].max())}; MiniGrid's numbers "
                    f"there are 0 to {names - 1}"
                )
        first = torch.tensor([0, NAMES[0], NAMES[0] + NAMES[1]], device=codes.device)
        planes = torch.zeros(
            (len(codes), sum(NAMES), self.side, self.side), dtype=torch.float32, device=codes.device
        )
        return planes.scatter_(1, codes + first[:, None, None], 1.0)

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, 21, S, S] to logits [N, A] and value [N], the discounted chance of reaching the goal."""
        features = self.relu2(self.conv2(self.relu1(self.conv1(x))))
        hidden = self.hidden_relu(self.hidden(self.flatten(features)))
        return PolicyOutput(self.policy_head(hidden), self.value_head(hidden).squeeze(1))
