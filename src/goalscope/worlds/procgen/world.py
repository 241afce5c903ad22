"""The real Procgen maze behind the World protocol, through the package `procgen-mirror` (extra `procgen`).

Its states are `MazeState`s with what else decides the pixels (facing, background), so every edit, distance
and path of `worlds/maze/world.py` and `worlds/maze/paths.py` works on them. Generation, movement, rewards and
pixels are Procgen's own: each state goes through its library as bytes (`worlds/procgen/bytes.py`).
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from goalscope.worlds.contract import Step, take, whole_seeds
from goalscope.worlds.maze import MazeState, Move, maze_text, parse_maze
from goalscope.worlds.maze.paths import Squares, free_squares
from goalscope.worlds.procgen.bytes import (
    BACKGROUNDS,
    LAST_LEVEL,
    PIXELS,
    SIZES,
    SPENT,
    Facing,
    Game,
    ProcgenState,
    decode,
    encode,
)


class ProcgenAction(IntEnum):
    """The 15 combinations of keys; the horizontal part of a diagonal cancels the vertical one."""

    LEFT_DOWN = 0
    LEFT = 1
    LEFT_UP = 2
    DOWN = 3
    NONE = 4
    UP = 5
    RIGHT_DOWN = 6
    RIGHT = 7
    RIGHT_UP = 8
    D = 9
    A = 10
    W = 11
    S = 12
    Q = 13
    E = 14


MOVES = np.array([Move.LEFT] * 3 + [Move.DOWN, Move.STAY, Move.UP] + [Move.RIGHT] * 3 + [Move.STAY] * 6)
"""[15]: what each ProcgenAction moves"""


@dataclass(frozen=True)
class FacedSquares(Squares):
    """The K = 2 x squares states (square, facing) that each mouse can be in: a Markov chain also for pixels.

    `next` follows Moves as in Squares: LEFT and RIGHT turn the mouse, also where a wall blocks it.
    """

    facing: np.ndarray
    """[K] int8"""


class ProcgenMaze:
    """The Procgen maze behind the World protocol.

    Args:
        distribution: "easy" (W = 15), "hard" (25) or "memory" (31, and the picture follows the mouse).
        cheese_region: None leaves the cheese where Procgen puts it, anywhere. r moves it to a uniform free
            square of the maze's top-right r x r, as the variant `maze_aisc` does (Langosco et al. 2022, "Goal
            Misgeneralization in Deep RL"); the square is drawn from the level number, so it is that variant's
            distribution, not its levels.
        time_limit: steps after which callers end an episode; Procgen's is 500.
    """

    name = "procgen"
    actions = ProcgenAction
    moves = MOVES
    """[15] int: the Move that each action is"""
    observation_shape = (3, PIXELS, PIXELS)

    def __init__(self, distribution: str = "easy", cheese_region: int | None = None, time_limit: int = 500):
        if distribution not in SIZES:
            near = difflib.get_close_matches(str(distribution), SIZES, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"unknown distribution {distribution!r}{hint}: use one of {', '.join(SIZES)}")
        if cheese_region is not None and cheese_region < 1:
            raise ValueError(f"cheese_region must be at least 1 (or None for anywhere), got {cheese_region}")
        self.distribution = distribution
        self.size = SIZES[distribution]
        self.cheese_region = cheese_region
        self.time_limit = time_limit
        self._game = Game(distribution)
        self._first = self.from_bytes([self._game.template])

    def generate(self, seeds: Sequence[int] | np.ndarray) -> ProcgenState:
        """Procgen's levels of these numbers.

        Args:
            seeds: [N] level numbers, 0 to 2**31 - 2, as `start_level` of Procgen.
        """
        seeds = whole_seeds(seeds)
        if len(seeds) and not (seeds.min() >= 0 and seeds.max() <= LAST_LEVEL):
            raise ValueError(f"Procgen's levels are 0 to {LAST_LEVEL}, got {seeds.min()} to {seeds.max()}")
        before = dataclasses.replace(
            take(self._first, np.zeros(len(seeds), int)), level=seeds.astype(np.int32)
        )
        state = self.from_bytes([self._game.next_level(data) for data in self._encode(before)])
        return state if self.cheese_region is None else self._cheese_in_region(state, self.cheese_region)

    def step(self, state: ProcgenState, actions: np.ndarray) -> Step[ProcgenState]:
        """One step of Procgen for each level; reward 10 at the cheese, which ends the level.

        At an end Procgen goes to the next episode at once and never shows the last state. That one is written
        here: the mouse on the cheese, which still lies there.

        Args:
            state: N levels; one that has ended stays as it is.
            actions: [N] values of ProcgenAction.
        """
        n = len(state)
        actions = np.asarray(actions)
        if actions.shape != (n,) or actions.dtype.kind not in "iu":
            raise ValueError(f"actions must be [{n}] integers, got {actions.dtype} {list(actions.shape)}")
        illegal = (actions < 0) | (actions >= len(ProcgenAction))
        if illegal.any():
            i = int(illegal.argmax())
            raise ValueError(f"level {i}: action {actions[i]} is not a ProcgenAction (0 to 14)")
        ended = (state.mouse == state.cheese).all(1)
        reward = np.zeros(n, np.float32)
        mouse, facing = state.mouse.copy(), state.facing.copy()
        going = np.flatnonzero(~ended)
        after = []
        for i, data in zip(going, self._encode(take(state, going)), strict=True):
            reward[i], ended[i], left = self._game.step(data, int(actions[i]))
            after.append(left)
        moved = self.from_bytes(after)
        mouse[going], facing[going] = moved.mouse, moved.facing
        won = going[ended[going]]
        mouse[won] = state.cheese[won]
        move = MOVES[actions[won]]
        facing[won] = np.where(move == Move.LEFT, 0, np.where(move == Move.RIGHT, 1, state.facing[won]))
        return Step(dataclasses.replace(state, mouse=mouse, facing=facing), reward, ended)

    def observe(self, state: ProcgenState) -> np.ndarray:
        """[N, 3, 64, 64] uint8: Procgen's own picture, with the colours last in memory (channels last)."""
        pictures = np.empty((len(state), PIXELS, PIXELS, 3), np.uint8)
        for start in range(0, len(state), 512):  # the bytes of a state are ten times the state
            some = take(state, slice(start, start + 512))
            for picture, data in zip(pictures[start:], self._encode(some), strict=False):
                picture[...] = self._game.picture(data)
        return pictures.transpose(0, 3, 1, 2)

    def squares(self, state: ProcgenState) -> FacedSquares:
        """Where each mouse can get, and how it can look there; see `faced_squares`."""
        return faced_squares(state)

    def at_squares(self, state: ProcgenState, squares: FacedSquares, index: slice) -> ProcgenState:
        """The levels with the mouse as the entries of `squares` that `index` selects, one state each."""
        return dataclasses.replace(
            take(state, squares.level[index]), mouse=squares.square[index], facing=squares.facing[index]
        )

    def text(self, state: ProcgenState) -> list[str]:
        """The N mazes as texts of W lines, and a last line that says what else the state holds."""
        return [
            f"{maze_text(state, i)}\n; level={state.level[i]} background={state.background[i]} "
            f"offset={state.offset[i]:.9g} facing={Facing(state.facing[i]).name.lower()}"
            for i in range(len(state))
        ]

    def parse(self, text: str) -> ProcgenState:
        """One maze from its text; one smaller than the world is centred in it.

        Args:
            text: as in `Maze.parse`; a last line "; level=17 background=3 offset=0.25 facing=left" is
                optional, and so is each of its parts (0, 0, 0 and left where it is missing).

        Raises:
            ValueError: as `Maze.parse`, or the last line cannot be read; with line and column.
        """
        text = text.replace("\r\n", "\n")
        rows, found, note = text.rstrip().rpartition("\n;")
        if not found:
            rows, note = text, ""
        maze = parse_maze(rows, self.size)
        values = _parse_note(note, rows.count("\n") + 2)
        return ProcgenState(
            maze.walls,
            maze.mouse,
            maze.cheese,
            facing=np.array([values["facing"]], np.int8),
            background=np.array([values["background"]], np.int8),
            offset=np.array([values["offset"]], np.float32),
            level=np.array([values["level"]], np.int32),
        )

    def from_bytes(self, states: Sequence[bytes]) -> ProcgenState:
        """The states of Procgen's `get_state`: N byte strings of this distribution. Their time is not kept.

        Raises:
            ValueError: bytes that are not those of a maze of this distribution with Procgen's default
                options; the message says what differs.
        """
        return decode(states, self.distribution)

    def to_bytes(self, state: ProcgenState) -> list[bytes]:
        """N byte strings for Procgen's `set_state`, at time 0; after its end each level starts again."""
        return self._encode(state, SPENT)

    def _encode(self, state: ProcgenState, generator: bytes = b"") -> list[bytes]:
        if state.walls.shape[1:] != (self.size, self.size):
            raise ValueError(
                f"the state is of a {state.walls.shape[1]} x {state.walls.shape[2]} world, this one "
                f"({self.distribution}) is {self.size} x {self.size}"
            )
        return encode(state, self._game.template, generator)

    def _cheese_in_region(self, state: ProcgenState, region: int) -> ProcgenState:
        margin = (state.mouse[:, 1]).astype(np.int64)
        rows, columns = np.indices((self.size, self.size))
        cheese = state.cheese.copy()
        for i, m in enumerate(margin):
            inside = (rows < m + region) & (columns >= self.size - m - region) & ~state.walls[i]
            inside[tuple(state.mouse[i])] = False
            squares = np.argwhere(inside)
            cheese[i] = squares[np.random.default_rng([int(state.level[i]), region]).integers(len(squares))]
        return dataclasses.replace(state, cheese=cheese)


