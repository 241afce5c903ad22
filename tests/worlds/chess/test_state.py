"""Batches of positions: what python-chess holds comes back, repetitions and en passant as lc0 counts them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from goalscope.worlds.chess.state import PIECES, from_boards, to_boards
from goalscope.worlds.contract import concatenate, take

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")
import chess


def random_games(count: int, plies: int, seed: int = 0) -> list[chess.Board]:
    rng = random.Random(seed)
    boards = []
    for _ in range(count):
        board = chess.Board()
        for _ in range(rng.randrange(plies)):
            moves = list(board.legal_moves)
            if not moves:
                break
            board.push(rng.choice(moves))
        boards.append(board)
    return boards


def played(moves: str, fen: str = chess.STARTING_FEN) -> chess.Board:
    board = chess.Board(fen)
    for move in moves.split():
        board.push_uci(move)
    return board


def test_pieces_stand_where_they_stood_in_every_position_of_the_history():
    boards = random_games(30, 60)
    state = from_boards(boards)
    for i, board in enumerate(boards):
        past = board.copy()
        for h in range(8):
            if h >= state.length[i]:
                assert not state.bitboards[i, h].any() and state.en_passant[i, h] == -1
                continue
            for column, letter in enumerate(PIECES):
                piece = chess.Piece.from_symbol(letter)
                squares = past.pieces_mask(piece.piece_type, piece.color)
                assert int(state.bitboards[i, h, column]) == squares
            assert int(state.castling[i, h]) == past.clean_castling_rights()
            assert state.halfmove[i, h] == past.halfmove_clock
            if past.move_stack:
                past.pop()
        assert (state.length[i], state.fullmove[i]) == (len(board.move_stack) + 1, board.fullmove_number)
        assert bool(state.turn[i]) == board.turn


def test_present_positions_come_back():
    boards = random_games(60, 100, seed=1)
    for board, again in zip(boards, to_boards(from_boards(boards)), strict=True):
        expected = board.copy(stack=False)
        if board.move_stack and not pawn_beside(board):
            expected.ep_square = None
        assert again.fen(en_passant="fen") == expected.fen(en_passant="fen")
    given = chess.Board("rnbqkbnr/pppp1ppp/8/8/4pP2/8/PPPPP1PP/RNBQKBNR b Kq f3 7 31")
    assert to_boards(from_boards([given]))[0].fen(en_passant="fen") == given.fen(en_passant="fen")


def pawn_beside(board: chess.Board) -> bool:
    """Whether a pawn of the side to move attacks the square that was passed, pinned or not."""
    if board.ep_square is None:
        return False
    return bool(board.attackers(board.turn, board.ep_square) & board.pieces(chess.PAWN, board.turn))


def test_en_passant_is_marked_only_beside_an_enemy_pawn_or_as_given():
    state = from_boards([
        played("e2e4"),
        played("e2e4 a7a6 e4e5 d7d5"),
        chess.Board("rnbqkbnr/pppppppp/8/8/4P3/8/PPPP1PPP/RNBQKBNR b KQkq e3 0 1"),
        played("a7a6", "rnbqkbnr/pppppppp/8/8/4P3/8/PPPP1PPP/RNBQKBNR b KQkq e3 0 1"),
        played("h2h4", "4k3/8/8/8/p7/8/7P/4K3 w - - 0 1"),
    ])  # fmt: skip
    assert state.en_passant[:, :2].tolist() == [[-1, -1], [3, -1], [4, -1], [-1, 4], [-1, -1]]


def test_a_pawn_at_the_edge_is_not_beside_the_other_edge():
    # h4 is number 31 and a5 number 32; a4 is 24 and h3 is 23.
    state = from_boards([
        played("h2h4", "4k3/8/8/p7/8/8/7P/4K3 w - - 0 1"),
        played("a2a4", "4k3/8/8/8/8/7p/P7/4K3 w - - 0 1"),
        played("h2h4", "4k3/8/8/8/6p1/8/7P/4K3 w - - 0 1"),
    ])  # fmt: skip
    assert state.en_passant[:, 0].tolist() == [-1, -1, 7]


def test_repetitions_are_counted_as_python_chess_finds_them():
    boards = []
    rng = random.Random(3)
    for _ in range(40):  # often the side to move takes its last move back
        board = chess.Board("4k2r/8/8/8/8/8/8/R3K3 w - - 0 1")
        for _ in range(rng.randrange(40)):
            moves = list(board.legal_moves)
            back = [m for m in moves if len(board.move_stack) > 1 and reverses(m, board.move_stack[-2])]
            if moves:
                board.push(back[0] if back and rng.random() < 0.7 else rng.choice(moves))
        boards.append(board)
    state = from_boards(boards)
    repeated = 0
    for i, board in enumerate(boards):
        past = board.copy()
        for h in range(min(8, len(board.move_stack) + 1)):
            count = 0
            while past.is_repetition(count + 2):
                count += 1
            assert state.repetitions[i, h] == count
            repeated += count > 0
            if past.move_stack:
                past.pop()
    assert repeated > 60


def reverses(move: chess.Move, earlier: chess.Move) -> bool:
    return (move.from_square, move.to_square) == (earlier.to_square, earlier.from_square)


def test_lost_castling_rights_make_another_position():
    shuffled = played("g1f3 g8f6 h1g1 h8g8 g1h1 g8h8 f3g1 f6g8")
    assert from_boards([shuffled]).repetitions[0, 0] == 0
    assert from_boards([played("g1f3 g8f6 f3g1 f6g8")]).repetitions[0, 0] == 1


def test_depth_and_batches():
    boards = random_games(9, 40, seed=2)
    deep, usual = from_boards(boards, depth=20), from_boards(boards)
    assert deep.bitboards.shape == (9, 20, 12)
    for name in ("bitboards", "castling", "en_passant", "halfmove", "repetitions"):
        assert np.array_equal(getattr(deep, name)[:, :8], getattr(usual, name))
        alone = concatenate([from_boards([board]) for board in boards])
        assert np.array_equal(getattr(alone, name), getattr(usual, name))
    assert len(take(usual, [3, 1])) == 2
    assert len(from_boards([])) == 0
    with pytest.raises(ValueError, match="depth must be at least 1, got 0"):
        from_boards(boards, depth=0)


def test_boards_are_left_alone():
    board = random_games(1, 60, seed=5)[0]
    before = (board.fen(), list(board.move_stack))
    from_boards([board])
    assert (board.fen(), list(board.move_stack)) == before


def test_counters_beyond_any_game():
    board = chess.Board()
    board.halfmove_clock = 10**12
    with pytest.raises(ValueError, match="move counter of 1000000000000"):
        from_boards([board])
