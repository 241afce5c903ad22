"""Mahalanobis and quantum entropy, fitted and scored on 100,000 x 512 activations, against the plain computation.

Peers, on the same samples in the same process and threads: scikit-learn's LedoitWolf with its own Mahalanobis distances,
and quantum entropy written down with NumPy and SciPy (both sets whitened, a matrix exponential, one product). Each run fits
on all samples and scores all samples. Scores must agree. Bound: at most as long as the peer, median of the repeats' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy.linalg import expm

from goalscope.methods.trust.anomalies.distances import MahalanobisFit, QuantumFit

SAMPLES, SIZE, BATCH, ALPHA, REPEATS = 100_000, 512, 10_000, 4.0, 3


def mahalanobis(trusted: np.ndarray, untrusted: np.ndarray) -> np.ndarray:
    """Ours."""
    fit = MahalanobisFit()
    for first in range(0, len(trusted), BATCH):
        fit.update(trusted[first : first + BATCH])
    return fit.done()(untrusted)


def sklearn_mahalanobis(trusted: np.ndarray, untrusted: np.ndarray) -> np.ndarray:
    """scikit-learn's."""
    from sklearn.covariance import LedoitWolf  # type: ignore[import-not-found]

    return LedoitWolf().fit(trusted).mahalanobis(untrusted)


def quantum(trusted: np.ndarray, untrusted: np.ndarray) -> np.ndarray:
    """Ours."""
    fit = QuantumFit(ALPHA)
    for first in range(0, len(trusted), BATCH):
        fit.update(trusted[first : first + BATCH])
        fit.update(untrusted[first : first + BATCH], trusted=False)
    return fit.done()(untrusted)


def plain_quantum(trusted: np.ndarray, untrusted: np.ndarray) -> np.ndarray:
    """With scikit-learn's covariance and SciPy's exponential."""
    from sklearn.covariance import LedoitWolf  # type: ignore[import-not-found]

    found = LedoitWolf().fit(trusted)
    white = np.linalg.inv(np.linalg.cholesky(found.covariance_)).T
    x = (untrusted - found.location_) @ white
    spread = x.T @ x / len(x)
    weight = expm(ALPHA * spread / np.linalg.norm(spread, 2))
    return ((x @ weight) * x).sum(1) / np.trace(weight)


PAIRS: dict[str, tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]] = {
    "mahalanobis": (mahalanobis, sklearn_mahalanobis),
    "quantum": (quantum, plain_quantum),
}


def main() -> None:
    """Prints a table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    try:
        import sklearn.covariance  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        warnings.warn(
            "scikit-learn is not installed (pip install scikit-learn): nothing to compare with", stacklevel=1
        )
        return
    rng = np.random.default_rng(0)
    turn = rng.standard_normal((options.size, options.size)) / options.size**0.5
    trusted, untrusted = (rng.standard_normal((options.samples, options.size)) @ turn for _ in range(2))
    untrusted[: options.samples // 20] += turn[0] * 3
    print(f"{options.samples:,} trusted and as many untrusted samples of {options.size} dimensions")
    for name, pair in PAIRS.items():
        seconds, cpu = [], []
        for _ in range(options.repeats):
            wall, used, scores = [], [], []
            for run in pair:
                began, spent = time.perf_counter(), time.process_time()
                scores.append(run(trusted, untrusted))
                wall.append(time.perf_counter() - began)
                used.append(time.process_time() - spent)
            if not np.allclose(*scores, rtol=1e-6):
                raise SystemExit(f"{name}: the scores do not agree")
            seconds.append(wall)
            cpu.append(used)
        mine, theirs = np.median(cpu, 0)
        print(f"{name:12} {mine:6.1f} s of CPU, the peer {theirs:6.1f}")
        print(f"RATIO anomaly_fit_{name} {statistics.median(a / b for a, b in cpu):.3f}")


if __name__ == "__main__":
    main()
