"""The A* of the Sokoban solver, compiled. A node is where the boxes are and where the player stands after a push.

Costs are moves: walking to the next push and the push itself. The bound is consistent, so a node's cost is final when
it is taken up. The search never allocates: it stops and says so where an array is full, and goes on when called again
with larger ones; it also stops after a number of expansions, so that callers can watch the clock.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from goalscope.worlds.sokoban.deadlocks import FAR, Board, cost_row, frozen, least_matching

RUNNING, SOLVED, UNSOLVABLE, NODES_FULL, QUEUE_FULL = 0, 1, 2, 3, 4
"""why `search` stopped"""

NODES, LOWEST, EXPANDED, LAST, LARGEST_BOUND = 0, 1, 2, 3, 4
"""places in Memory.counters: nodes in use, least cost + bound in the queue, nodes expanded, the solved node, and what no
node's bound exceeds"""


class Memory(NamedTuple):
    """What the search knows. C nodes at most, in a hash table of T places (a power of two)."""

    boxes: np.ndarray
    """[C, B] int16 squares in ascending order"""
    player: np.ndarray
    """[C] int16"""
    cost: np.ndarray
    """[C] int32 moves from the start"""
    bound: np.ndarray
    """[C] int32 moves to the goal at least"""
    parent: np.ndarray
    """[C] int32, -1 at the start"""
    before: np.ndarray
    """[C] int32 neighbour in the queue of its cost + bound, -1 where there is none"""
    after: np.ndarray
    """[C] int32"""
    closed: np.ndarray
    """[C] bool: expanded"""
    table: np.ndarray
    """[T] int32 nodes by hash, -1 where free"""
    queue: np.ndarray
    """[Q] int32 the last node of each cost + bound, -1 where there is none"""
    counters: np.ndarray
    """[5] int64, see NODES, LOWEST, EXPANDED, LAST, LARGEST_BOUND"""


@njit(cache=True, nogil=True, inline="always")
def _hash(boxes, player):
    value = np.uint64(player) * np.uint64(0x9E3779B97F4A7C15)
    for b in range(boxes.shape[0]):
        value = (value ^ np.uint64(boxes[b])) * np.uint64(0xBF58476D1CE4E5B9)
        value ^= value >> np.uint64(29)
    value *= np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(32))


@njit(cache=True, nogil=True)
def _find(memory, boxes, player):
    """The node of a state, or -1 - its free place in the table."""
    mask = np.uint64(memory.table.shape[0] - 1)
    place = _hash(boxes, player) & mask
    while True:
        node = memory.table[place]
        if node < 0:
            return -1 - np.int64(place)
        if memory.player[node] == player:
            same = True
            for b in range(boxes.shape[0]):
                if memory.boxes[node, b] != boxes[b]:
                    same = False
                    break
            if same:
                return np.int64(node)
        place = (place + np.uint64(1)) & mask


@njit(cache=True, nogil=True)
def rehash(memory):
    """Fills the table, all -1, with the nodes in use; for a table that was made larger."""
    for node in range(memory.counters[NODES]):
        memory.table[-1 - _find(memory, memory.boxes[node], memory.player[node])] = node


@njit(cache=True, nogil=True, inline="always")
def _enqueue(memory, node):
    total = memory.cost[node] + memory.bound[node]
    below = memory.queue[total]
    memory.before[node] = below
    memory.after[node] = -1
    if below >= 0:
        memory.after[below] = node
    memory.queue[total] = node


@njit(cache=True, nogil=True, inline="always")
def _dequeue(memory, node):
    below, above = memory.before[node], memory.after[node]
    if below >= 0:
        memory.after[below] = above
    if above >= 0:
        memory.before[above] = below
    else:
        memory.queue[memory.cost[node] + memory.bound[node]] = below


@njit(cache=True, nogil=True)
def begin(memory, boxes, player, bound):
    """Puts the start into an empty memory (table and queue all -1, LARGEST_BOUND given)."""
    memory.boxes[0] = boxes
    memory.player[0] = player
    memory.cost[0], memory.bound[0], memory.parent[0], memory.closed[0] = 0, bound, -1, False
    memory.counters[NODES], memory.counters[LOWEST] = 1, bound
    memory.counters[EXPANDED], memory.counters[LAST] = 0, -1
    memory.table[-1 - _find(memory, memory.boxes[0], player)] = 0
    _enqueue(memory, 0)


