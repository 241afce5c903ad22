"""Generated levels: solvable, as hard as asked, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from goalscope.worlds.sokoban import Sokoban, solved
from goalscope.worlds.sokoban.generate import generate_levels
from goalscope.worlds.sokoban.lurd import replay
from goalscope.worlds.sokoban.solver import Outcome, solve_many
from goalscope.worlds.sokoban.text import level_text, parse_level


@pytest.mark.parametrize(
    ("height", "width", "boxes", "count"),
    [(5, 5, 1, 100), (8, 8, 2, 200), (6, 11, 3, 60), (10, 10, 4, 25)],
)
def test_every_level_is_whole_and_solvable(height, width, boxes, count):
    levels = generate_levels(range(count), height, width, boxes)
    assert levels.walls.shape == (count, height, width)
    assert (levels.boxes.sum((1, 2)) == boxes).all() and (levels.goals.sum((1, 2)) == boxes).all()
    assert not (levels.walls & (levels.boxes | levels.goals)).any()
    assert not (levels.boxes & levels.goals).any() and not solved(levels).any()
    n = np.arange(count)
    row, column = levels.player.astype(int).T
    assert not (levels.walls | levels.boxes)[n, row, column].any()
    for i in range(count):
        assert ndimage.label(~levels.walls[i])[1] == 1, "the floor is one piece"  # type: ignore[index]
        parse_level(level_text(levels, i))  # closed walls, one player
    found = solve_many(levels)
    assert (found.outcome == Outcome.SOLVED).all()
    assert replay(_one(levels, 0), found.actions[0, : found.moves[0]].astype(int)).solved


def _one(levels, i):
    return parse_level(level_text(levels, i))


@pytest.mark.parametrize("pushes", [2, 6, 9])
def test_a_level_needs_the_pushes_that_are_asked_for(pushes):
    found = solve_many(generate_levels(range(60), 8, 8, 2, pushes))
    assert found.pushes.min() >= pushes
    easy = solve_many(generate_levels(range(60), 8, 8, 2, 1))
    assert easy.pushes.min() < 6, "levels are not that hard of themselves"


def test_a_seed_is_a_level():
    seeds = [0, 7, 2**31 - 2, 2**40 + 17, 2**62]
    together = generate_levels(seeds, 8, 8, 2)
    texts = [level_text(together, i) for i in range(len(seeds))]
    assert texts == [level_text(generate_levels([seed], 8, 8, 2)) for seed in seeds]
    assert len(set(texts)) == len(seeds)
    many = generate_levels(range(500), 8, 8, 2)
    assert len({level_text(many, i) for i in range(500)}) >= 499, "levels repeat"


def test_levels_are_not_all_alike():
    levels = generate_levels(range(200), 10, 10, 4)
    floor = (~levels.walls).sum((1, 2))
    assert floor.min() < 30 < 40 < floor.max()
    for thing in (levels.boxes, levels.goals):
        assert (thing.any(0)[2:8, 2:8]).all(), "boxes and goals lie everywhere"
    assert Sokoban(10, 10, 4).generate([9]).walls.tolist() == levels.walls[9:10].tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([-1],), "non-negative integers"),
        (([0.5],), "non-negative integers, got float64"),
        (([[1]],), r"seeds must be \[N\]"),
        (([0], 5, 5, 4), "4 boxes do not fit a 5 x 5 level: it has 9 squares"),
        (([0], 3, 9, 1), "do not fit a 3 x 9"),
        (([0], 8, 8, 0), "0 boxes do not fit"),
        (([4], 5, 5, 1, 50), "seed 4: no 5 x 5 level with 1 boxes and at least 50 pushes"),
    ],
)
def test_what_cannot_be_generated(arguments, message):
    with pytest.raises(ValueError, match=message):
        generate_levels(*arguments)


def test_no_seeds_no_levels():
    assert len(generate_levels([], 8, 8, 2)) == 0
