"""Chess as a world: the contract, the numbering of moves, texts that come back, and random FENs."""

from __future__ import annotations

import random

import numpy as np
import pytest

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

import chess

from goalscope.policies.lc0.moves import NAMES, legal_moves
from goalscope.worlds.chess.state import from_boards, to_boards
from goalscope.worlds.chess.world import (
    ChessGame,
    ChessMove,
    legal,
    move_number,
    numbered_move,
    parse_fen,
    parse_position,
    position_text,
)
from goalscope.worlds.contract import check_world, take

WORLD = ChessGame()
BERLIN = "r1bqk2r/ppp2ppp/2p5/4Pn2/8/5N2/PPP2PPP/RNBQ1RK1 b kq - 0 8"
ENDS = {
    "checkmate": "rnb1kbnr/pppp1ppp/8/4p3/6Pq/5P2/PPPPP2P/RNBQKBNR w KQkq - 1 3",
    "stalemate": "7k/5Q2/6K1/8/8/8/8/8 b - - 0 1",
    "insufficient material": "8/8/4k3/8/8/3BK3/8/8 w - - 0 1",
    "75 moves": "8/8/4k3/8/8/3RK3/8/8 b - - 150 120",
}


def act(text: str, move: str) -> tuple[str, float, bool]:
    """What one move makes of a position: its text, reward and whether it is over."""
    outcome = WORLD.step(WORLD.parse(text), np.array([ChessMove[move]]))
    return WORLD.text(outcome.state)[0], float(outcome.reward[0]), bool(outcome.ended[0])


def same(first: object, second: object) -> bool:
    return all(np.array_equal(getattr(first, f), getattr(second, f)) for f in first.__dataclass_fields__)  # type: ignore[attr-defined]


def test_contract() -> None:
    check_world(WORLD, np.arange(12), steps=15)


def test_1858_moves_numbered_as_the_networks_do() -> None:
    assert [move.name for move in ChessMove] == list(NAMES)
    assert len(ChessMove) == 1858 and ChessMove["a1b1"] == 0 and ChessMove["a7a8q"] == 1792


def test_every_legal_move_has_its_number_and_comes_back() -> None:
    fens = [
        "r3k2r/pPp2ppp/8/3pP3/8/8/PPP2PpP/R3K2R w KQkq d6 0 1",
        "r3k2r/pPp2ppp/8/8/3pP3/8/PPP2PpP/R3K2R b KQkq e3 0 1",
        BERLIN,
    ]
    boards = [chess.Board(fen) for fen in fens]
    mask = legal(from_boards(boards))
    assert np.array_equal(mask, legal_moves(boards).mask().numpy())
    for board, row in zip(boards, mask, strict=True):
        moves = [numbered_move(board, int(k)) for k in np.flatnonzero(row)]
        assert {m.uci() for m in moves if m} == {m.uci() for m in board.legal_moves}
        assert all(row[move_number(board, move)] for move in board.legal_moves)
        assert all(numbered_move(board, int(k)) is None for k in np.flatnonzero(~row)[::37])


@pytest.mark.parametrize(
    ("text", "move", "placement"),
    [
        ("r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 1", "e1h1", "r3k2r/8/8/8/8/8/8/R4RK1"),
        ("r3k2r/8/8/8/8/8/8/R3K2R b KQkq - 0 1", "e1a1", "2kr3r/8/8/8/8/8/8/R3K2R"),
        ("4k3/P7/8/8/8/8/8/4K3 w - - 0 1", "a7a8", "N3k3/8/8/8/8/8/8/4K3"),
        ("4k3/8/8/8/8/8/p7/4K3 b - - 0 1", "a7a8q", "4k3/8/8/8/8/8/8/q3K3"),
        ("4k3/8/8/3pP3/8/8/8/4K3 w - d6 0 1", "e5d6", "4k3/8/3P4/8/8/8/8/4K3"),
    ],
)
def test_special_moves(text: str, move: str, placement: str) -> None:
    after = act(text, move)[0]
    assert to_boards(WORLD.parse(after))[0].board_fen() == placement


def test_mate_is_rewarded_once_and_the_game_stays() -> None:
    text, reward, ended = act("6k1/5ppp/8/8/8/8/8/R3K3 w - - 0 1", "a1a8")
    assert reward == 1 and ended
    assert act(text, "e2e4") == (text, 0.0, True)


