"""Compiled loops of the maze world: generation, stepping, observation, breadth-first search.

Each has a plain NumPy twin in tests/worlds/maze/maze_reference.py. Moves are (left, down, up, right, stay); a level's
random numbers come from its own seed (splitmix64, Steele et al. 2014), so they do not depend on the batch.
One thread is enough by far, and numba's threads would share (and resize) the pool that torch computes in.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# (row, column) change of each Move; row 0 is on top.
MOVE_ROWS = np.array([0, 1, -1, 0, 0], np.int64)
MOVE_COLUMNS = np.array([-1, 0, 0, 1, 0], np.int64)


@njit(cache=True, inline="always")
def _random(state, bound):
    """Next splitmix64 state and an integer in 0..bound-1."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return state, np.int64(((z >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@njit(cache=True)
def _find(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True)
def generate(seeds, width, region, walls, mouse, cheese):
    """Fills walls [N, W, W] (all True on entry), mouse and cheese [N, 2]; region 0 puts the cheese anywhere."""
    for n in range(seeds.shape[0]):
        rng = seeds[n]
        rng, draw = _random(rng, (width - 1) // 2)
        size = 3 + 2 * draw
        margin = (width - size) // 2
        cells = (size + 1) // 2
        grid = walls[n]
        # Kruskal: the edges between neighbouring cells in random order, each opened where it joins two trees.
        edges = np.empty(2 * cells * (cells - 1), np.int64)
        for i in range(edges.shape[0]):
            edges[i] = i
        parent = np.empty(cells * cells, np.int64)
        for i in range(parent.shape[0]):
            parent[i] = i
        for row in range(cells):
            for column in range(cells):
                grid[margin + 2 * row, margin + 2 * column] = False
        for i in range(edges.shape[0] - 1, -1, -1):
            rng, j = _random(rng, i + 1)
            edge = edges[j]
            edges[j] = edges[i]
            horizontal = edge < cells * (cells - 1)
            if horizontal:
                row, column = edge // (cells - 1), edge % (cells - 1)
                a, b = row * cells + column, row * cells + column + 1
            else:
                edge -= cells * (cells - 1)
                row, column = edge // cells, edge % cells
                a, b = row * cells + column, (row + 1) * cells + column
            root_a, root_b = _find(parent, a), _find(parent, b)
            if root_a != root_b:
                parent[root_a] = root_b
                if horizontal:
                    grid[margin + 2 * row, margin + 2 * column + 1] = False
                else:
                    grid[margin + 2 * row + 1, margin + 2 * column] = False
        bottom, right = width - 1 - margin, width - 1 - margin
        mouse[n, 0] = bottom
        mouse[n, 1] = margin
        reach = size if region == 0 else min(region, size)
        free = 0
        for row in range(margin, margin + reach):
            for column in range(right - reach + 1, right + 1):
                free += not grid[row, column] and not (row == bottom and column == margin)
        rng, pick = _random(rng, free)
        for row in range(margin, margin + reach):
            for column in range(right - reach + 1, right + 1):
                if not grid[row, column] and not (row == bottom and column == margin):
                    if pick == 0:
                        cheese[n, 0] = row
                        cheese[n, 1] = column
                    pick -= 1


@njit(cache=True)
def step(walls, mouse, cheese, actions, after, reward, ended):
    """Fills after [N, 2], reward [N], ended [N]; returns the first level with an illegal action, or -1."""
    width = walls.shape[1]
    for n in range(walls.shape[0]):
        action = actions[n]
        if action < 0 or action > 4:
            return n
        row, column = mouse[n, 0], mouse[n, 1]
        over = row == cheese[n, 0] and column == cheese[n, 1]
        if not over:
            r, c = row + MOVE_ROWS[action], column + MOVE_COLUMNS[action]
            if 0 <= r < width and 0 <= c < width and not walls[n, r, c]:
                row, column = r, c
        after[n, 0] = row
        after[n, 1] = column
        ended[n] = row == cheese[n, 0] and column == cheese[n, 1]
        reward[n] = 10.0 if ended[n] and not over else 0.0
    return -1


@njit(cache=True)
def observe(walls, mouse, cheese, planes):
    """Fills planes [N, 3, W, W] uint8: walls, mouse, cheese."""
    for n in range(walls.shape[0]):
        width = walls.shape[1]
        for row in range(width):
            for column in range(width):
                planes[n, 0, row, column] = walls[n, row, column]
                planes[n, 1, row, column] = 0
                planes[n, 2, row, column] = 0
        planes[n, 1, mouse[n, 0], mouse[n, 1]] = 1
        if cheese[n, 0] >= 0:
            planes[n, 2, cheese[n, 0], cheese[n, 1]] = 1


@njit(cache=True)
def distances(walls, squares, out):
    """Fills out [N, W, W] with steps to squares [N, 2]; -1 where unreachable (all -1 on entry)."""
    for n in range(walls.shape[0]):
        width = walls.shape[1]
        queue = np.empty(width * width, np.int64)
        row, column = squares[n, 0], squares[n, 1]
        if row < 0 or walls[n, row, column]:
            continue
        out[n, row, column] = 0
        queue[0] = row * width + column
        head, tail = 0, 1
        while head < tail:
            row, column = queue[head] // width, queue[head] % width
            head += 1
            for move in range(4):
                r, c = row + MOVE_ROWS[move], column + MOVE_COLUMNS[move]
                if 0 <= r < width and 0 <= c < width and not walls[n, r, c] and out[n, r, c] < 0:
                    out[n, r, c] = out[n, row, column] + 1
                    queue[tail] = r * width + c
                    tail += 1


@njit(cache=True)
def successors(walls, level, square, index, following):
    """Fills following [K, 5]: the index of the square after each move; index [N, W, W] numbers the free squares."""
    width = walls.shape[1]
    for k in range(square.shape[0]):
        n, row, column = level[k], square[k, 0], square[k, 1]
        for move in range(5):
            r, c = row + MOVE_ROWS[move], column + MOVE_COLUMNS[move]
            free = 0 <= r < width and 0 <= c < width and not walls[n, r, c]
            following[k, move] = index[n, r, c] if free else k
