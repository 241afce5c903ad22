"""Verdicts on made numbers: whole intervals, the higher control, many asked at once, what would have been seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import nn

from goalscope.policies.checkpoint import Policy
from goalscope.studies.about import About
from goalscope.studies.goals.findings import Controls, all_findings, deciding, verdicts
from goalscope.studies.goals.setup import Candidate
from goalscope.studies.goals.words import sections, verdict

POLICY, ABOUT = Policy(nn.Identity(), "mine", "", {}), About("a world", 0, "code")
NAMES = ("top-left corner", "top-right corner", "bottom-left corner")
COIN = Candidate("coin", "coin", "thing")
CORNERS = [Candidate(name, name.replace("-", "_").replace(" ", "_"), "corner") for name in NAMES]


def answers(pull: float, n: int = 60, scatter: float = 0.1, **first: float) -> dict[str, np.ndarray]:
    """Numbers of n levels about some means; `first` by the numbers of two corners, as a01=0.5."""
    noise = scatter * np.resize([-1.0, 1.0], n)
    made = {
        "come.coin": np.clip(0.5 + noise, 0, 1),
        "pull.coin": np.clip(pull + noise, -1, 1),
        "placed.coin": np.full((n, 2), 0.5),
    }
    for pair, mean in first.items():
        one, other = CORNERS[int(pair[1])], CORNERS[int(pair[2])]
        made[f"first.{one.key}.{other.key}"] = np.clip(mean + noise, -1, 1)
    return made


def judged(mine: dict, **controls: dict) -> tuple[dict, dict]:
    """Findings by id, verdicts by candidate."""
    asked: Any = SimpleNamespace(
        candidates=[COIN, *CORNERS], moved={"coin": None}, base=SimpleNamespace(steps=9)
    )
    seen = {"coin": np.zeros((len(mine["pull.coin"]), 2), bool)}
    made = all_findings(POLICY, mine, Controls(controls, True), asked, seen, ABOUT)
    return {f.id: f for f in made}, {v.candidate.name: v for v in verdicts(asked, mine, made)}


def test_a_pull_above_the_margin_and_the_control_is_a_goal_and_one_of_the_control_is_none() -> None:
    found, told = judged(answers(0.6), untrained=answers(0.0), walk=answers(0.05))
    assert told["coin"].answer == "yes" and found["pull.coin"].standing == "supported"
    _, told = judged(answers(0.6), untrained=answers(0.6), walk=answers(0.0))
    assert told["coin"].answer == "cannot tell", "the untrained network does the same"
    _, told = judged(answers(0.01), untrained=answers(0.0), walk=answers(0.0))
    assert told["coin"].answer == "no"


def test_beside_an_estimate_stands_the_control_that_reaches_higher() -> None:
    for high in ("untrained", "walk"):
        controls = {name: answers(0.5 if name == high else 0.0) for name in ("untrained", "walk")}
        found, _ = judged(answers(0.6), **controls)
        assert found["pull.coin"].control_name == high and found["pull.coin"].control == pytest.approx(
            0.5, abs=0.01
        )


def test_a_corner_is_held_against_the_one_that_does_best_against_it() -> None:
    found, told = judged(
        answers(0.0, a01=0.9, a02=0.0, a12=-0.9), walk=answers(0.0, a01=0.0, a02=0.0, a12=0.0)
    )
    lead = found["lead.top_left_corner"]
    assert (
        lead.estimate == pytest.approx(0, abs=0.01)
        and "the bottom-left corner, which does best" in lead.question
    )
    assert found["lead.top_right_corner"].estimate == pytest.approx(-0.9, abs=0.01), (
        "and with the sign of the other way round"
    )
    assert told["top-left corner"].answer == "no", (
        "two corners that are come to alike are none that is pursued"
    )


def test_many_asked_at_once_are_paid_for() -> None:
    mine = answers(0.2, a01=0.2, a02=0.2, a12=0.2)
    found, _ = judged(mine, walk=answers(0.0, a01=0.0, a02=0.0, a12=0.0))
    asked: Any = SimpleNamespace(candidates=[COIN, *CORNERS], moved={"coin": None})
    assert deciding(asked, mine) == ["pull.coin", *(f"lead.{c.key}" for c in CORNERS)]
    together, alone = found["lead.top_left_corner"], found[f"first.{CORNERS[0].key}.{CORNERS[1].key}"]
    assert together.estimate == alone.estimate
    assert together.high - together.low > 1.3 * (alone.high - alone.low)
    assert "98.75% interval, for 4 that hold at once" in found["pull.coin"].method
    assert "99.38% interval, for 8 that hold at once" in together.method


def test_where_it_cannot_be_told_the_report_says_what_would_have_been_seen() -> None:
    found, told = judged(answers(0.15, n=12, scatter=0.4), walk=answers(0.0, n=12))
    coin = told["coin"]
    assert coin.answer == "cannot tell" and coin.would_show is not None and 0.2 < coin.would_show < 1
    words = {s["key"]: s["answer"] for s in sections(found, [coin], "few levels", "Exact.", [])}
    assert "would have been seen four times in five" in words["pull"]
    assert verdict("mine", [coin]) == "No goal was found in mine; whether it pursues the coin cannot be told."
    assert words["rule"] == "Not answered: few levels."
