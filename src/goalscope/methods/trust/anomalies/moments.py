"""Mean and covariance of a stream of samples, and how far the covariance is to be shrunk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from goalscope.showing import drawing, text

BLOCK = 8192
"""samples that are turned into double precision at once"""


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of what was seen."""

    __repr__, _repr_html_ = text, drawing

    mean: np.ndarray
    """[D]"""
    covariance: np.ndarray
    """[D, D]; shrunk, where that was asked for"""
    shrinkage: float
    """the share of the covariance that is trace / D times the identity"""
    n: int
    """samples"""


class Moments:
    """Sums over samples, from which mean, covariance and shrinkage follow exactly, whatever the batches were.

    Args:
        site: what the samples are of, for errors.
    """

    def __init__(self, site: str = "activations"):
        self.site, self.n = site, 0
        self._shift = self._sum = self._scatter = self._weighted = np.empty(0)
        self._squares = self._fourths = 0.0

    def update(self, x: np.ndarray) -> None:
        """Takes samples [N, D] (or [N, ...], flattened).

        Raises:
            ValueError: numbers that are not finite, no samples, or another D than before.
        """
        x = samples_of(x, self.site, len(self._shift) if self.n else None, self.n)
        if not len(x):
            return
        if not self.n:
            self._shift = x[:BLOCK].mean(0, dtype=np.float64)
            size = x.shape[1]
            self._sum, self._weighted, self._scatter = np.zeros(size), np.zeros(size), np.zeros((size, size))
        for y in blocks(x, self._shift):
            square = np.einsum("nd,nd->n", y, y)
            self._sum += y.sum(0)
            self._scatter += y.T @ y
            self._weighted += square @ y
            self._squares += square.sum()
            self._fourths += square @ square
        self.n += len(x)

    def about(self, centre: np.ndarray) -> np.ndarray:
        """[D, D] the second moment about a point [D]."""
        self._refuse_empty()
        mean = self._sum / self.n
        away = mean + self._shift - centre
        return self._scatter / self.n - np.outer(mean, mean) + np.outer(away, away)

    @property
    def mean(self) -> np.ndarray:
        """[D]."""
        self._refuse_empty()
        return self._sum / self.n + self._shift

    def gaussian(self, shrunk: bool = True) -> Gaussian:
        """Mean and covariance, shrunk towards trace / D times the identity as far as Ledoit and Wolf (2004) advise.

        Raises:
            ValueError: no more samples than dimensions, or none that differ.
        """
        self._refuse_few()
        covariance = self.about(self.mean)
        share = shrinkage(covariance, self._central_fourths(), self.n) if shrunk else 0.0
        return Gaussian(self.mean, mixed(covariance, share), share, self.n)

    def _central_fourths(self) -> float:
        """Sum over samples of |x - mean|^4, from sums about another point."""
        m = self._sum / self.n
        square = m @ m
        return float(
            self._fourths
            + 4 * m @ self._scatter @ m
            + self.n * square**2
            - 4 * self._weighted @ m
            + 2 * square * self._squares
            - 4 * square * (self._sum @ m)
        )

    def _refuse_empty(self) -> None:
        if not self.n:
            raise ValueError(f"no samples of {self.site} yet: call update first")

    def _refuse_few(self) -> None:
        self._refuse_empty()
        if self.n <= len(self._sum):
            raise ValueError(
                f"{self.n} trusted samples of {self.site} for {len(self._sum)} dimensions: give more samples than "
                "dimensions, or pool the activations over positions"
            )


def pooled(parts: list[Moments]) -> Gaussian:
    """Covariance within groups, shrunk as if each group had its own mean; the mean is that of all samples."""
    n = sum(part.n for part in parts)
    size = len(parts[0].mean)
    if n - len(parts) <= size:
        raise ValueError(
            f"{n} trusted samples of {parts[0].site} in {len(parts)} classes for {size} dimensions: give more samples"
        )
    covariance = sum((part.n * part.about(part.mean) for part in parts), np.zeros((size, size))) / n
    share = shrinkage(covariance, sum(part._central_fourths() for part in parts), n)
    mean = sum((part.n * part.mean for part in parts), np.zeros(size)) / n
    return Gaussian(mean, mixed(covariance, share), share, n)


def shrinkage(covariance: np.ndarray, fourths: float, n: int) -> float:
    """The share of Ledoit and Wolf (2004), "A well-conditioned estimator for large-dimensional covariance matrices".

    Args:
        covariance: [D, D] of n samples. fourths: sum of |x - mean|^4. n: samples.

    Raises:
        ValueError: no sample differs from another.
    """
    size = len(covariance)
    scale = np.trace(covariance) / size
    if not scale > 0:
        raise ValueError("all trusted samples are the same: there is nothing to measure a distance by")
    whole = np.square(covariance).sum()
    apart = whole - size * scale**2
    noise = (fourths / n - whole) / n
    return float(np.clip(noise / apart, 0, 1)) if apart > 1e-12 * whole else 1.0


def mixed(covariance: np.ndarray, share: float) -> np.ndarray:
    """[D, D] with a share of it replaced by trace / D times the identity."""
    made = (1 - share) * covariance
    made[np.diag_indices(len(made))] += share * np.trace(covariance) / len(covariance)
    return made


def whitening(gaussian: Gaussian) -> np.ndarray:
    """[D, D] W, so that (x - mean) @ W has the identity as covariance.

    Raises:
        ValueError: the covariance is singular, which an unshrunk one of dead units is.
    """
    try:
        lower = np.linalg.cholesky(gaussian.covariance)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "the trusted covariance is singular: leave out features that never change, or let it be shrunk"
        ) from error
    return np.linalg.solve(lower, np.eye(len(lower))).T


def samples_of(x: np.ndarray, site: str, size: int | None = None, before: int = 0) -> np.ndarray:
    """[N, D] of samples [N, ...], all finite.

    Args:
        x: as given. site: what it is of. size: the D of earlier samples. before: how many there were.

    Raises:
        ValueError: no numbers, another D, or some that are not finite, with the first sample's number.
    """
    x = np.asarray(x)
    if x.ndim < 2 or x.dtype.kind not in "fiub":
        raise ValueError(f"samples of {site} must be numbers [N, D], got {x.dtype} {x.shape}")
    x = x.reshape(len(x), -1)
    if size is not None and x.shape[1] != size:
        raise ValueError(f"samples of {site} have {x.shape[1]} dimensions, those before had {size}")
    # A sum is finite where all parts are; only where it is not are the rows looked at.
    if x.dtype.kind == "f" and not np.isfinite(x.sum(dtype=np.float64)):
        wrong = ~np.isfinite(x).all(1)
        if wrong.any():
            raise ValueError(f"{site} is not finite in sample {before + int(wrong.argmax())}")
    return x


def blocks(x: np.ndarray, centre: np.ndarray) -> Iterator[np.ndarray]:
    """Parts [B, D] float64 of x - centre, so that memory stays small."""
    for first in range(0, len(x), BLOCK):
        yield x[first : first + BLOCK] - centre
