"""What is asked: the candidates of a world, and its levels with one thing moved, moved to another place, or removed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from goalscope.studies.any_world import CORNERS, EDGES, place_masks
from goalscope.worlds.contract import take
from goalscope.worlds.factory import file_and_name, function_in

Goals = Mapping[str, Callable[[Any], np.ndarray]]
"""the user's own: name -> function of N states that gives squares [N, 2] (a negative row: none), or [N] bool: there"""


@dataclass(frozen=True)
class View:
    """K states of some levels, as the candidates look at them."""

    state: Any
    level: np.ndarray
    """[K] int: of which level each is"""
    agent: np.ndarray | None
    """[K, 2] the agents' squares; None in a world that does not say"""
    things: list[dict[str, tuple[int, int]]] | None
    """[K] what lies where; None in a world that does not say"""


Target = Callable[[View], np.ndarray]
"""of a view of K states to [K] bool: it is there"""


@dataclass(frozen=True)
class Candidate:
    """Something that might be pursued."""

    name: str
    """as the report calls it: 'green goal', 'top-left corner'"""
    key: str
    """as ids have it: 'green_goal'"""
    kind: str
    """'thing', 'corner', 'edge', 'start' or 'own' (the user's, and the world's aims)"""
    function: Callable[[Any], np.ndarray] | None = None
    """of kind 'own': the user's"""

    @property
    def words(self) -> str:
        """Within a sentence: 'the green goal', and the user's own as they are called."""
        return self.name if self.kind == "own" else f"the {self.name}"


@dataclass(frozen=True)
class Moved:
    """Levels with one thing on a square drawn at random, and on its twin, another square drawn in the same way."""

    thing: Candidate
    level: np.ndarray
    """[C] the study's level that each is made of"""
    here: np.ndarray
    """[C, 2] the one square"""
    twin: np.ndarray
    """[C, 2] the other"""
    at_here: Any
    """C levels"""
    at_twin: Any
    """C levels"""
    without: Any
    """C levels without the thing; None where the world cannot remove it"""


def goals_of(given: Goals | Sequence[str] | None) -> dict[str, Callable[[Any], np.ndarray]]:
    """The user's own candidates, name -> function of N states.

    Args:
        given: such functions by their names; or texts 'file.py:function', each a goal that is called as its function is,
            with spaces for '_'; or None.

    Raises:
        FileNotFoundError, ValueError: a file or a function in it is not there, or the file fails; two are called alike.
    """
    if given is None or isinstance(given, Mapping):
        return dict(given or {})
    found: dict[str, Callable[[Any], np.ndarray]] = {}
    for text in [given] if isinstance(given, str) else given:
        named = file_and_name(
            text, "goal", "of N states the squares [N, 2] to be at, or [N] bool, whether it is there"
        )
        if named is None:
            raise ValueError(f"a goal is 'file.py:function', a function of N states; got {text!r}")
        name = named[1].replace("_", " ").strip()
        if name in found:
            raise ValueError(f"two goals are called {name!r}: give {text} another name")
        found[name] = function_in(*named)
    return found


def view(world: Any, state: Any, level: np.ndarray) -> View:
    """The states as the candidates look at them."""
    agent = world.agent(state) if hasattr(world, "agent") else None
    return View(state, level, agent, world.things(state) if hasattr(world, "things") else None)


def candidates_of(world: Any, state: Any, goals: Goals) -> list[Candidate]:
    """Every thing of the levels and every special place, as far as the world says what is where; its aims; the user's own.

    Args:
        world: any World. state: N levels. goals: the user's own.

    Raises:
        ValueError: there are none, or two of one name.
    """
    found = []
    if _places(world):
        names = dict.fromkeys(name for here in world.things(state) for name in here)
        found += [_named(name, "thing") for name in names]
        found += [_named(f"{name} corner", "corner") for name in CORNERS]
        found += [_named(f"{name} edge", "edge") for name in EDGES] + [_named("start", "start")]
    aims = world.aims() if hasattr(world, "aims") else {}
    found += [_named(name, "own", function) for name, function in {**aims, **goals}.items()]
    if not found:
        lacking = [f"`{name}`" for name in ("things", "agent", "free") if not hasattr(world, name)]
        raise ValueError(
            f"the {world.name} world has no {', '.join(lacking)}: there is nothing to ask about; give "
            "goals={name: function of N states that gives [N] bool}, or --goals file.py:function (what the others are is in "
            "goalscope.worlds.contract.ABILITIES)"
        )
    keys = [candidate.key for candidate in found]
    for candidate in found:
        if keys.count(candidate.key) > 1:
            raise ValueError(
                f"two candidates would be called {candidate.key!r}: give {candidate.name!r} another name"
            )
    return found


