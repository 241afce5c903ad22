"""Trained mice beside the policy: they could have come out as it did, which an untrained network could not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from goalscope.policies.checkpoint import Policy
from goalscope.stats import Estimate
from goalscope.studies.about import About
from goalscope.studies.maze_goal.findings.beside import TOLD, beside_findings, relation
from goalscope.studies.maze_goal.words import _beside_words

MINE: Any = Policy(None, "mine", "", {"world": {"name": "maze", "size": 13, "cheese_region": 5}})  # type: ignore[arg-type]


def mouse(region: int | None) -> Any:
    return SimpleNamespace(config={"world": {"name": "maze", "size": 13, "cheese_region": region}})


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (5, "trained alike with another seed"),
        (1, "trained for another goal, cheese always in the top-right square"),
        (None, "trained for another goal, cheese anywhere"),
    ],
)
def test_a_mouse_has_another_goal_or_another_seed(region: int | None, words: str) -> None:
    assert relation(MINE, mouse(region)) == words
    assert relation(SimpleNamespace(config={}), mouse(region)).startswith("trained with the cheese")  # type: ignore[arg-type]


def test_each_main_number_stands_beside_those_of_every_mouse_and_is_told_from_them() -> None:
    def told(value: float) -> dict[str, tuple[str, Estimate]]:
        return {f"reach.{k}": (f"{k}?", Estimate(value, value - 0.02, value + 0.02, 60)) for k in TOLD}

    others = {"mouse-corner": mouse(1), "mouse-topright-2": mouse(5)}
    answers = {"mine": told(0.7), "mouse-corner": told(0.1), "mouse-topright-2": told(0.68)}
    found = list(beside_findings(MINE, MINE, others, answers, told(0.0), About("maze", 0, "0")))
    assert len(found) == len(TOLD) * 2 and {f.policy for f in found} == {"mine"}
    table = {f.id: f for f in found}
    corner, twin = (table[f"reach.beside.{k}.cheese_pull"] for k in ("mouse_corner", "mouse_topright_2"))
    assert (corner.control, twin.control) == (0.1, 0.68) and corner.floor == 0.0
    assert (corner.standing, twin.standing) == ("supported", "inconclusive")
    assert corner.control_could_differ is twin.control_could_differ is True
    own = {"reach.cheese_pull": SimpleNamespace(
        control=0.05, control_name="untrained", floor=0.05, control_could_differ=False,
    )}  # fmt: skip
    said = _beside_words({**table, **own})  # type: ignore[dict-item]
    assert said.startswith(
        " The cheese's pull, controls that could have come out otherwise: mouse-corner, trained for"
    )
    assert (
        " pull, at the floor (5.0%), so that nothing shows that it could have failed the claim: untrained (5.0%)."
        in said
    )
