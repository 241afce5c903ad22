"""Public agents of Stable-Baselines3 in the environments that they were trained in, read without running their pickles."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DATA = os.environ.get("GOALSCOPE_DATA")
if DATA is None:
    pytest.skip("GOALSCOPE_DATA is unset: it points at the shared data", allow_module_level=True)
pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")
gymnasium: Any = pytest.importorskip("gymnasium")

from goalscope.policies.checkpoint import Policy  # noqa: E402
from goalscope.policies.given import fresh, policy_of  # noqa: E402
from goalscope.policies.sb3 import load_sb3  # noqa: E402
from goalscope.rollout import play  # noqa: E402
from goalscope.studies import goal_study  # noqa: E402
from goalscope.worlds.foreign import from_gymnasium  # noqa: E402

AGENTS = Path(str(DATA)) / "agents" / "sb3"
EPISODES = 6


def played(policy: Policy, environment: str) -> np.ndarray:
    """Returns [EPISODES] with sampled actions."""
    world = from_gymnasium(lambda: gymnasium.make(environment))
    start = world.generate(np.arange(EPISODES))
    return play(policy, world, start, world.time_limit, seed=0).rewards.sum(0)


@pytest.mark.parametrize(
    ("name", "environment", "least", "untrained"),
    [
        ("ppo", "CartPole-v1", 500, 100),
        ("a2c", "CartPole-v1", 500, 100),
        ("dqn", "CartPole-v1", 500, 100),
        ("ppo", "Acrobot-v1", -90, -300),
        ("ppo", "MountainCar-v0", -125, -190),
    ],
)
def test_it_plays_as_its_trainers_say_and_its_untrained_network_does_not(
    name: str, environment: str, least: float, untrained: float
):
    path = AGENTS / f"{name}_{environment}.zip"
    policy = policy_of(path)
    # The spaces that the file states are the world's, by gym's largest number or gymnasium's infinity.
    assert load_sb3(path, from_gymnasium(lambda: gymnasium.make(environment))).sha256 == policy.sha256
    assert played(policy, environment).mean() >= least
    assert played(fresh(policy, 0), environment).mean() < untrained


def test_another_environment_is_refused_with_both_spaces():
    world = from_gymnasium(lambda: gymnasium.make("Acrobot-v1"))
    with pytest.raises(
        ValueError, match=r"observations Box float32 \[4\] from .*this world gives Box float32 \[6\]"
    ):
        load_sb3(AGENTS / "ppo_CartPole-v1.zip", world)
    narrow = from_gymnasium(
        lambda: gymnasium.wrappers.RescaleObservation(gymnasium.make("MountainCar-v0"), 0, 1)
    )
    with pytest.raises(
        ValueError,
        match=r"Box float32 \[2\] from -1\.2\.\.-0\.07 to 0\.07\.\.0\.6, this world gives .* from 0 to 1",
    ):
        load_sb3(AGENTS / "ppo_MountainCar-v0.zip", narrow)


def test_the_goals_study_refuses_another_environment_with_both_spaces_too(tmp_path: Path):
    pytest.importorskip("minigrid", reason="needs the extra goalscope[minigrid]")
    with pytest.raises(
        ValueError,
        match=r"was trained on observations Box float32 \[4\].*this world gives Box uint8 \[3, 7, 7\]",
    ):
        goal_study(
            str(AGENTS / "ppo_CartPole-v1.zip"), "minigrid:MiniGrid-Empty-5x5-v0", out=str(tmp_path / "run")
        )


def test_the_car_acts_on_other_numbers_without_its_statistics_and_that_is_said(tmp_path: Path):
    path = shutil.copy(AGENTS / "ppo_MountainCar-v0.zip", tmp_path)
    with pytest.raises(
        ValueError, match=r"trained behind VecNormalize, and no ppo_MountainCar-v0_vecnorm\.pkl"
    ):
        policy_of(path)
    assert played(load_sb3(path, statistics=False), "MountainCar-v0").max() == -200
