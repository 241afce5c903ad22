"""Solvable Sokoban levels by reverse play: a random room, boxes on goals, then pulls away from them.

Rooms are carved by a random walk that stamps small shapes, as Racaniere et al. 2017, "Imagination-Augmented Agents"
(appendix, level generation), do; a level is the state of a walk of random pulls whose boxes are farthest from the
goals. What was pulled can be pushed back, so every level is solvable. Same seed, same level, whatever the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from goalscope.worlds.contract import whole_seeds
from goalscope.worlds.sokoban.kernels import MOVE_COLUMNS, MOVE_ROWS
from goalscope.worlds.sokoban.state import SokobanState

ATTEMPTS = 2000
"""rooms that are tried for one seed"""
PULLS_A_BOX = 30
"""pulls of the walk, for every box"""

# Row offsets of the squares that each shape carves around the walker, (row, column) pairs.
_SHAPES = np.array(
    [
        [[0, -1], [0, 0], [0, 1], [0, 0]],
        [[-1, 0], [0, 0], [1, 0], [0, 0]],
        [[0, -1], [0, 0], [1, 0], [0, 0]],
        [[0, -1], [0, 0], [1, -1], [1, 0]],
        [[0, 0], [0, 1], [1, 0], [0, 0]],
    ],
    np.int64,
)


def generate_levels(
    seeds: Sequence[int] | np.ndarray,
    height: int = 10,
    width: int = 10,
    boxes: int = 4,
    min_pushes: int | None = None,
) -> SokobanState:
    """One solvable level per seed, no box on a goal.

    Args:
        seeds: [N] non-negative integers.
        height: rows, walls around included.
        width: columns.
        boxes: boxes and goals of each level, at least 1.
        min_pushes: a level needs at least this many pushes (boxes alone on the board, each to its nearest goal);
            None is three a box, one a box where a side is under 8.

    Raises:
        ValueError: negative seeds; a size that cannot hold so many boxes, or no level found that takes
            `min_pushes`.
    """
    mixed = checked_seeds(seeds)
    inside = (height - 2) * (width - 2)
    if boxes < 1 or height < 4 or width < 4 or inside < 3 * boxes:
        raise ValueError(
            f"{boxes} boxes do not fit a {height} x {width} level: it has {max(inside, 0)} squares inside its walls, "
            "a box needs three"
        )
    easy = boxes if min(height, width) < 8 else 3 * boxes
    wanted = max(1, easy if min_pushes is None else min_pushes)
    n = len(seeds)
    walls, goals = np.ones((n, height, width), bool), np.zeros((n, height, width), bool)
    filled, player = np.zeros((n, height, width), bool), np.zeros((n, 2), np.int16)
    failed = _generate(mixed, boxes, wanted, ATTEMPTS, PULLS_A_BOX * boxes, walls, goals, filled, player)
    if failed >= 0:
        raise ValueError(
            f"seed {seeds[failed]}: no {height} x {width} level with {boxes} boxes and at least {wanted} pushes "
            f"in {ATTEMPTS} rooms: ask for fewer boxes, fewer pushes or a larger level"
        )
    return SokobanState(walls, goals, filled, player)


def checked_seeds(seeds: Sequence[int] | np.ndarray) -> np.ndarray:
    """[N] uint64 seeds spread over the 64-bit space, so that neighbouring ones share no random numbers.

    Raises:
        ValueError: negative seeds, other numbers than integers, another shape.
    """
    return whole_seeds(seeds) * np.uint64(0xD1342543DE82EF95)


@njit(cache=True, inline="always")
def _random(state, bound):
    """Next splitmix64 state and an integer in 0..bound-1."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return state, np.int64(((z >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@njit(cache=True, nogil=True)
def _generate(seeds, count, wanted, attempts, pulls, walls, goals, boxes, player):
    """Fills all; returns the first level that no attempt gave, or -1."""
    height, width = walls.shape[1], walls.shape[2]
    wall = np.empty((height, width), np.bool_)
    squares = np.empty((height * width, 2), np.int64)
    distance = np.empty((height, width), np.int64)
    place, best_place = np.empty((count, 2), np.int64), np.empty((count, 2), np.int64)
    reached = np.empty((height, width), np.bool_)
    at = np.empty((height, width), np.bool_)
    for n in range(seeds.shape[0]):
        rng = seeds[n]
        done = False
        for _ in range(attempts):
            rng = _carve(rng, wall)
            free = 0
            for row in range(height):
                for column in range(width):
                    if not wall[row, column]:
                        squares[free, 0], squares[free, 1] = row, column
                        free += 1
            if free < 2 * count + 2:
                continue
            # The first `count` squares of a shuffle are the goals, the next one is where the player begins.
            for i in range(count + 1):
                rng, j = _random(rng, free - i)
                for k in range(2):
                    squares[i, k], squares[i + j, k] = squares[i + j, k], squares[i, k]
            _to_nearest_goal(wall, squares[:count], distance)
            place[:] = squares[:count]
            rng, best, best_row, best_column = _pull_apart(
                rng, wall, distance, place, best_place, squares[count], pulls, reached, at
            )
            if best >= wanted:
                for row in range(height):
                    for column in range(width):
                        walls[n, row, column] = wall[row, column]
                for b in range(count):
                    goals[n, squares[b, 0], squares[b, 1]] = True
                    boxes[n, best_place[b, 0], best_place[b, 1]] = True
                player[n, 0], player[n, 1] = best_row, best_column
                done = True
                break
        if not done:
            return n
    return -1


