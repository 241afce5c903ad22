"""Random vectors of equal norm: the control of every edit that adds something to activations.

Whatever is added moves a network away from what it has seen, and the more the further it goes. So an effect of a vector
counts only beside that of random vectors which go as far. `random_of_equal_norm` draws them; where the noise must have a
form of its own (the same squares, as many channels), `scaled_to_norm` gives it the norms of what it stands beside.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["random_of_equal_norm", "scaled_to_norm"]


def random_of_equal_norm(
    vectors: Tensor, generator: torch.Generator, *, where_nonzero: bool = False
) -> Tensor:
    """One random vector for each of those given, in a direction of its own and of the same Euclidean norm.

    Args:
        vectors: [N, ..] of floating point, one row a vector; R vectors beside a single one are
            ``random_of_equal_norm(vector.expand(R, *vector.shape), generator)``.
        generator: what is drawn from; normal entries, so that every direction is as likely as any other.
        where_nonzero: draw only the entries at which the given vector is not 0, as for an edit of a few squares.

    Returns:
        [N, ..] of the same dtype; 0 where the given vector is 0 everywhere.

    Raises:
        ValueError: no axis beside that of the vectors, not floating point, a vector that is not finite.
    """
    if vectors.ndim < 2 or not vectors.is_floating_point():
        raise ValueError(
            f"vectors must be [N, ..] of floating point, got {tuple(vectors.shape)} of {vectors.dtype}: "
            "give a single one as vector[None]"
        )
    if not vectors.isfinite().all():
        raise ValueError("a vector is not finite: there is no random one of its norm")
    noise = torch.randn(vectors.shape, generator=generator, dtype=vectors.dtype).to(vectors.device)
    return scaled_to_norm(noise * (vectors != 0) if where_nonzero else noise, vectors)


def scaled_to_norm(noise: Tensor, vectors: Tensor) -> Tensor:
    """[N, ..] each row of `noise` in its own direction with the norm of that row of `vectors`; 0 stays 0."""
    scale = vectors.flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1).clamp(min=1e-30)
    return noise * scale.view(-1, *[1] * (noise.ndim - 1))
