"""Finetuning: the rewards are what they say, a killed run goes on exactly, and what cannot be trained is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from goalscope.policies.checkpoint import load
from goalscope.training.maze import finetune as module
from goalscope.training.maze.finetune import REWARDS, Rewarded, brief, coin, finetune, finetuning_world
from goalscope.worlds.contract import check_world
from goalscope.worlds.maze import Maze, Move
from goalscope.worlds.maze.paths import maze_size


def at_the_cheese(world: Maze, count: int = 60):  # type: ignore[no-untyped-def]
    """Levels of size 3 in which one known move takes the cheese, and that move."""
    state = world.generate(np.arange(count))
    rewards = [world.step(state, np.full(count, int(move))).reward for move in Move]
    best = np.argmax(rewards, axis=0)
    near = np.max(rewards, axis=0) > 0
    return state, best, near


@pytest.mark.parametrize("reward", REWARDS)
def test_every_reward_is_a_world(reward: str) -> None:
    check_world(finetuning_world(reward, 9, 3), seeds=[1, 2, 3])


def test_the_reward_at_the_cheese_is_as_before_flipped_or_a_coin() -> None:
    plain = Maze(3, None)
    state, best, near = at_the_cheese(plain)
    assert near.sum() > 10
    for reward, factor in (("cheese", 1.0), ("flipped", -1.0)):
        world = finetuning_world(reward, 3, None)
        np.testing.assert_array_equal(
            world.step(state, best).reward[near], factor * plain.step(state, best).reward[near]
        )
        np.testing.assert_array_equal(world.step(state, best).ended, plain.step(state, best).ended)
    given = finetuning_world("random", 3, None).step(state, best).reward[near]
    assert set(np.sign(given)) == {1.0, -1.0}


def test_the_coin_is_fair_fixed_and_blind_to_the_cheese() -> None:
    world = Maze(13, None)
    state = world.generate(np.arange(2000))
    first = coin(state)
    assert abs(first.mean()) < 0.08  # 3.5 standard errors
    np.testing.assert_array_equal(first, coin(Maze(13, 5).generate(np.arange(2000))))
    sizes = (~state.walls).sum((1, 2))
    assert abs(np.corrcoef(first, sizes)[0, 1]) < 0.08


def test_a_finetuning_writes_a_policy_that_says_what_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TEST_LEVELS", 60)
    folder = finetune("mouse-corner", "flipped", steps=8192, out=str(tmp_path / "run"), precision="float32")
    trained, original = load(folder), load("mouse-corner")
    assert trained.config["training"]["from_sha256"] == original.sha256
    assert trained.config["training"]["reward"] == "flipped"
    assert trained.sha256 != original.sha256
    card = (folder / "README.md").read_text()
    assert "--policy mouse-corner --reward flipped --steps 8192 --seed 1 --precision float32" in card
    largest = int((maze_size(Maze(13, None).generate(np.arange(60))) == 13).sum())
    assert re.search(r"\| cheese anywhere \| [\d.]+% \[.*\] \| 60 \|", card)
    assert re.search(rf"\| cheese in the top-left corner, mazes of size 13 \| .* \| {largest} \|", card)


def test_the_packaged_finetunings_come_from_the_packaged_mouse() -> None:
    original = load("mouse-topright")
    for reward in REWARDS:
        config = load(f"mouse-topright-{reward}").config["training"]
        assert config["from_sha256"] == original.sha256
        assert config["reward"] == reward
        assert config["steps"] < original.config["training"]["steps"] / module.TENTH


def test_brief_finetuning_leaves_the_policy_as_it_was_and_is_repeatable(tmp_path: Path) -> None:
    policy = load("mouse-corner")
    before = {k: v.clone() for k, v in policy.module.state_dict().items()}
    world = Rewarded(Maze(13, None), lambda state: np.full(len(state.walls), -1.0))
    runs = [brief(policy, world, 4096, [2048, 4096], tmp_path / str(i), seed=3) for i in range(2)]
    assert all(torch.equal(before[k], v) for k, v in policy.module.state_dict().items())
    for mark in (2048, 4096):
        assert all(torch.equal(runs[0][mark][k], v) for k, v in runs[1][mark].items())
    assert not torch.equal(runs[0][2048]["policy_head.weight"], runs[0][4096]["policy_head.weight"])


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"reward": "gold"}, "--reward must be one of cheese, flipped, same, random, got 'gold'"),
        ({"steps": 500_000}, "less than a tenth of the 5,000,000 steps"),
        ({"steps": 0}, "--steps must be at least 1"),
        ({"precision": "int8"}, "--precision"),
    ],
)
def test_what_cannot_be_trained_is_refused(arguments: dict, words: str, tmp_path: Path) -> None:
    given = {"name": "mouse-topright", "reward": "cheese", "steps": 100, **arguments}
    with pytest.raises(ValueError, match=words):
        finetune(**given, out=str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()
