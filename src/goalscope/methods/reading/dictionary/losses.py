"""The loss of each kind of dictionary on one batch.

Activations come scaled to norm √d, so that an error of 1 is about all there is to explain whatever the site.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goalscope.methods.reading.dictionary.codes import chosen, decoded, jumped
from goalscope.methods.reading.dictionary.recipe import MULTI, Recipe
from goalscope.showing import drawing, text


@dataclass(frozen=True)
class Weights:
    """What is trained, with gradients."""

    __repr__, _repr_html_ = text, drawing

    encoder: Tensor
    """[m, d]"""
    encoder_bias: Tensor
    """[m]"""
    decoder: Tensor
    """[m, d] rows of unit norm after every step"""
    bias: Tensor
    """[d]"""
    log_threshold: Tensor
    """[m] of jumprelu; no other kind has a gradient here"""

    @property
    def pre(self) -> tuple[Tensor, Tensor, Tensor]:
        """What `codes.chosen` takes."""
        return self.bias, self.encoder, self.encoder_bias


@dataclass(frozen=True)
class Seen:
    """One batch."""

    __repr__, _repr_html_ = text, drawing

    loss: Tensor
    """[] what is made small, without the part for dead latents"""
    error: Tensor
    """[n, d] what is left to explain, without a graph"""
    fired: Tensor
    """[m] bool, latents that were active in some row"""
    active: float
    """latents that a row has active, on average"""
    least: float
    """the least value that was kept; nan where none was"""


def batch_loss(weights: Weights, x: Tensor, recipe: Recipe, pressure: float) -> Seen:
    """The loss of the recipe's kind.

    Args:
        weights: as they are.
        x: [n, d] scaled activations.
        recipe: of the training.
        pressure: of relu, the weight of L1.
    """
    if recipe.kind in ("topk", "multitopk"):
        return _rowwise(weights, x, recipe)
    pre = torch.addmm(weights.encoder_bias, x - weights.bias, weights.encoder.T)
    if recipe.kind == "jumprelu":
        z, count = jumped(pre, weights.log_threshold.exp(), recipe.bandwidth)
        extra = (count.mean() / recipe.k - 1).square()
    elif recipe.kind == "relu":
        z = pre.clamp(min=0)
        extra = pressure * z.sum(1).mean()
    else:
        z, extra = _greatest_of_batch(pre.clamp(min=0), recipe.k), 0.0
    made = [z @ weights.decoder + weights.bias]
    if recipe.kind == "matryoshka":
        made = _nested(weights, z, recipe.nested)
    loss = sum((_squared(x - each) for each in made), torch.zeros(())) / len(made) + extra
    on = z > 0
    kept = z.detach()[on]
    least = float(kept.min()) if len(kept) else float("nan")
    return Seen(loss, (x - made[-1]).detach(), on.any(0), float(on.sum() / len(x)), least)


def auxiliary_loss(weights: Weights, x: Tensor, error: Tensor, dead: Tensor) -> Tensor:
    """The share of the error that dead latents leave unexplained when the strongest of them reconstruct it (AuxK).

    Args:
        weights: as they are.
        x: [n, d] scaled activations. error: [n, d] what the live ones left of them.
        dead: [D] indices of latents that have not fired for long, at least one.
    """
    k = min(len(dead), max(1, x.shape[1] // 2))
    values, index = chosen(x, weights.bias, weights.encoder[dead], weights.encoder_bias[dead], k)
    left = error - decoded(values.clamp(min=0), index, weights.decoder[dead])
    return left.square().sum() / error.square().sum().clamp(min=1e-12)


def _rowwise(weights: Weights, x: Tensor, recipe: Recipe) -> Seen:
    """TopK: the error with k latents. Multi-TopK: also with 4 k, an eighth of it; what is seen is that of k."""
    most = recipe.k * (MULTI if recipe.kind == "multitopk" else 1)
    values, index = chosen(x, *weights.pre, most)
    values = values.clamp(min=0)

    def left(k: int) -> Tensor:
        return x - decoded(values[:, :k], index[:, :k], weights.decoder) - weights.bias

    error = left(recipe.k)
    loss = _squared(error)
    if most > recipe.k:
        loss = loss + _squared(left(most)) / 8
    own, on = index[:, : recipe.k], values.detach()[:, : recipe.k] > 0
    fired = torch.zeros(len(weights.decoder), dtype=torch.bool)
    fired[own[on]] = True
    return Seen(loss, error.detach(), fired, float(on.sum() / len(x)), float("nan"))


def _greatest_of_batch(positive: Tensor, k: int) -> Tensor:
    """BatchTopK: the n · k greatest of the batch, whichever rows they are in (Bussmann, Leask and Nanda 2024)."""
    flat = positive.detach().reshape(-1)
    least = flat.kthvalue(len(flat) - len(positive) * k + 1).values
    return torch.where(positive >= least.clamp(min=1e-30), positive, 0)


def _nested(weights: Weights, z: Tensor, ends: tuple[int, ...]) -> list[Tensor]:
    """The reconstructions of the first latents alone, of more of them, of all (Bussmann et al. 2025, Matryoshka SAEs)."""
    made, first, total = [], 0, weights.bias
    for end in ends:
        total = total + z[:, first:end] @ weights.decoder[first:end]
        made.append(total)
        first = end
    return made


def _squared(error: Tensor) -> Tensor:
    """Mean over rows and numbers of a row."""
    return error.square().mean()
