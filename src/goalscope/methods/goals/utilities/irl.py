"""Maximum-entropy inverse reinforcement learning: what weights of features make a policy's moves likely?

The reward of a step is a weighted sum of features of the state that it ends in; the moves are those of the soft-optimal
policy (Ziebart et al. 2008, "Maximum Entropy Inverse Reinforcement Learning", with the discounted soft value of Haarnoja et
al. 2017). It is the usual answer to "what does it want?", and is told beside the utilities of `inference.py`, which pay for
their descriptions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from scipy.special import logsumexp

from goalscope.methods.goals.utilities.planning import DISCOUNT
from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap_ratio

SWEEPS = 100
"""of the soft value"""
ROUNDS = 30
"""of fitting, at most"""


@dataclass(frozen=True)
class Weights:
    """What was fitted, and how it does in levels that it was not fitted on."""

    __repr__, _repr_html_ = text, drawing

    weights: np.ndarray
    """[F] reward of one unit of each feature"""
    gain: Estimate
    """bits a step above uniform moves, held out"""


def maximum_entropy(
    next: np.ndarray, over: np.ndarray, features: np.ndarray, moves: np.ndarray, weight: np.ndarray, level: np.ndarray, *,
    train: np.ndarray, discount: float = DISCOUNT, penalty: float = 1e-3, seed: int = 0,
) -> Weights:  # fmt: skip
    """Fits the weights on some levels and judges them on the others.

    Args:
        next: [K, A] int. over: [K] bool, what a level is worth there is its own features' for ever.
        features: [F, K] float. moves: [K, A] probabilities of the policy. weight: [K] how much each state counts.
        level: [K] int. train: [N] bool by level. discount: of the soft value.
        penalty: on the squared weights, a step. seed: of the resampling.

    Raises:
        ValueError: shapes that do not fit, or numbers that are not finite.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or features.shape[1:] != np.shape(over) or np.shape(next) != np.shape(moves):
        raise ValueError(
            f"features [F, K], next and moves [K, A] expected, got {list(features.shape)}, {list(np.shape(next))} and "
            f"{list(np.shape(moves))}"
        )
    if not np.isfinite(features).all() or not np.isfinite(moves).all():
        raise ValueError("features and moves must be finite")
    model = _Soft(np.asarray(next, np.int64), np.asarray(over), features, discount)
    counts = np.asarray(weight, np.float64)
    fitted = counts * np.asarray(train)[level]
    theta = _fitted(model, moves, fitted / fitted.sum(), penalty)
    each = counts * (moves * model.log_moves(theta)[0]).sum(1) / np.log(2)
    count, held_out = len(train), ~np.asarray(train)
    steps = np.bincount(level, counts, count)
    gain = np.bincount(level, each, count) + steps * np.log2(moves.shape[1])
    return Weights(theta, bootstrap_ratio(gain[held_out], steps[held_out], seed=seed))


@dataclass(frozen=True)
class _Soft:
    """The soft-optimal policy of a reward that is linear in features."""

    next: np.ndarray
    over: np.ndarray
    features: np.ndarray
    """[F, K]"""
    discount: float

    def log_moves(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[K, A] log-probabilities of the weights [F], and their derivatives [K, A, F]; the soft value is iterated with its
        derivative, which is that of the next state averaged over the moves.

        Randomness is priced against uniform moves: without a reward nothing is worth anything, not even going on.
        """
        reward, slope = theta @ self.features, self.features.T
        value, change = _swept(
            self.next, self.over, reward, np.ascontiguousarray(slope), self.discount, SWEEPS
        )
        ahead, turns = (
            (reward + self.discount * value)[self.next],
            (slope + self.discount * change)[self.next],
        )
        log_moves = ahead - logsumexp(ahead, 1, keepdims=True)
        return log_moves, turns - np.einsum("ka,kaf->kf", np.exp(log_moves), turns)[:, None]


@numba.njit(cache=True)
def _swept(next, over, reward, slope, discount, sweeps):
    """The soft value [K] and its derivative [K, F] after some sweeps; the end of a level holds for ever."""
    count, moves = next.shape
    features = slope.shape[1]
    value, change = np.zeros(count), np.zeros((count, features))
    then, turned = np.zeros(count), np.zeros((count, features))
    odds = np.empty(moves)
    for k in range(count):
        if over[k]:
            value[k] = then[k] = reward[k] / (1 - discount)
            for f in range(features):
                change[k, f] = turned[k, f] = slope[k, f] / (1 - discount)
    for _ in range(sweeps):
        for k in range(count):
            if over[k]:
                continue
            high, total = -np.inf, 0.0
            for a in range(moves):
                odds[a] = reward[next[k, a]] + discount * value[next[k, a]]
                high = max(high, odds[a])
            for a in range(moves):
                odds[a] = np.exp(odds[a] - high)
                total += odds[a]
            then[k] = high + np.log(total / moves)
            for f in range(features):
                turned[k, f] = 0.0
            for a in range(moves):
                to, share = next[k, a], odds[a] / total
                for f in range(features):
                    turned[k, f] += share * (slope[to, f] + discount * change[to, f])
        value, then = then, value
        change, turned = turned, change
    return value, change


def _fitted(model: _Soft, moves: np.ndarray, share: np.ndarray, penalty: float) -> np.ndarray:
    """[F] weights of the highest likelihood, by Fisher scoring; a step that does not help is halved."""
    theta = np.zeros(len(model.features))

    def judged(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        logs, turns = model.log_moves(theta)
        score = share @ (moves * logs).sum(1) - penalty * theta @ theta
        slope = np.einsum("k,ka,kaf->f", share, moves, turns) - 2 * penalty * theta
        fisher = np.einsum("k,ka,kaf,kag->fg", share, np.exp(logs), turns, turns, optimize=True)
        return float(score), slope, fisher + (2 * penalty + 1e-9) * np.eye(len(theta))

    score, slope, fisher = judged(theta)
    for _ in range(ROUNDS):
        step = np.linalg.solve(fisher, slope)
        for _ in range(20):
            tried = judged(theta + step)
            if tried[0] >= score:
                break
            step = step / 2
        else:
            break
        gained, theta = tried[0] - score, theta + step
        score, slope, fisher = tried
        if gained < 1e-9:
            break
    return theta
