"""The mouse that is taught shortest paths: what it is told, that it learns, and that a killed run goes on exactly."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from goalscope.commands.main import main
from goalscope.policies.checkpoint import load
from goalscope.policies.handwritten import rule_scores
from goalscope.policies.thinker import Thinker
from goalscope.rollout import fields
from goalscope.rollout.maze_fields import fields_at_once
from goalscope.training.maze import planner
from goalscope.training.maze.planner import NETWORKS, train_planner, unseen
from goalscope.training.maze.shortest_paths import NOWHERE, ShortestPaths, batch, learn, lessons
from goalscope.training.saved_state import rows_until
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze, remove_cheese
from goalscope.worlds.maze.paths import maze_size

TINY = ShortestPaths(size=7, squares=400, ticks=6)


LEARNT = 200


def student(channels: int = 16, tied: bool = True) -> Thinker:
    torch.manual_seed(0)
    return Thinker(6, channels, tied)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Thinker, Path]:
    folder = tmp_path_factory.mktemp("taught")
    policy = student()
    config = ShortestPaths(size=5, squares=500, ticks=4, learning_rate=1e-2, warm=20)
    learn(policy, folder, config, LEARNT, 1, progress=False)
    return policy, folder


def test_it_is_told_the_shortest_path_on_every_square():
    world = Maze(9, None)
    mazes = world.generate(np.arange(20))
    right, value = lessons(mazes, 0.9)
    squares = world.squares(mazes)
    at = (squares.level, *squares.square.T.astype(int))
    there = dataclasses.replace(take(mazes, squares.level), mouse=squares.square)
    assert np.array_equal(right[at], rule_scores("cheese", there).argmax(1))
    assert (right == NOWHERE).sum() == mazes.walls.sum()
    # The value of the mouse that follows: 1 for the step that takes the cheese, times .9 for each step before it.
    way = rule_scores("cheese", there)
    reward = np.stack([world.step(there, np.full(len(squares), m)).ended for m in range(5)], 1)
    last = (way * reward).any(1)
    assert np.allclose(value[at][last], 1)
    following = squares.next[np.arange(len(squares)), way.argmax(1)]
    assert np.allclose(value[at][~last], 0.9 * value[at][following][~last])
    assert (lessons(remove_cheese(mazes), 0.9)[0] == NOWHERE).all()


def test_batches_are_mazes_of_one_size_that_are_never_tested_on():
    config = ShortestPaths()
    for size, count in ((5, 64), (15, 35), (25, 12)):
        mazes = batch(config, 1, 7, size)
        assert len(mazes) == count and (maze_size(mazes) == size).all() and mazes.walls.shape[1] == size
    again, other = batch(config, 1, 7, 25), batch(config, 1, 8, 25)
    assert np.array_equal(again.walls, mazes.walls)
    seen = {m.tobytes() for m in (*mazes.walls, *other.walls)}
    assert len(seen) == 24 and not seen & {m.tobytes() for m in unseen(25, 50).walls}


def test_it_learns_the_smallest_mazes(taught: tuple[Thinker, Path]):
    policy, folder = taught
    world, mazes = Maze(5, None), unseen(5, 60)
    before = fields_at_once(student(), world, mazes).reach_from_start(15).mean()
    after = fields_at_once(policy, world, mazes).reach_from_start(15).mean()
    assert before < 0.3 and after > 0.9
    rows = rows_until(folder / "curve.csv", 10**9, ())
    assert len(rows) == LEARNT and rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    value = fields_at_once(policy, world, mazes).value
    true, squares = lessons(mazes, TINY.discount)[1], world.squares(mazes)
    true = true[(squares.level, *squares.square.T.astype(int))]
    assert true.mean() > 0.8 and np.abs(value - true).mean() < 0.1


@pytest.mark.parametrize("tied", [True, False])
def test_a_run_that_is_cut_short_goes_on_byte_for_byte_and_may_be_given_more(tied: bool, tmp_path: Path):
    whole, parts = student(6, tied), student(6, tied)
    learn(whole, tmp_path / "whole", TINY, 9, 1, progress=False)
    learn(parts, tmp_path / "parts", TINY, 4, 1, progress=False)
    first = {k: v.clone() for k, v in parts.state_dict().items()}
    done, _ = learn(student(6, tied), tmp_path / "parts", TINY, 9, 1, progress=False)
    again = student(6, tied)
    assert done == 9 and learn(again, tmp_path / "parts", TINY, 3, 1, progress=False)[0] == 9
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]) and not torch.equal(value, first[name])
    columns = ("steps", "size", "ticks", "loss", "right")
    rows = [rows_until(tmp_path / name / "curve.csv", 9, ()) for name in ("whole", "parts")]
    assert [[r[c] for c in columns] for r in rows[0]] == [[r[c] for c in columns] for r in rows[1]]
    for changed, seed in ((dataclasses.replace(TINY, ticks=5), 1), (TINY, 2)):
        with pytest.raises(ValueError, match="holds a run with other settings"):
            learn(student(6, tied), tmp_path / "parts", changed, 9, seed, progress=False)


def test_the_command_writes_a_policy_with_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(planner, "TEST_MAZES", 12)
    for recipe in NETWORKS:
        words = ["train", "maze", "--recipe", recipe, "--size", "7", "--steps", "3", "--out"]
        main([*words, str(tmp_path / recipe)])
        loaded = load(tmp_path / recipe / "policy")
        assert loaded.config["architecture"] == {"name": "thinker", **NETWORKS[recipe]}
        assert loaded.config["training"]["steps"] == 3
        card = (tmp_path / recipe / "policy" / "README.md").read_text()
        assert f"`goalscope train maze --recipe {recipe} --size 7 --seed 1 --steps 3`" in card
        for word in ("Limits", "## Thinking", "## Curve", "| 7 x 7 |", "exact P(reach)"):
            assert word in card
        world, mazes = Maze(7, None), unseen(7, 12)
        reach = fields(loaded, world, mazes).reach_from_start(planner.TEST_STEPS).mean()
        assert f"{reach:.1%} [" in card


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"recipe": "plan"}, "no recipe 'plan'; there are planner, reflex"),
        ({"size": 8}, "--size must be odd and at least 5, got 8"),
        ({"steps": 0}, "--steps must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_trained_is_refused(arguments: dict, words: str, tmp_path: Path):
    given = {"recipe": "planner", **arguments}
    with pytest.raises(ValueError, match=words):
        train_planner(**given, out=str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()


def test_a_recipe_that_has_no_region_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = str(tmp_path / "x")
    with pytest.raises(SystemExit) as stopped:
        main(["train", "maze", "--recipe", "planner", "--cheese-region", "5", "--out", out])
    assert stopped.value.code == 2
    assert "belong to the recipe 'ppo'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
