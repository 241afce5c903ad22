"""The control of value-policy agreement: random read-outs of the layer that gives the value, found by what it does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from goalscope.policies.checkpoint import Policy
from goalscope.policies.compact import Compact
from goalscope.policies.handwritten import Handwritten
from goalscope.rollout import fields
from goalscope.studies.about import About
from goalscope.studies.goals.findings import Controls, value_finding
from goalscope.studies.goals.measure import quantities
from goalscope.studies.goals.measure.solving import Case
from goalscope.studies.maze_goal.findings.value import agreement_findings
from goalscope.studies.maze_goal.measure.fields import Measured
from goalscope.studies.value_layer import PROBED, with_features
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze

SIZE = 9
NOISE = 24


class Planner(nn.Module):
    """Moves by the shortest path; its value is read from features of which one is the true value, where `true`."""

    size = SIZE

    def __init__(self, true: bool):
        super().__init__()
        self.rule = Handwritten("cheese", SIZE, temperature=0.05)
        self.noise = nn.Linear(3 * SIZE * SIZE, NOISE)
        self.reads = nn.Linear(NOISE + 1, 1)
        with torch.no_grad():
            self.noise.weight.normal_()
            if true:
                self.reads.weight.zero_()[0, 0] = 1

    def forward(self, x):
        out = self.rule(x)
        features = torch.cat([out.value[:, None], torch.tanh(self.noise(x.flatten(1).float()))], 1)
        return out.logits, self.reads(features)[:, 0]


def findings_of(module: nn.Module, levels: int = 40):
    world = Maze(SIZE, None)
    state = world.generate(np.arange(levels))
    base, features = with_features(
        module,
        lambda: fields(module, world, take(state, slice(PROBED))),
        lambda: fields(module, world, state),
    )
    nothing = np.empty(0)
    found = Measured("p", "0" * 64, base, base, {}, nothing, nothing, nothing, 10, {}, features)
    return {f.id: f for f in agreement_findings(found, About("maze", 0, "1"))}, base, features


def test_a_policy_that_follows_its_true_value_is_supported():
    torch.manual_seed(0)
    found, _, features = findings_of(Planner(true=True))
    assert features is not None and features.shape[1] == NOISE + 1
    everywhere = found["value.agreement.all"]
    assert everywhere.standing == "supported" and "read-outs" in everywhere.control_name


def test_untrained_networks_make_no_claim():
    claims = 0
    for seed in range(20):
        torch.manual_seed(seed)
        found, _, features = findings_of(Compact(SIZE), levels=12)
        assert features is not None
        claims += found["value.agreement.all"].standing == "supported"
    assert claims <= 2


def test_the_features_are_those_that_the_value_is_read_from_square_by_square():
    torch.manual_seed(0)
    module = Compact(SIZE)
    _, base, features = findings_of(module, levels=12)
    head = module.value_head
    again = features @ head.weight.detach().numpy()[0] + head.bias.detach().numpy()[0]
    assert again == pytest.approx(base.value, abs=1e-5)


class Squashed(Planner):
    """The value is no linear layer's."""

    def forward(self, x):
        logits, value = super().forward(x)
        return logits, torch.tanh(value)


def test_where_no_layer_gives_the_value_agreement_is_untested_and_says_why():
    torch.manual_seed(0)
    found, _, features = findings_of(Squashed(true=False))
    assert features is None
    everywhere = found["value.agreement.all"]
    assert everywhere.standing == "untested" and "no one linear layer" in everywhere.control_name


class Twice(Planner):
    """Two layers give the value, and read different things."""

    def __init__(self, true: bool):
        super().__init__(true)
        self.copy = nn.Linear(2, 1)
        with torch.no_grad():
            self.copy.weight[:] = torch.tensor([[1.0, 0.0]])
            self.copy.bias.zero_()

    def forward(self, x):
        logits, value = super().forward(x)
        return logits, self.copy(torch.stack([value, -value], 1))[:, 0]


def test_where_two_layers_give_the_value_neither_is_taken():
    torch.manual_seed(0)
    found, _, features = findings_of(Twice(true=True))
    assert features is None and found["value.agreement.all"].standing == "untested"


def in_the_goals_study(module: nn.Module, blank: nn.Module | None = None, levels: int = 12):
    """The finding of the goals study, over all states of the levels."""
    world = Maze(SIZE, None)
    base = Case(world, world.generate(np.arange(levels)), {}, 5000, world.time_limit, 0)
    assert base.states is not None
    answers = [quantities.valued(m, world, base.states) for m in (module, blank) if m is not None]
    controls = Controls({"untrained": answers[1]} if blank else {}, True)
    asked: Any = SimpleNamespace(base=base)
    return value_finding(Policy(module, "p", "", {}), answers[0], controls, asked, About("maze", 0, "1"))


def test_the_goals_study_holds_the_value_against_read_outs_too():
    torch.manual_seed(0)
    (found,) = in_the_goals_study(Planner(true=True))
    assert found.standing == "supported" and "read-outs" in found.control_name and found.estimate > 0.9
    claims = 0
    for seed in range(12):
        torch.manual_seed(seed)
        claims += in_the_goals_study(Compact(SIZE), levels=6)[0].standing == "supported"
    assert claims <= 2


def test_where_no_layer_gives_the_value_the_goals_study_holds_it_against_an_untrained_network():
    torch.manual_seed(0)
    (found,) = in_the_goals_study(Squashed(true=True), Squashed(true=False), levels=40)
    assert found.control_name.startswith("untrained") and found.standing == "supported"
    assert found.control is not None and found.control < 0.7
    (alone,) = in_the_goals_study(Squashed(true=True))
    assert alone.standing == "untested" and "no untrained network" in alone.control_name


def test_of_many_states_the_value_is_held_against_whole_levels(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    module = Planner(true=True)
    (whole,) = in_the_goals_study(module, levels=3)
    monkeypatch.setattr(quantities, "VALUE_STATES", 800)
    (part,) = in_the_goals_study(module, levels=40)
    assert whole.question.endswith("all states") and "the first " in part.question
    assert 10 < part.n < 40 and part.standing == "supported"


def test_a_policy_without_value_has_no_such_finding():
    class Bare(Planner):
        def forward(self, x):
            return super().forward(x)[0]

    assert in_the_goals_study(Bare(true=True)) == []
