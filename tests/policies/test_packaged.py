"""The mice that come with the package: how large, how good, and from which states of training."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.policies.checkpoint import load
from goalscope.policies.names import PACKAGED, packaged, snapshots
from goalscope.policies.resnet import parameters
from goalscope.rollout import play
from goalscope.rollout.maze_ticks import Thinking, think_longer
from goalscope.training.maze.planner import AIM, FAR, TEST_STEPS, unseen
from goalscope.worlds.maze import Maze
from goalscope.worlds.maze.paths import distances

AGENTS = {"mouse-corner": 1, "mouse-topright": 5, "mouse-topright-2": 5, "mouse-anywhere": None}
FINETUNED = {f"mouse-topright-{reward}" for reward in ("cheese", "flipped", "same", "random")}
THINKERS = {"mouse-planner": 25, "mouse-reflex": 25}
"""side of the mazes that they are for"""


def test_all_are_there_with_card_and_region() -> None:
    found = {policy.name: policy for policy in packaged() if policy.name.startswith("mouse")}
    assert found.keys() == AGENTS.keys() | FINETUNED | THINKERS.keys()
    for name, size in THINKERS.items():
        assert found[name].config["world"] == {"name": "maze", "size": size, "cheese_region": None}
        for word in ("Command", "Steps and time", "Curve", "Limits", "Thinking"):
            assert word in found[name].card
    for name, region in AGENTS.items():
        assert found[name].config["world"]["cheese_region"] == region
        for word in ("Command", "Steps and time", "Curve", "Limits"):
            assert word in found[name].card


def test_each_file_is_below_500_kb() -> None:
    files = list(PACKAGED.glob("mouse*/**/*.safetensors"))
    assert len(files) == len(AGENTS) + len(FINETUNED) + len(THINKERS) + 8
    assert max(file.stat().st_size for file in files) < 500_000


@pytest.mark.parametrize("name, region", AGENTS.items())
def test_it_solves_97_percent_of_unseen_levels_of_its_own_distribution(name: str, region: int | None) -> None:
    world = Maze(13, region)
    played = play(load(name).module, world, world.generate(np.arange(1000)), steps=200, seed=1)
    assert played.ended[-1].mean() >= 0.97


def test_the_snapshots_are_eight_and_log_spaced() -> None:
    names = snapshots("mouse-topright")
    steps = np.array([int(name.partition("@")[2]) for name in names])
    assert len(names) == 8
    assert np.allclose(steps[1:] / steps[:-1], 2, atol=0.01)
    assert load(names[0]).name == names[0]
    last, final = load(names[-1]).module.state_dict(), load("mouse-topright").module.state_dict()
    assert all((last[k] == final[k]).all() for k in final)


def test_an_unknown_snapshot_is_named_with_those_that_exist() -> None:
    with pytest.raises(KeyError, match="mouse-topright@39062"):
        load("mouse-topright@39063")


@pytest.fixture(scope="module")
def far_and_near() -> tuple[np.ndarray, Thinking, Thinking]:
    """Which of 40 unseen mazes of 25 x 25 have a far cheese, and what the planner and the reflex do in them."""
    mazes, world = unseen(25, 40), Maze(25, None)
    row, column = mazes.mouse.astype(int).T
    far = distances(mazes.walls, mazes.cheese)[np.arange(40), row, column] >= FAR
    planner = think_longer(load("mouse-planner"), world, mazes, (4, 8, 32), TEST_STEPS)
    return far, planner, think_longer(load("mouse-reflex"), world, mazes, (4,), TEST_STEPS)


def test_the_planner_reaches_the_cheese_in_95_percent_of_the_largest_mazes(
    far_and_near: tuple[np.ndarray, Thinking, Thinking],
) -> None:
    far, planner, _ = far_and_near
    assert planner.reach[-1].mean() >= AIM
    # Thinking longer is what does it, and most of all where the cheese is far.
    gain = planner.reach[-1] - planner.reach[0]
    assert gain.min() > -0.05 and gain[far].mean() > 0.5 and gain[far].mean() > gain[~far].mean() + 0.2
    assert len(planner.won()[-1]) > 5 and not len(planner.lost()[-1])


def test_the_reflex_is_as_large_and_does_not_reach_far_cheese(
    far_and_near: tuple[np.ndarray, Thinking, Thinking],
) -> None:
    far, planner, reflex = far_and_near
    sizes = [parameters(load(name).module) for name in THINKERS]
    assert abs(sizes[1] / sizes[0] - 1) < 0.02
    assert reflex.reach[0][far].mean() < 0.2
    nine = think_longer(load("mouse-reflex"), Maze(9, None), unseen(9, 40), [4], TEST_STEPS)
    assert nine.reach.mean() > 0.95
    assert planner.reach[-1][far].mean() > reflex.reach[0][far].mean() + 0.6
