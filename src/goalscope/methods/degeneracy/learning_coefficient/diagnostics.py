"""Whether chains agree, and how many independent draws they are worth.

Vehtari et al. 2021, "Rank-normalization, folding, and localization: an improved R̂", equations 1 to 3 and 10 to 14, on the
numbers themselves and not on their ranks.
"""

from __future__ import annotations

import numpy as np


def r_hat(draws: np.ndarray) -> float:
    """How much further chains lie apart than their own spread allows; 1 where they agree.

    Every chain counts as two, its halves, so that one that still wanders disagrees with itself.

    Args:
        draws: [C, T] numbers, at least 4 in each chain.

    Returns:
        R̂; 1 where no draw differs from another, infinite where only the chains do.
    """
    halves = _halves(draws)
    within = halves.var(1, ddof=1).mean()
    length = halves.shape[1]
    between = length * halves.mean(1).var(ddof=1)
    if within == 0:
        return 1.0 if between == 0 else float("inf")
    return float(np.sqrt((length - 1) / length + between / within / length))


def effective(draws: np.ndarray) -> float:
    """How many independent draws have the standard error of these ones [C, T]; at most C T log10(C T)."""
    halves = _halves(draws)
    chains, length = halves.shape
    within = halves.var(1, ddof=1).mean()
    if within == 0:
        return float(chains * length)
    spread = (length - 1) / length * within + halves.mean(1).var(ddof=1)
    covariance = _autocovariance(halves).mean(0)
    correlation = 1 - (within - covariance * length / (length - 1)) / spread
    correlation[0] = 1.0
    pairs = correlation[: length // 2 * 2].reshape(-1, 2).sum(1)
    # Geyer's initial monotone sequence: sums of neighbours are positive and fall, what comes after is noise.
    ends = np.flatnonzero(pairs <= 0)
    kept = np.minimum.accumulate(pairs[: ends[0] if len(ends) else None])
    total = chains * length
    return float(min(total / max(2 * kept.sum() - 1, 1 / np.log10(total)), total * np.log10(total)))


def _halves(draws: np.ndarray) -> np.ndarray:
    """[2 C, T // 2] the two halves of each chain."""
    length = draws.shape[1] // 2
    return np.concatenate([draws[:, :length], draws[:, -length:]])


def _autocovariance(chains: np.ndarray) -> np.ndarray:
    """[C, T] autocovariance of each chain at every lag, by Fourier transform, divided by T."""
    length = chains.shape[1]
    centred = chains - chains.mean(1, keepdims=True)
    power = np.abs(np.fft.rfft(centred, 2 * length, axis=1)) ** 2
    return np.fft.irfft(power, axis=1)[:, :length] / length
