"""`goalscope play` on a chess position: a FEN, a file that holds one, and what is neither."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

from goalscope.commands.main import main
from goalscope.policies.checkpoint import Policy
from goalscope.policies.lc0 import Lc0
from goalscope.policies.names import packaged
from goalscope.viewing.chess import show_position

MATE_IN_ONE = "6k1/5ppp/8/8/8/8/8/R3K3 w Q - 0 1"


@pytest.fixture(scope="module")
def network() -> Policy:
    return Policy(Lc0(width=16, blocks=1, policy_width=16, value_sizes=(4, 8)).eval(), "small", "", {})


def test_board_moves_and_value(network: Policy) -> None:
    text = show_position(network, MATE_IN_ONE, 3)
    lines = text.split("\n")
    assert lines[0] == "8 · · · · · · ♚ ·" and lines[9] == "White to move"
    shares = [float(line.split()[1].rstrip("%")) for line in lines[11:14]]
    assert shares == sorted(shares, reverse=True) and "win" in lines[-1] and "value" in lines[-1]


def test_moves_after_the_fen_are_made_first(network: Policy) -> None:
    assert "Black to move" in show_position(network, "4k3/8/8/8/8/8/4P3/4K3 w - - 0 1 moves e2e4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{MATE_IN_ONE} moves a1a8", "is checkmate"),
        ("7k/5Q2/6K1/8/8/8/8/8 b - - 0 1", "is stalemate"),
        ("8/8/8/8/8/8/8/8 w - - 0 1", "illegal position"),
    ],
)
def test_positions_without_a_move_say_why(network: Policy, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        show_position(network, text)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command that must be refused says."""
    with pytest.raises(SystemExit) as stopped:
        main(["play", *words])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_the_command_takes_a_fen_or_its_file_and_refuses_other_policies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "position.fen").write_text(MATE_IN_ONE + "\n")
    mouse = packaged()[0].name
    for what in (MATE_IN_ONE, str(tmp_path / "position.fen")):
        assert f"{mouse} is no chess network" in refused(capsys, what, "--policy", mouse)
    assert "neither a file nor a FEN" in refused(capsys, "8/8/8")


def test_a_mistake_in_the_fen_is_told_before_weights_that_are_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "illegal FEN" in refused(capsys, "7k/9/8/8/8/8/8/K7 w - - 0 1", "--policy", "maia-1900")
