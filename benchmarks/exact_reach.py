"""Exact reach probabilities of 1,000 mazes of size 25, within 200 steps, from every square; network excluded.

Ours, from mazes to numbers: the graph of each maze's free squares, then its reach probabilities. The peer is
the plain way: each maze's transition matrix in SciPy's sparse form, multiplied 200 times; on fewer mazes,
scaled up. The claim is about seconds, so the ratio is of ours to the bound of 2 s.

RATIO exact_reach: seconds / 2, must stay under 1.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from scipy import sparse

from goalscope.methods.behaviour.reach import reach_probability
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze, MazeState
from goalscope.worlds.maze.paths import Squares, free_squares, maze_size

THREADS = min(2, os.cpu_count() or 1)
REPETITIONS = 5
MAZES, PEER_MAZES = 1000, 20
STEPS = 200
BOUND = 2.0
"""seconds"""


def largest(count: int) -> MazeState:
    """`count` mazes that fill the 25 x 25 squares, with the cheese anywhere."""
    state = Maze(25, cheese_region=None).generate(range(16 * count))
    return take(state, np.flatnonzero(maze_size(state) == 25)[:count])


def by_matrices(squares: Squares, probs: np.ndarray) -> np.ndarray:
    """The same probabilities from one sparse transition matrix a maze."""
    reach = squares.goal.astype(float)
    for first, last in zip(squares.offsets[:-1], squares.offsets[1:], strict=True):
        part = slice(first, last)
        count, goal = last - first, squares.goal[part]
        rows, columns = np.repeat(np.arange(count), 5), squares.next[part].ravel() - first
        moves = sparse.csr_matrix(
            (np.where(goal[:, None], 0, probs[part]).ravel(), (rows, columns)), (count, count)
        )
        for _ in range(STEPS):
            reach[part] = moves @ reach[part] + goal
    return reach


def timed(run: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Seconds and result."""
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result


def main() -> None:
    state = largest(MAZES)
    squares = free_squares(state)
    probs = np.random.default_rng(0).dirichlet(np.ones(5), len(squares))
    few = take(state, slice(0, PEER_MAZES))
    some = int(squares.offsets[PEER_MAZES])

    def ours() -> np.ndarray:
        graph = free_squares(state)
        return reach_probability(probs, graph.next, graph.goal, STEPS)

    def peer() -> np.ndarray:
        return by_matrices(free_squares(few), probs[:some])

    ours()  # compiles
    peer()
    seconds = []
    for _ in range(REPETITIONS):
        (mine, found), (theirs, expected) = timed(ours), timed(peer)
        seconds.append((mine, theirs * len(squares) / some))
    if not np.allclose(found[:some], expected, atol=1e-12):
        raise SystemExit("the two disagree")
    mine, theirs = (median(side) for side in zip(*seconds, strict=True))
    print(
        f"exact reach, {MAZES} mazes of size 25 ({len(squares):,} squares), {STEPS} steps, {THREADS} threads,"
    )
    print(f"median of {REPETITIONS} interleaved; SciPy on {PEER_MAZES} mazes, scaled up")
    print(f"{'':>10} {'seconds':>10}")
    print(f"{'goalscope':>10} {mine:>10.2f}   bound {BOUND:.0f} s")
    print(f"{'SciPy':>10} {theirs:>10.2f}   {theirs / mine:.1f} times ours")
    print("the ratio is our seconds over the bound: it must stay under 1")
    print(f"RATIO exact_reach {mine / BOUND:.3f}")


if __name__ == "__main__":
    main()
