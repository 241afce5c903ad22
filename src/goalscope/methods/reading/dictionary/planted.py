"""Data from a dictionary that is known, so that it can be said what a trained one has found.

Features fire at Zipf rates, in groups that tend to fire together, and some are children that fire only where their parent
does: there a sparse code saves a latent by hiding the parent in the child (absorption: Chanin et al. 2024, "A is for
absorption").
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goalscope.showing import drawing, text

SALT = 900_001
"""apart from the seeds of trainings"""


@dataclass(frozen=True)
class Planted:
    """Rows and what they are made of: x = codes · directions + offset."""

    __repr__, _repr_html_ = text, drawing

    x: Tensor
    """[n, d]"""
    codes: Tensor
    """[n, F] not negative, mostly 0"""
    directions: Tensor
    """[F, d] of unit norm"""
    pairs: Tensor
    """[P, 2] int, (parent, child)"""


def planted(
    n: int, *, size: int = 32, features: int = 128, active: float = 3.0, decay: float = 0.5, pairs: int = 8,
    group: int = 8, seed: int = 0, draw: int = 0,
) -> Planted:  # fmt: skip
    """Draws rows from a known dictionary.

    Args:
        n: rows. size: d. features: F.
        active: features of a row on average, before children lose theirs.
        decay: the rate of feature i is in proportion to (i + 1) ** -decay.
        pairs: the last features are children of the first ones; a child fires in half of its parent's rows.
        group: neighbours that are rare or frequent together: in each row a group is at rest or twice as active.
        seed: of the directions. draw: of the rows, so that more can be had of the same dictionary.

    Raises:
        ValueError: more pairs than half of the features, or rates above 1/2.
    """
    if 2 * pairs > features:
        raise ValueError(f"{pairs} pairs need {2 * pairs} features, got {features}")
    # Salted: a training with the same seed must not begin with the answer.
    generator = torch.Generator().manual_seed(seed * 7919 + SALT)
    directions = torch.randn(features, size, generator=generator)
    directions /= directions.norm(dim=1, keepdim=True)
    rate = (torch.arange(features) + 1.0) ** -decay
    rate *= active / rate.sum()
    if rate[0] > 0.5:
        raise ValueError(
            f"the most frequent feature fires in {2 * rate[0]:.0%} of the rows of its group: lower active or decay"
        )
    rows = torch.Generator().manual_seed(seed * 7919 + SALT + draw + 1)
    awake = torch.rand(n, -(-features // group), generator=rows) < 0.5
    fires = (
        torch.rand(n, features, generator=rows) < 2 * rate * awake.repeat_interleave(group, 1)[:, :features]
    )
    parent, child = torch.arange(pairs), torch.arange(features - pairs, features)
    fires[:, child] = fires[:, parent] & (torch.rand(n, pairs, generator=rows) < 0.5)
    codes = fires * (0.5 + torch.rand(n, features, generator=rows))
    return Planted(codes @ directions + 0.2, codes, directions, torch.stack([parent, child], 1))
