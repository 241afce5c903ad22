"""A dictionary of a dictionary: are its latents made of fewer, shared parts, and is that more than chance would give?

A sparse autoencoder is trained on the decoder's rows, drawn as often as they fire (Leask et al. 2025, section 5). A smaller
code exists for any dictionary: rare rows can be dropped cheaply. So what it explains counts only as the excess over what the
same training explains of an ideal dictionary of independent atoms with the same rates, and of the dictionary's own rows each
turned by a rotation of its own, which keeps the rates and undoes what rows share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from goalscope.methods.reading.dictionary.learned import Dictionary
from goalscope.methods.reading.dictionary.matching import cosines
from goalscope.methods.reading.dictionary.recipe import Recipe
from goalscope.methods.reading.dictionary.training import Training, train
from goalscope.showing import drawing, text

DRAWS = 8192
"""rows that a pass over the drawn directions has"""


@dataclass(frozen=True)
class Meta:
    """A meta dictionary and the chance that it is judged beside."""

    __repr__, _repr_html_ = text, drawing

    training: Training
    """of the meta dictionary"""
    explained: float
    """share of the weighted squared norm of the decoder's rows about their mean that it explains"""
    ideal: np.ndarray
    """[R] the same of ideal dictionaries: directions that are as far from each other as they can be, the same rates"""
    rotated: np.ndarray
    """[R] the same of the rows, each turned on its own"""

    @property
    def excess(self) -> float:
        """What is explained above the better of the two nulls' means: the number to report."""
        return self.explained - max(float(self.ideal.mean()), float(self.rotated.mean()))


@dataclass(frozen=True)
class Nearest:
    """The object-level latents that lie closest to some directions."""

    __repr__, _repr_html_ = text, drawing

    latent: np.ndarray
    """[M, c] int, the closest first"""
    cosine: np.ndarray
    """[M, c]"""


def meta(decoder: Tensor, rate: np.ndarray, recipe: Recipe, *, repeats: int = 3) -> Meta:
    """Trains a dictionary on a dictionary, and on its nulls.

    Args:
        decoder: [m, d] rows of unit norm.
        rate: [m] how often each fires; those that never do are left out.
        recipe: of the meta dictionary; its width is best well below m.
        repeats: R, how many of each null.

    Raises:
        ValueError: lengths that differ, fewer latents that fire than the recipe's width, negative rates.
    """
    weight = torch.as_tensor(np.asarray(rate), dtype=torch.float64)
    if weight.shape != decoder.shape[:1] or (weight < 0).any():
        raise ValueError(
            f"decoder [m, d] and rate [m], not negative, are wanted, got {list(decoder.shape)}, {list(weight.shape)}"
        )
    used = weight > 0
    if used.sum() <= recipe.width:
        raise ValueError(
            f"{int(used.sum())} latents fire: a meta dictionary of {recipe.width} needs more of them than it has itself"
        )
    rows, weight = decoder[used].float(), weight[used] / weight[used].sum()
    made = _trained(rows, weight, recipe)
    nulls: list[list[float]] = []
    for null in (_ideal, _turned):
        told = [replace(recipe, seed=recipe.seed + 1 + r) for r in range(repeats)]
        other = [null(rows, torch.Generator().manual_seed(one.seed * 31 + 7)) for one in told]
        nulls.append(
            [
                _share(_trained(x, weight, one).dictionary, x, weight)
                for x, one in zip(other, told, strict=True)
            ]
        )
    return Meta(made, _share(made.dictionary, rows, weight), *map(np.array, nulls))


def nearest_latents(dictionary: Dictionary, directions: Tensor, count: int = 5) -> Nearest:
    """Which latents lie closest to directions [M, d], such as the components of a decomposition or meta latents.

    Raises:
        ValueError: directions of another size, or more asked for than there are.
    """
    if directions.ndim != 2 or directions.shape[1] != dictionary.size or not 1 <= count <= dictionary.width:
        raise ValueError(
            f"directions [M, {dictionary.size}] and a count from 1 to {dictionary.width} are wanted, got "
            f"{list(directions.shape)} and {count}"
        )
    cosine, latent = cosines(directions, dictionary.decoder).topk(count, dim=1)
    return Nearest(latent.numpy(), cosine.numpy())


def _trained(rows: Tensor, weight: Tensor, recipe: Recipe) -> Training:
    generator = torch.Generator().manual_seed(recipe.seed)
    drawn = torch.multinomial(weight, max(DRAWS, recipe.batch), replacement=True, generator=generator)
    return train(rows[drawn], recipe)


def _share(made: Callable[[Tensor], Tensor], rows: Tensor, weight: Tensor) -> float:
    centre = (weight[:, None] * rows).sum(0)
    error, total = ((x.double().square().sum(1) * weight).sum() for x in (made(rows) - rows, rows - centre))
    return 1 - float(error / total)


def _ideal(rows: Tensor, generator: torch.Generator) -> Tensor:
    """[m, d] unit directions that push each other apart: no two share more than they must."""
    spread = torch.randn(rows.shape, generator=generator)
    spread /= spread.norm(dim=1, keepdim=True)
    for _ in range(50):
        shared = spread @ spread.T
        shared.fill_diagonal_(0)
        force = shared.pow(3) @ spread
        spread -= 0.1 * force / force.norm(dim=1, keepdim=True).clamp(min=1e-12)
        spread /= spread.norm(dim=1, keepdim=True)
    return spread


def _turned(rows: Tensor, generator: torch.Generator) -> Tensor:
    """[m, d] the rows, each turned about their mean direction by a rotation of its own: their part along it stays."""
    middle = rows.mean(0)
    axis = middle / middle.norm().clamp(min=1e-12)
    along = (rows @ axis)[:, None] * axis
    noise = torch.randn(rows.shape, generator=generator)
    noise -= (noise @ axis)[:, None] * axis
    return along + noise / noise.norm(dim=1, keepdim=True) * (rows - along).norm(dim=1, keepdim=True)
