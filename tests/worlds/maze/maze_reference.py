"""The maze world once more, in plain Python: slow, obvious, and what the kernels must equal."""

from __future__ import annotations

from collections import deque

import numpy as np

MASK = 2**64 - 1
SEED_SPREAD = 0xD1342543DE82EF95
MOVES = ((0, -1), (1, 0), (-1, 0), (0, 1), (0, 0))  # left, down, up, right, stay


class SplitMix:
    """The splitmix64 stream of one level (Steele et al. 2014, figure 17)."""

    def __init__(self, seed: int):
        self.state = seed * SEED_SPREAD & MASK

    def below(self, bound: int) -> int:
        """The next number in 0..bound-1: the upper 32 bits scaled down."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
        z ^= z >> 31
        return (z >> 32) * bound >> 32


def generate(
    seed: int, width: int, region: int | None
) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    """Walls [W, W], mouse and cheese of one level: Kruskal over shuffled edges, with sets of cells."""
    random = SplitMix(seed)
    size = 3 + 2 * random.below((width - 1) // 2)
    first, last = (width - size) // 2, (width + size) // 2 - 1
    cells = range(first, last + 1, 2)
    edges = [((r, c), (r, c + 2)) for r in cells for c in cells if c < last]
    edges += [((r, c), (r + 2, c)) for r in cells for c in cells if r < last]
    tree = {(r, c): {(r, c)} for r in cells for c in cells}
    free = set(tree)
    while edges:
        # Draw one of the rest, then move the last of them to its place.
        drawn = random.below(len(edges))
        (a, b), edges[drawn] = edges[drawn], edges[-1]
        edges.pop()
        if tree[a] is not tree[b]:
            joined = tree[a] | tree[b]
            for cell in joined:
                tree[cell] = joined
            free.add(((a[0] + b[0]) // 2, (a[1] + b[1]) // 2))
    mouse = (last, first)
    reach = size if region is None else min(region, size)
    places = sorted(s for s in free if s[0] < first + reach and s[1] > last - reach and s != mouse)
    walls = np.array([[(r, c) not in free for c in range(width)] for r in range(width)])
    return walls, mouse, places[random.below(len(places))]


def step(
    walls: np.ndarray, mouse: tuple[int, int], cheese: tuple[int, int], action: int
) -> tuple[tuple[int, int], float, bool]:
    """Where the mouse is afterwards, the reward, and whether the level is over."""
    if mouse == cheese:
        return mouse, 0.0, True
    row, column = mouse[0] + MOVES[action][0], mouse[1] + MOVES[action][1]
    width = len(walls)
    after = (row, column) if 0 <= row < width and 0 <= column < width and not walls[row, column] else mouse
    return after, 10.0 if after == cheese else 0.0, after == cheese


def observe(walls: np.ndarray, mouse: tuple[int, int], cheese: tuple[int, int]) -> np.ndarray:
    """[3, W, W] planes."""
    planes = np.zeros((3, *walls.shape), np.uint8)
    planes[0] = walls
    planes[1][mouse] = 1
    if cheese != (-1, -1):
        planes[2][cheese] = 1
    return planes


def neighbours(walls: np.ndarray, square: tuple[int, int]) -> list[tuple[int, int]]:
    """The free squares beside a square, in the order of the moves."""
    found = [(square[0] + r, square[1] + c) for r, c in MOVES[:4]]
    return [s for s in found if min(s) >= 0 and max(s) < len(walls) and not walls[s]]


def distances(walls: np.ndarray, square: tuple[int, int]) -> np.ndarray:
    """[W, W] steps to a square, -1 where there is no way."""
    steps = np.full(walls.shape, -1, np.int32)
    if square[0] < 0 or walls[square]:
        return steps
    steps[square] = 0
    queue = deque([square])
    while queue:
        here = queue.popleft()
        for there in neighbours(walls, here):
            if steps[there] < 0:
                steps[there] = steps[here] + 1
                queue.append(there)
    return steps


def simple_paths(walls: np.ndarray, a: tuple[int, int], b: tuple[int, int]) -> list[list[tuple[int, int]]]:
    """Every path from a to b that visits no square twice; exponential where there are many cycles."""
    paths, stack = [], [[a]]
    while stack:
        path = stack.pop()
        if path[-1] == b:
            paths.append(path)
            continue
        stack += [[*path, s] for s in neighbours(walls, path[-1]) if s not in path]
    return paths


def successors(walls: np.ndarray, mouse: tuple[int, int]) -> tuple[list[tuple[int, int]], list[list[int]]]:
    """The squares that the mouse can reach, in reading order, and the number of the one after each move."""
    reach = distances(walls, mouse)
    squares = [(int(r), int(c)) for r, c in np.argwhere(reach >= 0)]
    number = {s: i for i, s in enumerate(squares)}
    return squares, [[number[step(walls, s, (-1, -1), a)[0]] for a in range(5)] for s in squares]
