"""Any study by its name: what is not known is refused with what comes nearest."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from pathlib import Path

import numba
import pytest

from goalscope.policies.checkpoint import Policy
from goalscope.policies.handwritten import Handwritten
from goalscope.studies import study
from goalscope.studies.maze_goal import study as maze_goal_study
from goalscope.studies.maze_goal.measure.fields import study_levels
from goalscope.studies.maze_goal.study import Options
from goalscope.studies.maze_goal.study import study as maze_goal
from goalscope.studies.run import STUDIES, SUBJECT, compiling_said

CONFIG = {"architecture": {"name": "compact", "size": 7, "channels": 8, "blocks": 1}}


def test_a_study_by_its_name_is_the_study_with_its_options(tmp_path: Path) -> None:
    policy, lines = Policy(Handwritten("cheese", 7, 0.05), "rule-cheese", "", CONFIG), []
    mine = study("maze", policy, levels=4, seed=3, out=str(tmp_path / "a"), say=lines.append)
    other = maze_goal(Options(policy, levels=4, seed=3, out=str(tmp_path / "b")))
    assert mine.findings == other.findings and mine.headline == other.headline
    assert mine.folder == tmp_path / "a" and mine.report.is_file()
    assert "findings" in lines


def test_that_kernels_are_compiled_is_said_once_and_not_where_they_were_before() -> None:
    first, second = (numba.njit(lambda x, k=k: x + k) for k in (1, 2))
    lines: list[str] = []
    with compiling_said(lines.append):
        assert first(1) == 2 and second(1) == 3
    assert lines == ["compiling kernels, once after installation"]
    with compiling_said(lines.append):
        assert first(2) == 3
    assert len(lines) == 1
    assert numba.njit(lambda x: x)(1) == 1 and len(lines) == 1, "it listens after its end"


def test_a_study_listens_for_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, lines = Policy(Handwritten("cheese", 7, 0.05), "rule-cheese", "", CONFIG), []
    compiled = numba.njit(lambda x: x + 1)
    monkeypatch.setattr(maze_goal_study, "study_levels", lambda *given: compiled(1) and study_levels(*given))
    study("maze", policy, levels=2, out=str(tmp_path / "a"), say=lines.append)
    assert lines.count("compiling kernels, once after installation") == 1


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_the_option_for_its_policy(name: str) -> None:
    if name == "chess":
        pytest.importorskip("chess", reason="needs the extra goalscope[chess]")
    module = import_module(f"goalscope.studies.{STUDIES[name]}.study")
    assert SUBJECT.get(name, "policy") in {field.name for field in fields(module.Options)}


def test_every_folder_with_a_study_has_a_name() -> None:
    folders = Path(import_module("goalscope.studies").__path__[0]).glob("*/study.py")
    assert {path.parent.name for path in folders} == set(STUDIES.values())


def test_the_option_that_names_the_policy_is_no_second_way_to_give_one() -> None:
    with pytest.raises(TypeError, match="policy"):
        study("chess", "maia-1900", strong="maia-1500", puzzles="puzzles.csv")


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("mazes", {}, KeyError, "did you mean 'maze'.*there are maze, maze-internals, sokoban, chess"),
        ("go", {}, KeyError, "there is no study 'go'; there are"),
        ("maze", {"level": 3}, TypeError, "study 'maze' has no option 'level': did you mean 'levels'"),
        ("maze", {"levels": 0}, ValueError, "--levels must be a whole number, from 1"),
        ("maze", {"levels": 2.5}, ValueError, "--levels must be a whole number, .* got 2.5"),
        ("maze", {"seed": True}, ValueError, "--seed must be a whole number, .* got True"),
        ("sokoban", {"quik": True}, TypeError, "did you mean 'quick'"),
    ],
)
def test_what_is_not_known_is_refused(name: str, options: dict, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        study(name, **options)


def test_an_option_that_a_study_must_have_is_named() -> None:
    pytest.importorskip("chess", reason="needs the extra goalscope[chess]")
    with pytest.raises(TypeError, match="study 'chess' needs the option 'puzzles'"):
        study("chess", "maia-1900")
