"""Exact tables for small levels: the fewest moves to a solution from every position, and which moves are best.

A table has an entry for every place of the boxes and the player inside the walls, and is filled by one breadth-first
search backwards from all solved positions: 22,680 entries for 8 x 8 with two boxes, under a millisecond a level. So every
position that a learner gets itself into has its right moves at once; larger levels take `solver.solve_many`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
from numba import njit

from goalscope.worlds.sokoban.kernels import MOVE_COLUMNS, MOVE_ROWS
from goalscope.worlds.sokoban.state import SokobanState

LARGEST_TABLE = 20_000_000
"""entries that one level may have"""
_UNKNOWN = -1


class DistanceTables:
    """Tables for several levels of one size, each in a slot of its own that can be filled again.

    Args:
        slots: how many levels at a time.
        height: rows of a level, walls around included.
        width: columns.
        boxes: boxes of each level.

    Raises:
        ValueError: a table would have more than `LARGEST_TABLE` entries.
    """

    def __init__(self, slots: int, height: int, width: int, boxes: int):
        inside = (height - 2) * (width - 2)
        if slots < 1 or boxes < 1 or height < 3 or width < 3 or boxes > inside:
            raise ValueError(f"no tables for {slots} levels of {height} x {width} with {boxes} boxes")
        entries = comb(inside, boxes) * inside
        if entries > LARGEST_TABLE:
            raise ValueError(
                f"{height} x {width} with {boxes} boxes has {entries:,} positions a level, more than {LARGEST_TABLE:,}: "
                "use goalscope.worlds.sokoban.solver.solve_many"
            )
        self.height, self.width, self.boxes = height, width, boxes
        self.moves = np.full((slots, entries), _UNKNOWN, np.int16)
        """[slots, positions] fewest moves to a solution, -1 where there is none"""
        # Positions are numbered by the combinatorial number system: sum of C(b_i, i + 1) over the sorted squares.
        self._choose = np.array([[comb(n, k) for k in range(boxes + 1)] for n in range(inside + 1)], np.int64)
        self._places = np.empty((comb(inside, boxes), boxes), np.int16)
        _list_places(self._places)

    def fill(self, slots: Sequence[int] | np.ndarray, state: SokobanState) -> None:
        """Computes the tables of K levels.

        Args:
            slots: [K] where to put them.
            state: K levels; where boxes and player are does not matter.
        """
        slots = self._checked(slots, state)
        _fill(slots, state.walls, state.goals, self._choose, self._places, self.moves)

    def distance(self, slots: Sequence[int] | np.ndarray, state: SokobanState) -> np.ndarray:
        """[K] int32 fewest moves to a solution from each position, -1 where there is none; 0 is solved.

        Args:
            slots: [K] of the levels.
            state: K positions in them.
        """
        slots = self._checked(slots, state)
        out = np.empty((len(state), 5), np.int32)
        _look_up(slots, state.walls, state.boxes, state.player, self._choose, self.moves, out)
        return out[:, 4].copy()

    def optimal(self, slots: Sequence[int] | np.ndarray, state: SokobanState) -> np.ndarray:
        """[K, 4] bool: the Moves that bring a position one move nearer to a solution.

        No move is where the level is solved or there is no solution from here.
        """
        slots = self._checked(slots, state)
        out = np.empty((len(state), 5), np.int32)
        _look_up(slots, state.walls, state.boxes, state.player, self._choose, self.moves, out)
        here = out[:, 4:]
        return (out[:, :4] == here - 1) & (here > 0)

    def _checked(self, slots: Sequence[int] | np.ndarray, state: SokobanState) -> np.ndarray:
        slots = np.asarray(slots)
        if slots.shape != (len(state),) or slots.dtype.kind not in "iu":
            raise ValueError(f"slots must be [{len(state)}] integers, got {slots.dtype} {list(slots.shape)}")
        if slots.size and (slots.min() < 0 or slots.max() >= len(self.moves)):
            raise ValueError(f"slots must lie in 0..{len(self.moves) - 1}, got {slots.min()}..{slots.max()}")
        if state.walls.shape[1:] != (self.height, self.width):
            raise ValueError(
                f"the levels are {state.walls.shape[1]} x {state.walls.shape[2]}, the tables {self.height} x {self.width}"
            )
        edge = ~state.walls.copy()
        edge[:, 1:-1, 1:-1] = False
        if edge.any():
            n, row, column = np.argwhere(edge)[0]
            raise ValueError(f"level {n}: square {(int(row), int(column))} at the edge is not a wall")
        counts = state.boxes.sum((1, 2))
        if (counts != self.boxes).any():
            n = int((counts != self.boxes).argmax())
            raise ValueError(f"level {n} has {counts[n]} boxes, the tables are for {self.boxes}")
        return slots.astype(np.int64)


@njit(cache=True)
def _list_places(places):
    """Fills places [C, B] with all sets of B squares, sorted, in the order of their numbers."""
    count = places.shape[1]
    now = np.arange(count)
    for n in range(places.shape[0]):
        for b in range(count):
            places[n, b] = now[b]
        # The next one: the first square that can move up does, those before it start again.
        for b in range(count):
            if b == count - 1 or now[b] + 1 < now[b + 1]:
                now[b] += 1
                for a in range(b):
                    now[a] = a
                break


@njit(cache=True, inline="always")
def _number(places, choose):
    total = 0
    for b in range(places.shape[0]):
        total += choose[places[b], b + 1]
    return total


@njit(cache=True, nogil=True)
def _fill(slots, walls, goals, choose, places, moves):
    width = walls.shape[2] - 2
    inside = (walls.shape[1] - 2) * width
    queue = np.empty(moves.shape[1], np.int32)
    free, goal, filled = np.empty(inside, np.bool_), np.empty(inside, np.bool_), np.zeros(inside, np.bool_)
    before = np.empty(places.shape[1], np.int64)
    for k in range(slots.shape[0]):
        table = moves[slots[k]]
        for i in range(inside):
            free[i] = not walls[k, 1 + i // width, 1 + i % width]
            goal[i] = goals[k, 1 + i // width, 1 + i % width]
        tail = _solved_positions(free, goal, places, table, queue)
        head = 0
        while head < tail:
            entry = queue[head]
            head += 1
            boxes = places[entry // inside]
            for b in range(boxes.shape[0]):
                filled[boxes[b]] = True
            tail = _positions_before(entry, free, filled, width, boxes, choose, before, table, queue, tail)
            for b in range(boxes.shape[0]):
                filled[boxes[b]] = False


@njit(cache=True, nogil=True)
def _solved_positions(free, goal, places, table, queue):
    """Fills table with -1, with 0 where all boxes are on goals, and lists those in queue; returns how many."""
    inside, tail = free.shape[0], 0
    table[:] = -1
    for n in range(places.shape[0]):
        done = True
        for b in range(places.shape[1]):
            done &= goal[places[n, b]] and free[places[n, b]]
        if not done:
            continue
        for p in range(inside):
            empty = free[p]
            for b in range(places.shape[1]):
                empty &= places[n, b] != p
            if empty:
                table[n * inside + p] = 0
                queue[tail] = n * inside + p
                tail += 1
    return tail


@njit(cache=True, nogil=True)
def _positions_before(entry, free, filled, width, boxes, choose, before, table, queue, tail):
    """Gives the positions one move before `entry` their distance, if they have none, and appends them to queue."""
    inside = free.shape[0]
    height = inside // width
    n, p = entry // inside, entry % inside
    row, column = p // width, p % width
    for move in range(4):
        # The player came here by this move, walking or pushing the box that is now ahead of it.
        r, c = row - MOVE_ROWS[move], column - MOVE_COLUMNS[move]
        q = r * width + c
        if not (0 <= r < height and 0 <= c < width) or not free[q] or filled[q]:
            continue
        if table[n * inside + q] < 0:
            table[n * inside + q] = table[entry] + 1
            queue[tail] = n * inside + q
            tail += 1
        r, c = row + MOVE_ROWS[move], column + MOVE_COLUMNS[move]
        if not (0 <= r < height and 0 <= c < width) or not filled[r * width + c]:
            continue
        _exchange(boxes, r * width + c, p, before)
        earlier = _number(before, choose) * inside + q
        if table[earlier] < 0:
            table[earlier] = table[entry] + 1
            queue[tail] = earlier
            tail += 1
    return tail


@njit(cache=True, nogil=True, inline="always")
def _exchange(places, old, new, out):
    """Fills out [B]: places with `new` instead of `old`, sorted."""
    i = 0
    put = False
    for b in range(places.shape[0]):
        if places[b] == old:
            continue
        if not put and places[b] > new:
            out[i] = new
            put = True
            i += 1
        out[i] = places[b]
        i += 1
    if not put:
        out[i] = new


@njit(cache=True, nogil=True)
def _look_up(slots, walls, boxes, player, choose, moves, out):
    """Fills out [K, 5]: the distance after each Move and, last, here; a Move that goes nowhere has -2."""
    height, width = walls.shape[1] - 2, walls.shape[2] - 2
    inside, count = height * width, choose.shape[1] - 1
    places, after = np.empty(count, np.int64), np.empty(count, np.int64)
    for k in range(slots.shape[0]):
        table = moves[slots[k]]
        b = 0
        for i in range(inside):
            if boxes[k, 1 + i // width, 1 + i % width]:
                places[b] = i
                b += 1
        number = _number(places, choose)
        row, column = player[k, 0], player[k, 1]
        out[k, 4] = table[number * inside + (row - 1) * width + column - 1]
        for move in range(4):
            out[k, move] = -2
            r, c = row + MOVE_ROWS[move], column + MOVE_COLUMNS[move]
            if walls[k, r, c]:
                continue
            there = (r - 1) * width + c - 1
            if not boxes[k, r, c]:
                out[k, move] = table[number * inside + there]
                continue
            rr, cc = r + MOVE_ROWS[move], c + MOVE_COLUMNS[move]
            if not walls[k, rr, cc] and not boxes[k, rr, cc]:
                _exchange(places, there, (rr - 1) * width + cc - 1, after)
                out[k, move] = table[_number(after, choose) * inside + there]
