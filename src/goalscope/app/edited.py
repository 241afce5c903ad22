"""A policy edited inside, beside itself: the cheese vector at a dose, and the goal moved to a square.

Both are the edits of the study of the inside. Each stands beside noise of equal norm at the same place; the moved goal also
beside what it did on mazes on which nothing was chosen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalscope.policies.checkpoint import Policy
from goalscope.rollout import Fields, fields
from goalscope.stats import bootstrap_clustered
from goalscope.studies.about import About
from goalscope.studies.maze import is_square, world_words
from goalscope.studies.maze_internals.measure.retarget import Moved, MoveGoal, move_goal
from goalscope.studies.maze_internals.setup import QUICK, Setup, activations, alike, cells, layout, prepare
from goalscope.worlds.maze import Maze, MazeState, remove_cheese
from goalscope.worlds.maze.paths import free

SEED = 0
DOSES = (-4.0, 4.0)
"""least and greatest dose of the cheese vector"""


@dataclass(frozen=True)
class Learnt:
    """The moved goal of a policy, and what it did on held-out mazes."""

    edit: MoveGoal
    setup: Setup
    rows: list[dict[str, Any]]
    """P(reach the target) on held-out mazes: `name`, `estimate`, `low`, `high`, `n` mazes"""


def cheese_fields(policy: Policy, state: MazeState, dose: float, random: bool = False) -> Fields:
    """The policy everywhere in one maze, with `dose` times what the cheese adds at the middle site added once more.

    Args:
        policy: of a known architecture.
        state: one maze with a cheese.
        dose: -1 takes away what the cheese adds with the mouse at its start.
        random: a random vector of the same norm, nonzero at the same places, instead: the control.

    Raises:
        ValueError: no cheese; a network whose sites are not known.
    """
    _needs_cheese(state)
    site, world = layout(policy.module).middle, Maze(state.walls.shape[1])
    with_it, without = (
        activations(policy.module, world, each, site)[site] for each in (state, remove_cheese(state))
    )
    vector = with_it - without
    if random:
        vector = alike(vector, torch.Generator().manual_seed(SEED))
    return _changed(policy, state, site, dose * vector)


def sent_fields(
    policy: Policy, state: MazeState, to: tuple[int, int], learnt: Learnt, random: bool = False
) -> Fields:
    """The policy everywhere in one maze, with what the cheese adds taken away at its cell and written at a square's.

    Args:
        policy: the one that `learnt` is of.
        state: one maze with a cheese.
        to: (row, column) of a free square.
        learnt: of `learn`.
        random: noise of the same norm on the same activations instead: the control.

    Raises:
        ValueError: no cheese; a square that is not free, or in the cheese's own cell.
    """
    _needs_cheese(state)
    if not _can_stand(state, to):
        raise ValueError(
            f"the square {to} is a wall, out of reach, or where the mouse or the cheese is: choose a free one"
        )
    site, setup = learnt.setup.layout.middle, learnt.setup
    world = Maze(state.walls.shape[1])
    plain = activations(policy.module, world, state, site)[site]
    source, target = cells(setup, np.array([state.cheese[0], to]), plain.shape[-1]).tolist()
    if source == target:
        raise ValueError(
            f"the square {to} lies in the cheese's own cell of the network's map: choose one further away"
        )
    where = torch.zeros(1, *plain.shape[-2:], dtype=torch.bool)
    where[0, target[0], target[1]] = True
    edit = replace(learnt.edit, source=(source[0], source[1]))
    change = edit.at(where)(torch.zeros_like(plain))
    if random:
        noise = edit.random_direction(where, plain.shape, torch.Generator().manual_seed(SEED))
        change = noise * change.norm() / noise.norm()
    return _changed(policy, state, site, change)


def learn(policy: Policy) -> Learnt:
    """Chooses the moved goal of a policy on some mazes and judges it on others, as the study of the inside does when quick.

    Raises:
        ValueError: a network whose sites are not known, or one of mazes too small.
    """
    world = Maze(policy.module.size, cheese_region=None)  # type: ignore[arg-type]
    about = About(world_words(world, None), SEED, "", quick=True)
    setup = prepare(policy, policy, world, QUICK, 0, about)
    moved = move_goal(setup, np.random.default_rng(SEED))
    return Learnt(moved.edit, setup, _judged(moved))


def _judged(moved: Moved) -> list[dict[str, Any]]:
    named = {
        "success": "edited", "floor": "noise of equal norm", "bare": "no edit", "ceiling": "the cheese put there",
    }  # fmt: skip
    rows = []
    for key, name in named.items():
        found = bootstrap_clustered(
            moved.found[f"move.{key}"], moved.found["move.level"], bounds=(0, 1), seed=SEED
        )
        rows.append(
            {"name": name, "estimate": found.estimate, "low": found.low, "high": found.high, "n": found.n}
        )
    return rows


class Learning:
    """The moved goals of policies, each learnt once, in a thread of its own: it takes half a minute."""

    def __init__(self) -> None:
        self._found: dict[str, Learnt | Exception] = {}
        self._begun: set[str] = set()
        self._lock = threading.Lock()

    def of(self, policy: Policy) -> Learnt | None:
        """What was learnt; None while it is being learnt.

        Raises:
            ValueError: it could not be.
        """
        layout(policy.module)  # a network that is not known is told at once
        with self._lock:
            if policy.name not in self._begun:
                self._begun.add(policy.name)
                threading.Thread(target=self._learn, args=(policy,), daemon=True).start()
            found = self._found.get(policy.name)
        if isinstance(found, Exception):
            raise ValueError(f"the edit could not be learnt: {found}") from found
        return found

    def _learn(self, policy: Policy) -> None:
        found: Learnt | Exception
        try:
            found = learn(policy)
        except Exception as error:  # told to whoever asks next
            found = error
        with self._lock:
            self._found[policy.name] = found


def reach_of(found: Fields, to: tuple[int, int], steps: int) -> float:
    """Exact P(come to a square within `steps`) from where the mouse is."""
    return float(found.reach_from_start(steps, is_square(found, np.array([to])))[0])


def _changed(policy: Policy, state: MazeState, site: str, change: Tensor) -> Fields:
    """The fields of one maze with a map [1, C, h, w] added at a site, wherever the mouse is."""

    def edits(level: np.ndarray) -> dict[str, Callable[[Tensor], Tensor]]:
        return {site: lambda found: found + change}

    return fields(policy.module, Maze(state.walls.shape[1]), state, edits=edits)


def _needs_cheese(state: MazeState) -> None:
    if state.cheese[0, 0] < 0:
        raise ValueError("there is no cheese in this maze, whose pull could be edited: put one on a square")


def _can_stand(state: MazeState, to: tuple[int, int]) -> bool:
    return max(to) < state.walls.shape[1] and bool(free(state)[0][to])
