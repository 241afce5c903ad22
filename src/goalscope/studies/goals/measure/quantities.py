"""What is asked of one policy, level by level: does it come there, does the thing draw it, what comes first.

Every quantity is one number a level, NaN in levels where it cannot be asked. None is about how fast: a random walk comes
everywhere in the end, so what decides is what is come to *first*, of two squares or places that differ in nothing but what
is asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from goalscope.rollout import States, chain, steps_to
from goalscope.studies.any_world import Uniform, one_square, open_squares
from goalscope.studies.goals.measure.solving import Case, Exact, Sampled, first_levels, solved
from goalscope.studies.goals.setup import (
    Candidate,
    Moved,
    on,
    targets,
)
from goalscope.studies.value_layer import with_features

PLACES = ("corner", "edge")
"""kinds of places that are more than one, and so can be held against each other"""
VALUE_STATES = 40_000
"""of whole levels, on which the value is held against the moves: what it is read from is stored for each"""


@dataclass(frozen=True)
class MovedCases:
    """Levels with a thing on one square, on its twin, and without it."""

    moved: Moved
    here: Case
    twin: Case
    without: Case | None
    """None where the world cannot remove it"""


@dataclass(frozen=True)
class Asked:
    """All that is asked, of any policy."""

    candidates: Sequence[Candidate]
    base: Case
    """the levels as they were generated"""
    moved: Mapping[str, MovedCases]
    """by the keys of the things that are moved"""


def case_of(
    world: Any, candidates: Sequence[Candidate], start: Any, limit: int | None, seed: int,
    squares: Mapping[str, np.ndarray] | None = None,
) -> Case:  # fmt: skip
    """The levels with all candidates as targets, and beside them single squares [C, 2] by name."""
    found = targets(world, list(candidates), start)
    for name, square in (squares or {}).items():
        found[name] = on(one_square(world.free(start).shape, square))
    return Case(world, start, found, limit, world.time_limit, seed)


def moved_cases(
    world: Any, candidates: Sequence[Candidate], found: Moved, limit: int | None, seed: int
) -> MovedCases:
    """The cases of a thing that is moved; the two squares are targets too, `here` and `twin`."""
    squares = {"here": found.here, "twin": found.twin}
    here, twin = (
        case_of(world, candidates, start, limit, seed, squares) for start in (found.at_here, found.at_twin)
    )
    bare = None if found.without is None else case_of(world, candidates, found.without, limit, seed, squares)
    return MovedCases(found, here, twin, bare)


def measure(module: nn.Module, asked: Asked) -> dict[str, np.ndarray]:
    """Everything, of one policy.

    Returns:
        `come.KEY` [N] P(comes there) in the levels as generated; `end.start` [N] P(is where it began at the end);
        `pull.THING`, `pull.THING.present` and `placed.THING` as `_pulls` says; `reach.OWN` [C] P(comes to a goal of the
        user's before the thing) in levels with a thing moved, of all things; `first.A.B` as `_firsts`. From an exact chain
        `moves` [K, A] and `value` [K] in the states of the first levels as generated, of a policy that has a value, and
        `value_features` [K, H] what that is read from, where the layer can be told.
    """
    base = solved(module, asked.base)
    made: dict[str, np.ndarray] = {}
    for candidate in asked.candidates:
        if candidate.kind == "start":
            made[f"end.{candidate.key}"] = base.ends(candidate.key)
            continue
        asks = ~asked.base.begins[candidate.key] & _has(asked, candidate)
        made[f"come.{candidate.key}"] = np.where(asks, base.comes(candidate.key), np.nan)
    own: dict[str, list[np.ndarray]] = {c.key: [] for c in asked.candidates if c.kind == "own"}
    for key, cases in asked.moved.items():
        here, twin = solved(module, cases.here), solved(module, cases.twin)
        made |= _pulls(
            key, cases, here, twin, None if cases.without is None else solved(module, cases.without)
        )
        for name, rows in own.items():
            rows.append(np.where(cases.here.begins[name], np.nan, here.first(name, key)))
        made |= {k: x for k, x in _firsts(asked.candidates, key, cases.here, here).items() if k not in made}
    for name, rows in own.items():
        made[f"reach.{name}"] = np.concatenate(rows) if rows else made[f"come.{name}"]
    if not asked.moved:
        made |= _firsts(asked.candidates, None, asked.base, base)
    if asked.base.states is not None and not isinstance(module, Uniform):
        made |= valued(module, asked.base.world, asked.base.states)
    return made


def valued(module: nn.Module, world: Any, states: States) -> dict[str, np.ndarray]:
    """Moves, value and what the value is read from in K states; empty for a policy without a value."""
    few, several = first_levels(states, 1), first_levels(states, VALUE_STATES)
    found, features = with_features(
        module, lambda: chain(module, world, few), lambda: chain(module, world, several)
    )
    if np.isnan(found.value).any():
        return {}
    made = {"moves": found.moves, "value": found.value}
    return made if features is None else {**made, "value_features": features}


def _has(asked: Asked, candidate: Candidate) -> np.ndarray:
    """[N] bool: the level has the thing; places and the user's own are everywhere."""
    if candidate.kind != "thing":
        return np.array(True)
    return np.array([candidate.name in here for here in asked.base.world.things(asked.base.start)])


def _pulls(
    key: str, cases: MovedCases, here: Exact | Sampled, twin: Exact | Sampled, without: Exact | Sampled | None
) -> dict[str, np.ndarray]:
    """Paired counterfactuals of a thing: where does the policy go when the thing lies here, there, or nowhere?

    Who does not care comes to the one square before the other as often wherever the thing lies, level by level.

    Returns:
        `pull.KEY` [C]: how much more often a square is come to before its twin when the thing lies on it than when it
        lies on the twin; the mean of both squares, -1 to 1. `pull.KEY.present` [C]: the same against levels without it.
        `placed.KEY` [C, 2]: P(comes to it) with it here, and at the twin.
    """
    asks = ~(cases.here.begins[key] | cases.twin.begins[key])
    to_here, to_twin = here.first(key, "twin"), twin.first(key, "here")
    made = {
        f"pull.{key}": (to_here - twin.first("here", key) + to_twin - here.first("twin", key)) / 2,
        f"placed.{key}": np.stack([here.comes(key), twin.comes(key)], 1),
    }
    if without is not None:
        made[f"pull.{key}.present"] = (
            to_here - without.first("here", "twin") + to_twin - without.first("twin", "here")
        ) / 2
    return {name: np.where(asks[:, None] if x.ndim == 2 else asks, x, np.nan) for name, x in made.items()}


def _firsts(
    candidates: Sequence[Candidate], moved: str | None, case: Case, solution: Exact | Sampled
) -> dict[str, np.ndarray]:
    """Of two candidates which is come to first, from the states of a level that are equally near to both.

    Pairs are places of one kind, things and the user's own, and a thing and a corner. Nearness is counted in actions.
    Levels in which both can be come to at once are left out, and of places those with the moved thing in one of them.

    Returns:
        `first.A.B` -> [C] P(A first) - P(B first), the mean of those states; NaN where there are none. Empty where play was
        sampled: no states are known then.
    """
    if not isinstance(solution, Exact) or case.states is None:
        return {}
    states, made, count = case.states, {}, len(case.states.start)
    near = {c.key: steps_to(states.next, case.flags[c.key]) for c in candidates if c.kind != "start"}

    def together(one: str, other: str) -> np.ndarray:
        return np.bincount(states.level, case.flags[one] & case.flags[other], count) > 0

    for i, a in enumerate(candidates):
        for b in candidates[i + 1 :]:
            if not _paired(a, b, moved):
                continue
            apart = ~together(a.key, b.key)
            if moved is not None and a.kind in PLACES and b.kind in PLACES:
                apart &= ~together(a.key, moved) & ~together(b.key, moved)
            equal = (
                (near[a.key] == near[b.key]) & np.isfinite(near[a.key]) & ~states.over & apart[states.level]
            )
            number = np.bincount(states.level, equal, count)
            if number.any():
                lead = solution.everywhere(a.key, b.key) - solution.everywhere(b.key, a.key)
                total = np.bincount(states.level, np.where(equal, lead, 0.0), count)
                made[f"first.{a.key}.{b.key}"] = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return made


def _paired(a: Candidate, b: Candidate, moved: str | None) -> bool:
    """Whether two candidates are held against each other, in levels with that thing moved."""
    kinds = {a.kind, b.kind}
    if kinds <= {"corner"} or kinds <= {"edge"}:
        return True
    if "thing" in kinds and moved is not None and moved not in (a.key, b.key):
        return False
    return kinds <= {"thing", "own"} or kinds == {"thing", "corner"}


def every_square(case: Case) -> Case:
    """The same levels with each open square as a target, named 'row,column'."""
    squares = np.argwhere(open_squares(case.world, case.start).any(0))
    shape = case.world.free(case.start).shape
    named = {}
    for row, column in squares.tolist():
        mask = np.zeros(shape, bool)
        mask[:, row, column] = True
        named[f"{row},{column}"] = on(mask)
    return Case(case.world, case.start, named, case.limit, case.steps, case.seed)
