"""Motif functions against the themes of 1,000 Lichess puzzles, with the precision and recall that they keep."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

from goalscope.methods.chess.motifs import MOTIFS, Witness, motifs
from goalscope.worlds.chess.puzzles import Puzzle, read_puzzles

DATA = os.environ.get("GOALSCOPE_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="GOALSCOPE_DATA is unset: it points at the shared data")

AGREEMENT = {
    # theme: (least precision, least recall); measured on all 1,000
    "mate": (1.0, 1.0), "mateIn2": (1.0, 1.0), "mateIn3": (1.0, 1.0), "fork": (0.92, 0.99), "pin": (0.86, 0.99),
    "skewer": (0.86, 0.99), "discoveredAttack": (0.9, 0.98), "doubleCheck": (1.0, 1.0), "backRankMate": (1.0, 1.0),
    "hangingPiece": (1.0, 1.0), "sacrifice": (0.99, 0.99), "attraction": (0.99, 0.99), "promotion": (1.0, 1.0),
    "underPromotion": (1.0, 1.0), "enPassant": (1.0, 1.0), "advancedPawn": (1.0, 1.0),
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> list[tuple[Puzzle, dict[str, Witness]]]:
    file = read_puzzles(Path(str(DATA)) / "chess" / "lichess_puzzles_1000.csv")
    assert len(file) == 1000 and not file.rejected
    return [(puzzle, motifs(puzzle.board, puzzle.line)) for puzzle in file.puzzles]


@pytest.mark.parametrize("theme", AGREEMENT)
def test_precision_and_recall(theme: str, found: list[tuple[Puzzle, dict[str, Witness]]]) -> None:
    said = [theme in witnesses for _, witnesses in found]
    true = [theme in puzzle.themes for puzzle, _ in found]
    hits = sum(a and b for a, b in zip(said, true, strict=True))
    precision, recall = AGREEMENT[theme]
    assert sum(true) and hits >= precision * sum(said) and hits >= recall * sum(true), (
        hits,
        sum(said),
        sum(true),
    )


def test_every_motif_with_a_theme_is_measured(found: list[tuple[Puzzle, dict[str, Witness]]]) -> None:
    there = {theme for puzzle, _ in found for theme in puzzle.themes}
    assert set(MOTIFS) & there <= set(AGREEMENT)


def test_witnesses_name_squares_that_hold_what_they_say(
    found: list[tuple[Puzzle, dict[str, Witness]]],
) -> None:
    for puzzle, witnesses in found:
        boards = puzzle.boards()
        for name, witness in witnesses.items():
            assert witness.motif == name and 0 <= witness.ply < len(puzzle.line) and len(witness.squares)
            after = boards[witness.ply + 1]
            if name == "fork":
                attacker, *targets = witness.squares
                assert attacker == puzzle.line[witness.ply].to_square and len(targets) >= 2
                assert all(after.color_at(s) == after.turn and s in after.attacks(attacker) for s in targets)
            if name == "pin":
                pinner, pinned, _ = witness.squares
                assert after.is_pinned(after.turn, pinned) and pinner in after.pin(after.turn, pinned)
