"""Step by step as the package: rewards, ends, states and both views, under random actions and on ways that succeed."""

from __future__ import annotations

from typing import Any

import gymnasium
import minigrid.core.actions
import minigrid.wrappers
import numpy as np
import pytest

from goalscope.rollout import enumerate_states
from goalscope.worlds.contract import take
from goalscope.worlds.minigrid import Action, MiniGrid, package

ENVIRONMENTS = [
    "MiniGrid-Empty-Random-6x6-v0",
    "MiniGrid-DoorKey-6x6-v0",
    "MiniGrid-FourRooms-v0",
    "MiniGrid-SimpleCrossingS9N2-v0",
    "MiniGrid-LavaCrossingS9N2-v0",
    "MiniGrid-LavaGapS6-v0",
    "MiniGrid-MultiRoom-N4-S5-v1",
    "MiniGrid-Unlock-v0",
    "MiniGrid-UnlockPickup-v0",
    "MiniGrid-BlockedUnlockPickup-v0",
    "MiniGrid-KeyCorridorS3R2-v0",
    "MiniGrid-Playground-v0",
]
LEVELS, STEPS = 100, 60
OFTEN = [0.12, 0.12, 0.36, 0.14, 0.06, 0.18, 0.02]
"""of each action: those that do something happen more often than under a uniform draw"""


def compare(name: str, seeds: np.ndarray, actions: np.ndarray) -> dict[str, int]:
    """Plays actions [T, N] in both; counts what happened, so that a parity of nothing is seen."""
    ours = {kind: MiniGrid(name, kind) for kind in ("partial", "full")}
    world = ours["partial"]
    start = world.generate(seeds)
    theirs: Any = gymnasium.make(name, disable_env_checker=True).unwrapped
    whole = minigrid.wrappers.FullyObsWrapper(theirs)
    seen = {"success": 0, "failure": 0, "carried": 0, "doors": 0}
    for n, seed in enumerate(seeds):
        image = theirs.reset(seed=int(seed))[0]["image"]
        state, over = take(start, n), False
        for t in range(len(actions) + 1):
            for kind, picture in (("partial", image), ("full", whole.observation({})["image"])):
                mine = ours[kind].observe(state)[0]
                assert np.array_equal(mine, picture.transpose(2, 0, 1)), (name, seed, t, kind)
            if over or t == len(actions):
                break
            outcome = world.step(state, actions[t, n : n + 1])
            obs, reward, over, _, _ = theirs.step(int(actions[t, n]))
            image = obs["image"]
            seen["doors"] += int((outcome.state.cells != state.cells)[0, :, :, 2].any())
            state = outcome.state
            assert over == outcome.ended[0], (name, seed, t)
            assert np.isclose(reward, outcome.reward[0] * (1 - 0.9 * (t + 1) / world.time_limit)), (
                name,
                seed,
                t,
            )
            held = theirs.carrying.encode()[:2] if theirs.carrying else (0, 0)
            assert tuple(state.carries[0, :2]) == held
            seen["success"] += bool(reward > 0)
            seen["failure"] += bool(over and reward == 0)
            seen["carried"] += bool(theirs.carrying)
        if not over:  # what boxes hold is in no view
            assert np.array_equal(package.read(theirs).inside, state.inside)
    return seen


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_step_is_that_of_the_package(name: str):
    seeds = np.arange(LEVELS)
    actions = np.random.default_rng(0).choice(7, (STEPS, LEVELS), p=OFTEN)
    seen = compare(name, seeds, actions)
    if "Lava" in name:
        assert seen["failure"] > 10
    if "Key" in name or "Unlock" in name or "Playground" in name:
        assert seen["carried"] > 10
    if "MultiRoom" in name or "Playground" in name:
        assert seen["doors"] > 5


@pytest.mark.parametrize(
    "name",
    [
        "MiniGrid-Empty-Random-6x6-v0",
        "MiniGrid-DoorKey-5x5-v0",
        "MiniGrid-LavaCrossingS9N1-v0",
        "MiniGrid-MultiRoom-N2-S4-v0",
        "MiniGrid-Unlock-v0",
        "MiniGrid-KeyCorridorS3R1-v0",
    ],
)
def test_shortest_ways_succeed_in_the_package_too(name: str):
    world, seeds = MiniGrid(name), np.arange(10)
    states = enumerate_states(world, world.generate(seeds), limit=60_000)
    far = np.where((states.reward > 0).any(1), 1.0, np.inf)
    while True:
        nearer = np.minimum(far, 1 + far[states.next].min(1))
        if np.array_equal(nearer, far):
            break
        far = nearer
    ways, at = [], states.start.copy()
    assert np.isfinite(far[at]).all()
    for _ in range(int(far[at].max())):
        paid = states.reward[at] > 0
        best = np.where(paid.any(1), paid.argmax(1), far[states.next[at]].argmin(1))
        ways.append(best)
        at = np.where(states.over[at], at, states.next[at, best])
    assert compare(name, seeds, np.array(ways))["success"] == len(seeds)


def test_actions_are_numbered_as_in_the_package():
    theirs = {action.name: int(action) for action in minigrid.core.actions.Actions}
    assert {action.name.lower(): int(action) for action in Action} == theirs
