"""What the Sokoban study measures, apart from the study: labels, shortcut levels, differences."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from goalscope.policies.resnet import ResNet
from goalscope.studies.sokoban_plan.findings.solving import difference
from goalscope.studies.sokoban_plan.measure.play import NEVER, early_cycles, plan_labels, play
from goalscope.studies.sokoban_plan.measure.probes import random_labels
from goalscope.studies.sokoban_plan.measure.shortcuts import (
    NOTHING,
    agent_shortcuts,
    box_shortcuts,
    joined,
    symmetric,
)
from goalscope.worlds.sokoban import Sokoban
from goalscope.worlds.sokoban.solver import solve
from goalscope.worlds.sokoban.text import parse_level

_path = Path(__file__).with_name("sokoban_planner.py")
_spec = importlib.util.spec_from_file_location("sokoban_planner", _path)
assert _spec and _spec.loader
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)


def test_random_labels_stay_the_same_for_a_square_of_a_level() -> None:
    level, square = np.repeat(np.arange(50), 40), np.tile(np.arange(20), 100)
    y, train = np.random.default_rng(0).choice(5, 2000, p=[0.05, 0.05, 0.1, 0.2, 0.6]), level < 30
    drawn = random_labels(y, level, square, train, 3).reshape(50, 2, 20)
    assert (drawn[:, 0] == drawn[:, 1]).all() and len({row.tobytes() for row in drawn[:, 0]}) == 50
    shares = np.bincount(drawn[:, 0].ravel(), minlength=5) / 1000
    assert np.abs(shares - np.bincount(y[train], minlength=5) / train.sum()).max() < 0.05


def test_labels_are_what_the_episode_goes_on_to_do() -> None:
    state = parse_level("########\n#@ $ . #\n#      #\n########")
    world = Sokoban(4, 8)
    forced = np.array([[3], [2], [3], [3], [3]], np.int8)  # right, back, and then to the goal
    played = play(ResNet(1, 4, hidden=8).eval(), world, state, forced=forced, steps=5)
    agent, box = plan_labels(played, np.zeros(3, int), np.array([0, 1, 5]))
    assert played.solved.all() and early_cycles(played).all()
    assert agent[0, 1].tolist() == [4, 3, 2, 3, 4, 4, 4, 4] and agent[1, 1].tolist() == [
        4,
        3,
        2,
        3,
        4,
        4,
        4,
        4,
    ]
    assert box[0, 1].tolist() == [4, 4, 4, 3, 3, 4, 4, 4] and (agent[2] == NEVER).all()


@pytest.mark.parametrize("family", [agent_shortcuts, box_shortcuts])
def test_shortcut_levels_are_solvable_and_their_ways_lead_where_they_say(family) -> None:
    levels = symmetric(joined(made.first_shortcuts(family, 3)))
    assert len(levels) == 24
    for i in range(len(levels)):
        one = levels.take(np.array([i]))
        assert solve(one.states).moves > 0
        plan = one.plan[0]
        assert not (one.states.walls[0] & (plan != NOTHING)).any()
        assert one.long[0].sum() > one.short[0].sum() >= 1
        # The written directions, followed from the start, go over every square of the longer way.
        start = one.states.player[0] if family is agent_shortcuts else _box_on(one)
        at, been = tuple(map(int, start)), set()
        while plan[at] not in (NOTHING, NEVER) and at not in been:
            been.add(at)
            at = (at[0] + made.STEPS[plan[at]][0], at[1] + made.STEPS[plan[at]][1])
        assert {tuple(s) for s in np.argwhere(one.long[0]).tolist()} <= been
    plans = {plan.tobytes() for plan in levels.plan}
    assert len(plans) > 8


def _box_on(one) -> np.ndarray:
    return np.argwhere(one.states.boxes[0] & (one.plan[0] != NOTHING))[0]


def test_a_difference_without_flips_has_no_interval_of_nothing() -> None:
    same = np.ones(30, bool)
    estimate = difference(same, same, 0)
    assert estimate.estimate == 0 and estimate.low < -0.1 and estimate.high > 0.1
    one = same.copy()
    one[0] = False
    estimate = difference(same, one, 0)
    assert estimate.estimate == pytest.approx(1 / 30) and estimate.low <= 0 < estimate.high
