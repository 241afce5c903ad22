"""Gymnasium environments as worlds: played by themselves, edited and enumerated by functions of the user's."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from goalscope import capture
from goalscope.rollout import NoExactChain, chain, enumerate_states, play
from goalscope.worlds.contract import check_world
from goalscope.worlds.foreign import Inside, from_gymnasium
from goalscope.worlds.named import world_of


class Corridor(gymnasium.Env):
    """Five squares; the agent starts on one of the first three and is paid at the last. DRAWS: it may slip."""

    DRAWS = False
    spec: Any = None
    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self):
        self.observation_space = spaces.Box(0, 4, (1,), np.float32)
        self.action_space = spaces.Discrete(2, start=1)
        self.at = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = int(self.np_random.integers(3))
        return np.array([self.at], np.float32), {}

    def step(self, action):
        if not self.DRAWS or self.np_random.random() < 0.5:
            self.at = min(max(self.at + (1 if action == 2 else -1), 0), 4)
        return np.array([self.at], np.float32), float(self.at == 4), self.at == 4, False, {}


class Slippery(Corridor):
    DRAWS = True


class Unseeded(Corridor):
    def step(self, action):
        obs, *rest = super().step(action)
        return obs + np.random.default_rng().random(1, np.float32) / 2, *rest


INSIDE = Inside(
    read=lambda env: env.unwrapped.at,
    write=lambda env, inner: setattr(env.unwrapped, "at", int(inner[0])),
    observe=lambda env: [env.unwrapped.at],
)


def policy(inputs: int, actions: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(inputs, 8), torch.nn.Tanh(), torch.nn.Linear(8, actions))


@pytest.mark.parametrize(("name", "steps"), [("CartPole-v1", 30), ("MountainCar-v0", 12), ("Acrobot-v1", 12)])
def test_classic_environments_keep_the_contract_and_are_played(name: str, steps: int):
    world: Any = world_of(f"gym:{name}")
    check_world(world, seeds=np.arange(3), steps=steps)
    module = policy(world.observation_shape[0], len(world.actions))
    rolled = play(module, world, world.generate([5, 6]), steps=steps, seed=1)
    env = gymnasium.make(name)
    for i, seed in enumerate((5, 6)):
        seen, paid = [env.reset(seed=seed)[0]], []
        for t in range(steps):
            obs, reward, over, _, _ = env.step(int(rolled.actions[t, i]))
            seen.append(obs)
            paid.append(reward)
            if over:
                break
        assert np.array_equal(world.path(rolled.final, i), np.array(seen))
        assert rolled.rewards[: len(paid), i].tolist() == paid and rolled.ended[len(paid) - 1, i] == over
    assert capture(module, torch.from_numpy(world.observe(rolled.final)), ["1"])["1"].shape == (2, 8)


def test_a_level_is_its_seed_and_the_actions_since():
    world: Any = world_of("gym:CartPole-v1")
    state = world.generate([3])
    for action in (0, 1, 1):
        state = world.step(state, np.array([action])).state
    assert world.text(state) == ["seed 3\nactions 0 1 1"]
    # Also where no environment stands at it any more, and from another world of the same kind.
    other: Any = world_of("gym:CartPole-v1")
    again = other.parse(world.text(state)[0])
    one, two = (w.step(s, np.array([0])).state for w, s in ((world, state), (other, again)))
    assert np.array_equal(one.observation, two.observation)
    branch = world.step(state, np.array([1])).state
    assert not np.array_equal(branch.observation, one.observation)
    assert np.array_equal(world.step(state, np.array([0])).state.observation, one.observation)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed x\nactions", "line 1: 'x' is no whole number"),
        ("seed 3\nactions 0 -1", "line 2: '-1' is no whole number"),
        ("seed 3", "line 1: 'seed NUMBER'"),
        ("seed 3\nactions 0 5", "action 5 is not one of 0 to 1"),
        ("seed 3\nactions " + "1 " * 20, "line 2: actions follow after the level is over"),
    ],
)
def test_texts_that_are_no_level_are_refused(text: str, words: str):
    with pytest.raises(ValueError, match=words):
        world_of("gym:CartPole-v1").parse(text)


def test_what_it_cannot_do_by_itself_is_said_by_name():
    world: Any = from_gymnasium(Corridor, time_limit=20)
    assert not hasattr(world, "move_agent")
    with pytest.raises(
        AttributeError, match=r"Corridor has no 'move_agent': .* from_gymnasium\(make, inside="
    ):
        world.move_agent(None, None)
    with pytest.raises(NoExactChain, match=r"Corridor: its states are histories.*no exact chain"):
        enumerate_states(world, world.generate([0]))
    with pytest.raises(ValueError, match="move_agent need states that can be edited: give `inside`"):
        from_gymnasium(Corridor, time_limit=20, abilities={"move_agent": print})
    state = world.generate([0])
    for _ in range(20):
        state = world.step(state, np.array([0])).state
    with pytest.raises(ValueError, match="level 0 has been played for 20 steps, the time limit"):
        world.step(state, np.array([0]))


def test_with_what_is_inside_there_are_edits_and_an_exact_chain():
    world: Any = from_gymnasium(
        Corridor,
        time_limit=20,
        inside=INSIDE,
        abilities={
            "agent": lambda world, state: np.concatenate([state.inner * 0, state.inner], 1).astype(int),
            "move_agent": lambda world, state, to: dataclasses.replace(state, inner=to[:, 1:].astype(float)),
        },
    )
    check_world_without_edits(world)
    start = world.generate([0])
    moved = world.move_agent(start, np.array([[0, 3]]))
    assert world.agent(moved).tolist() == [[0, 3]] and world.observe(moved).tolist() == [[3]]
    assert world.step(moved, np.array([1])).reward.tolist() == [1]
    states = enumerate_states(world, start)
    assert sorted(states.state.inner[:, 0]) == [0, 1, 2, 3, 4] and states.over.sum() == 1
    assert np.allclose(chain(policy(1, 2), world, states).moves.sum(1), 1)
    with pytest.raises(AttributeError, match="Corridor has no 'things': give from_gymnasium a function"):
        world.things(start)


def check_world_without_edits(world: Any) -> None:
    """Three levels are all that there are, so seeds 0, 1, 2 may be alike: the contract on those that are not."""
    world_alone: Any = from_gymnasium(Corridor, time_limit=20, inside=INSIDE)
    assert world_alone.name == world.name == "Corridor"
    check_world(world_alone, seeds=np.arange(4), steps=20)


def test_cart_poles_inside_is_its_state():
    def write(env: Any, inner: np.ndarray) -> None:
        env.unwrapped.state = inner

    def see(env: Any) -> Any:
        return env.unwrapped.state

    make = lambda: gymnasium.make("CartPole-v1")  # noqa: E731
    world: Any = from_gymnasium(make, inside=Inside(see, write, see))
    check_world(world, seeds=np.arange(2), steps=40)
    played: Any = from_gymnasium(make)
    state, other = world.generate([4]), played.generate([4])
    for action in (0, 1, 0, 0):
        state, other = (w.step(s, np.array([action])).state for w, s in ((world, state), (played, other)))
        assert np.array_equal(world.observe(state), played.observe(other))
    with pytest.raises(ValueError, match="line 2: 2 numbers, CartPole-v1 has 4 inside"):
        world.parse("over no\ninner 1.0 2.0")


class Bodied(Corridor):
    def __init__(self):
        super().__init__()
        self.action_space = spaces.Box(-1, 1, (1,))  # type: ignore[assignment]


class Told(Corridor):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Discrete(5)  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("make", "settings", "words"),
    [
        (Bodied, {}, "the actions of Bodied are continuous"),
        (Told, {}, "the observations of Told are no array"),
        (Corridor, {}, "Corridor states no time limit: give time_limit="),
        (Unseeded, {"time_limit": 9}, r"Unseeded draws what reset\(seed=...\) does not seed"),
        (Slippery, {"time_limit": 9, "inside": INSIDE}, "Slippery goes another way .* it draws at random"),
        (
            Corridor,
            {"time_limit": 9, "inside": dataclasses.replace(INSIDE, observe=lambda env: [0])},
            "inside.observe shows",
        ),
        (Corridor, {"time_limit": 9, "inside": INSIDE, "abilities": {"jump": print}}, "abilities are functions by the name"),
    ],
)  # fmt: skip
def test_environments_that_are_no_world_are_refused_by_name(make, settings: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        from_gymnasium(make, **settings)


def test_what_makes_no_environment_is_refused():
    with pytest.raises(TypeError, match=r"write lambda: gymnasium.make\(ID\)"):
        from_gymnasium("CartPole-v1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a gymnasium\.Env is wanted, dict"):
        from_gymnasium(dict)
    with pytest.raises(
        ValueError, match="no Gymnasium environment is called 'CartPole-v9': did you mean CartPole-v1"
    ):
        world_of("gym:CartPole-v9")
    assert world_of("gym:CartPole-v1", time_limit=7).time_limit == 7


def test_a_world_that_draws_by_its_seed_is_played_and_has_no_chain():
    world: Any = from_gymnasium(Slippery, time_limit=50)
    check_world(world, seeds=np.arange(3), steps=10)
    first, second = (play(policy(1, 2), world, world.generate([1, 2]), 50, seed=0) for _ in range(2))
    assert np.array_equal(first.rewards, second.rewards) and first.rewards.sum() > 0
    with pytest.raises(ValueError, match="no exact chain"):
        enumerate_states(world, world.generate([0]))