def maze(state: ProcgenState) -> MazeState:
    """The plain mazes of these levels, to be stepped or observed by `Maze`."""
    return MazeState(state.walls, state.mouse, state.cheese)


def face(state: ProcgenState, facing: np.ndarray | int) -> ProcgenState:
    """The levels with the mouse looking to `facing` ([N] values of Facing, or one for all)."""
    facing = np.broadcast_to(np.asarray(facing), len(state))
    if not np.isin(facing, list(Facing)).all():
        raise ValueError("facing must be 0 (left) or 1 (right)")
    return dataclasses.replace(state, facing=facing.astype(np.int8))


def faced_squares(state: ProcgenState) -> FacedSquares:
    """The states (square, facing) of each mouse: square k gives the entries 2k (left) and 2k + 1 (right)."""
    plain = free_squares(state)
    facing = np.tile(np.array(list(Facing), np.int8), len(plain))
    following = np.repeat(2 * plain.next, 2, axis=0) + facing[:, None]
    following[:, Move.LEFT] = np.repeat(2 * plain.next[:, Move.LEFT], 2) + Facing.LEFT
    following[:, Move.RIGHT] = np.repeat(2 * plain.next[:, Move.RIGHT], 2) + Facing.RIGHT
    return FacedSquares(
        offsets=2 * plain.offsets,
        level=np.repeat(plain.level, 2),
        square=np.repeat(plain.square, 2, axis=0),
        next=following.astype(np.int32),
        goal=np.repeat(plain.goal, 2),
        start=2 * plain.start + state.facing,
        facing=facing,
    )


def _parse_note(note: str, line: int) -> dict[str, Any]:
    """The values of the last line of a text."""
    values: dict[str, Any] = {"level": 0, "background": 0, "offset": 0.0, "facing": Facing.LEFT}
    limits = {"level": LAST_LEVEL, "background": BACKGROUNDS - 1, "offset": 1.0}
    for part in note.split():
        name, _, value = part.partition("=")
        if name not in values:
            near = difflib.get_close_matches(name, values, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"line {line}: unknown {name!r}{hint}; known are {', '.join(values)}")
        try:
            values[name] = Facing[value.upper()] if name == "facing" else type(values[name])(value)
        except (ValueError, KeyError):
            raise ValueError(f"line {line}: {name} cannot be {value!r}") from None
        if name in limits and not 0 <= values[name] <= limits[name]:
            raise ValueError(f"line {line}: {name} must be between 0 and {limits[name]}, got {value}")
    return values
