"""Which channels carry the goal: found by their effect on some mazes, estimated on others alone and together.

A channel is resampled from another maze: once from one with the cheese on the same square, once from one with the
cheese elsewhere. A channel that carries where the cheese is does harm only in the second case.

What is estimated on the held-out mazes is what was found on the discovery mazes: had the held-out mazes a say in
which channels are reported (those confirmed there, say), their estimates would be too good. Which of the found
ones they confirm is said beside them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalscope.methods.intervening.select import Selection, select
from goalscope.studies.maze_internals.setup import Setup, activations, donors, reached, run
from goalscope.worlds.contract import concatenate, take


def select_channels(setup: Setup) -> dict[str, np.ndarray]:
    """Resamples every channel on discovery mazes, and the found ones alone and together on held-out ones.

    Returns:
        `effects` [C, D + H]: P(cheese) with a channel from a maze with the cheese elsewhere minus the same from one with
        it in the same place; held-out columns are 0 for channels that were not found. `random` [r]: as many other
        channels as were found, or all others where they are fewer. `set.SET.DONOR` [H] P(cheese), and
        `set.SET.DONOR.there` [H] P(the square on which the other donor has its cheese), SET being found, random or
        all, DONOR same or other; sets without a channel are left out; `none` and `none.there` [H] without resampling.
    """
    rng = np.random.default_rng(setup.about.seed)
    site = setup.layout.middle
    mazes = concatenate([setup.discovery, setup.held])
    same, other = donors(setup, mazes, rng)
    given = {
        k: activations(setup.module, setup.world, d, site)[site]
        for k, d in (("same", same), ("other", other))
    }
    channels = given["same"].shape[1]
    effects = np.zeros((channels, len(mazes)))

    def effect(units: np.ndarray, levels: np.ndarray) -> np.ndarray:
        state, rows = take(mazes, levels), []
        at = torch.from_numpy(levels)
        for unit in units:
            runs = [resampled(setup, state, given[k][at], [int(unit)]) for k in ("other", "same")]
            with_other, with_same = (reached(f, state.cheese, setup.steps) for f in runs)
            rows.append(with_other - with_same)
        effects[np.ix_(units, levels)] = rows
        return np.stack(rows)

    split = np.arange(len(mazes)) < len(setup.discovery)
    found = select(effect, split, units=channels, seed=setup.about.seed).found
    random = rng.permutation(np.setdiff1d(np.arange(channels), found))[: len(found)]
    result: dict[str, np.ndarray] = {"effects": effects, "random": random}
    sets = {"found": found.tolist(), "random": random.tolist(), "all": list(range(channels))}
    held = torch.arange(len(setup.discovery), len(mazes))
    target = other.cheese[len(setup.discovery) :]
    plain = run(setup, setup.held)
    result["none"] = reached(plain, setup.held.cheese, setup.steps)
    result["none.there"] = reached(plain, target, setup.steps)
    for name, units in sets.items():
        if not units:
            continue
        for k in ("same", "other"):
            moved = resampled(setup, setup.held, given[k][held], units)
            result[f"set.{name}.{k}"] = reached(moved, setup.held.cheese, setup.steps)
            result[f"set.{name}.{k}.there"] = reached(moved, target, setup.steps)
    return result


def resampled(setup: Setup, state: Any, donor: Tensor, channels: list[int]) -> Any:
    """The policy with some channels of the middle site as they are in each level's donor maze [N, C, h, w]."""

    def change(x: Tensor, level: Tensor) -> Tensor:
        new = x.clone()
        new[:, channels] = donor[level][:, channels]
        return new

    return run(setup, state, setup.layout.middle, change)


def selection(setup: Setup, found: dict[str, np.ndarray]) -> Selection:
    """The selection, from its effects."""
    split = np.arange(found["effects"].shape[1]) < len(setup.discovery)
    return select(found["effects"], split, seed=setup.about.seed)
