"""Playing sets of levels: what looks before the first move change, and what the probes read on larger boards."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from goalscope.methods.reading.probe import map_rows
from goalscope.studies.sokoban_plan.measure.beside import WINDOW_SIDES, window
from goalscope.studies.sokoban_plan.measure.play import captured, early_cycles, moments, plan_labels, play
from goalscope.studies.sokoban_plan.measure.probes import (
    LATEST,
    MOMENTS,
    TARGETS,
    best_part,
    reader,
    tallied,
    together,
)
from goalscope.studies.sokoban_plan.setup import LevelSet, Setup, board_world

LARGER = "larger"
"""the set whose episodes the probes of the smaller boards are tried on"""


def solve_set(setup: Setup, levels: LevelSet) -> dict[str, np.ndarray]:
    """Every level of a set after every number of looks.

    Returns:
        `solved.LOOKS` [N], `cycle.LOOKS` [N] whether it comes back to a position early, `moves.LOOKS` [N]; the same of the
        untrained network without looks, `untrained.solved.0` and so on, and of the trained network without memory, where
        there is one, at the least and the most looks, `plain.solved.LOOKS`.
    """
    found: dict[str, np.ndarray] = {}
    for looks in levels.thinking:
        found |= _played(setup.module, levels, looks)
    found |= {f"untrained.{k}": v for k, v in _played(setup.blank.module, levels, 0).items()}
    if setup.plain is not None:
        for looks in (levels.thinking[0], levels.thinking[-1]):
            found |= {f"plain.{k}": v for k, v in _played(setup.plain.module, levels, looks).items()}
    return found


def _played(module: nn.Module, levels: LevelSet, looks: int) -> dict[str, np.ndarray]:
    games = [play(module, board_world(module, group), group, looks) for group in levels.groups]
    return {
        f"solved.{looks}": np.concatenate([game.solved for game in games]),
        f"cycle.{looks}": np.concatenate([early_cycles(game) for game in games]),
        f"moves.{looks}": np.concatenate([game.length for game in games]),
    }


def read_larger(setup: Setup, probes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The probes of the policy's own boards on episodes of larger ones: `tally.TARGET.policy`, `tally.TARGET.window`, the
    largest one."""
    state = setup.sets[LARGER].groups[0]
    played = play(setup.module, setup.world(state), state)
    level, time = moments(played.length, MOMENTS, LATEST, setup.about.seed)
    last, layout = setup.layout.ticks - 1, setup.layout
    parts = {target: best_part(setup, probes, target) for target in TARGETS}
    sites = list(dict.fromkeys(site for part in parts.values() for site in layout.sites(part, last)))
    maps, planes = captured(setup.module, setup.world(state), state, sites, played.moves, level, time)
    floor = planes[:, 0] == 0
    by_row = level[np.nonzero(floor)[0]]
    around = map_rows(window(torch.from_numpy(planes).float(), WINDOW_SIDES[-1]), level, floor)[0]
    found = {}
    for target, labels in zip(TARGETS, plan_labels(played, level, time), strict=True):
        x = map_rows(together(layout, maps, parts[target], last), level, floor)[0]
        y = labels[floor]
        found[f"tally.{target}.policy"] = tallied(
            x, *reader(probes, target, f"policy.{parts[target]}.{last}"), y, by_row
        )
        found[f"tally.{target}.window"] = tallied(
            around, *reader(probes, target, f"window_{WINDOW_SIDES[-1]}"), y, by_row
        )
    return found
