"""The study with the Maia networks on Lichess puzzles, and on attention bodies of two input formats."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

from goalscope.methods.chess.twins import Twin, changed_boards
from goalscope.policies.checkpoint import load
from goalscope.studies.chess_lookahead import study as chess_lookahead
from goalscope.studies.chess_lookahead.measure import lines as chess_measure
from goalscope.studies.chess_lookahead.measure import patches as chess_patches
from goalscope.studies.chess_lookahead.measure.patches import (
    Case,
    find_cases,
    layer_sites,
    lookahead_lines,
    patch_cases,
)
from goalscope.studies.chess_lookahead.measure.player import Player
from goalscope.studies.chess_lookahead.study import Options, study
from goalscope.worlds.chess.puzzles import Puzzle, read_puzzles
from goalscope.worlds.chess.world import move_number

DATA = os.environ.get("GOALSCOPE_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="GOALSCOPE_DATA is unset: it points at the shared data")
CHESS = Path(str(DATA)) / "chess"


def test_the_study_runs_whole_on_real_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chess_lookahead, "PATCHED", 16)
    monkeypatch.setattr(chess_patches, "CANDIDATES", 24)
    monkeypatch.setattr(chess_measure, "SUCCESSOR_PUZZLES", 10)
    strong, weak = (str(CHESS / f"maia-{rating}.pb.gz") for rating in (1900, 1100))
    options = Options(
        str(CHESS / "lichess_puzzles_1000.csv"), strong, weak, limit=120, out=str(tmp_path / "run")
    )
    outcome = study(options)
    found = {f.id: f for f in outcome.findings if f.policy == "maia-1900"}
    solved, first = found["play.overall"], found["value.agreement"]
    assert 0.2 < solved.estimate < 0.5 and solved.control is not None and solved.control < 0.02
    assert len(solved.policy_sha256) == 64 and solved.world == "chess puzzles lichess_puzzles_1000.csv"
    assert first.control is not None and first.estimate > first.control + 0.1
    assert found["filter.twins.relaxed"].n == 16 and found["probe.third.gain.untrained"].n > 30
    assert "maia-1900" in outcome.report.read_text()


def test_the_first_move_rests_on_its_own_square_and_not_on_the_third_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chess_patches, "CANDIDATES", 24)
    strong, weak = (Player(load(CHESS / f"maia-{rating}.pb.gz")) for rating in (1900, 1100))
    puzzles = read_puzzles(CHESS / "lichess_puzzles_1000.csv", 80).puzzles
    sure = np.array([_probability(strong, puzzle) > 0.3 for puzzle in puzzles])
    cases, _ = find_cases(puzzles, lookahead_lines(puzzles) & sure, strong, weak, most=24)
    squares = np.array([[case.line[0].to_square, case.line[2].to_square] for case in cases["relaxed"]])
    effects = patch_cases(strong, cases["relaxed"], squares, layer_sites(strong)[3:4])
    first, third = effects.effect[:, 0].mean(0)
    assert len(squares) >= 8 and first > 1 and abs(third) < first / 4


def _probability(player: Player, puzzle: Puzzle) -> float:
    scores = player.look([puzzle.board]).log_probs[0]
    return float(np.exp(scores[move_number(puzzle.board, puzzle.line[0])]))


@pytest.mark.parametrize("kind", ["map", "dense"])
def test_networks_of_other_formats_speak_the_same_moves(kind: str) -> None:
    """Canonical planes turn some boards; legal moves, their numbers and patched squares must not be lost by that."""
    player = Player(load(CHESS / f"random-attention-{kind}.pb.gz"))
    puzzles = read_puzzles(CHESS / "lichess_puzzles_1000.csv", 60).puzzles
    boards = [puzzle.board for puzzle in puzzles]
    seen = player.look(boards)
    for board, row in zip(boards, seen.log_probs, strict=True):
        legal = {move_number(board, move) for move in board.legal_moves}
        assert set(np.flatnonzero(np.isfinite(row)).tolist()) == legal
        assert np.exp(row).sum() == pytest.approx(1, abs=1e-4)
    sites = layer_sites(player)
    assert len(sites) == 3
    cases = []
    for i, puzzle in enumerate(puzzles[:8]):
        bare = puzzle.board.copy(stack=False)
        for twin, changed in changed_boards(bare, puzzle.line[0], most=1, seed=i):
            if chess_patches._turned_alike(player, bare, twin):
                cases.append(Case(i, bare, puzzle.line, Twin(twin, changed, 0, 0, 0, 0, 1)))
    everywhere = np.tile(np.arange(64), (len(cases), 1))
    effects = patch_cases(player, cases, everywhere, sites[:1], together=True)
    fall = effects.clean - effects.corrupted
    np.testing.assert_allclose(effects.effect[:, 0, 0], fall, atol=1e-3)
    assert np.abs(fall).max() > 0.01
