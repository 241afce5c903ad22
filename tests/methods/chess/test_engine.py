"""The engine check: without an engine it says how to get one; with Stockfish, known lines come out as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

import chess

from goalscope.methods.chess.engine import MATE, LineCheck, check_line, find_engine

try:
    find_engine()
    MISSING = ""
except FileNotFoundError as error:
    MISSING = str(error)
needs_engine = pytest.mark.skipif(bool(MISSING), reason=MISSING or "Stockfish is there")

BACK_RANK = chess.Board("6k1/5ppp/8/8/8/8/5PPP/R5K1 w - - 0 1")


def moves(text: str) -> list[chess.Move]:
    return [chess.Move.from_uci(word) for word in text.split()]


@needs_engine
def test_a_mate_is_confirmed_and_a_quiet_move_is_not() -> None:
    mate = check_line(BACK_RANK, moves("a1a8"), nodes=5000)
    # The move mates, so its side's score right before it is a mate in one.
    assert mate.played_cp[0] == MATE - 1 and mate.margin_cp[0] > 1000 and mate.confirmed()
    assert mate.best == tuple(moves("a1a8")) and "Stockfish" in mate.engine
    quiet = check_line(BACK_RANK, moves("h2h3 h7h6 a1a8"), nodes=5000)
    assert not quiet.confirmed() and quiet.best[0] == moves("a1a8")[0] and quiet.margin_cp[0] < -1000


@needs_engine
def test_the_only_move_is_forced_and_the_answer_repeats() -> None:
    board = chess.Board("7k/8/5K2/8/8/8/8/Q7 w - - 0 1")
    line = moves("a1a7 h8g8 a7g7")
    first, second = (check_line(board, line, nodes=3000) for _ in range(2))
    assert np.isnan(first.other_cp[1]) and first.margin_cp[1] == np.inf
    np.testing.assert_array_equal(first.played_cp, second.played_cp)
    assert first.confirmed()


@needs_engine
def test_illegal_lines_are_refused() -> None:
    with pytest.raises(ValueError, match=r"move 2 of the line, a1a8, is illegal"):
        check_line(BACK_RANK, moves("h2h3 a1a8"), nodes=10)


def test_confirmed_reads_the_solvers_moves_alone() -> None:
    given = {"engine": "x", "nodes": 1, "best": tuple(moves("a1a8 g8h8 a8a7"))}
    sure = LineCheck(**given, played_cp=np.array([300.0, -900, 250]), other_cp=np.array([0.0, -900, 100]))
    assert sure.confirmed() and not sure.confirmed(200)
    other = LineCheck(
        **given, played_cp=np.array([300.0, -900, MATE - 1]), other_cp=np.array([0.0, -900, MATE - 1])
    )
    assert other.confirmed(), "of two mates either will do"


def test_no_engine_is_said_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="apt-get install stockfish"):
        find_engine(str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="at least one move and one node, got 0"):
        check_line(BACK_RANK, [])


def test_what_is_no_engine_is_named(tmp_path: Path) -> None:
    fake = tmp_path / "fake"
    fake.write_text("#!/bin/sh\nexit 0\n")
    fake.chmod(0o755)
    with pytest.raises(ValueError, match="does not answer as a UCI engine"):
        check_line(BACK_RANK, moves("a1a8"), command=str(fake))
