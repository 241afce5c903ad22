"""What lies where in CoinRun and Heist, and the same levels with something moved, removed, added, or the agent elsewhere."""

from __future__ import annotations

import dataclasses
import difflib
import re

import numpy as np

from goalscope.worlds.procgen import layout
from goalscope.worlds.procgen.layout import GameState

ARRAYS = ("head", "entities", "count", "body", "cells", "tail")
"""the parts of a GameState that a step changes"""
SPACE, COIN, BARRIER = 100, 1, 19
"""cells: nothing, CoinRun's coin, and what turns its enemies back, which is not seen"""
SOLID = (15, 16, 20)
"""cells of CoinRun that carry: wall, its top, crate"""
CRATE = 20
KINDS = {
    "coinrun": {"saw": (2, None), "enemy": (5, None)},
    "heist": {
        "gem": (9, None),
        **{f"{c} key": (2, k) for k, c in enumerate(("blue", "green", "red"))},
        **{f"{c} lock": (1, k) for k, c in enumerate(("blue", "green", "red"))},
    },
}
"""game -> thing that is an entity -> its type, and its theme where that tells things apart"""
LETTERS = {"coin": "C", "saw": "s", "enemy": "e", "gem": "G", "key": "k", "lock": "l"}


def things(game: str, state: GameState) -> list[dict[str, tuple[int, int]]]:
    """[N] of name -> (row, column), numbered in reading order where there are several: "saw", "saw 2"."""
    return [{name: square for name, (square, _) in _found(game, state, i).items()} for i in range(len(state))]


def _found(game: str, state: GameState, i: int) -> dict[str, tuple[tuple[int, int], int]]:
    """Name -> square and number of the entity; -1 of a cell."""
    places, listed = state.places()[i].tolist(), []
    for k in range(1, int(state.count[i])):
        kind, theme = state.entities[i, k, [layout.TYPE, layout.THEME]].tolist()
        for name, (type_, of) in KINDS[game].items():
            if kind == type_ and of in (None, theme):
                listed.append((tuple(places[k]), name, k))
    if game == "coinrun":
        listed += [
            ((row, column), "coin", -1) for row, column in np.argwhere(state.cells[i] == COIN).tolist()
        ]
    found, many = {}, dict.fromkeys(("coin", *KINDS[game]), 0)
    for square, name, k in sorted(listed):
        many[name] += 1
        found[name if many[name] == 1 else f"{name} {many[name]}"] = (square, k)
    return found


def settled(state: GameState) -> GameState:
    """The levels with all that lies on a grid of 2**-16 squares, so that what is moved away and back lies as before.

    Procgen draws the places of Heist's keys and gem as floats, whose last bits a place further right or up cannot hold.
    """
    entities = state.entities.copy()
    at = np.ascontiguousarray(entities[:, 1:, [layout.X, layout.Y]]).view("<f4")
    entities[:, 1:, [layout.X, layout.Y]] = (np.round(at * 2**16) / 2**16).astype("<f4").view("<i4")
    return dataclasses.replace(state, entities=entities)


def free(game: str, state: GameState) -> np.ndarray:
    """[N, H, W] bool: squares where the agent could stand, and neither it nor anything is."""
    clear = (state.cells == SPACE) | (state.cells == BARRIER)
    places, crates = state.places(), np.zeros_like(clear)
    for i in range(len(state)):
        for k in range(int(state.count[i])):
            row, column = places[i, k]
            if state.entities[i, k, layout.TYPE] == 11:  # a key shown as held lies nowhere
                continue
            clear[i, row, column] = False
            crates[i, row, column] = state.entities[i, k, layout.TYPE] == CRATE
    if game == "coinrun":
        carries = np.isin(state.cells, SOLID) | crates
        clear[:, :-1] &= carries[:, 1:]
        clear[:, -1] = False
    return clear


def free_squares(game: str, state: GameState, to: np.ndarray) -> np.ndarray:
    """[N, 2] int64: the squares `to`, once each is free; raises ValueError."""
    to = np.asarray(to)
    if to.shape != (len(state), 2) or to.dtype.kind not in "iu":
        raise ValueError(f"squares must be [{len(state)}, 2] integers, got {to.dtype} {list(to.shape)}")
    allowed, (height, width) = free(game, state), state.cells.shape[1:]
    for i, (row, column) in enumerate(to.tolist()):
        if not (0 <= row < height and 0 <= column < width):
            raise ValueError(f"level {i}: square ({row}, {column}) lies outside {height} x {width}")
        if not allowed[i, row, column]:
            raise ValueError(f"level {i}: the square ({row}, {column}) is not free")
    return to.astype(np.int64)


def moved(game: str, state: GameState, name: str, to: np.ndarray) -> GameState:
    """The levels with that thing on the squares `to`, as it lay within its square."""
    cells, entities = state.cells.copy(), state.entities.copy()
    for i in range(len(state)):
        (row, column), k = _named(game, state, name, i)
        if k < 0:
            cells[i, row, column], cells[i, to[i, 0], to[i, 1]] = SPACE, COIN
        else:
            _put(entities[i, k], to[i], cells.shape[1])
    return dataclasses.replace(state, cells=cells, entities=entities)


