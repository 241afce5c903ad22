"""The anomalies study on a changed mechanism that only the inside shows, on none, and on one that the input shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import goalscope
from goalscope.policies.checkpoint import Policy, load
from goalscope.policies.compact import Compact
from goalscope.studies.about import About, Outcome
from goalscope.studies.anomalies import measure
from goalscope.studies.anomalies.findings import separations, task_findings
from goalscope.studies.anomalies.measure import CEILING, SETS, SIMPLE, rewired, runs, scores, tasks
from goalscope.worlds.maze import Maze
from goalscope.worlds.maze.pillars import pillars

ABOUT = About("maze", 0, "test")


@pytest.fixture(scope="module")
def mouse() -> Compact:
    module = load("mouse-anywhere").module
    assert isinstance(module, Compact)
    return module


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return goalscope.study("anomalies", out=str(tmp_path_factory.mktemp("anomalies") / "run"), quick=True)


def by_id(outcome: Outcome) -> dict:
    return {f.id: f for f in outcome.findings}


def test_other_inner_channels_give_the_same_outputs_and_no_other_activation_after_them(mouse: Compact):
    state = Maze(13, None).generate(np.arange(20))
    one, other = runs(mouse, state), runs(rewired(mouse, 0), state)
    for site in ("stream", "hidden", "logits"):
        assert other[site] == pytest.approx(one[site], abs=1e-4)
    assert np.abs(other["inner"] - one["inner"]).max() > 0.1
    assert (other["input"] == one["input"]).all()


def test_equal_outputs_hide_a_mechanism_that_its_own_site_shows(outcome: Outcome):
    found = by_id(outcome)
    for name in ("mahalanobis_inner", "quantum_inner", "beatrix_inner", CEILING):
        assert found[f"detect.rewired.{name}"].low > 0.85, name
        assert found[f"detect.rewired.{name}"].standing == "supported", name
    for name in (*SIMPLE, "mahalanobis_stream", "mahalanobis_hidden"):
        assert found[f"detect.rewired.{name}"].low < 0.55, name
        assert found[f"detect.rewired.{name}"].standing != "supported", name


def test_a_trigger_that_the_eye_can_see_credits_no_detector(outcome: Outcome):
    found = by_id(outcome)
    assert found["detect.backdoor.input_distance"].low > 0.9
    assert found["detect.backdoor.mahalanobis_stream"].low > 0.9
    assert found["detect.backdoor.mahalanobis_stream"].standing == "inconclusive"
    assert "not shown to be: the trigger of a sleeper" in outcome.headline
    assert outcome.headline.startswith("A quick run")


def test_every_finding_is_declared_and_false_alarms_claim_to_lie_below(outcome: Outcome):
    assert len(outcome.findings) == len(by_id(outcome)) > 150
    for f in outcome.findings:
        assert f.role != "undeclared", f.id
        assert f.claim == ("below" if f.id.startswith("novelty.") else "above"), f.id
    assert {f.role for f in outcome.findings if f.id.startswith("novelty.")} == {"stress"}
    assert (outcome.folder / "report.html").exists() and (
        outcome.folder / "figures" / "headline.svg"
    ).exists()


def test_nothing_is_seen_where_nothing_was_changed(mouse: Compact, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measure, "rewired", lambda module, seed: module)
    task = tasks(mouse, None, 0, 2400, 0)["rewired"]()
    again = tasks(mouse, None, 0, 2400, 0)["rewired"]()
    assert all((task.sets[kind]["inner"] == again.sets[kind]["inner"]).all() for kind in SETS)
    found = scores(task, 0)
    assert all((x == found[name]).all() for name, x in scores(again, 0).items())
    made = separations(found, 0)
    for name, one in made["detect"].items():
        assert one.auroc.low < 0.55 and one.auroc.high > 0.45, name
    told = task_findings(Policy(mouse, "mouse", "", {}), "rewired", made, ABOUT)
    assert not [f.id for f in told if f.id.startswith("detect.") and f.standing == "supported"]


def test_an_online_detector_scores_only_what_it_has_not_seen(mouse: Compact):
    task = tasks(mouse, None, 0, 600, 0)["rewired"]()
    half = len(task.sets["usual"]["inner"]) // 2
    for kind in SETS:
        # Runs of the second half that are spoilt change no score of those before them, since they were never fitted on.
        assert (
            len(measure._online(task)[f"quantum_inner_online.{kind}"]) == len(task.sets[kind]["inner"]) - half
        )
    spoilt = {k: dict(found) for k, found in task.sets.items()}
    spoilt["usual"]["inner"] = task.sets["usual"]["inner"].copy()
    spoilt["usual"]["inner"][-1] *= 1000
    one, other = (
        measure._online(measure.Task(task.trusted, sets))["quantum_inner_online.usual"]
        for sets in (task.sets, spoilt)
    )
    assert (one[:-1] == other[:-1]).all() and one[-1] != other[-1]


def test_the_sets_are_what_they_are_called(mouse: Compact):
    trusted, sets = measure._small_and_large(mouse, 0, 300, 0)
    side = {k: (~s.walls.all(2)).sum(1) for k, s in sets.items()}
    assert (
        max(side["usual"].max(), side["strange"].max(), (~trusted.walls.all(2)).sum(1).max())
        <= measure.LARGEST
    )
    assert min(side["new"].min(), side["strange_new"].min()) > measure.LARGEST
    task = measure._backdoor(mouse, 0, 300, 0)
    walls = {k: found["input"][:, 0].astype(bool) for k, found in task.sets.items()}
    assert walls["strange"].sum() < walls["usual"].sum()
    plain = pillars(sets["strange"])
    assert not walls["strange"][plain].any() and walls["usual"][pillars(sets["usual"])].all()
    assert ((~walls["new"]) & pillars(sets["new"])).sum() == len(walls["new"])


def test_what_cannot_be_asked_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="mouse-planner is not of the compact network"):
        goalscope.study("anomalies", "mouse-planner", out=str(tmp_path / "run"))
    with pytest.raises(ValueError, match="--levels must be a whole number, at least 2400"):
        goalscope.study("anomalies", levels=100, out=str(tmp_path / "run"))
    assert not list(tmp_path.iterdir())
