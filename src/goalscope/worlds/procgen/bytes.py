"""States of the Procgen maze, their bytes, and the game of Procgen's library that they pass through.

A state of Procgen is a byte string: 4-byte little-endian integers and floats, with the text of three random
number generators among them. `WORDS` numbers what is read or written here, generators left out; the order is
that of the serialize functions of Procgen (Cobbe et al. 2020; `game.cpp`, `basic-abstract-game.cpp`,
`maze.cpp`). Procgen's y axis points up. It ends the process on bytes that it cannot read, so bytes from
elsewhere are decoded and checked, and what Procgen gets is always written here.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from goalscope.showing import drawing, text
from goalscope.worlds.maze import MazeState

SIZES = {"easy": 15, "hard": 25, "memory": 31}
"""W of each distribution mode"""
PIXELS = 64
BACKGROUNDS = 9
LAST_LEVEL = 2**31 - 2

WORDS = {
    "version": 0,
    "name length": 1,
    "name": 2,
    "use_generated_assets": 4,
    "use_monochrome_assets": 5,
    "use_backgrounds": 7,
    "distribution mode": 10,
    "use_sequential_levels": 11,
    "lowest level": 16,
    "highest level + 1": 17,
    "level": 25,
    "previous level": 26,
    "time": 33,
    "squares": 35,
    "entities": 36,
    "mouse x": 37,
    "mouse y": 38,
    "mouse type": 43,
    "mouse reflected": 52,
    "background": 69,
    "background offset": 71,
    "width": 87,
    "height": 88,
    "grid width": 96,
    "grid height": 97,
    "cells": 98,
}
_FIRST_CELL = 99  # then W * W cells, the maze's size, W, and the end mark
_GENERATORS = (20, 20, 87)  # words before each of the three generators
_SEEDED = (1, 1, 0)
_MODES = {"easy": 0, "hard": 1, "memory": 10}
_NAME = int.from_bytes(b"maze", "little")
_END = 0xCAFECAFE - 2**32
_LARGEST = 2**16  # bytes of a state; "memory" has 25,000
_CHEESE, _WALL, _SPACE = 2, 51, 100
# The text of a generator of zeros. Generators only choose the next level; each state fixes that to its own.
SPENT = b"0 " * 624 + b"624 "


class Facing(IntEnum):
    """Where the mouse looks: the last horizontal action, blocked or not; at first left."""

    LEFT = 0
    RIGHT = 1


@dataclass(frozen=True)
class ProcgenState(MazeState):
    """N Procgen mazes: what decides their pixels and what happens in them."""

    __repr__, _repr_html_ = text, drawing

    facing: np.ndarray
    """[N] int8, values of Facing"""
    background: np.ndarray
    """[N] int8: which of Procgen's background pictures, 0 to 8"""
    offset: np.ndarray
    """[N] float32 in [0, 1): where the background picture starts"""
    level: np.ndarray
    """[N] int32: Procgen's level number, which its next episode would have (0 for a maze from a text)"""