@njit(cache=True, nogil=True)
def search(board: Board, memory: Memory, budget):
    """Expands nodes until one is solved, none is left, `budget` is spent or memory is full; says which."""
    count, size = board.boxes.shape[0], board.wall.shape[0]
    blocked, stuck = board.wall.copy(), np.zeros(size, np.bool_)
    walked, stamp, squares = np.empty(size, np.int32), np.zeros(size, np.int32), np.empty(size, np.int32)
    cost, boxes = np.empty((count, board.distance.shape[0]), np.int64), np.empty(count, np.int16)
    counters = memory.counters
    room = min(memory.player.shape[0], memory.table.shape[0] // 2)
    for now in range(1, budget + 1):
        while counters[LOWEST] < memory.queue.shape[0] and memory.queue[counters[LOWEST]] < 0:
            counters[LOWEST] += 1
        if counters[LOWEST] == memory.queue.shape[0]:
            return UNSOLVABLE
        node = memory.queue[counters[LOWEST]]
        if memory.bound[node] == 0:
            counters[LAST] = node
            return SOLVED
        if counters[NODES] + 4 * count > room:
            return NODES_FULL
        for b in range(count):
            blocked[memory.boxes[node, b]] = True
        reach = _walk(board.offset, blocked, memory.player[node], walked, stamp, now, squares)
        furthest = walked[squares[reach - 1]] + 1
        fits = memory.cost[node] + furthest + counters[LARGEST_BOUND] < memory.queue.shape[0]
        if fits:
            _expand(board, memory, node, blocked, walked, stamp, now, cost, boxes, stuck)
        for b in range(count):
            blocked[memory.boxes[node, b]] = False
        if not fits:
            return QUEUE_FULL
    return RUNNING


@njit(cache=True, nogil=True)
def _expand(board, memory, node, blocked, walked, stamp, now, cost, boxes, stuck):
    """Closes a node and puts what its pushes lead to into the queue; cost [B, G] and boxes [B] are scratch."""
    count, offset = board.boxes.shape[0], board.offset
    for b in range(count):
        cost_row(board.floor, board.side, board.distance, memory.boxes[node, b], memory.player[node], cost[b])
    _dequeue(memory, node)
    memory.closed[node] = True
    memory.counters[EXPANDED] += 1
    for b in range(count):
        box = np.int64(memory.boxes[node, b])
        for move in range(4):
            behind, ahead = box - offset[move], box + offset[move]
            if stamp[behind] != now or blocked[ahead] or board.dead[ahead]:
                continue
            for i in range(count):
                boxes[i] = memory.boxes[node, i]
            _replace(boxes, b, ahead)
            price = memory.cost[node] + walked[behind] + 1
            known = _find(memory, boxes, box)
            if known >= 0:
                if price < memory.cost[known] and not memory.closed[known]:
                    _dequeue(memory, known)
                    memory.cost[known], memory.parent[known] = price, node
                    _enqueue(memory, known)
                continue
            cost_row(board.floor, board.side, board.distance, ahead, box, cost[b])
            bound = least_matching(cost)
            cost_row(board.floor, board.side, board.distance, box, memory.player[node], cost[b])
            if bound >= FAR or (bound and _freezes(board, boxes, ahead, stuck)):
                continue
            child = memory.counters[NODES]
            memory.counters[NODES] += 1
            memory.table[-1 - known] = child
            memory.boxes[child] = boxes
            memory.player[child], memory.parent[child] = box, node
            memory.cost[child], memory.bound[child], memory.closed[child] = price, bound, False
            _enqueue(memory, child)


@njit(cache=True, nogil=True)
def _walk(offset, blocked, player, walked, stamp, now, squares):
    """Steps of the player to every square it can get to (stamped `now`), listed in squares; returns how many."""
    stamp[player] = now
    walked[player] = 0
    squares[0] = player
    head, tail = 0, 1
    while head < tail:
        square = squares[head]
        head += 1
        for move in range(4):
            there = square + offset[move]
            if stamp[there] != now and not blocked[there]:
                stamp[there] = now
                walked[there] = walked[square] + 1
                squares[tail] = there
                tail += 1
    return tail


@njit(cache=True, nogil=True, inline="always")
def _replace(boxes, b, square):
    """Puts `square` in the place of boxes[b] and keeps the order."""
    while b > 0 and boxes[b - 1] > square:
        boxes[b] = boxes[b - 1]
        b -= 1
    while b < boxes.shape[0] - 1 and boxes[b + 1] < square:
        boxes[b] = boxes[b + 1]
        b += 1
    boxes[b] = square


@njit(cache=True, nogil=True)
def _freezes(board, boxes, pushed, stuck):
    """Whether the box just pushed is frozen with one off the goals; stuck [S] is all False before and after."""
    if not frozen(board.offset, board.wall, board.dead, boxes, pushed, stuck):
        return False
    lost = False
    for b in range(boxes.shape[0]):
        lost |= stuck[boxes[b]] and not board.goal[boxes[b]]
        stuck[boxes[b]] = False
    return lost


@njit(cache=True, nogil=True)
def moves_to(board: Board, memory: Memory, node, actions, is_push):
    """Fills actions [T] with the Moves from the start to a node, T its cost, and is_push [T], all False on entry."""
    offset = board.offset
    size = board.wall.shape[0]
    walked, stamp, squares = np.empty(size, np.int32), np.zeros(size, np.int32), np.empty(size, np.int32)
    now, end = 0, memory.cost[node]
    while memory.parent[node] >= 0:
        parent = memory.parent[node]
        blocked = board.wall.copy()
        for b in range(board.boxes.shape[0]):
            blocked[memory.boxes[parent, b]] = True
        # The player stands where the pushed box was; the box is where none was before.
        square = np.int64(memory.player[node])
        pushed = square
        for b in range(board.boxes.shape[0]):
            if not blocked[memory.boxes[node, b]]:
                pushed = np.int64(memory.boxes[node, b])
        now += 1
        end -= 1
        for move in range(4):
            if square + offset[move] == pushed:
                actions[end] = move
        is_push[end] = True
        square -= pushed - square
        _walk(offset, blocked, memory.player[parent], walked, stamp, now, squares)
        while square != memory.player[parent]:
            for move in range(4):
                back = square - offset[move]
                if stamp[back] == now and walked[back] == walked[square] - 1:
                    end -= 1
                    actions[end] = move
                    square = back
                    break
        node = parent
