"""The vector field of a 25x25 maze against the bare batched forward on the same observations.

Peer: the policy's own forward, once, on the observations of all free squares (made beforehand), under inference_mode.
Ours: `vector_field`, which makes the observations, runs the forward, and solves the reach probabilities.
On the Procgen world the peer also renders the observations. Same batch, threads and precision. Bounds: 1.25 and 1.5.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from goalscope.policies.compact import Compact
from goalscope.policies.impala import Impala
from goalscope.rollout import BATCH, vector_field
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze
from goalscope.worlds.maze.paths import maze_size
from goalscope.worlds.procgen import ProcgenMaze

REPEATS = 15


def medians(
    ours: Callable[[], object], peer: Callable[[], object], repeats: int = REPEATS
) -> tuple[float, float]:
    """Seconds of each, alternating, after a warm-up of both."""
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for i in range(repeats + 2):
        for name, run in (("ours", ours), ("peer", peer)):
            start = time.perf_counter()
            run()
            if i >= 2:
                times[name].append(time.perf_counter() - start)
    return statistics.median(times["ours"]), statistics.median(times["peer"])


def largest(world: Any) -> Any:
    """The first level of full size."""
    state = world.generate(np.arange(60))
    return take(state, int(np.flatnonzero(maze_size(state) == world.size)[0]))


def main() -> None:
    """Prints a table and the two ratios."""
    torch.manual_seed(0)
    rows = []
    cases: tuple[tuple[str, Any, Any], ...] = (
        ("vector_field", Maze(25, None), Compact(25, 32, 5)),
        ("vector_field_procgen", ProcgenMaze("hard"), Impala()),
    )
    for name, world, policy in cases:
        policy.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        state = largest(world)
        squares: Any = world.squares(state)
        everywhere: Any = world.at_squares(state, squares, slice(None))
        x = policy.encode(world.observe(everywhere))

        def peer(
            name: str = name,
            world: Any = world,
            policy: Any = policy,
            everywhere: Any = everywhere,
            x: Any = x,
        ) -> None:
            with torch.inference_mode():
                seen = x if name == "vector_field" else policy.encode(world.observe(everywhere))
                for part in seen.split(BATCH):
                    policy(part)

        def ours(world: Any = world, policy: Any = policy, state: Any = state) -> None:
            vector_field(policy, state, world=world)

        rows.append((name, len(squares), *medians(ours, peer)))
    print(f"{'':24}{'positions':>10}{'ours, ms':>10}{'peer, ms':>10}   ({torch.get_num_threads()} threads)")
    for name, positions, mine, theirs in rows:
        print(f"{name:24}{positions:10}{mine * 1000:10.1f}{theirs * 1000:10.1f}")
    for name, _, mine, theirs in reversed(rows):
        print(f"RATIO {name} {mine / theirs:.3f}")


if __name__ == "__main__":
    sys.exit(main())
