"""Utilities on agents whose utility is known: what they act for must be told, and nothing be told of those without one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from goalscope.methods.behaviour.reach import occupancy
from goalscope.methods.goals.utilities import Inference, best_moves, infer_utility, maximum_entropy, served
from goalscope.policies.handwritten import Handwritten
from goalscope.rollout import fields, steps_to
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze
from goalscope.worlds.maze.paths import corner, distances

CORNERS = {"top-left": (True, False), "top-right": (True, True), "bottom-right": (False, True)}
ABOUT = {"at the cheese": "cheese", "near the cheese": "cheese", "few steps": "", "walls": ""}


@dataclass(frozen=True)
class Mazes:
    """Mazes in which the cheese bars no corner, and what is asked of them."""

    state: Any
    squares: Any
    utilities: dict[str, np.ndarray]
    contexts: dict[str, np.ndarray]
    best: np.ndarray
    train: np.ndarray


@lru_cache
def mazes(size: int, region: int | None, count: int) -> Mazes:
    world = Maze(size, region)
    state = world.generate(range(4 * count))
    squares = world.squares(state)
    following = np.where(squares.goal[:, None], np.arange(len(squares))[:, None], squares.next)
    places = {f"{n} corner": corner(state, *where) for n, where in CORNERS.items()}
    clear = np.ones(len(state), bool)
    for place in places.values():
        at = (squares.square == place[squares.level]).all(1)
        clear &= np.isfinite(steps_to(following, at)[squares.start])
    state = take(state, np.flatnonzero(clear)[:count])
    squares = world.squares(state)
    here = (squares.level, squares.square[:, 0], squares.square[:, 1])
    cheese = distances(state.walls, state.cheese)[here].astype(float)
    top_right = corner(state, True, True)[squares.level]
    utilities = {"at the cheese": squares.goal.astype(float)}
    for name, place in places.items():
        place = place[np.flatnonzero(clear)[:count]]
        utilities[f"at the {name}"] = (squares.square == place[squares.level]).all(1).astype(float)
    utilities |= {
        "near the cheese": -cheese,
        "few steps": squares.goal - 1.0,
        "walls": (squares.next[:, :4] == np.arange(len(squares))[:, None]).mean(1),
    }
    contexts = {f"within {n} steps of the cheese": cheese <= n for n in (1, 2, 4, 8)}
    near = np.abs(squares.square - top_right).max(1)
    contexts |= {f"within {n} squares of the corner": near <= n for n in (1, 2, 4, 6)}
    best = best_moves(squares.next, squares.goal, squares.offsets, np.stack(list(utilities.values())))
    train = np.random.default_rng(0).permutation(len(state)) % 2 == 0
    return Mazes(state, squares, utilities, contexts, best, train)


def told(levels: Mazes, moves: np.ndarray, **changed: Any) -> Inference:
    s = levels.squares
    weight = occupancy(moves, s.next, s.goal, s.start, 200).visits.clip(max=1)
    options: dict[str, Any] = dict(
        train=levels.train, names=list(levels.utilities), lengths=[4.0 if "near" in n else 3.0 for n in levels.utilities],
        about=[ABOUT.get(n, n) for n in levels.utilities], contexts=np.stack(list(levels.contexts.values())),
        context_names=list(levels.contexts), context_lengths=[5.0] * len(levels.contexts),
    )  # fmt: skip
    return infer_utility(levels.best, moves, weight, s.level.astype(int), **{**options, **changed})


def moves_of(levels: Mazes, policy: nn.Module) -> np.ndarray:
    return fields(policy, Maze(levels.state.walls.shape[1], None), levels.state).moves


@pytest.fixture(scope="module")
def small() -> Mazes:
    return mazes(9, None, 60)


def test_who_walks_to_the_cheese_has_one_utility_and_what_it_implies_is_listed_as_a_tie(small: Mazes) -> None:
    found = told(small, moves_of(small, Handwritten("cheese", 9, 0.2)))
    assert (found.verdict, found.best.name) == ("one", "at the cheese")
    assert set(found.tied) == set(found.same) == {"few steps", "near the cheese"}
    assert found.best.gain.estimate == pytest.approx(found.whole.estimate, abs=0.01)
    assert found.best.sharpness == pytest.approx(5, abs=0.3)
    assert found.gated is not None and found.gate_gain is not None and found.gate_gain.high < 0


def test_who_walks_to_the_corner_has_another_one(small: Mazes) -> None:
    found = told(small, moves_of(small, Handwritten("corner", 9, 0.2)))
    assert (found.verdict, found.best.name, found.tied) == ("one", "at the top-right corner", ())


def test_who_wanders_has_none(small: Mazes) -> None:
    found = told(small, np.full(small.squares.next.shape, 0.2))
    assert found.verdict == "none" and found.whole.estimate == pytest.approx(0, abs=1e-9)


def test_two_goals_beat_every_single_utility_and_the_gate_is_named() -> None:
    levels = mazes(13, 5, 60)
    found = told(levels, moves_of(levels, Handwritten("corner-then-cheese", 13, 0.2)))
    assert found.verdict == "several" and found.gated is not None and found.gate_gain is not None
    assert found.gated.parts == (
        "within 4 squares of the corner", "at the cheese", "at the top-right corner",
    )  # fmt: skip
    assert found.gate_gain.low > 0.2
    # Too long a description is not worth it, however well it fits.
    costly = told(
        levels, moves_of(levels, Handwritten("corner-then-cheese", 13, 0.2)), context_lengths=[1e5] * len(levels.contexts)
    )  # fmt: skip
    assert costly.verdict != "several"


def test_a_cheese_that_always_lies_in_the_corner_cannot_be_told_from_it() -> None:
    levels = mazes(7, 1, 40)
    found = told(levels, moves_of(levels, Handwritten("cheese", 7, 0.2)))
    assert found.verdict == "cannot tell" and "at the top-right corner" in {found.best.name, *found.tied}


def test_a_route_among_equally_good_ones_is_no_second_goal() -> None:
    """In an open room who seeks one corner goes along the row first: 'the right edge, then the lower one' says no more."""
    side, rooms = 5, 12
    row, column = np.divmod(np.arange(side * side), side)
    moved = [(row, (column + 1).clip(max=side - 1)), ((row + 1).clip(max=side - 1), column), (row, column)]
    one = np.stack([r * side + c for r, c in moved], 1)
    following = np.concatenate([one + n * side * side for n in range(rooms)])
    row, column = np.tile(row, rooms), np.tile(column, rooms)
    level, offsets = np.repeat(np.arange(rooms), side * side), np.arange(rooms + 1) * side * side
    right, low = column == side - 1, row == side - 1
    worth = np.stack([right & low, right, low]).astype(float)
    best = best_moves(following, np.zeros(len(level), bool), offsets, worth)
    wanted = np.where(right, 1, 0)
    odds = np.exp(5.0 * (np.arange(3) == wanted[:, None]))
    found = infer_utility(
        best, odds / odds.sum(1, keepdims=True), (~(right & low)).astype(float), level,
        train=np.arange(rooms) % 2 == 0, names=["corner", "right", "low"], lengths=[2.0] * 3, contexts=right[None],
        context_names=["at the right"], context_lengths=[1.0],
    )  # fmt: skip
    assert found.gated is not None and found.gated.gain.estimate > found.best.gain.estimate + 0.2
    assert found.gate_gain is not None and found.gate_gain.estimate < 0 and found.verdict == "one"


def test_a_gate_that_was_found_by_chance_is_not_found_again(small: Mazes) -> None:
    """Each level has a goal of its own, drawn at random, and there are 300 gates that mean nothing."""
    rng, s = np.random.default_rng(3), small.squares
    which = rng.integers(0, 2, len(small.state))[s.level] == 0
    wanted = np.where(which[:, None], small.best[0], small.best[2])
    odds = np.exp(4.0 * wanted)
    gates = rng.integers(0, 2, (300, len(small.state)))[:, s.level] == 0
    found = told(
        small, odds / odds.sum(1, keepdims=True), contexts=gates, context_names=[f"gate {c}" for c in range(300)],
        context_lengths=[8.0] * 300,
    )  # fmt: skip
    assert found.gate_gain is not None and found.gate_gain.low < 0 and found.verdict != "several"


def test_the_best_moves_are_those_of_the_shortest_ways_in_any_graph() -> None:
    rng = np.random.default_rng(0)
    following = rng.integers(0, 30, (30, 3))
    following[:, 0] = np.arange(30)
    target = np.arange(30) == 7
    best = best_moves(following, np.zeros(30, bool), np.array([0, 30]), target.astype(float))
    steps = steps_to(following, target)
    known = np.isfinite(steps) & ~target
    np.testing.assert_array_equal(best[known], steps[following[known]] == steps[known, None] - 1)
    assert best[~np.isfinite(steps)].all(), "where no way leads there no move is better"


def test_of_two_places_the_nearer_is_sought_and_of_equally_good_ones_the_worthier() -> None:
    line = np.arange(9)
    following = np.stack([line, (line - 1).clip(0), (line + 1).clip(max=8)], 1)
    both = (line == 0) + (line == 8) * 1.0
    best = best_moves(following, np.zeros(9, bool), np.array([0, 9]), np.stack([both, both + (line == 8)]))
    assert best[0, 3].tolist() == [False, True, False] and best[0, 4].tolist() == [False, True, True]
    assert best[1, 4].tolist() == [False, False, True]


def test_how_unlikely_uniform_moves_do_as_well_is_right_to_the_bit() -> None:
    following = np.array([[0, 1], [1, 1]])
    over, offsets, start = np.array([False, True]), np.array([0, 2]), np.array([0])
    there = np.array([[False, True]])
    uniform, goes = np.full((2, 2), 0.5), np.array([[0.0, 1.0], [0.5, 0.5]])
    found = served(goes, uniform, following, over, offsets, start, there, 30)
    assert found.bits[0, 0] == pytest.approx(1) and found.comes[0, 0] == pytest.approx(1)
    t = np.arange(1, 31)
    null = (0.5**t * -np.log2(1 - 0.5**t)).sum()
    assert found.null[0, 0] == pytest.approx(null, rel=1e-9)
    assert served(uniform, uniform, following, over, offsets, start, there, 30).bits[0, 0] == pytest.approx(
        null
    )


def test_in_mazes_it_is_what_sampled_walks_give() -> None:
    levels = mazes(7, 1, 40)
    s, moves = levels.squares, moves_of(levels, Handwritten("up-and-right", 7, 1.0))
    n = int(np.argsort(np.diff(s.offsets))[20])
    one = slice(s.offsets[n], s.offsets[n + 1])
    following, over, begins = s.next[one] - one.start, s.goal[one], s.start[n] - one.start
    uniform, rng, times = np.full(moves[one].shape, 0.2), np.random.default_rng(1), []
    for table in (uniform, moves[one]):
        node, time = np.full(20000, begins), np.full(20000, 101)
        for t in range(1, 101):
            draw = (rng.random(20000)[:, None] > table[node].cumsum(1)).sum(1).clip(max=4)
            node = np.where(over[node], node, following[node, draw])
            time = np.minimum(time, np.where(over[node], t, 101))
        times.append(time)
    chance = (times[0][:, None] <= np.arange(101)).mean(0).clip(1 / 20000)
    sampled = np.mean([-np.log2(chance[t]) if t < 101 else 0.0 for t in times[1]])
    found = served(
        moves[one], uniform, following, over, np.array([0, len(over)]), np.array([begins]), over[None], 100
    )
    assert found.bits[0, 0] == pytest.approx(sampled, rel=0.04) and sampled > 0.5
    assert found.comes[0, 0] == pytest.approx((times[1] < 101).mean(), abs=0.02)


def test_the_weights_of_a_soft_agent_are_found_again() -> None:
    levels = mazes(7, 1, 40)
    s = levels.squares
    features = np.stack([levels.utilities[n] for n in ("at the cheese", "at the top-left corner", "walls")])
    true, over = np.array([3.0, 1.0, -1.0]), torch.from_numpy(s.goal)
    to, reward = torch.from_numpy(s.next.astype(np.int64)), torch.from_numpy(true @ features)
    value = torch.where(over, reward / 0.03, 0.0)
    for _ in range(100):
        value = torch.where(over, value, (reward + 0.97 * value)[to].logsumexp(1) - np.log(5))
    moves = (reward + 0.97 * value)[to].softmax(1).numpy()
    weight = (~s.goal).astype(float)
    found = maximum_entropy(
        s.next, s.goal, features, moves, weight, s.level.astype(int), train=levels.train, penalty=0.0
    )
    np.testing.assert_allclose(found.weights, true, atol=1e-4)
    assert found.gain.low > 0.1


def test_what_cannot_be_come_to_and_what_does_not_fit_is_refused() -> None:
    levels = mazes(7, 1, 40)
    s, uniform = levels.squares, np.full(levels.squares.next.shape, 0.2)
    nowhere = np.zeros((1, len(s)), bool)
    with pytest.raises(
        ValueError, match=r"utility 0 \(1 of 1\) is at its best where no moves lead within 50 steps"
    ):
        served(uniform, uniform, s.next, s.goal, s.offsets, s.start, nowhere, 50)
    with pytest.raises(ValueError, match="leads out of a level"):
        best_moves(np.array([[1], [0]]), np.zeros(2, bool), np.array([0, 1, 2]), np.zeros(2))
    with pytest.raises(ValueError, match="not finite"):
        best_moves(s.next, s.goal, s.offsets, np.full(len(s), np.nan))
    with pytest.raises(ValueError, match="no level with a state that counts is held out"):
        told(levels, uniform, train=np.ones(len(levels.state), bool))
    with pytest.raises(ValueError, match="two utilities have one name"):
        told(levels, uniform, names=["one"] * len(levels.utilities))
    with pytest.raises(ValueError, match=r"contexts \[C, \d+\] bool"):
        told(levels, uniform, context_names=["one"])
