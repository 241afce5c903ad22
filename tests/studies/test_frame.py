"""What every study does around its own question."""

from __future__ import annotations

import math
from importlib import import_module

import pytest
from torch import nn

from goalscope.evidence.finding import Finding
from goalscope.policies.checkpoint import Policy
from goalscope.stats import Estimate
from goalscope.studies.about import About, finding
from goalscope.studies.frame import check_number, command, control_of, given, provenance
from goalscope.studies.run import STUDIES
from goalscope.studies.words import alone, number, told

POLICY = Policy(nn.Identity(), "mine", "0" * 64, {})
ABOUT = About("a world", 5, "1.0")


def made(control: Estimate | None) -> Finding:
    return finding(
        "a.b", "how much?", Estimate(-0.0004, -0.2, 0.1, 9), control, "chance", "counted", POLICY, ABOUT
    )


def test_a_finding_says_where_it_comes_from() -> None:
    found = made(Estimate(0.1, 0.0, 0.2, 9))
    assert (found.policy, found.policy_sha256, found.world, found.seed) == ("mine", "0" * 64, "a world", 5)
    assert (found.control, found.control_low, found.control_high) == (0.1, 0.0, 0.2)


def test_a_control_without_an_interval_keeps_its_number_alone() -> None:
    found = made(Estimate(0.1, -math.inf, math.inf, 1))
    assert (found.control, found.control_low, found.control_high) == (0.1, None, None)


def test_a_number_never_is_a_negative_nothing() -> None:
    found = made(Estimate(0.1, 0.0, 0.2, 9))
    assert told(found) == "0.0% [-20.0%, 10.0%; chance: 10.0%]"
    assert alone(found, percent=False) == "0.00 [-0.20, 0.10]"
    assert told(made(None)) == "0.0% [-20.0%, 10.0%]"
    assert number(-0.006) == "-0.6%"


def test_the_command_names_what_was_asked_and_nothing_else() -> None:
    words = command("maze", policy=POLICY, distribution=None, quick=False, first_level=0, seed=5)
    assert words == "goalscope study maze --policy mine --first-level 0 --seed 5"
    assert command("sokoban", policy="small", quick=True) == "goalscope study sokoban --policy small --quick"


def test_what_is_repeated_is_said_once_for_each_and_a_module_by_its_class() -> None:
    words = command("sokoban", policy=nn.Identity(), site=("a", "b"), blank=None)
    assert words == "goalscope study sokoban --policy Identity --site a --site b"


def test_a_network_in_training_is_studied_as_it_acts_and_left_as_it_is() -> None:
    network = nn.Dropout(0.5)
    for taken in (given(network), control_of(POLICY, 0, blank=network)):
        assert not taken.module.training and taken.module is not network
    assert network.training and control_of(POLICY, 0, blank=network).name == "untrained"
    network.eval()
    assert given(network).module is network


def test_the_provenance_tells_two_runs_apart_by_every_option() -> None:
    one = provenance("maze", [POLICY], ABOUT, levels=3)
    assert one["policies"] == {"mine": "0" * 64} and one["levels"] == 3 and one["seed"] == 5
    assert one != provenance("maze", [POLICY], ABOUT, levels=4)


def test_the_least_and_the_last_number_are_taken_and_those_beyond_are_not() -> None:
    check_number("--levels", 1, 1, 4)
    check_number("--levels", 3, 1, 4)
    for value in (0, 4):
        with pytest.raises(ValueError, match=f"--levels must be a whole number, from 1 to 3, got {value}"):
            check_number("--levels", value, 1, 4)
    with pytest.raises(ValueError, match="--levels must be a whole number, at least 1, got 0"):
        check_number("--levels", 0, 1)


@pytest.mark.parametrize("name", STUDIES)
def test_no_study_takes_a_policy_that_is_named_as_its_own_control(name: str) -> None:
    blank = Policy(nn.Identity(), "untrained", "", {})
    with pytest.raises(ValueError, match="'untrained' would be taken for its own control"):
        given(blank)
    if name == "chess":
        pytest.importorskip("chess", reason="needs the extra goalscope[chess]")
        study = import_module("goalscope.studies.chess_lookahead.study")
        with pytest.raises(ValueError, match="'untrained' would be taken for its own control"):
            study._players(study.Options([], blank, POLICY))
        return
    study = import_module(f"goalscope.studies.{STUDIES[name]}.study")
    with pytest.raises(ValueError, match="'untrained' would be taken for its own control"):
        study.study(study.Options(blank))
