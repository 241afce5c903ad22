"""What a dictionary is judged beside: directions that needed no sparse training, coded with as many numbers a row.

Of each the k directions that correlate most with a row are taken and their coefficients, of either sign, fitted by least
squares: more than a dictionary's own encoder gets.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goalscope.methods.reading.dictionary.learned import Dictionary
from goalscope.showing import drawing, text

ROWS = 2048
"""rows at a time"""
SALT = 700_001
"""apart from the seeds of trainings"""


@dataclass(frozen=True)
class Frame:
    """Directions about a centre."""

    __repr__, _repr_html_ = text, drawing

    name: str
    """in words"""
    directions: Tensor
    """[m, d] of unit norm"""
    centre: Tensor
    """[d]"""

    def encode(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """([n, k] coefficients, [n, k] directions) of rows [n, d]; k is at most m."""
        inner = x - self.centre
        k = min(k, len(self.directions))
        index = (inner @ self.directions.T).abs().topk(k, dim=1).indices
        chosen = self.directions[index]
        gram = chosen @ chosen.mT + 1e-6 * torch.eye(k)
        return torch.linalg.solve(gram, (chosen @ inner[..., None]))[..., 0], index

    def __call__(self, x: Tensor, k: int) -> Tensor:
        """[n, d] rows made of k directions each."""
        made = []
        for part in x.split(max(1, ROWS // max(1, k // 8))):
            values, index = self.encode(part, k)
            made.append((values[..., None] * self.directions[index]).sum(1) + self.centre)
        return torch.cat(made)


def neurons(x: Tensor) -> Frame:
    """The site's own coordinates about the mean of the rows [n, d]."""
    return Frame("neurons", torch.eye(x.shape[1]), x.mean(0))


def principal(x: Tensor) -> Frame:
    """The principal components of the rows [n, d]."""
    centre = x.mean(0)
    covariance = (x - centre).T.double() @ (x - centre).double() / len(x)
    return Frame("PCA", torch.linalg.eigh(covariance).eigenvectors.flip(1).T.float().contiguous(), centre)


def independent(x: Tensor, *, seed: int = 0, rounds: int = 100) -> Frame:
    """The independent components of the rows [n, d] (FastICA with tanh: Hyvärinen 1999, "Fast and robust fixed-point").

    Directions of next to no variance are left out. The rounds end early once the directions stand still; where they
    never do, the last ones are given: a baseline need not be perfect.
    """
    centre = x.mean(0)
    inner = (x - centre).double()
    values, vectors = torch.linalg.eigh(inner.T @ inner / len(x))
    kept = values > values.max() * 1e-6
    whiten = vectors[:, kept] / values[kept].sqrt()
    white = inner @ whiten
    size = white.shape[1]
    turn = torch.linalg.qr(
        torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    )[0]
    for _ in range(rounds):
        part = torch.tanh(white @ turn.T)
        new = part.T @ white / len(x) - (1 - part.square()).mean(0)[:, None] * turn
        left, _, right = torch.linalg.svd(new)
        new = left @ right
        still = ((new * turn).sum(1).abs() - 1).abs().max() < 1e-4
        turn = new
        if still:
            break
    mixing = turn @ torch.linalg.pinv(whiten)
    return Frame("ICA", (mixing / mixing.norm(dim=1, keepdim=True)).float(), centre)


def random_like(dictionary: Dictionary, x: Tensor, *, seed: int = 0) -> Frame:
    """As many random directions as the dictionary has latents, about the mean of the rows [n, d]; unit norm, as its own."""
    generator = torch.Generator().manual_seed(seed + SALT)  # not the directions that its training began with
    directions = torch.randn(dictionary.width, dictionary.size, generator=generator)
    return Frame("random directions", directions / directions.norm(dim=1, keepdim=True), x.mean(0))
