"""The worst and best over all changes of a maze, against policies whose answer is known and against one by one."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.policies.checkpoint import load
from goalscope.policies.handwritten import Handwritten
from goalscope.rollout import fields
from goalscope.rollout.extremes import move_extremes, reach_extremes
from goalscope.viewing.bound import show_bound
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze, Move
from goalscope.worlds.maze.paths import distances, top_right
from goalscope.worlds.maze.variants import MOST, cheese_anywhere, walls_toggled

WORLD = Maze(size=7)
MAZE = take(WORLD.generate(range(20)), 3)


def test_who_walks_to_the_cheese_reaches_it_wherever_it_lies():
    found = reach_extremes(Handwritten("cheese", 7), WORLD, cheese_anywhere(MAZE).state, 200)
    assert (found.least, found.greatest) == (1, 1)
    assert len(found.values) == int((distances(MAZE.walls, MAZE.mouse) > 0).sum())


def test_who_walks_to_the_corner_reaches_a_cheese_there_and_misses_one_off_the_way():
    found = reach_extremes(Handwritten("corner", 7), WORLD, cheese_anywhere(MAZE).state, 200)
    assert found.least < 1e-6
    assert found.greatest == pytest.approx(1)
    corner = top_right(MAZE)[0]
    way = distances(MAZE.walls, corner[None])[0]
    there = tuple(found.least_at.cheese[0])
    # The corner's way passes a square where what is left to go is one less a step: the missed one lies on none.
    from_mouse = distances(MAZE.walls, MAZE.mouse)[0]
    assert from_mouse[there] + way[there] > way[tuple(MAZE.mouse[0])]


def test_turning_walls_is_every_set_of_squares_once_and_those_without_a_way_are_counted():
    made = walls_toggled(MAZE, 1)
    by_hand = [MAZE.walls[0].tobytes()]
    closed = 0
    top, left = np.argwhere(~MAZE.walls[0]).min(0)
    bottom, right = np.argwhere(~MAZE.walls[0]).max(0)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            if (row, column) in (tuple(MAZE.mouse[0]), tuple(MAZE.cheese[0])):
                continue
            turned = MAZE.walls.copy()
            turned[0, row, column] ^= True
            if distances(turned, MAZE.cheese)[0][tuple(MAZE.mouse[0])] < 0:
                closed += 1
            else:
                by_hand.append(turned[0].tobytes())
    assert sorted(walls.tobytes() for walls in made.state.walls) == sorted(by_hand)
    assert (made.closed, made.all) == (closed, True)
    assert closed > 0


def test_the_least_is_attained_and_nothing_in_the_set_is_below_it():
    policy = load("mouse-topright")
    world = Maze(13)
    maze = world.parse(WORLD.text(MAZE)[0])
    made = walls_toggled(maze, 1)
    found = reach_extremes(policy, world, made.state, 200)
    one_by_one = [
        fields(policy, world, take(made.state, i)).reach_from_start(200)[0]
        for i in range(0, len(made.state), 7)
    ]
    assert np.allclose(found.values[::7], one_by_one, atol=1e-6)
    at = fields(policy, world, found.least_at).reach_from_start(200)[0]
    assert at == pytest.approx(found.least, abs=1e-6)
    assert found.least == found.values.min()
    assert found.least < fields(policy, world, maze).reach_from_start(200)[0]


def test_a_move_is_bounded_where_the_mouse_stands():
    field = fields(Handwritten("cheese", 7), WORLD, MAZE)
    first = Move(int(field.moves[field.squares.start[0]].argmax()))
    found = move_extremes(Handwritten("cheese", 7), WORLD, cheese_anywhere(MAZE).state, first)
    assert found.greatest == pytest.approx(1)
    here = np.array([
        fields(Handwritten("cheese", 7), WORLD, take(cheese_anywhere(MAZE).state, i)).moves[
            field.squares.start[0], int(first)] for i in range(len(found.values))
    ])  # fmt: skip
    assert np.allclose(found.values, here)


def test_a_set_too_large_says_how_large_and_a_sample_of_it_is_no_bound():
    large = Maze(size=25).generate([0])
    with pytest.raises(ValueError, match=rf"make \d+ mazes, {MOST} are taken.*no bound"):
        walls_toggled(large, 3)
    made = walls_toggled(large, 3, sample=30)
    assert not made.all
    assert len(made.state) + made.closed == 30
    turned = (made.state.walls ^ large.walls).sum((1, 2))
    assert turned.max() <= 3


def test_the_command_says_bound_or_no_bound_and_draws_both_mazes():
    text = WORLD.text(MAZE)[0]
    shown = show_bound("mouse-topright", text)
    assert shown.startswith("Bound: the cheese on each of")
    assert shown.count("P(reach the cheese within") == 3
    drawn = show_bound("mouse-topright", text, 2, sample=5)
    assert drawn.startswith("No bound, but the extremes of")
