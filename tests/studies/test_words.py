"""How the studies say things together: headlines of a verdict and three lines, and what their controls could show."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from goalscope.evidence.finding import Finding
from goalscope.evidence.rule import measured_of
from goalscope.stats import Estimate
from goalscope.studies.about import About, Subject, finding
from goalscope.studies.words import alone, controls_said, headed, told


def made(name: str, control: float, floor: float | None) -> Finding:
    return Finding(
        "reach.overall", "?", 0.8, 0.7, 0.9, 10, "probability", control, control - 0.005, control + 0.005, name, "chain",
        "behaviour", "mouse", "", "maze", 0, "0", floor=floor,
    )  # fmt: skip


def test_a_headline_is_a_verdict_and_at_most_three_lines() -> None:
    assert headed("It wants.", "One.", "", "Two.") == "It wants.\n\nOne.\n\nTwo."
    with pytest.raises(ValueError, match="4 lines below its verdict, at most 3"):
        headed("It wants.", "1", "2", "3", "4")


def test_controls_at_their_floor_are_told_apart_from_those_that_could_have_failed_the_claim() -> None:
    said = controls_said(
        [made("untrained", 0.2, 0.2), made("the window", 0.6, 0.2), made("unknown", 0.3, None)]
    )
    assert said == (
        "Controls that could have come out otherwise: the window (60.0%). At the floor (20.0%), so that nothing shows that "
        "it could have failed the claim: untrained (20.0%)."
    )
    assert controls_said([made("unknown", 0.3, None)]) == ""
    of = controls_said([made("untrained", 0.2, 0.2), made("the window", 0.6, 0.2)], of="The pull")
    assert [line.partition(",")[0] for line in of.split(". ")] == ["The pull", "The pull"]


def test_a_number_without_an_interval_is_not_told_as_if_it_were_sure() -> None:
    """The weights of one network: no interval of it, none of its control, and no rule that takes either for certain."""
    network: Subject = SimpleNamespace(name="mouse", sha256="")  # type: ignore[assignment]
    one, other = Estimate.bare(0.25, 1), Estimate.bare(0.125, 1)
    assert not one.has_interval
    found = finding(
        "flipped.weights.stem", "?", one, other, "same", "norms", network, About("maze", 0, "0"), "ratio"
    )
    assert (found.control, found.control_low, found.control_high) == (0.125, None, None)
    assert found.standing == "untested"
    assert (
        alone(found, False) == "0.25 [no interval]" and told(found, False) == "0.25 [no interval; same: 0.12]"
    )
    assert measured_of(found).value.low == -math.inf and measured_of(found).control is None
