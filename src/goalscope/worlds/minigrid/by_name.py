"""Things of MiniGrid levels by their names, and the squares that are free: what the world's abilities are made of."""

from __future__ import annotations

import difflib
import re

import numpy as np

from goalscope.worlds.minigrid.edits import squares_of, things
from goalscope.worlds.minigrid.state import Colour, Kind, MiniGridState

LYING = (Kind.DOOR, Kind.KEY, Kind.BALL, Kind.BOX, Kind.GOAL, Kind.LAVA)
"""the kinds that are things"""


def free(state: MiniGridState) -> np.ndarray:
    """[N, H, W] bool: empty squares that the agent is not on, and that only walls and lava could keep it from.

    Doors count as open and things as out of the way, so what lies behind a locked door is free too. The space around the
    rooms of a level, where nobody comes, is not.
    """
    kinds = state.cells[:, :, :, 0]
    passable = (kinds != Kind.WALL) & (kinds != Kind.LAVA)
    n, row, column = np.arange(len(state)), *state.agent[:, :2].astype(np.int64).T
    reached = np.zeros_like(passable)
    reached[n, row, column] = True
    while True:
        wider = reached.copy()
        wider[:, 1:] |= reached[:, :-1]
        wider[:, :-1] |= reached[:, 1:]
        wider[:, :, 1:] |= reached[:, :, :-1]
        wider[:, :, :-1] |= reached[:, :, 1:]
        wider &= passable | reached
        if np.array_equal(wider, reached):
            break
        reached = wider
    reached &= kinds == Kind.EMPTY
    reached[n, row, column] = False
    return reached


def squares_named(state: MiniGridState, name: str) -> np.ndarray:
    """[N, 2] where the thing of this name lies in each level.

    Raises:
        ValueError: it lies nowhere in some level (what the agent carries does not lie).
    """
    found = []
    for i, here in enumerate(things(state)):
        if name not in here:
            near = difflib.get_close_matches(str(name), here, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(here) or 'nothing'}"
            raise ValueError(f"level {i}: no {name!r} lies here: {hint}")
        found.append(here[name])
    return np.array(found, np.int64).reshape(len(state), 2)


def free_squares(state: MiniGridState, to: np.ndarray) -> np.ndarray:
    """[N, 2] int64: the squares `to`, once each is free.

    Raises:
        ValueError: a square outside the grid, or one that is not free.
    """
    n, rows, columns = squares_of(state, to)
    taken = ~free(state)[n, rows, columns]
    if taken.any():
        i = int(taken.argmax())
        raise ValueError(
            f"level {i}: the square ({rows[i]}, {columns[i]}) is not free: a wall, out of reach, the agent or a thing"
        )
    return np.stack([rows, columns], 1)


def kind_named(name: str) -> tuple[Kind, Colour]:
    """What 'yellow key' (or 'yellow key 2', the second one) is.

    Raises:
        ValueError: no colour and kind of a thing.
    """
    colours, kinds = [colour.name.lower() for colour in Colour], [kind.name.lower() for kind in LYING]
    found = re.fullmatch(rf"({'|'.join(colours)}) ({'|'.join(kinds)})( \d+)?", str(name))
    if not found:
        raise ValueError(
            f"level 0: {name!r} is no thing: a colour ({', '.join(colours)}) and a kind ({', '.join(kinds)}) are wanted"
        )
    return Kind[found[2].upper()], Colour[found[1].upper()]
