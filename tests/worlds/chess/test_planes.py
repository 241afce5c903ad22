"""The 112 planes against a slow twin, in every input format; and cases worked out by hand."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest

from goalscope.worlds.chess.planes import FILLS, FLIP, MIRROR, TRANSPOSE, InputFormat, encode, transforms
from goalscope.worlds.chess.state import from_boards

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")
import chess

_spec = importlib.util.spec_from_file_location(
    "chess_planes_reference", Path(__file__).parent / "chess_planes_reference.py"
)
assert _spec and _spec.loader
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

STARTS = (
    chess.STARTING_FEN,
    "r3k2r/pppq1ppp/2npbn2/2b1p3/2B1P3/2NPBN2/PPPQ1PPP/R3K2R b Kq - 4 8",
    "rnbqkbnr/ppp1p1pp/8/3pPp2/8/8/PPPP1PPP/RNBQKBNR w KQkq f6 0 3",
    "rnbqkbnr/pppp1ppp/8/8/3Pp3/8/PPP1PPPP/RNBQKBNR b KQkq d3 5 3",
    "4k3/8/2n5/8/8/8/1R6/K7 w - - 9 40",
    "8/8/3q4/4k3/8/8/6B1/K7 b - - 0 1",
    "8/8/8/3kr3/8/8/8/K6Q w - - 30 70",
    "4k2r/8/8/8/8/8/8/R3K3 w Qk - 2 30",
    "8/5p1k/8/8/1P6/8/K7/8 w - - 1 50",
)


@pytest.fixture(scope="module")
def boards() -> list[chess.Board]:
    """Games from all kinds of starts, in which moves are often taken back."""
    rng = random.Random(0)
    found = []
    for i in range(72):
        board = chess.Board(STARTS[i % len(STARTS)])
        for _ in range(rng.randrange(24) if i >= len(STARTS) else 0):
            moves = list(board.legal_moves)
            if not moves:
                break
            last = board.move_stack[-2] if len(board.move_stack) > 1 else None
            back = [
                m
                for m in moves
                if last and (m.from_square, m.to_square) == (last.to_square, last.from_square)
            ]
            board.push(back[0] if back and rng.random() < 0.5 else rng.choice(moves))
        found.append(board)
    return found


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("input_format", InputFormat)
def test_equals_the_slow_twin(boards: list[chess.Board], input_format: InputFormat, fill: str):
    planes = encode(from_boards(boards, depth=40), input_format, fill)
    assert planes.shape == (len(boards), 112, 8, 8) and planes.dtype == np.float32
    for board, found in zip(boards, planes, strict=True):
        expected = reference.encode(board, int(input_format), fill)
        wrong = np.flatnonzero((found != expected).any((1, 2)))
        assert not len(wrong), f"{board.fen()} after {len(board.move_stack)} moves: planes {wrong}"


def test_the_slow_twin_tells_formats_and_fills_apart(boards: list[chess.Board]):
    """The control: what the twin is for is visible in these games."""
    for board_sets in (
        {f: [reference.encode(b, int(f), "fen_only").tobytes() for b in boards] for f in InputFormat},
        {f: [reference.encode(b, 1, f).tobytes() for b in boards] for f in FILLS},
    ):
        kinds = [tuple(found) for found in board_sets.values()]
        assert len(set(kinds)) == len(kinds)
    chosen = transforms(from_boards(boards), InputFormat.CANONICAL)
    assert set(chosen.tolist()) >= {0, 1, 4, 5, 7}


def test_start_position():
    planes = encode(from_boards([chess.Board()]))[0]
    assert planes[0].sum() == 8 and (planes[0, 1] == 1).all()
    assert np.argwhere(planes[5]).tolist() == [[0, 4]] and np.argwhere(planes[11]).tolist() == [[7, 4]]
    assert not planes[12:104].any(), "a game from the start position is not filled"
    assert planes[104:108].all() and not planes[108:111].any() and planes[111].all()


def test_a_fen_without_history_stands_eight_times():
    planes = encode(from_boards([chess.Board("8/5p1k/8/8/1P6/8/K7/8 w - - 1 50")]))[0]
    history = planes[:104].reshape(8, 13, 8, 8)
    assert history[0].any() and (history == history[0]).all()


def test_black_sees_the_board_from_its_side():
    mirrored = chess.Board("rnbqkbnr/pppp1ppp/8/4p3/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1")
    first, second = encode(from_boards([mirrored, mirrored.mirror()]))
    assert np.array_equal(first[:104], second[:104])
    assert not first[108].any() and second[108].all()


@pytest.mark.parametrize(
    ("fen", "transform"),
    [
        ("8/8/8/8/8/8/1P6/K1k5 w - - 0 1", FLIP),
        ("8/8/8/8/8/8/1P6/2k1K3 w - - 0 1", 0),
        ("7K/8/8/8/8/8/8/k7 w - - 0 1", MIRROR),
        ("8/8/8/8/7K/8/8/k7 w - - 0 1", TRANSPOSE),
        ("k7/8/8/8/8/8/8/4K3 w - - 0 1", 0),
        # Flipped, the kings stand on h1 and h8; transposed on h1 and a1, the smaller number.
        ("k7/8/8/8/8/8/8/K7 b - - 0 1", FLIP + TRANSPOSE),
        # On the diagonal: the knight on f1 is the number 32, transposed it would be on h3, the number 2 ** 23.
        ("k7/8/8/8/8/8/6K1/5N2 w - - 0 1", 0),
        ("k7/8/8/8/8/7N/6K1/8 w - - 0 1", TRANSPOSE),
        ("4k3/8/8/8/8/8/8/R3K3 w Q - 0 1", 0),
    ],
)
def test_transforms_by_hand(fen: str, transform: int):
    state = from_boards([chess.Board(fen)])
    assert transforms(state, InputFormat.CANONICAL).tolist() == [transform]
    assert transforms(state, InputFormat.CASTLING).tolist() == [0]


def test_canonical_boards_look_the_same_however_they_are_turned():
    """All eight ways to put the same pawnless position on the board give the same planes."""
    base = chess.Board("8/8/4q3/8/2R5/5k2/8/1K6 w - - 3 40")
    boards = [base]
    for step in (chess.flip_horizontal, chess.flip_vertical, chess.flip_diagonal):
        boards += [board.transform(step) for board in boards]
    planes = encode(from_boards(boards), InputFormat.HECTOPLIES)
    assert len({board.board_fen() for board in boards}) == 8
    assert (planes == planes[0]).all()
    plain = encode(from_boards(boards), InputFormat.CASTLING)
    assert len({p.tobytes() for p in plain}) == 8


def test_errors():
    state = from_boards([chess.Board()])
    with pytest.raises(ValueError, match="no input format 9; lc0 has 1 CLASSICAL"):
        encode(state, 9)
    with pytest.raises(ValueError, match="fill must be one of no, fen_only, always, got 'some'"):
        encode(state, 1, "some")
    board = chess.Board()
    for move in ("g1f3", "g8f6", "f3g1", "f6g8", "g1f3", "g8f6", "f3g1", "f6g8", "g1f3"):
        board.push_uci(move)
    with pytest.raises(
        ValueError, match=r"CLASSICAL reads 8 positions of row 1, the state keeps 4 of its 10"
    ):
        encode(from_boards([chess.Board(), board], depth=4))
    with pytest.raises(ValueError, match=r"V2 reads 10 positions of row 0, .*depth=10\)"):
        encode(from_boards([board]), InputFormat.V2)
    encode(from_boards([board], depth=10), InputFormat.V2)
