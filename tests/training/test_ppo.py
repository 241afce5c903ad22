"""PPO: its arithmetic by hand, what it learns, and that a killed run goes on as if nothing had happened."""

from __future__ import annotations

import csv
import dataclasses
import warnings
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from goalscope.policies import PolicyOutput
from goalscope.policies.compact import Compact
from goalscope.training import ppo
from goalscope.training.ppo import FIRST_TRAINING_SEED, PPO, advantages, train
from goalscope.worlds.contract import Step, check_world, take
from goalscope.worlds.maze import Maze, Move


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in the same order in every run, and no more of the machine than needed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# A world in which remembering is everything


class Say(IntEnum):
    ZERO = 0
    ONE = 1


@dataclass(frozen=True)
class Recalled:
    """N levels: a cue [N] int64 shown when the clock [N] int64 is 0; the answer counts two steps later."""

    cue: np.ndarray
    clock: np.ndarray


class Recall:
    """A cue is shown at first; whoever repeats it two steps later gets 1."""

    name, actions, time_limit, observation_shape = "recall", Say, 10, (3, 1, 1)

    def generate(self, seeds) -> Recalled:
        seeds = np.asarray(seeds)
        return Recalled((seeds * 2654435761 >> 7) % 2, np.zeros(len(seeds), np.int64))

    def step(self, state: Recalled, actions) -> Step[Recalled]:
        if np.shape(actions) != state.cue.shape or not np.isin(actions, (0, 1)).all():
            raise ValueError("actions are 0 or 1")
        clock = np.minimum(state.clock + 1, 3)
        right = (state.clock == 2) & (np.asarray(actions) == state.cue)
        return Step(Recalled(state.cue, clock), right.astype(np.float32), clock == 3)

    def observe(self, state: Recalled) -> np.ndarray:
        first, last = state.clock == 0, state.clock == 2
        planes = np.stack([first & (state.cue == 0), first & (state.cue == 1), last], 1)
        return planes.astype(np.uint8)[:, :, None, None]

    def text(self, state: Recalled) -> list[str]:
        return [f"{cue} {clock}" for cue, clock in zip(state.cue, state.clock, strict=True)]

    def parse(self, text: str) -> Recalled:
        return Recalled(*(np.array([int(x)]) for x in text.split()))


