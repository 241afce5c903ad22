"""Two teachers of Sokoban: exact tables of small levels, and a library of solved levels with the solver behind it.

`Tables` knows the distance of every state to the solution, so a student's own states cost nothing to label. `Plans`
is for levels too large for that. A plan is the list of a solution's pushes; while the student makes those pushes it
may walk as it likes: good is every step that brings it closer to where the next push is made from. When it pushes
something else, the solver, with a small limit, plans anew from there, so searches stay rare.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from goalscope.files import whole_file
from goalscope.worlds.contract import concatenate, take
from goalscope.worlds.sokoban import Move, Sokoban, SokobanState
from goalscope.worlds.sokoban.kernels import MOVE_COLUMNS, MOVE_ROWS
from goalscope.worlds.sokoban.solver import solve_many
from goalscope.worlds.sokoban.symmetries import SYMMETRIES, turned, turned_moves
from goalscope.worlds.sokoban.tables import DistanceTables
from goalscope.worlds.sokoban.text import read_level_file, stack

LIBRARY_NODES = 200_000
"""positions that the solver expands at most for a level of the library"""
REPLAN_NODES = 3_000
"""the same for a state of the student's; some milliseconds"""


@dataclass(frozen=True)
class Library:
    """M levels of one size with their solutions."""

    state: SokobanState
    """[M] levels"""
    actions: np.ndarray
    """[M, T] int8 values of Move, -1 after the end"""
    unsolved: int
    """levels of the files that were left out because the solver's limit was reached"""


def read_library(
    files: list[Path], size: int, cache: Path, node_limit: int = LIBRARY_NODES,
    progress: Callable[[int, int], None] | None = None,
) -> Library:  # fmt: skip
    """Levels of files of Sokoban text, solved; a killed call goes on with the first file that has no solutions yet.

    Args:
        files: level files, all of levels up to `size`; smaller ones are centred in walls.
        size: H = W.
        cache: folder for the solutions, one file each, named by what the level file says and by the limit.
        node_limit: of the solver, for each level.
        progress: called with the files done and the files in all.

    Raises:
        ValueError: no files, a level that cannot be read (the message names it), or one larger than `size`.
    """
    if not files:
        raise ValueError(
            "there are no level files to learn from: name a folder with .txt files of Sokoban levels"
        )
    cache.mkdir(parents=True, exist_ok=True)
    states, actions, unsolved = [], [], 0
    for done, file in enumerate(files):
        found = read_level_file(file)
        if found.errors:
            raise ValueError(f"{file}: {found.errors[0]}")
        state = stack([level.state for level in found.levels], (size, size))
        key = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        kept = cache / f"{key}-{size}-{node_limit}.npy"
        if not kept.exists():
            with whole_file(kept) as sink:
                np.save(sink, solve_many(state, node_limit).actions)
        solution = np.load(kept)
        solved = (solution >= 0).any(1)
        unsolved += int((~solved).sum())
        states.append(take(state, solved))
        actions.append(solution[solved])
        if progress:
            progress(done + 1, len(files))
    longest = max(a.shape[1] for a in actions)
    padded = [np.pad(a, ((0, 0), (0, longest - a.shape[1])), constant_values=-1) for a in actions]
    return Library(concatenate(states), np.concatenate(padded), unsolved)


class Tables:
    """Teaches all move-optimal actions of generated levels, fresh ones forever.

    Args:
        world: its size and number of boxes decide how large a table is.
        slots: N.

    Raises:
        ValueError: levels that large, with so many boxes, have too many states.
    """

    def __init__(self, world: Sokoban, slots: int):
        self.world = world
        self.tables = DistanceTables(slots, world.height, world.width, world.boxes)

    def begin(self, slots: np.ndarray, seeds: np.ndarray) -> SokobanState:
        """Fresh levels [n] of the world for the slots [n]."""
        state = self.world.generate(seeds)
        self.tables.fill(slots, state)
        return state

    def good(self, state: SokobanState) -> np.ndarray:
        """[N, A] bool: the moves that bring the solution one step closer."""
        return self.tables.optimal(np.arange(len(state)), state)

    def memory(self) -> dict[str, np.ndarray]:
        """Nothing: tables follow from the levels."""
        return {}

    def recall(self, state: SokobanState, memory: dict[str, np.ndarray]) -> None:
        """Makes the tables of all slots anew."""
        self.tables.fill(np.arange(len(state)), state)


