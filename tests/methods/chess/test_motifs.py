"""Each motif on a position made for it, with its witness; and a neighbour position on which it must find nothing."""

from __future__ import annotations

import pytest

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

import chess

from goalscope.methods.chess.motifs import MOTIFS, mate_in, motifs

CASES = [
    # motif, FEN, line, squares of the witness
    ("fork", "3q3k/8/8/4N3/8/8/8/4K3 w - - 0 1", "e5f7 h8g8 f7d8", "f7 d8 h8"),
    ("pin", "4k3/8/4n3/8/2B5/8/4R3/K7 w - - 0 1", "c4e6", None),
    ("pin", "4k3/8/2n5/8/8/8/8/K4B2 w - - 0 1", "f1b5 e8d7 b5c6", "b5 c6 e8"),
    ("skewer", "8/3k3q/8/8/8/8/8/R3K3 w - - 0 1", "a1a7 d7e6 a7h7", "a7 d7 h7"),
    ("discoveredAttack", "3qk3/8/8/8/3B4/8/8/3RK3 w - - 0 1", "d4h8 e8e7 d1d8", "d1 d4 d8"),
    ("discoveredAttack", "4k3/8/8/8/4N3/8/8/4RK2 w - - 0 1", "e4c5", "e1 e4 e8"),
    ("doubleCheck", "4k3/8/8/8/4N3/8/8/4RK2 w - - 0 1", "e4f6", "e8 e1 f6"),
    ("backRankMate", "6k1/5ppp/8/8/8/8/8/R3K3 w - - 0 1", "a1a8", "g8 a8 f7 g7 h7"),
    ("smotheredMate", "6rk/6pp/8/6N1/8/8/8/4K3 w - - 0 1", "g5f7", "h8 f7"),
    ("hangingPiece", "4k3/8/8/3n4/8/8/8/3RK3 w - - 0 1", "d1d5", "d1 d5"),
    ("sacrifice", "r5rk/6pp/7N/8/2Q5/8/8/4K3 w - - 0 1", "c4g8 a8g8 h6f7", "g8"),
    ("attraction", "5r1k/6pp/7N/8/2Q5/8/8/4K3 w - - 0 1", "c4g8 f8g8 h6f7", None),
    ("attraction", "4k3/5q2/8/8/8/3N4/1B6/4KR2 w - - 0 1", "f1f7 e8f7 d3e5", "f7 e8 e5"),
    ("promotion", "8/P6k/8/8/8/8/8/4K3 w - - 0 1", "a7a8q", "a7 a8"),
    ("underPromotion", "8/P6k/8/8/8/8/8/4K3 w - - 0 1", "a7a8n", "a7 a8"),
    ("underPromotion", "8/P6k/8/8/8/8/8/4K3 w - - 0 1", "a7a8q", None),
    ("enPassant", "4k3/8/8/3pP3/8/8/8/4K3 w - d6 0 1", "e5d6", "e5 d6"),
    ("enPassant", "4k3/8/3p4/4P3/8/8/8/4K3 w - - 0 1", "e5d6", None),
    ("advancedPawn", "4k3/8/P7/8/8/8/8/4K3 w - - 0 1", "a6a7", "a6 a7"),
    ("advancedPawn", "4k3/8/8/P7/8/8/8/4K3 w - - 0 1", "a5a6", None),
    # What is no fork: the attacker can be taken for nothing.
    ("fork", "3q3k/4r3/8/4N3/8/8/8/6K1 w - - 0 1", "e5f7 e7f7 g1g2", None),
    # The king's way forward is blocked by an enemy's attack alone.
    ("backRankMate", "6k1/R7/8/8/8/8/8/1R2K3 w - - 0 1", "b1b8", None),
    # A defended piece does not hang.
    ("hangingPiece", "4k3/8/4p3/3n4/8/8/8/3RK3 w - - 0 1", "d1d5", None),
    # An exchange is no sacrifice.
    ("sacrifice", "3rk3/8/8/8/8/8/8/3RK3 w - - 0 1", "d1d8 e8d8 e1e2", None),
    # The piece behind is defended: taking it loses the slider.
    ("skewer", "8/3k3r/6p1/6b1/8/8/8/R3K3 w - - 0 1", "a1a7 d7e6 a7h7", "a7 d7 h7"),
    ("skewer", "7r/3k3n/8/8/8/8/8/R3K3 w - - 0 1", "a1a7 d7e6 a7h7", None),
]


@pytest.mark.parametrize(("name", "fen", "line", "squares"), CASES)
@pytest.mark.parametrize("mirrored", [False, True])
def test_motif(name: str, fen: str, line: str, squares: str | None, mirrored: bool) -> None:
    board = chess.Board(fen)
    moves = [chess.Move.from_uci(word) for word in line.split()]
    wanted = None if squares is None else [chess.parse_square(s) for s in squares.split()]
    if mirrored:  # colours and ranks swapped: nothing may change
        board = board.mirror()
        moves = [chess.Move(m.from_square ^ 56, m.to_square ^ 56, m.promotion) for m in moves]
        wanted = None if wanted is None else [s ^ 56 for s in wanted]
    witness = MOTIFS[name](board, moves)
    assert (None if witness is None else witness.motif) == (None if wanted is None else name)
    if witness is not None and wanted is not None:
        assert witness.squares[0] == wanted[0] and set(witness.squares) == set(wanted)


def test_the_position_is_left_as_it_is() -> None:
    board = chess.Board("6k1/5ppp/8/8/8/8/8/R3K3 w - - 0 1")
    before = board.fen()
    found = motifs(board, [chess.Move.from_uci("a1a8")])
    assert board.fen() == before and {"mate", "mateIn1", "backRankMate"} <= set(found)
    assert str(found["backRankMate"]) == "backRankMate at ply 0: g8 a8 f7 g7 h7"


def test_mate_is_counted_in_the_solvers_moves() -> None:
    board = chess.Board("7k/8/5K2/8/8/8/8/Q7 w - - 0 1")
    line = [chess.Move.from_uci(word) for word in ("a1a7", "h8g8", "a7g7")]
    witness = mate_in(board, line)
    assert witness is not None and witness.motif == "mateIn2" and witness.ply == 2
    assert mate_in(board, line[:1]) is None


def test_illegal_lines_are_refused() -> None:
    with pytest.raises(ValueError, match=r"move 2 of the line, e2e4, is illegal"):
        motifs(chess.Board(), [chess.Move.from_uci("e2e4"), chess.Move.from_uci("e2e4")])
    with pytest.raises(ValueError, match="at least one move"):
        motifs(chess.Board(), [])
