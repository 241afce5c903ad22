"""What stands beside the memory's probes: windows of the board, the plans of other levels, and where read-outs differ.

A window sees the planes of the squares around each one; one of 7 x 7 covers most of a board of 8 x 8, so smaller ones
stand beside it. The plan of another level, at the same squares, is what a probe would read if it knew nothing but how plans
usually lie on a board.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

WINDOW_SIDES = (3, 5, 7)
"""sides, in squares, of the windows that the wider observation baselines read: half of it, rounded down, each way"""


def window(planes: Tensor, side: int) -> Tensor:
    """[N, 4, H, W] to [N, 4 * side^2, H, W]: the planes of the squares around each one; outside is wall."""
    beyond = side // 2
    padded = nn.functional.pad(planes, (beyond,) * 4)
    padded[:, 0] = nn.functional.pad(planes[:, 0], (beyond,) * 4, value=1.0)
    n, channels, height, width = planes.shape
    return nn.functional.unfold(padded, side).view(n, channels * side**2, height, width)


def of_other_levels(labels: np.ndarray, level: np.ndarray, train: np.ndarray) -> np.ndarray:
    """[M, H, W] the plans of other levels of the same size: every level takes those of the next one of its split, in turn.

    Args:
        labels: [M, H, W] the plan at each moment; what is wall there is never left.
        level: [M] int, of each moment.
        train: [M] bool, the split that a moment is of; plans stay in it, so that no held-out plan is ever fitted to.
    """
    taken = np.arange(len(level))
    for split in (train, ~train):
        names = np.unique(level[split])
        for name, other in zip(names, np.roll(names, -1), strict=True):
            mine, theirs = np.flatnonzero(level == name), np.flatnonzero(level == other)
            taken[mine] = theirs[np.arange(len(mine)) % len(theirs)]
    return labels[taken]


def differing(mine: np.ndarray, other: np.ndarray, y: np.ndarray, level: np.ndarray) -> np.ndarray:
    """[L, 4] by level: squares, those where two read-outs differ, of these right by the one, right by the other.

    Args:
        mine, other: [R] int, what each says. y: [R] int, what is right. level: [R] int.
    """
    apart = mine != other
    rows = np.stack([np.ones(len(y)), apart, apart & (mine == y), apart & (other == y)], 1).astype(float)
    _, index = np.unique(level, return_inverse=True)
    sums = np.zeros((int(index.max()) + 1, 4))
    np.add.at(sums, index, rows)
    return sums
