"""Worlds as gymnasium environments: gymnasium's own checker, and its SyncVectorEnv as the oracle of ours."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from goalscope.worlds.gym import NO_SEED, WorldEnv, WorldVectorEnv
from goalscope.worlds.maze import Maze, Move, remove_cheese

TEXT = "..C\n.##\nM.."


@pytest.fixture
def registered():
    """A registered id: only then does gymnasium's checker try the render modes."""
    name = "goalscope-test/Maze-v0"
    gymnasium.register(name, lambda **keywords: WorldEnv(Maze(13, 5), **keywords))
    yield name
    del gymnasium.registry[name]


def test_gymnasium_accepts_the_environment(registered):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(registered, disable_env_checker=True).unwrapped)


def test_gymnasium_accepts_the_batch_through_its_own_wrappers():
    """gymnasium has no checker of vector environments; its passive wrappers read all that ours declares."""
    envs = gymnasium.wrappers.vector.RecordEpisodeStatistics(WorldVectorEnv(Maze(3, None, 30), 6))
    observations, _ = envs.reset(seed=1)
    rng = np.random.default_rng(0)
    lengths = []
    for _ in range(200):
        observations, _, ended, truncated, infos = envs.step(rng.integers(0, 5, 6))
        assert observations in envs.observation_space
        over = ended | truncated
        if over.any():
            lengths += list(infos["episode"]["l"][over])
            assert (infos["episode"]["r"][over] == np.where(ended[over], 10, 0)).all()
    assert max(lengths) <= 30 and len(lengths) > 20


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, tuple):
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    else:
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs)


@pytest.mark.parametrize(("size", "limit"), [(3, 200), (13, 7), (3, 1)])
def test_the_batch_is_the_same_as_gymnasiums_own_step_by_step(size, limit):
    world = Maze(size, None, limit)
    ours, theirs = WorldVectorEnv(world, 5), SyncVectorEnv([lambda: WorldEnv(world)] * 5)
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.single_action_space == theirs.single_action_space
    assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    rng = np.random.default_rng(0)
    ended, truncated = 0, 0
    for seed in (7, None, [3, None, 5, 3, 9]):
        assert_same(ours.reset(seed=seed), theirs.reset(seed=seed))
        for _ in range(80):
            actions = rng.integers(0, 5, 5)
            step = ours.step(actions)
            assert_same(step, theirs.step(actions))
            ended, truncated = ended + step[2].sum(), truncated + step[3].sum()
    assert truncated > 50 if limit < 100 else ended > 20, "no episode ended, so autoreset was not compared"


def test_a_level_of_the_batch_does_not_know_how_many_there_are():
    few, many = WorldVectorEnv(Maze(3, None, 9), 2), WorldVectorEnv(Maze(3, None, 9), 5)
    few.reset(seed=11)
    many.reset(seed=11)
    for _ in range(50):
        a, b = few.step(np.full(2, Move.UP)), many.step(np.full(5, Move.UP))
        assert all(np.array_equal(x, y[:2]) for x, y in zip(a[:4], b[:4], strict=True))


def test_the_seed_decides_the_levels_and_info_names_them():
    world = Maze(13, 5)
    env = WorldEnv(world)
    seen = []
    for _ in range(2):
        observation, info = env.reset(seed=5)
        seen.append([info["level_seed"]])
        for _ in range(4):
            assert np.array_equal(observation, world.observe(world.generate([info["level_seed"]]))[0])
            observation, info = env.reset()
            seen[-1].append(info["level_seed"])
    assert seen[0] == seen[1] and len(set(seen[0])) == 5
    assert env.reset(seed=6)[1]["level_seed"] not in seen[0]
    assert env.step(Move.STAY)[4] == {"level_seed": env.reset(seed=6)[1]["level_seed"]}


