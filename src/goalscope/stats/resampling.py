"""Samples of levels: how often each is drawn, or how much it weighs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from goalscope.stats.estimate import TAIL

RESAMPLES = 2000

# Weight matrices up to this many entries are kept for the next call, larger ones are made in blocks of
# this size and thrown away: 16,000 levels must not cost 16 times the memory of 1,000.
BLOCK = 2_500_000


def resample_counts(n: int, *, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """[resamples, n] float64: how often each level is in each bootstrap sample of `n` levels (read-only)."""
    if n < 1 or resamples < 1:
        raise ValueError(f"n and resamples must be at least 1, got {n} and {resamples}")
    return np.concatenate(list(weights_of("counts", n, resamples, seed)))


def percentile_interval(replicates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Limits [..] and [..] of the middle 95% of replicates [B, ..]."""
    low, high = np.quantile(replicates, [TAIL, 1 - TAIL], axis=0)
    return low, high


def weights_of(kind: str, n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks [b, n] of resampling weights, `resamples` rows in all."""
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    rows = max(1, BLOCK // n)
    for block, first in enumerate(range(0, resamples, rows)):
        size = min(rows, resamples - first)
        make = _cached_block if resamples <= rows else _block
        yield make(kind, n, size, seed, block)


def _block(kind: str, n: int, size: int, seed: int, block: int) -> np.ndarray:
    rng = np.random.default_rng([seed, block])
    if kind == "dirichlet":  # up to the common factor, which a ratio does not see
        weights = rng.standard_exponential((size, n))
    else:
        drawn = rng.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
    weights.flags.writeable = False
    return weights


_cached_block = lru_cache(maxsize=4)(_block)


def matvec(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """[R] product of matrix [R, N] and vector [N]: einsum, not BLAS, so the same bits whatever the number of threads."""
    return np.einsum("rn,n->r", matrix, vector)