def removed(game: str, state: GameState, name: str) -> GameState:
    """The levels without that thing."""
    cells, entities, count = state.cells.copy(), state.entities.copy(), state.count.copy()
    for i in range(len(state)):
        (row, column), k = _named(game, state, name, i)
        if k < 0:
            cells[i, row, column] = SPACE
        else:
            entities[i, k:-1], entities[i, -1] = state.entities[i, k + 1 :], 0
            count[i] -= 1
    return dataclasses.replace(state, cells=cells, entities=entities, count=count)


def added(game: str, state: GameState, name: str, to: np.ndarray) -> GameState:
    """The levels with one more such thing on the squares `to`.

    Raises:
        ValueError: no such thing in this game; no room for another.
    """
    plain = re.sub(r" \d+$", "", str(name))
    if game == "coinrun" and plain == "coin":
        cells = state.cells.copy()
        cells[np.arange(len(state)), to[:, 0], to[:, 1]] = COIN
        return dataclasses.replace(state, cells=cells)
    if plain not in KINDS[game]:
        near = difflib.get_close_matches(plain, KINDS[game], 1)
        raise ValueError(f"level 0: {game} has no {name!r}: it has {', '.join(near or KINDS[game])}")
    entities, count = state.entities.copy(), state.count.copy()
    full = count >= entities.shape[1]
    if full.any():
        raise ValueError(
            f"level {int(full.argmax())}: {int(count.max())} entities, there is no room for more"
        )
    kind, theme = KINDS[game][plain]
    for i in range(len(state)):
        new = entities[i, count[i]]
        new[:] = state.entities[i, 0]  # what all entities have alike, as the agent has it
        new[[layout.SPEED_X, layout.SPEED_Y]] = 0
        new[[layout.TYPE, layout.IMAGE, layout.THEME]] = kind, kind, theme or 0
        new[layout.RADIUS] = layout.bits(0.5 if plain in ("saw", "enemy") or "lock" in plain else 0.375)
        new[[layout.LAYER, layout.MIRRORED, layout.SMART]] = 0
        new[[layout.X, layout.Y]] = layout.bits(0.5)
        _put(new, to[i], state.cells.shape[1])
    return dataclasses.replace(state, entities=entities, count=(count + 1).astype(np.int32))


def agent_moved(game: str, state: GameState, to: np.ndarray) -> GameState:
    """The levels with the agent at rest on the squares `to`; the picture follows it."""
    entities, body, tail = state.entities.copy(), state.body.copy(), state.tail.copy()
    height = state.cells.shape[1]
    for i in range(len(state)):
        agent = entities[i, 0]
        agent[[layout.SPEED_X, layout.SPEED_Y]] = 0
        # In CoinRun it stands on the ground, elsewhere in the middle of its square.
        tall = agent[layout.RADIUS][1:].view("<f4")[0] if game == "coinrun" else 0.5
        agent[layout.X] = layout.bits(to[i, 1] + 0.5)
        agent[layout.Y] = layout.bits(height - 1 - to[i, 0] + tall)
        if game == "coinrun":
            body[i, [layout.CENTRE_X, layout.CENTRE_Y]] = agent[[layout.X, layout.Y]]
            tail[i, 0] = agent[layout.Y]  # where it was last on the ground
    over = np.zeros(len(state), bool)
    return dataclasses.replace(state, entities=entities, body=body, tail=tail, over=over)


def _put(entity: np.ndarray, square: np.ndarray, height: int) -> None:
    """Moves an entity to a square, to the same place within it."""
    at = entity[[layout.X, layout.Y]].view("<f4")
    within = at - np.floor(at)
    place = np.array([square[1], height - 1 - square[0]], np.float32) + within
    entity[[layout.X, layout.Y]] = place.astype("<f4").view("<i4")


def _named(game: str, state: GameState, name: str, i: int) -> tuple[tuple[int, int], int]:
    here = _found(game, state, i)
    if name not in here:
        near = difflib.get_close_matches(str(name), here, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(here) or 'nothing'}"
        raise ValueError(f"level {i}: no {name!r} lies here: {hint}")
    return here[name]


def map_of(game: str, state: GameState, i: int) -> list[str]:
    """Level i as rows of letters: `#` wall, `.` space, `b` crate, `~` what kills, `@` the agent; see `LETTERS`.

    Cut to what is not wall, and of the sky to its lowest row.
    """
    cells = state.cells[i]
    drawn = np.full(cells.shape, "#")
    drawn[(cells == SPACE) | (cells == BARRIER) | (cells == COIN)] = "."
    drawn[(cells == 17) | (cells == 18)] = "~"
    places = state.places()[i]
    for k in range(1, int(state.count[i])):
        if state.entities[i, k, layout.TYPE] == CRATE:
            drawn[tuple(places[k])] = "b"
    for name, (square, _) in _found(game, state, i).items():
        drawn[square] = LETTERS[re.sub(r" \d+$", "", name).split(" ")[-1]]
    drawn[tuple(places[0])] = "@"
    inside = np.argwhere(drawn != "#")
    (top, left), (bottom, right) = inside.min(0), inside.max(0)
    rows = ["".join(row) for row in drawn[max(top - 1, 0) : bottom + 2, max(left - 1, 0) : right + 2]]
    while len(rows) > 2 and rows[1] == rows[2]:
        del rows[1]
    return rows
