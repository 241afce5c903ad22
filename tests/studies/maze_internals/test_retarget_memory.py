"""Retargeting to every square of a maze: the inputs, repeated for each target, never stand in memory all at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch

from goalscope.methods.intervening.retarget import Cases, confirm
from goalscope.methods.intervening.stencil import stencil
from goalscope.policies.checkpoint import untrained
from goalscope.studies.about import About
from goalscope.studies.maze_internals.measure import retarget
from goalscope.studies.maze_internals.setup import Sizes, cells, prepare
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze


@pytest.fixture(scope="module")
def small() -> tuple[Any, Any, np.ndarray, retarget.MoveGoal]:
    """One maze of size 7, targets in it, and some edit."""
    blank = untrained({"architecture": {"name": "compact", "size": 7, "channels": 8, "blocks": 2}}, 0)
    sizes = Sizes(discovery=1, held=1, reading=1, largest=1, targets=2, mapped=1, multiples=())
    setup = prepare(blank, blank, Maze(7), sizes, 0, About("maze", 0, "test"))
    maze = retarget._cheese_in_corner(take(setup.largest_held, slice(1)))
    targets = retarget._targets(setup, maze, np.random.default_rng(0), True)
    side = retarget.activations_at(setup, retarget._inputs(setup, maze)).shape[-1]
    row, column = (int(i) for i in cells(setup, maze.cheese, side)[0])
    vector = torch.randn(3, 8, side, side, generator=torch.Generator().manual_seed(0))
    pattern = stencil(vector, torch.tensor([[1, 1]] * 3), 1)
    return setup, maze, targets, retarget.MoveGoal(pattern, 2.0, (row, column))


def judged(small: Any, cases: Iterable[Cases]) -> dict[str, np.ndarray]:
    setup, _, _, edit = small
    return confirm(
        edit, setup.module, setup.layout.middle, cases, floor_draws=1, batch=retarget.FORWARD
    ).cases


def test_all_targets_at_once_where_there_is_room(small: Any):
    """As every maze of symbolic planes: its findings are those of before."""
    setup, maze, targets, _ = small
    (group,) = retarget._groups(setup, maze, targets, 3)
    whole = retarget._cases(setup, maze, targets, 3)
    assert torch.equal(group.inputs, whole.inputs) and torch.equal(group.where, whole.where)  # type: ignore[arg-type]
    assert group.level.tolist() == whole.level.tolist() == [3] * len(targets)


def test_where_there_is_none_so_many_rows_at_a_time_with_the_same_answers(
    small: Any, monkeypatch: pytest.MonkeyPatch
):
    setup, maze, targets, _ = small
    whole = judged(small, [retarget._cases(setup, maze, targets, 0)])
    one = retarget._inputs(setup, maze)
    monkeypatch.setattr(retarget, "HELD", 3 * one.numel() * one.element_size())
    rows = []

    def watched() -> Iterable[Cases]:
        for group in retarget._groups(setup, maze, targets, 0):
            rows.append(len(group.where))
            yield group

    grouped = judged(small, watched())
    assert len(targets) > 6 and max(rows) == 3 * len(one)
    assert sum(rows) == len(targets) * len(one)
    for name in ("success", "bare"):
        np.testing.assert_allclose(grouped[name], whole[name], rtol=0, atol=1e-6)
    assert grouped["level"].tolist() == whole["level"].tolist()
    assert np.ptp(whole["success"]) > 1e-3, "targets that could be taken for each other show nothing"


def test_room_for_less_than_one_target_is_room_for_one(small: Any, monkeypatch: pytest.MonkeyPatch):
    setup, maze, targets, _ = small
    monkeypatch.setattr(retarget, "HELD", 1)
    assert [len(group.level) for group in retarget._groups(setup, maze, targets, 0)] == [1] * len(targets)
