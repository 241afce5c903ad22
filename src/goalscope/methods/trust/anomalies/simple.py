"""What stands beside every detector: scores that need none, and what labels would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from goalscope.methods.trust.anomalies.moments import Moments, pooled, samples_of
from goalscope.showing import drawing, text


def unsure(logits: np.ndarray) -> np.ndarray:
    """[N] one less the largest probability, of logits [N, A]."""
    return 1 - np.exp(log_softmax(samples_of(logits, "logits").astype(np.float64), 1).max(1))


def entropy(logits: np.ndarray) -> np.ndarray:
    """[N] in nats, of logits [N, A]."""
    log = log_softmax(samples_of(logits, "logits").astype(np.float64), 1)
    return -(np.exp(log) * log).sum(1)


@dataclass(frozen=True)
class Norm:
    """How far the length of a sample is from the mean length of trusted ones, in their spread."""

    __repr__, _repr_html_ = text, drawing

    mean: float
    spread: float
    site: str

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """[N] scores of samples [N, D]."""
        return np.abs(np.linalg.norm(samples_of(x, self.site), axis=1) - self.mean) / self.spread


class NormFit:
    """Takes lengths of trusted samples.

    Args:
        site: what the samples are of, for errors.
    """

    def __init__(self, site: str = "activations"):
        self.moments = Moments(f"lengths of {site}")
        self.site = site

    def update(self, x: np.ndarray) -> None:
        """Takes trusted samples [N, D]."""
        self.moments.update(
            np.linalg.norm(samples_of(x, self.site, before=self.moments.n), axis=1, keepdims=True)
        )

    def done(self) -> Norm:
        """The detector; raises ValueError for fewer than two samples, or lengths that are all the same."""
        found = self.moments.gaussian(shrunk=False)
        if not found.covariance[0, 0] > 0:
            raise ValueError(f"all trusted samples of {self.site} have one length")
        return Norm(float(found.mean[0]), float(found.covariance[0, 0]) ** 0.5, self.site)


def with_labels(x: np.ndarray, anomalous: np.ndarray, level: np.ndarray, seed: int = 0) -> np.ndarray:
    """[N] scores of a linear discriminant that is told which samples are anomalous: a ceiling, not a detector.

    It is fitted on one half of the levels and scores the other, and the other way round.

    Args:
        x: [N, D]. anomalous: [N] bool. level: [N] int. seed: of the halves.

    Raises:
        ValueError: a half without samples of both kinds.
    """
    x, anomalous = samples_of(x, "samples").astype(np.float64), np.asarray(anomalous, bool)
    levels = np.unique(level)
    first = np.isin(level, np.random.default_rng(seed).permutation(levels)[: len(levels) // 2])
    scores = np.empty(len(x))
    for fitted in (first, ~first):
        parts = []
        for kind in (False, True):
            chosen = fitted & (anomalous == kind)
            if not chosen.any():
                raise ValueError(
                    "each half of the levels must hold anomalous samples and others: give more levels"
                )
            parts.append(Moments("samples"))
            parts[-1].update(x[chosen])
        found, (usual, strange) = pooled(parts), parts
        direction = np.linalg.solve(found.covariance, strange.mean - usual.mean)
        # Centred between the two, so that the scores of both halves can be put in one order.
        scores[~fitted] = (x[~fitted] - (strange.mean + usual.mean) / 2) @ direction
    return scores
