"""Environment steps per second at 25 x 25, with observations: ours over Procgen's maze ("hard").

Both sides step the same number of environments with random actions (ours on one thread), observe every step,
and replace levels that ended or reached 500 steps (Procgen of itself, ours through the gymnasium batch).
Procgen observes by drawing 64 x 64 pixels, ours by filling 3 x 25 x 25 planes: what a policy sees.

RATIO maze_stepping: ours / Procgen's, should be at least 50.
"""

from __future__ import annotations

import os
import time
from statistics import median

import numpy as np
from procgen import ProcgenGym3Env

from goalscope.worlds.gym import WorldVectorEnv
from goalscope.worlds.maze import Maze

THREADS = min(2, os.cpu_count() or 1)
REPETITIONS = 7
HEADLINE = 256
"""environments of the ratio; the others show how it depends on them"""
SECONDS = 0.5
"""of each measurement"""


class Ours:
    """The maze through `WorldVectorEnv`."""

    def __init__(self, count: int):
        self.envs = WorldVectorEnv(Maze(25, cheese_region=None, time_limit=500), count)
        self.envs.reset(seed=0)
        self.actions = np.random.default_rng(0).integers(0, 5, (1000, count))

    def step(self, t: int) -> None:
        """One step of every environment."""
        self.envs.step(self.actions[t % 1000])


class Procgens:
    """Procgen's own batch, through its fastest interface."""

    def __init__(self, count: int):
        self.envs = ProcgenGym3Env(
            num=count, env_name="maze", distribution_mode="hard", num_levels=0, start_level=0,
            num_threads=THREADS, rand_seed=0,
        )  # fmt: skip
        self.actions = np.random.default_rng(0).integers(0, 15, (1000, count)).astype(np.int32)

    def step(self, t: int) -> None:
        """One step of every environment."""
        self.envs.act(self.actions[t % 1000])
        self.envs.observe()


def rate(side: Ours | Procgens, count: int) -> float:
    """Environment steps per second."""
    steps, began = 0, time.perf_counter()
    while (seconds := time.perf_counter() - began) < SECONDS:
        side.step(steps)
        steps += 1
    return steps * count / seconds


def main() -> None:
    print(
        f"environment steps a second, 25 x 25, procgen on {THREADS} threads, ours on 1, median of {REPETITIONS} interleaved"
    )
    print(f"{'environments':>12} {'goalscope':>12} {'procgen':>12} {'ratio':>8}")
    ratios = {}
    for count in (16, 64, HEADLINE):
        ours, theirs = Ours(count), Procgens(count)
        for t in range(20):
            ours.step(t)
            theirs.step(t)
        rates = [(rate(ours, count), rate(theirs, count)) for _ in range(REPETITIONS)]
        mine, peer = (median(side) for side in zip(*rates, strict=True))
        ratios[count] = mine / peer
        print(f"{count:>12} {mine:>12,.0f} {peer:>12,.0f} {mine / peer:>8.1f}")
    print(f"RATIO maze_stepping {ratios[HEADLINE]:.1f}")


if __name__ == "__main__":
    main()
