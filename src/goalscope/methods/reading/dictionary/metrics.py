"""How well a dictionary says what it was trained on: error by level, latents in use, and the curve over k."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from goalscope.methods.reading.dictionary.learned import ROWS, Dictionary
from goalscope.showing import drawing, text


@dataclass(frozen=True)
class ByLevel:
    """Sums of each level, of which intervals can be made with levels as the unit."""

    __repr__, _repr_html_ = text, drawing

    error: np.ndarray
    """[L] squared error"""
    total: np.ndarray
    """[L] squared distance from the centre"""
    rows: np.ndarray
    """[L] int"""

    @property
    def explained(self) -> float:
        """The share of the variance about the centre that is explained; below 0 where the centre does better."""
        return 1 - float(self.error.sum() / self.total.sum())


@dataclass(frozen=True)
class Use:
    """How often each latent is active, and how strongly."""

    __repr__, _repr_html_ = text, drawing

    rate: np.ndarray
    """[m] share of rows"""
    mean: np.ndarray
    """[m] mean where it is active; 0 where it never is"""
    active: np.ndarray
    """[L] latents active, summed over the rows of each level"""
    rows: np.ndarray
    """[L] int"""

    @property
    def dead(self) -> float:
        """The share of latents that are active in no row."""
        return float((self.rate == 0).mean())

    @property
    def l0(self) -> float:
        """Latents of a row, on average."""
        return float(self.active.sum() / self.rows.sum())


def explained(
    made: Callable[[Tensor], Tensor], x: Tensor, level: np.ndarray, centre: Tensor | None = None
) -> ByLevel:  # fmt: skip
    """The error of a reconstruction, by level.

    Args:
        made: rows [n, d] to their reconstruction.
        x: [n, d] rows.
        level: [n] int, the level of each.
        centre: [d] what knowing nothing would say, best the mean of the training rows; None is the mean of these.

    Raises:
        ValueError: lengths that differ, rows that do not vary.
    """
    _check(x, level)
    centre = x.mean(0) if centre is None else centre
    _, place = np.unique(level, return_inverse=True)
    parts = [
        ((made(p) - p).double().square().sum(1), (p - centre).double().square().sum(1)) for p in x.split(ROWS)
    ]
    error, total = (np.bincount(place, torch.cat(column).numpy()) for column in zip(*parts, strict=True))
    if total.sum() <= 0:
        raise ValueError("the activations are constant: there is nothing to explain")
    return ByLevel(error, total, np.bincount(place))


def use(dictionary: Dictionary, x: Tensor, level: np.ndarray) -> Use:
    """Which latents are active, over rows [n, d] of levels [n].

    Raises:
        ValueError: lengths that differ.
    """
    _check(x, level)
    _, place = np.unique(level, return_inverse=True)
    often, sums = (torch.zeros(dictionary.width, dtype=torch.float64) for _ in range(2))
    counts = []
    for part in x.split(ROWS):
        z = dictionary.encode(part)
        often += (z > 0).sum(0)
        sums += z.sum(0)
        counts.append((z > 0).sum(1))
    active = np.bincount(place, torch.cat(counts).double().numpy())
    return Use((often / len(x)).numpy(), (sums / often.clamp(min=1)).numpy(), active, np.bincount(place))


def progressive(
    dictionary: Dictionary, x: Tensor, ks: Sequence[int], *, either_sign: bool = False
) -> np.ndarray:  # fmt: skip
    """[K] variance explained with the k greatest latents of each row, for each of several k.

    A dictionary trained with one k may do worse with more of them; one that is progressive never does.

    Args:
        dictionary: any.
        x: [n, d] rows.
        ks: how many latents, each from 1 to m.
        either_sign: take the greatest of either sign, as in `Dictionary.encode`.
    """
    error, total = np.zeros(len(ks)), float((x - x.mean(0)).double().square().sum())
    for part in x.split(ROWS):
        pre = dictionary.pre(part)
        index = (pre.abs() if either_sign else pre).topk(max(ks), dim=1).indices
        values = pre.gather(1, index)
        values = values if either_sign else values.clamp(min=0)
        for place, k in enumerate(ks):
            z = torch.zeros(len(part), dictionary.width).scatter_(1, index[:, :k], values[:, :k])
            error[place] += float((dictionary.decode(z) - part).double().square().sum())
    return 1 - error / total


def _check(x: Tensor, level: np.ndarray) -> None:
    if x.ndim != 2 or np.shape(level) != (len(x),) or not len(x):
        raise ValueError(
            f"rows must be [n, d] and level [n], n at least 1, got {list(x.shape)} and {np.shape(level)}"
        )
