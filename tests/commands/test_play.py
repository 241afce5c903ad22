"""`goalscope play` of a Sokoban level: how a file is told to be one, bad levels, levels without solution, small ones."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from goalscope.commands import main as cli
from goalscope.policies.checkpoint import load
from goalscope.viewing import level as played_level
from goalscope.viewing import plan_reader as sokoban_reader
from goalscope.viewing import sokoban as sokoban_play
from goalscope.viewing.sokoban import Episode, play_level
from goalscope.worlds.contract import take
from goalscope.worlds.sokoban.text import level_text, parse_level, stack

GOOD = "######\n#@$ .#\n######\n"


@pytest.fixture(autouse=True)
def no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader of plans takes seconds to fit and changes no move."""
    monkeypatch.setattr(sokoban_reader, "plan_reader", lambda policy: None)


def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, *options: str) -> int:
    (tmp_path / "level.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["goalscope", "play", str(tmp_path / "level.txt"), *options])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
        sys.exit(0)
    return int(stopped.value.code or 0)


SMALL = ("--policy", "sokoban-small")
BAD = {
    "no player": ("#####\n# $.#\n#####", (), "the level at line 1 has no player"),
    "no player, a box on its goal": ("#####\n# * #\n#####", (), "the level at line 1 has no player"),
    "no box": ("#####\n#@  #\n#####", (), "the level at line 1 has no boxes"),
    "no box for a goal": ("#####\n#@ .#\n#####", (), "more goals than boxes"),
    "goals alone": ("######\n# .. #\n######", SMALL, "the level at line 1 has no player"),
    "goals alone, no policy": ("######\n#....#\n######", (), "the maze has 3 lines of 6 characters"),
    "first character of a row": ("#######\n#@ $. #\nx     #\n#######", (), "line 3, column 1: unknown character 'x'"),
    "a mouse's": (GOOD, ("--policy", "mouse-topright"), "mouse-topright is not a Sokoban policy"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "options", "said"), BAD.values(), ids=BAD.keys())
def test_a_bad_level_is_told_what_is_wrong_with_it_as_a_level(
    text, options, said, tmp_path, monkeypatch, capsys
):
    assert play(tmp_path, monkeypatch, text, *options) == 2
    out, err = capsys.readouterr()
    assert said in err and out == ""
    if "maze" not in said:
        assert "mouse on" not in err and "cheese on" not in err


@pytest.mark.parametrize("options", [(), SMALL, ("--policy", "mouse-topright")])
@pytest.mark.parametrize("text", ["", " \n\n", "\ufeff\n"])
def test_an_empty_file_is_of_no_world(text, options, tmp_path, monkeypatch, capsys):
    assert play(tmp_path, monkeypatch, text, *options) == 2
    err = capsys.readouterr().err
    assert err == f"error: {tmp_path / 'level.txt'} is empty: it must hold a maze, a Sokoban level or a FEN\n"


def test_a_maze_with_the_mouse_on_the_cheese_is_a_maze(tmp_path, monkeypatch, capsys):
    assert play(tmp_path, monkeypatch, "*..\n.#.\n...\n") == 0
    assert "P(reach the cheese" in capsys.readouterr().out


UNSOLVABLE = "######\n#@   #\n#  . #\n#$   #\n######\n"


def test_a_level_without_solution_is_said_to_have_none(tmp_path, monkeypatch, capsys):
    assert play(tmp_path, monkeypatch, UNSOLVABLE) == 2
    out, err = capsys.readouterr()
    assert "this level has no solution" in err and out == ""


HARD = "########\n# @  # #\n# .#   #\n#    $ #\n# .$#  #\n# #    #\n########\n"
"""without solution, which 109 positions show"""


@pytest.mark.parametrize("limit", ["SOLVER_NODES", "SOLVER_SQUARES"])
def test_where_the_search_is_given_up_nothing_is_said(limit, tmp_path, monkeypatch, capsys):
    assert play(tmp_path, monkeypatch, HARD) == 2
    assert "no solution" in capsys.readouterr().err
    monkeypatch.setattr(played_level, limit, 1)
    assert play(tmp_path, monkeypatch, HARD) == 0
    out, err = capsys.readouterr()
    assert "not solved within 120 moves" in out and err == ""


def test_a_solved_level_is_said_to_be(tmp_path, monkeypatch, capsys):
    assert play(tmp_path, monkeypatch, "######\n#@ * #\n######\n") == 0
    out = capsys.readouterr().out
    assert "the level is already solved" in out and "0 moves" not in out


@pytest.mark.parametrize(
    "text", [GOOD, "#####\n#   #\n#@$.#\n#   #\n#####\n", "#" * 10 + "\n#@$    . #\n" + "#" * 10]
)
def test_a_small_level_is_played_as_the_study_plays_it(text, tmp_path, monkeypatch):
    """In walls up to the policy's 8 x 8, which it sees; larger sides stay."""
    shown: list[Episode] = []
    monkeypatch.setattr(sokoban_play, "show_episode", shown.append)
    assert play(tmp_path, monkeypatch, text) == 0
    level = parse_level(text)
    padded = stack([level], (8, max(8, level.walls.shape[2])))
    expected = play_level(load("sokoban-small").module, padded)
    assert level_text(take(shown[0].states, 0)) == level_text(padded)
    assert np.array_equal(shown[0].chances, expected.chances) and shown[0].lurd == expected.lurd