@njit(cache=True)
def _carve(rng, wall):
    """Fills wall [H, W] with a random room; returns the random state."""
    height, width = wall.shape
    wall[:] = True
    rng, row = _random(rng, height - 2)
    rng, column = _random(rng, width - 2)
    row, column = row + 1, column + 1
    rng, direction = _random(rng, 4)
    for _ in range(17 * (height + width) // 10):
        rng, turn = _random(rng, 100)
        if turn < 35:
            rng, direction = _random(rng, 4)
        row = min(max(row + MOVE_ROWS[direction], 1), height - 2)
        column = min(max(column + MOVE_COLUMNS[direction], 1), width - 2)
        rng, shape = _random(rng, _SHAPES.shape[0])
        for i in range(4):
            r, c = row + _SHAPES[shape, i, 0], column + _SHAPES[shape, i, 1]
            if 1 <= r <= height - 2 and 1 <= c <= width - 2:
                wall[r, c] = False
    return rng


@njit(cache=True)
def _to_nearest_goal(wall, goals, distance):
    """Fills distance [H, W]: the fewest pushes that bring a lone box to any goal, -1 where none do."""
    height, width = wall.shape
    queue = np.empty((height * width, 2), np.int64)
    distance[:] = -1
    tail = 0
    for g in range(goals.shape[0]):
        queue[tail] = goals[g]
        distance[goals[g, 0], goals[g, 1]] = 0
        tail += 1
    head = 0
    while head < tail:
        row, column = queue[head, 0], queue[head, 1]
        head += 1
        for move in range(4):
            r, c = row + MOVE_ROWS[move], column + MOVE_COLUMNS[move]
            rr, cc = r + MOVE_ROWS[move], c + MOVE_COLUMNS[move]
            # Walls all around: two steps from a free square may leave the grid, one may not.
            if not wall[r, c] and distance[r, c] < 0 and not wall[rr, cc]:
                distance[r, c] = distance[row, column] + 1
                queue[tail, 0], queue[tail, 1] = r, c
                tail += 1


@njit(cache=True)
def _reach(wall, at, row, column, reached, squares):
    """Fills reached [H, W] with where the player can walk; squares lists them; returns how many."""
    reached[:] = False
    reached[row, column] = True
    squares[0, 0], squares[0, 1] = row, column
    head, tail = 0, 1
    while head < tail:
        row, column = squares[head, 0], squares[head, 1]
        head += 1
        for move in range(4):
            r, c = row + MOVE_ROWS[move], column + MOVE_COLUMNS[move]
            if not wall[r, c] and not at[r, c] and not reached[r, c]:
                reached[r, c] = True
                squares[tail, 0], squares[tail, 1] = r, c
                tail += 1
    return tail


@njit(cache=True)
def _pull_apart(rng, wall, distance, place, best_place, start, pulls, reached, at):
    """A walk of random pulls from boxes at place [B, 2]; best_place keeps the state farthest from the goals.

    Returns the random state, how far that is in pushes (0 where a box never left the goals), and where the player
    stands in it: anywhere that it can walk to.
    """
    count = place.shape[0]
    squares = np.empty((wall.size, 2), np.int64)
    choices = np.empty((4 * count, 3), np.int64)
    at[:] = False
    for b in range(count):
        at[place[b, 0], place[b, 1]] = True
    row, column = start[0], start[1]
    best, best_row, best_column = 0, row, column
    last = -1
    for _ in range(pulls):
        _reach(wall, at, row, column, reached, squares)
        found, weights = 0, 0
        for b in range(count):
            for move in range(4):
                r, c = place[b, 0] + MOVE_ROWS[move], place[b, 1] + MOVE_COLUMNS[move]
                if reached[r, c]:
                    rr, cc = r + MOVE_ROWS[move], c + MOVE_COLUMNS[move]
                    if not wall[rr, cc] and not at[rr, cc]:
                        # The walk rather stays with its box, so that boxes get far, and takes those on goals.
                        on_goal = distance[place[b, 0], place[b, 1]] == 0
                        weight = 1 + 5 * (b == last) + 5 * on_goal
                        choices[found, 0], choices[found, 1], choices[found, 2] = b, move, weight
                        found += 1
                        weights += weight
        if found == 0:
            break
        rng, pick = _random(rng, weights)
        for i in range(found):
            pick -= choices[i, 2]
            if pick < 0:
                last, move = choices[i, 0], choices[i, 1]
                break
        at[place[last, 0], place[last, 1]] = False
        place[last, 0] += MOVE_ROWS[move]
        place[last, 1] += MOVE_COLUMNS[move]
        at[place[last, 0], place[last, 1]] = True
        row, column = place[last, 0] + MOVE_ROWS[move], place[last, 1] + MOVE_COLUMNS[move]
        total, off = 0, 0
        for b in range(count):
            total += distance[place[b, 0], place[b, 1]]
            off += distance[place[b, 0], place[b, 1]] > 0
        if off == count and total > best:
            best = total
            best_place[:] = place
            reachable = _reach(wall, at, row, column, reached, squares)
            rng, pick = _random(rng, reachable)
            best_row, best_column = squares[pick, 0], squares[pick, 1]
    return rng, best, best_row, best_column
