"""What a finding says of its claim: five standings, roles declared before the run, quick runs kept apart."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from goalscope.evidence.finding import LATER, Finding, read_findings, write_findings
from goalscope.evidence.forecast import known_findings
from goalscope.evidence.rule import measured_of, parse
from goalscope.evidence.standing import NEAR_FLOOR, REASONS, could_differ, declared, standing
from goalscope.evidence.store import open_store


def made(identifier: str = "reach.overall", **changes: object) -> Finding:
    values = dict(
        id=identifier, question="P(cheese)", estimate=0.8, low=0.7, high=0.9, n=10, unit="probability", control=0.2,
        control_low=0.1, control_high=0.3, control_name="untrained", method="exact chain", site="behaviour",
        policy="mouse", policy_sha256="", world="maze", seed=0, code_version="0",
    )  # fmt: skip
    return Finding(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("interval", "control", "claim", "expected"),
    [
        ((0.7, 0.9), (0.1, 0.3), "above", "supported"),
        ((0.7, 0.9), (0.1, 0.3), "below", "contradicted"),
        ((0.7, 0.9), (0.1, 0.3), "apart", "supported"),
        ((0.1, 0.3), (0.7, 0.9), "above", "contradicted"),
        ((0.1, 0.3), (0.7, 0.9), "below", "supported"),
        ((0.1, 0.3), (0.7, 0.9), "apart", "supported"),
        ((0.1, 0.3), (0.3, 0.9), "above", "inconclusive"),
        ((0.3, 0.9), (0.1, 0.3), "above", "inconclusive"),
        ((0.2, 0.4), (0.3, 0.9), "apart", "inconclusive"),
        ((0.7, 0.9), (None, None), "above", "untested"),
        ((-math.inf, math.inf), (0.1, 0.3), "above", "untested"),
        ((0.7, 0.9), (-math.inf, math.inf), "above", "untested"),
        ((0.8, 0.8), (0.1, 0.3), "above", "untested"),
        ((0.7, 0.9), (0.2, 0.2), "above", "supported"),
    ],
)
def test_the_five_standings(interval, control, claim, expected):
    (low, high), (control_low, control_high) = interval, control
    assert standing(low, high, control_low, control_high, claim) == expected


@pytest.mark.parametrize("reason", REASONS)
def test_an_invalid_measurement_has_no_other_standing(reason: str):
    assert standing(0.7, 0.9, 0.1, 0.3, "above", reason) == "invalid"


def test_a_finding_stands_by_its_own_fields():
    assert made(claim="above").standing == "supported"
    assert made(claim="below").standing == "contradicted"
    assert made(control_low=None, control_high=None, control=0.75).standing == "inconclusive"
    assert made(control_low=None, control_high=None).standing == "supported"
    assert made(control=None, control_low=None, control_high=None).standing == "untested"
    assert made(invalid="few").standing == "invalid"


@pytest.mark.parametrize("field", ["role", "claim", "invalid"])
def test_a_word_that_is_none_of_the_known_is_refused(field: str):
    with pytest.raises(ValueError, match=f"{field} is 'main'; it is one of"):
        made(**{field: "main"})


def test_every_finding_of_the_shipped_studies_has_a_role_before_it_is_run():
    for pattern in known_findings():
        identifier = pattern.replace("[0-9]*", "1").replace("[0-9]", "1").replace("*", "x")
        assert declared(identifier).role != "undeclared", pattern
    assert declared("reach.cheese_pull") == ("primary", "above")
    assert declared("reach.corner.top_left").role == "stress"
    assert declared("reach.size.13").role == "alternative"
    assert declared("steer.cheese.minus_1").claim == "below"
    assert declared("decision.coef.steps_cheese_decision").claim == "apart"
    assert declared("cycles.generated.think_0").claim == "below", "a trained player walks in circles less"
    assert declared("probe.box.beside.window_7").role == "stress"
    assert declared("my.own") == ("undeclared", "apart")


def test_primary_findings_are_few_enough_to_read():
    for study in ("reach", "channels", "lookahead", "write"):
        ids = [
            i
            for i in known_findings()
            if i.startswith(study) and declared(i.replace("*", "x")).role == "primary"
        ]
        assert 1 <= len(ids) <= 8, (study, ids)


def test_a_file_from_before_roles_is_read(tmp_path: Path):
    write_findings(tmp_path / "findings.parquet", [made(role="primary", claim="above", quick=True)])
    table = pq.read_table(tmp_path / "findings.parquet").drop_columns(list(LATER))
    pq.write_table(table, tmp_path / "findings.parquet")
    (old,) = read_findings(tmp_path / "findings.parquet")
    assert (old.role, old.claim, old.invalid, old.quick) == ("undeclared", "apart", "", False)
    assert old.standing == "supported"


def test_an_invalid_finding_decides_no_rule():
    rule = parse("reach.overall > 0.5 or reach.other > 0.5")
    valid, invalid = measured_of(made()), measured_of(made(invalid="ceiling"))
    assert rule.answer({"reach.overall": valid, "reach.other": invalid}).verdict == "yes"
    answer = parse("reach.overall > 0.5").answer({"reach.overall": invalid})
    assert answer.verdict == "void" and "reach.overall is invalid: the largest effect" in answer.reason


def test_quick_runs_are_left_out_by_name(tmp_path: Path):
    for run, quick in (("quick", True), ("whole", False)):
        (tmp_path / "runs" / run).mkdir(parents=True)
        write_findings(tmp_path / "runs" / run / "findings.parquet", [made(quick=quick)])
    store = open_store(tmp_path / "runs", tmp_path / "cache")
    assert store.runs == ("quick", "whole") and len(store.table) == 2
    whole = store.whole()
    assert whole.runs == ("whole",) and whole.table["run"].to_pylist() == ["whole"]
    assert [Path(p.path).name for p in whole.problems] == ["quick"] and "a quick run" in whole.problems[
        0
    ].reason
    assert store.table["standing"].to_pylist() == ["supported", "supported"]


@pytest.mark.parametrize(
    ("interval", "control", "floor", "expected"),
    [
        (
            (0.7, 0.9),
            (0.19, 0.21),
            0.2,
            False,
        ),  # an untrained network's probe beside the most frequent label's
        ((0.7, 0.9), (0.3, 0.4), 0.2, True),
        ((0.7, 0.9), (0.0, 0.1), 0.2, True),  # below its floor is off it too
        ((-0.2, 0.2), (-0.001, 0.002), 0.0, False),  # 0.002 beside a null that 0.2 would not have turned
        ((-0.2, 0.2), (-0.1, 0.1), 0.0, False),
        (
            (0.7, 0.9),
            (0.15, 0.6),
            0.2,
            False,
        ),  # few levels: its interval holds the floor, so nothing is shown
        ((0.7, 0.9), (0.21, 0.22), 0.2, False),  # off it, by next to nothing
        ((-0.9, -0.7), (-0.05, 0.0), 0.0, False),
        ((0.7, 0.9), (0.19, 0.19), 0.19, False),
        ((0.7, 0.9), (0.19, 0.21), None, None),
        ((0.7, 0.9), (None, None), 0.2, None),
        ((0.7, 0.9), (-math.inf, math.inf), 0.2, None),
    ],
)
def test_a_control_at_its_floor_is_not_shown_to_be_able_to_come_out_otherwise(
    interval, control, floor, expected
):
    assert could_differ(interval[0], interval[1], control[0], control[1], floor) is expected


def test_a_finding_says_whether_its_control_could_have_come_out_otherwise(tmp_path: Path):
    assert made().control_could_differ is None
    assert made(floor=0.0).control_could_differ is True
    assert made(floor=0.2, control_low=0.19, control_high=0.21).control_could_differ is False
    assert made(floor=0.2, control_low=None, control_high=None).control_could_differ is False
    edge = NEAR_FLOOR * 0.9
    assert made(floor=0.0, control_low=edge - 1e-9).control_could_differ is False
    assert made(floor=0.0, control_low=edge + 1e-9).control_could_differ is True
    write_findings(tmp_path / "f.parquet", [made(floor=0.25), made("reach.other")])
    assert [f.floor for f in read_findings(tmp_path / "f.parquet")] == [0.25, None]
