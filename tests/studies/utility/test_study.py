"""The utility study on policies whose utility is known, and on one that has none, in mazes and in a room of MiniGrid."""

from __future__ import annotations

import importlib.util
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import goalscope
from goalscope.evidence.forecast import known_findings
from goalscope.policies.handwritten import Handwritten
from goalscope.studies.about import Outcome
from goalscope.studies.utility import study as utility_study
from goalscope.worlds.maze import Maze


def run(policy: Any, folder: Path, world: Any = None, **options: Any) -> Outcome:
    return goalscope.study(
        "utility", policy, world=world or Maze(7, None), out=str(folder), **{"levels": 60, **options}
    )


def record(outcome: Outcome) -> dict:
    return json.loads((outcome.folder / "run.json").read_text())


class Wanders(nn.Module):
    """Has no preference."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, ...] to logits [N, 5]."""
        return x.new_zeros((len(x), 5)).float()


@pytest.fixture(scope="module")
def cheese(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(Handwritten("cheese", 7, 0.2), tmp_path_factory.mktemp("utility") / "cheese")


def test_who_walks_to_the_cheese_acts_for_one_utility_and_its_forms_are_named(cheese: Outcome) -> None:
    told = record(cheese)
    assert (told["verdict"], told["best"]) == ("one", "at the cheese")
    assert {"few steps", "near the cheese"} <= set(told["same"])
    assert cheese.headline.startswith(
        "Handwritten acts for one utility: 'at the cheese' (the same moves are best for"
    )
    found = {f.id: f for f in cheese.findings}
    assert found["left.unexplained"].estimate < 0.02 and found["gated.gain"].high < 0
    assert found["served.at_the_cheese"].low > 5 and found["served.at_the_top_left_corner"].high < 5
    assert found["irl.explains"].low > 1


def test_who_walks_to_the_corner_acts_for_the_corner_also_where_the_cheese_always_lies_in_it(
    tmp_path: Path,
) -> None:
    outcome = run(Handwritten("corner", 7, 0.2), tmp_path / "corner", Maze(7, 1))
    assert (record(outcome)["verdict"], record(outcome)["best"]) == ("one", "at the top-right corner")


def test_who_wanders_acts_for_none(tmp_path: Path) -> None:
    outcome = run(Wanders(), tmp_path / "wanders")
    assert record(outcome)["verdict"] == "none"
    assert (
        outcome.headline.startswith("Wanders acts for none of the utilities")
        and "uniform" in outcome.headline
    )


class Immovable(Maze):
    """Its cheese stays where it is."""

    move = remove = add = move_agent = property()  # type: ignore[assignment]


def test_two_gated_goals_are_several_and_a_cheese_that_never_leaves_its_corner_ties_with_it(
    tmp_path: Path,
) -> None:
    both = run(
        Handwritten("corner-then-cheese", 13, 0.2),
        tmp_path / "both",
        Immovable(13, 5),
        levels=90,
        first_level=1,
    )
    told = record(both)
    assert told["verdict"] == "several" and told["gated"][0] == "within 4 squares of the top-right corner"
    assert both.headline.startswith("Handwritten acts for several utilities, gated by")
    tie = run(Handwritten("cheese", 7, 0.2), tmp_path / "tie", Immovable(7, 1))
    assert record(tie)["verdict"] == "cannot tell"
    assert "cannot be told, these tie" in tie.headline and "top-right corner" in tie.headline


def test_every_finding_has_its_control_and_is_declared(cheese: Outcome) -> None:
    known = known_findings()
    for f in cheese.findings:
        assert any(fnmatchcase(f.id, pattern) for pattern in known), f.id
        assert f.role != "undeclared" and f.low <= f.estimate <= f.high and f.control is not None
    drawn = {entry["file"] for entry in json.loads((cheese.folder / "figures" / "index.json").read_text())}
    assert {"headline.svg", "explains.svg", "served.svg"} <= drawn
    assert "at the cheese" in cheese.report.read_text()


def test_in_a_room_of_minigrid_the_corner_is_told_from_the_goal(tmp_path: Path) -> None:
    pytest.importorskip("minigrid", reason="needs the extra goalscope[minigrid]")
    path = Path(__file__).parents[1] / "goals" / "walkers.py"
    spec = importlib.util.spec_from_file_location("walkers", path)
    assert spec is not None and spec.loader is not None
    walkers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(walkers)
    outcome = run(
        walkers.Walker("corner"), tmp_path / "room", "minigrid:MiniGrid-Empty-5x5-v0", observation="full"
    )
    told = record(outcome)
    assert told["verdict"] in ("one", "cannot tell"), "a route along the walls is no second goal"
    assert "at the bottom-right corner" in {told["best"], *told["tied"]}
    assert "at the green goal" not in {told["best"], *told["tied"]}


class Remembers(nn.Module):
    """Has a memory."""

    def initial_carry(self, count: int) -> Tensor:
        return torch.zeros(count, 1)

    def forward(self, x: Tensor, carry: Tensor) -> tuple:
        return x.new_zeros((len(x), 5)).float(), torch.zeros(len(x)), carry


def test_a_policy_with_a_memory_and_levels_that_are_too_few_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has a memory.*`goalscope study goals` samples its play instead"):
        run(Remembers(), tmp_path / "memory", blank=Remembers())
    with pytest.raises(ValueError, match=r"--levels must be a whole number, from 12"):
        run(Wanders(), tmp_path / "few", levels=3)
    with pytest.raises(ValueError, match=r"nothing bars the way to a corner.*give more levels"):
        run(Wanders(), tmp_path / "barred", Immovable(7, None), levels=14)


def test_a_killed_study_goes_on_and_gives_the_same_file(
    cheese: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, calls = utility_study.measure, []

    def killed(module: nn.Module, asked: Any) -> dict[str, np.ndarray]:
        calls.append(type(module).__name__)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(module, asked)

    monkeypatch.setattr(utility_study, "measure", killed)
    with pytest.raises(KeyboardInterrupt):
        run(Handwritten("cheese", 7, 0.2), tmp_path / "killed")
    again = run(Handwritten("cheese", 7, 0.2), tmp_path / "killed")
    assert calls == ["Handwritten", "Uniform", "Uniform"]
    files = [outcome.folder / "findings.parquet" for outcome in (cheese, again)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_quick_run_of_a_packaged_mouse_says_so(tmp_path: Path) -> None:
    outcome = run("mouse-anywhere", tmp_path / "mouse", "maze", quick=True, levels=40)
    told = record(outcome)
    assert outcome.headline.startswith("A quick run") and "at the cheese" in {told["best"], *told["tied"]}
    best = next(f for f in outcome.findings if f.id == "explains.best")
    assert best.control_name in ("untrained", "random walk") and best.low > (best.control_high or 0) + 0.5
