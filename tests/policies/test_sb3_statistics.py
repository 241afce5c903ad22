"""What VecNormalize put observations through: read from its pickle as numbers, and missed where it is missing."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")

import gymnasium
import stable_baselines3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from goalscope.policies.sb3 import load_sb3, read_statistics


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """An agent of CartPole behind VecNormalize, as its training leaves it: files, model, wrapper."""
    folder = tmp_path_factory.mktemp("agent")
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]), clip_obs=2.5)
    model = stable_baselines3.PPO(
        "MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=1, seed=0, device="cpu"
    )
    model.learn(64)
    model.save(folder / "agent.zip")
    env.save(str(folder / "agent_vecnorm.pkl"))
    return folder, model, env


def observed(count: int = 30) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, (count, 4)).astype(np.float32)


def logits(policy: Any, observations: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return policy.module(policy.module.encode(observations)).logits.log_softmax(1)


def test_the_agent_sees_what_it_was_trained_on(trained: tuple[Path, Any, Any]):
    folder, model, env = trained
    policy = load_sb3(folder / "agent.zip")
    seen = env.normalize_obs(observed())
    assert (np.abs(seen) == 2.5).any() and not np.allclose(seen, observed())
    with torch.no_grad():
        theirs = model.policy.get_distribution(model.policy.obs_to_tensor(seen)[0]).distribution.logits
    assert torch.allclose(logits(policy, observed()), theirs, atol=1e-6)
    raw = load_sb3(folder / "agent.zip", statistics=False)
    assert not torch.allclose(logits(raw, observed()), theirs, atol=1e-4)
    assert len(policy.config["statistics"]["sha256"]) == 64


def test_missing_statistics_are_said_and_can_be_done_without(trained: tuple[Path, Any, Any], tmp_path: Path):
    folder, _, _ = trained
    shutil.copy(folder / "agent.zip", tmp_path / "agent.zip")
    with pytest.raises(
        ValueError, match=r"trained behind VecNormalize, and no agent_vecnorm\.pkl.*other numbers"
    ):
        load_sb3(tmp_path / "agent.zip")
    raw = load_sb3(tmp_path / "agent.zip", statistics=False)
    whole = load_sb3(tmp_path / "agent.zip", statistics=folder / "agent_vecnorm.pkl")
    assert not torch.allclose(logits(raw, observed()), logits(whole, observed()))
    with pytest.raises(FileNotFoundError, match=r"no file .*other\.pkl"):
        load_sb3(tmp_path / "agent.zip", statistics=tmp_path / "other.pkl")


def test_a_wrapper_that_left_observations_alone_changes_nothing(tmp_path: Path):
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]), norm_obs=False)
    env.save(str(tmp_path / "rewards.pkl"))
    assert read_statistics(tmp_path / "rewards.pkl") is None


class Bomb:
    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_of_a_pickle_runs(tmp_path: Path, protocol: int):
    mark, path = tmp_path / "ran", tmp_path / "bomb.pkl"
    for thing in (Bomb(mark), {"obs_rms": Bomb(mark)}, [Bomb(mark), (1, 2.0, None, b"x", "y")]):
        path.write_bytes(pickle.dumps(thing, protocol))
        with pytest.raises(ValueError, match=r"bomb\.pkl (holds .* where VecNormalize is wanted|is damaged)"):
            read_statistics(path)
    assert not mark.exists()


def test_damaged_and_other_files_are_refused(trained: tuple[Path, Any, Any], tmp_path: Path):
    whole = (trained[0] / "agent_vecnorm.pkl").read_bytes()
    path = tmp_path / "cut.pkl"
    for kept in (0, 1, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match=r"cut\.pkl"):
            read_statistics(path)
    path.write_bytes(whole.replace(b"RunningMeanStd", b"RunningMeanSte"))
    with pytest.raises(ValueError, match=r"RunningMeanSte where RunningMeanStd is wanted"):
        read_statistics(path)
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(len(whole), size=3):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_statistics(path)
        except ValueError as error:
            assert "cut.pkl" in str(error)


def test_statistics_of_other_observations_are_refused(trained: tuple[Path, Any, Any], tmp_path: Path):
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("MountainCar-v0")]))
    env.save(str(tmp_path / "car.pkl"))
    with pytest.raises(ValueError, match=r"is of observations \[2\], .*agent\.zip takes \[4\]"):
        load_sb3(trained[0] / "agent.zip", statistics=tmp_path / "car.pkl")
