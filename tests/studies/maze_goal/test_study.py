"""The study on policies whose goal is known, and on one that has none."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
import torch

from goalscope.evidence.finding import read_findings
from goalscope.evidence.forecast import known_findings
from goalscope.policies.checkpoint import Policy, untrained
from goalscope.policies.handwritten import Handwritten
from goalscope.studies.about import Outcome
from goalscope.studies.maze_goal import study as maze_goal
from goalscope.studies.maze_goal.study import Options, study
from goalscope.worlds.maze import Maze

SIZE = 9
CONFIG = {"architecture": {"name": "compact", "size": SIZE, "channels": 8, "blocks": 1}}


def by_rule(rule: str, temperature: float = 0.05) -> Policy:
    return Policy(Handwritten(rule, SIZE, temperature), f"rule-{rule}", "", CONFIG)


def run(policy: Policy, folder: Path, levels: int = 160) -> Outcome:
    return study(Options(policy=policy, levels=levels, out=str(folder)))


def mine(outcome: Outcome, policy: Policy) -> dict:
    return {f.id: f for f in outcome.findings if f.policy == policy.name}


@pytest.fixture(scope="module")
def cheese(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, dict]:
    policy = by_rule("cheese")
    outcome = run(policy, tmp_path_factory.mktemp("studies") / "cheese")
    return outcome, mine(outcome, policy)


def test_the_shortest_path_to_the_cheese_is_reported_as_what_it_is(cheese: tuple[Outcome, dict]) -> None:
    outcome, found = cheese
    assert found["reach.overall"].estimate == pytest.approx(1, abs=1e-6)
    assert found["reach.corner.top_left"].estimate == pytest.approx(1, abs=1e-6)
    assert found["decision.cheese_first"].estimate == pytest.approx(1, abs=1e-6)
    # An untrained network wanders: no number of it could have failed the claim.
    walk = next(f for f in outcome.findings if f.id == "reach.overall" and f.policy == "untrained")
    assert found["reach.overall"].floor == walk.control and walk.control_name == "uniform random walk"
    assert found["reach.overall"].control_could_differ is False and walk.control_could_differ is None
    assert outcome.headline.startswith(
        "rule-cheese pursues the cheese; that the top-right corner draws it is not shown."
    )
    for scope in ("small", "large"):
        scores = {k: f.estimate for k, f in found.items() if k.startswith(f"algorithm.{scope}.")}
        assert scores[f"algorithm.{scope}.cheese"] == max(scores.values()) or scores[
            f"algorithm.{scope}.cheese"
        ] == pytest.approx(max(scores.values()), abs=1e-2)
        assert scores[f"algorithm.{scope}.cheese"] > scores[f"algorithm.{scope}.corner"] + 0.1


def test_its_moves_agree_with_its_true_value(cheese: tuple[Outcome, dict]) -> None:
    _, found = cheese
    assert found["value.agreement.all"].estimate == 1
    assert found["value.agreement.decision"].estimate == 1
    everywhere = found["value.agreement.all"]
    assert everywhere.control is None and everywhere.standing == "untested", (
        "a rule has no layer of its value"
    )


def test_every_finding_has_interval_n_and_control_or_says_why_not(cheese: tuple[Outcome, dict]) -> None:
    outcome, _ = cheese
    assert len(outcome.findings) > 50
    for f in outcome.findings:
        assert f.low <= f.estimate <= f.high and f.n >= 1
        assert f.control is not None or f.control_name


def test_a_policy_that_heads_for_the_corner_is_not_taken_for_a_cheese_seeker(tmp_path: Path) -> None:
    policy = by_rule("corner")
    outcome = run(policy, tmp_path / "corner")
    found = mine(outcome, policy)
    assert found["reach.cheese_pull"].estimate == pytest.approx(0, abs=1e-6)
    assert found["reach.corner_instead"].estimate > 0.9
    assert outcome.headline.startswith(
        "rule-corner pursues the top-right corner; that the cheese draws it is not shown."
    )
    answers = " ".join(s["answer"] for s in json.loads((outcome.folder / "run.json").read_text())["sections"])
    assert "Not ruled out: it only heads for the corner and takes cheese on the way" in answers


def test_the_corner_and_then_the_cheese_is_both_goals(tmp_path: Path) -> None:
    outcome = run(by_rule("corner-then-cheese"), tmp_path / "both")
    assert outcome.headline.startswith(
        "rule-corner-then-cheese pursues both the cheese and the top-right corner."
    )


def test_wandering_is_no_goal(tmp_path: Path) -> None:
    """Moves at random, for long enough to come by everywhere: the third corner as often as the top-right one."""
    policy = by_rule("up-and-right", temperature=1e6)
    assert run(policy, tmp_path / "wander").headline.startswith("No goal was found in rule-up-and-right")


@pytest.mark.parametrize("first", [0, 1, 2, 5])
def test_one_level_is_enough_to_run(first: int, tmp_path: Path) -> None:
    outcome = study(Options(policy=by_rule("cheese"), first_level=first, levels=1, out=str(tmp_path / "one")))
    assert outcome.report.exists()


def test_a_policy_is_not_its_own_control(tmp_path: Path) -> None:
    policy = Policy(Handwritten("cheese", SIZE), "untrained", "", CONFIG)
    with pytest.raises(ValueError, match="its own control"):
        run(policy, tmp_path / "own")


def test_an_untrained_network_yields_no_goal(tmp_path: Path) -> None:
    blank = untrained(CONFIG, seed=7)
    policy = Policy(blank.module, "fresh", "", CONFIG)
    assert run(policy, tmp_path / "fresh").headline.startswith("No goal was found in fresh")


def test_too_few_levels_are_said_and_not_fitted(tmp_path: Path) -> None:
    outcome = run(by_rule("cheese"), tmp_path / "few", levels=3)
    assert not [f for f in outcome.findings if f.id.startswith(("decision.coef", "algorithm."))]
    assert "the regression needs 50" in (outcome.folder / "report.html").read_text()


def test_the_same_seed_gives_the_same_file_and_a_killed_study_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = by_rule("up-and-right", 0.5)
    whole = run(policy, tmp_path / "whole", levels=40)
    measured: list[str] = []
    measure = maze_goal.measure

    def killed(module: torch.nn.Module, *rest: object) -> dict[str, np.ndarray]:
        measured.append(type(module).__name__)
        if measured == ["Handwritten", "Compact"]:
            raise KeyboardInterrupt
        return measure(module, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(maze_goal, "measure", killed)
    with pytest.raises(KeyboardInterrupt):
        run(policy, tmp_path / "killed", levels=40)
    assert not (tmp_path / "killed").exists()
    resumed = run(policy, tmp_path / "killed", levels=40)
    assert measured == ["Handwritten", "Compact", "Compact"], "the finished stage was computed again"
    files = [outcome.folder / "findings.parquet" for outcome in (whole, resumed)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert len(read_findings(files[0])) == len(whole.findings)


def test_it_draws_itself_in_a_notebook(cheese: tuple[Outcome, dict]) -> None:
    drawn = cheese[0]._repr_html_()
    assert drawn.count("<svg") == 2 and "rule-cheese pursues the cheese" in drawn


def test_the_folder_holds_what_the_readme_says(cheese: tuple[Outcome, dict]) -> None:
    folder = cheese[0].folder
    assert {p.name for p in folder.iterdir()} == {"run.json", "findings.parquet", "figures", "report.html"}
    assert cheese[0].report.stat().st_size < 3_000_000
    assert len(list((folder / "figures").glob("*.svg"))) >= 8


def test_reach_of_a_sampled_rollout_agrees_with_the_exact_one() -> None:
    from goalscope.rollout import fields, play

    torch.manual_seed(0)
    policy = untrained(CONFIG, seed=1).module
    world = Maze(SIZE, None, time_limit=60)
    one = world.generate([3])
    exact = fields(policy, world, one).reach_from_start(60)[0]
    many = world.generate([3] * 4000)
    sampled = play(policy, world, many, 60, seed=0).ended[-1].mean()
    assert abs(sampled - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000)
    assert 0.05 < exact < 0.95


def test_every_finding_is_announced_and_every_figure_says_what_it_draws(cheese: tuple[Outcome, dict]) -> None:
    outcome, _ = cheese
    ids = {finding.id for finding in outcome.findings}
    known = known_findings()
    assert [i for i in ids if not any(fnmatchcase(i, pattern) for pattern in known)] == []
    index = json.loads((outcome.folder / "figures" / "index.json").read_text())
    drawn = {entry["file"].removesuffix(".svg"): entry["findings"] for entry in index}
    assert drawn["reach-size"] and drawn["pulls"]
    for figure, patterns in drawn.items():
        for pattern in patterns:
            assert any(fnmatchcase(i, pattern) for i in ids), (figure, pattern)
