"""Reach of the goal in 1,000 levels of DoorKey 8 x 8 within the time limit: exact, against sampled play as precise.

Exact: all states of a level, the network asked once in each, reach solved by vector-matrix products. The peer plays until
the standard error of each level's probability p is 0.5%, which takes p (1 - p) / 0.005^2 episodes (none where p is 0 or 1,
which sampling cannot know). Both are linear in levels, so both are measured on a few and scaled to 1,000: the exact side on
whole levels, the sampled one on many episodes of each at once, for its seconds an episode.

RATIO exact_chain: sampled seconds over exact seconds, should be at least 10.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from goalscope.methods.behaviour.reach import reach_probability
from goalscope.rollout import chain, enumerate_states, play
from goalscope.worlds.contract import take
from goalscope.worlds.minigrid import MiniGrid

REPETITIONS = 3
LEVELS, ALL = 4, 1000
"""levels measured, and those of the claim"""
EPISODES = 100
"""of each level in one batch of sampled play"""
ERROR = 0.005


def network() -> nn.Module:
    """A policy of the agent's 7 x 7 view that wanders: untrained, with a liking for going forward and none for dropping."""
    torch.manual_seed(0)
    made = nn.Sequential(nn.Flatten(), nn.Linear(147, 64), nn.Tanh(), nn.Linear(64, 7))
    last: Any = made[-1]
    with torch.no_grad():
        last.weight.mul_(0.3)
        last.bias.copy_(torch.tensor([0, 0, 1, 0.5, -3, 0.5, -9]))
    return made


def main() -> None:
    torch.set_num_threads(1)
    world, module = MiniGrid("MiniGrid-DoorKey-8x8-v0"), network()
    levels = world.generate(np.arange(LEVELS))
    many = take(levels, np.repeat(np.arange(LEVELS), EPISODES))

    def exactly() -> np.ndarray:
        states = enumerate_states(world, levels)
        found = chain(module, world, states)
        return reach_probability(found.moves, states.next, states.over, world.time_limit)[states.start]

    def sampled() -> np.ndarray:
        return play(module, world, many, world.time_limit, seed=0).ended[-1].reshape(LEVELS, EPISODES).mean(1)

    p, shares = exactly(), np.zeros(LEVELS)  # compiles
    seconds = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        p = exactly()
        between = time.perf_counter()
        shares = sampled()
        seconds.append((between - began, time.perf_counter() - between))
    if (np.abs(shares - p) > 4 * np.sqrt(p * (1 - p) / EPISODES) + 0.01).any():
        raise SystemExit(f"the two disagree: exactly {p}, sampled {shares}")
    wanted = float((p * (1 - p)).mean()) / ERROR**2
    mine, played = (median(side) for side in zip(*seconds, strict=True))
    exact = mine / LEVELS * ALL
    theirs = played / len(many) * wanted * ALL
    print(
        f"reach within {world.time_limit} steps of {world.name}, {ALL:,} levels, standard error {ERROR:.1%} each,"
    )
    print(f"median of {REPETITIONS} interleaved, one thread, measured on {LEVELS} levels and scaled;")
    print(f"probabilities {p.min():.1%} to {p.max():.1%}, {wanted:,.0f} episodes a level")
    print(f"{'':>10} {'seconds':>10}")
    print(f"{'exact':>10} {exact:>10,.0f}")
    print(f"{'sampled':>10} {theirs:>10,.0f}")
    print(f"RATIO exact_chain {theirs / exact:.1f}")


if __name__ == "__main__":
    main()
