"""What stands beside the memory's probes, on arrays whose right answers are written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from goalscope.studies.sokoban_plan.measure.beside import WINDOW_SIDES, differing, of_other_levels, window
from goalscope.studies.sokoban_plan.measure.writing import otherwise_chosen


@pytest.mark.parametrize("side", WINDOW_SIDES)
def test_a_window_holds_the_squares_around_each_one_and_wall_outside(side: int) -> None:
    planes = torch.from_numpy(np.random.default_rng(0).random((2, 4, 6, 5))).float()
    around = window(planes, side).view(2, 4, side, side, 6, 5)
    beyond = side // 2
    for r, c in ((0, 0), (3, 2), (5, 4)):
        for dr in range(-beyond, beyond + 1):
            for dc in range(-beyond, beyond + 1):
                seen = around[:, :, dr + beyond, dc + beyond, r, c]
                inside = 0 <= r + dr < 6 and 0 <= c + dc < 5
                wall = torch.tensor([1.0, 0, 0, 0]).expand(2, 4)
                assert torch.equal(seen, planes[:, :, r + dr, c + dc] if inside else wall)


def test_every_level_gets_the_plans_of_another_one_of_its_split() -> None:
    level = np.array([0, 0, 1, 2, 2, 2, 7, 8, 8, 9])
    train = level % 10 < 6
    labels = np.arange(len(level))[:, None, None] + np.zeros((1, 2, 2), int)
    taken = of_other_levels(labels, level, train)[:, 0, 0]
    assert (level[taken] != level).all() and (train[taken] == train).all()
    assert level[taken].tolist() == [1, 1, 2, 0, 0, 0, 8, 9, 9, 7]
    assert taken.tolist() == [2, 2, 3, 0, 1, 0, 7, 9, 9, 6]


def test_squares_on_which_two_read_outs_differ_are_counted_by_level() -> None:
    mine, other = np.array([0, 1, 2, 3, 4, 4]), np.array([0, 2, 2, 4, 3, 0])
    y, level = np.array([0, 1, 2, 4, 1, 0]), np.array([5, 5, 5, 9, 9, 9])
    assert differing(mine, other, y, level).tolist() == [[3, 1, 1, 0], [3, 3, 0, 2]]


def test_a_choice_that_hangs_on_one_level_is_said_to_be_fragile() -> None:
    """Nine levels obey two strengths alike, the tenth the second alone: without it the weaker one would be chosen."""
    trial = np.ones((1, 2, 10))
    trial[0, 0, 9] = 0
    left_out = (1 - 1 / 10) ** 10
    assert otherwise_chosen(trial, 0) == pytest.approx(left_out, abs=0.04)
    trial[0, 0] = 0
    assert otherwise_chosen(trial, 0) == 0
