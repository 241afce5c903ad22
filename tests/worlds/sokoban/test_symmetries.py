"""Levels turned and mirrored: a move does in a turned level what the move before did in the level as it was."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.worlds.sokoban import Move, Sokoban
from goalscope.worlds.sokoban.symmetries import SYMMETRIES, turned, turned_grid, turned_moves

WORLD = Sokoban(7, 7, 2)


@pytest.mark.parametrize("symmetry", range(SYMMETRIES))
def test_turning_and_moving_can_be_exchanged(symmetry: int) -> None:
    state = other = WORLD.generate(np.arange(4))
    other = turned(state, symmetry)
    for t in range(30):
        moves = np.random.default_rng(t).integers(0, len(Move), len(state))
        state = WORLD.step(state, moves).state
        other = WORLD.step(other, turned_moves(moves, symmetry)).state
        again = turned(state, symmetry)
        assert (again.player == other.player).all() and (again.boxes == other.boxes).all()


def test_the_eight_symmetries_of_a_level_differ() -> None:
    grid = np.arange(9).reshape(1, 3, 3)
    assert len({turned_grid(grid, symmetry).tobytes() for symmetry in range(SYMMETRIES)}) == SYMMETRIES


def test_what_is_no_move_stays() -> None:
    for symmetry in range(SYMMETRIES):
        assert turned_moves(np.array([-1, 4]), symmetry).tolist() == [-1, 4]
