"""Solutions of Sokoban levels with the fewest moves: A* over pushes, exact, with limits that are told apart from "none".

`solve` takes any one position, boxes on goals or not; `solve_many` takes a batch and gives arrays, for training data.
What the search knows beforehand is in `deadlocks.py`, the search itself in `search.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from goalscope.showing import drawing, text
from goalscope.worlds.sokoban import search as kernels
from goalscope.worlds.sokoban.deadlocks import FAR, Board, compile_board, lower_bound
from goalscope.worlds.sokoban.lurd import actions_lurd
from goalscope.worlds.sokoban.state import SokobanState
from goalscope.worlds.sokoban.text import parse_level

NODE_LIMIT = 5_000_000
"""expansions after which a search gives up, where the caller sets none"""
_CHUNK = 20_000
"""expansions between two looks at the clock: some tens of milliseconds"""
_MOST_SQUARES = 2**15 - 1
"""squares are numbered in 16 bits"""
_SMALLEST = 1 << 12
"""nodes that a memory has room for at first"""


class Outcome(IntEnum):
    """How a search ended."""

    SOLVED = 0
    NO_SOLUTION = 1
    LIMIT_REACHED = 2


@dataclass(frozen=True)
class Solution:
    """What the solver found for one level."""

    __repr__, _repr_html_ = text, drawing

    outcome: Outcome
    """SOLVED: `lurd` has the fewest moves; NO_SOLUTION: there is none; LIMIT_REACHED: not known"""
    lurd: str
    """the moves, pushes in capital letters; empty unless solved (or solved from the start)"""
    actions: np.ndarray
    """[moves] int8, the same as values of Move"""
    pushes: int
    """how many of the moves push"""
    nodes: int
    """positions expanded"""
    at_least: int
    """no solution has fewer moves than this, also where a limit was reached"""

    @property
    def moves(self) -> int:
        """Length of the solution."""
        return len(self.actions)

    @property
    def solved(self) -> bool:
        """Whether a solution was found."""
        return self.outcome is Outcome.SOLVED


@dataclass(frozen=True)
class Solutions:
    """What the solver found for N levels. T is the longest solution."""

    __repr__, _repr_html_ = text, drawing

    actions: np.ndarray
    """[N, T] int8 values of Move, -1 after the end and where there is no solution"""
    moves: np.ndarray
    """[N] int32 length, -1 unless solved"""
    pushes: np.ndarray
    """[N] int32, -1 unless solved"""
    nodes: np.ndarray
    """[N] int64 positions expanded"""
    outcome: np.ndarray
    """[N] int8 values of Outcome"""


class _Found(NamedTuple):
    outcome: Outcome
    actions: np.ndarray
    pushed: np.ndarray
    nodes: int
    at_least: int


def solve(
    level: SokobanState | str,
    node_limit: int = NODE_LIMIT,
    seconds: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Solution:
    """The solution of one level with the fewest moves.

    Args:
        level: one level, from any position, or its text.
        node_limit: positions that are expanded at most; the same limit gives the same outcome everywhere.
        seconds: time after which the search gives up; None is no limit.
        progress: called now and then with the positions expanded and the moves that are needed at least.

    Raises:
        ValueError: more than one level, more boxes than goals, a limit that is not positive, a text that is no level.
    """
    state = parse_level(level) if isinstance(level, str) else level
    if len(state) != 1:
        raise ValueError(f"solve takes one level, got {len(state)}: use solve_many, or take(state, i)")
    _check(state, node_limit)
    if seconds is not None and not seconds > 0:
        raise ValueError(f"seconds must be positive (or None for no limit), got {seconds}")
    deadline = None if seconds is None else time.monotonic() + seconds
    found = _search(_Workspace(), state, 0, node_limit, deadline, progress)
    lurd = actions_lurd(found.actions, found.pushed)
    return Solution(found.outcome, lurd, found.actions, int(found.pushed.sum()), found.nodes, found.at_least)


def solve_many(
    state: SokobanState,
    node_limit: int = 500_000,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Solutions:
    """The solutions of N levels with the fewest moves; a level that exceeds the limit is marked, not an error.

    Args:
        state: N levels.
        node_limit: positions expanded at most, for each level.
        threads: levels searched at a time (the search lets other threads run).
        progress: called after every level with how many are done.

    Raises:
        ValueError: a level with more boxes than goals, limits that are not positive.
    """
    _check(state, node_limit)
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    done = 0

    def part(first: int) -> list[_Found]:
        nonlocal done
        workspace, found = _Workspace(), []
        for i in range(first, len(state), threads):
            found.append(_search(workspace, state, i, node_limit, None, None))
            done += 1
            if progress:
                progress(done)
        return found

    if threads == 1:
        parts = [part(0)]
    else:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(part, range(threads)))
    every = [parts[i % threads][i // threads] for i in range(len(state))]
    outcome = np.array([found.outcome for found in every], np.int8)
    unsolved = outcome != Outcome.SOLVED
    moves = np.array([len(found.actions) for found in every], np.int32)
    pushes = np.array([found.pushed.sum() for found in every], np.int32)
    actions = np.full((len(state), moves.max(initial=0)), -1, np.int8)
    for row, found in zip(actions, every, strict=True):
        row[: len(found.actions)] = found.actions
    moves[unsolved], pushes[unsolved] = -1, -1
    return Solutions(actions, moves, pushes, np.array([found.nodes for found in every]), outcome)


def _check(state: SokobanState, node_limit: int) -> None:
    if node_limit < 1:
        raise ValueError(f"node_limit must be at least 1, got {node_limit}")
    height, width = state.walls.shape[1:]
    if (height + 2) * (width + 2) > _MOST_SQUARES:
        raise ValueError(
            f"the levels are {height} x {width}: the solver takes up to {_MOST_SQUARES:,} squares"
        )
    boxes, goals = state.boxes.sum((1, 2)), state.goals.sum((1, 2))
    wrong = boxes > goals
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(f"level {i}: {boxes[i]} boxes for {goals[i]} goals: it can never be solved")


class _Workspace:
    """The arrays of a search, kept from level to level and made larger where they are full."""

    def __init__(self) -> None:
        self.memory: kernels.Memory | None = None

    def start(self, boxes: np.ndarray, player: int, bound: int, largest_bound: int) -> kernels.Memory:
        """An empty memory for levels with so many boxes."""
        if self.memory is None or self.memory.boxes.shape[1] != len(boxes):
            self.memory = _memory(_SMALLEST, len(boxes), 1 << 11)
        m = self.memory
        # A large table from another level is costly to empty, so its front is used until that is full.
        m = m._replace(table=m.table[: 2 * _SMALLEST])
        m.table.fill(-1)
        m.queue.fill(-1)
        m.counters[kernels.LARGEST_BOUND] = largest_bound
        kernels.begin(m, boxes, player, bound)
        return m

    def grow(self, m: kernels.Memory, status: int) -> kernels.Memory:
        """A larger memory with the same content."""
        whole = self.memory
        if whole is None:
            raise RuntimeError("grow before start")
        if status == kernels.QUEUE_FULL:
            queue = np.full(2 * len(m.queue), -1, np.int32)
            queue[: len(m.queue)] = m.queue
            self.memory, m = whole._replace(queue=queue), m._replace(queue=queue)
            return m
        if len(m.table) == len(whole.table):
            larger = _memory(2 * len(m.player), m.boxes.shape[1], len(m.queue))
            used = int(m.counters[kernels.NODES])
            for name in ("boxes", "player", "cost", "bound", "parent", "before", "after", "closed"):
                getattr(larger, name)[:used] = getattr(m, name)[:used]
            whole = self.memory = larger._replace(queue=m.queue, counters=m.counters)
        m = whole._replace(table=whole.table[: 2 * len(m.table)])
        m.table.fill(-1)
        kernels.rehash(m)
        return m


def _memory(capacity: int, boxes: int, queue: int) -> kernels.Memory:
    def column(kind: type, *shape: int) -> np.ndarray:
        return np.empty((capacity, *shape), kind)

    return kernels.Memory(
        boxes=column(np.int16, boxes),
        player=column(np.int16),
        cost=column(np.int32),
        bound=column(np.int32),
        parent=column(np.int32),
        before=column(np.int32),
        after=column(np.int32),
        closed=column(np.bool_),
        table=np.empty(2 * capacity, np.int32),
        queue=np.full(queue, -1, np.int32),
        counters=np.zeros(5, np.int64),
    )


def _search(
    workspace: _Workspace,
    state: SokobanState,
    index: int,
    node_limit: int,
    deadline: float | None,
    progress: Callable[[int, int], None] | None,
) -> _Found:
    """One level of a batch."""
    row, column = map(int, state.player[index])
    board = Board(*compile_board(state.walls[index], state.goals[index], state.boxes[index], row, column))
    nothing = np.empty(0, np.int8), np.empty(0, bool)
    cost = np.empty((len(board.boxes), len(board.distance)), np.int64)
    bound = (
        FAR
        if board.stranded
        else int(lower_bound(board.floor, board.side, board.distance, board.boxes, board.player, cost))
    )
    if bound >= FAR:
        return _Found(Outcome.NO_SOLUTION, *nothing, 0, 0)
    finite = board.distance[board.distance < FAR]
    largest_bound = len(board.boxes) * int(finite.max(initial=0))
    memory = workspace.start(board.boxes, board.player, bound, largest_bound)
    counters = memory.counters
    while True:
        left = node_limit - int(counters[kernels.EXPANDED])
        status = kernels.search(board, memory, min(_CHUNK, left))
        expanded, at_least = int(counters[kernels.EXPANDED]), int(counters[kernels.LOWEST])
        if status == kernels.SOLVED:
            last = counters[kernels.LAST]
            actions = np.empty(memory.cost[last], np.int8)
            pushed = np.zeros(memory.cost[last], bool)
            kernels.moves_to(board, memory, last, actions, pushed)
            return _Found(Outcome.SOLVED, actions, pushed, expanded, len(actions))
        if status == kernels.UNSOLVABLE:
            return _Found(Outcome.NO_SOLUTION, *nothing, expanded, 0)
        if progress:
            progress(expanded, at_least)
        late = deadline is not None and time.monotonic() > deadline
        if late or expanded >= node_limit:
            return _Found(Outcome.LIMIT_REACHED, *nothing, expanded, at_least)
        if status != kernels.RUNNING:
            memory = workspace.grow(memory, status)
