"""Channels swapped with the same maze, cheese moved: donors that differ in nothing else, and no peeking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from goalscope.policies.checkpoint import Policy, untrained
from goalscope.rollout import fields
from goalscope.studies.about import About
from goalscope.studies.maze_internals.measure import channels as measured
from goalscope.studies.maze_internals.setup import APART, Setup, Sizes, prepare, reached
from goalscope.worlds.maze import Maze

SIZE, CHANNELS = 9, 8
CONFIG = {"architecture": {"name": "compact", "size": SIZE, "channels": CHANNELS, "blocks": 3}}
SIZES = Sizes(discovery=20, held=30, reading=8, largest=8, targets=1, mapped=1, multiples=())


@pytest.fixture(scope="module")
def setup() -> Setup:
    policy = Policy(untrained(CONFIG, seed=1).module, "blank", "", CONFIG)
    return prepare(policy, policy, Maze(SIZE, None), SIZES, 0, About("maze", 0, "test"))


def test_a_donor_is_the_same_maze_with_the_cheese_well_away(setup: Setup) -> None:
    moved = measured.cheese_elsewhere(setup, setup.held, np.random.default_rng(0))
    np.testing.assert_array_equal(moved.walls, setup.held.walls)
    np.testing.assert_array_equal(moved.mouse, setup.held.mouse)
    assert (np.abs(moved.cheese - setup.held.cheese).sum(1) > APART).all()
    assert (moved.cheese != moved.mouse).any(1).all()


def test_all_channels_swapped_is_the_network_in_the_donor_maze_square_by_square(setup: Setup) -> None:
    """More mazes than are held at once and more squares than one forward: a row out of step would show."""
    assert len(setup.held) > measured.AT_ONCE
    moved = measured.cheese_elsewhere(setup, setup.held, np.random.default_rng(0))
    everything = measured.swap(measured.members([range(CHANNELS)] * len(setup.held), CHANNELS))
    nothing = measured.swap(measured.members([[]] * len(setup.held), CHANNELS))
    taken, there = measured.swapped(setup, setup.held, moved, [everything, nothing])
    plain, donor = (fields(setup.module, setup.world, state) for state in (setup.held, moved))
    for rows, goal in ((taken, setup.held.cheese), (there, moved.cheese)):
        before, after = (_through(run, goal, setup, plain) for run in (plain, donor))
        np.testing.assert_allclose(rows[0], after - before, atol=1e-6)
        np.testing.assert_array_equal(rows[1], 0)
    assert np.abs(taken[0]).max() > 1e-4


def _through(run: Any, goal: np.ndarray, setup: Setup, plain: Any) -> np.ndarray:
    """P(come to the squares) with the moves of one run in the mazes of the plain one."""
    return reached(type(plain)(plain.maze, plain.squares, run.moves, run.value), goal, setup.steps)


def test_sets_chosen_among_channels_of_chance_effects_take_nothing_on_held_out_mazes(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set takes the sum of what its channels do in a maze, which is noise: only a choice that peeks finds one."""
    noise = np.random.default_rng(3).normal(0, 0.1, (CHANNELS, SIZES.discovery + SIZES.held))
    _answered_by(monkeypatch, setup, noise)
    found = measured.select_channels(setup)
    assert np.all(np.diff(noise[:, :20].mean(1)[found["order"]]) > 0)  # strongest on discovery mazes first
    for row, size in enumerate(found["sizes"]):
        np.testing.assert_allclose(found["top"][row], noise[found["order"][:size], 20:].sum(0))
    strongest = noise[found["order"][:2], :20].sum(0).mean()
    assert strongest < -0.05 and abs(found["top"][1].mean()) < 0.5 * abs(strongest)


def test_random_sets_have_as_many_channels_and_another_set_in_each_maze(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _answered_by(monkeypatch, setup, np.zeros((CHANNELS, SIZES.discovery + SIZES.held)) + 1e-9)
    found = measured.select_channels(setup)
    assert found["sizes"].tolist() == [1, 2, 4]
    masks = asked[-1]
    top, random = masks[:3], masks[3:-1]
    assert len(random) == 3 * measured.DRAWS
    for row, size in enumerate((1, 2, 4)):
        assert (top[row] == top[row][0]).all() and (top[row].sum(1) == size).all()
        for draw in random[row * measured.DRAWS :][: measured.DRAWS]:
            assert (draw.sum(1) == size).all() and len(np.unique(draw, axis=0)) > 4
    assert masks[-1].all()


def _answered_by(
    monkeypatch: pytest.MonkeyPatch, setup: Setup, effects: np.ndarray
) -> list[list[np.ndarray]]:
    """Instead of the network: the sum of the effects [C, D + H] of the channels that are swapped; what was asked."""
    mazes = {w.tobytes() + c.tobytes(): i for i, (w, c) in enumerate(_each(setup))}
    asked: list[list[np.ndarray]] = []

    def swapped(_: Setup, state: Any, moved: Any, changes: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        at = [mazes[w.tobytes() + c.tobytes()] for w, c in zip(state.walls, state.cheese, strict=True)]
        own = torch.zeros(len(state), CHANNELS, 1, 1)
        given = [change(own, own + 1, torch.arange(len(state)))[:, :, 0, 0].numpy() for change in changes]
        sets = [mask for mask in given if np.isin(mask, (0, 1)).all()]
        asked.append(sets)
        rows = np.array([(mask.T * effects[:, at]).sum(0) for mask in given])
        return rows, -rows

    monkeypatch.setattr(measured, "swapped", swapped)
    return asked


def _each(setup: Setup) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        pair
        for state in (setup.discovery, setup.held)
        for pair in zip(state.walls, state.cheese, strict=True)
    ]


def test_sets_are_those_of_the_level(setup: Setup) -> None:
    """All channels in the last maze alone: nothing else changes, however many mazes are held at once."""
    moved = measured.cheese_elsewhere(setup, setup.held, np.random.default_rng(0))
    sets = [range(0)] * (len(setup.held) - 1) + [range(CHANNELS)]
    last = measured.swap(measured.members(sets, CHANNELS))
    taken, _ = measured.swapped(setup, setup.held, moved, [last])
    assert np.flatnonzero(taken[0]).tolist() == [len(setup.held) - 1]
