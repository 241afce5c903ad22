"""What a world may offer beside the protocol of `contract.py`, and the clauses that it then keeps."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

from goalscope.worlds.batch import copied, equal, take

ABILITIES = {
    "things": "things(state) -> [N] of {name: (row, column)}: what lies where, the agent left out; of equal things the "
    "second in reading order is called 'NAME 2'",
    "agent": "agent(state) -> [N, 2] int: the agents' squares",
    "free": "free(state) -> [N, H, W] bool: where the agent could stand, and neither it nor a thing is",
    "move": "move(state, name, to [N, 2]) -> the levels with that thing elsewhere",
    "remove": "remove(state, name) -> the levels without that thing",
    "add": "add(state, name, to [N, 2]) -> the levels with one more thing",
    "move_agent": "move_agent(state, to [N, 2]) -> the levels with the agent elsewhere",
    "picture": "picture(state, i) -> level i as SVG text",
    "aims": "aims() -> {name: function of N states that gives [N] bool}: what can be brought about in it, beside coming to "
    "things and places",
    "legal": "legal(state) -> [N, A] bool: the moves that count, of a level that is over all or none; any other is refused "
    "by `step` or changes nothing; without it all actions count",
}
"""What a world may offer beside the protocol: name -> what is called and what it gives.

Edits leave all else as it is, and raise ValueError that names the level ('level 3: ...') where one cannot be done: no
thing of this name, or a square outside the grid or not free."""
_READS, _EDITS = ("things", "agent", "free"), ("move", "remove", "add", "move_agent")


def require(kept: bool, clause: str) -> None:
    """Raises ValueError that names the clause which is not kept."""
    if not kept:
        raise ValueError(f"world contract broken: {clause}")


def check_abilities(world: Any, state: Any) -> None:
    """What the world offers beside the protocol, on levels as they were generated; raises ValueError by its clause."""
    before, count = copied(state), len(getattr(state, dataclasses.fields(state)[0].name))
    has = [name for name in ABILITIES if hasattr(world, name)]
    edits = [name for name in _EDITS if name in has]
    lacking = [name for name in _READS if name not in has]
    require(
        not edits or not lacking, f"it has {', '.join(edits)}, and no {' and '.join(lacking)} to judge by"
    )
    read = {name: getattr(world, name)(state) for name in _READS if name in has}
    if "agent" in has:
        square = read["agent"]
        require(_squares(square, count), f"agent gave {_kind(square)}, not [{count}, 2] int")
    if "free" in has:
        free = read["free"]
        shaped = isinstance(free, np.ndarray) and free.ndim == 3 and len(free) == count and free.dtype == bool
        require(shaped, f"free gave {_kind(free)}, not [{count}, H, W] bool")
    if "things" in has:
        found = read["things"]
        listed = isinstance(found, list) and len(found) == count and all(isinstance(x, dict) for x in found)
        require(listed, f"things gave no list of {count} dictionaries")
    for name, aim in world.aims().items() if "aims" in has else ():
        given = aim(state)
        shaped = isinstance(given, np.ndarray) and given.shape == (count,) and given.dtype == bool
        require(shaped, f"the aim {name!r} gave {_kind(given)}, not [{count}] bool")
    for i in range(count):
        alone = {name: getattr(world, name)(take(state, i)) for name in read}
        same = all(np.array_equal(alone[name][0], read[name][i]) for name in read)
        require(same, f"level {i} asked alone for {', '.join(read)} differs from the batch")
        if "picture" in has:
            drawn = world.picture(state, i)
            require(isinstance(drawn, str) and drawn.lstrip().startswith("<svg"), "picture gave no SVG text")
    if not lacking:
        _check_apart(**read)
    if edits:
        _check_edits(world, state, edits, **read)
    require(equal(before, state), "an ability changed its input state")


def _check_apart(things: list[dict], agent: np.ndarray, free: np.ndarray) -> None:
    for i, here in enumerate(things):
        for name, square in {**here, "the agent": tuple(agent[i])}.items():
            inside = len(square) == 2 and all(
                0 <= at < side for at, side in zip(square, free.shape[1:], strict=True)
            )
            require(
                inside, f"{name} of level {i} is at {square}, which is no (row, column) of {free.shape[1:]}"
            )
            require(not free[i][tuple(square)], f"the square of {name} in level {i} is said to be free")


def _check_edits(
    world: Any, state: Any, edits: list[str], things: list[dict], agent: np.ndarray, free: np.ndarray
) -> None:
    rng = np.random.default_rng(0)
    places = [np.argwhere(level) for level in free]
    to = np.array([at[rng.integers(len(at))] if len(at) else (-1, -1) for at in places])
    roomy = to[:, 0] >= 0
    if "move_agent" in edits and roomy.any():
        moved = _edited(world, "move_agent", take(state, roomy), (), to[roomy], agent[roomy])
        require(np.array_equal(world.agent(moved), to[roomy]), "move_agent left the agent elsewhere")
        kept = world.things(moved) == [here for here, room in zip(things, roomy, strict=True) if room]
        require(kept, "move_agent moved a thing")
    for name in dict.fromkeys(name for here in things for name in here):
        having = np.array([name in here for here in things]) & roomy
        if not having.any():
            continue
        some, there, mine = take(state, having), to[having], agent[having]
        was = [here for here, has in zip(things, having, strict=True) if has]
        at = np.array([here[name] for here in was])
        off = (at != mine).any(1)  # what lay under the agent is not put there again
        if "move" in edits:
            moved = _edited(world, "move", some, (name,), there, mine)
            _require_things(world, moved, was, name, there, mine, "move")
            single = all(sum(_plain(other) == _plain(name) for other in here) == 1 for here in was)
            back = not (single and off.any()) or equal(
                _done(world.move, take(moved, off), name, at[off]), take(some, off)
            )
            require(back, f"{name} moved away and back: another level")
        if "remove" in edits:
            bare = _edited(world, "remove", some, (name,), None, mine)
            _require_things(world, bare, was, name, None, mine, "remove")
            if "add" in edits:
                if off.any():
                    before, again = [here for here, o in zip(was, off, strict=True) if o], at[off]
                    added = _done(world.add, take(bare, off), name, again)
                    _require_things(world, added, before, name, again, mine[off], "add")
                _edited(world, "add", bare, (name,), there, mine)


def _edited(world: Any, edit: str, state: Any, name: tuple, to: np.ndarray | None, agent: np.ndarray) -> Any:
    """The levels edited; each as it would be alone, and refused where it cannot be done."""
    call = getattr(world, edit)
    given = () if to is None else (to,)
    before = copied(state)
    made = _done(call, state, *name, *given)
    require(equal(before, state), f"{edit} changed its input state")
    for i in range(len(agent)):
        alone = _done(call, take(state, i), *name, *(x[i : i + 1] for x in given))
        require(equal(take(made, i), alone), f"level {i} edited alone by {edit} differs from the batch")
    last = len(agent) - 1
    # (arguments, the level that cannot be edited so)
    wrong = [] if to is None else [((*name, np.r_[to[:-1], at]), last) for at in (agent[-1:], [[-1, 0]])]
    wrong += [(("no thing of this name", *given), 0)] if name and edit != "add" else []
    for arguments, level in wrong:
        what = ", ".join(str(x[level].tolist() if isinstance(x, np.ndarray) else x) for x in arguments)
        try:
            call(state, *arguments)
        except ValueError as error:
            said = f"level {level}:" in str(error)
            require(
                said, f"{edit}({what}) does not name the level that it refuses, 'level {level}: ...': {error}"
            )
        else:
            require(False, f"{edit}({what}) was done, and cannot be")
    return made


def _done(call: Any, *arguments: Any) -> Any:
    """What an edit gives that can be done, and so must be."""
    try:
        return call(*arguments)
    except ValueError as error:
        raise ValueError(
            f"world contract broken: {call.__name__} refuses what can be done: {error}"
        ) from error


def _require_things(
    world: Any, state: Any, was: list[dict], name: str, to: np.ndarray | None, agent: np.ndarray, edit: str
) -> None:
    """Whether the things are where they were, but for the one, and the agent is."""
    require(np.array_equal(world.agent(state), agent), f"{edit} moved the agent")
    for i, (old, new) in enumerate(zip(was, world.things(state), strict=True)):
        wanted = sorted((_plain(other), tuple(at)) for other, at in old.items() if other != name)
        wanted = sorted([*wanted, *([] if to is None else [(_plain(name), tuple(map(int, to[i])))])])
        found = sorted((_plain(other), tuple(at)) for other, at in new.items())
        require(found == wanted, f"after {edit} of {name} things are {new}, not {wanted}")


def _plain(name: str) -> str:
    """'yellow key' of 'yellow key 2'."""
    return re.sub(r" \d+$", "", name)


def _squares(given: Any, count: int) -> bool:
    return isinstance(given, np.ndarray) and given.shape == (count, 2) and given.dtype.kind in "iu"


def _kind(given: Any) -> str:
    return f"{given.dtype} {list(given.shape)}" if isinstance(given, np.ndarray) else type(given).__name__
