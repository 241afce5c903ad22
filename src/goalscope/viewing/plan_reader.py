"""A reader of the plan in a policy's memory, fitted within seconds: what `goalscope play` draws on the board."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from goalscope.methods.reading.probe import map_rows
from goalscope.policies.checkpoint import Policy
from goalscope.policies.drc import DRC
from goalscope.studies.sokoban_plan.measure.play import captured, moments, plan_labels, play
from goalscope.studies.sokoban_plan.measure.probes import MOMENTS, fitted, log_chances, together
from goalscope.studies.sokoban_plan.setup import FIRST_LEVEL, board_world, described, layout
from goalscope.viewing.sokoban import Plans, ReadPlan
from goalscope.worlds.sokoban import Sokoban

LEVELS = 150
STEPS = 40
"""moves of an episode: those of levels that are not solved would take most of the time"""


def plan_reader(policy: Policy, levels: int = LEVELS, seed: int = 0) -> ReadPlan | None:
    """Fits probes of the player's and the boxes' plan to all that the memory holds after a step.

    Args:
        policy: a DRC for Sokoban.
        levels: generated ones of its own size, whose episodes the probes are fitted to.
        seed: of the moments.

    Returns:
        What `play_level` takes as `read_plan`; None for a network without memory. It draws an arrow only where leaving
        the square is likelier than not.

    Raises:
        ValueError: a policy of another world.
    """
    module = policy.module
    size, boxes = described(policy)
    if not isinstance(module, DRC):
        return None
    places = layout(module, None)
    part, last = places.parts[-1], places.ticks - 1
    numbers = np.arange(FIRST_LEVEL + 5_000_000, FIRST_LEVEL + 5_000_000 + levels)
    state = Sokoban(size, size, boxes).generate(numbers)
    world = board_world(module, state)
    played = play(module, world, state, steps=STEPS)
    level, time = moments(played.length, MOMENTS, STEPS, seed)
    maps, planes = captured(module, world, state, places.sites(part, last), played.moves, level, time)
    floor = planes[:, 0] == 0
    x, by_row = map_rows(together(places, maps, part, last), level, floor)
    probes = []
    for labels in plan_labels(played, level, time):
        y = labels[floor].astype(np.int64)
        probes.append(fitted(x, y, by_row, np.ones(len(y), bool)))

    def read_plan(carry: Any, seen: np.ndarray) -> Plans:
        hidden, cells = carry
        whole = torch.cat([torch.cat([hidden[0, d], cells[0, d]]) for d in range(module.layers)]).movedim(
            0, -1
        )
        agent, box = (_likely(log_chances(whole, *probe).exp().numpy()) for probe in probes)
        floor_now = ~seen[0, 0].astype(bool) if seen.shape[1] == 4 else seen[0].any(0)
        return agent * floor_now[..., None], box * floor_now[..., None]

    return read_plan


def _likely(chances: np.ndarray) -> np.ndarray:
    """[H, W, 5] chances to [H, W, 4], nothing where staying away is the likeliest."""
    return np.where((chances[..., :4].max(-1) > chances[..., 4])[..., None], chances[..., :4], 0.0)
