"""Public MiniGrid agents in the package's own levels: their numbers, how they play, and where the Empty agent goes."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from goalscope.policies.checkpoint import Policy, load, untrained
from goalscope.rollout import play
from goalscope.rollout.chain import States, chain, enumerate_states, first_of_two
from goalscope.stats import bootstrap_mean
from goalscope.worlds.minigrid import MiniGrid, package
from goalscope.worlds.minigrid.edits import move

DATA = os.environ.get("GOALSCOPE_DATA")
if DATA is None:
    pytest.skip("GOALSCOPE_DATA is unset: it points at the shared data", allow_module_level=True)
pytest.importorskip("minigrid", reason="needs the extra goalscope[minigrid]")

AGENTS = Path(str(DATA)) / "agents" / "minigrid"
WORLDS = {"DoorKey": "MiniGrid-DoorKey-5x5-v0", "Empty": "MiniGrid-Empty-5x5-v0"}
LEVELS = 50


@pytest.fixture(scope="module")
def agents() -> dict[str, Policy]:
    return {name: load(AGENTS / f"{name}.pt") for name in ("DoorKey", "Empty", "Playground")}


def test_the_numbers_are_those_of_its_layers_on_the_packages_own_images(agents: dict[str, Policy]):
    env = package.make("MiniGrid-Playground-v0")
    images = np.stack([env.reset(seed=seed)[0]["image"] for seed in range(8)])
    for name, policy in agents.items():
        w = torch.load(AGENTS / f"{name}.pt", weights_only=True, map_location="cpu")["model_state"]
        x = torch.from_numpy(images).float().permute(0, 3, 1, 2)
        x = functional.max_pool2d(
            functional.conv2d(x, w["image_conv.0.weight"], w["image_conv.0.bias"]).relu(), 2
        )
        for layer in (3, 5):
            x = functional.conv2d(x, w[f"image_conv.{layer}.weight"], w[f"image_conv.{layer}.bias"]).relu()
        x = x.flatten(1)
        heads = [
            functional.linear(x, w[f"{head}.0.weight"], w[f"{head}.0.bias"]).tanh() @ w[f"{head}.2.weight"].T
            + w[f"{head}.2.bias"]
            for head in ("actor", "critic")
        ]
        with torch.inference_mode():
            module: Any = policy.module
            out = module(module.encode(images.transpose(0, 3, 1, 2)))
        assert torch.allclose(out.logits, heads[0], atol=1e-4)
        assert torch.allclose(out.value, heads[1][:, 0], atol=1e-4)
        # Playground never pays, and its agent learned nothing: nearly the same move probabilities everywhere.
        assert (out.logits.std(0).max() > 0.1) == (name != "Playground")


@pytest.mark.parametrize("name", WORLDS)
def test_sampled_it_solves_all_of_fifty_levels_and_its_untrained_network_does_not(
    agents: dict[str, Policy], name: str
):
    world = MiniGrid(WORLDS[name])
    state = world.generate(np.arange(LEVELS))
    policy = agents[name]
    assert play(policy, world, state, world.time_limit, seed=0).rewards.sum(0).tolist() == [1.0] * LEVELS
    blank = untrained(policy.config, 0)
    assert play(blank, world, state, world.time_limit, seed=0).rewards.sum() < 0.8 * LEVELS


@pytest.fixture(scope="module")
def elsewhere() -> tuple[MiniGrid, States]:
    """Empty rooms of 8 x 8, the agent anywhere, the goal anywhere but in its corner, and all that can happen in them."""
    world, rng = MiniGrid("MiniGrid-Empty-8x8-v0"), np.random.default_rng(0)
    state = world.generate(np.arange(60))
    inside = np.array([(r, c) for r in range(1, 7) for c in range(1, 7) if (r, c) != (6, 6)])
    drawn = np.array([rng.permutation(inside)[:2] for _ in range(len(state))])
    agent = np.concatenate([drawn[:, 0], rng.integers(4, size=(len(state), 1))], 1).astype(np.int16)
    corner = np.full((len(state), 2), 6)
    return world, enumerate_states(world, move(dataclasses.replace(state, agent=agent), corner, drawn[:, 1]))


def calls(policy: Policy, world: MiniGrid, states: States, square: tuple[int, int]) -> np.ndarray:
    """[N] exact probability of a call at the square before the goal."""
    on = (states.state.agent[:, :2] == square).all(1) & ~states.over
    return first_of_two(chain(policy, world, states).moves, states.next, on, states.over, world.time_limit)[
        states.start, 0
    ]


def test_a_goal_that_was_only_ever_in_the_corner_is_found_wherever_it_is(
    agents: dict[str, Policy], elsewhere: tuple[MiniGrid, States]
):
    world, states = elsewhere
    reach = []
    for policy in (agents["Empty"], untrained(agents["Empty"].config, 0)):
        moves = chain(policy, world, states).moves
        never = np.zeros(len(states), bool)
        reach.append(first_of_two(moves, states.next, states.over, never, world.time_limit)[states.start, 0])
    trained, control = (bootstrap_mean(r, bounds=(0, 1)) for r in reach)
    assert trained.estimate > 0.99 and control.high < 0.6 < trained.low


def test_its_old_corner_draws_it_no_more_than_the_others(
    agents: dict[str, Policy], elsewhere: tuple[MiniGrid, States]
):
    """It sees what is before it, in which the four corners of a room without a goal are alike."""
    world, states = elsewhere
    start = states.state.agent[states.start, :2]
    goals = np.argwhere(states.state.cells[states.start, :, :, 0] == 8)[:, 1:]
    old = calls(agents["Empty"], world, states, (6, 6))
    for other in ((1, 6), (6, 1)):
        fair = (start != other).any(1) & (goals != other).any(1)
        more = (old - calls(agents["Empty"], world, states, other))[fair]
        assert bootstrap_mean(more, bounds=(-1, 1)).low < 0
