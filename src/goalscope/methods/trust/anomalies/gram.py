"""Beatrix: powers of Gram matrices, each entry against the median of the trusted samples (Ma et al. 2023, "The Beatrix
resurrections: robust backdoor detection via Gram matrices")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goalscope.showing import drawing, text

ORDERS = (1, 2, 4)
LARGEST = 128
"""channels; more would make tables of gigabytes"""


@dataclass(frozen=True)
class Gram:
    """The mean over entries of |entry - median| in units of the median such distance."""

    __repr__, _repr_html_ = text, drawing

    median: np.ndarray
    """[E] of the entries of all orders"""
    spread: np.ndarray
    """[E] the median distance from it"""
    site: str

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """[N] scores of samples [N, C, ...]."""
        entries = gram_powers(x, self.site)
        if entries.shape[1] != len(self.median):
            raise ValueError(f"samples of {self.site} have another number of channels than the trusted ones")
        return (np.abs(entries - self.median) / self.spread).mean(1)


class GramFit:
    """Keeps the entries of all trusted samples, so that a median is the median of all of them.

    Args:
        site: what the samples are of, for errors.
    """

    def __init__(self, site: str = "activations"):
        self.site = site
        self._kept: list[np.ndarray] = []

    def update(self, x: np.ndarray) -> None:
        """Takes trusted samples [N, C, ...]; raises ValueError for numbers that are not finite."""
        self._kept.append(gram_powers(x, self.site, sum(map(len, self._kept))))

    def done(self) -> Gram:
        """The detector; entries that never change among the trusted count in units of the smallest spread of others."""
        if not self._kept:
            raise ValueError(f"no samples of {self.site} yet: call update first")
        entries = np.concatenate(self._kept)
        median = np.median(entries, 0)
        spread = np.median(np.abs(entries - median), 0)
        if not (spread > 0).any():
            raise ValueError(f"the trusted samples of {self.site} are all the same")
        return Gram(median, np.where(spread > 0, spread, spread[spread > 0].min()), self.site)


def gram_powers(x: np.ndarray, site: str, before: int = 0) -> np.ndarray:
    """[N, E]: the upper triangles of the p-th roots of Gram matrices of p-th powers, for every order p.

    Args:
        x: [N, C, ...]; what follows the channels is summed over.
        site: for errors. before: samples before these.

    Raises:
        ValueError: no channels, more than `LARGEST`, numbers that are not finite.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim < 2 or x.shape[1] > LARGEST:
        raise ValueError(
            f"samples of {site} must be [N, C, ...] with at most {LARGEST} channels, got {x.shape}"
        )
    wrong = ~np.isfinite(x).reshape(len(x), -1).all(1)
    if wrong.any():
        raise ValueError(f"{site} is not finite in sample {before + int(wrong.argmax())}")
    x = x.reshape(len(x), x.shape[1], -1)
    upper = np.triu_indices(x.shape[1])
    made = []
    for order in ORDERS:
        power = x**order
        product = (power @ power.transpose(0, 2, 1))[:, upper[0], upper[1]]
        made.append(np.sign(product) * np.abs(product) ** (1 / order))
    return np.concatenate(made, 1)
