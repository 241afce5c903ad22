"""What lies where in Sokoban levels, the same with a box, a target or the player elsewhere, and what can be brought about.

Boxes are called 'box', 'box 2', ... in reading order, targets 'target', 'target 2', ...; a box may lie on a target.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np

from goalscope.worlds.sokoban.state import SokobanState, solved

KINDS = {"box": "boxes", "target": "goals"}
"""what a thing is called -> where the state has it"""
_NAME = re.compile(r"(box|target)(?: ([1-9]\d*))?")


def things(state: SokobanState) -> list[dict[str, tuple[int, int]]]:
    """[N] name -> square of every box and target."""
    found = []
    for i in range(len(state)):
        here: dict[str, tuple[int, int]] = {}
        for kind, field in KINDS.items():
            for k, (row, column) in enumerate(np.argwhere(getattr(state, field)[i]).tolist(), 1):
                here[kind if k == 1 else f"{kind} {k}"] = (row, column)
        found.append(here)
    return found


def free(state: SokobanState) -> np.ndarray:
    """[N, H, W] bool: floor on which nothing is, neither box nor target nor player."""
    found = ~(state.walls | state.boxes | state.goals)
    found[np.arange(len(state)), state.player[:, 0], state.player[:, 1]] = False
    return found


def move(state: SokobanState, name: str, to: np.ndarray) -> SokobanState:
    """The levels with that box or target on the squares `to` [N, 2]; a box may be put on a target, a target under a box.

    Raises:
        ValueError: a level without it, or a square where it cannot be; told by the level.
    """
    return add(remove(state, name), name, to)


def remove(state: SokobanState, name: str) -> SokobanState:
    """The levels without that box or target; raises ValueError where one has none."""
    field, found = _field(name), things(state)
    lacking = [i for i, here in enumerate(found) if name not in here]
    if lacking:
        have = ", ".join(found[lacking[0]]) or "nothing"
        raise ValueError(f"level {lacking[0]}: there is no {name!r}; it has {have}")
    where = np.array([here[name] for here in found], np.int64).reshape(-1, 2)
    return _put(state, field, where, False)


def add(state: SokobanState, name: str, to: np.ndarray) -> SokobanState:
    """The levels with one more box or target on the squares `to` [N, 2]; a box may be put on a target, a target under a box.

    Raises:
        ValueError: a name of neither, or a square where it cannot be; told by the level.
    """
    field = _field(name)
    return _put(state, field, _checked(state, to, (field,)), True)


def move_agent(state: SokobanState, to: np.ndarray) -> SokobanState:
    """The levels with the player on the squares `to` [N, 2]; raises ValueError where one is not free."""
    return dataclasses.replace(state, player=_checked(state, to).astype(state.player.dtype))


def aims() -> dict[str, Callable[[SokobanState], np.ndarray]]:
    """What can be brought about: name -> function of N states that gives [N] bool."""
    return {
        "a box on a target": lambda state: (state.boxes & state.goals).any((1, 2)),
        "every box on a target": solved,
    }


def _field(name: str) -> str:
    if found := _NAME.fullmatch(name):
        return KINDS[found[1]]
    raise ValueError(
        f"level 0: a Sokoban level has no {name!r}, but 'box', 'box 2', ..., 'target', 'target 2', ..."
    )


def _put(state: SokobanState, field: str, squares: np.ndarray, there: bool) -> SokobanState:
    cells = getattr(state, field).copy()
    cells[np.arange(len(state)), squares[:, 0], squares[:, 1]] = there
    return dataclasses.replace(state, **{field: cells})


def _checked(
    state: SokobanState, squares: np.ndarray, filled: tuple[str, ...] = ("boxes", "goals")
) -> np.ndarray:
    """[N, 2] int64, on the board, without a wall, the player or anything of `filled`."""
    squares = np.asarray(squares)
    if squares.shape != (len(state), 2) or squares.dtype.kind not in "iu":
        raise ValueError(
            f"squares must be [{len(state)}, 2] integers, got {squares.dtype} {list(squares.shape)}"
        )
    squares = squares.astype(np.int64)
    outside = ((squares < 0) | (squares >= state.walls.shape[1:])).any(1)
    inside = np.where(outside[:, None], 0, squares)
    closed = np.any([getattr(state, field) for field in ("walls", *filled)], 0)
    taken = outside | closed[np.arange(len(state)), inside[:, 0], inside[:, 1]]
    taken |= (inside == state.player).all(1)
    if taken.any():
        i = int(taken.argmax())
        what = (
            "lies outside the board"
            if outside[i]
            else "is not free: it has a wall, the player, or such a thing already"
        )
        raise ValueError(f"level {i}: the square {tuple(squares[i].tolist())} {what}")
    return squares
