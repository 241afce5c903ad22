"""Levels with a short way and a longer one: for the player (Agent-Shortcut) and for a box (Box-Shortcut).

Two small families after Bush et al. 2025, "Interpreting Emergent Planning in Model-Free Reinforcement Learning": the player
walks around a block to the boxes, one way round or the other; a box is pushed straight to its goal, or around. Every level
comes with the plan of its longer way, to be written into a network, and in all eight symmetries of the square.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from goalscope.studies.sokoban_plan.measure.play import NEVER, Played
from goalscope.worlds.contract import concatenate
from goalscope.worlds.sokoban import Move, SokobanState
from goalscope.worlds.sokoban.kernels import MOVE_COLUMNS, MOVE_ROWS
from goalscope.worlds.sokoban.solver import Outcome, solve
from goalscope.worlds.sokoban.symmetries import turned, turned_grid, turned_moves

STEPS = tuple(zip(MOVE_ROWS.tolist(), MOVE_COLUMNS.tolist(), strict=True))
"""(rows, columns) of each move"""
ORDER = (0, 4, 1, 7, 2, 6, 3, 5)
"""of the symmetries: after each quarter turn its mirror image"""
NODES = 20_000
"""positions within which a level must turn out to be solvable"""
NOTHING = -1
"""a square on which nothing is written"""
MARGIN = 2
"""squares by which the longer way is longer, at least"""


@dataclass(frozen=True)
class Shortcuts:
    """N levels of one family."""

    states: SokobanState
    plan: np.ndarray
    """[N, H, W] int8: on the longer way the move by which a square is left, on the shorter one `NEVER`, else `NOTHING`"""
    long: np.ndarray
    """[N, H, W] bool: squares of the longer way alone"""
    short: np.ndarray
    """[N, H, W] bool: squares of the shorter way alone"""

    def __len__(self) -> int:
        return len(self.plan)

    def take(self, index: np.ndarray) -> Shortcuts:
        """Some of the levels."""
        fields = {name: getattr(self.states, name)[index] for name in ("walls", "goals", "boxes", "player")}
        return Shortcuts(SokobanState(**fields), self.plan[index], self.long[index], self.short[index])


def agent_shortcuts(size: int, boxes: int, seed: int) -> Iterator[Shortcuts]:
    """Levels (of one each, no two alike) in which the player walks around a block to two boxes, or one."""
    rng, seen = np.random.default_rng([seed, 31]), set()
    for _ in range(4000):
        top, left = rng.integers(1, 3, 2)
        bottom = int(rng.integers(top + 2, size - 1))
        right = int(rng.integers(left + 2, max(left + 3, size - 3)))
        if right + 2 > size - 2:
            continue
        ring = _ring(top, left, bottom, right)
        doors = [(row, right) for row in range(top, bottom + 1)]
        at = int(rng.integers(len(doors)))
        chosen = doors[at : at + min(boxes, 2)]
        start = ring[int(rng.integers(len(ring)))]
        if start in doors or len(chosen) < min(boxes, 2):
            continue
        walls = np.ones((size, size), bool)
        walls[tuple(np.array(ring).T)] = False
        placed, goals = np.zeros_like(walls), np.zeros_like(walls)
        for row, column in chosen:
            walls[row, column + 1 : column + 3] = False
            placed[row, column + 1] = goals[row, column + 2] = True
        one, other = (_until(way, chosen) for way in (_from(ring, start), _from(ring[::-1], start)))
        short, long = sorted((one, other), key=len)
        if len(long) - len(short) < MARGIN or len(short) < 3:
            continue
        key = walls.tobytes() + placed.tobytes() + bytes(start)
        if key not in seen:
            seen.add(key)
            yield _level(walls, goals, placed, start, long, short, Move.RIGHT)


def box_shortcuts(size: int, boxes: int, seed: int) -> Iterator[Shortcuts]:
    """Levels (of one each, no two alike) in which a box is pushed along a line, or around it."""
    rng, seen = np.random.default_rng([seed, 32]), set()
    for _ in range(4000):
        row = int(rng.integers(2, size - 3))
        column = int(rng.integers(2, size - 3))
        far = int(rng.integers(2, 4))
        if column + far > size - 2:
            continue
        long = [(row, column), *((row + 1, column + i) for i in range(far + 1)), (row, column + far)]
        short = [(row, column + i) for i in range(far + 1)]
        walls = rng.random((size, size)) < rng.choice([0.0, 0.15, 0.3])
        walls[row - 1 : row + 3, column - 1 : column + far + 1] = False
        walls[0] = walls[-1] = walls[:, 0] = walls[:, -1] = True
        placed, goals = np.zeros_like(walls), np.zeros_like(walls)
        placed[row, column] = goals[row, column + far] = True
        kept = np.zeros_like(walls)
        kept[row - 1 : row + 3, column - 1 : column + far + 1] = True
        if boxes > 1:
            # The second box has its place in the rest of the room, one push from its goal.
            free = [
                (r, c, m) for r, c in np.argwhere(~walls & ~kept).tolist() for m, (dr, dc) in enumerate(STEPS)
                if _open(walls, r + dr, c + dc) and _open(walls, r - dr, c - dc) and not kept[r + dr, c + dc]
            ]  # fmt: skip
            if not free:
                continue
            r, c, m = free[int(rng.integers(len(free)))]
            placed[r, c] = goals[r + STEPS[m][0], c + STEPS[m][1]] = True
        around = [(row, column - 1), (row - 1, column - 1), (row + 1, column - 1)]
        start = around[int(rng.integers(len(around)))]
        key = walls.tobytes() + placed.tobytes() + goals.tobytes() + bytes(start)
        if key not in seen:
            seen.add(key)
            level = _level(walls, goals, placed, start, long, short, None)
            if solve(level.states, NODES).outcome is Outcome.SOLVED:
                yield level


def _open(walls: np.ndarray, row: int, column: int) -> bool:
    return not walls[row, column]


def _ring(top: int, left: int, bottom: int, right: int) -> list[tuple[int, int]]:
    """Squares around a block, clockwise from the top-left."""
    return [
        *((top, c) for c in range(left, right)), *((r, right) for r in range(top, bottom)),
        *((bottom, c) for c in range(right, left, -1)), *((r, left) for r in range(bottom, top, -1)),
    ]  # fmt: skip


def _from(ring: list[tuple[int, int]], start: tuple[int, int]) -> list[tuple[int, int]]:
    at = ring.index(start)
    return ring[at:] + ring[:at]


def _until(way: list[tuple[int, int]], ends: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """A way up to the first of some squares."""
    return way[: 1 + min(way.index(end) for end in ends)]


def _level(
    walls: np.ndarray, goals: np.ndarray, boxes: np.ndarray, player: tuple[int, int],
    long: list[tuple[int, int]], short: list[tuple[int, int]], after: Move | None,
) -> Shortcuts:  # fmt: skip
    """A level and its plan; `after` is the move from the end of the longer way, None where it ends there."""
    plan = np.full(walls.shape, NOTHING, np.int8)
    for here in short[1:]:
        plan[here] = NEVER
    for here, there in pairwise(long):
        plan[here] = STEPS.index((there[0] - here[0], there[1] - here[1]))
    if after is not None:
        plan[long[-1]] = after
    only = [np.zeros(walls.shape, bool) for _ in range(2)]
    for mask, mine, other in zip(only, (long, short), (short, long), strict=True):
        for square in mine:
            mask[square] = square not in other
    state = SokobanState(walls[None], goals[None], boxes[None], np.array([player], np.int16))
    return Shortcuts(state, plan[None], only[0][None], only[1][None])


def joined(parts: Sequence[Shortcuts]) -> Shortcuts:
    """Several as one; ValueError where there is none."""
    if not parts:
        raise ValueError("there are no shortcut levels to join")
    states = concatenate([part.states for part in parts])
    return Shortcuts(
        states, *(np.concatenate([getattr(p, k) for p in parts]) for k in ("plan", "long", "short"))
    )


def symmetric(levels: Shortcuts) -> Shortcuts:
    """Each level in its eight symmetries, one after the other: [8 N]."""
    parts = [levels.take(np.array([i])) for i in range(len(levels))]
    return joined([_turned(part, symmetry) for part in parts for symmetry in ORDER])


def _turned(levels: Shortcuts, symmetry: int) -> Shortcuts:
    plan = turned_grid(turned_moves(levels.plan, symmetry), symmetry)
    long, short = (turned_grid(ways, symmetry) for ways in (levels.long, levels.short))
    return Shortcuts(turned(levels.states, symmetry), plan, long, short)


def ways_taken(levels: Shortcuts, played: Played, target: str) -> tuple[np.ndarray, np.ndarray]:
    """[N] bool each: went the longer way to its end before the shorter one; went the shorter one first.

    Args:
        levels: that were played.
        played: the episodes.
        target: "agent" is where the player has been, "box" where a box has been.
    """
    total, n = played.moves.shape
    been = np.zeros(levels.plan.shape, bool)
    when = np.full((2, n), total + 1)
    for t in range(total + 1):
        been |= occupied(played.player[t], played.boxes[t], target)
        for k, squares in enumerate((levels.long, levels.short)):
            through = (been | ~squares).all((1, 2)) & squares.any((1, 2))
            when[k] = np.where(through & (when[k] > t), t, when[k])
    return when[0] < when[1], when[1] < when[0]


def occupied(player: np.ndarray, boxes: np.ndarray, target: str) -> np.ndarray:
    """[N, H, W] bool: where the player is, or where boxes are."""
    if target == "box":
        return boxes
    there = np.zeros(boxes.shape, bool)
    there[np.arange(len(player)), player[:, 0], player[:, 1]] = True
    return there
