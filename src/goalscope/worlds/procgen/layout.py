"""States of any game of Procgen as arrays, and back to the bytes that its library reads.

Procgen writes a state as 4-byte little-endian numbers behind the game's name, with the texts of three random number
generators among them (`serialize` of `game.cpp`, `basic-abstract-game.cpp` and the game's own file; Cobbe et al. 2020).
Generators are left out, as in `bytes.py`: these games draw only when a level is made. y points up there, rows down here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goalscope.showing import drawing, text
from goalscope.worlds.procgen.bytes import LAST_LEVEL

HEAD, FEATURES, BODY, GRID = 33, 31, 19, 12
"""words before the entities, of an entity, after them, and from there to the cells"""
_GENERATORS = (17, 17)
"""words before the first two generators; the third is behind the body"""
LOWEST, HIGHEST, LEVEL, PREVIOUS, TIME = 13, 14, 22, 23, 30
"""words of the head"""
X, Y, SPEED_X, SPEED_Y, TYPE, IMAGE, THEME, LAYER = 0, 1, 2, 3, 6, 7, 8, 9
RADIUS = slice(4, 6)
MIRRORED, SMART = 15, 22
"""words of an entity; the first six are floats"""
STEP_DRAW = 18
"""word of the body: drawn at every step, and read by other games only"""
CENTRE_X, CENTRE_Y = 14, 15
"""words of the body: where the picture is centred"""
PHASES = 60
"""the time is kept up to this period, which those of all moving pictures divide"""
_END = 0xCAFECAFE - 2**32


@dataclass(frozen=True)
class GameState:
    """N levels of one Procgen game in one distribution. Floats are held as the bits of their words."""

    __repr__, _repr_html_ = text, drawing

    head: np.ndarray
    """[N, 33] int32: options, level, time, and what the game says of the last step"""
    entities: np.ndarray
    """[N, M, 31] int32: what moves or can be picked up, the agent first; 0 where there is none"""
    count: np.ndarray
    """[N] int32: how many entities there are"""
    body: np.ndarray
    """[N, 31] int32: background, speeds, view"""
    cells: np.ndarray
    """[N, H, W] int16: what each square is made of, row 0 on top"""
    tail: np.ndarray
    """[N, T] int32: the game's own words; 0 after the last"""
    over: np.ndarray
    """[N] bool: the level has ended; what is seen is the moment before"""

    def __len__(self) -> int:
        return len(self.head)

    def places(self) -> np.ndarray:
        """[N, M, 2] int64: row and column of each entity; meaningless behind `count`."""
        spots = np.ascontiguousarray(self.entities[:, :, [Y, X]]).view("<f4")
        at = np.floor(spots).astype(np.int64)
        return np.stack([self.cells.shape[1] - 1 - at[:, :, 0], at[:, :, 1]], 2)


def bits(number: float) -> int:
    """The word of a float."""
    return int(np.float32(number).view(np.int32))


def decode(states: Sequence[bytes], name: str, most: int, tail: int) -> GameState:
    """States from the bytes of Procgen's `get_state`.

    Args:
        states: N byte strings. name: the game's. most: entities that a state has room for. tail: words likewise.

    Raises:
        ValueError: bytes that are laid out in another way; too many entities.
    """
    return _joined([_decoded(data, n, name, most, tail) for n, data in enumerate(states)])


def _joined(rows: list[tuple[np.ndarray, ...]]) -> GameState:
    head, entities, count, body, cells, tail = (np.array(part) for part in zip(*rows, strict=True))
    return GameState(head, entities, count.astype(np.int32), body, cells, tail, np.zeros(len(rows), bool))


def _decoded(data: bytes, n: int, name: str, most: int, room: int) -> tuple[np.ndarray, ...]:
    prefix = b"\0\0\0\0" + len(name).to_bytes(4, "little") + name.encode()
    at = len(prefix)
    if not data.startswith(prefix):
        raise ValueError(f"state {n}: the bytes do not begin as those of Procgen's {name} do")

    def words(many: int) -> np.ndarray:
        nonlocal at
        at += 4 * many
        if many < 0 or at > len(data):
            raise ValueError(
                f"state {n}: the bytes of {name} end early, or are of another version of Procgen"
            )
        return np.frombuffer(data[at - 4 * many : at], "<i4")

    first = words(_GENERATORS[0])
    at = _after_text(data, _after_text(data, at))
    head = np.concatenate([first, words(HEAD - _GENERATORS[0])])
    count = int(words(1)[0])
    if not 1 <= count <= most:
        raise ValueError(f"state {n}: {count} entities, 1 to {most} are wanted")
    entities = np.zeros((most, FEATURES), np.int32)
    entities[:count] = words(count * FEATURES).reshape(count, FEATURES)
    body = words(BODY)
    at = _after_text(data, at)
    body = np.concatenate([body, words(GRID)])
    width, height, cells = (int(word) for word in body[-3:])
    if width * height != cells or not 0 < cells <= 2**14:
        raise ValueError(f"state {n}: {cells} cells of {width} x {height}")
    grid = words(cells).reshape(height, width)[::-1].astype(np.int16)
    tail = np.frombuffer(data[at:], "<i4") if (len(data) - at) % 4 == 0 else np.zeros(0, np.int32)
    if not 1 <= len(tail) <= room or tail[-1] != _END:
        raise ValueError(f"state {n}: the bytes of {name} do not end as they should")
    padded = np.zeros(room, np.int32)
    padded[: len(tail)] = tail
    head, body = head.copy(), body.copy()
    head[TIME] %= PHASES
    body[STEP_DRAW] = 0
    return head, entities, np.array(count), body, grid, padded


def _after_text(data: bytes, at: int) -> int:
    """Where the next word is after a generator: a flag, a length and a text."""
    return at + 8 + max(0, int.from_bytes(data[at + 4 : at + 8], "little", signed=True))


def encode(state: GameState, name: str) -> list[bytes]:
    """N byte strings for Procgen's `set_state`; its generators stay as they are.

    Raises:
        ValueError: numbers that no state of a game has: Procgen ends the process on some.
    """
    height, width = state.cells.shape[1:]
    levels = state.head[:, LEVEL]
    places, made = state.places(), []
    there = np.arange(state.entities.shape[1]) < state.count[:, None]
    outside = there & ((places < 0) | (places >= (height, width))).any(2)
    for n in range(len(state)):
        if (
            outside[n].any()
            or not 0 <= levels[n] <= LAST_LEVEL
            or (state.body[n, -3:-1] != (width, height)).any()
        ):
            raise ValueError(
                f"level {n}: no state of Procgen's {name}: a place outside the grid, or another level or size"
            )
        head = state.head[n].copy()
        head[[LOWEST, HIGHEST, PREVIOUS]] = levels[n], levels[n] + 1, levels[n]
        ends = np.flatnonzero(state.tail[n] == _END)
        parts = [
            head[: _GENERATORS[0]], [1, 0, 1, 0], head[_GENERATORS[0] :],
            state.count[n : n + 1], state.entities[n, : state.count[n]].ravel(),
            state.body[n, :BODY], [0, 0], state.body[n, BODY:],
            state.cells[n, ::-1].ravel(), state.tail[n, : ends[-1] + 1],
        ]  # fmt: skip
        words = np.concatenate([np.asarray(part, "<i4") for part in parts]).tobytes()
        made.append(b"\0\0\0\0" + len(name).to_bytes(4, "little") + name.encode() + words)
    return made
