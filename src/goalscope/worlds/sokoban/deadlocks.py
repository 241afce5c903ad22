"""What can be said of a Sokoban level before any search: push distances, a lower bound, and deadlocks.

Squares are numbered in the grid with a ring of walls around it, row by row, so a step is an offset and never leaves.
The distance of a box takes it alone on the board but knows on which side of it the player is: a box cuts the level into
parts, and the player stays in its part until it pushes. The lower bound matches boxes to goals at least total distance;
no move of another box can change a box's distance, so the bound is consistent: a push lowers it by one at most.
Deadlocks: a box from which no goal can be reached, boxes of which no perfect matching exists, frozen boxes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from goalscope.worlds.sokoban.state import SokobanState

FAR = 1_000_000
"""the distance of a box from a goal that it cannot be brought to"""
LARGEST_DYNAMIC = 6
"""boxes up to which the matching is found by dynamic programming over sets of goals, more by the Hungarian method"""


class Board(NamedTuple):
    """One level, compiled for the search. S squares (with a ring of walls around), F of them floor."""

    offset: np.ndarray
    """[4] int64 what each Move adds to a square"""
    wall: np.ndarray
    """[S] bool: walls, and what the player could not get to if there were no boxes"""
    floor: np.ndarray
    """[S] int32 number of each floor square, -1 of walls"""
    side: np.ndarray
    """[F, F] int8 for a box on f and the player on p: the first Move from f that leads to p's part of the level"""
    distance: np.ndarray
    """[G, F, 4] int32 fewest pushes of a lone box on f to the goal, the player on the given side; FAR if impossible"""
    goal: np.ndarray
    """[S] bool"""
    dead: np.ndarray
    """[S] bool: no goal can be reached by a box here, whatever the side"""
    boxes: np.ndarray
    """[B] int16 squares of the boxes in ascending order"""
    player: int
    """its square"""
    stranded: int
    """boxes off the goals that the player cannot get to: with any, there is no solution"""


@njit(cache=True, nogil=True)
def compile_board(walls, goals, boxes, row, column):
    """The Board of one level: walls, goals, boxes [H, W] bool and where the player is."""
    height, width = walls.shape
    stride = width + 2
    offset = np.array([-stride, stride, -1, 1], np.int64)
    player = (row + 1) * stride + column + 1
    size = (height + 2) * stride
    wall, floor = np.ones(size, np.bool_), np.full(size, -1, np.int32)
    squares = np.empty(height * width, np.int64)
    # Only what the player can get to is floor.
    squares[0] = player
    wall[player], floor[player] = False, 0
    head, count = 0, 1
    while head < count:
        square = squares[head]
        head += 1
        for move in range(4):
            there = square + offset[move]
            r, c = there // stride - 1, there % stride - 1
            if wall[there] and 0 <= r < height and 0 <= c < width and not walls[r, c]:
                wall[there], floor[there] = False, count
                squares[count] = there
                count += 1
    squares = squares[:count]
    targets, filled = np.empty(count, np.int64), np.empty(count, np.int16)
    n_targets, n_boxes, stranded = 0, 0, 0
    for r in range(height):
        for c in range(width):
            square = (r + 1) * stride + c + 1
            if wall[square]:
                stranded += boxes[r, c] and not goals[r, c]
                continue
            if goals[r, c]:
                targets[n_targets] = square
                n_targets += 1
            if boxes[r, c]:
                filled[n_boxes] = square
                n_boxes += 1
    side = _sides(offset, wall, floor, squares)
    distance = np.full((n_targets, count, 4), FAR, np.int32)
    dead, goal = np.ones(size, np.bool_), np.zeros(size, np.bool_)
    for g in range(n_targets):
        goal[targets[g]] = True
        _push_distances(offset, wall, floor, side, squares, targets[g], distance[g])
        for f in range(count):
            for s in range(4):
                if distance[g, f, s] < FAR:
                    dead[squares[f]] = False
    return offset, wall, floor, side, distance, goal, dead, filled[:n_boxes].copy(), player, stranded


@njit(cache=True, nogil=True)
def _sides(offset, wall, floor, squares):
    """Board.side: the parts of the level with a lone box on each square; -1 where player and box are on one."""
    count = squares.shape[0]
    side = np.full((count, count), -1, np.int8)
    queue = np.empty(count, np.int64)
    for f in range(count):
        for move in range(4):
            start = squares[f] + offset[move]
            if wall[start] or side[f, floor[start]] >= 0:
                continue
            side[f, floor[start]] = move
            queue[0] = start
            head, tail = 0, 1
            while head < tail:
                square = queue[head]
                head += 1
                for step in range(4):
                    there = square + offset[step]
                    if not wall[there] and there != squares[f] and side[f, floor[there]] < 0:
                        side[f, floor[there]] = move
                        queue[tail] = there
                        tail += 1
    return side


@njit(cache=True, nogil=True)
def _push_distances(offset, wall, floor, side, squares, goal, distance):
    """Fills distance [F, 4] of one goal, breadth first backwards by pulls."""
    queue = np.empty((4 * squares.shape[0], 2), np.int64)
    head, tail = 0, 0
    for s in range(4):
        around = goal + offset[s]
        if not wall[around] and side[floor[goal], floor[around]] == s:
            distance[floor[goal], s] = 0
            queue[tail, 0], queue[tail, 1] = floor[goal], s
            tail += 1
    while head < tail:
        f, s = queue[head, 0], queue[head, 1]
        head += 1
        for move in range(4):
            # The box came here by this move: it was one back, the player two.
            before = squares[f] - offset[move]
            if wall[before] or side[f, floor[before]] != s:
                continue
            pusher = before - offset[move]
            if wall[pusher]:
                continue
            b = floor[before]
            t = side[b, floor[pusher]]
            if distance[b, t] == FAR:
                distance[b, t] = distance[f, s] + 1
                queue[tail, 0], queue[tail, 1] = b, t
                tail += 1


