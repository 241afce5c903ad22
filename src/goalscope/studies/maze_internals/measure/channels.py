"""Which channels carry the goal: each alone, the strongest together, and all of them as the most the assay can show.

Some channels of the middle site are given what they hold in the same maze with the cheese elsewhere, square by square
with the mouse on the same square. Walls and mouse are those of the maze itself, so nothing but the cheese differs: a
channel that says nothing of it changes nothing at all. (With another maze for a donor the walls of that maze come along,
and all channels together hardly tell a moved cheese from another maze.) What a null is worth is said by all channels
together: no part can show more than about that.

A goal spread over many channels shows in none of them. So channels are ranked by what each does alone on the discovery
mazes, and the first 1, 2, 4, .. are swapped together on the held-out mazes, beside as many random channels. What is
estimated on the held-out mazes is what was chosen on the discovery mazes: had the held-out mazes a say in it, their
estimates would be too good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalscope.activations import random_of_equal_norm
from goalscope.methods.intervening.select import Selection, select
from goalscope.progress import counted
from goalscope.rollout import Fields, fields
from goalscope.studies.maze_internals.setup import APART, Setup, activations, reached
from goalscope.worlds.contract import concatenate, take
from goalscope.worlds.maze import place_cheese

TOGETHER = (1, 2, 4, 8, 16)
"""how many of the strongest channels are swapped together, where the site has more than that"""
DRAWS = 2
"""random sets for each size in each held-out maze; every maze has sets of its own"""
AT_ONCE = 16
"""mazes whose donor activations on all squares are held in memory at a time"""

Change = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(own activations [B, C, h, w], those with the cheese elsewhere [B, C, h, w], levels [B]) -> new ones"""


def select_channels(setup: Setup) -> dict[str, np.ndarray]:
    """Swaps every channel on discovery mazes; the found ones, sets and all channels on held-out ones.

    Returns:
        Changes against the unedited network on the same mazes. `effects` [C, D + H]: of P(reach the cheese) by one
        channel; held-out columns are 0 for channels that were not found. `order` [C]: the channels, those whose swap
        takes most on discovery mazes first. `sizes` [K] of the sets. `top` and `random` [K, H]: of P(reach the cheese)
        by the first channels of `order`, and by as many random ones (mean over draws); `all` and `noise` [H]: by all
        channels, and by a random change as large as that. The same with `.there`: of P(reach the donor's cheese square).
    """
    rng = np.random.default_rng(setup.about.seed)
    mazes = concatenate([setup.discovery, setup.held])
    moved = cheese_elsewhere(setup, mazes, rng)
    split = np.arange(len(mazes)) < len(setup.discovery)
    count = activations(setup.module, setup.world, take(mazes, slice(1)), site := setup.layout.middle)[
        site
    ].shape[1]
    effects = np.zeros((count, len(mazes)))

    def effect(units: np.ndarray, levels: np.ndarray) -> np.ndarray:
        changes = [swap(members([[unit]] * len(levels), count)) for unit in units]
        rows = swapped(setup, take(mazes, levels), take(moved, levels), changes)[0]
        effects[np.ix_(units, levels)] = rows
        return rows

    chosen = select(effect, split, units=count, seed=setup.about.seed)
    order = np.argsort(chosen.discovery, kind="stable")
    held = np.flatnonzero(~split)
    sizes = np.array([k for k in TOGETHER if k < count])
    top = [swap(members([order[:k]] * len(held), count)) for k in sizes]
    random = [
        swap(members([rng.permutation(count)[:k] for _ in held], count)) for k in sizes for _ in range(DRAWS)
    ]
    noise = torch.Generator().manual_seed(setup.about.seed)
    whole = [
        swap(members([range(count)] * len(held), count)),
        lambda own, donor, _: own + random_of_equal_norm(donor - own, noise),
    ]
    both = swapped(setup, take(mazes, held), take(moved, held), [*top, *random, *whole])
    found = {"effects": effects, "order": order, "sizes": sizes}
    for suffix, rows in zip(("", ".there"), both, strict=True):
        found[f"top{suffix}"] = rows[: len(sizes)]
        found[f"random{suffix}"] = rows[len(sizes) : -2].reshape(len(sizes), DRAWS, -1).mean(1)
        found[f"all{suffix}"], found[f"noise{suffix}"] = rows[-2:]
    return found


def cheese_elsewhere(setup: Setup, state: Any, rng: np.random.Generator) -> Any:
    """The same mazes, mice where they are, each with its cheese on a random free square well away from its own.

    Raises:
        ValueError: a maze has no such square.
    """
    squares, other = setup.world.squares(state), []
    for level in range(len(state)):
        free = squares.square[squares.level == level]
        apart = (free != state.mouse[level]).any(1) & (np.abs(free - state.cheese[level]).sum(1) > APART)
        if not apart.any():
            raise ValueError(
                f"maze {level} has no free square more than {APART} from its cheese for a donor's"
            )
        other.append(free[rng.choice(np.flatnonzero(apart))])
    return place_cheese(state, np.array(other))


def members(sets: Sequence[Sequence[int] | np.ndarray | range], count: int) -> Tensor:
    """[N, count] bool: which channels are in the set of each level."""
    mask = torch.zeros(len(sets), count, dtype=torch.bool)
    for row, units in zip(mask, sets, strict=True):
        row[list(units)] = True
    return mask


def swap(mask: Tensor) -> Change:
    """The channels of a level's set [N, C] as they are with the cheese elsewhere."""
    return lambda own, donor, level: torch.where(mask[level][:, :, None, None], donor, own)


def swapped(setup: Setup, state: Any, moved: Any, changes: Sequence[Change]) -> tuple[np.ndarray, np.ndarray]:
    """Changes [E, N] of P(reach the cheese) and of P(reach the cheese's square in `moved`), one row an edit."""
    taken, there = np.empty((2, len(changes), len(state)))
    for first in counted(range(0, len(state), AT_ONCE), "channels swapped", f"groups of {AT_ONCE} mazes"):
        part = slice(first, first + AT_ONCE)
        some, other = take(state, part), take(moved, part)
        squares = setup.world.squares(other)
        everywhere = setup.world.at_squares(other, squares, slice(None))
        donor = activations(setup.module, setup.world, everywhere, setup.layout.middle)[setup.layout.middle]
        plain = fields(setup.module, setup.world, some)
        for row, change in enumerate(changes):
            run = _edited(setup, some, donor, change, first)
            for result, goal in ((taken, some.cheese), (there, other.cheese)):
                before = reached(plain, goal, setup.steps)
                result[row, part] = reached(run, goal, setup.steps) - before
    return taken, there


def _edited(setup: Setup, state: Any, donor: Tensor, change: Change, first: int) -> Fields:
    """The policy everywhere, the middle site changed; donor [K, C, h, w] on the squares that `fields` goes through."""
    done = 0

    def edits(level: np.ndarray) -> dict[str, Callable[[Tensor], Tensor]]:
        nonlocal done
        rows, done = donor[done : done + len(level)], done + len(level)
        at = torch.from_numpy(level.astype(np.int64)) + first
        return {setup.layout.middle: lambda own: change(own, rows, at)}

    return fields(setup.module, setup.world, state, edits=edits)


def selection(setup: Setup, found: dict[str, np.ndarray]) -> Selection:
    """The selection, from its effects."""
    split = np.arange(found["effects"].shape[1]) < len(setup.discovery)
    return select(found["effects"], split, seed=setup.about.seed)
