"""The loops of the Sokoban world, compiled: stepping and observing, level by level.

Levels are independent of each other, so results do not depend on the batch. What lies outside the grid counts as
wall. One thread is enough by far, and numba's threads would share (and resize) the pool that torch computes in.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# (row, column) change of each Move; row 0 is on top.
MOVE_ROWS = np.array([-1, 1, 0, 0], np.int64)
MOVE_COLUMNS = np.array([0, 0, -1, 1], np.int64)


@njit(cache=True)
def step(walls, goals, boxes, player, actions, player_after, reward, ended):
    """Moves boxes [N, H, W] in place, fills player_after [N, 2], reward [N], ended [N].

    Returns the first level with an illegal action, or -1.
    """
    height, width = walls.shape[1], walls.shape[2]
    for n in range(walls.shape[0]):
        if actions[n] < 0 or actions[n] > 3:
            return n
    for n in range(walls.shape[0]):
        row, column = np.int64(player[n, 0]), np.int64(player[n, 1])
        gain = np.float32(0.0)
        over = _solved(goals[n], boxes[n])
        if not over:
            gain = np.float32(-0.1)
            down, right = MOVE_ROWS[actions[n]], MOVE_COLUMNS[actions[n]]
            r, c = row + down, column + right
            if 0 <= r < height and 0 <= c < width and not walls[n, r, c]:
                if not boxes[n, r, c]:
                    row, column = r, c
                else:
                    rr, cc = r + down, c + right
                    if 0 <= rr < height and 0 <= cc < width and not walls[n, rr, cc] and not boxes[n, rr, cc]:
                        boxes[n, r, c] = False
                        boxes[n, rr, cc] = True
                        row, column = r, c
                        if goals[n, rr, cc] and not goals[n, r, c]:
                            gain += np.float32(1.0)
                            over = _solved(goals[n], boxes[n])
                            if over:
                                gain += np.float32(10.0)
                        elif goals[n, r, c] and not goals[n, rr, cc]:
                            gain -= np.float32(1.0)
        player_after[n, 0] = row
        player_after[n, 1] = column
        reward[n] = gain
        ended[n] = over
    return -1


@njit(cache=True, inline="always")
def _solved(goals, boxes):
    off = 0
    for row in range(goals.shape[0]):
        for column in range(goals.shape[1]):
            off += boxes[row, column] and not goals[row, column]
    return off == 0


@njit(cache=True)
def solved(goals, boxes, out):
    """Fills out [N]: no box is off the goals."""
    for n in range(goals.shape[0]):
        out[n] = _solved(goals[n], boxes[n])


@njit(cache=True)
def observe(walls, goals, boxes, player, planes):
    """Fills planes [N, 4, H, W] uint8: walls, goals, boxes, player."""
    for n in range(walls.shape[0]):
        for row in range(walls.shape[1]):
            for column in range(walls.shape[2]):
                planes[n, 0, row, column] = walls[n, row, column]
                planes[n, 1, row, column] = goals[n, row, column]
                planes[n, 2, row, column] = boxes[n, row, column]
                planes[n, 3, row, column] = 0
        planes[n, 3, player[n, 0], player[n, 1]] = 1


@njit(cache=True)
def kinds(walls, goals, boxes, player, out):
    """Fills out [N, H, W] uint8: 0 floor, 1 goal, 2 box, 3 box on goal, 4 player, 5 player on goal, 6 wall."""
    for n in range(walls.shape[0]):
        for row in range(walls.shape[1]):
            for column in range(walls.shape[2]):
                out[n, row, column] = (
                    6 if walls[n, row, column] else goals[n, row, column] + 2 * boxes[n, row, column]
                )
        out[n, player[n, 0], player[n, 1]] += 4
