"""A trained dictionary: activations to latents and back, frozen.

z = s(W (x - b) + c), x̂ = zᵀ D + b, the rows of D of unit norm. s is relu; relu of the k greatest (TopK: Gao et al. 2024,
"Scaling and evaluating sparse autoencoders", section 2); or what exceeds a threshold (JumpReLU: Rajamanoharan et al. 2024,
"Jumping ahead", section 3). BatchTopK and Matryoshka dictionaries have a threshold once they are trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goalscope.showing import drawing, text

KINDS = ("relu", "topk", "batchtopk", "jumprelu", "matryoshka", "multitopk")
"""how a dictionary may be trained"""
ROWS = 4096
"""rows at a time, so that memory stays at this many codes"""


@dataclass(frozen=True)
class Dictionary:
    """m directions of d numbers, and what gives each row of activations its few coefficients."""

    __repr__, _repr_html_ = text, drawing

    encoder: Tensor
    """[m, d] W, one row a latent"""
    encoder_bias: Tensor
    """[m] c"""
    decoder: Tensor
    """[m, d] D, rows of unit norm"""
    bias: Tensor
    """[d] b, taken off before and added after"""
    kind: str
    """one of `KINDS`, as it was trained"""
    k: int | None = None
    """latents of a row that may be active; None where `threshold` or relu alone decides"""
    threshold: Tensor | None = None
    """[m] a latent is active above it; None where the k greatest are"""
    site: str = ""
    """where the activations are from; '' where nobody said"""

    @property
    def width(self) -> int:
        """m, the number of latents."""
        return len(self.decoder)

    @property
    def size(self) -> int:
        """d, the numbers of one activation."""
        return self.decoder.shape[1]

    def pre(self, x: Tensor) -> Tensor:
        """[n, m] what s is applied to.

        Raises:
            ValueError: x is not [n, d].
        """
        self._check(x)
        return torch.addmm(self.encoder_bias, x - self.bias, self.encoder.T)

    def encode(self, x: Tensor, k: int | None = None, *, either_sign: bool = False) -> Tensor:
        """[n, m] the latents of activations.

        Args:
            x: [n, d] activations as they are, not scaled.
            k: keep the k greatest pre-activations that are positive, in place of the dictionary's own rule; a code that
                works for every k is progressive.
            either_sign: keep the k of greatest size, with their sign: do negative pre-activations say something too? It
                needs a k, given here or the dictionary's.

        Raises:
            ValueError: x is not [n, d], k is not from 1 to m, `either_sign` without a k.
        """
        pre = self.pre(x)
        if k is None and self.threshold is None:
            k = self.k
        if k is None:
            if either_sign:
                raise ValueError("either_sign needs k: this dictionary keeps what exceeds a threshold")
            active = pre > (0 if self.threshold is None else self.threshold)
            return torch.where(active, pre, 0).clamp(min=0)
        if not 1 <= k <= self.width:
            raise ValueError(f"k must be from 1 to {self.width}, the dictionary's latents, got {k}")
        index = (pre.abs() if either_sign else pre).topk(k, dim=1).indices
        kept = pre.gather(1, index)
        return torch.zeros_like(pre).scatter_(1, index, kept if either_sign else kept.clamp(min=0))

    def decode(self, z: Tensor) -> Tensor:
        """[n, d] activations of latents [n, m]."""
        return torch.addmm(self.bias, z, self.decoder)

    def __call__(self, x: Tensor, k: int | None = None) -> Tensor:
        """[n, d] activations after the way through the latents; see `encode`."""
        self._check(x)
        if not len(x):
            return x.clone()
        return torch.cat([self.decode(self.encode(part, k)) for part in x.split(ROWS)])

    def _check(self, x: Tensor) -> None:
        if x.ndim != 2 or x.shape[1] != self.size:
            of = f" of site {self.site!r}" if self.site else ""
            raise ValueError(f"activations{of} must be [n, {self.size}], got {list(x.shape)}")


def check_fits(dictionary: Dictionary, site: str, size: int) -> None:
    """Refuses a dictionary for another place.

    Args:
        dictionary: that is to be used.
        site: where. size: the numbers of one activation there.

    Raises:
        ValueError: it was trained at another site, or on activations of another size; both are named.
    """
    if dictionary.site and dictionary.site != site:
        raise ValueError(
            f"the dictionary is of site {dictionary.site!r} (size {dictionary.size}), not of {site!r} (size {size}): use it "
            "there, or train one here"
        )
    if dictionary.size != size:
        raise ValueError(
            f"the dictionary takes activations of size {dictionary.size}, site {site!r} has {size}: train one here"
        )
