"""The recipe of the MiniGrid agents: where goals are put, what is measured exactly, and runs that go on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("minigrid", reason="needs the extra goalscope[minigrid]")

from goalscope.policies.checkpoint import load
from goalscope.policies.grid import Grid
from goalscope.training.minigrid import recipe
from goalscope.training.minigrid.recipe import (
    GoalAnywhere,
    exact_reach,
    goal_squares,
    goals_moved,
    train_minigrid,
)
from goalscope.training.ppo import PPO, train
from goalscope.training.saved_state import state_of, tensors_of
from goalscope.worlds.contract import check_world, take
from goalscope.worlds.minigrid import Action, MiniGrid

ROOM = "MiniGrid-Empty-Random-6x6-v0"


def test_goals_lie_anywhere_by_the_levels_seed():
    world, seeds = GoalAnywhere(ROOM, "full"), np.arange(400)
    state = world.generate(seeds)
    squares, counts = np.unique(goal_squares(state), axis=0, return_counts=True)
    assert len(squares) == 16 and squares.min() == 1 and squares.max() == 4
    assert counts.min() > 8 and counts.max() < 50
    assert (goal_squares(state) != state.agent[:, :2]).any(1).all()
    assert np.array_equal(goal_squares(world.generate(seeds[7:9])), goal_squares(take(state, slice(7, 9))))
    # All else is the package's.
    plain = MiniGrid(ROOM).generate(seeds)
    assert np.array_equal(state.agent, plain.agent) and (goal_squares(plain) == 4).all()


def test_elsewhere_is_never_where_the_goal_was():
    state = MiniGrid(ROOM).generate(np.arange(300))
    moved = goal_squares(goals_moved(state, np.arange(300), elsewhere=True))
    assert (moved != 4).any(1).all() and len(np.unique(moved, axis=0)) == 15


def test_it_is_a_world():
    check_world(GoalAnywhere(ROOM, "full"), range(20), steps=40)


class Forward(nn.Module):
    """Always goes forward."""

    def encode(self, observations: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(observations).float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full((len(x), 7), -50.0).index_fill_(1, torch.tensor([int(Action.FORWARD)]), 50.0)


def test_the_exact_chance_is_that_of_the_goal_straight_ahead():
    world, seeds = GoalAnywhere(ROOM), np.arange(200)
    state = world.generate(seeds)
    reach = exact_reach(Forward(), world, state)
    away = goal_squares(state) - state.agent[:, :2]
    ahead = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])[state.agent[:, 2]]
    straight = (np.sign(away) == ahead).all(1)
    assert 8 < straight.sum() < 100
    assert np.allclose(reach, straight)


def test_a_goal_that_can_be_lost_to_lava_counts_only_where_it_is_reached():
    world = MiniGrid("MiniGrid-LavaGapS5-v0")
    state = world.generate(np.arange(12))
    assert exact_reach(Forward(), world, state).max() < 1e-6


def test_the_words_of_a_level_are_kept_with_a_run():
    state = MiniGrid("MiniGrid-DoorKey-6x6-v0").generate(np.arange(3))
    kept = tensors_of(state)
    assert all(isinstance(tensor, torch.Tensor) for tensor in kept.values())
    again = state_of(take(state, slice(1)), kept)
    assert np.array_equal(again.mission, state.mission) and again.mission.dtype == state.mission.dtype
    assert np.array_equal(again.cells, state.cells) and len(set(state.mission.tolist())) >= 1


def run_of(tmp_path: Any, steps: int, kill: bool = False) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    policy, world = Grid(6, 4, 8), GoalAnywhere(ROOM, "full")
    if kill:
        plain, left = world.step, iter(range(40))
        world.step = lambda *a: (next(left), plain(*a))[1]  # type: ignore[method-assign]
    train(
        policy,
        world,
        tmp_path,
        PPO(steps=steps, levels=8, horizon=16),
        3,
        checkpoint_seconds=0,
        progress=False,
    )
    return policy.state_dict()


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path: Any):
    whole = run_of(tmp_path / "whole", 512)
    with pytest.raises(StopIteration):
        run_of(tmp_path / "parts", 512, kill=True)
    assert (tmp_path / "parts" / "state.pt").exists()
    resumed = run_of(tmp_path / "parts", 512)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "TEST_LEVELS", 12)
        patch.setattr(recipe, "PPO", lambda **s: PPO(**{**s, "levels": 8, "horizon": 16}))
        policy = train_minigrid(ROOM, "anywhere", 2, 128, "float32", str(folder))
    return SimpleNamespace(folder=policy, policy=load(policy))


def test_a_finished_run_is_a_policy_with_its_world_and_card(finished: Any):
    config, card = finished.policy.config, (finished.folder / "README.md").read_text()
    assert config["world"] == {
        "name": "minigrid", "environment": ROOM, "observation": "full", "goal": "anywhere",
    }  # fmt: skip
    command = f"train minigrid --environment {ROOM} --goal anywhere --seed 2 --steps 128 --precision float32"
    assert command in card and "## Curve" in card
    world = MiniGrid(ROOM, "full")
    mean = exact_reach(finished.policy, world, world.generate(np.arange(12))).mean()
    assert f"| where the environment puts it | {mean:.1%} [" in card


@pytest.mark.parametrize(
    ("environment", "goal", "steps", "message"),
    [
        (ROOM, "corner", 1, r"--goal must be fixed or anywhere, got 'corner'"),
        (ROOM, "fixed", 0, r"steps must be at least 1"),
        ("MiniGrid-Empty-6x7-v0", "fixed", 1, r"did you mean MiniGrid-Empty-"),
        ("MiniGrid-Unlock-v0", "fixed", 1, r"Unlock-v0 is 6 x 11 squares"),
        ("MiniGrid-Fetch-8x8-N3-v0", "fixed", 1, r"has 0 goal squares; this recipe needs one"),
    ],
)
def test_what_does_not_fit_is_refused(environment: str, goal: str, steps: int, message: str, tmp_path: Any):
    with pytest.raises(ValueError, match=message):
        train_minigrid(environment, goal, 1, steps, out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
