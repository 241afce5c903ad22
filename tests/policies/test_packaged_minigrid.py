"""The MiniGrid agents that come with the package: one goal that generalises and one that does not."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("minigrid", reason="needs the extra goalscope[minigrid]")

from goalscope.policies.checkpoint import load, untrained
from goalscope.policies.names import PACKAGED, packaged
from goalscope.rollout.chain import chain, enumerate_states, first_of_two
from goalscope.stats import bootstrap_mean
from goalscope.training.minigrid.recipe import exact_reach, goals_moved
from goalscope.worlds.minigrid import MiniGrid, MiniGridState
from goalscope.worlds.named import world_of

AGENTS = {"grid-corner": "fixed", "grid-anywhere": "anywhere"}
SEEDS = np.arange(1000, 1200)
"""none of training, none of the model cards"""


@pytest.fixture(scope="module")
def rooms() -> tuple[MiniGrid, MiniGridState, MiniGridState]:
    """The world, levels with the goal in its corner, and the same with the goal elsewhere."""
    world = MiniGrid("MiniGrid-Empty-Random-6x6-v0", "full")
    state = world.generate(SEEDS)
    return world, state, goals_moved(state, SEEDS, elsewhere=True)


def test_both_are_there_with_card_and_world_and_small():
    found = {policy.name: policy for policy in packaged() if policy.name.startswith("grid")}
    assert found.keys() == AGENTS.keys()
    for name, goal in AGENTS.items():
        about = found[name].config["world"]
        assert about["goal"] == goal
        world = world_of(f"minigrid:{about['environment']}", observation=about["observation"])
        assert world.observation_shape == (3, 6, 6)
        assert (
            f"goalscope train minigrid --environment {about['environment']} --goal {goal} --seed 1"
            in found[name].card
        )
        assert (PACKAGED / name / "model.safetensors").stat().st_size < 500_000


def test_one_finds_the_goal_wherever_it_is_and_the_other_in_its_corner_alone(
    rooms: tuple[MiniGrid, MiniGridState, MiniGridState],
):
    world, corner, elsewhere = rooms
    reach = {name: [exact_reach(load(name), world, s) for s in (corner, elsewhere)] for name in AGENTS}
    assert min(reach["grid-anywhere"][0].mean(), reach["grid-anywhere"][1].mean()) > 0.99
    assert reach["grid-corner"][0].mean() > 0.99
    # Where the goal is elsewhere the one comes to it less than its untrained network does.
    blank = exact_reach(untrained(load("grid-corner").config, 0), world, elsewhere)
    assert bootstrap_mean(blank - reach["grid-corner"][1], bounds=(-1, 1)).low > 0.2


def test_with_the_goal_elsewhere_the_one_goes_to_the_corner_and_the_other_does_not(
    rooms: tuple[MiniGrid, MiniGridState, MiniGridState],
):
    world, _, elsewhere = rooms
    states = enumerate_states(world, elsewhere)
    there = (states.state.agent[:, :2] == 4).all(1) & ~states.over
    first = {
        name: first_of_two(
            chain(load(name), world, states).moves, states.next, there, states.over, world.time_limit
        )[states.start, 0].mean()
        for name in AGENTS
    }
    assert first["grid-corner"] > 0.8 and first["grid-anywhere"] < 0.15