def decode(states: Sequence[bytes], distribution: str) -> ProcgenState:
    """States from the bytes of Procgen's `get_state`.

    Raises:
        ValueError: bytes that are not laid out as those of a maze of this distribution.
    """
    width = SIZES[distribution]
    length = 4 * (_FIRST_CELL + width**2 + 3)
    words = np.frombuffer(
        b"".join(_without_generators(data, n, length) for n, data in enumerate(states)), "<i4"
    )
    words = words.reshape(len(states), length // 4)
    _check_words(words, width, distribution)
    grid = _cells(words, width)
    cheese = np.stack(np.divmod((grid == _CHEESE).reshape(-1, width**2).argmax(1), width), 1).astype(np.int16)
    cheese[~(grid == _CHEESE).any((1, 2))] = -1
    mouse = _mouse(words, width)
    limits = {"mouse reflected": 1, "background": BACKGROUNDS - 1, "level": LAST_LEVEL}
    for name, most in limits.items():
        value = words[:, WORDS[name]]
        _check((value >= 0) & (value <= most), name, value, f"0 to {most}")
    offset = words.view("<f4")[:, WORDS["background offset"]]
    _check((offset >= 0) & (offset <= 1), "background offset", offset, "0 to 1")
    return ProcgenState(
        walls=grid == _WALL,
        mouse=mouse,
        cheese=cheese,
        facing=words[:, WORDS["mouse reflected"]].astype(np.int8),
        background=words[:, WORDS["background"]].astype(np.int8),
        offset=offset.astype(np.float32),
        level=words[:, WORDS["level"]].astype(np.int32),
    )


def _check_words(words: np.ndarray, width: int, distribution: str) -> None:
    """Raises ValueError where a word that every maze of this distribution has alike is another."""
    expected = {
        "version": 0,
        "name length": 4,
        "name": _NAME,
        "use_generated_assets": 0,
        "use_monochrome_assets": 0,
        "use_backgrounds": 1,
        "distribution mode": _MODES[distribution],
        "use_sequential_levels": 0,
        "squares": width**2,
        "entities": 1,
        "mouse type": 0,
        "width": width,
        "height": width,
        "grid width": width,
        "grid height": width,
        "cells": width**2,
    }
    for name, value in expected.items():
        _check(words[:, WORDS[name]] == value, name, words[:, WORDS[name]], str(value))
    _check(words[:, -1] == _END, "end mark", words[:, -1], str(_END))


def _cells(words: np.ndarray, width: int) -> np.ndarray:
    """[N, width, width] what is on each square, row 0 on top (Procgen counts from below)."""
    cells = words[:, _FIRST_CELL:-3]
    unknown = ~np.isin(cells, (_CHEESE, _WALL, _SPACE))
    first = cells[np.arange(len(cells)), unknown.argmax(1)]
    _check(~unknown.any(1), "a cell", first, f"{_CHEESE} (cheese), {_WALL} (wall) or {_SPACE} (space)")
    cheeses = (cells == _CHEESE).sum(1)
    _check(cheeses <= 1, "number of cheeses", cheeses, "0 or 1")
    return cells.reshape(-1, width, width)[:, ::-1]


def _mouse(words: np.ndarray, width: int) -> np.ndarray:
    """[N, 2] (row, column) of the mouse, which Procgen has as a point in the middle of a square."""
    floats = words.view("<f4")
    mouse = np.empty((len(words), 2), np.int16)
    for axis, name in ((1, "mouse x"), (0, "mouse y")):
        place = floats[:, WORDS[name]]
        inside = (place % 1 == 0.5) & (place > 0) & (place < width)
        _check(inside, name, place, f"the middle of a square, 0.5 to {width - 0.5}")
        mouse[:, axis] = place if axis == 1 else width - place
    return mouse


def encode(state: ProcgenState, template: bytes, generator: bytes) -> list[bytes]:
    """N byte strings for Procgen's `set_state`.

    Args:
        state: N levels.
        template: the bytes of any state of this distribution; gives what a ProcgenState does not hold.
        generator: the text of each random number generator, a multiple of 4 characters. Where it is empty,
            Procgen leaves its own generator as it is, and need not read 3 x 624 numbers.

    Raises:
        ValueError: values that no Procgen maze has.
    """
    n, width = len(state), state.walls.shape[1]
    limits = {"background": BACKGROUNDS - 1, "facing": 1, "offset": 1, "level": LAST_LEVEL}
    for name, most in limits.items():
        value = getattr(state, name)
        _check((value >= 0) & (value <= most), name, value, f"0 to {most}")
    for name, squares, least in (("mouse", state.mouse, 0), ("cheese", state.cheese, -1)):
        inside = ((squares >= least) & (squares < width)).all(1)
        _check(inside, name, squares, f"a square of the {width} x {width} world")
    fixed = np.frombuffer(_without_generators(template, 0, 4 * (_FIRST_CELL + width**2 + 3)), "<i4")
    parts, start = [], 0
    for end, seeded in zip(_GENERATORS, _SEEDED, strict=True):
        parts += [
            fixed[start:end],
            np.array([seeded, len(generator)], "<i4"),
            np.frombuffer(generator, "<i4"),
        ]
        start = end
    words = np.tile(np.concatenate([*parts, fixed[start:]]), (n, 1))
    floats = words.view("<f4")
    record = 2 + len(generator) // 4

    def at(name: str) -> int:
        return WORDS[name] + record * sum(WORDS[name] >= place for place in _GENERATORS)

    for name in ("lowest level", "level", "previous level"):
        words[:, at(name)] = state.level
    words[:, at("highest level + 1")] = state.level + 1
    words[:, at("time")] = 0
    floats[:, at("mouse x")] = state.mouse[:, 1] + 0.5
    floats[:, at("mouse y")] = width - 0.5 - state.mouse[:, 0]
    words[:, at("mouse reflected")] = state.facing
    words[:, at("background")] = state.background
    floats[:, at("background offset")] = state.offset
    grid = np.where(state.walls, np.int32(_WALL), np.int32(_SPACE))
    has = np.flatnonzero(state.cheese[:, 0] >= 0)
    grid[has, state.cheese[has, 0], state.cheese[has, 1]] = _CHEESE
    first = at("cells") + 1
    words[:, first : first + width**2] = grid[:, ::-1].reshape(n, width**2)
    size = words.shape[1] * 4
    data = words.tobytes()
    return [data[i * size : (i + 1) * size] for i in range(n)]


class Game:
    """One game of Procgen's library. Its `template` is the first state of a level."""

    def __init__(self, distribution: str, name: str = "maze"):
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # gym announces its successor there
                from procgen.env import ProcgenGym3Env
        except ImportError as error:
            raise ImportError(
                f"the Procgen {name} needs the package procgen-mirror ({error}): "
                "pip install 'goalscope[procgen]' (Python 3.11)"
            ) from error
        self._environment: Any = ProcgenGym3Env(
            num=1,
            env_name=name,
            distribution_mode=distribution,
            num_levels=1,
            start_level=0,
            num_threads=0,
            rand_seed=0,
        )
        self._buffer = self._environment._ffi.new(f"char[{_LARGEST}]")
        self.template = self._bytes()

    def next_level(self, data: bytes) -> bytes:
        """The first state of the level after `data`, as Procgen makes it."""
        self._set(data)
        self._environment.act(np.array([-1]))  # Procgen's own "start the next level now"
        return self._bytes()

    def step(self, data: bytes, action: int) -> tuple[float, bool, bytes]:
        """Reward, whether the episode ended, and the state after it (after an end the next episode's)."""
        self._set(data)
        self._environment.act(np.array([action]))
        reward, _, first = self._environment.observe()
        return float(reward[0]), bool(first[0]), self._bytes()

    def picture(self, data: bytes) -> np.ndarray:
        """[64, 64, 3] uint8: what Procgen draws of a state."""
        self._set(data)
        return self._environment.observe()[1]["rgb"][0]

    def _set(self, data: bytes) -> None:
        self._environment.call_c_func("set_state", 0, data, len(data))

    def _bytes(self) -> bytes:
        # As the environment's get_state, which clears a megabyte for each call.
        size = self._environment.call_c_func("get_state", 0, self._buffer, _LARGEST)
        return bytes(self._environment._ffi.buffer(self._buffer, size))


def _without_generators(data: bytes, n: int, length: int) -> bytes:
    """The words of a state without its three generators (a flag, a length and a text each)."""
    parts, at, words = [], 0, 0
    for place in _GENERATORS:
        end = at + 4 * (place - words)
        parts.append(data[at:end])
        at, words = end + 8 + max(0, int.from_bytes(data[end + 4 : end + 8], "little", signed=True)), place
    result = b"".join([*parts, data[at:]])
    if len(result) != length:
        raise ValueError(
            f"state {n}: {len(data)} bytes, {len(result)} of them beside the generators, expected {length}: "
            "not a state of the Procgen maze of this distribution (easy, hard or memory?)"
        )
    return result


def _check(good: ArrayLike, name: str, values: np.ndarray, expected: str) -> None:
    if not np.all(good):
        n = int(np.argmin(good))
        raise ValueError(
            f"state {n}: {name} is {values[n]}, expected {expected}: not a state of the Procgen maze of this "
            "distribution, or from another version than procgen-mirror 0.10.7"
        )