class Plans:
    """Teaches the solutions of a library's levels, each turned and mirrored in one of eight ways, and of what follows.

    Args:
        library: square levels.
        slots: N.
        node_limit: of the solver, where the student has left the plan; states that exceed it are not taught.

    Raises:
        ValueError: levels that are not square.
    """

    def __init__(self, library: Library, slots: int, node_limit: int = REPLAN_NODES):
        height, width = library.state.walls.shape[1:]
        if height != width:
            raise ValueError(f"levels must be square to be turned, these are {height} x {width}")
        self.library, self.node_limit = library, node_limit
        longest = 4 * library.actions.shape[1]
        self.square = np.zeros((slots, longest), np.int16)
        self.move = np.zeros((slots, longest), np.int8)
        self.length, self.at = np.zeros(slots, np.int64), np.zeros(slots, np.int64)
        self.boxes = np.zeros((slots, height, width), bool)
        self.searches = self.unknown = 0

    def begin(self, slots: np.ndarray, seeds: np.ndarray) -> SokobanState:
        """Levels of the library for the slots [n]; a seed decides which and how it is turned."""
        mixed = (seeds.astype(np.uint64) * np.uint64(0xD1342543DE82EF95)) >> np.uint64(20)
        which, turn = (
            (mixed // SYMMETRIES) % np.uint64(len(self.library.state)),
            mixed % np.uint64(SYMMETRIES),
        )
        states, actions = [], []
        for level, symmetry in zip(which.astype(np.int64), turn.astype(np.int64), strict=True):
            states.append(turned(take(self.library.state, int(level)), int(symmetry)))
            actions.append(turned_moves(self.library.actions[level], int(symmetry)))
        state = concatenate(states)
        self._plan(slots, state, np.stack(actions))
        return state

    def _plan(self, slots: np.ndarray, state: SokobanState, actions: np.ndarray) -> None:
        self.at[slots] = 0
        self.boxes[slots] = state.boxes
        _pushes(slots, state.boxes, state.player, actions, self.square, self.move, self.length)

    def good(self, state: SokobanState) -> np.ndarray:
        """[N, A] bool: the steps towards the next push of each slot's plan, or that push."""
        good, lost = np.zeros((len(state), len(Move)), bool), np.zeros(len(state), bool)
        self._follow(state, good, lost)
        if lost.any():
            slots = np.flatnonzero(lost)
            found = solve_many(take(state, slots), self.node_limit)
            self.searches += len(slots)
            self.unknown += int((found.moves < 0).sum())
            actions = found.actions[:, : self.square.shape[1]]
            self._plan(slots, take(state, slots), actions)
            self._follow(state, good, lost)
        return good

    def _follow(self, state: SokobanState, good: np.ndarray, lost: np.ndarray) -> None:
        _follow(
            state.walls, state.boxes, state.player, self.boxes, self.square, self.move, self.length, self.at, good, lost
        )  # fmt: skip

    def memory(self) -> dict[str, np.ndarray]:
        """The plans, how far they have been followed, and the boxes then."""
        return {name: getattr(self, name) for name in ("square", "move", "length", "at", "boxes")}

    def recall(self, state: SokobanState, memory: dict[str, np.ndarray]) -> None:
        """Goes on with the plans of `memory`."""
        for name, array in memory.items():
            setattr(self, name, array.copy())


@njit(cache=True, nogil=True)
def _pushes(slots, all_boxes, players, actions, squares, moves, length):
    """Replays actions [n, T] and writes the pushes of each slot: square of the box before, move."""
    width = all_boxes.shape[2]
    for n in range(slots.shape[0]):
        slot, boxes, count = slots[n], all_boxes[n].copy(), 0
        row, column = players[n, 0], players[n, 1]
        for t in range(actions.shape[1]):
            move = actions[n, t]
            if move < 0:
                break
            row, column = row + MOVE_ROWS[move], column + MOVE_COLUMNS[move]
            if boxes[row, column]:
                boxes[row, column] = False
                boxes[row + MOVE_ROWS[move], column + MOVE_COLUMNS[move]] = True
                squares[slot, count], moves[slot, count] = row * width + column, move
                count += 1
        length[slot] = count


@njit(cache=True)
def _pushed(before, boxes, square, move):
    """0 where nothing was pushed, 1 where that box was pushed so, 2 where something else was. Updates before."""
    width = boxes.shape[1]
    changed, fits = 0, 0
    to = (square // width + MOVE_ROWS[move]) * width + square % width + MOVE_COLUMNS[move]
    for row in range(boxes.shape[0]):
        for column in range(width):
            if before[row, column] != boxes[row, column]:
                here = row * width + column
                changed += 1
                fits += (here == square and before[row, column]) or (here == to and boxes[row, column])
                before[row, column] = boxes[row, column]
    return 0 if changed == 0 else 1 if changed == 2 and fits == 2 else 2


@njit(cache=True, nogil=True)
def _follow(walls, all_boxes, players, before, squares, moves, length, at, good, lost):
    """The good moves of every slot whose plan still holds; the others are marked lost."""
    height, width = walls.shape[1], walls.shape[2]
    distance = np.empty((height, width), np.int64)
    queue = np.empty((height * width, 2), np.int64)
    for n in range(walls.shape[0]):
        boxes = all_boxes[n]
        step = min(at[n], max(length[n] - 1, 0))
        what = _pushed(before[n], boxes, squares[n, step], moves[n, step])
        at[n] += what == 1
        good[n] = False
        lost[n] = what == 2 or at[n] >= length[n]
        if lost[n]:
            continue
        square, move = squares[n, at[n]], moves[n, at[n]]
        row, column = square // width - MOVE_ROWS[move], square % width - MOVE_COLUMNS[move]
        if players[n, 0] == row and players[n, 1] == column:
            good[n, move] = True
            continue
        distance[:] = -1
        distance[row, column] = 0
        queue[0, 0], queue[0, 1] = row, column
        head, tail = 0, 1
        while head < tail:
            row, column = queue[head, 0], queue[head, 1]
            head += 1
            for move in range(4):
                r, c = row + MOVE_ROWS[move], column + MOVE_COLUMNS[move]
                inside = 0 <= r < height and 0 <= c < width
                if inside and distance[r, c] < 0 and not walls[n, r, c] and not boxes[r, c]:
                    distance[r, c] = distance[row, column] + 1
                    queue[tail, 0], queue[tail, 1] = r, c
                    tail += 1
        row, column = players[n, 0], players[n, 1]
        lost[n] = distance[row, column] < 0
        for move in range(4):
            r, c = row + MOVE_ROWS[move], column + MOVE_COLUMNS[move]
            if 0 <= r < height and 0 <= c < width and distance[r, c] >= 0:
                good[n, move] = distance[r, c] < distance[row, column]
