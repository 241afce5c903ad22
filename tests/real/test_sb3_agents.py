"""Public agents of Stable-Baselines3 in the environments that they were trained in, read without running their pickles."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

DATA = os.environ.get("GOALSCOPE_DATA")
if DATA is None:
    pytest.skip("GOALSCOPE_DATA is unset: it points at the shared data", allow_module_level=True)
pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")
gymnasium: Any = pytest.importorskip("gymnasium")

from goalscope.policies.checkpoint import Policy  # noqa: E402
from goalscope.policies.given import fresh, policy_of  # noqa: E402
from goalscope.policies.sb3 import load_sb3  # noqa: E402

AGENTS = Path(str(DATA)) / "agents" / "sb3"
EPISODES = 6


def played(policy: Policy, environment: str) -> np.ndarray:
    """Returns [EPISODES] with the most probable actions."""
    envs = [gymnasium.make(environment) for _ in range(EPISODES)]
    seen, total, over = (
        [env.reset(seed=i)[0] for i, env in enumerate(envs)],
        np.zeros(EPISODES),
        np.zeros(EPISODES, bool),
    )
    module: Any = policy.module
    while not over.all():
        with torch.inference_mode():
            actions = module(module.encode(np.stack(seen))).logits.argmax(1).tolist()
        for i in np.flatnonzero(~over):
            seen[i], reward, ended, cut, _ = envs[i].step(actions[i])
            total[i] += reward
            over[i] = ended or cut
    return total


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
    policy = policy_of(AGENTS / f"{name}_{environment}.zip")
    assert played(policy, environment).mean() >= least
    assert played(fresh(policy, 0), environment).mean() < untrained


def test_the_car_acts_on_other_numbers_without_its_statistics_and_that_is_said(tmp_path: Path):
    path = shutil.copy(AGENTS / "ppo_MountainCar-v0.zip", tmp_path)
    with pytest.raises(
        ValueError, match=r"trained behind VecNormalize, and no ppo_MountainCar-v0_vecnorm\.pkl"
    ):
        policy_of(path)
    assert played(load_sb3(path, statistics=False), "MountainCar-v0").max() == -200
