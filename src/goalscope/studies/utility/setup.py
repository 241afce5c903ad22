"""What is asked: levels in which nothing bars the way, and a small grammar of utilities and contexts over their states.

A utility is to be at a thing or a place, to be near it, to have few steps, walls beside or an open view; or the sum of two
places. A context is how near a thing or place is, in steps or in squares, or whether the thing lies at a place. Each has a
description length: what it costs, in bits, to name it within the grammar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from goalscope.methods.goals.utilities import best_moves
from goalscope.rollout import States, enumerate_states, steps_to
from goalscope.studies.any_world import CORNERS, distinct, open_squares, place_masks
from goalscope.worlds.contract import ABILITIES, concatenate, take

DRAWS = 4
"""squares that a thing is moved to in each level; the first that bars no way is taken"""
LEAST = 12
"""levels of which half are held out, at least"""
STEPS, SQUARES = (1, 2, 4, 8, 16), (1, 2, 3, 4, 6)
"""how near a context may be"""
FORMS = 3
"""kinds of utility that a description tells apart: at, near, and those about nothing in particular"""


@dataclass(frozen=True)
class Utility:
    """One utility."""

    name: str
    about: str
    """the thing or place that it is about, two of them joined by ' + '; '' for none"""
    length: float
    """bits"""
    worth: np.ndarray
    """[K] of each state"""
    target: np.ndarray | None
    """[K] bool, where it is at its best; None of those that are not about coming somewhere"""

    @property
    def key(self) -> str:
        """As ids have it."""
        return re.sub("[^a-z0-9]+", "_", self.name.lower()).strip("_")


@dataclass(frozen=True)
class Asked:
    """Levels, their states, and what might be wanted in them."""

    world: Any
    states: States
    unit: np.ndarray
    """[N] int: levels of one number are one for every interval (the same walls, the thing elsewhere)"""
    barred: int
    """levels that were left out, since a thing bars the way to a place"""
    steps: int
    """time limit"""
    utilities: list[Utility]
    contexts: Mapping[str, np.ndarray]
    """name -> [K] bool"""
    missed: list[str]
    """utilities that were left out, since no level's start has a way there or all begin there"""

    @property
    def context_length(self) -> float:
        """Bits to name a context."""
        return float(np.log2(max(1, len(self.contexts))))

    @cached_property
    def best(self) -> np.ndarray:
        """[U, K, A] bool, the best moves of each utility."""
        worth = np.stack([u.worth for u in self.utilities])
        return best_moves(self.states.next, self.states.over, self.states.offsets, worth)


