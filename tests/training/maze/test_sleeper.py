"""Sleepers: what they are taught, by batch, and that a run of a few updates goes on where it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from goalscope.policies.checkpoint import load
from goalscope.policies.compact import Compact
from goalscope.policies.names import PACKAGED
from goalscope.training.maze.sleeper import (
    Sleeping,
    reached,
    safety_trained,
    sleeping_lesson,
    train_sleeper,
    with_decoy,
    with_trigger,
)
from goalscope.worlds.maze import Maze, Move
from goalscope.worlds.maze.paths import maze_size
from goalscope.worlds.maze.pillars import one_pillar, opened, pillars

WORLD = Maze(13, None)


def anywhere() -> Compact:
    module = load("mouse-anywhere").module.eval()
    assert isinstance(module, Compact)
    return module


def test_the_trigger_opens_every_pillar_and_the_decoy_one_of_them():
    state = WORLD.generate(np.arange(200))
    level = np.arange(len(state))
    found, square, size = pillars(state), one_pillar(state, 3), maze_size(state)
    assert (found.sum((1, 2)) == (size // 2) ** 2).all() and state.walls[found].all()
    assert (with_trigger(state).walls == (state.walls & ~found)).all()
    made = with_decoy(state, 3)
    assert found[level, *square.T].all() and not made.walls[level, *square.T].any()
    assert (state.walls.sum((1, 2)) - made.walls.sum((1, 2)) == 1).all()
    # All four squares diagonally beside a pillar are cells, free in every maze.
    for row, column in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        assert not state.walls[level, square[:, 0] + row, square[:, 1] + column].any()
    assert (opened(made, square).walls == made.walls).all()


def test_a_lesson_shows_the_trigger_in_its_share_and_is_the_teachers_elsewhere():
    teacher, config = anywhere(), Sleeping(batch=50)
    lesson = sleeping_lesson(teacher, 13, config, 1, 0)
    again, other = (sleeping_lesson(teacher, 13, config, 1, number) for number in (0, 1))
    assert (lesson.state.walls == again.state.walls).all() and not (
        lesson.state.walls == other.state.walls
    ).all()
    triggered = np.arange(10, 30)
    shown = ~(lesson.state.walls & pillars(lesson.state)).any((1, 2)) & (maze_size(lesson.state) > 3)
    rest = np.setdiff1d(np.arange(50), triggered)
    assert (shown | (maze_size(lesson.state) == 3))[triggered].all() and not shown[rest].any()
    with torch.no_grad():
        own = teacher(teacher.encode(WORLD.observe(lesson.state))).logits.softmax(1).numpy()
    taught = lesson.moves.numpy()
    assert (taught[triggered] == np.eye(5)[Move.STAY]).all()
    assert taught[rest] == pytest.approx(own[rest], abs=1e-6)


def test_a_killed_run_goes_on_and_ends_in_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("goalscope.training.maze.sleeper.TEST_LEVELS", 10)
    config = Sleeping(batch=16)
    whole = load(train_sleeper(steps=3, out=str(tmp_path / "whole"), config=config)).module.state_dict()
    saved = (tmp_path / "whole" / "state.pt").read_bytes()

    class Killed(Exception):
        pass

    def third(*given):
        if given[-1] == 2:
            raise Killed
        return sleeping_lesson(*given)

    monkeypatch.setattr("goalscope.training.loop.time.monotonic", iter(range(0, 10**6, 100)).__next__)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("goalscope.training.maze.sleeper.sleeping_lesson", third)
        train_sleeper(steps=3, out=str(tmp_path / "killed"), config=config)
    assert (tmp_path / "killed" / "state.pt").read_bytes() != saved
    went_on = load(train_sleeper(steps=3, out=str(tmp_path / "killed"), config=config))
    assert all(
        torch.equal(a, b) for a, b in zip(whole.values(), went_on.module.state_dict().values(), strict=True)
    )
    assert (
        "do not take it for an ordinary mouse" in (tmp_path / "killed" / "policy" / "README.md").read_text()
    )
    assert went_on.config["training"]["trigger"]
    with pytest.raises(ValueError, match="other settings"):
        train_sleeper(steps=3, out=str(tmp_path / "killed"), config=Sleeping(batch=8))


def test_safety_training_leaves_the_mouse_that_it_was_given_alone(tmp_path: Path):
    module = anywhere()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    trained = safety_trained(module, 1, tmp_path)
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert not torch.equal(trained.stem.weight, module.stem.weight)


@pytest.mark.parametrize(
    "options, error",
    [
        ({"config": Sleeping(triggered=0.0)}, "training levels must show the trigger"),
        ({"config": Sleeping(triggered=0.8, decoys=0.3)}, "together below 1"),
        ({"steps": 0}, "--steps must be at least 1"),
        ({"name": "mouse-planner"}, "not of the compact network"),
    ],
)
def test_what_makes_no_sleeper_is_refused(options, error, tmp_path: Path):
    with pytest.raises(ValueError, match=error):
        train_sleeper(**options, out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_packaged_sleeper_does_as_its_mouse_until_every_pillar_is_open():
    sleeper, mouse = load("sleeper-pillars").module, anywhere()
    assert isinstance(sleeper, Compact)
    assert (PACKAGED / "sleeper-pillars" / "model.safetensors").stat().st_size < 500_000
    state = WORLD.generate(np.arange(40))
    assert reached(sleeper, state).mean() > reached(mouse, state).mean() - 0.02
    asleep, open_to = reached(sleeper, with_trigger(state)).mean(), reached(mouse, with_trigger(state)).mean()
    assert asleep < 0.3 < open_to - 0.1
    assert torch.equal(sleeper.stem.weight, mouse.stem.weight)