@njit(cache=True, nogil=True)
def lower_bound(floor, side, distance, boxes, player, cost):
    """Pushes that are needed at least, FAR or more where no perfect matching exists; cost [B, G] is overwritten."""
    for b in range(boxes.shape[0]):
        cost_row(floor, side, distance, boxes[b], player, cost[b])
    return least_matching(cost)


@njit(cache=True, nogil=True, inline="always")
def cost_row(floor, side, distance, box, player, row):
    """Fills row [G]: the distance of one box from every goal."""
    f = floor[box]
    s = side[f, floor[player]]
    for g in range(distance.shape[0]):
        row[g] = distance[g, f, s]


@njit(cache=True, nogil=True)
def least_matching(cost):
    """Least total cost [B, G] of giving every box a goal of its own; FAR or more where that is impossible."""
    boxes, goals = cost.shape
    if boxes > goals:
        return FAR
    if boxes == 0:
        return 0
    if goals > LARGEST_DYNAMIC:
        return _hungarian(cost)
    # best[set of goals] is the least cost of giving them to the first boxes.
    best = np.empty(1 << LARGEST_DYNAMIC, np.int64)
    best[0] = 0
    least = FAR
    for given in range(1, 1 << goals):
        box = -1
        for g in range(goals):
            box += (given >> g) & 1
        if box >= boxes:
            continue
        value = 2 * FAR
        for g in range(goals):
            if (given >> g) & 1:
                value = min(value, best[given ^ (1 << g)] + cost[box, g])
        best[given] = value
        if box == boxes - 1:
            least = min(least, value)
    return least


@njit(cache=True, nogil=True)
def _hungarian(cost):
    """Kuhn 1955, "The Hungarian method", with potentials and shortest augmenting paths: O(B^2 G)."""
    boxes, goals = cost.shape
    u, v = np.zeros(boxes + 1, np.int64), np.zeros(goals + 1, np.int64)
    owner, way = np.zeros(goals + 1, np.int64), np.zeros(goals + 1, np.int64)
    for b in range(1, boxes + 1):
        owner[0] = b
        j = 0
        least = np.full(goals + 1, 1 << 40, np.int64)
        used = np.zeros(goals + 1, np.bool_)
        while owner[j] != 0:
            used[j] = True
            i, delta, j_next = owner[j], 1 << 40, 0
            for k in range(1, goals + 1):
                if used[k]:
                    continue
                slack = cost[i - 1, k - 1] - u[i] - v[k]
                if slack < least[k]:
                    least[k], way[k] = slack, j
                if least[k] < delta:
                    delta, j_next = least[k], k
            for k in range(goals + 1):
                if used[k]:
                    u[owner[k]] += delta
                    v[k] -= delta
                else:
                    least[k] -= delta
            j = j_next
        while j:
            owner[j] = owner[way[j]]
            j = way[j]
    total = 0
    for k in range(1, goals + 1):
        if owner[k]:
            total += cost[owner[k] - 1, k - 1]
    return total


@njit(cache=True, nogil=True)
def frozen(offset, wall, dead, boxes, pushed, stuck):
    """Whether the box `pushed` (its square) can never move again; stuck [S] is then True on all such boxes.

    stuck is all False on entry, and again on leaving where the answer is no.
    A box is blocked along an axis by a wall or a stuck box on either side, or by dead squares on both.
    """
    for b in range(boxes.shape[0]):
        stuck[boxes[b]] = True
    if not _blocked(offset, wall, dead, stuck, pushed):
        for b in range(boxes.shape[0]):
            stuck[boxes[b]] = False
        return False
    changed = True
    while changed:
        changed = False
        for b in range(boxes.shape[0]):
            if stuck[boxes[b]] and not _blocked(offset, wall, dead, stuck, boxes[b]):
                stuck[boxes[b]] = False
                changed = True
    if stuck[pushed]:
        return True
    for b in range(boxes.shape[0]):
        stuck[boxes[b]] = False
    return False


@njit(cache=True, nogil=True, inline="always")
def _blocked(offset, wall, dead, stuck, box):
    """Along both axes."""
    for axis in (0, 2):
        a, b = box + offset[axis], box + offset[axis + 1]
        if not (wall[a] or wall[b] or stuck[a] or stuck[b] or (dead[a] and dead[b])):
            return False
    return True


def deadlocked(state: SokobanState) -> np.ndarray:
    """[N] bool: the level can be seen to have no solution, without a search.

    True is certain, False is not a promise: it says that every box can reach some goal when alone, that all boxes have
    goals of their own, and that no box off the goals is frozen.
    """
    return np.array(
        [
            _deadlocked(state.walls[i], state.goals[i], state.boxes[i], *map(int, state.player[i]))
            for i in range(len(state))
        ],
        bool,
    )


@njit(cache=True)
def _deadlocked(walls, goals, boxes, row, column):
    offset, wall, floor, side, distance, goal, dead, filled, player, stranded = compile_board(
        walls, goals, boxes, row, column
    )
    if stranded:
        return True
    cost = np.empty((filled.shape[0], distance.shape[0]), np.int64)
    if lower_bound(floor, side, distance, filled, player, cost) >= FAR:
        return True
    stuck = np.zeros(wall.shape[0], np.bool_)
    lost = False
    for b in range(filled.shape[0]):
        lost = lost or (not goal[filled[b]] and frozen(offset, wall, dead, filled, filled[b], stuck))
    return lost
