"""The teachers of Sokoban: what they call good is good, in every state the student may come to, turned or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from goalscope.training.sokoban import teachers
from goalscope.training.sokoban.teachers import Library, Plans, Tables, read_library, turned, turned_moves
from goalscope.worlds.contract import concatenate, take
from goalscope.worlds.sokoban import Move, Sokoban, SokobanState, solved
from goalscope.worlds.sokoban.solver import solve_many
from goalscope.worlds.sokoban.text import levels_text

WORLD = Sokoban(7, 7, 2)


def library(levels: int = 30) -> Library:
    state = WORLD.generate(range(levels))
    return Library(state, solve_many(state).actions, 0)


def same(a: SokobanState, b: SokobanState) -> bool:
    return all(np.array_equal(getattr(a, k), getattr(b, k)) for k in ("walls", "goals", "boxes", "player"))


def teacher_and_levels(kind: str, n: int) -> tuple[Tables | Plans, SokobanState]:
    teacher = Tables(WORLD, n) if kind == "tables" else Plans(library(), n)
    return teacher, teacher.begin(np.arange(n), np.arange(10**9, 10**9 + n))


@pytest.mark.parametrize("kind", ["tables", "plans"])
def test_any_good_moves_from_the_start_solve_in_the_fewest_moves(kind):
    teacher, state = teacher_and_levels(kind, 64)
    fewest, rng = solve_many(state).moves, np.random.default_rng(0)
    taken, going = np.zeros(64, int), np.ones(64, bool)
    for _ in range(fewest.max()):
        good = teacher.good(state)
        assert good[going].any(1).all()
        actions = np.array([rng.choice(np.flatnonzero(row)) if row.any() else 0 for row in good])
        state, taken = WORLD.step(state, actions).state, taken + going
        going = ~solved(state)
    assert not going.any() and np.array_equal(taken, fewest)


@pytest.mark.parametrize("kind", ["tables", "plans"])
def test_after_any_blunder_the_good_moves_still_lead_out_or_nothing_is_good(kind):
    teacher, state = teacher_and_levels(kind, 96)
    rng = np.random.default_rng(1)
    for _ in range(15):
        teacher.good(state)
        state = WORLD.step(state, rng.integers(0, 4, 96)).state
    found = solve_many(state)
    good = teacher.good(state)
    lost = found.moves < 0
    assert np.array_equal(good.any(1), ~lost & ~solved(state)) and 10 < lost.sum() < 90
    for _ in range(2 * found.moves.max()):
        state = WORLD.step(state, good.argmax(1)).state
        good = teacher.good(state)
        lost |= solved(state)
        if lost.all():
            break
    assert lost.all()


def test_plans_are_kept_while_followed_and_searched_anew_when_left():
    teacher, state = teacher_and_levels("plans", 32)
    assert isinstance(teacher, Plans)
    for _ in range(solve_many(state).moves.min() - 1):
        state = WORLD.step(state, teacher.good(state).argmax(1)).state
    teacher.good(state)
    assert teacher.searches == 0
    rng = np.random.default_rng(0)
    for _ in range(10):
        state = WORLD.step(state, rng.integers(0, 4, 32)).state
        teacher.good(state)
    assert teacher.searches > 10


def test_walking_towards_the_next_push_is_good_on_every_shortest_way():
    world = Sokoban(5, 6, 1)
    level = world.parse("######\n#@   #\n#    #\n#  $.#\n######")
    level = SokobanState(*(getattr(level, k) for k in ("walls", "goals", "boxes", "player")))
    square = Sokoban(6, 6, 1).parse("\n".join(["######", "#@   #", "#    #", "#  $.#", "#    #", "######"]))
    assert solve_many(square).moves[0] == solve_many(level).moves[0] == 4
    teacher = Plans(Library(square, solve_many(square).actions, 0), 1)
    teacher.recall(square, teacher.memory())
    teacher._plan(np.arange(1), square, solve_many(square).actions)
    # To stand left of the box: two down and one right, in any order.
    assert teacher.good(square)[0].tolist() == [False, True, False, True]


def test_what_a_teacher_remembers_is_enough_to_go_on():
    one, state = teacher_and_levels("plans", 24)
    rng = np.random.default_rng(2)
    for _ in range(6):
        one.good(state)
        state = WORLD.step(state, rng.integers(0, 4, 24)).state
    assert isinstance(one, Plans)
    other = Plans(one.library, 24)
    other.recall(state, {name: array.copy() for name, array in one.memory().items()})
    for _ in range(12):
        good = one.good(state)
        assert np.array_equal(good, other.good(state))
        state = WORLD.step(state, np.where(good.any(1), good.argmax(1), 0)).state


@pytest.mark.parametrize("symmetry", range(teachers.SYMMETRIES))
def test_a_turned_level_under_turned_moves_is_the_turned_outcome(symmetry):
    state, rng = WORLD.generate(range(40)), np.random.default_rng(3)
    other = turned(state, symmetry)
    for _ in range(12):
        moves = rng.integers(0, 4, 40).astype(np.int8)
        state = WORLD.step(state, moves).state
        other = WORLD.step(other, turned_moves(moves, symmetry)).state
    assert same(turned(state, symmetry), other)
    assert turned_moves(np.array([-1, Move.UP]), symmetry)[0] == -1
    assert same(turned(state, symmetry), state) == (symmetry == 0)


def test_the_eight_ways_are_different_and_each_is_used():
    level = take(WORLD.generate(range(1)), 0)
    ways = [turned(level, symmetry) for symmetry in range(8)]
    assert sum(same(a, b) for a in ways for b in ways) == 8
    one = Library(level, solve_many(level).actions, 0)
    begun = Plans(one, 200).begin(np.arange(200), np.arange(200))
    counts = [sum(same(take(begun, i), way) for i in range(200)) for way in ways]
    assert sum(counts) == 200 and min(counts) > 10


# The library


def write_levels(folder: Path, files: int, each: int) -> list[Path]:
    paths = []
    for k in range(files):
        state = WORLD.generate(range(k * each, (k + 1) * each))
        paths.append(folder / f"{k:03}.txt")
        paths[-1].write_text(levels_text(state), encoding="utf-8")
    return paths


def test_a_library_is_solved_once_and_goes_on_after_a_kill(tmp_path, monkeypatch):
    paths = write_levels(tmp_path, 3, 4)
    calls: list[int] = []

    def counted(state: SokobanState, node_limit: int):
        calls.append(len(state))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return solve_many(state, node_limit)

    monkeypatch.setattr(teachers, "solve_many", counted)
    with pytest.raises(KeyboardInterrupt):
        read_library(paths, 7, tmp_path / "cache")
    found = read_library(paths, 7, tmp_path / "cache")
    assert calls == [4, 4, 4, 4] and found.unsolved == 0
    assert same(found.state, WORLD.generate(range(12)))
    state = found.state
    for actions in found.actions.T:
        step = WORLD.step(state, np.where(actions < 0, 0, actions)).state
        kept = actions < 0
        state = concatenate([take(state if kept[i] else step, i) for i in range(12)])
    assert solved(state).all()
    # A limit that is too low leaves levels out and says how many.
    few = read_library(paths, 7, tmp_path / "cache", node_limit=3)
    assert few.unsolved > 0 and len(few.state) + few.unsolved == 12


def test_bad_libraries_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no level files"):
        read_library([], 7, tmp_path)
    paths = write_levels(tmp_path, 1, 2)
    with pytest.raises(ValueError, match="larger than the 6 x 6"):
        read_library(paths, 6, tmp_path)
    paths[0].write_text(paths[0].read_text(encoding="utf-8").replace("@", " ", 1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"000\.txt: level 1 .*no player"):
        read_library(paths, 7, tmp_path)
    oblong = Sokoban(6, 8, 1).generate(range(2))
    with pytest.raises(ValueError, match="square to be turned, these are 6 x 8"):
        Plans(Library(oblong, solve_many(oblong).actions, 0), 2)
