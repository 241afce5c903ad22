"""MiniGrid agents that were trained with Stable-Baselines3 on the package's own environments play here as they do there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")
pytest.importorskip("minigrid", reason="needs the extra goalscope[minigrid]")

import gymnasium
import stable_baselines3
from minigrid import wrappers

from goalscope.policies.given import policy_of
from goalscope.policies.sb3 import load_sb3
from goalscope.rollout.chain import chain, enumerate_states
from goalscope.worlds.minigrid import MiniGrid

ROOM = "MiniGrid-Empty-Random-6x6-v0"
WRAPPERS = {
    "partial": wrappers.ImgObsWrapper,
    "flat": wrappers.FlatObsWrapper,
    "full": lambda env: wrappers.ImgObsWrapper(wrappers.FullyObsWrapper(env)),
}


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any, Any]]:
    """Observation -> file, model and environment of an agent with every weight disturbed."""
    made = {}
    for name, wrapper in WRAPPERS.items():
        env = wrapper(gymnasium.make(ROOM))
        model = stable_baselines3.PPO("MlpPolicy", env, n_steps=8, batch_size=8, seed=1, device="cpu")
        with torch.no_grad():
            for parameter in model.policy.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
        path = tmp_path_factory.mktemp("agents") / f"{name}.zip"
        model.save(path)
        made[name] = path, model, env
    return made


@pytest.mark.parametrize("name", WRAPPERS)
def test_it_does_here_what_it_does_in_the_package(agents: dict[str, tuple[Path, Any, Any]], name: str):
    path, model, env = agents[name]
    world = MiniGrid(ROOM, name)  # type: ignore[arg-type]
    policy = policy_of(path)
    assert load_sb3(path, world).sha256 == policy.sha256
    seeds = np.arange(12)
    states = enumerate_states(world, world.generate(seeds))
    moves = chain(policy, world, states).moves[states.start]
    for seed, mine in zip(seeds, moves, strict=True):
        with torch.no_grad():
            seen, _ = model.policy.obs_to_tensor(env.reset(seed=int(seed))[0])
            theirs = model.policy.get_distribution(seen).distribution.probs[0].numpy()
        assert np.allclose(mine, theirs, atol=1e-5)
    assert moves.std(0).max() > 0.01


def test_one_that_was_trained_on_another_view_is_refused_with_the_wrapper_that_fits(
    agents: dict[str, tuple[Path, Any, Any]],
):
    for trained, given, fits in (
        ("flat", "partial", r"observation='flat'\) \(FlatObsWrapper\) gives such"),
        ("full", "partial", r"observation='full'\) \(FullyObsWrapper\) gives such"),
        ("partial", "full", r"observation='partial'\) \(ImgObsWrapper\) gives such"),
    ):
        with pytest.raises(
            ValueError, match=rf"was trained on observations Box uint8 .*this world gives .*{fits}"
        ):
            load_sb3(agents[trained][0], MiniGrid(ROOM, given))  # type: ignore[arg-type]
