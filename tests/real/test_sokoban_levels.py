"""Boxoban, Microban and level 53 with the text reader and the solver; every reference solution is replayed."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from goalscope.worlds.contract import take
from goalscope.worlds.sokoban.lurd import replay
from goalscope.worlds.sokoban.solver import Outcome, solve, solve_many
from goalscope.worlds.sokoban.text import levels_text, read_level_file, read_levels

DATA = os.environ.get("GOALSCOPE_DATA")
if DATA is None:
    pytest.skip("GOALSCOPE_DATA is unset: it points at the shared data", allow_module_level=True)
SOKOBAN = Path(str(DATA)) / "sokoban"


@pytest.fixture(scope="module")
def medium():
    return read_level_file(SOKOBAN / "boxoban" / "medium" / "valid" / "000.txt")


@pytest.fixture(scope="module")
def solutions():
    """Level number to its reference solution."""
    with open(SOKOBAN / "boxoban_medium_valid_000_astar.csv") as lines:
        return {int(row["level"]): row["moves_urdl"] for row in csv.DictReader(lines)}


def test_every_reference_solution_solves_its_level(medium, solutions):
    states = medium.states()
    assert len(solutions) == 998
    for level, lurd in solutions.items():
        played = replay(take(states, level), lurd)
        assert played.solved and len(played.actions) == len(lurd), level
        # Every step costs 0.1, four boxes end on their goals, and the last one brings 10.
        assert played.reward.sum() == pytest.approx(14 - 0.1 * len(lurd), abs=1e-3)


def test_solutions_are_never_longer_than_the_reference(medium, solutions):
    few = sorted(solutions)[::20]
    found = solve_many(take(medium.states(), few), node_limit=100_000)
    for row, level in enumerate(few):
        if found.outcome[row] == Outcome.SOLVED:
            assert found.moves[row] <= len(solutions[level]), level
    assert (found.outcome == Outcome.SOLVED).sum() >= len(few) - 1
    assert Outcome.NO_SOLUTION not in found.outcome


@pytest.mark.parametrize(
    "path", ["medium/valid/000.txt", "unfiltered/test/000.txt", "hard/000.txt", "hard/003.txt"]
)
def test_boxoban_files_are_read_and_written_back(path):
    file = read_level_file(SOKOBAN / "boxoban" / path)
    states = file.states()
    assert not file.errors and states.walls.shape[1:] == (10, 10)
    assert (states.boxes.sum((1, 2)) == 4).all()
    again = read_levels(levels_text(states, [level.name for level in file.levels]))
    assert [level.name for level in again.levels] == [level.name for level in file.levels]
    assert np.array_equal(again.states().boxes, states.boxes) and np.array_equal(
        again.states().walls, states.walls
    )


def test_level_53():
    (level,) = read_level_file(SOKOBAN / "level_53.txt").levels
    found = solve(level.state)
    assert level.name == "53" and found.solved and replay(level.state, found.lurd).solved


def test_microban():
    file = read_level_file(SOKOBAN / "microban.txt")
    assert len(file.levels) == 155 and not file.errors
    assert [level.name for level in file.levels] == [str(k) for k in range(1, 156)]
    assert file.levels[43].notes["comment"] == "Duh!" and file.levels[100].notes["comment"] == "Lockdown"
    # The first two of the set by their known move-optimal lengths, and small ones of other sizes.
    assert [solve(level.state).moves for level in file.levels[:2]] == [33, 16]
    for level in file.levels[2:30]:
        found = solve(level.state, node_limit=20_000)
        assert found.outcome is not Outcome.NO_SOLUTION
        assert not found.solved or replay(level.state, found.lurd).solved
