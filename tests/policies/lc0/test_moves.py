"""The order of the moves, and legal moves among a network's logits."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
import torch

from goalscope.policies.lc0.moves import (
    MOVES,
    NAMES,
    PLAIN,
    SQUARES,
    attention_map,
    convolution_map,
    legal_moves,
    log_probabilities,
    move_probabilities,
)

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")
import chess


def random_positions(count: int, seed: int = 0) -> list[chess.Board]:
    rng = random.Random(seed)
    boards = []
    for i in range(count):
        # In half of them the pawns are about to promote, on all files and with something to take.
        board = (
            chess.Board() if i % 2 else chess.Board("1n1rk1b1/P1P1PP1P/8/8/8/8/p1p1pp1p/1N1RK1B1 w - - 0 1")
        )
        for _ in range(rng.randrange(40)):
            moves = list(board.legal_moves)
            # Pawns forward and captures, so that some promote.
            if not moves:
                board.pop()
                break
            board.push(max(rng.sample(moves, min(3, len(moves))), key=partial(keen, board)))
        boards.append(board)
    return boards


def keen(board: chess.Board, move: chess.Move) -> int:
    return 2 * board.is_capture(move) + (board.piece_type_at(move.from_square) == chess.PAWN)


def seen_by_mover(board: chess.Board, move: chess.Move) -> str:
    """The move's name worked out with python-chess alone."""
    castles = board.is_castling(move)
    if not board.turn:
        board, mirror = board.mirror(), chess.square_mirror
        move = chess.Move(mirror(move.from_square), mirror(move.to_square), move.promotion)
    if castles:
        return "e1h1" if move.to_square == chess.G1 else "e1a1"
    return move.uci().removesuffix("n") if move.promotion == chess.KNIGHT else move.uci()


def test_order():
    assert len(NAMES) == MOVES == 1858 and len(set(NAMES)) == MOVES
    assert (NAMES[0], NAMES[1], NAMES[7], NAMES[PLAIN - 1]) == ("a1b1", "a1c1", "a1a2", "h8g8")
    assert NAMES[PLAIN : PLAIN + 7] == ("a7a8q", "a7a8r", "a7a8b", "a7b8q", "a7b8r", "a7b8b", "b7a8q")
    assert NAMES[-1] == "h7h8b"
    assert list(NAMES[:PLAIN]) == sorted(NAMES[:PLAIN], key=lambda n: (n[1], n[0], n[3], n[2]))


def test_every_legal_move_has_the_place_of_its_name():
    boards = random_positions(80)
    legal = legal_moves(boards)
    moves = [(board, move) for board, found in zip(boards, legal.moves, strict=True) for move in found]
    assert [NAMES[i] for i in legal.index] == [seen_by_mover(board, move) for board, move in moves]
    kinds = {move.promotion for _, move in moves}
    assert {chess.KNIGHT, chess.BISHOP, chess.ROOK, chess.QUEEN} <= kinds
    assert {board.turn for board, move in moves if move.promotion} == {True, False}
    assert [len(found) for found in legal.moves] == legal.mask().sum(1).tolist()
    assert len(legal.row) == legal.mask().sum()


@pytest.mark.parametrize(
    ("fen", "castling"),
    [
        ("r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 1", {"e1h1", "e1a1"}),
        ("r3k2r/8/8/8/8/8/8/R3K2R b KQkq - 0 1", {"e1h1", "e1a1"}),
        ("r3k2r/8/8/8/8/8/8/R3K2R b Kq - 0 1", {"e1a1"}),
        ("4k3/8/8/8/8/8/8/4K1R1 w - - 0 1", set()),
    ],
)
def test_castling_is_king_takes_rook(fen: str, castling: set[str]):
    names = {NAMES[i] for i in legal_moves([chess.Board(fen)]).index}
    assert names & {"e1h1", "e1a1", "e1g1", "e1c1"} == castling


def test_castling_of_shuffled_pieces():
    """In Chess960 a king may end where it stands, or beside it."""
    board = chess.Board("1r3k1r/8/8/8/8/8/8/1R3K1R w HBhb - 0 1", chess960=True)
    assert {"f1h1", "f1b1"} <= {NAMES[i] for i in legal_moves([board]).index}
    board = chess.Board("6kr/8/8/8/8/8/8/6KR w H - 0 1", chess960=True)
    assert {"g1h1"} <= {NAMES[i] for i in legal_moves([board]).index}


