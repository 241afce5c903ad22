"""Seconds a level of the move-optimal solver on Boxoban's medium/valid/000 (1,000 levels), one thread.

Every solution is replayed; where the shared file has a reference solution (998 levels), ours may not be longer.
Where GOALSCOPE_DATA is unset, 300 generated levels of the same size take the place of Boxoban's.

RATIO sokoban_solver: median seconds a level / 0.05, should be at most 1; the run fails where fewer than 99% are solved
or a solution is longer than the reference.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from pathlib import Path

import numpy as np

from goalscope.worlds.contract import take
from goalscope.worlds.sokoban import Sokoban, SokobanState
from goalscope.worlds.sokoban.lurd import replay
from goalscope.worlds.sokoban.solver import solve
from goalscope.worlds.sokoban.text import read_level_file

BOUND_SECONDS = 0.05
NODE_LIMIT = 5_000_000


def levels() -> tuple[str, SokobanState, dict[int, int]]:
    """What is solved: its name, the levels, and the reference lengths by level number."""
    data = os.environ.get("GOALSCOPE_DATA")
    if data is None:
        return "generated (GOALSCOPE_DATA is unset)", Sokoban().generate(range(300)), {}
    folder = Path(data) / "sokoban"
    with open(folder / "boxoban_medium_valid_000_astar.csv") as lines:
        lengths = {int(row["level"]): len(row["moves_urdl"]) for row in csv.DictReader(lines)}
    path = folder / "boxoban" / "medium" / "valid" / "000.txt"
    return "boxoban/medium/valid/000", read_level_file(path).states(), lengths


def main() -> int:
    """Prints a table and the ratio; 1 where a claim does not hold."""
    name, states, lengths = levels()
    solve(take(states, 0))  # compiles, or loads what was compiled
    seconds, nodes, moves, longer = [], [], [], []
    for i in range(len(states)):
        state = take(states, i)
        start = time.perf_counter()
        found = solve(state, NODE_LIMIT)
        seconds.append(time.perf_counter() - start)
        nodes.append(found.nodes)
        if found.solved:
            moves.append(found.moves)
            if not replay(state, found.lurd).solved or found.moves > lengths.get(i, found.moves):
                longer.append(i)
    ms, solved = np.array(seconds) * 1000, len(moves) / len(states)
    print(f"{name}: {len(states)} levels, {solved:.1%} solved within {NODE_LIMIT:,} positions")
    print(
        f"moves: median {np.median(moves):.0f}, longest {max(moves)}; longer than the reference: {longer or 'none'}"
    )
    print(f"{'':10}{'median':>10}{'90%':>10}{'99%':>10}{'most':>12}{'sum':>12}")
    for what, values in (("ms", ms), ("positions", np.array(nodes))):
        quantiles = [*np.quantile(values, (0.5, 0.9, 0.99)), values.max(), values.sum()]
        print(
            f"{what:10}"
            + "".join(f"{q:>{w},.1f}" for q, w in zip(quantiles, (10, 10, 10, 12, 12), strict=True))
        )
    print(f"RATIO sokoban_solver {np.median(seconds) / BOUND_SECONDS:.3f}")
    return int(solved < 0.99 or bool(longer))


if __name__ == "__main__":
    sys.exit(main())
