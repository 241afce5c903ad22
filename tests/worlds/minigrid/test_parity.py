"""Step by step as the package: rewards, ends, states and all views, under random actions and on ways that succeed."""

from __future__ import annotations

from typing import Any

import gymnasium
import minigrid.core.actions
import minigrid.wrappers
import numpy as np
import pytest

from goalscope.rollout import enumerate_states
from goalscope.worlds.minigrid import Action, MiniGrid, package
from goalscope.worlds.minigrid.views import OBSERVATIONS

ENVIRONMENTS = {
    # how often of what `compare` counts must be seen at least, so that a parity of nothing is none
    "MiniGrid-Empty-Random-6x6-v0": {"success": 5},
    "MiniGrid-DoorKey-6x6-v0": {"carried": 100},
    "MiniGrid-FourRooms-v0": {},
    "MiniGrid-SimpleCrossingS9N2-v0": {},
    "MiniGrid-LavaCrossingS9N2-v0": {"failure": 10},
    "MiniGrid-LavaGapS6-v0": {"failure": 10},
    "MiniGrid-DistShift1-v0": {"failure": 10},
    "MiniGrid-MultiRoom-N4-S5-v1": {"doors": 5},
    "MiniGrid-LockedRoom-v0": {"doors": 5},
    "MiniGrid-Unlock-v0": {"carried": 100},
    "MiniGrid-UnlockPickup-v0": {"carried": 100},
    "MiniGrid-BlockedUnlockPickup-v0": {"carried": 100},
    "MiniGrid-KeyCorridorS3R2-v0": {"carried": 20},
    "MiniGrid-ObstructedMaze-1Dlhb-v0": {"carried": 20},
    "MiniGrid-Playground-v0": {"carried": 50, "doors": 5},
    "MiniGrid-Fetch-8x8-N3-v0": {"success": 2, "failure": 5},
    "MiniGrid-GoToDoor-6x6-v0": {"success": 1, "failure": 10},
    "MiniGrid-GoToObject-6x6-N2-v0": {"success": 1, "failure": 10},
    "MiniGrid-PutNear-6x6-N2-v0": {"failure": 10},
    "MiniGrid-MemoryS7-v0": {"success": 5, "failure": 5},
    "MiniGrid-RedBlueDoors-6x6-v0": {"failure": 5, "doors": 5},
}
LEVELS, STEPS = 50, 32
OFTEN = [0.12, 0.12, 0.36, 0.14, 0.06, 0.18, 0.02]
"""of each action: those that do something happen more often than under a uniform draw"""
SELDOM = [0.2, 0.2, 0.46, 0.05, 0.02, 0.01, 0.06]
"""of each action where TOGGLE and DONE end the level"""


def compare(name: str, seeds: np.ndarray, actions: np.ndarray) -> dict[str, int]:
    """Plays actions [T, N] in both; counts what happened."""
    world, full = MiniGrid(name, "dict"), MiniGrid(name, "full")
    state = world.generate(seeds)
    states, outcomes = [state], []
    for chosen in actions:
        outcomes.append(world.step(states[-1], chosen))
        states.append(outcomes[-1].state)
    told, wholes = [world.observe(state) for state in states], [full.observe(state) for state in states]
    theirs: Any = gymnasium.make(name, disable_env_checker=True).unwrapped
    whole = minigrid.wrappers.FullyObsWrapper(theirs)
    seen = {"success": 0, "failure": 0, "carried": 0, "doors": 0}
    for n, seed in enumerate(seeds):
        obs, over = theirs.reset(seed=int(seed))[0], False
        for t in range(len(actions) + 1):
            assert np.array_equal(told[t]["image"][n], obs["image"].transpose(2, 0, 1)), (name, seed, t)
            assert told[t]["direction"][n] == obs["direction"], (name, seed, t)
            if over or t % 16 == 0 or t == len(actions):
                image = whole.observation({})["image"]
                assert np.array_equal(wholes[t][n], image.transpose(2, 0, 1)), (name, seed, t)
                assert told[t]["mission"][n].decode() == obs["mission"]
            if over or t == len(actions):
                break
            outcome = outcomes[t]
            obs, reward, over, _, _ = theirs.step(int(actions[t, n]))
            seen["doors"] += int((states[t + 1].cells[n] != states[t].cells[n])[:, :, 2].any())
            assert over == outcome.ended[n], (name, seed, t)
            discounted = outcome.reward[n] * (1 - 0.9 * (t + 1) / world.time_limit)
            assert np.isclose(reward, discounted), (name, seed, t)
            held = theirs.carrying.encode()[:2] if theirs.carrying else (0, 0)
            assert tuple(states[t + 1].carries[n, :2]) == held
            seen["success"] += bool(reward > 0)
            seen["failure"] += bool(over and reward == 0)
            seen["carried"] += bool(theirs.carrying)
        if not over:  # what boxes hold is in no view
            assert np.array_equal(package.read(theirs, world.rule).inside[0], states[-1].inside[n])
    return seen


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_step_is_that_of_the_package(name: str):
    """More than 1,000 levels of 21 environments together."""
    seeds = np.arange(LEVELS)
    actions = np.random.default_rng(0).choice(7, (STEPS, LEVELS), p=SELDOM if "GoTo" in name else OFTEN)
    seen = compare(name, seeds, actions)
    for what, least in ENVIRONMENTS[name].items():
        assert seen[what] >= least, seen


