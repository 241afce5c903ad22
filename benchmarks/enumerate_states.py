"""Reachable states per second of DoorKey 8 x 8: the batched world against a loop over MiniGrid's own step.

Ours finds every state of some levels. The peer is the plain way: breadth-first search over deep copies of the package's
environment, one for each action in each state, told apart by grid, agent and what it carries; it goes on for a part of one
level, and what it finds there must be among ours.

RATIO enumerate_states: our states a second over the peer's, should be at least 20.
"""

from __future__ import annotations

import copy
import time
from collections import deque
from statistics import median
from typing import Any

import numpy as np

from goalscope.rollout import States, enumerate_states
from goalscope.worlds.minigrid import Action, MiniGrid, package

REPETITIONS = 3
LEVELS, PEER_STATES = 8, 60
"""levels of ours; states that the peer tries every action in"""


def key(env: Any) -> tuple:
    """What tells two states of the package apart."""
    carried = env.carrying.encode()[:2] if env.carrying else (0, 0)
    return env.grid.encode().tobytes(), (*map(int, env.agent_pos), env.agent_dir), tuple(map(int, carried))


def by_copies(name: str, seed: int, states: int) -> set[tuple]:
    """The states that are found while the first `states` ones have every action tried in them."""
    env: Any = package.make(name)
    env.reset(seed=seed)
    env.max_steps = 10**9  # no clock
    known, todo = {key(env)}, deque([env])
    for _ in range(states):
        here = todo.popleft()
        for action in Action:
            there = copy.deepcopy(here)
            _, _, over, _, _ = there.step(int(action))
            if (found := key(there)) not in known:
                known.add(found)
                if not over:
                    todo.append(there)
    return known


def keys(states: States) -> set[tuple]:
    """The same of the first of our levels."""
    first, all_of = states.state, slice(0, int(states.offsets[1]))
    rows = zip(first.cells[all_of], first.agent[all_of].tolist(), first.carries[all_of].tolist(), strict=True)
    return {
        (cells.transpose(1, 0, 2).tobytes(), (column, row, facing), tuple(carries[:2]))
        for cells, (row, column, facing), carries in rows
    }


def main() -> None:
    world = MiniGrid("MiniGrid-DoorKey-8x8-v0")
    levels = world.generate(np.arange(LEVELS))
    states = enumerate_states(world, world.generate([0]))  # compiles
    rates = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        states = enumerate_states(world, levels)
        mine = len(states) / (time.perf_counter() - began)
        began = time.perf_counter()
        found = by_copies(world.name, 0, PEER_STATES)
        rates.append((mine, PEER_STATES / (time.perf_counter() - began)))
    if not found <= keys(states):
        raise SystemExit("the package comes to states that are not among ours")
    ours, peer = (median(side) for side in zip(*rates, strict=True))
    print(f"reachable states a second of {world.name}, every action tried in each,")
    print(
        f"median of {REPETITIONS} interleaved; ours {LEVELS} levels whole ({len(states):,} states), one thread;"
    )
    print(f"the package's step on deep copies, in the first {PEER_STATES} states of one level")
    print(f"{'':>10} {'states/s':>10}")
    print(f"{'goalscope':>10} {ours:>10,.0f}")
    print(f"{'MiniGrid':>10} {peer:>10,.0f}")
    print(f"RATIO enumerate_states {ours / peer:.1f}")


if __name__ == "__main__":
    main()
