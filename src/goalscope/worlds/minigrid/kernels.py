"""The compiled loops of MiniGrid: one step, and what the agent sees. Numbers are those of `state.py`."""

from __future__ import annotations

import numba
import numpy as np

ROWS = np.array([0, 1, 0, -1])
COLUMNS = np.array([1, 0, -1, 0])


@numba.njit(cache=True)
def step(cells, inside, agent, carries, wants, over, actions, reward):
    """One action in each level, in place; -1, or the first level with an illegal action."""
    for n in range(len(actions)):
        if actions[n] < 0 or actions[n] > 6:
            return n
    for n in range(len(actions)):
        reward[n] = 0.0
        if over[n]:
            continue
        action = actions[n]
        if action == 0 or action == 1:
            agent[n, 2] = (agent[n, 2] + (3 if action == 0 else 1)) % 4
        else:
            _act(cells[n], inside[n], agent[n], carries[n], action, n, over, reward)
            if not over[n] and wants[n, 0] and _done(cells[n], carries[n], wants[n], action):
                over[n] = True
                reward[n] = 1.0
    return -1


@numba.njit(cache=True)
def _act(cells, inside, agent, carries, action, n, over, reward):
    row, column = agent[0] + ROWS[agent[2]], agent[1] + COLUMNS[agent[2]]
    if row < 0 or column < 0 or row >= cells.shape[0] or column >= cells.shape[1]:
        return
    cell, held = cells[row, column], inside[row, column]
    kind = cell[0]
    if action == 2:
        if kind == 1 or kind == 3 or kind == 8 or kind == 9 or (kind == 4 and cell[2] == 0):
            agent[0] = row
            agent[1] = column
        if kind == 8 or kind == 9:
            over[n] = True
            reward[n] = 1.0 if kind == 8 else 0.0
    elif action == 3 and 5 <= kind <= 7 and carries[0] == 0:
        carries[0], carries[1], carries[2], carries[3] = kind, cell[1], held[0], held[1]
        _lay(cell, held, 1, 0)
    elif action == 4 and kind == 1 and carries[0]:
        _lay(cell, held, carries[0], carries[1])
        held[0], held[1] = carries[2], carries[3]
        carries[:] = 0
    elif action == 5 and kind == 4:
        if cell[2] != 2:
            cell[2] = 1 - cell[2]
        elif carries[0] == 5 and carries[1] == cell[1]:
            cell[2] = 0
    elif action == 5 and kind == 7:
        if held[0]:
            _lay(cell, held, held[0], held[1])
        else:
            _lay(cell, held, 1, 0)


@numba.njit(cache=True)
def _lay(cell, held, kind, colour):
    cell[0], cell[1], cell[2] = kind, colour, 0
    held[0], held[1] = 0, 0


@numba.njit(cache=True)
def _done(cells, carries, wants, action):
    """Whether the agent has what it is asked for: the wanted door open (asked on toggling), or the thing in its hands."""
    if wants[0] != 4:
        return action == 3 and carries[0] == wants[0] and carries[1] == wants[1]
    if action != 5:
        return False
    for row in range(cells.shape[0]):
        for column in range(cells.shape[1]):
            cell = cells[row, column]
            if cell[0] == 4 and cell[1] == wants[1] and cell[2] == 0:
                return True
    return False


@numba.njit(cache=True)
def see(cells, agent, carries, through, out):
    """The agent's view [N, 3, S, S] as the package gives it: first its left to right, then far to near."""
    size = out.shape[2]
    seen = np.zeros((size, size), np.bool_)
    clear = np.zeros((size, size), np.bool_)
    for n in range(len(cells)):
        facing = agent[n, 2]
        ahead_row, ahead_column = ROWS[facing], COLUMNS[facing]
        right_row, right_column = ROWS[(facing + 1) % 4], COLUMNS[(facing + 1) % 4]
        for i in range(size):
            for j in range(size):
                far, aside = size - 1 - j, i - size // 2
                row = agent[n, 0] + far * ahead_row + aside * right_row
                column = agent[n, 1] + far * ahead_column + aside * right_column
                inside = 0 <= row < cells.shape[1] and 0 <= column < cells.shape[2]
                for c in range(3):
                    out[n, c, i, j] = cells[n, row, column, c] if inside else (2, 5, 0)[c]
                kind = out[n, 0, i, j]
                clear[i, j] = kind != 2 and not (kind == 4 and out[n, 2, i, j] != 0)
        if through:
            seen[:] = True
        else:
            _visible(clear, seen)
        for i in range(size):
            for j in range(size):
                if not seen[i, j]:
                    out[n, :, i, j] = 0
        middle, near = size // 2, size - 1
        out[n, 0, middle, near] = carries[n, 0] if carries[n, 0] else 1
        out[n, 1, middle, near] = carries[n, 1]
        out[n, 2, middle, near] = 0


@numba.njit(cache=True)
def _visible(clear, seen):
    """The package's rule: light goes sideways along a row, first right then left, and from it a row further."""
    size = len(seen)
    seen[:] = False
    seen[size // 2, size - 1] = True
    for j in range(size - 1, -1, -1):
        for i in range(size - 1):
            if seen[i, j] and clear[i, j]:
                seen[i + 1, j] = True
                if j > 0:
                    seen[i + 1, j - 1] = True
                    seen[i, j - 1] = True
        for i in range(size - 1, 0, -1):
            if seen[i, j] and clear[i, j]:
                seen[i - 1, j] = True
                if j > 0:
                    seen[i - 1, j - 1] = True
                    seen[i, j - 1] = True
