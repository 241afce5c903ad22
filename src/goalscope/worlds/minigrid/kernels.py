"""The compiled loops of MiniGrid: one step, and what the agent sees. Numbers are those of `state.py`."""

from __future__ import annotations

import numba
import numpy as np

from goalscope.worlds.minigrid.state import Rule

ROWS = np.array([0, 1, 0, -1])
COLUMNS = np.array([1, 0, -1, 0])
GOAL, OPEN, PICK, FETCH, GO, PUT, MATCH, IN_ORDER = map(int, Rule)


@numba.njit(cache=True)
def step(cells, inside, agent, carries, wants, target, over, actions, rule, reward):
    """One action in each level, in place; -1, or the first level with an illegal action."""
    for n in range(len(actions)):
        if actions[n] < 0 or actions[n] > 6:
            return n
    for n in range(len(actions)):
        reward[n] = 0.0
        if over[n]:
            continue
        action = actions[n]
        if rule == MATCH and action == 3:
            action = 5
        held = carries[n, 0] != 0
        red = rule == IN_ORDER and _open(cells[n], 0)
        blue = rule == IN_ORDER and _open(cells[n], 2)
        if action == 0 or action == 1:
            agent[n, 2] = (agent[n, 2] + (3 if action == 0 else 1)) % 4
        else:
            _act(cells[n], inside[n], agent[n], carries[n], action, n, over, reward)
        if over[n] or rule == GOAL:
            continue
        if rule == IN_ORDER:
            ends = _open(cells[n], 2) or (blue and _open(cells[n], 0))
            success = red and _open(cells[n], 2)
        elif rule == MATCH:
            ends, success = _match(cells[n], agent[n], target[n])
        else:
            ends, success = _asked(cells[n], agent[n], carries[n], wants[n], target[n], action, held, rule)
        over[n] = ends
        reward[n] = 1.0 if success else 0.0
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
def _asked(cells, agent, carries, wants, target, action, held, rule):
    """Whether an action ends the level, and as a success; `held`: the agent carried something before it."""
    wanted = carries[0] != 0 and carries[0] == wants[0] and carries[1] == wants[1]
    if rule == OPEN:
        opened = action == 5 and _open(cells, wants[1])
        return opened, opened
    if rule == PICK:
        picked = action == 3 and wanted
        return picked, picked
    if rule == FETCH:
        return carries[0] != 0, wanted
    rows, columns = abs(agent[0] - target[0]), abs(agent[1] - target[1])
    if rule == GO:
        return action == 5 or action == 6, action == 6 and rows + columns == 1
    if action == 3:
        return carries[0] != 0 and not wanted, False
    if action != 4 or not held:
        return False, False
    row, column = agent[0] + ROWS[agent[2]], agent[1] + COLUMNS[agent[2]]
    return True, carries[0] == 0 and abs(row - target[0]) <= 1 and abs(column - target[1]) <= 1


@numba.njit(cache=True)
def _open(cells, colour):
    """Whether a door of this colour is open."""
    for row in range(cells.shape[0]):
        for column in range(cells.shape[1]):
            cell = cells[row, column]
            if cell[0] == 4 and cell[1] == colour and cell[2] == 0:
                return True
    return False


@numba.njit(cache=True)
def _match(cells, agent, target):
    """Whether the agent is at an end of the hallway, and beside a thing like that of the start room."""
    middle = cells.shape[0] // 2
    up = agent[0] == target[0]
    if agent[1] != target[1] or not (up or agent[0] == 2 * middle - target[0]):
        return False, False
    there = cells[agent[0] + (-1 if up else 1), agent[1]]
    start = cells[middle - 1, 1]
    return True, there[0] == start[0] and there[1] == start[1]


@numba.njit(cache=True)
def see(cells, agent, carries, through, out, lit, lit_view):
    """The agent's view [N, 3, S, S] as the package gives it: first its left to right, then far to near.

    Squares that it does not see are 0. `lit` [N, H, W] and `lit_view` [N, S, S] become True where it sees a square of the
    level and of its view.
    """
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
                    continue
                lit_view[n, i, j] = True
                far, aside = size - 1 - j, i - size // 2
                row = agent[n, 0] + far * ahead_row + aside * right_row
                column = agent[n, 1] + far * ahead_column + aside * right_column
                if 0 <= row < lit.shape[1] and 0 <= column < lit.shape[2]:
                    lit[n, row, column] = True
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
