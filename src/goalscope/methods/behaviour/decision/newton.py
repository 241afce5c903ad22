"""Many fractional logits at once, by Newton's method: all resamples and all subsets of features share each product."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# Weight of the squared standardised coefficients in the log-likelihood of all training levels together. It
# keeps coefficients finite where a resample is separable and is far below one level's information otherwise.
RIDGE = 0.01

_BLOCK = 250_000  # entries of [fits, levels] at a time: stays in cache
_NEWTON_STEPS = 100


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def fit_many(
    design: np.ndarray,
    target: np.ndarray,
    chosen: np.ndarray,
    counts: np.ndarray | None = None,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Coefficients [B, 1 + P] (intercept first; 0 where not chosen) of B fits at once.

    Args:
        design: [n, P] standardised features. target: [n] in 0..1, or [B, n] where it is another one in each fit.
        chosen: [B, P] bool, the features of each fit.
        counts: [B, n] how often each level is in the sample of each fit; None is once.
        start: [1 + P] where all fits start.
    """
    fits = [
        _fit_block(
            design,
            target if target.ndim == 1 else target[rows],
            chosen[rows],
            None if counts is None else counts[rows],
            start,
        )
        for rows in _row_blocks(len(chosen), len(design))
    ]
    return np.concatenate(fits)


def _row_blocks(count: int, length: int) -> Iterator[slice]:
    rows = max(1, _BLOCK // length)
    return (slice(first, first + rows) for first in range(0, count, rows))


def _fit_block(
    design: np.ndarray,
    target: np.ndarray,
    chosen: np.ndarray,
    counts: np.ndarray | None,
    start: np.ndarray | None,
) -> np.ndarray:
    """Newton's method on all fits of a block in step; each matrix product serves them all."""
    full = np.concatenate([np.ones((len(design), 1)), design], axis=1)
    size = full.shape[1]
    upper = np.triu_indices(size)
    products = (
        full[:, upper[0]] * full[:, upper[1]]
    )  # [n, S(S+1)/2], so that X'WX is one product for all fits
    used = np.concatenate([np.ones((len(chosen), 1), bool), chosen], axis=1)
    penalty = np.full(size, RIDGE)
    penalty[0] = 1e-6  # the intercept is free, but for a sample in which every response is 0 or 1
    beta = np.where(used, 0.0 if start is None else start, 0.0)
    live = np.arange(len(chosen))  # fits that have not converged; most need a few steps, some many
    for iteration in range(_NEWTON_STEPS):
        within, here = used[live], beta[live]
        mean = sigmoid(here @ full.T)
        error, weight = (target if target.ndim == 1 else target[live]) - mean, mean * (1 - mean)
        if counts is not None:
            times = counts[live]
            error, weight = error * times, weight * times
        gradient = np.where(within, error @ full - penalty * here, 0.0)
        hessian = np.empty((len(live), size, size))
        hessian[:, upper[0], upper[1]] = hessian[:, upper[1], upper[0]] = weight @ products
        system = np.where(within[:, :, None] & within[:, None, :], hessian, 0.0)
        system += np.eye(size) * np.where(within, penalty, 1.0)[:, None, :]
        step = np.linalg.solve(system, gradient[:, :, None])[:, :, 0]
        # Far from the optimum a full Newton step of a logit overshoots, so steps are capped at 2 log-odds;
        # should a fit still swing about its optimum, a cap that shrinks brings it to rest.
        cap = 2.0 * 0.8 ** max(0, iteration - 20)
        furthest = np.abs(step).max(axis=1, keepdims=True)
        beta[live] = here + step * np.minimum(1.0, cap / np.maximum(furthest, 1e-300))
        live = live[np.minimum(furthest[:, 0], cap) >= 1e-9]
        if len(live) == 0:
            break
    return beta
