"""Detectors that look at the nearest trusted samples: how far they are, and at which rank one of the same class stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from goalscope.methods.trust.anomalies.distances import Quadratic
from goalscope.methods.trust.anomalies.moments import Moments, samples_of, whitening
from goalscope.showing import drawing, text

ROWS = 1024
"""samples whose distances to all trusted ones are held at once"""
FLOOR = 0.01
"""added to the variance of the logarithms of ranks"""


@dataclass(frozen=True)
class Neighbours:
    """The distance to the k-th nearest trusted sample, each dimension in units of its own spread."""

    __repr__, _repr_html_ = text, drawing

    trusted: np.ndarray
    """[M, D] scaled"""
    scale: np.ndarray
    """[D] by which samples are multiplied"""
    k: int
    site: str

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """[N] distances of samples [N, D]."""
        x = samples_of(x, self.site, self.trusted.shape[1]) * self.scale
        parts = [
            np.partition(apart(x[i : i + ROWS], self.trusted), self.k - 1, axis=1)[:, self.k - 1]
            for i in range(0, len(x), ROWS)
        ]
        return np.sqrt(np.concatenate(parts)) if parts else np.empty(0)


class NeighboursFit:
    """Keeps the trusted samples.

    Args:
        k: which of the nearest.
        site: what the samples are of, for errors.
    """

    def __init__(self, k: int = 5, site: str = "activations"):
        if isinstance(k, bool) or k < 1:
            raise ValueError(f"k must be at least 1, got {k!r}")
        self.k, self.site = k, site
        self._kept: list[np.ndarray] = []

    def update(self, x: np.ndarray) -> None:
        """Takes trusted samples [N, D]."""
        size = self._kept[0].shape[1] if self._kept else None
        self._kept.append(samples_of(x, self.site, size, sum(map(len, self._kept))).astype(np.float64))

    def done(self) -> Neighbours:
        """The detector; raises ValueError for fewer samples than k."""
        count = sum(map(len, self._kept))
        if count < self.k:
            raise ValueError(f"{count} trusted samples of {self.site} have no neighbour of rank {self.k}")
        x = np.concatenate(self._kept)
        spread = x.std(0)
        scale = 1 / np.where(spread > 1e-12, spread, 1)
        return Neighbours(x * scale, scale, self.k, self.site)


@dataclass(frozen=True)
class Trajectory:
    """How a sample's nearest trusted neighbour of its own class ranks among all trusted ones, layer after layer."""

    __repr__, _repr_html_ = text, drawing

    layers: Mapping[str, np.ndarray]
    """site -> [M, D] trusted samples"""
    label: np.ndarray
    """[M] int, their classes"""
    strange: Quadratic
    """of the logarithms of the ranks [N, L]"""

    def __call__(self, layers: Mapping[str, np.ndarray], label: np.ndarray) -> np.ndarray:
        """[N] scores of samples: site -> [N, D], and the class [N] that the network gives them."""
        return self.strange(np.log1p(rank_table(self.layers, self.label, layers, np.asarray(label))))


class TrajectoryFit:
    """Ranks of nearest neighbours over layers (Mo et al. 2024, "Robust backdoor detection for deep learning via topological
    evolution dynamics"), the trusted ones' own ranks without themselves."""

    def __init__(self) -> None:
        self._kept: dict[str, list[np.ndarray]] = {}
        self._labels: list[np.ndarray] = []

    def update(self, layers: Mapping[str, np.ndarray], label: np.ndarray) -> None:
        """Takes trusted samples: site -> [N, D], the same sites each time, and the class [N] int that the network gives.

        Raises:
            ValueError: other sites than before, numbers that are not finite, lengths that differ.
        """
        label = np.asarray(label)
        if self._kept and list(layers) != list(self._kept):
            raise ValueError(f"sites must be {', '.join(self._kept)} each time, got {', '.join(layers)}")
        for site, x in layers.items():
            x = samples_of(x, site)
            if label.shape != (len(x),):
                raise ValueError(f"label must be [{len(x)}], as long as {site}, got {label.shape}")
            self._kept.setdefault(site, []).append(x.astype(np.float64))
        self._labels.append(label)

    def done(self) -> Trajectory:
        """The detector; raises ValueError for no more samples than layers."""
        if not self._kept:
            raise ValueError("no samples yet: call update first")
        layers = {site: np.concatenate(parts) for site, parts in self._kept.items()}
        label = np.concatenate(self._labels)
        ranks = np.log1p(rank_table(layers, label, layers, label, themselves=True))
        moments = Moments("ranks over layers")
        moments.update(ranks)
        found = moments.gaussian(shrunk=False)
        # Where the classes are well apart every trusted rank is 0: the floor then says what a rank is worth.
        found = replace(found, covariance=found.covariance + FLOOR * np.eye(ranks.shape[1]))
        return Trajectory(layers, label, Quadratic(found.mean, whitening(found), moments.site, found.n))


def rank_table(
    trusted: Mapping[str, np.ndarray], own: np.ndarray, layers: Mapping[str, np.ndarray], label: np.ndarray,
    themselves: bool = False,
) -> np.ndarray:  # fmt: skip
    """[N, L]: how many trusted samples are nearer than the nearest one of the same class, in each layer.

    Args:
        trusted: site -> [M, D]. own: [M] classes. layers: site -> [N, D]. label: [N] classes.
        themselves: the samples are the trusted ones, and none is its own neighbour.

    Raises:
        ValueError: a site is missing.
    """
    missing = [site for site in trusted if site not in layers]
    if missing:
        raise ValueError(
            f"samples of {missing[0]} are missing; the detector was fitted on {', '.join(trusted)}"
        )
    columns = []
    for site, kept in trusted.items():
        x, found = samples_of(layers[site], site, kept.shape[1]), []
        for i in range(0, len(x), ROWS):
            away = apart(x[i : i + ROWS], kept)
            if themselves:
                rows = np.arange(len(away))
                away[rows, i + rows] = np.inf
            same = np.where(own == label[i : i + ROWS, None], away, np.inf).min(1)
            found.append((away < same[:, None]).sum(1))
        columns.append(np.concatenate(found) if found else np.empty(0))
    return np.stack(columns, 1)


def apart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[N, M] squared distances of x [N, D] and y [M, D]."""
    square = np.einsum("nd,nd->n", x, x)[:, None] + np.einsum("md,md->m", y, y) - 2 * x @ y.T
    return np.maximum(square, 0)
