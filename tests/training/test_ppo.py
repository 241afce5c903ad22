"""PPO: its arithmetic by hand, and what it learns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput
from goalscope.policies.compact import Compact
from goalscope.training import ppo
from goalscope.training.ppo import FIRST_TRAINING_SEED, PPO, advantages, train
from goalscope.worlds.contract import check_world
from goalscope.worlds.maze import Maze, Move
from ppo_tasks import SMALL, Memory, Recall, Reflex, compact, curve

# Arithmetic


def test_advantages_by_hand():
    """One level, discount 1/2, lambda 1/2, the episode ends after the second of three steps."""
    rewards, values = np.array([[1.0], [2.0], [4.0]]), np.array([[8.0], [4.0], [2.0]])
    ends = np.array([[False], [True], [False]])
    # t=2: 4 + 0.5*6 - 2 = 5.  t=1: 2 - 4 = -2, nothing follows.  t=0: 1 + 0.5*4 - 8 = -5, and -2/4.
    found = advantages(rewards, values, ends, np.array([6.0]), 0.5, 0.5)
    assert found.tolist() == [[-5.5], [-2.0], [5.0]]


@pytest.mark.parametrize(("discount", "lam"), [(0.97, 0.95), (0.9, 0.0), (0.9, 1.0), (1.0, 1.0)])
def test_advantages_are_the_weighted_sum_of_temporal_differences(discount, lam):
    rng = np.random.default_rng(0)
    rewards, values, last = rng.normal(size=(20, 6)), rng.normal(size=(20, 6)), rng.normal(size=6)
    ends = rng.random((20, 6)) < 0.15
    found = advantages(rewards, values, ends, last, discount, lam)
    for n in range(6):
        following = [*values[1:, n], last[n]]
        for t in range(20):
            total, weight = 0.0, 1.0
            for k in range(t, 20):
                ahead = 0.0 if ends[k, n] else following[k]
                total += weight * (rewards[k, n] + discount * ahead - values[k, n])
                if ends[k, n]:
                    break
                weight *= discount * lam
            assert found[t, n] == pytest.approx(total)
    if lam == 1:  # then it is the discounted return less the value
        assert found[-1] + values[-1] == pytest.approx(rewards[-1] + discount * last * ~ends[-1])


class Constant(nn.Module):
    """Always stays, expects 2."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def encode(self, observations: np.ndarray) -> Tensor:
        return torch.from_numpy(observations).float()

    def forward(self, x: Tensor) -> PolicyOutput:
        logits = torch.full((len(x), 5), -100.0)
        logits[:, Move.STAY] = 0
        return PolicyOutput(logits, torch.full((len(x),), 2.0))


def test_a_level_out_of_time_carries_the_value_of_what_was_left():
    config = dataclasses.replace(SMALL, levels=3, horizon=7, discount=0.9)
    experience = ppo._Experience(Maze(5, time_limit=3), Constant(), config, 0)
    batch = experience.collect()
    last = np.array([0, 0, 1, 0, 0, 1, 0], bool)
    assert np.array_equal(batch.ends, np.repeat(last[:, None], 3, 1))
    assert batch.rewards == pytest.approx(np.where(batch.ends, 0.9 * 2, 0))
    assert np.array_equal(batch.starts[:, 0], [1, 0, 0, 1, 0, 0, 1])
    assert batch.episodes == [(False, 3, 0.0)] * 6


