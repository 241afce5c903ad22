"""Policies whose goal is known, in MiniGrid rooms without walls and in mazes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.worlds.minigrid import Action, Kind

AGENT = 10
"""the package's number of the agent in full views"""


class Walker(nn.Module):
    """Turns to its target and walks there, first along the row; sees the whole room ('full').

    Args:
        target: 'goal' for the goal square, 'corner' for the bottom-right corner, 'wander' for no matter where.
        sharpness: logit of the wanted action; the others have 0.
    """

    def __init__(self, target: str, sharpness: float = 6.0):
        super().__init__()
        self.target, self.sharpness = target, sharpness

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, across, down] to logits [N, 7]."""
        kinds = x[:, 0].numpy()
        across, down = kinds.shape[1:]
        logits = np.zeros((len(x), len(Action)))
        logits[:, [a for a in Action if a > Action.FORWARD]] = -6.0
        if self.target == "wander":
            return torch.from_numpy(logits)
        for n, cells in enumerate(kinds):
            column, row = np.argwhere(cells == AGENT)[0]
            goals = np.argwhere(cells == Kind.GOAL)
            to = (
                (across - 2, down - 2)
                if self.target == "corner"
                else tuple(goals[0])
                if len(goals)
                else (column, row)
            )
            if (column, row) == tuple(to):
                logits[n, Action.LEFT] = self.sharpness  # stays, and turns round
                continue
            wanted = 0 if to[0] > column else 2 if to[0] < column else 1 if to[1] > row else 3
            turn = (wanted - int(x[n, 2, column, row])) % 4
            logits[n, (Action.FORWARD, Action.RIGHT, Action.RIGHT, Action.LEFT)[turn]] = self.sharpness
        return torch.from_numpy(logits)