@pytest.mark.parametrize("reason", ENDS)
def test_games_end(reason: str) -> None:
    text, reward, ended = act(ENDS[reason], "e2e4")
    assert ended and reward == 0 and text == WORLD.text(WORLD.parse(ENDS[reason]))[0]


def test_a_forbidden_move_changes_nothing() -> None:
    start = chess.STARTING_FEN
    assert act(start, "e2e5") == (start, 0.0, False)


def test_the_fifth_time_of_a_position_ends_the_game() -> None:
    state = WORLD.parse("4k3/8/8/8/8/8/8/R3K3 w - - 0 1")
    ended = []
    for move in ("a1a2", "e1d1", "a2a1", "d1e1") * 4:
        outcome = WORLD.step(state, np.array([ChessMove[move]]))
        state = outcome.state
        ended.append(bool(outcome.ended[0]))
    assert ended == [False] * 15 + [True] and state.repetitions[0, 0] == 4


def test_a_game_stepped_is_the_game_that_python_chess_plays() -> None:
    rng = np.random.default_rng(3)
    board, state = chess.Board(), WORLD.parse(chess.STARTING_FEN)
    for _ in range(60):
        moves = list(board.legal_moves)
        move = moves[rng.integers(len(moves))]
        state = WORLD.step(state, np.array([move_number(board, move)])).state
        board.push(move)
        assert same(state, from_boards([board]))


def test_texts_of_long_games_come_back_exactly() -> None:
    board = chess.Board()
    back_and_forth = ["g1f3", "g8f6", "f3g1", "f6g8"]
    berlin = ["e2e4", "e7e5", "g1f3", "b8c6", "f1b5", "g8f6", "e1g1", "f6e4"]
    for word in [*back_and_forth, *back_and_forth, *berlin]:
        board.push_uci(word)
        state = from_boards([board])
        text = position_text(state)
        assert same(parse_position(text), state), text
    assert text.split()[6] == "moves" and "known 17" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("hello", "illegal FEN"),
        ("4k3/8/8/8/8/8/4R3/4K3 w - - 0 1", "illegal position .*: opposite check$"),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 1 moves e1e2 e8e8", "word 9: illegal move 'e8e8'"),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 1 moves 0000", "null move"),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 1 known", "must be followed by one value"),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 1 moves e1e2 known 1", "less than the 2 positions"),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 1 repeated 1,2", "repeated needs 1 counts"),
    ],
)
def test_wrong_texts_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WORLD.parse(text)


def test_two_positions_that_no_move_connects_have_no_text() -> None:
    board = chess.Board()
    board.push_uci("e2e4")
    state = from_boards([board])
    state.bitboards[0, 1, 1] = 0
    with pytest.raises(ValueError, match="no legal move leads"):
        WORLD.text(state)


def test_ten_thousand_random_fens_raise_only_the_documented_error() -> None:
    rng = random.Random(0)
    alphabet = "pnbrqkPNBRQK12345678/ -wbKQkqabcdefgh0\u0661\u00b2x\x00"
    good = [chess.STARTING_FEN, BERLIN, *ENDS.values()]
    kept = 0
    for number in range(10_000):
        if number % 2:
            text = list(rng.choice(good))
            for _ in range(rng.randint(1, 3)):
                text[rng.randrange(len(text))] = rng.choice(alphabet)
        else:
            text = [rng.choice(alphabet) for _ in range(rng.randint(0, 60))]
        try:
            state = WORLD.parse("".join(text))
        except ValueError:
            continue
        kept += 1
        if kept % 25 == 0:
            assert same(WORLD.parse(WORLD.text(state)[0]), state)
            assert parse_fen("".join(text)).is_valid()
    assert 50 < kept < 9000


def test_takes_what_it_documents() -> None:
    state = WORLD.generate([1, 2])
    with pytest.raises(ValueError, match="one position, got 2"):
        position_text(state)
    with pytest.raises(ValueError, match="history must be at least 8"):
        ChessGame(history=4)
    with pytest.raises(ValueError, match=r"numbered 0\.\.1857"):
        WORLD.step(take(state, 0), np.array([1858]))
    with pytest.raises(ValueError, match="is illegal in"):
        move_number(chess.Board(), chess.Move.from_uci("e2e5"))
