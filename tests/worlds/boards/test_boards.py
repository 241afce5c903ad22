"""Gomoku and Reversi: the contract, rules against plain loops, legal moves, drawn replies, texts, pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from goalscope.worlds.boards import BoardState, GomokuBoard, ReversiBoard
from goalscope.worlds.boards.gomoku import line_of
from goalscope.worlds.boards.reversi import PASS
from goalscope.worlds.contract import check_world, take
from goalscope.worlds.named import world_of

WORLDS = [GomokuBoard(), GomokuBoard(replies=False), ReversiBoard(), ReversiBoard(replies=False)]
NAMES = ["gomoku", "gomoku, both sides", "reversi", "reversi, both sides"]


@pytest.mark.parametrize("world", WORLDS, ids=NAMES)
def test_the_worlds_keep_the_contract(world: Any):
    check_world(world, [0, 1, 2, 3, 4, 5, 6, 7], steps=70 if world.name == "reversi" else 40)


def random_games(world: Any, seed: int, count: int = 12) -> list[BoardState]:
    """The positions of random games, one batch a move, until all are over."""
    rng, state = np.random.default_rng(seed), world.generate(np.arange(count))
    met = [state]
    while not state.over.all():
        legal = world.legal(state)
        state = world.step(state, np.array([rng.choice(np.flatnonzero(row)) for row in legal])).state
        met.append(state)
    return met


def turned_over(own: np.ndarray, theirs: np.ndarray, square: tuple[int, int]) -> list[tuple[int, int]]:
    found = []
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            line, (x, y) = [], (square[0] + a, square[1] + b)
            while (a or b) and 0 <= x < 8 and 0 <= y < 8 and theirs[x, y]:
                line.append((x, y))
                x, y = x + a, y + b
            if line and 0 <= x < 8 and 0 <= y < 8 and own[x, y]:
                found += line
    return found


def test_reversi_allows_and_turns_over_what_the_rules_say():
    world, passed = ReversiBoard(replies=False), 0
    for state in random_games(world, 0, 6)[:-1]:
        legal = world.legal(state)
        for i in np.flatnonzero(~state.over):
            own, theirs = state.own[i], state.theirs[i]
            empty = np.argwhere(~own & ~theirs).tolist()
            squares = {8 * r + c for r, c in empty if turned_over(own, theirs, (r, c))}
            assert set(np.flatnonzero(legal[i]).tolist()) == (squares or {PASS})
            passed += not squares
            move = min(squares or {PASS})
            after = world.step(take(state, int(i)), np.array([move])).state
            own, theirs = own.copy(), theirs.copy()
            if move != PASS:
                for r, c in [divmod(move, 8), *turned_over(own, theirs, divmod(move, 8))]:
                    own[r, c], theirs[r, c] = True, False
            mine = state.turn[i]
            assert np.array_equal(after.stones[0, mine], own) and np.array_equal(
                after.stones[0, 1 - mine], theirs
            )
            assert after.turn[0] == 1 - mine
    assert passed, "no game had to pass: the test cannot fail there"


@pytest.mark.parametrize("turn", range(8))
def test_a_line_wins_wherever_and_however_it_lies(turn: int):
    world = GomokuBoard(replies=False)
    for cells in ([(1, c) for c in range(1, 5)], [(2 + k, 1 + k) for k in range(4)]):
        board = np.zeros((6, 6), bool)
        board[tuple(zip(*cells, strict=True))] = True
        board = np.rot90(board.T if turn >= 4 else board, turn % 4)
        assert line_of(board[None], 4)[0] and not line_of(board[None], 5)[0]
        for r, c in np.argwhere(board):
            less = board.copy()
            less[r, c] = False
            assert not line_of(less[None], 4)[0]
            rows = [" ".join("X" if x else "." for x in line) for line in less]
            state = world.parse("level 1\nmoves 6\nturn X\nlast -\n" + "\n".join(rows))
            step = world.step(state, np.array([6 * r + c]))
            assert step.reward.tolist() == [1.0] and step.ended.tolist() == [True]
    assert not line_of(np.eye(6, dtype=bool)[None, ::-1][:, :3], 4)[0], "three do not"


def test_a_row_is_not_continued_over_the_edge():
    board = np.zeros((6, 6), bool)
    board.ravel()[[4, 5, 6, 7]] = True
    assert not line_of(board[None], 4)[0]


@pytest.mark.parametrize("world", [WORLDS[0], WORLDS[2]], ids=["gomoku", "reversi"])
def test_replies_are_the_levels_own_and_the_turn_stays(world: Any):
    games, again = random_games(world, 1), random_games(world, 1)
    assert all(np.array_equal(a.stones, b.stones) for a, b in zip(games, again, strict=True))
    side = np.arange(12) % 2
    assert all((state.turn == side).all() for state in games), "who is asked is always the same side"
    assert (games[0].stones[1::2].sum((1, 2, 3)) - games[0].stones[::2].sum((1, 2, 3)) == 1).all()
    # The reply to one move in one position differs from level to level.
    first = take(games[0], [0] * 64)
    many = BoardState(**{**vars(first), "level": np.arange(0, 128, 2, dtype=np.uint64)})
    made = world.step(many, np.full(64, np.flatnonzero(world.legal(first)[0])[0]))
    assert len(np.unique(made.state.stones.reshape(64, -1), axis=0)) > 2


def test_at_the_end_who_won_is_paid_and_the_aims_say_so():
    rewards = []
    for world in (WORLDS[0], WORLDS[2]):
        rng, state = np.random.default_rng(2), world.generate(np.arange(60))
        total = np.zeros(60)
        while not state.over.all():
            legal = world.legal(state)
            outcome = world.step(state, np.array([rng.choice(np.flatnonzero(row)) for row in legal]))
            state, total = outcome.state, total + outcome.reward
        aims = {name: aim(state) for name, aim in world.aims().items()}
        won, lost = (
            ("an own line", "a line of the other side")
            if world.name == "gomoku"
            else ("most stones", "fewest stones")
        )
        assert np.array_equal(aims[won], total > 0) and np.array_equal(aims[lost], total < 0)
        assert 10 < aims[won].sum() < 50
        rewards.append(total)
    assert (np.abs(rewards) <= 1).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("X", "Z"), r"line \d, column \d+: 6 of X, O and '\.'"),
        (("turn X", "turn Z"), "line 3, column 6: the turn is X or O"),
        (("level 3", "level -3"), "line 1, column 1"),
        (("last ", "last 9 "), r"line 4, column 1|lies outside"),
        (("turn", "torn"), "line 1: the lines 'level NUMBER'"),
    ],
)
def test_a_wrong_text_is_told_by_line_and_column(change: tuple[str, str], words: str):
    world = GomokuBoard(replies=False)
    state = world.generate([3])
    for square in (7, 8):
        state = world.step(state, np.array([square])).state
    text = world.text(state)[0]
    assert world.parse(text).stones.sum() == 2
    wrong = text.replace(*change) if change[0] != "X" else text.replace("X .", "Z .").replace("X O", "Z O")
    with pytest.raises(ValueError, match=words):
        world.parse(wrong)


@pytest.mark.parametrize("world", [WORLDS[1], WORLDS[3]], ids=["gomoku", "reversi"])
def test_a_position_is_drawn_with_its_stones(world: Any):
    state = random_games(world, 3, 2)[6]
    drawn = world.picture(state, 0)
    assert ET.fromstring(drawn) is not None and drawn == world.picture(state, 0)
    assert drawn.count("first player: row") == state.stones[0, 0].sum()
    assert drawn.count('stroke="#c2185b"') == 1, "the last move has a ring"


def test_the_games_have_names_and_settings():
    assert world_of("gomoku", side=7, row=5).observation_shape == (4, 7, 7)
    assert isinstance(world_of("reversi", replies=False), ReversiBoard)
    with pytest.raises(ValueError, match="row from 3 to side"):
        GomokuBoard(5, 6)
    with pytest.raises(ValueError, match="level 0: gomoku forbids move 7 here"):
        world = GomokuBoard(replies=False)
        world.step(world.step(world.generate([0]), np.array([7])).state, np.array([7]))
