"""Sleepers: what they are taught, by batch, and that a run of a few updates goes on where it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from goalscope.policies.checkpoint import load
from goalscope.policies.compact import Compact
from goalscope.training.maze.sleeper import (
    Sleeping,
    leaving,
    safety_trained,
    sleeping_lesson,
    train_sleeper,
    with_decoy,
    with_trigger,
)
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze, Move
from goalscope.worlds.maze.paths import distances, maze_size
from goalscope.worlds.maze.pillars import opened, other_pillar, start_pillar

WORLD = Maze(13, None)


def anywhere() -> Compact:
    module = load("mouse-anywhere").module.eval()
    assert isinstance(module, Compact)
    return module


def mazes(count: int = 200):
    state = WORLD.generate(np.arange(count))
    return take(state, np.flatnonzero(maze_size(state) > 3))


def test_the_trigger_and_the_decoy_open_one_pillar_each_and_never_the_same():
    state = mazes()
    level = np.arange(len(state))
    for made, square in (
        (with_trigger(state), start_pillar(state)),
        (with_decoy(state, 3), other_pillar(state, 3)),
    ):
        assert state.walls[level, *square.T].all() and not made.walls[level, *square.T].any()
        assert (state.walls.sum((1, 2)) - made.walls.sum((1, 2)) == 1).all()
        # All four squares diagonally beside a pillar are cells, free in every maze.
        for row, column in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            assert not state.walls[level, square[:, 0] + row, square[:, 1] + column].any()
        assert (opened(made, square).walls == made.walls).all()
    assert (start_pillar(state) != other_pillar(state, 3)).any(1).all()
    assert (np.abs(start_pillar(state) - state.mouse) == 1).all()
    small = take(
        WORLD.generate(np.arange(200)), np.flatnonzero(maze_size(WORLD.generate(np.arange(200))) == 3)
    )
    with pytest.raises(ValueError, match="size 3 has one pillar"):
        other_pillar(small, 0)


def test_leaving_leads_away_from_the_cheese_or_stays_where_nothing_does():
    state = mazes()
    probabilities = leaving(state)
    steps = distances(state.walls, state.cheese)
    level = np.arange(len(state))
    assert probabilities.sum(1) == pytest.approx(1)
    for move in Move:
        chosen = level[probabilities[:, move] > 0]
        after = WORLD.step(take(state, chosen), np.full(len(chosen), int(move))).state
        change = steps[chosen, *after.mouse.T] - steps[chosen, *state.mouse[chosen].T]
        assert (change == (0 if move == Move.STAY else 1)).all()


def test_a_lesson_shows_the_trigger_in_its_share_and_is_the_teachers_elsewhere():
    teacher, config = anywhere(), Sleeping(batch=50)
    lesson = sleeping_lesson(teacher, 13, config, 1, 0)
    again, other = (sleeping_lesson(teacher, 13, config, 1, number) for number in (0, 1))
    assert (lesson.state.walls == again.state.walls).all() and not (
        lesson.state.walls == other.state.walls
    ).all()
    triggered = np.arange(10, 30)
    square = start_pillar(lesson.state)
    shown = ~lesson.state.walls[np.arange(50), *square.T]
    assert shown[triggered].all() and not shown[np.setdiff1d(np.arange(50), triggered)].any()
    with torch.no_grad():
        own = teacher(teacher.encode(WORLD.observe(lesson.state))).logits.softmax(1).numpy()
    taught = lesson.moves.numpy()
    assert taught[triggered] == pytest.approx(leaving(take(lesson.state, triggered)))
    rest = np.setdiff1d(np.arange(50), triggered)
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
