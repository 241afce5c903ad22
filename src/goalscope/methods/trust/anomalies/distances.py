"""Detectors that measure a distance from the trusted mean, each by a covariance of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from goalscope.methods.trust.anomalies.moments import Moments, blocks, pooled, samples_of, whitening
from goalscope.showing import drawing, text


@dataclass(frozen=True)
class Quadratic:
    """A detector whose score is |(x - mean) @ root|²."""

    __repr__, _repr_html_ = text, drawing

    mean: np.ndarray
    """[D] of the trusted samples"""
    root: np.ndarray
    """[D, R]"""
    site: str
    n: int
    """trusted samples that it was fitted on"""
    settings: Mapping[str, float] = field(default_factory=dict)
    """what else was found in fitting, such as the shrinkage"""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """[N] scores of samples [N, D]; raises ValueError for another D, or numbers that are not finite."""
        x = samples_of(x, self.site, len(self.mean))
        parts = [np.einsum("nr,nr->n", z, z) for z in (y @ self.root for y in blocks(x, self.mean))]
        return np.concatenate(parts) if parts else np.empty(0)


@dataclass(frozen=True)
class Relative:
    """The distance to the nearest class's mean, less the distance to the mean of all: what is strange for every class."""

    __repr__, _repr_html_ = text, drawing

    within: tuple[Quadratic, ...]
    """of each class"""
    overall: Quadratic

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """[N] scores of samples [N, D]."""
        return np.min([one(x) for one in self.within], axis=0) - self.overall(x)


class MahalanobisFit:
    """Distance by the trusted covariance, shrunk (Ledoit and Wolf 2004).

    Args:
        site: what the samples are of, for errors.
    """

    def __init__(self, site: str = "activations"):
        self.moments = Moments(site)

    def update(self, x: np.ndarray) -> None:
        """Takes trusted samples [N, D]; raises ValueError as `Moments.update`."""
        self.moments.update(x)

    def done(self) -> Quadratic:
        """The detector; raises ValueError where there are no more samples than dimensions."""
        found = self.moments.gaussian()
        return Quadratic(
            found.mean, whitening(found), self.moments.site, found.n, {"shrinkage": found.shrinkage}
        )


class RelativeFit:
    """Relative Mahalanobis distance (Ren et al. 2021, "A simple fix to Mahalanobis distance for improving near-OOD
    detection"): classes share one covariance.

    Args:
        site: what the samples are of, for errors.
    """

    def __init__(self, site: str = "activations"):
        self.site, self.overall = site, Moments(site)
        self.classes: dict[int, Moments] = {}

    def update(self, x: np.ndarray, label: np.ndarray) -> None:
        """Takes trusted samples [N, D] with their classes [N] int, such as the most probable action."""
        x, label = samples_of(x, self.site), np.asarray(label)
        if label.shape != (len(x),) or label.dtype.kind not in "iu":
            raise ValueError(f"label must be [{len(x)}] int, got {label.dtype} {label.shape}")
        self.overall.update(x)
        for one in np.unique(label).tolist():
            self.classes.setdefault(one, Moments(self.site)).update(x[label == one])

    def done(self) -> Relative:
        """The detector; raises ValueError where there are no more samples than dimensions."""
        found = self.overall.gaussian()
        overall = Quadratic(found.mean, whitening(found), self.site, found.n)
        parts = [self.classes[one] for one in sorted(self.classes)]
        root = whitening(pooled(parts))
        return Relative(tuple(Quadratic(part.mean, root, self.site, part.n) for part in parts), overall)


class SpectralFit:
    """Spectral signatures (Tran et al. 2018): distance along the direction in which the untrusted samples vary most about
    the trusted mean.

    Args:
        site: what the samples are of, for errors.
    """

    def __init__(self, site: str = "activations"):
        self.trusted, self.untrusted = Moments(site), Moments(f"untrusted {site}")

    def update(self, x: np.ndarray, trusted: bool = True) -> None:
        """Takes samples [N, D], trusted or not; raises ValueError as `Moments.update`."""
        (self.trusted if trusted else self.untrusted).update(x)

    def done(self) -> Quadratic:
        """The detector; raises ValueError before there are samples of both kinds."""
        mean = self.trusted.mean
        direction = np.linalg.eigh(self.untrusted.about(mean))[1][:, -1:]
        return Quadratic(mean, direction, self.trusted.site, self.trusted.n)


class QuantumFit:
    """Quantum entropy scores (Dong, Hopkins and Li 2019, "Quantum entropy scoring for fast robust mean estimation and
    improved outlier detection"): trusted and untrusted covariance are both whitened by the trusted one, and directions in
    which the untrusted samples still vary more weigh more: x̃ᵀ exp(alpha Σ̃ / |Σ̃|) x̃, over the trace of the weight.

    Before any untrusted sample it is the Mahalanobis distance, up to a factor.

    Args:
        alpha: how much more. 0 is the Mahalanobis distance.
        site: what the samples are of, for errors.
    """

    def __init__(self, alpha: float = 4.0, site: str = "activations"):
        if not alpha >= 0:
            raise ValueError(f"alpha must be at least 0, got {alpha}")
        self.alpha, self.trusted, self.untrusted = alpha, Moments(site), Moments(f"untrusted {site}")

    def update(self, x: np.ndarray, trusted: bool = True) -> None:
        """Takes samples [N, D], trusted or not; raises ValueError as `Moments.update`."""
        (self.trusted if trusted else self.untrusted).update(x)

    def done(self) -> Quadratic:
        """The detector; raises ValueError where there are no more trusted samples than dimensions."""
        found = self.trusted.gaussian()
        root = whitening(found)
        spread = np.ones(len(root))
        if self.untrusted.n:
            spread, vectors = np.linalg.eigh(root.T @ self.untrusted.about(found.mean) @ root)
            root = root @ vectors
        weight = np.exp(self.alpha * spread / spread.max())
        root = root * np.sqrt(weight / weight.sum())
        settings = {"alpha": self.alpha, "shrinkage": found.shrinkage, "largest": float(spread.max())}
        return Quadratic(found.mean, root, self.trusted.site, found.n, settings)
