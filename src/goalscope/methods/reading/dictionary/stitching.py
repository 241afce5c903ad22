"""Small in large, large in small: what one dictionary has that another lacks, and of what its latents are made.

Stitching (Leask et al. 2025, "Sparse autoencoders do not find canonical units of analysis", section 4): a latent of the
large dictionary is added to the small one. Where the error falls, it says something new; where it rises, the small one said
it already in other words. The converse: each large latent's contribution as a sum of few small latents' directions, with
weights that are not negative, fitted on some rows and judged on others, beside random directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from goalscope.methods.reading.dictionary.learned import ROWS, Dictionary
from goalscope.methods.reading.dictionary.matching import cosines
from goalscope.showing import drawing, text


@dataclass(frozen=True)
class Stitched:
    """What each latent of the large dictionary does to the small one's error."""

    __repr__, _repr_html_ = text, drawing

    change: np.ndarray
    """[M] change of the squared error over all rows, as a share of the small dictionary's; below 0 the latent is novel"""
    cosine: np.ndarray
    """[M] with the small latent that is nearest"""
    rate: np.ndarray
    """[M] share of rows in which it is active"""

    @property
    def novel(self) -> np.ndarray:
        """[M] bool: active, and the error falls."""
        return (self.rate > 0) & (self.change < 0)


@dataclass(frozen=True)
class Composed:
    """How well large latents are made of small ones."""

    __repr__, _repr_html_ = text, drawing

    explained: np.ndarray
    """[L] share of each large latent's activation on held-out rows that the sum explains; may be below 0"""
    random: np.ndarray
    """[L] the same by as many latents of random directions: the control"""
    parts: np.ndarray
    """[L, c] int, the small latents that it is made of; -1 where there are fewer"""
    weights: np.ndarray
    """[L, c] theirs, not negative"""


def stitched(small: Dictionary, large: Dictionary, x: Tensor) -> Stitched:
    """Adds each large latent to the small dictionary, alone.

    Args:
        small, large: of the same site.
        x: [n, d] rows that neither has seen.

    Raises:
        ValueError: dictionaries of activations of another size.
    """
    _check(small, large)
    change, often = (torch.zeros(large.width, dtype=torch.float64) for _ in range(2))
    whole = 0.0
    for part in x.split(ROWS):
        left = part - small.decode(small.encode(part))
        z = large.encode(part)
        # |left - z d|² - |left|² of each row, d of unit norm
        change += (z.square() - 2 * z * (left @ large.decoder.T)).double().sum(0)
        often += (z > 0).sum(0)
        whole += float(left.double().square().sum())
    nearest = cosines(large.decoder, small.decoder).max(1).values
    return Stitched((change / max(whole, 1e-30)).numpy(), nearest.numpy(), (often / len(x)).numpy())


def composed(
    small: Dictionary, large: Dictionary, x: Tensor, train: np.ndarray, latents: np.ndarray, *, parts: int = 4, seed: int = 0
) -> Composed:  # fmt: skip
    """Each large latent's activation from few of the small dictionary's, on rows that were not fitted on.

    Args:
        small, large: of the same site.
        x: [n, d] rows.
        train: [n] bool, rows that are fitted on: whole levels, since squares of one level are alike.
        latents: [L] int, which of the large ones.
        parts: c, small latents that may be used; those whose activations correlate most with it on the training rows.
        seed: of the control's directions.

    Raises:
        ValueError: dictionaries of another size, no rows on one side.
    """
    _check(small, large)
    if not 0 < train.sum() < len(x):
        raise ValueError(f"both sides need rows, got {int(train.sum())} of {len(x)} to fit on")
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(small.width, small.size, generator=generator)
    noise /= noise.norm(dim=1, keepdim=True)
    wanted = large.encode(x)[:, torch.from_numpy(np.asarray(latents))].double().numpy()
    blank = Dictionary(noise, small.encoder_bias, noise, small.bias, small.kind, small.k, small.threshold)
    fitted = [_sparse(made.encode(x).double().numpy(), wanted, train, parts) for made in (small, blank)]
    return Composed(fitted[0][0], fitted[1][0], *fitted[0][1:])


def _sparse(source: np.ndarray, wanted: np.ndarray, train: np.ndarray, parts: int) -> tuple[np.ndarray, ...]:
    """([L] explained on the other rows, [L, c] sources, [L, c] weights) of regressions without negative weights."""
    centred = source[train] - source[train].mean(0)
    spread = np.sqrt(np.square(centred).sum(0)).clip(1e-12)
    explained, chosen, weights = [], [], []
    for target in wanted.T:
        follows = centred.T @ (target[train] - target[train].mean()) / spread
        best = np.argsort(-follows, kind="stable")[:parts]
        weight, _ = nnls(source[train][:, best], target[train])
        held = target[~train]
        error = np.square(held - source[~train][:, best] @ weight).sum()
        explained.append(1 - error / max(np.square(held).sum(), 1e-30))
        room = np.full(parts, -1)
        room[: len(best)] = np.where(weight > 0, best, -1)
        chosen.append(room)
        weights.append(np.pad(weight, (0, parts - len(weight))))
    return np.array(explained), np.array(chosen), np.array(weights)


def _check(small: Dictionary, large: Dictionary) -> None:
    if small.size != large.size or (small.site and large.site and small.site != large.site):
        raise ValueError(
            f"the dictionaries are of different places: {small.site or 'a site'!r} of size {small.size}, "
            f"{large.site or 'a site'!r} of size {large.size}"
        )
