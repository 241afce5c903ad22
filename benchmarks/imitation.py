"""Throughput of the imitation recipes: states taught a second, and the share of the time spent outside the network.

Peer: the budget, a tenth of the time. The network is its forward, the backward and the optimiser's step; outside is all
else: the world's steps and observations and their encoding, fresh levels, their tables or plans, the teacher's answers,
drawing actions, the loss, the gradient's clip and the mean of the weights; on generated levels, for which nothing is
prepared, and on levels with solutions prepared, as the Boxoban recipe has. The first tenth of each run warms up; of the
rest both times are added up, so that rare long searches count. Bound: 1.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from goalscope.policies.drc import DRC
from goalscope.training.imitation import COUNTS, imitate
from goalscope.training.saved_state import rows_until
from goalscope.training.sokoban.recipe import RECIPES
from goalscope.training.sokoban.teachers import Library, Plans, Tables
from goalscope.worlds.sokoban import Sokoban
from goalscope.worlds.sokoban.solver import solve_many

BUDGET = 0.10
BATCHES = 40
LIBRARY = 300
"""generated levels that stand for Boxoban's, which take the solver about half as long"""


def measure(name: str) -> tuple[float, float]:
    """States a second over a short run, and the share of its time outside of the network."""
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
        rows = rows_until(Path(folder) / "curve.csv", config.steps, COUNTS)
    seconds = np.diff([row["seconds"] for row in rows])[BATCHES // 10 - 1 :]
    outside = np.array([row["outside"] for row in rows])[BATCHES // 10 :]
    rate = config.levels * config.window * len(seconds) / seconds.sum()
    return rate, float(outside @ seconds / seconds.sum())


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