def test_experience_is_what_the_world_does_and_ended_levels_are_replaced_in_place():
    world = Maze(3, None, time_limit=12)
    config = dataclasses.replace(SMALL, levels=5, horizon=40)
    torch.manual_seed(0)
    experience = ppo._Experience(world, Compact(3, 8, 1), config, seed=2)
    experience.generator.manual_seed(0)
    batch = experience.collect()
    seeds = iter(range(3 * FIRST_TRAINING_SEED, 3 * FIRST_TRAINING_SEED + 1000))
    states = [world.generate([next(seeds)]) for _ in range(5)]
    age, won, late = [0] * 5, 0, 0
    for t in range(40):
        for i in range(5):
            assert np.array_equal(batch.observations[t, i], world.observe(states[i])[0])
            outcome = world.step(states[i], batch.actions[t, i : i + 1].numpy())
            age[i] += 1
            late_now = age[i] >= 12 and not outcome.ended[0]
            assert batch.ends[t, i] == (outcome.ended[0] or late_now)
            if not late_now:
                assert batch.rewards[t, i] == outcome.reward[0] * np.float32(0.1)
            won, late = won + int(outcome.ended[0]), late + int(late_now)
            states[i] = outcome.state
            if batch.ends[t, i]:
                states[i], age[i] = world.generate([next(seeds)]), 0
    assert won > 5 and late > 0 and len(batch.episodes) == won + late
    assert sum(episode[0] for episode in batch.episodes) == won


@pytest.mark.parametrize("make", [compact, Memory])
def test_before_the_first_update_the_policy_is_the_one_that_acted(make, tmp_path):
    """Ratio 1: the recurrent replay, with carries of the batch before and fresh ones within, is the same."""
    world = Recall() if make is Memory else Maze(5, None, 20)
    torch.manual_seed(0)
    config = PPO(steps=7 * 8 * 4, levels=8, horizon=7, epochs=1, minibatch=7 * 8)
    train(make(), world, tmp_path / "once", config, 0, progress=False)
    rows = curve(tmp_path / "once")
    assert len(rows) == 4
    for row in rows:
        assert abs(float(row["kl"])) < 1e-9 and float(row["clipped"]) == 0
    # Negative control: in a second pass over the batch the policy has moved.
    train(make(), world, tmp_path / "twice", dataclasses.replace(config, epochs=2), 0, progress=False)
    assert all(float(row["kl"]) > 1e-9 for row in curve(tmp_path / "twice"))


# Learning


def reached(policy: Compact, world: Maze, levels: int) -> float:
    """Share of unseen levels whose cheese is reached by sampled actions within the limit."""
    state = world.generate(range(levels))
    generator = torch.Generator().manual_seed(0)
    for _ in range(world.time_limit):
        with torch.inference_mode():
            probs = policy(policy.encode(world.observe(state))).logits.softmax(1)
        outcome = world.step(state, torch.multinomial(probs, 1, generator=generator)[:, 0].numpy())
        state = outcome.state
    return float(outcome.ended.mean())


def test_a_small_maze_is_learnt(tmp_path):
    world = Maze(5, 1, time_limit=16)
    policy = compact()
    before = reached(policy, world, 400)
    config = PPO(steps=30_720, levels=64, horizon=16, epochs=3, minibatch=256, learning_rate=5e-3)
    seconds = train(policy, world, tmp_path, config, 1, progress=False)
    after = reached(policy, world, 400)
    rows = curve(tmp_path)
    assert before < 0.2 and after > 0.65, (before, after)
    assert float(rows[-1]["success"]) > 0.65 and len(rows) == 30
    assert seconds > 0 and not policy.training


def test_the_memory_world_keeps_the_contract():
    check_world(Recall(), range(20))


def test_memory_is_learnt_by_a_recurrent_policy_and_by_no_other(tmp_path):
    config = PPO(
        steps=9216, levels=64, horizon=16, epochs=4, minibatch=256, learning_rate=1e-2, discount=0.9,
        reward_scale=1.0,
    )  # fmt: skip
    last = {}
    for name, make in (("memory", Memory), ("forgetful", lambda: Memory(forgets=True)), ("reflex", Reflex)):
        torch.manual_seed(0)
        train(make(), Recall(), tmp_path / name, config, 0, progress=False)
        last[name] = np.mean([float(row["reward"]) for row in curve(tmp_path / name)[-4:]])
    assert last["memory"] > 0.95
    # Chance is one half: with 340 episodes a batch, 0.6 is seven standard errors away.
    assert 0.4 < last["forgetful"] < 0.6 and 0.4 < last["reflex"] < 0.6
