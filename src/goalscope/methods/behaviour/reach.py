"""Exact reach probability and occupancy of a Markov policy in small deterministic levels.

Many levels are solved at once as one *chain*: their squares are numbered one level after the other, and
``next[k, a]`` is the number of the square that move ``a`` leads to from square ``k`` (itself where the
move is blocked). A node of the chain may as well be (square, facing), or any other Markov state. Goal
nodes are absorbing: what the policy would do there is not read.

Within T steps everything is T vector-matrix products, so nothing is sampled. Levels are told apart by
`next` itself (no move leads from one to another), solved one by one in cache, and shared out over threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np

from goalscope.activations.inputs import as_array
from goalscope.showing import drawing, text

_ROW_SUM_TOLERANCE = (
    1e-4  # a softmax in float32 (or bfloat16 logits) misses 1 by less; rows are then rescaled
)


@dataclass(frozen=True)
class Occupancy:
    """Where the agent is, from its start and after `steps` steps at most.

    Attributes:
        final: [K] probability of standing on each node at the end (goal nodes keep what reached them).
            Sums to 1 in each level.
        visits: [K] expected number of steps that begin on each node; 0 on goal nodes, where the episode
            is over. Sums in each level to the expected length of the episode in steps.
    """

    __repr__, _repr_html_ = text, drawing

    final: np.ndarray
    visits: np.ndarray


def reach_probability(probs: np.ndarray, next: np.ndarray, goal: np.ndarray, steps: int) -> np.ndarray:
    """Probability of reaching a goal node within `steps` steps, from every node.

    Args:
        probs: [K, A] probability of each move on each node; rows sum to 1. Rows of goal nodes are not read.
        next: [K, A] int, the node after each move.
        goal: [K] bool, absorbing nodes. A level without any has probability 0 everywhere.
        steps: the time limit, at least 0.

    Returns:
        [K] float64 in 0..1; 1 on goal nodes.

    Raises:
        ValueError: shapes that do not fit, a row that does not sum to 1, negative or NaN probabilities,
            `next` outside 0..K-1, negative `steps`.
    """
    probs, next, goal = _checked(probs, next, goal, steps)
    reach = goal.astype(np.float64)
    _over_levels(_solve_reach, probs, next, goal, steps, reach)
    return reach


def occupancy(
    probs: np.ndarray, next: np.ndarray, goal: np.ndarray, start: np.ndarray, steps: int
) -> Occupancy:
    """Where the agent ends and where it spends its time, starting from one node in each level.

    Args:
        probs: [K, A] probability of each move on each node; rows sum to 1. Rows of goal nodes are not read.
        next: [K, A] int, the node after each move.
        goal: [K] bool, absorbing nodes.
        start: [N] int, the node where each level starts. Each adds one unit of mass.
        steps: the time limit, at least 0.

    Raises:
        ValueError: as `reach_probability`, and `start` outside 0..K-1.
    """
    probs, next, goal = _checked(probs, next, goal, steps)
    start = np.asarray(start)
    if start.ndim != 1 or not np.issubdtype(start.dtype, np.integer):
        raise ValueError(f"start must be [N] integers, got shape {start.shape} of {start.dtype}")
    if start.size and (start.min() < 0 or start.max() >= len(goal)):
        raise ValueError(f"start must lie in 0..{len(goal) - 1}, got {start.min()}..{start.max()}")
    final = np.bincount(start, minlength=len(goal)).astype(np.float64)
    visits = np.zeros(len(goal))
    _over_levels(_solve_occupancy, probs, next, goal, steps, final, visits)
    return Occupancy(final, visits)


def _checked(
    probs: np.ndarray, next: np.ndarray, goal: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    probs = as_array("probs", probs, "[K, A] probabilities").astype(np.float64, copy=False)
    next, goal = as_array("next", next, "[K, A] int"), as_array("goal", goal, "[K] bool")
    if probs.ndim != 2 or next.shape != probs.shape or goal.shape != probs.shape[:1]:
        raise ValueError(
            "expected probs [K, A], next [K, A] and goal [K], "
            f"got {probs.shape}, {next.shape} and {goal.shape}"
        )
    if goal.dtype != bool or not np.issubdtype(next.dtype, np.integer):
        raise ValueError(f"goal must be bool and next integer, got {goal.dtype} and {next.dtype}")
    if isinstance(steps, bool) or steps != int(steps) or steps < 0:
        raise ValueError(f"steps must be a whole number >= 0, got {steps!r}")
    count = len(goal)
    if count and (next.min() < 0 or next.max() >= count):
        row, move = np.argwhere((next < 0) | (next >= count))[0]
        raise ValueError(f"next[{row}, {move}] = {next[row, move]} is no node: there are 0..{count - 1}")
    read = np.where(goal[:, None], 1.0 / max(1, probs.shape[1]), probs)
    wrong = ~(read >= 0)  # NaN compares false, so it is caught here too
    if wrong.any():
        row, move = np.argwhere(wrong)[0]
        raise ValueError(f"probs[{row}, {move}] = {probs[row, move]} is no probability")
    sums = read.sum(axis=1)
    off = ~(np.abs(sums - 1) <= _ROW_SUM_TOLERANCE)
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise ValueError(
            f"probs[{row}] sums to {sums[row]:.6g}, not 1 ({int(off.sum())} of {count} rows are off): "
            "pass probabilities, not logits"
        )
    return read / sums[:, None], next.astype(np.int32), goal


def _over_levels(
    kernel: Callable, probs: np.ndarray, next: np.ndarray, goal: np.ndarray, steps: int, *out
) -> None:
    """Run `kernel` on all levels; `out` arrays [K] are changed in place."""
    if len(goal) == 0:
        return
    offsets = _level_offsets(next)
    edges = _edges(probs, next, goal)
    threads = min(os.cpu_count() or 1, len(offsets) - 1)
    # Cut where the squares are halved, not the levels: mazes differ a hundredfold in size.
    cuts = np.searchsorted(offsets, np.linspace(0, len(goal), threads + 1))
    jobs = [(offsets, first, last, *edges, goal, int(steps), *out) for first, last in pairwise(cuts)]
    if len(jobs) == 1:
        kernel(*jobs[0])
        return
    with ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(kernel, *job) for job in jobs]:
            done.result()


@numba.njit(cache=True)
def _level_offsets(next):
    """[L+1] bounds of the shortest runs of nodes that no move leaves: the levels."""
    count, moves = next.shape
    least = np.empty(count + 1, np.int64)  # least node that a move from k or later leads to
    least[count] = count
    for k in range(count - 1, -1, -1):
        low = least[k + 1]
        for a in range(moves):
            low = min(low, next[k, a])
        least[k] = min(low, k)
    offsets = np.empty(count + 1, np.int64)
    offsets[0] = 0
    levels = 0
    furthest = -1
    for k in range(count):
        for a in range(moves):
            furthest = max(furthest, next[k, a])
        if furthest <= k and least[k + 1] > k:
            levels += 1
            offsets[levels] = k + 1
    return offsets[: levels + 1].copy()


@numba.njit(cache=True)
def _edges(probs, next, goal):
    """Sparse rows of the chain (ends, node, weight): moves to one node are one edge, impossible ones none.

    In a maze most moves are blocked, so this leaves about 3 edges of 5 moves.
    """
    count, moves = next.shape
    ends = np.zeros(count + 1, np.int64)
    node = np.empty(count * moves, np.int32)
    weight = np.empty(count * moves, np.float64)
    edge = 0
    for k in range(count):
        first = edge
        if not goal[k]:
            for a in range(moves):
                if probs[k, a] == 0.0:
                    continue
                found = False
                for e in range(first, edge):
                    if node[e] == next[k, a]:
                        weight[e] += probs[k, a]
                        found = True
                if not found:
                    node[edge] = next[k, a]
                    weight[edge] = probs[k, a]
                    edge += 1
        ends[k + 1] = edge
    return ends, node[:edge].copy(), weight[:edge].copy()


@numba.njit(cache=True, nogil=True)
def _solve_reach(offsets, first, last, ends, node, weight, goal, steps, reach):
    longest = 0
    for i in range(first, last):
        longest = max(longest, offsets[i + 1] - offsets[i])
    now = np.empty(longest)
    then = np.empty(longest)
    for i in range(first, last):
        base = offsets[i]
        size = offsets[i + 1] - base
        for k in range(
            size
        ):  # a slice assigned to a slice compiles the words of its error: four seconds of them
            now[k] = then[k] = reach[base + k]
        for _ in range(steps):
            changed = False
            edge = ends[base]
            for k in range(size):
                end = ends[base + k + 1]
                if goal[base + k]:
                    continue
                total = 0.0
                while edge < end:
                    total += weight[edge] * now[node[edge] - base]
                    edge += 1
                changed |= total != now[k]
                then[k] = total
            now, then = then, now
            if not changed:  # equal to the last bit, so it stays equal for all steps to come
                break
        for k in range(size):
            reach[base + k] = min(now[k], 1.0)  # rounding may leave 1 + 1e-16


@numba.njit(cache=True, nogil=True)
def _solve_occupancy(offsets, first, last, ends, node, weight, goal, steps, final, visits):
    longest = 0
    for i in range(first, last):
        longest = max(longest, offsets[i + 1] - offsets[i])
    now = np.empty(longest)
    then = np.empty(longest)
    for i in range(first, last):
        base = offsets[i]
        size = offsets[i + 1] - base
        for k in range(size):
            now[k] = final[base + k]
        for _ in range(steps):
            for k in range(size):
                then[k] = now[k] if goal[base + k] else 0.0
            for k in range(size):
                mass = now[k]
                if mass == 0.0 or goal[base + k]:
                    continue
                visits[base + k] += mass
                for edge in range(ends[base + k], ends[base + k + 1]):
                    then[node[edge] - base] += mass * weight[edge]
            now, then = then, now
        for k in range(size):
            final[base + k] = now[k]
