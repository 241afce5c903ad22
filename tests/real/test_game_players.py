"""Players of FourRooms, Gomoku and Reversi from other projects: what they do in their games, beside untrained networks."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalscope.methods.behaviour.reach import reach_probability
from goalscope.policies.checkpoint import Policy, load, untrained

DATA = os.environ.get("GOALSCOPE_DATA")
if DATA is None:
    pytest.skip("GOALSCOPE_DATA is unset: it points at the shared data", allow_module_level=True)
AGENTS = Path(str(DATA)) / "agents" / "games"


def asked(policy: Policy, planes: np.ndarray) -> tuple[np.ndarray, float]:
    """Logits [A] and value of one position."""
    module: Any = policy.module
    with torch.inference_mode():
        out = module(module.encode(planes[None].astype(np.uint8)))
    return out.logits[0].numpy(), float(out.value)


# FourRooms: gymnax's map; the agent's own move in five of nine steps, else a random one.

ROOMS = """\
xxxxxxxxxxxxx
x     x     x
x     x     x
x           x
x     x     x
x     x     x
xx xxxx     x
x     xxx xxx
x     x     x
x     x     x
x           x
x     x     x
xxxxxxxxxxxxx"""
GOAL, START = (8, 9), (4, 1)


@pytest.fixture(scope="module")
def rooms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Free squares [K, 2], the square after each of four moves [K, 4], and what is seen on each [K, 2, 13, 13]."""
    wall = np.array([[letter == "x" for letter in line] for line in ROOMS.split("\n")])
    squares = np.argwhere(~wall)
    number = {tuple(square): i for i, square in enumerate(squares.tolist())}
    after = np.array(
        [
            [number.get((r + a, c + b), number[r, c]) for a, b in ((-1, 0), (0, 1), (1, 0), (0, -1))]
            for r, c in squares.tolist()
        ]
    )
    seen = np.zeros((len(squares), 2, 13, 13), np.uint8)
    seen[:, 0] = wall
    seen[np.arange(len(squares)), 1, squares[:, 1], squares[:, 0]] = 1  # gymnax turns the agent's plane over
    return squares, after, seen


@pytest.mark.parametrize(("name", "least"), [("ppo", 0.99), ("es", 0.9)])
def test_it_comes_to_a_goal_that_it_does_not_see_and_to_no_other_place_as_surely(
    rooms: tuple[np.ndarray, np.ndarray, np.ndarray], name: str, least: float
):
    squares, after, seen = rooms
    policy = load(AGENTS / f"FourRooms-misc_{name}.safetensors")
    start = int(np.flatnonzero((squares == START).all(1))[0])

    def reach(given: Policy, place: tuple[int, int], steps: int) -> np.ndarray:
        module: Any = given.module
        with torch.inference_mode():
            out = module(module.encode(seen))
        own = (out if isinstance(out, torch.Tensor) else out.logits).double().softmax(1).numpy()
        return reach_probability(own * 5 / 9 + 1 / 9, after, (squares == place).all(1), steps)

    assert reach(policy, GOAL, 500)[start] > least
    # The mirror images of the goal in the other three rooms, each as far into its room.
    others = [reach(policy, place, 100).mean() for place in ((3, 9), (3, 3), (9, 3))]
    assert reach(policy, GOAL, 100).mean() > max(others) + 0.05
    assert reach(policy, GOAL, 100).mean() > reach(untrained(policy.config, 0), GOAL, 100).mean() + 0.15


# Gomoku: 6 x 6, four in a row.

SIDE = 6


def row_of_four(stones: np.ndarray) -> bool:
    for line in range(4):
        for r, c in np.argwhere(stones).tolist():
            a, b = ((0, 1), (1, 0), (1, 1), (1, -1))[line]
            cells = [(r + k * a, c + k * b) for k in range(4)]
            if all(0 <= x < SIDE and 0 <= y < SIDE and stones[x, y] for x, y in cells):
                return True
    return False


def gomoku_planes(stones: list[np.ndarray], turn: int, last: Any) -> np.ndarray:
    planes = np.zeros((4, SIDE, SIDE), bool)
    planes[0], planes[1], planes[3] = stones[turn], stones[1 - turn], turn == 0
    if last is not None:
        planes[2][last] = True
    return planes


def gomoku(policy: Policy, first: bool, rng: np.random.Generator) -> bool:
    """Whether it wins against random moves."""
    stones, last = [np.zeros((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), bool)], None
    for t in range(SIDE * SIDE):
        turn, free = t % 2, ~(stones[0] | stones[1])
        draw = rng.random((SIDE, SIDE))
        if (turn == 0) == first:
            draw = asked(policy, gomoku_planes(stones, turn, last))[0].reshape(SIDE, SIDE)
        last = np.unravel_index(np.where(free, draw, -np.inf).argmax(), draw.shape)
        stones[turn][last] = True
        if row_of_four(stones[turn]):
            return (turn == 0) == first
    return False


