"""The Sokoban world: its kernels against plain Python, its rewards, its pictures, its Gymnasium environments."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from scipy.stats import chisquare

from goalscope.worlds.contract import check_world, take
from goalscope.worlds.gym import WorldEnv, WorldVectorEnv
from goalscope.worlds.sokoban import Move, Sokoban, SokobanState, rgb, solved
from goalscope.worlds.sokoban.solver import solve
from goalscope.worlds.sokoban.text import level_text, parse_level

_spec = importlib.util.spec_from_file_location(
    "sokoban_reference", Path(__file__).with_name("sokoban_reference.py")
)
assert _spec and _spec.loader
reference: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

CORRIDOR = "######\n#@$ .#\n######"


def as_sets(state: SokobanState, i: int) -> tuple:
    level = reference.Level(state, i)
    return level.player, level.boxes


@pytest.mark.parametrize(("height", "width", "boxes"), [(5, 5, 1), (8, 8, 2), (10, 10, 4), (7, 12, 3)])
def test_stepping_and_observing_equal_the_reference(height, width, boxes):
    world = Sokoban(height, width, boxes, min_pushes=1)
    state = world.generate(range(25))
    rng = np.random.default_rng(height)
    ends, pushes = 0, 0
    for _ in range(60):
        actions = rng.integers(0, 4, 25)
        outcome = world.step(state, actions)
        planes, pixels = world.observe(outcome.state), rgb(outcome.state)
        for i in range(25):
            player, moved, reward, ended = reference.Level(state, i).step(int(actions[i]))
            assert as_sets(outcome.state, i) == (player, moved)
            assert outcome.ended[i] == ended and outcome.reward[i] == pytest.approx(reward, abs=1e-6)
            assert planes[i].tolist() == reference.Level(outcome.state, i).planes()
        for i in range(3):
            level = reference.Level(outcome.state, i)
            assert all(tuple(pixels[i][s]) == level.colour(s) for s in np.ndindex(height, width))
        pushes += int((outcome.state.boxes != state.boxes).any((1, 2)).sum())
        ends += int((outcome.reward > 9).sum())
        state = outcome.state
    assert planes.dtype == pixels.dtype == np.uint8 and outcome.reward.dtype == np.float32
    assert pushes > 20 and (ends > 0 or boxes > 1), "too little happened to compare"


def test_moves_are_what_they_are_called():
    state = parse_level("#####\n#   #\n# @ #\n# *.#\n# $ #\n#####")
    for move, there in [(Move.UP, (1, 2)), (Move.LEFT, (2, 1)), (Move.RIGHT, (2, 3)), (Move.DOWN, (2, 2))]:
        outcome = Sokoban().step(state, np.array([move]))
        assert tuple(outcome.state.player[0]) == there, move
        assert np.array_equal(outcome.state.boxes, state.boxes), "two boxes in a row do not move"
        assert outcome.reward[0] == pytest.approx(-0.1), "a step costs, also one that goes nowhere"


def test_rewards_of_a_box_on_its_way():
    world, state = Sokoban(), parse_level("########\n#@$ . $#\n#     .#\n########")
    right = np.array([Move.RIGHT])
    expected = [-0.1, 0.9, -1.1]  # nearer, on the goal, past it
    for reward in expected:
        outcome = world.step(state, right)
        state = outcome.state
        assert outcome.reward[0] == pytest.approx(reward) and not outcome.ended[0]


def test_the_last_box_ends_the_level_and_an_ended_level_gives_nothing():
    world, state = Sokoban(), parse_level(CORRIDOR)
    first = world.step(state, np.array([Move.RIGHT]))
    last = world.step(first.state, np.array([Move.RIGHT]))
    assert first.reward[0] == pytest.approx(-0.1) and last.reward[0] == pytest.approx(10.9)
    assert last.ended[0] and solved(last.state)[0] and not solved(state)[0]
    for move in Move:
        after = world.step(last.state, np.array([move]))
        assert after.ended[0] and after.reward[0] == 0
        assert level_text(after.state) == level_text(last.state)


def test_outside_the_grid_is_wall():
    free = np.zeros((1, 3, 3), bool)
    boxes = free.copy()
    boxes[0, 0, 1] = True
    state = SokobanState(free, free, boxes, np.array([[1, 1]], np.int16))
    outcome = Sokoban().step(state, np.array([Move.UP]))
    assert np.array_equal(outcome.state.boxes, boxes) and tuple(outcome.state.player[0]) == (1, 1)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 4, 0], "level 1: action 4 is not a Move"),
        ([0, 0, -1], "level 2: action -1 is not a Move"),
        ([0, 0], r"actions must be \[3\] integers"),
        ([0.0, 1.0, 2.0], r"actions must be \[3\] integers, got float64"),
    ],
)
def test_wrong_actions(actions, message):
    world = Sokoban(8, 8, 2)
    with pytest.raises(ValueError, match=message):
        world.step(world.generate(range(3)), np.array(actions))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"height": 3}, "at least 4 .* got 3 and 10"),
        ({"boxes": 0}, "boxes must be at least 1"),
        ({"observation": "pixels"}, "must be 'planes', 'rgb' or 'kinds'"),
    ],
)
def test_wrong_worlds(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sokoban(**arguments)


@pytest.mark.parametrize(
    "world",
    [
        Sokoban(5, 5, 1, min_pushes=1),
        Sokoban(8, 8, 2),
        Sokoban(10, 10, 4, observation="rgb"),
        Sokoban(6, 9, 2, observation="rgb", min_pushes=2),
        Sokoban(8, 8, 2, levels=Sokoban(8, 8, 2).generate(range(50))),
    ],
    ids=lambda world: f"{world.height}x{world.width}-{world.boxes}-{world.observation}",
)
def test_it_is_a_world(world):
    check_world(world, range(40, 60), steps=60)


def test_levels_are_drawn_from_a_set_evenly():
    levels = Sokoban(8, 8, 2).generate(range(20))
    world = Sokoban(8, 8, 2, levels=levels)
    texts = world.text(levels)
    drawn = world.text(world.generate(range(2000)))
    counts = [drawn.count(text) for text in texts]
    assert sum(counts) == 2000 and chisquare(counts).pvalue > 1e-3
    with pytest.raises(ValueError, match="levels must be some of 10 x 10, got 20 of 8 x 8"):
        Sokoban(10, 10, levels=levels)
    with pytest.raises(ValueError, match="non-negative integers"):
        world.generate([-1])


def test_a_level_of_boxoban_is_the_picture_of_gym_sokoban():
    pixels = rgb(parse_level("#######\n#+$*. #\n#  $  #\n#######"))
    assert pixels[0, 1].tolist() == [
        [0, 0, 0], [219, 212, 56], [142, 121, 56], [254, 95, 56], [254, 126, 125], [243, 248, 238], [0, 0, 0],
    ]  # fmt: skip


def test_gymnasium_env_is_solved_by_the_solver():
    world = Sokoban(8, 8, 2)
    env = WorldEnv(world, render_mode="ansi")
    check_env(env, skip_render_check=True)
    observation, info = env.reset(seed=5)
    assert np.array_equal(observation, world.observe(world.generate([info["level_seed"]]))[0])
    plan = solve(env.state).actions
    total, ended = 0.0, False
    for action in plan:
        assert not ended
        observation, reward, ended, truncated, _ = env.step(action)
        total += float(reward)
    assert ended and not truncated and "*" in str(env.render()) and "$" not in str(env.render())
    assert total == pytest.approx(10 + 2 - 0.1 * len(plan), abs=1e-4)


def test_gymnasium_truncates_at_the_time_limit():
    env = WorldEnv(Sokoban(8, 8, 2, time_limit=3))
    env.reset(options={"text": "########\n#@ $ . #\n#  $ . #\n########"})
    assert [env.step(Move.LEFT)[3] for _ in range(3)] == [False, False, True]


def test_vector_env_equals_single_ones():
    world = Sokoban(8, 8, 2, time_limit=15)
    many = WorldVectorEnv(world, 3)
    single = gymnasium.vector.SyncVectorEnv([lambda: WorldEnv(world)] * 3)
    assert np.array_equal(many.reset(seed=7)[0], single.reset(seed=7)[0])
    rng = np.random.default_rng(0)
    for _ in range(40):
        actions = rng.integers(0, 4, 3)
        for ours, theirs in zip(many.step(actions)[:4], single.step(actions)[:4], strict=True):
            assert np.array_equal(ours, theirs)


def test_a_batch_of_levels_does_not_depend_on_the_others():
    world = Sokoban(10, 10, 4)
    together = world.generate([3, 1, 4])
    assert level_text(together, 1) == level_text(world.generate([1]))
    assert level_text(take(together, 2)) == level_text(together, 2)


def test_doing_nothing_costs_a_step_and_changes_nothing():
    world, plain = Sokoban(8, 8, 2, noop=True), Sokoban(8, 8, 2)
    state = world.generate(range(40))
    assert [a.name for a in world.actions] == ["NOTHING", *(m.name for m in plain.actions)]
    assert world.moves.tolist() == [-1, 0, 1, 2, 3]
    actions = np.arange(40) % 5
    step, moved = world.step(state, actions), plain.step(state, np.maximum(actions - 1, 0))
    idle = actions == 0
    assert (step.state.boxes[idle] == state.boxes[idle]).all()
    assert (step.state.player[idle] == state.player[idle]).all() and not step.ended[idle].any()
    assert step.reward[idle] == pytest.approx(-0.1)
    assert (step.state.player[~idle] == moved.state.player[~idle]).all()
    assert (step.state.boxes[~idle] == moved.state.boxes[~idle]).all()
    assert (step.reward[~idle] == moved.reward[~idle]).all()
    with pytest.raises(ValueError, match=r"action 5 is not a MoveOrNothing \(0 to 4\)"):
        world.step(state, np.full(40, 5))
    with pytest.raises(ValueError, match=r"action -1 is not a MoveOrNothing"):
        world.step(state, np.full(40, -1))


def test_a_solved_level_stays_over_when_nothing_is_done():
    world = Sokoban(4, 4, 1, noop=True)
    step = world.step(world.parse("####\n#@*#\n####"), np.array([0]))
    assert step.ended[0] and step.reward[0] == 0


def test_kinds_are_one_plane_a_kind_without_the_outer_walls():
    world = Sokoban(5, 6, 2, observation="kinds")
    state = world.parse("######\n#+ $ #\n# *. #\n#  $ #\n######")
    planes = world.observe(state)
    assert planes.shape == (1, *world.observation_shape) == (1, 7, 3, 4) and planes.dtype == np.uint8
    assert (planes.sum(1) == 1).all()
    assert [tuple(square) for square in np.argwhere(planes[0, 2])] == [(0, 2), (2, 2)], "boxes"
    assert [tuple(square) for square in np.argwhere(planes[0, 3])] == [(1, 1)], "box on goal"
    assert [tuple(square) for square in np.argwhere(planes[0, 5])] == [(0, 0)], "player on goal"
    assert [tuple(square) for square in np.argwhere(planes[0, 6])] == [(1, 2)], "goal"
    assert not planes[0, 0].any() and not planes[0, 4].any()
