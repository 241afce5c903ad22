"""How well a policy serves a utility: how unlikely is it that uniform moves do as well?

What is asked of a play is when it first comes to where the utility is at its best. From the exact distribution of that time
under the policy and under uniform moves (or any other) comes, in bits, minus the logarithm of the chance that the other is
there as soon or sooner, averaged over the policy's own plays. A policy that is the other gets at most log2(e) = 1.44 bits,
its `null`; so whatever is served as well by no one's doing is not credited to the policy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from goalscope.methods.goals.utilities.planning import checked_chain
from goalscope.showing import drawing, text


@dataclass(frozen=True)
class Served:
    """How well U utilities are served in N levels."""

    __repr__, _repr_html_ = text, drawing

    bits: np.ndarray
    """[U, N] minus log2 of the chance that the reference comes as soon to the utility's best, averaged over the policy's
    plays; 0 for a play that never comes; NaN where it cannot be come to, or the level begins there"""
    null: np.ndarray
    """[U, N] the same for the reference itself"""
    comes: np.ndarray
    """[U, N] P(comes there within the time limit); NaN likewise"""


def served(
    moves: np.ndarray, reference: np.ndarray, next: np.ndarray, over: np.ndarray, offsets: np.ndarray, start: np.ndarray,
    targets: np.ndarray, steps: int,
) -> Served:  # fmt: skip
    """How well each utility is served.

    Args:
        moves: [K, A] the policy's probabilities. reference: [K, A] those of the moves that it is held against.
        next: [K, A] int, the state after each move. over: [K] bool, the level is over there.
        offsets: [N + 1] int, the states of level i are offsets[i]:offsets[i + 1]. start: [N] int.
        targets: [U, K] bool, where each utility is at its best.
        steps: time limit, at least 1.

    Raises:
        ValueError: shapes that do not fit, rows that do not sum to 1, a utility whose best can be come to in no level.
    """
    next, over, offsets = checked_chain(next, over, offsets)
    targets, start = np.atleast_2d(np.asarray(targets)), np.asarray(start, np.int64)
    for name, table in (("moves", moves), ("reference", reference)):
        if np.shape(table) != next.shape or not np.allclose(np.sum(table, 1)[~over], 1, atol=1e-4):
            raise ValueError(f"{name} must be [K, A] = {list(next.shape)} probabilities whose rows sum to 1")
    if targets.dtype != bool or targets.shape[1:] != over.shape or start.shape != (len(offsets) - 1,):
        raise ValueError(
            f"targets must be [U, {len(over)}] bool and start [{len(offsets) - 1}], got {targets.dtype} "
            f"{list(targets.shape)} and {list(start.shape)}"
        )
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    both = [np.ascontiguousarray(table, np.float64) for table in (moves, reference)]
    made, known = np.full((3, *targets.shape[:1], len(start)), np.nan), targets[:, start].any(1)
    for n, begins in enumerate(start.tolist()):
        states = slice(offsets[n], offsets[n + 1])
        # Many utilities are at their best on the same states of a level: each set is solved once.
        sets, which = np.unique(targets[:, states], axis=0, return_inverse=True)
        for i, there in enumerate(sets):
            if there[begins - offsets[n]] or not there.any():
                continue
            first = int(offsets[n])
            mine, other = (
                _arrivals(
                    table[states], next[states] - first, over[states], there, begins - first, int(steps)
                )
                for table in both
            )
            if other.sum() <= 0:
                continue
            tail = np.log2(np.maximum(other.cumsum(), np.finfo(float).tiny))
            made[:, np.ravel(which) == i, n] = [[-(mine @ tail)], [-(other @ tail)], [mine.sum()]]
    lost = np.isnan(made[2]).all(1) & ~known
    if lost.any():
        raise ValueError(
            f"utility {int(lost.argmax())} ({int(lost.sum())} of {len(lost)}) is at its best where no moves lead within "
            f"{steps} steps in any of {len(start)} levels: leave it out"
        )
    return Served(*made)


@numba.njit(cache=True)
def _arrivals(moves, next, over, there, start, steps):
    """[steps] P(comes to the set at each step for the first time)."""
    now = np.zeros(len(there))
    then = np.zeros(len(there))
    came = np.zeros(steps)
    now[start] = 1.0
    for t in range(steps):
        then[:] = 0.0
        for k in range(len(there)):
            mass = now[k]
            if mass == 0.0:
                continue
            if over[k]:
                then[k] += mass
                continue
            for a in range(next.shape[1]):
                to = next[k, a]
                if there[to]:
                    came[t] += mass * moves[k, a]
                else:
                    then[to] += mass * moves[k, a]
        now, then = then, now
    return came
