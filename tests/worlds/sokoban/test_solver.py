"""The solver against brute force, its limits, and what it is told beforehand: bounds, deadlocks, distance tables."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from goalscope.worlds.contract import concatenate, take
from goalscope.worlds.sokoban import Move, Sokoban, SokobanState, solved
from goalscope.worlds.sokoban.deadlocks import (
    FAR,
    LARGEST_DYNAMIC,
    Board,
    compile_board,
    deadlocked,
    least_matching,
    lower_bound,
)
from goalscope.worlds.sokoban.lurd import replay
from goalscope.worlds.sokoban.solver import Outcome, solve, solve_many
from goalscope.worlds.sokoban.tables import DistanceTables
from goalscope.worlds.sokoban.text import parse_level, read_levels

_spec = importlib.util.spec_from_file_location(
    "sokoban_reference", Path(__file__).with_name("sokoban_reference.py")
)
assert _spec and _spec.loader
reference: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


def scattered(height: int, width: int, boxes: int, count: int, seed: int) -> SokobanState:
    """Random rooms, boxes, goals and players, solvable or not."""
    rng = np.random.default_rng(seed)
    walls = np.ones((count, height, width), bool)
    walls[:, 1:-1, 1:-1] = rng.random((count, height - 2, width - 2)) < 0.15
    goals, filled, player = np.zeros_like(walls), np.zeros_like(walls), np.zeros((count, 2), np.int16)
    for i in range(count):
        inside = [(r, c) for r in range(1, height - 1) for c in range(1, width - 1)]
        squares = np.array(inside)[rng.permutation(len(inside))]
        goals[i][tuple(rng.permutation(squares)[:boxes].T)] = True
        filled[i][tuple(squares[:boxes].T)] = True
        player[i] = squares[boxes]
        walls[i][goals[i] | filled[i]] = False
        walls[i][tuple(player[i])] = False
    return SokobanState(walls, goals, filled, player)


def test_lengths_are_those_of_brute_force():
    solvable, unsolvable = 0, 0
    for state in (
        Sokoban(5, 7, 1).generate(range(80)),
        Sokoban(6, 6, 2).generate(range(80)),
        Sokoban(6, 7, 3).generate(range(40)),
        scattered(5, 6, 2, 60, 0),
        scattered(5, 6, 3, 30, 1),
        scattered(4, 9, 2, 30, 2),
    ):
        found = solve_many(state)
        for i in range(len(state)):
            fewest = reference.Level(state, i).fewest_moves()
            assert found.moves[i] == (-1 if fewest is None else fewest), i
            assert (found.outcome[i] == Outcome.NO_SOLUTION) == (fewest is None)
            if fewest:
                played = replay(take(state, i), found.actions[i, :fewest].astype(int))
                assert played.solved and played.pushed.sum() == found.pushes[i]
            solvable, unsolvable = solvable + (fewest is not None), unsolvable + (fewest is None)
    assert solvable >= 200 and unsolvable >= 50, "both kinds of levels must occur"


def test_a_solution_by_hand():
    found = solve("########\n#@     #\n# $ .  #\n#      #\n########")
    assert (found.lurd, found.moves, found.pushes, found.solved) == ("dRR", 3, 2, True)
    assert found.actions.tolist() == [Move.DOWN, Move.RIGHT, Move.RIGHT] and found.at_least == 3
    # Walking and pushing differ: the fewest moves need not be the fewest pushes.
    assert solve("#####\n#@*.#\n# $ #\n#   #\n#####").solved


def test_solved_from_the_start():
    for text in ("#####\n#@* #\n#####", "#####\n#+* #\n# $ #\n#   #\n#####"):
        found = solve(text)
        assert found.solved and (found.moves == 0) == ("+" not in text)


UNSOLVABLE = {
    "box in a corner": "######\n#@   #\n#  . #\n#$   #\n######",
    "box at a wall without goals": "######\n#@   #\n#  . #\n#    #\n#  $ #\n######",
    "two boxes for one corner": "#######\n##.#. #\n## #  #\n#@$ $ #\n#  #  #\n#######",
    "four boxes in a square": "########\n#@     #\n# $$ ..#\n# $$ ..#\n#      #\n########",
    "box out of reach": "#########\n#@$. #$.#\n#########",
    "player locked in": "########\n#@#    #\n### $. #\n########",
    "needs search": "#######\n#@    #\n#$#.# #\n# #$# #\n# #.# #\n#     #\n#######",
}
SEEN = (
    "box in a corner",
    "box at a wall without goals",
    "four boxes in a square",
    "box out of reach",
    "player locked in",
)
"""those that `deadlocked` sees without a search"""


@pytest.mark.parametrize("case", UNSOLVABLE)
def test_levels_without_solution_are_called_so(case):
    state = parse_level(UNSOLVABLE[case])
    assert reference.Level(state, 0).fewest_moves() is None
    found = solve(state)
    assert (
        found.outcome is Outcome.NO_SOLUTION and not found.solved and found.lurd == "" and found.pushes == 0
    )
    if case in SEEN:
        assert deadlocked(state)[0]


def test_a_box_out_of_reach_on_its_goal_is_no_obstacle():
    assert solve("#########\n#@$. #* #\n#########").lurd == "R"


def test_a_limit_is_told_apart_from_no_solution():
    hard = take(Sokoban(10, 10, 4).generate(range(8)), 5)
    whole = solve(hard)
    calls = []
    cut = solve(hard, node_limit=50, progress=lambda *now: calls.append(now))
    assert whole.solved and whole.nodes > 50
    assert cut.outcome is Outcome.LIMIT_REACHED and cut.nodes == 50 and cut.lurd == ""
    assert 0 < cut.at_least <= whole.moves and calls == [(50, cut.at_least)]
    exactly = solve(hard, node_limit=whole.nodes + 1)
    assert exactly.solved and exactly.lurd == whole.lurd
    many = solve_many(concatenate([hard, hard]), node_limit=50)
    assert many.outcome.tolist() == [Outcome.LIMIT_REACHED] * 2 and many.moves.tolist() == [-1, -1]
    assert many.actions.shape == (2, 0)


def test_time_limit_and_progress():
    # Seven boxes in an open room: far more positions than can be looked at in a tenth of a second.
    inside = ["@          ", " $ $ $ $   ", "           ", "  $ $ $    ", "           ", "   ....... "]
    state = parse_level("\n".join(["#" * 13, *(f"#{row}#" for row in inside), "#" * 13]))
    calls = []
    cut = solve(state, seconds=0.1, progress=lambda nodes, bound: calls.append((nodes, bound)))
    assert cut.outcome is Outcome.LIMIT_REACHED
    assert (
        calls
        and calls[-1] == (cut.nodes, cut.at_least)
        and [n for n, _ in calls] == sorted(n for n, _ in calls)
    )


def test_solving_many_is_solving_each_and_threads_change_nothing():
    state = Sokoban(8, 8, 3).generate(range(30))
    one, two = solve_many(state), solve_many(state, threads=2)
    for name in ("actions", "moves", "pushes", "nodes", "outcome"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    seen = []
    solve_many(state, progress=seen.append)
    assert seen == list(range(1, 31))
    for i in range(30):
        alone = solve(take(state, i))
        assert alone.actions.tolist() == one.actions[i, : one.moves[i]].tolist()
        assert (one.actions[i, one.moves[i] :] == -1).all() and alone.nodes == one.nodes[i]


def test_memory_grows_without_changing_the_answer():
    # Many more nodes than the first arrays hold; small levels before and after use the same memory.
    small = Sokoban(10, 10, 4).generate(range(12))
    found = solve_many(small)
    assert found.nodes.max() > 10_000 and found.nodes.min() < 2_000
    again = solve_many(take(small, slice(None, None, -1)))
    assert np.array_equal(again.actions[::-1], found.actions) and np.array_equal(
        again.nodes[::-1], found.nodes
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"node_limit": 0}, "node_limit must be at least 1"),
        ({"seconds": 0.0}, "seconds must be positive"),
    ],
)
def test_wrong_limits(arguments, message):
    with pytest.raises(ValueError, match=message):
        solve("######\n#@$ .#\n######", **arguments)


def test_wrong_levels():
    state = read_levels("######\n#@$ .#\n######").states()
    with pytest.raises(ValueError, match="level 0: 1 boxes for 0 goals"):
        solve(SokobanState(state.walls, state.goals & False, state.boxes, state.player))
    with pytest.raises(ValueError, match="solve takes one level, got 2"):
        solve(concatenate([state, state]))
    huge = np.zeros((1, 200, 200), bool)
    with pytest.raises(ValueError, match="the levels are 200 x 200: the solver takes up to 32,767 squares"):
        solve(SokobanState(huge, huge, huge, np.zeros((1, 2), np.int16)))
    with pytest.raises(ValueError, match="threads must be at least 1"):
        solve_many(state, threads=0)


def test_matchings_are_least():
    rng = np.random.default_rng(0)
    for boxes, goals in itertools.product(range(1, 9), range(1, 10)):
        for _ in range(5):
            cost = rng.integers(0, 30, (boxes, goals))
            cost[rng.random(cost.shape) < 0.2] = FAR
            least = least_matching(cost)
            if boxes > goals:
                assert least >= FAR
                continue
            expected = cost[linear_sum_assignment(cost)].sum()
            assert least == expected if expected < FAR else least >= FAR
    assert LARGEST_DYNAMIC < 9, "both methods must have been used"


def everywhere(state: SokobanState) -> SokobanState:
    """All positions of one level: every place of the boxes and the player."""
    floor = [tuple(s) for s in np.argwhere(~state.walls[0])]
    count = int(state.boxes.sum())
    states = []
    for squares in itertools.combinations(floor, count):
        boxes = np.zeros_like(state.boxes)
        boxes[0][tuple(np.array(squares).T)] = True
        states += [
            SokobanState(state.walls, state.goals, boxes, np.array([p], np.int16))
            for p in floor
            if p not in squares
        ]
    return concatenate(states)


@pytest.mark.parametrize("seed", range(4))
def test_bounds_and_deadlocks_are_true_in_every_position(seed):
    level = Sokoban(6, 6, 2).generate([seed])
    positions = everywhere(level)
    tables = DistanceTables(1, 6, 6, 2)
    tables.fill([0], level)
    distance = tables.distance(np.zeros(len(positions), int), positions)
    lost = deadlocked(positions)
    assert (distance[lost] == -1).all(), "a deadlock that has a solution"
    assert lost.sum() > 0.4 * (distance == -1).sum(), "most deadlocks of small levels are simple"
    for i in range(0, len(positions), 7):
        row, column = map(int, positions.player[i])
        board = Board(*compile_board(level.walls[0], level.goals[0], positions.boxes[i], row, column))
        if board.stranded:
            continue
        cost = np.empty((len(board.boxes), len(board.distance)), np.int64)
        bound = lower_bound(board.floor, board.side, board.distance, board.boxes, board.player, cost)
        assert bound <= distance[i] or distance[i] == -1
        assert (bound == 0) == (distance[i] == 0)


def test_tables_agree_with_the_solver_and_their_moves_lead_to_the_goal():
    world = Sokoban(8, 8, 2)
    state = world.generate(range(40))
    slots = np.arange(40)[::-1].copy()
    tables = DistanceTables(40, 8, 8, 2)
    tables.fill(slots, state)
    rng = np.random.default_rng(0)
    for _ in range(25):
        state = world.step(state, rng.integers(0, 4, 40)).state
    found, distance = solve_many(state), tables.distance(slots, state)
    assert np.array_equal(np.where(found.outcome == Outcome.SOLVED, found.moves, -1), distance)
    assert 5 < (distance == -1).sum() < 35
    best = tables.optimal(slots, state)
    assert np.array_equal(best.any(1), distance > 0)
    for move in Move:
        after = world.step(state, np.full(40, move)).state
        nearer = tables.distance(slots, after) == distance - 1
        assert np.array_equal(best[:, move], nearer & (distance > 0))
    for _ in range(distance.max()):
        state = world.step(state, tables.optimal(slots, state).argmax(1)).state
    assert np.array_equal(solved(state), distance >= 0)


def test_tables_equal_brute_force_and_a_slot_can_be_filled_again():
    tables = DistanceTables(2, 5, 6, 2)
    state = scattered(5, 6, 2, 30, 3)
    for i in range(30):
        one = take(state, i)
        tables.fill([1], one)
        fewest = reference.Level(state, i).fewest_moves()
        assert tables.distance([1], one)[0] == (-1 if fewest is None else fewest)
    assert (tables.moves[0] == -1).all()


def test_wrong_tables():
    with pytest.raises(ValueError, match="10 x 10 with 4 boxes has 40,664,064 positions a level"):
        DistanceTables(1, 10, 10, 4)
    with pytest.raises(ValueError, match="no tables for 0 levels"):
        DistanceTables(0, 8, 8, 2)
    tables, state = DistanceTables(3, 8, 8, 2), Sokoban(8, 8, 2).generate(range(2))
    for slots, message in (([0], r"slots must be \[2\]"), ([0, 3], r"slots must lie in 0..2, got 0..3")):
        with pytest.raises(ValueError, match=message):
            tables.fill(slots, state)
    with pytest.raises(ValueError, match="the levels are 6 x 8, the tables 8 x 8"):
        tables.distance([0], Sokoban(6, 8, 2).generate([0]))
    with pytest.raises(ValueError, match="level 0 has 1 boxes, the tables are for 2"):
        tables.distance([0], Sokoban(8, 8, 1).generate([0]))
    walls = state.walls.copy()
    walls[1, 0, 4] = False
    with pytest.raises(ValueError, match=r"level 1: square \(0, 4\) at the edge is not a wall"):
        tables.fill([0, 1], SokobanState(walls, state.goals, state.boxes, state.player))
