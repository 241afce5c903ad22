"""Sokoban steps per second at 10 x 10 with four boxes, with observations: ours over envpool's Sokoban-v0.

Both sides step the same number of environments with the same random actions, observe every step, end an episode at 120
steps, and then take another level from a fixed set (envpool its own, ours as many generated ones, through the gymnasium
batch). envpool gets one thread a core, up to two; ours runs on one. Its observation is two planes of numbers, ours four.

RATIO sokoban_stepping: ours / envpool's, should be at least 20. Needs benchmarks/requirements.txt.
"""

from __future__ import annotations

import os
import time
from statistics import median

import numpy as np

from goalscope.worlds.gym import WorldVectorEnv
from goalscope.worlds.sokoban import Sokoban

THREADS = min(2, os.cpu_count() or 1)
REPETITIONS = 7
HEADLINE = 256
"""environments of the ratio; the others show how it depends on them"""
SECONDS = 0.5
"""of each measurement"""
LEVELS = 1000
"""levels of ours to draw from, as many as a Boxoban file has"""


class Ours:
    """Sokoban through `WorldVectorEnv`."""

    def __init__(self, count: int):
        levels = Sokoban().generate(range(LEVELS))
        self.envs = WorldVectorEnv(Sokoban(levels=levels), count)
        self.envs.reset(seed=0)
        self.actions = np.random.default_rng(0).integers(0, 4, (1000, count))

    def step(self, t: int) -> None:
        """One step of every environment."""
        self.envs.step(self.actions[t % 1000])


class Envpools:
    """envpool's batch, every environment stepped in each call."""

    def __init__(self, count: int):
        import envpool  # type: ignore[import-not-found]

        self.envs = envpool.make(
            "Sokoban-v0", env_type="gymnasium", num_envs=count, num_threads=THREADS, max_episode_steps=120
        )
        self.envs.reset()
        self.actions = np.random.default_rng(0).integers(0, 4, (1000, count)).astype(np.int32)

    def step(self, t: int) -> None:
        """One step of every environment."""
        self.envs.step(self.actions[t % 1000])


def rate(side: Ours | Envpools, count: int) -> float:
    """Environment steps per second."""
    steps, began = 0, time.perf_counter()
    while (seconds := time.perf_counter() - began) < SECONDS:
        side.step(steps)
        steps += 1
    return steps * count / seconds


def main() -> None:
    print(
        f"environment steps a second, 10 x 10, envpool on {THREADS} threads, ours on 1, "
        f"median of {REPETITIONS} interleaved"
    )
    print(f"{'environments':>12} {'goalscope':>12} {'envpool':>12} {'ratio':>8}")
    ratios = {}
    for count in (16, 64, HEADLINE):
        ours, theirs = Ours(count), Envpools(count)
        for t in range(20):
            ours.step(t)
            theirs.step(t)
        rates = [(rate(ours, count), rate(theirs, count)) for _ in range(REPETITIONS)]
        mine, peer = (median(side) for side in zip(*rates, strict=True))
        ratios[count] = mine / peer
        print(f"{count:>12} {mine:>12,.0f} {peer:>12,.0f} {mine / peer:>8.1f}")
    print(f"RATIO sokoban_stepping {ratios[HEADLINE]:.1f}")


if __name__ == "__main__":
    main()