@pytest.fixture(scope="module")
def gomoku_player() -> Policy:
    return load(AGENTS / "gomoku_best_policy_6_6_4.safetensors")


def wins(play: Callable[..., bool], policy: Policy, games: int) -> int:
    rng = np.random.default_rng(0)
    return sum(play(policy, first, rng) for first in (True, False) for _ in range(games))


def test_the_gomoku_player_beats_random_moves_and_its_untrained_network_does_not(gomoku_player: Policy):
    assert wins(gomoku, gomoku_player, 10) == 20
    assert wins(gomoku, untrained(gomoku_player.config, 0), 10) < 14


@pytest.mark.parametrize("turn", range(8))
def test_it_completes_a_row_wherever_and_however_it_lies(gomoku_player: Policy, turn: int):
    """Three in a row and a free square at either end, in the eight symmetries of the board."""
    mine, theirs = np.zeros((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), bool)
    mine[1, 1:4] = theirs[4, 2:4] = theirs[3, 0] = True

    def turned(board: np.ndarray) -> np.ndarray:
        return np.rot90(board.T if turn >= 4 else board, turn % 4)

    ends = np.zeros((SIDE, SIDE), bool)
    ends[1, 0] = ends[1, 4] = True
    last = tuple(np.argwhere(turned(theirs))[0])
    own, other = turned(mine), turned(theirs)
    logits, value = asked(gomoku_player, gomoku_planes([own, other], 0, last))
    best = np.where(own | other, -np.inf, logits.reshape(SIDE, SIDE)).argmax()
    assert turned(ends).ravel()[best] and value > 0


# Reversi

BOARD = [(r, c) for r in range(8) for c in range(8)]
ROUND = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]


def turned_over(own: np.ndarray, other: np.ndarray, square: tuple[int, int]) -> list[tuple[int, int]]:
    found = []
    for a, b in ROUND:
        line, (x, y) = [], (square[0] + a, square[1] + b)
        while 0 <= x < 8 and 0 <= y < 8 and other[x, y]:
            line.append((x, y))
            x, y = x + a, y + b
        if 0 <= x < 8 and 0 <= y < 8 and own[x, y]:
            found += line
    return found


def reversi(policy: Policy, first: bool, rng: np.random.Generator, legal_shares: list[float]) -> bool:
    """Whether it wins against random moves; how much of its probability was on legal moves goes to the list."""
    stones = [np.zeros((8, 8), bool), np.zeros((8, 8), bool)]
    stones[0][3, 4] = stones[0][4, 3] = stones[1][3, 3] = stones[1][4, 4] = True
    passed = t = 0
    while passed < 2:
        turn, t = t % 2, t + 1
        own, other = stones[turn], stones[1 - turn]
        legal = [s for s in BOARD if not own[s] and not other[s] and turned_over(own, other, s)]
        passed = 0 if legal else passed + 1
        if not legal:
            continue
        square = legal[rng.integers(len(legal))]
        if (turn == 0) == first:
            logits, _ = asked(policy, np.stack([own, other]))
            probs = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
            legal_shares.append(sum(probs[8 * r + c] for r, c in legal))
            square = max(legal, key=lambda s: logits[8 * s[0] + s[1]])
        for s in [square, *turned_over(own, other, square)]:
            own[s], other[s] = True, False
    return bool((stones[0].sum() > stones[1].sum()) == first)


def test_the_reversi_player_knows_the_rules_and_beats_random_moves_and_its_untrained_network_does_not():
    policy = load(AGENTS / "ludax_reversi.safetensors")
    mine: list[float] = []
    theirs: list[float] = []
    assert wins(partial(reversi, legal_shares=mine), policy, 6) >= 11
    assert wins(partial(reversi, legal_shares=theirs), untrained(policy.config, 0), 6) < 10
    assert np.mean(mine) > 0.98 and np.mean(theirs) < 0.3


def test_the_reversi_player_values_corners():
    """The same stones but for one: an own stone in the corner is worth more than beside it."""
    policy = load(AGENTS / "ludax_reversi.safetensors")
    stones = np.zeros((2, 8, 8), bool)
    stones[0, 3, 4] = stones[0, 4, 3] = stones[1, 3, 3] = stones[1, 4, 4] = True
    values = []
    for square in ((0, 0), (1, 1)):
        placed = stones.copy()
        placed[0][square] = True
        values.append(asked(policy, placed)[1])
    assert values[0] > values[1]