@pytest.mark.parametrize(
    "name",
    [
        "MiniGrid-Empty-Random-6x6-v0",
        "MiniGrid-DoorKey-5x5-v0",
        "MiniGrid-LavaCrossingS9N1-v0",
        "MiniGrid-MultiRoom-N2-S4-v0",
        "MiniGrid-Unlock-v0",
        "MiniGrid-KeyCorridorS3R1-v0",
        "MiniGrid-Fetch-5x5-N2-v0",
        "MiniGrid-GoToDoor-5x5-v0",
        "MiniGrid-PutNear-6x6-N2-v0",
        "MiniGrid-MemoryS7-v0",
        "MiniGrid-RedBlueDoors-6x6-v0",
    ],
)
def test_shortest_ways_succeed_in_the_package_too(name: str):
    world, seeds = MiniGrid(name), np.arange(3)
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


@pytest.mark.parametrize("kind", OBSERVATIONS)
@pytest.mark.parametrize(
    "name", ["MiniGrid-Playground-v0", "MiniGrid-LockedRoom-v0", "MiniGrid-Fetch-5x5-N2-v0"]
)
def test_all_that_is_seen_is_what_the_packages_wrapper_gives(name: str, kind: Any):
    world = MiniGrid(name, kind)
    state = world.generate([3])
    env: Any = gymnasium.make(name, disable_env_checker=True)
    if kind != "dict":
        env = getattr(minigrid.wrappers, OBSERVATIONS[kind] if kind != "partial" else "ImgObsWrapper")(env)
    if kind in ("full", "rgb", "rgb-partial"):
        env = minigrid.wrappers.ImgObsWrapper(env)
    theirs = env.reset(seed=3)[0]
    for action in [2, 2, 1, 2, 3, 2, 5, 2, 2, 0, 3, 2, 4, 5, 2, 2, 1, 3, 5, 2]:
        mine = world.observe(state)
        assert mine.shape == (1, *world.observation_shape)
        if kind == "dict":
            assert np.array_equal(mine["image"][0], theirs["image"].transpose(2, 0, 1))
            assert mine["direction"][0] == theirs["direction"]
            assert mine["mission"][0].decode() == theirs["mission"]
        else:
            assert mine.dtype == theirs.dtype == np.uint8
            assert np.array_equal(mine[0], theirs if kind == "flat" else theirs.transpose(2, 0, 1))
        outcome = world.step(state, np.array([action]))
        theirs, _, over, _, _ = env.step(action)
        state = outcome.state
        if over:
            break


def test_actions_are_numbered_as_in_the_package():
    theirs = {action.name: int(action) for action in minigrid.core.actions.Actions}
    assert {action.name.lower(): int(action) for action in Action} == theirs
