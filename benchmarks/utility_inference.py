"""2,000 utilities on 500 mazes, exactly, against 20,000 rollouts of the policy.

Exact: the best moves of every utility in every state, the likelihood of all the policy's moves under each, and how
unlikely uniform moves come as soon to its best. The peer only plays: 20,000 episodes within the time limit, of which each
utility would get ten. Both on one thread; the exact side pays for the policy's forwards, too.

RATIO utility_inference: seconds of the rollouts over exact seconds, should be at least 1.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import torch

import goalscope
from goalscope.methods.behaviour.reach import occupancy
from goalscope.methods.goals.utilities import best_moves, infer_utility, served
from goalscope.rollout import fields, play
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze

UTILITIES, MAZES, ROLLOUTS = 2000, 500, 20_000
PLAYED, AT_ONCE = 500, 100
"""rollouts measured (and scaled), and utilities whose best moves are held at once"""
REPETITIONS = 3


def main() -> None:
    torch.set_num_threads(1)
    world, policy = Maze(13, None), goalscope.load("mouse-topright").module
    mazes = world.generate(range(MAZES))
    squares, rng = world.squares(mazes), np.random.default_rng(0)
    # To be on a square, drawn in each maze: one utility each; every second one is the sum of two.
    sizes = np.diff(squares.offsets)
    places = squares.offsets[:-1] + (rng.random((2, UTILITIES, MAZES)) * sizes).astype(int)
    places[:, :, :] = np.where(places == squares.start, squares.offsets[:-1] + (sizes - 1), places)
    names = [str(u) for u in range(UTILITIES)]
    train = np.arange(MAZES) % 2 == 0

    def exactly() -> int:
        found = fields(policy, world, mazes)
        weight = occupancy(found.moves, squares.next, squares.goal, squares.start, 200).visits.clip(max=1)
        uniform, told = np.full(found.moves.shape, 0.2), 0
        for first in range(0, UTILITIES, AT_ONCE):
            worth = np.zeros((AT_ONCE, len(squares)))
            for u in range(AT_ONCE):
                worth[u, places[0, first + u]] = 1
                worth[u, places[1, first + u]] += u % 2
            best = best_moves(squares.next, squares.goal, squares.offsets, worth)
            infer_utility(
                best, found.moves, weight, squares.level.astype(int), train=train,
                names=names[first : first + AT_ONCE], lengths=[11.0] * AT_ONCE,
            )  # fmt: skip
            told += served(
                found.moves, uniform, squares.next, squares.goal, squares.offsets, squares.start, worth > 0, 200
            ).bits.shape[0]  # fmt: skip
        return told

    def sampled() -> None:
        play(policy, world, take(mazes, np.arange(PLAYED) % MAZES), 200, seed=0)

    small = world.generate(range(20))
    fields(policy, world, small)  # compiles
    exactly_seconds, played_seconds = [], []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        told = exactly()
        between = time.perf_counter()
        sampled()
        exactly_seconds.append(between - began)
        played_seconds.append((time.perf_counter() - between) / PLAYED * ROLLOUTS)
    exact, played = median(exactly_seconds), median(played_seconds)
    print(
        f"{told:,} utilities on {MAZES} mazes, {len(squares):,} states; {PLAYED} rollouts, scaled to {ROLLOUTS:,};"
    )
    print(f"one thread, median of {REPETITIONS} interleaved")
    print(f"{'':>10} {'seconds':>10}")
    print(f"{'exact':>10} {exact:>10,.1f}")
    print(f"{'rollouts':>10} {played:>10,.1f}")
    print(f"RATIO utility_inference {played / exact:.2f}")


if __name__ == "__main__":
    main()
