"""Runs of PPO as folders: killed, resumed, finished, snapshots, seeds and precision."""

from __future__ import annotations

import dataclasses
import re
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from goalscope.progress import heard
from goalscope.training import ppo
from goalscope.training.ppo import FIRST_TRAINING_SEED, PPO, placed, train
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze
from ppo_tasks import SMALL, Memory, Recall, compact, curve, same, weights

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


def test_a_run_knows_the_weights_that_it_began_with(tmp_path):
    for kept, given, refused in (
        ("a" * 64, "b" * 64, True),
        (None, "b" * 64, True),
        ("a" * 64, "a" * 64, False),
    ):
        folder = tmp_path / f"{kept}-{given}"[:70]
        train(compact(), Maze(5), folder, SMALL, 3, progress=False, start=kept)
        if not refused:
            train(compact(1), Maze(5), folder, SMALL, 3, progress=False, start=given)
            continue
        with pytest.raises(ValueError, match=r"other settings \(starting weights\): name another folder"):
            train(compact(1), Maze(5), folder, SMALL, 3, progress=False, start=given)


def test_a_state_that_does_not_say_what_it_began_with_goes_on(tmp_path):
    whole = compact()
    train(whole, Maze(5), tmp_path, SMALL, 3, progress=False)
    record = torch.load(tmp_path / "state.pt", weights_only=True)
    assert record.pop("start") is None
    torch.save(record, tmp_path / "state.pt")
    resumed = compact(1)
    train(resumed, Maze(5), tmp_path, SMALL, 3, progress=False, start="a" * 64)
    assert same(weights(resumed), weights(whole))


def test_a_folder_of_another_network_is_refused(tmp_path):
    train(Memory(), Recall(), tmp_path, SMALL, 3, progress=False)
    with pytest.raises(ValueError, match=r"other settings \(network\)"):
        train(compact(), Maze(5), tmp_path, SMALL, 3, progress=False)


def test_a_device_that_is_not_there_is_named(monkeypatch):
    with pytest.raises(ValueError, match="device 'warp' cannot be used"):
        placed(compact(), "warp")
    policy = compact()

    def to(device: str) -> nn.Module:
        raise AssertionError("Torch not compiled with CUDA enabled")  # as torch for CPUs says it

    monkeypatch.setattr(policy, "to", to)
    with pytest.raises(
        ValueError, match=r"device 'cuda' cannot be used \(Torch not compiled.*'cpu' always can"
    ):
        placed(policy, "cuda")
    assert placed(compact(), "cpu").training


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


def test_progress_is_counted_for_whoever_listens_and_nothing_is_printed(tmp_path, capsys):
    told = []
    with heard(lambda step: told.append((step.done, step.total))):
        train(compact(), Maze(5), tmp_path, dataclasses.replace(SMALL, steps=256), 0)
    assert told[0] == (0, 256) and told[-1] == (256, 256)
    assert tuple(capsys.readouterr()) == ("", "")


def test_ctrl_c_notes_how_many_steps_are_kept(tmp_path):
    def stop(step):
        if step.done:
            raise KeyboardInterrupt

    config = dataclasses.replace(SMALL, steps=512)
    with pytest.raises(KeyboardInterrupt) as stopped, heard(stop):
        train(compact(), Maze(5), tmp_path, config, 0, checkpoint_seconds=0.0)
    (note,) = stopped.value.__notes__
    assert re.search(r"keeps [1-9]\d* of 512 steps: the same command goes on from there", note)


def test_training_levels_are_not_those_of_studies():
    experience = ppo._Experience(Maze(5), compact(), SMALL, 0)
    assert experience.next_seed == FIRST_TRAINING_SEED + SMALL.levels
    first = Maze(5).generate([FIRST_TRAINING_SEED])
    assert np.array_equal(take(experience.state, 0).walls, first.walls)
