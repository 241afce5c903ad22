"""One rule for worlds: names, ids, factories, Worlds; and what is said of anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from goalscope.policies.given import policy_of
from goalscope.worlds.maze import Maze
from goalscope.worlds.minigrid import MiniGrid
from goalscope.worlds.named import world_of
from goalscope.worlds.procgen import ProcgenMaze
from goalscope.worlds.sokoban import Sokoban

FACTORY = """
import torch
from goalscope.worlds.maze import Maze
from beside import SIZE

def world():
    return Maze(SIZE, cheese_region=None)

def policy():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIZE * SIZE, 5))

def broken():
    return 1 / 0

def number():
    return 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FACTORY, encoding="utf-8")
    (tmp_path / "beside.py").write_text("SIZE = 7\n", encoding="utf-8")
    return path


def test_names_give_worlds_with_the_settings_asked_for():
    maze = world_of("maze", size=15, cheese_region=None)
    assert isinstance(maze, Maze) and maze.size == 15 and maze.cheese_region is None
    assert isinstance(world_of("sokoban"), Sokoban)
    assert isinstance(world_of("procgen:maze"), ProcgenMaze)
    heist = world_of("procgen:heist", distribution="hard")
    assert heist.name == "procgen:heist" and len(heist.generate([1]).head) == 1
    grid = world_of("minigrid:MiniGrid-Empty-5x5-v0", observation="full")
    assert isinstance(grid, MiniGrid) and grid.name == "MiniGrid-Empty-5x5-v0"
    assert grid.observe(grid.generate([0])).shape == (1, 3, 5, 5)


def test_a_world_stays_as_it_is():
    world = Maze(7)
    assert world_of(world) is world


def test_a_file_gives_its_world_and_its_policy(file: Path):
    world = world_of(f"{file}:world")
    assert world.observation_shape == (3, 7, 7) and len(world.generate(np.arange(3)).walls) == 3
    assert policy_of(f"{file}:policy").name == "mine-policy"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "maz",
            r"no world is called 'maz': did you mean 'maze'\? a world is maze, sokoban, gomoku, reversi, minigrid:ID",
        ),
        ("mini-grid:MiniGrid-Empty-5x5-v0", "did you mean 'minigrid:MiniGrid-Empty-5x5-v0'"),
        ("atari", "no world is called 'atari': a world is maze"),
        ("", "no world is called '': a world is maze"),
        ("maze:15", "no world is called 'maze:15': write maze$"),
        ("minigrid", "no world is called 'minigrid': write minigrid:ID"),
        ("minigrid:MiniGrid-DoorKey-6x6", "did you mean MiniGrid-DoorKey-6x6-v0"),
        ("procgen:mazes", "no game of Procgen is called 'mazes' here: did you mean 'maze'"),
        ("mine.py", "names no function: mine.py:NAME is a world, where NAME makes a World"),
    ],
)
def test_other_names_are_refused_with_what_is_near(text: str, words: str):
    with pytest.raises(ValueError, match=words):
        world_of(text)


def test_settings_that_a_world_has_not_are_refused(file: Path):
    with pytest.raises(ValueError, match="Maze has no setting 'sise': did you mean size"):
        world_of("maze", sise=15)
    with pytest.raises(ValueError, match="MiniGrid has no setting 'environment'"):
        world_of("minigrid:MiniGrid-Empty-5x5-v0", environment="x")
    with pytest.raises(ValueError, match="has settings of its own: size can be given to names only"):
        world_of(f"{file}:world", size=15)
    with pytest.raises(ValueError, match="Maze has settings of its own"):
        world_of(Maze(), size=15)


def test_factories_that_give_no_world_are_refused(file: Path):
    with pytest.raises(FileNotFoundError, match="no file"):
        world_of(f"{file.parent}/yours.py:world")
    with pytest.raises(ValueError, match=r"mine.py, line 13: broken\(\) fails: ZeroDivisionError"):
        world_of(f"{file}:broken")
    with pytest.raises(ValueError, match=r"number\(\) returns int, which has no name, actions"):
        world_of(f"{file}:number")
    with pytest.raises(ValueError, match=r"has no function 'wold'; it has .*world"):
        world_of(f"{file}:wold")
    with pytest.raises(TypeError, match=r"a world is maze, .* int has no name"):
        world_of(3)


@pytest.mark.parametrize(
    "name", ["maze", "sokoban", "minigrid:MiniGrid-Empty-5x5-v0", "procgen:maze", "procgen:coinrun", "gym:CartPole-v1"]
)  # fmt: skip
def test_no_seeds_give_no_levels(name: str):
    world = world_of(name)
    none = world.generate([])
    assert world.observe(none).shape == (0, *world.observation_shape) and world.text(none) == []
    assert world.step(none, np.zeros(0, int)).reward.shape == (0,)
