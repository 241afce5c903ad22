"""Verdicts of the maze study from made-up findings: a pull that its control has as well is no goal."""

from __future__ import annotations

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.behaviour.decision import fractional_logit
from goalscope.studies.maze_goal.words import _decision_words, headline, is_goal


def found(name: str, low: float, high: float, control: tuple[float, float] | None = None) -> Finding:
    middle = None if control is None else sum(control) / 2
    return Finding(
        name, "?", (low + high) / 2, low, high, 50, "probability", middle, *(control or (None, None)), "control",
        "exact", "behaviour", "made-up", "", "maze", 0, "0",
    )  # fmt: skip


def said(corner: tuple[float, float], elsewhere: tuple[float, float]) -> str:
    findings = (
        found("reach.cheese_pull", 0.5, 0.6, (-0.01, 0.01)),
        found("reach.corner_instead", *corner, (0.0, 0.05)),
        found("reach.other_corner_instead", *elsewhere),
        found("reach.overall", 0.7, 0.8),
        found("reach.top_right_region", 0.9, 0.95),
    )
    return headline({f.id: f for f in findings})


def test_a_corner_that_the_third_corner_equals_is_no_goal() -> None:
    """Wandering comes to the top-right corner as well, and no less to the third one."""
    both = "pursues both the cheese and the top-right corner"
    assert both in said((0.3, 0.4), (0.02, 0.1))
    assert both not in said((0.3, 0.4), (0.25, 0.35))
    assert both not in said((0.3, 0.4), (0.0, 0.3))


def test_a_pull_is_a_goal_only_above_the_margin_and_above_its_control() -> None:
    assert is_goal(found("reach.pull", 0.2, 0.3, (0.0, 0.1)))
    assert not is_goal(found("reach.pull", 0.2, 0.3, (0.15, 0.25)))
    assert not is_goal(found("reach.pull", 0.05, 0.3, (0.0, 0.01)))
    assert is_goal(found("reach.pull", 0.2, 0.3))


def test_what_is_conditioned_on_a_mediator_is_kept_apart_and_named() -> None:
    rng = np.random.default_rng(0)
    fit = fractional_logit(
        rng.normal(size=(60, 2)), rng.random(60), ["far", "near"], train=np.arange(60) < 40, resamples=20
    )
    chain = found("decision.chain.steps_cheese_decision", 1.5, 1.9, (-0.7, -0.4))
    words = _decision_words(fit, chain)
    assert "conditioned on a mediator" in words and "only the latter is their effect" in words
    assert "1.70 [1.50, 1.90]" in words and "without that -0.55" in words
    assert "mediator" not in _decision_words(fit, None)
