"""The best moves of a utility in every state of a deterministic chain.

A utility gives every state a number, what a step that ends there is worth; steps ahead are discounted, and the end of a
level holds for ever. So "at the cheese" is 1 on the cheese and 0 elsewhere, and its best moves are those of the shortest
ways there. Two utilities with the same best moves in every state cannot be told apart by what anyone does.
"""

from __future__ import annotations

import numba
import numpy as np

DISCOUNT = 0.97
"""of each step ahead"""
SWEEPS = 2000
"""of value iteration at most; where a place can be stayed at it ends after as many as the longest way has steps"""
EQUAL = 1e-7
"""moves whose values differ by less than this share of what the utility can be worth are equally good"""


def checked_chain(next: np.ndarray, over: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, ...]:
    """The chain as the kernels want it.

    Args:
        next: [K, A] int. over: [K] bool. offsets: [N + 1] int.

    Raises:
        ValueError: shapes that do not fit, a move that leads out of its level.
    """
    next, over, offsets = np.asarray(next), np.asarray(over), np.asarray(offsets)
    if next.ndim != 2 or next.dtype.kind not in "iu" or over.shape != next.shape[:1] or over.dtype != bool:
        raise ValueError(
            f"next must be [K, A] int and over [K] bool, got {next.dtype} {list(next.shape)} and {over.dtype} "
            f"{list(over.shape)}"
        )
    if offsets.ndim != 1 or not len(offsets) or offsets[0] != 0 or offsets[-1] != len(next):
        raise ValueError(
            f"offsets must be [N + 1] from 0 to K = {len(next)}, got {offsets[:1]} to {offsets[-1:]}"
        )
    level = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    if next.size and (next.min() < 0 or next.max() >= len(next) or (level[next] != level[:, None]).any()):
        raise ValueError(
            "next leads out of a level: every state of a level must lead to states of that level"
        )
    return next.astype(np.int64), over, offsets.astype(np.int64)


def best_moves(
    next: np.ndarray, over: np.ndarray, offsets: np.ndarray, utility: np.ndarray, discount: float = DISCOUNT
) -> np.ndarray:
    """Which moves are best for a utility, from every state.

    Args:
        next: [K, A] int, the state after each move.
        over: [K] bool, the level is over there: it stays and is worth what it is for ever.
        offsets: [N + 1] int, the states of level i are offsets[i]:offsets[i + 1].
        utility: [K] float, what a step that ends in each state is worth; [U, K] for several at once.
        discount: of each step ahead, between 0 and 1.

    Returns:
        [K, A] bool ([U, K, A] for several); all True where no move is better than another.

    Raises:
        ValueError: shapes that do not fit, numbers that are not finite, a discount that is none.
    """
    next, over, offsets = checked_chain(next, over, offsets)
    utility = np.asarray(utility, np.float64)
    if utility.shape[-1:] != over.shape or utility.ndim not in (1, 2):
        raise ValueError(f"utility must be [K] or [U, K] with K = {len(over)}, got {list(utility.shape)}")
    if not np.isfinite(utility).all():
        raise ValueError("a utility has numbers that are not finite: every state must have one")
    if not 0 < discount < 1:
        raise ValueError(f"discount must lie between 0 and 1, got {discount}")
    best = np.empty((*np.atleast_2d(utility).shape, next.shape[1]), bool)
    for u, worth in enumerate(np.atleast_2d(utility)):
        _plan(next, over, offsets, worth, float(discount), SWEEPS, best[u])
    return best if utility.ndim == 2 else best[0]


@numba.njit(cache=True)
def _plan(next, over, offsets, worth, discount, sweeps, best):
    """Value iteration from below, level by level: it starts with what staying there for ever is worth."""
    moves = next.shape[1]
    value = np.empty(len(worth))
    fresh = np.empty(len(worth))
    for n in range(len(offsets) - 1):
        first, last = offsets[n], offsets[n + 1]
        least, most = np.inf, -np.inf
        for k in range(first, last):
            least = min(least, worth[k])
            most = max(most, worth[k])
        for k in range(first, last):
            stays = over[k]
            for a in range(moves):
                stays |= next[k, a] == k
            value[k] = (worth[k] if stays else least) / (1 - discount)
        small = EQUAL * (most - least) / (1 - discount)
        for _ in range(sweeps):
            change = 0.0
            for k in range(first, last):
                high = value[k]
                if not over[k]:
                    for a in range(moves):
                        high = max(high, worth[next[k, a]] + discount * value[next[k, a]])
                change = max(change, high - value[k])
                fresh[k] = high
            for k in range(first, last):
                value[k] = fresh[k]
            if change <= 1e-3 * small:
                break
        for k in range(first, last):
            high = -np.inf
            for a in range(moves):
                high = max(high, worth[next[k, a]] + discount * value[next[k, a]])
            for a in range(moves):
                # What a move gains over another is worth less the farther away: equal is measured by what is there.
                gain = worth[next[k, a]] + discount * value[next[k, a]]
                best[k, a] = over[k] or gain >= high - small