def test_transforms_carry_moves_along():
    board = chess.Board("8/8/4q3/8/2R5/5k2/8/1K6 w - - 3 40")
    plain = legal_moves([board])
    for transform in range(8):
        turned = legal_moves([board], np.array([transform]))
        for before, after in zip(plain.index, turned.index, strict=True):
            start, target = (chess.parse_square(NAMES[before][i : i + 2]) for i in (0, 2))
            ends = [chess.square_name(SQUARES[transform, square]) for square in (start, target)]
            assert NAMES[after] == "".join(ends)
    assert len({tuple(sorted(legal_moves([board], np.array([t])).index)) for t in range(8)}) == 8
    with pytest.raises(ValueError, match=r"transforms must be \[1\]"):
        legal_moves([board], np.array([1, 2]))


def test_maps_have_a_place_of_its_own_for_every_move():
    for places, count in ((convolution_map(), 73 * 64), (attention_map(), 4096 + 192)):
        assert len(places) == MOVES == len(places.unique())
        assert int(places.min()) >= 0 and int(places.max()) < count
    plane, square = convolution_map() // 64, convolution_map() % 64
    for i, name in enumerate(NAMES):
        assert square[i] == chess.parse_square(name[:2])
        if len(name) == 5:
            assert plane[i] == 64 + 3 * (ord(name[2]) - ord(name[0]) + 1) + "rbq".index(name[4])
    queen = plane[NAMES.index("a1a8")], plane[NAMES.index("h8a1")], plane[NAMES.index("h1g1")]
    assert [int(p) for p in queen] == [6, 5 * 7 + 6, 6 * 7]
    flat = attention_map()
    assert flat[NAMES.index("b1c3")] == 64 * 1 + 18
    assert flat[NAMES.index("b7c8r")] == 4096 + (1 * 8 + 2) * 3 + 1


# Probabilities


def test_probabilities_are_those_of_the_legal_moves_alone():
    boards = random_positions(10, seed=2)
    legal = legal_moves(boards)
    logits = torch.randn(10, MOVES, generator=torch.Generator().manual_seed(0))
    before = logits.clone()
    logs = log_probabilities(logits, legal)
    assert torch.equal(logits, before), "the logits given in stay as they are"
    mask = legal.mask()
    assert torch.isneginf(logs[~mask]).all() and torch.isfinite(logs[mask]).all()
    assert torch.allclose(logs.exp().sum(1), torch.ones(10))
    for i, pairs in enumerate(move_probabilities(logits, legal)):
        exact = logits[i][mask[i]].double().exp()
        assert pairs == sorted(pairs, key=lambda pair: -pair[1])
        assert {move for move, _ in pairs} == set(boards[i].legal_moves)
        assert abs(pairs[0][1] - float(exact.max() / exact.sum())) < 1e-6


def test_temperature():
    boards, logits = [chess.Board()], torch.randn(1, MOVES)
    cold, warm = (move_probabilities(logits, legal_moves(boards), t)[0][0][1] for t in (0.1, 10))
    assert cold > 2 * warm
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        log_probabilities(logits, legal_moves(boards), 0)


@pytest.mark.parametrize("fen", ["7k/5Q2/6K1/8/8/8/8/8 b - - 0 1", "R6k/6pp/8/8/8/8/8/K7 b - - 0 1"])
def test_a_position_without_legal_moves_is_named(fen: str):
    boards = [chess.Board(), chess.Board(fen)]
    legal = legal_moves(boards)
    assert [len(moves) for moves in legal.moves] == [20, 0]
    with pytest.raises(ValueError, match="position 1 has no legal move"):
        log_probabilities(torch.zeros(2, MOVES), legal)


def test_shapes():
    legal = legal_moves([chess.Board()])
    with pytest.raises(ValueError, match=r"logits must be \[1, 1858\] for these positions, got \[2, 1858\]"):
        log_probabilities(torch.zeros(2, MOVES), legal)
    assert legal_moves([]).mask().shape == (0, MOVES)
