"""What thinking longer buys, by exact chances, and what is done where a wall closes on the way.

For a wall that closes, a maze gets a second way: one inner wall is opened, where that makes the way to the cheese shorter.
The mouse walks, with its most probable moves, until its next step would go through the opening; then the wall closes again,
and the old plan leads nowhere.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from goalscope.rollout import fields
from goalscope.rollout.maze_fields import Fields
from goalscope.rollout.maze_ticks import think_longer
from goalscope.studies.planning.measure.ways import right_moves
from goalscope.studies.planning.setup import Setup
from goalscope.worlds.contract import take
from goalscope.worlds.maze import MazeState

TICKS = (1, 2, 4, 8, 16, 32, 64, 128)
LIMIT = 500
"""steps, Procgen's time limit"""
SAVED = 6
"""steps that the opening saves, at least"""
EARLY = 2
"""steps from the start to the opening, at least"""


def ticks_of(setup: Setup) -> list[int]:
    """The numbers of ticks that are tried: the policy's own among them; no more than it has weights for."""
    module = setup.module
    most = len(module.blocks) if getattr(module, "tied", True) is False else TICKS[-1]
    return sorted({t for t in (*TICKS, module.ticks) if t <= max(most, module.ticks)})


def think(setup: Setup) -> dict[str, np.ndarray]:
    """`ticks` [T], exact `reach` [T, N] within `LIMIT` steps, `untrained` [N] with its ticks, `steps` [N] to the cheese."""
    state, ticks = setup.thinking, ticks_of(setup)
    found = think_longer(setup.module, setup.world, state, ticks, LIMIT)
    blank = fields(setup.blank.module, setup.world, state).reach_from_start(LIMIT)
    steps = right_moves(state.walls, state.cheese)[1]
    far = steps[np.arange(len(state)), *state.mouse.astype(int).T]
    return {"ticks": found.ticks, "reach": found.reach, "untrained": blank, "steps": far}


def close(setup: Setup) -> dict[str, np.ndarray]:
    """What is done where an opening closes in front of the mouse.

    Returns:
        `takes` [L] bool, the mouse walks to the opening; of the K mazes where it does: `reach` [K] exact chance to come
        to the cheese from there within `LIMIT` steps once the wall has closed, `untrained` [K] the same of the untrained
        network from the same squares; `detour` [K] steps of the way that is left.
    """
    which, wall, front = openings(setup.closing, setup.about.seed)
    shut = take(setup.closing, which)
    walls = shut.walls.copy()
    walls[np.arange(len(which)), wall[:, 0], wall[:, 1]] = False
    opened = replace(shut, walls=walls)
    if not len(which):
        return {"takes": np.zeros(0, bool)}
    takes = walks_into(fields(setup.module, setup.world, opened), wall)
    there = MazeState(shut.walls, front.astype(np.int16), shut.cheese)
    there = take(there, np.flatnonzero(takes))
    found = {"takes": takes}
    if takes.any():
        for name, module in (("reach", setup.module), ("untrained", setup.blank.module)):
            found[name] = fields(module, setup.world, there).reach_from_start(LIMIT)
        steps = right_moves(there.walls, there.cheese)[1]
        found["detour"] = steps[np.arange(len(there)), *there.mouse.astype(int).T]
    return found


def openings(state: MazeState, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which mazes have an inner wall whose opening saves steps [L], that wall [L, 2], and the square before it [L, 2]."""
    from_mouse, to_cheese = (right_moves(state.walls, square)[1] for square in (state.mouse, state.cheese))
    rng = np.random.default_rng([seed, 25])
    which, wall, front = [], [], []
    for i in range(len(state)):
        total = from_mouse[i][tuple(state.cheese[i].astype(int))]
        fits = []
        for row, column in np.argwhere(state.walls[i][1:-1, 1:-1]) + 1:
            for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                before, behind = (row - down, column - right), (row + down, column + right)
                if state.walls[i][before] or state.walls[i][behind]:
                    continue
                early = from_mouse[i][before] >= EARLY
                if early and from_mouse[i][before] + 2 + to_cheese[i][behind] <= total - SAVED:
                    fits.append(((row, column), before))
        if fits:
            chosen = fits[int(rng.integers(len(fits)))]
            which.append(i)
            wall.append(chosen[0])
            front.append(chosen[1])
    return np.array(which, int), np.array(wall, int).reshape(-1, 2), np.array(front, int).reshape(-1, 2)


def walks_into(field: Fields, wall: np.ndarray) -> np.ndarray:
    """[L] bool: the most probable moves lead through the opening, before the cheese and without a circle."""
    squares = field.squares
    at, best = squares.start.copy(), field.moves.argmax(1)
    into = (squares.square == wall[squares.level]).all(1)
    came = np.zeros(len(at), bool)
    for _ in range(LIMIT):
        at = np.where(squares.goal[at], at, squares.next[at, best[at]])
        came |= into[at] & ~squares.goal[at]
    return came
