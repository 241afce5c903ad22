"""The rules by hand: ways that are found once a level are those of each state for itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from goalscope.policies.handwritten import RULES, limited_scores, rule_scores, ways_of
from goalscope.worlds.contract import concatenate, take
from goalscope.worlds.maze import Maze, remove_cheese


@pytest.mark.parametrize("size", [7, 13])
def test_ways_found_once_a_level_are_those_of_each_state(size: int) -> None:
    world = Maze(size, None)
    with_cheese = world.generate(np.arange(40))
    mazes = concatenate([with_cheese, remove_cheese(world.generate(np.arange(40, 50)))])
    squares = world.squares(mazes)
    there = dataclasses.replace(take(mazes, squares.level), mouse=squares.square)
    once = ways_of(there, squares.level)
    for field in dataclasses.fields(once):
        each = getattr(ways_of(there), field.name)
        assert each.dtype == getattr(once, field.name).dtype
        assert np.array_equal(getattr(once, field.name), each), field.name
    for rule in RULES:
        assert np.array_equal(rule_scores(rule, there, once), rule_scores(rule, there))
    for near, inner in ((4, False), (4, True), (50, False)):
        assert np.array_equal(limited_scores(there, near, inner, once), limited_scores(there, near, inner))


def test_levels_in_any_order_keep_their_own_ways() -> None:
    world = Maze(9, None)
    mazes = world.generate(np.arange(12))
    mixed = np.random.default_rng(0).permutation(np.repeat(np.arange(12), 3))
    state = take(mazes, mixed)
    assert np.array_equal(ways_of(state, mixed + 100).cheese, rule_scores("cheese", state))
    assert np.array_equal(ways_of(state, mixed).corner, rule_scores("corner", state))
    assert not np.array_equal(ways_of(state).cheese, ways_of(state).corner)


def test_a_cheese_on_the_border_is_no_inner_one() -> None:
    world = Maze(9, None)
    state = world.parse("\n".join(["....C", ".####", ".....", "####.", "M...."]))
    assert not ways_of(state).inner[0]
    assert ways_of(world.parse("\n".join([".....", ".####", "..C..", "####.", "M...."]))).inner[0]
    assert not ways_of(remove_cheese(state)).inner[0]