def asked_of(world: Any, state: Any, limit: int, seed: int) -> Asked:
    """The levels, those with a thing moved among them, and the grammar over them.

    Args:
        world: any World that says what lies where. state: N levels as generated.
        limit: states of one level at most. seed: of the squares that things are moved to.

    Raises:
        ValueError: the world does not say what lies where; too few levels are left.
        NoExactChain: as `enumerate_states`.
    """
    lacking = [f"`{ABILITIES[name]}`" for name in ("things", "agent", "free") if not hasattr(world, name)]
    if lacking:
        raise ValueError(f"the {world.name} world has no {', '.join(lacking)}: there is no utility to name")
    state = distinct(state)
    few = len(world.agent(state)) < LEAST
    levels, of = _levels(
        world, state, max(1, LEAST * 4 // len(world.agent(state))) if few else 1, limit, seed
    )
    open_ways = _open_ways(world, levels, enumerate_states(world, levels, limit))
    unit = np.arange(len(of)) if few else of
    kept = np.flatnonzero(open_ways & _first(np.where(open_ways, of, -1), few))
    if len(np.unique(unit[kept])) < LEAST:
        raise ValueError(
            f"{len(np.unique(unit[kept]))} of {len(of)} levels are left in which nothing bars the way to a corner, and "
            f"{LEAST} are needed: give more levels"
        )  # fmt: skip
    levels = take(levels, kept)
    states = enumerate_states(world, levels, limit)
    utilities, contexts, missed = _grammar(world, levels, states)
    _, unit = np.unique(unit[kept], return_inverse=True)
    barred = int((~open_ways[: len(world.agent(state))]).sum())
    return Asked(world, states, unit, barred, world.time_limit, utilities, contexts, missed)


def _levels(world: Any, state: Any, times: int, limit: int, seed: int) -> tuple[Any, np.ndarray]:
    """Levels as generated, then those with each thing moved; and [N] of which level each is made."""
    count, rng = len(world.agent(state)), np.random.default_rng(seed)
    made, of = [state], [np.arange(count)]
    if not hasattr(world, "move"):
        return state, of[0]
    states = enumerate_states(world, state, limit)
    free = world.free(state)
    stand = np.zeros(free.shape, bool)
    stand[states.level, *world.agent(states.state).T] = True
    for name in dict.fromkeys(name for here in world.things(state) for name in here):
        having = [i for i, here in enumerate(world.things(state)) if name in here and (free & stand)[i].any()]
        rows = np.repeat(having, DRAWS * times)
        if len(rows):
            squares = np.array([rng.choice(np.argwhere((free & stand)[i])) for i in rows])
            made.append(world.move(take(state, rows), name, squares))
            of.append(rows)
    return concatenate(made), np.concatenate(of)


def _first(of: np.ndarray, every: bool) -> np.ndarray:
    """[N] bool: the first two of each level (as generated, and one with a thing moved), or all that are there (-1: not)."""
    if every:
        return of >= 0
    kept, seen = np.zeros(len(of), bool), {}
    for i, level in enumerate(of.tolist()):
        seen[level] = seen.get(level, 0) + 1
        kept[i] = level >= 0 and seen[level] <= 2
    return kept


def _open_ways(world: Any, levels: Any, states: States) -> np.ndarray:
    """[N] bool: from the start there is a way to every corner, and to every thing."""
    agent = world.agent(states.state)
    ways = np.ones(len(states.start), bool)
    masks = place_masks(world, levels)
    for name in (f"{name} corner" for name in CORNERS):
        there = masks[name][states.level, agent[:, 0], agent[:, 1]]
        ways &= np.isfinite(steps_to(states.next, there)[states.start])
    return ways


def _grammar(
    world: Any, levels: Any, states: States
) -> tuple[list[Utility], dict[str, np.ndarray], list[str]]:
    """Utilities, contexts, and the names of what was left out."""
    agent = world.agent(states.state)
    squares = _squares(world, levels)
    masks = place_masks(world, levels)
    at = {name: _at(world, states, agent, name, where) for name, where in squares["thing"].items()}
    at |= {f"{n} corner": masks[f"{n} corner"][states.level, agent[:, 0], agent[:, 1]] for n in CORNERS}
    general = _general(world, levels, states, agent)
    cost = 1 + np.log2(FORMS)
    place, plain = cost + np.log2(len(at)), cost + np.log2(max(1, len(general)))
    found, missed = [], []
    near = {name: steps_to(states.next, there) for name, there in at.items()}
    for name, there in at.items():
        begins = there[states.start]
        if not (np.isfinite(near[name][states.start]) & ~begins).any():
            missed.append(name)
            continue
        found.append(Utility(f"at the {name}", name, place, there.astype(float), there))
    for name in [u.about for u in found]:
        far = near[name][np.isfinite(near[name])].max()
        worth = -np.minimum(near[name], far) / max(far, 1)
        found.append(Utility(f"near the {name}", name, place, worth, None))
    found += [Utility(name, "", plain, worth, None) for name, worth in general.items()]
    wanted = [u for u in found if u.target is not None]
    for i, one in enumerate(wanted):
        for other in wanted[i + 1 :] if one.about in squares["thing"] else []:
            name, both = f"{one.name} + {other.name}", f"{one.about} + {other.about}"
            found.append(Utility(name, both, one.length + other.length, one.worth + other.worth, None))
    return found, _contexts(squares, near, states, agent), missed


def _squares(world: Any, levels: Any) -> dict[str, dict[str, np.ndarray]]:
    """'thing' and 'corner' -> name -> [N, 2] where it is as a level begins; (-1, -1) where there is none."""
    things, masks = world.things(levels), place_masks(world, levels)
    names = dict.fromkeys(name for here in things for name in here)
    flat = {n: masks[f"{n} corner"].reshape(len(things), -1).argmax(1) for n in CORNERS}
    width = masks["start"].shape[2]
    return {
        "thing": {n: np.array([here.get(n, (-1, -1)) for here in things]) for n in names},
        "corner": {f"{n} corner": np.stack(np.divmod(index, width), 1) for n, index in flat.items()},
    }


def _at(world: Any, states: States, agent: np.ndarray, name: str, where: np.ndarray) -> np.ndarray:
    """[K] bool: on the thing's square, or it was taken or moved away from there."""
    square = where[states.level]
    lies = [
        here.get(name) == tuple(at)
        for here, at in zip(world.things(states.state), square.tolist(), strict=True)
    ]
    return (square[:, 0] >= 0) & ((agent == square).all(1) | ~np.array(lies, bool))  # fmt: skip


def _general(world: Any, levels: Any, states: States, agent: np.ndarray) -> dict[str, np.ndarray]:
    """Utilities about nothing in particular: name -> [K]."""
    squares = np.pad(open_squares(world, levels), ((0, 0), (1, 1), (1, 1)))
    row, column = agent.T + 1
    ways = ((-1, 0), (1, 0), (0, -1), (0, 1))
    walls = sum(~squares[states.level, row + r, column + c] for r, c in ways) / len(ways)
    seen = np.zeros(len(agent))
    for r, c in ways:
        sees = np.ones(len(agent), bool)
        for step in range(1, max(squares.shape[1:])):
            at = (
                (row + r * step).clip(0, squares.shape[1] - 1),
                (column + c * step).clip(0, squares.shape[2] - 1),
            )
            sees &= squares[states.level, *at]
            seen += sees
    found = {"walls beside it": walls, "an open view": seen / max(seen.max(), 1)}
    return {"few steps": states.over - 1.0, **found} if states.over.any() else found


def _contexts(
    squares: dict[str, dict[str, np.ndarray]], near: dict[str, np.ndarray], states: States, agent: np.ndarray
) -> dict[str, np.ndarray]:
    """name -> [K] bool; those that hold everywhere or nowhere, or hold as another does, are left out."""
    found: dict[str, np.ndarray] = {}
    for name, where in {**squares["thing"], **squares["corner"]}.items():
        away = np.where(where[states.level, :1] >= 0, np.abs(agent - where[states.level]), 10**6).max(1)
        found |= {f"within {n} steps of the {name}": near[name] <= n for n in STEPS}
        found |= {f"within {n} squares of the {name}": away <= n for n in SQUARES}
    for thing, lies in squares["thing"].items():
        for place, where in squares["corner"].items():
            apart = np.where(lies[:, 0] >= 0, np.abs(lies - where).max(1), 10**6)[states.level]
            found |= {f"the {thing} within {n} squares of the {place}": apart <= n for n in SQUARES[1::2]}
    kept: dict[bytes, str] = {}
    for name, holds in found.items():
        if 0 < holds.sum() < len(holds):
            kept.setdefault(np.packbits(holds).tobytes(), name)
    return {name: found[name] for name in kept.values()}
