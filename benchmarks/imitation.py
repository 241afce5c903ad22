"""Throughput of the imitation recipes: states taught a second, and the share of the time spent outside the network.

Peer: the budget, a tenth of the time. Outside is all that is not the network: the world's steps and observations,
fresh levels, their tables or plans, and the teacher's answers; on generated levels, for which nothing is prepared, and
on levels with solutions prepared, as the Boxoban recipe has. The first tenth of each run warms up. Bound: 1.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from goalscope.policies.drc import DRC
from goalscope.training import imitation
from goalscope.training.imitation import imitate
from goalscope.training.sokoban import RECIPES
from goalscope.training.sokoban_teachers import Library, Plans, Tables
from goalscope.worlds.sokoban import Sokoban
from goalscope.worlds.sokoban_solver import solve_many

BUDGET = 0.10
BATCHES = 40
LIBRARY = 300
"""generated levels that stand for Boxoban's, which take the solver about half as long"""


def measure(name: str) -> tuple[float, float]:
    """States a second over a short run, and the share outside of the network (median over its batches)."""
    recipe = RECIPES[name]
    # The student acts from the beginning: an untrained one leaves its plans most often, the worst case.
    config = replace(
        recipe.imitation, steps=BATCHES * recipe.imitation.levels * recipe.imitation.window, guided=0.0
    )
    world = Sokoban(recipe.size, recipe.size, recipe.boxes)
    if recipe.boxoban:
        levels = world.generate(np.arange(LIBRARY))
        found = solve_many(levels, 200_000)
        solved = found.moves >= 0
        state = type(levels)(*(getattr(levels, k)[solved] for k in ("walls", "goals", "boxes", "player")))
        teacher = Plans(Library(state, found.actions[solved], int((~solved).sum())), config.levels)
    else:
        teacher = Tables(world, config.levels)
    torch.manual_seed(0)
    policy = DRC(recipe.layers, recipe.ticks, recipe.channels, hidden=recipe.hidden)
    with tempfile.TemporaryDirectory() as folder:
        imitate(policy, world, teacher, Path(folder), config, 0, 1e9, progress=False)
        rows = imitation._rows_until(Path(folder) / "curve.csv", config.steps)[BATCHES // 10 :]
    rate = config.levels * config.window * (len(rows) - 1) / (rows[-1]["seconds"] - rows[0]["seconds"])
    return rate, statistics.median(row["outside"] for row in rows)


def main() -> None:
    """Prints a table and the ratios."""
    rows = [(name, *measure(name)) for name in RECIPES]
    print(f"{'':20}{'states/s':>10}{'outside':>10}   ({torch.get_num_threads()} threads)")
    for name, rate, outside in rows:
        print(f"{name:20}{rate:10.0f}{outside:10.1%}")
    for name, _, outside in rows[1:]:
        print(f"RATIO imitation_{name.partition('-')[2]} {outside / BUDGET:.3f}")
    print(f"RATIO imitation {rows[0][2] / BUDGET:.3f}")


if __name__ == "__main__":
    sys.exit(main())