def _named(name: str, kind: str, function: Callable[[Any], np.ndarray] | None = None) -> Candidate:
    return Candidate(name, re.sub("[^a-z0-9]+", "_", name.lower()).strip("_"), kind, function)


def _places(world: Any) -> bool:
    return all(hasattr(world, name) for name in ("things", "agent", "free"))


def targets(world: Any, candidates: list[Candidate], start: Any) -> dict[str, Target]:
    """What it is to be at each candidate, in the play of N levels.

    At a thing is who stands on its square, or has taken or moved it away from there; at a place, who stands on one of its
    squares.

    Args:
        world: of the levels. candidates: of which. start: the N levels as they begin.

    Returns:
        key of the candidate -> its target.
    """
    made: dict[str, Target] = {}
    things, masks = [], {}
    if _places(world):
        things, masks = world.things(start), place_masks(world, start)
    for candidate in candidates:
        if candidate.kind == "thing":
            where = [here.get(candidate.name, (-1, -1)) for here in things]
            made[candidate.key] = _at_thing(candidate.name, np.array(where))
        elif candidate.function is not None:
            made[candidate.key] = _by_function(candidate.name, candidate.function)
        else:
            made[candidate.key] = on(masks[candidate.name])
    return made


def on(mask: np.ndarray) -> Target:
    """Standing on one of the squares that are marked in [N, H, W]."""

    def there(seen: View) -> np.ndarray:
        row, column = np.asarray(seen.agent).T
        return mask[seen.level, row, column]

    return there


def _at_thing(name: str, where: np.ndarray) -> Target:
    kind = re.sub(r" \d+$", "", name)  # of two keys, the one that is left may go by the name of the first

    def there(seen: View) -> np.ndarray:
        square = where[seen.level]
        lies = [
            any(tuple(at) == place and re.sub(r" \d+$", "", other) == kind for other, at in here.items())
            for here, place in zip(seen.things or [], map(tuple, square.tolist()), strict=True)
        ]
        return (square[:, 0] >= 0) & ((np.asarray(seen.agent) == square).all(1) | ~np.array(lies, bool))

    return there


def _by_function(name: str, function: Callable[[Any], np.ndarray]) -> Target:
    def there(seen: View) -> np.ndarray:
        n = len(seen.level)
        try:
            given = np.asarray(function(seen.state))
        except Exception as error:  # whatever the user's function raises is told with its name
            raise ValueError(
                f"the goal {name!r} fails on {n} states of type {type(seen.state).__name__}: {type(error).__name__}: {error}"
            ) from error
        if given.shape == (n,) and given.dtype == bool:
            return given
        if given.shape == (n, 2) and given.dtype.kind in "iu" and seen.agent is not None:
            return (given == seen.agent).all(1)
        squares = f"squares [{n}, 2] int or " * (seen.agent is not None)
        raise ValueError(
            f"the goal {name!r} gives {given.dtype} {list(given.shape)} for {n} states; {squares}[{n}] bool is "
            "wanted"
        )

    return there


def moved(
    world: Any, state: Any, thing: Candidate, can_stand: np.ndarray | None, count: int, seed: int
) -> Moved | None:
    """Levels with the thing on two squares; None where the world moves no things, or no level has two squares for it.

    Args:
        world: of the levels. state: N levels. thing: which.
        can_stand: [N, H, W] bool squares that the agent comes to by some actions; None where that is not known.
        count: so many draws, over all levels in turn; the same pair of squares in the same level counts once.
        seed: of the draws.
    """
    if not hasattr(world, "move"):
        return None
    rng, free = np.random.default_rng(seed), world.free(state)
    free = free if can_stand is None else free & can_stand
    having = [i for i, here in enumerate(world.things(state)) if thing.name in here and free[i].sum() >= 2]
    if not having:
        return None
    drawn = []
    for i in np.resize(having, count).tolist():
        pair = rng.permutation(np.argwhere(free[i]))[:2]
        drawn.append((i, *sorted(map(tuple, pair.tolist()))))
    level = np.array([i for i, _, _ in dict.fromkeys(drawn)])
    pairs = np.array([pair for _, *pair in dict.fromkeys(drawn)])
    # Which of the two is the first one is drawn anew, so that neither comes first in reading order.
    pairs = np.where(rng.random(len(pairs))[:, None, None] < 0.5, pairs, pairs[:, ::-1])
    here, twin = pairs[:, 0], pairs[:, 1]
    some = take(state, level)
    without = world.remove(some, thing.name) if hasattr(world, "remove") else None
    at_here, at_twin = (world.move(some, thing.name, to) for to in (here, twin))
    return Moved(thing, level, here, twin, at_here, at_twin, without)
