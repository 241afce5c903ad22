"""Which latent of one dictionary is which direction of another: of a known one, or of a training with another seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from goalscope.methods.reading.dictionary.learned import Dictionary
from goalscope.methods.reading.dictionary.planted import Planted
from goalscope.showing import drawing, text

SAME = 0.9
"""cosine from which two directions are called the same"""


@dataclass(frozen=True)
class Recovery:
    """How much of a known dictionary was found."""

    __repr__, _repr_html_ = text, drawing

    cosine: np.ndarray
    """[F] of each true direction with the latent that is nearest to it"""
    f1: np.ndarray
    """[F] of that latent's firing as a test of whether the feature fires; nan where it never does"""
    absorption: np.ndarray
    """[P] of each parent: how much rarer its latent fires where the child does too; 0 where just as often, 1 where never;
    nan where it does not fire for the parent alone"""

    @property
    def mean_cosine(self) -> float:
        """Over the true directions."""
        return float(self.cosine.mean())


@dataclass(frozen=True)
class Matching:
    """Latents of two dictionaries, paired one to one with the greatest sum of cosines."""

    __repr__, _repr_html_ = text, drawing

    first: np.ndarray
    """[M] int, latents of the first"""
    second: np.ndarray
    """[M] int, their partners"""
    cosine: np.ndarray
    """[M]"""

    @property
    def same(self) -> float:
        """The share of pairs that are the same direction, by `SAME`."""
        return float((self.cosine >= SAME).mean())


def recovery(found: Dictionary, data: Planted) -> Recovery:
    """Holds a dictionary against the one that made the data; the rows should be new to it.

    Raises:
        ValueError: rows of another size.
    """
    cosine, latent = cosines(data.directions, found.decoder).max(1)
    fires = found.encode(data.x)[:, latent] > 0
    true = data.codes > 0
    both = (fires & true).sum(0).double()
    f1 = 2 * both / (fires.sum(0) + true.sum(0))
    f1[true.sum(0) == 0] = float("nan")
    parent, child = data.pairs.T
    parent_fires, with_child = fires[:, parent], true[:, child]
    alone = true[:, parent] & ~with_child
    often = (parent_fires & alone).sum(0) / alone.sum(0).clamp(min=1)
    there = (parent_fires & with_child).sum(0) / with_child.sum(0).clamp(min=1)
    absorbed = torch.where(often > 0, (1 - there / often.clamp(min=1e-9)).clamp(min=0), float("nan"))
    return Recovery(cosine.numpy(), f1.numpy(), absorbed.double().numpy())


def matched(first: Tensor, second: Tensor) -> Matching:
    """Pairs directions [m, d] and [m', d] one to one; of the larger set some are left over.

    Raises:
        ValueError: directions of another size.
    """
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"directions of {first.shape[1]} and of {second.shape[1]} numbers cannot be matched")
    table = cosines(first, second).numpy()
    rows, columns = linear_sum_assignment(table, maximize=True)
    return Matching(rows, columns, table[rows, columns])


def cosines(first: Tensor, second: Tensor) -> Tensor:
    """[m, m'] of the directions [m, d] and [m', d]."""
    one, other = (x / x.norm(dim=1, keepdim=True).clamp(min=1e-12) for x in (first, second))
    return one @ other.T