class Memory(nn.Module):
    """A gated recurrent unit between the observation and the heads; without memory where `forgets`."""

    def __init__(self, forgets: bool = False):
        super().__init__()
        self.cell = nn.GRUCell(3, 16)
        self.heads = nn.Linear(16, 3)
        self.forgets = forgets

    def encode(self, observations: np.ndarray) -> Tensor:
        return torch.from_numpy(observations).float().flatten(1)

    def initial_carry(self, n: int) -> tuple[Tensor, ...]:
        return (torch.zeros(n, 16),)

    def forward(self, x: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        hidden = self.cell(x, torch.zeros_like(carry[0]) if self.forgets else carry[0])
        out = self.heads(hidden)
        return out[:, :2], out[:, 2], (hidden,)


class Reflex(nn.Module):
    """The feed-forward counterpart."""

    def __init__(self):
        super().__init__()
        self.hidden, self.heads = nn.Linear(3, 32), nn.Linear(32, 3)

    def encode(self, observations: np.ndarray) -> Tensor:
        return torch.from_numpy(observations).float().flatten(1)

    def forward(self, x: Tensor) -> PolicyOutput:
        out = self.heads(self.hidden(x).relu())
        return PolicyOutput(out[:, :2], out[:, 2])


def curve(folder: Path) -> list[dict[str, str]]:
    with (folder / "curve.csv").open() as file:
        return list(csv.DictReader(file))


def weights(policy: nn.Module) -> list[Tensor]:
    return [x.clone() for x in policy.state_dict().values()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def compact(seed: int = 0) -> Compact:
    torch.manual_seed(seed)
    return Compact(5, channels=8, blocks=1)


SMALL = PPO(steps=2048, levels=16, horizon=16, epochs=2, minibatch=64)


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
    batch = experience.collect(torch.Generator().manual_seed(0))
    last = np.array([0, 0, 1, 0, 0, 1, 0], bool)
    assert np.array_equal(batch.ends, np.repeat(last[:, None], 3, 1))
    assert batch.rewards == pytest.approx(np.where(batch.ends, 0.9 * 2, 0))
    assert np.array_equal(batch.starts[:, 0], [1, 0, 0, 1, 0, 0, 1])
    assert batch.episodes == [(False, 3, 0.0)] * 6


def test_experience_is_what_the_world_does_and_ended_levels_are_replaced_in_place():
    world = Maze(3, None, time_limit=12)
    config = dataclasses.replace(SMALL, levels=5, horizon=40)
    torch.manual_seed(0)
    batch = ppo._Experience(world, Compact(3, 8, 1), config, seed=2).collect(torch.Generator().manual_seed(0))
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


# Stopping and going on


class Killed(Exception):
    """As good as a kill: nothing after it runs."""


def killed_after(world, batches: int, config: PPO):
    """`world`, but the step after that many batches never returns."""

    class Dying(type(world)):
        steps_left = batches * config.horizon + 3

        def step(self, state, actions):
            self.steps_left -= 1
            if self.steps_left < 0:
                raise Killed
            return super().step(state, actions)

    dying = Dying.__new__(Dying)
    dying.__dict__.update(world.__dict__)
    return dying


@pytest.mark.parametrize("kind", ["maze", "memory"])
@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1e9])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(kind, checkpoint_seconds, tmp_path):
    def fresh(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return compact(seed) if kind == "maze" else Memory()

    world = Maze(5, None, 20) if kind == "maze" else Recall()
    marks = [500, 1024, 2048]
    whole = fresh(0)
    train(whole, world, tmp_path / "whole", SMALL, 3, marks, progress=False)
    for batches in (2, 5):
        with pytest.raises(Killed):
            train(
                fresh(0), killed_after(world, batches, SMALL), tmp_path / "parts", SMALL, 3, marks,
                checkpoint_seconds, progress=False,
            )  # fmt: skip
        assert (tmp_path / "parts" / "state.pt").exists() == (checkpoint_seconds == 0)
    # Where a state was kept the weights come from it, whatever those of the new policy.
    resumed = fresh(1 if checkpoint_seconds == 0 else 0)
    train(resumed, world, tmp_path / "parts", SMALL, 3, marks, progress=False)
    assert same(weights(resumed), weights(whole))
    rows, expected = curve(tmp_path / "parts"), curve(tmp_path / "whole")
    for row in rows + expected:
        row.pop("seconds")
    assert rows == expected and len(rows) == 8
    for mark in marks:
        name = f"snapshots/step-{mark}.safetensors"
        assert same(
            [*load_file(tmp_path / "parts" / name).values()], [*load_file(tmp_path / "whole" / name).values()]
        )


def test_a_kill_between_curve_and_state_repeats_no_row(tmp_path, monkeypatch):
    world = Maze(5, None, 20)
    whole = compact()
    train(whole, world, tmp_path / "whole", SMALL, 3, progress=False)
    kept, calls = ppo._save, []

    def dies(*args):
        calls.append(1)
        if len(calls) == 4:
            raise Killed
        kept(*args)

    monkeypatch.setattr(ppo, "_save", dies)
    with pytest.raises(Killed):
        train(compact(), world, tmp_path / "parts", SMALL, 3, checkpoint_seconds=0, progress=False)
    assert len(curve(tmp_path / "parts")) == 4
    monkeypatch.undo()
    resumed = compact(1)
    train(resumed, world, tmp_path / "parts", SMALL, 3, progress=False)
    assert same(weights(resumed), weights(whole))
    assert [row["steps"] for row in curve(tmp_path / "parts")] == [str(256 * (i + 1)) for i in range(8)]


def test_a_finished_run_is_loaded_and_not_trained_again(tmp_path):
    first, second = compact(), compact(1)
    train(first, Maze(5), tmp_path, SMALL, 3, progress=False)
    before = (tmp_path / "curve.csv").read_bytes()
    train(second, Maze(5), tmp_path, SMALL, 3, progress=False)
    assert same(weights(first), weights(second)) and (tmp_path / "curve.csv").read_bytes() == before


def test_snapshots_are_the_weights_at_their_steps(tmp_path):
    policy = compact()
    start = weights(policy)
    train(policy, Maze(5), tmp_path, SMALL, 0, [1, 300, 2048, 9999], progress=False)
    assert sorted(p.name for p in (tmp_path / "snapshots").iterdir()) == [
        f"step-{mark}.safetensors" for mark in (1, 2048, 300)
    ]
    kept = {mark: load_file(tmp_path / "snapshots" / f"step-{mark}.safetensors") for mark in (1, 300, 2048)}
    at = {mark: [x[name] for name in policy.state_dict()] for mark, x in kept.items()}
    assert same(at[2048], weights(policy))
    assert not same(at[1], start) and not same(at[1], at[300]) and not same(at[300], at[2048])


@pytest.mark.parametrize(
    ("changed", "seed", "message"),
    [
        ({"discount": 0.5}, 3, r"other settings \(discount\)"),
        ({"levels": 8, "horizon": 32}, 3, r"other settings \(levels, horizon\)"),
        ({}, 4, r"other settings \(seed\)"),
    ],
)
def test_a_folder_holds_one_run(changed, seed, message, tmp_path):
    train(compact(), Maze(5), tmp_path, SMALL, 3, progress=False)
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    with pytest.raises(ValueError, match=message):
        train(compact(), Maze(5), tmp_path, dataclasses.replace(SMALL, **changed), seed, progress=False)
    assert before == {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}


# Corners


def test_the_seed_decides_the_run(tmp_path):
    runs = []
    for i, seed in enumerate((1, 1, 2)):
        runs.append(compact())
        train(runs[-1], Maze(5), tmp_path / str(i), SMALL, seed, progress=False)
    assert same(weights(runs[0]), weights(runs[1])) and not same(weights(runs[0]), weights(runs[2]))


def test_batches_without_a_finished_episode_and_minibatches_of_one(tmp_path):
    """9 steps in minibatches of 4 leave one over, whose standard deviation is none."""
    policy = compact()
    config = PPO(steps=9, levels=3, horizon=3, minibatch=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(policy, Maze(5, None, time_limit=100), tmp_path, config, 0, progress=False)
    assert all(torch.isfinite(x).all() for x in weights(policy))


def test_bfloat16_trains_weights_in_single_precision(tmp_path):
    policy = compact()
    start = weights(policy)
    train(
        policy,
        Maze(5),
        tmp_path,
        dataclasses.replace(SMALL, steps=256, precision="bfloat16"),
        0,
        progress=False,
    )
    assert all(x.dtype == torch.float32 and torch.isfinite(x).all() for x in weights(policy))
    assert not same(start, weights(policy))


def test_progress_goes_to_standard_error(tmp_path, capsys):
    train(compact(), Maze(5), tmp_path, dataclasses.replace(SMALL, steps=256), 0)
    written = capsys.readouterr()
    assert written.out == "" and "100%" in written.err


def test_training_levels_are_not_those_of_studies():
    experience = ppo._Experience(Maze(5), compact(), SMALL, 0)
    assert experience.next_seed == FIRST_TRAINING_SEED + SMALL.levels
    first = Maze(5).generate([FIRST_TRAINING_SEED])
    assert np.array_equal(take(experience.state, 0).walls, first.walls)