def test_an_episode_ends_on_the_cheese_or_is_truncated_at_the_limit():
    env = WorldEnv(Maze(3, None, 4), "ansi")
    env.reset(options={"text": TEXT})
    for move in (Move.UP, Move.UP, Move.RIGHT):
        assert env.step(move)[1:4] == (0.0, False, False)
    assert env.step(Move.RIGHT)[1:4] == (10.0, True, False)  # ended on the last step: not truncated
    assert env.render() == "..*\n.##\n..."
    env.reset(options={"text": TEXT})
    assert [env.step(Move.STAY)[2:4] for _ in range(4)] == [(False, False)] * 3 + [(False, True)]


def test_reset_starts_from_a_level_of_choice():
    world = Maze(3, None)
    state = world.parse(TEXT)
    for options in ({"text": TEXT}, {"state": state}):
        env = WorldEnv(world, "ansi")
        assert env.reset(options=options)[1] == {"level_seed": NO_SEED} and env.render() == TEXT
        envs = WorldVectorEnv(world, 3, "ansi")
        assert envs.reset(options=options)[1]["level_seed"].tolist() == [NO_SEED] * 3
        assert envs.render() == (TEXT,) * 3
    three = remove_cheese(world.generate([4, 5, 6]))
    envs.reset(options={"state": three})
    assert envs.render() == tuple(world.text(three))
    env.reset(options={"level_seed": 4})
    assert env.render() == world.text(world.generate([4]))[0]
    # The next level is drawn again.
    assert env.reset(options={})[1]["level_seed"] != NO_SEED


def test_states_are_not_changed_behind_the_caller():
    world = Maze(3, None, 2)
    state = world.generate(range(4))
    given = [x.copy() for x in (state.walls, state.mouse, state.cheese)]
    envs = WorldVectorEnv(world, 4)
    envs.reset(options={"state": state})
    kept, before = [], []
    for _ in range(5):
        step = envs.step(np.full(4, Move.RIGHT))
        kept.append(step)
        before.append([x.copy() for x in (*step[:4], step[4]["level_seed"])])
    for step, copies in zip(kept, before, strict=True):
        assert all(
            np.array_equal(a, b) for a, b in zip((*step[:4], step[4]["level_seed"]), copies, strict=True)
        )
    for array, copy in zip((state.walls, state.mouse, state.cheese), given, strict=True):
        assert np.array_equal(array, copy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": TEXT}, "unknown reset option 'test': did you mean 'text'"),
        ({"text": TEXT, "level_seed": 1}, "one of the options"),
        ({"text": "M.\n.."}, "its side must be odd"),
        ({"state": Maze(5).generate([1])}, "state is of another world"),
        ({"state": Maze(3).generate([1, 2, 3])}, "has 3 levels: give 1"),
    ],
)
def test_wrong_reset_options(options, message):
    with pytest.raises(ValueError, match=message):
        WorldEnv(Maze(3)).reset(options=options)
    with pytest.raises(ValueError, match=message):
        WorldVectorEnv(Maze(3), 2).reset(options=options)


def test_other_errors():
    world = Maze(3)
    with pytest.raises(ValueError, match="render_mode must be None or 'ansi'"):
        WorldEnv(world, "human")
    with pytest.raises(ValueError, match="num_envs must be at least 1"):
        WorldVectorEnv(world, 0)
    with pytest.raises(ValueError, match="2 seeds for 3 environments"):
        WorldVectorEnv(world, 3).reset(seed=[1, 2])
    for env in (WorldEnv(world, "ansi"), WorldVectorEnv(world, 1, "ansi")):
        with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
            env.step(np.array([0]))  # type: ignore[arg-type]
        with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
            env.render()
    env = WorldEnv(world)
    env.reset(seed=1)
    assert env.render() is None
    with pytest.raises(ValueError, match="action 5 is not a Move"):
        env.step(5)


@pytest.mark.parametrize("seed", [7.9, True, "7", -1])
def test_a_level_seed_that_would_be_rounded_is_refused(seed):
    with pytest.raises(ValueError, match="level_seed must be"):
        WorldEnv(Maze(5)).reset(options={"level_seed": seed})
    with pytest.raises(ValueError, match="seed must be"):
        WorldVectorEnv(Maze(5), 2).reset(seed=[0, seed])
    with pytest.raises(ValueError, match="seed must be"):
        WorldVectorEnv(Maze(5), 2).reset(seed=seed)
