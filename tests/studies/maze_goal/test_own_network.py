"""The study on networks that are nothing of ours: a plain module, a factory on the command line, Stable-Baselines3."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from goalscope.policies.handwritten import Handwritten
from goalscope.studies import study

SIZE = 9


class Seeker(nn.Module):
    """The shortest path to the cheese, as a module with nothing but a forward."""

    def __init__(self):
        super().__init__()
        self.rule = Handwritten("cheese", SIZE, temperature=0.05)

    def forward(self, x):
        return self.rule(x).logits


class Small(nn.Module):
    """Trained by nobody."""

    size = SIZE

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * SIZE * SIZE, 6)
        )

    def forward(self, x):
        out = self.body(x)
        return out[:, :5], out[:, 5]


def test_a_module_that_is_only_a_forward_is_studied(tmp_path: Path):
    torch.manual_seed(0)
    outcome = study("maze", Seeker(), size=SIZE, blank=Small(), levels=80, out=str(tmp_path / "run"))
    assert outcome.headline.startswith(
        "Seeker pursues the cheese; that the top-right corner draws it is not shown."
    )
    mine = {f.id: f for f in outcome.findings if f.policy == "Seeker"}
    assert mine["reach.overall"].estimate == pytest.approx(1, abs=1e-6)
    assert mine["reach.overall"].control_name == "untrained" and mine["reach.overall"].standing == "supported"
    assert not [i for i in mine if i.startswith("value.")], "it has no value head, so nothing is said of one"
    assert "the policy gives no value" in outcome.report.read_text(encoding="utf-8")


def test_an_untrained_module_of_ones_own_wants_nothing(tmp_path: Path):
    torch.manual_seed(1)
    outcome = study("maze", Small(), levels=80, out=str(tmp_path / "run"))
    assert outcome.headline.startswith("No goal was found in Small")


def test_where_no_policy_gives_a_value_nothing_is_drawn_of_one(tmp_path: Path):
    """On mazes of a size that no packaged agent sees: the policy and its own untrained network alone."""
    torch.manual_seed(0)
    mine = nn.Sequential(nn.Flatten(), nn.Linear(3 * 7 * 7, 5))
    outcome = study("maze", mine, size=7, levels=30, out=str(tmp_path / "run"))
    assert outcome.headline.startswith("No goal was found in Sequential")
    assert not (outcome.folder / "figures" / "value-agreement.svg").exists()


def test_what_is_missing_is_named(tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"does not say the side W of the mazes.*no attribute `size`\): give --size"
    ):
        study("maze", Seeker(), levels=5, out=str(tmp_path / "run"))
    with pytest.raises(ValueError, match="no untrained Seeker can be made: it has no parameters"):
        study("maze", Seeker(), size=SIZE, levels=5, out=str(tmp_path / "run"))
    with pytest.raises(ValueError, match="sees mazes of size 9, --size says 11"):
        study("maze", Small(), size=11, levels=5, out=str(tmp_path / "run"))


def test_a_model_of_stable_baselines3_is_studied_by_its_path(tmp_path: Path):
    sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra goalscope[sb3]")
    from goalscope.worlds.gym import WorldEnv
    from goalscope.worlds.maze import Maze

    model = sb3.PPO("MlpPolicy", WorldEnv(Maze(5, None)), n_steps=16, batch_size=16, seed=0, device="cpu")
    model.save(tmp_path / "agent.zip")
    outcome = study("maze", str(tmp_path / "agent.zip"), levels=12, out=str(tmp_path / "run"))
    found = {f.id: f for f in outcome.findings if f.policy == "agent"}
    assert "reach.overall" in found and "value.agreement.all" in found
    assert outcome.headline.startswith("No goal was found in agent")


def test_a_model_of_stable_baselines3_loaded_for_its_world_has_a_control(tmp_path: Path):
    sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra goalscope[sb3]")
    from goalscope.policies.given import fresh
    from goalscope.policies.sb3 import load_sb3
    from goalscope.worlds.gym import WorldEnv
    from goalscope.worlds.maze import Maze

    world = Maze(5, None)
    sb3.PPO("MlpPolicy", WorldEnv(world), n_steps=16, batch_size=16, device="cpu").save(
        tmp_path / "agent.zip"
    )
    policy = load_sb3(tmp_path / "agent.zip", world)
    blank = fresh(policy, 0)
    mine, theirs = (p.module.get_parameter("policy.action_net.weight") for p in (policy, blank))
    assert blank.name == "untrained" and mine.shape == theirs.shape and not torch.equal(mine, theirs)
