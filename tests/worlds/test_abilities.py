"""What a world offers beside the protocol: the maze's, and what `check_world` says of one that offers it wrongly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from goalscope.worlds.contract import ABILITIES, check_world, take
from goalscope.worlds.maze import Maze, place_mouse, remove_cheese

SEEDS = list(range(8))
TEXT = """
#####
#M.C#
#.###
#..##
#####
"""


class Without(Maze):
    """The protocol and nothing else: what has no getter is not there."""

    things = agent = free = move = remove = add = move_agent = property()  # pyright: ignore[reportAssignmentType]


class NothingToJudgeBy(Maze):
    things = agent = free = property()  # pyright: ignore[reportAssignmentType]


class AgentsByOne(Maze):
    def agent(self, state):
        return super().agent(state)[:1]


class FreeAsNumbers(Maze):
    def free(self, state):
        return super().free(state).astype(int)


class FreeUnderTheMouse(Maze):
    def free(self, state):
        return ~state.walls


class ThingsOfTheFirst(Maze):
    def things(self, state):
        found = super().things(state)
        return found[:1] * len(found)


class ThingOutside(Maze):
    def things(self, state):
        return [{"cheese": (0, 99)}] * len(state)


class ThingsAsOne(Maze):
    def things(self, state):
        return super().things(state)[0]


class MovesTheMouse(Maze):
    def move(self, state, name, to):
        moved = super().move(state, name, to)
        return place_mouse(moved, state.cheese)


class MovesAllAlike(Maze):
    def move(self, state, name, to):
        moved = super().move(state, name, to)
        return dataclasses.replace(moved, cheese=np.resize(moved.cheese[0], moved.cheese.shape))


class MovesInPlace(Maze):
    def move(self, state, name, to):
        moved = super().move(state, name, to)
        state.cheese[:] = moved.cheese
        return moved


class MovesAndOpensWalls(Maze):
    def move(self, state, name, to):
        moved = super().move(state, name, to)
        return dataclasses.replace(moved, walls=np.zeros_like(moved.walls))


class MovesAnything(Maze):
    def move(self, state, name, to):
        return super().move(state, "cheese", to)


class MovesAnywhere(Maze):
    def move(self, state, name, to):
        cheese = np.asarray(to, np.int16)
        return (
            dataclasses.replace(state, cheese=cheese) if name == "cheese" else super().move(state, name, to)
        )


class MovesWithoutLevel(Maze):
    def move(self, state, name, to):
        try:
            return super().move(state, name, to)
        except ValueError as error:
            raise ValueError("this cannot be done") from error


class RemovesNothing(Maze):
    def remove(self, state, name):
        super().remove(state, name)
        return state


class AddsElsewhere(Maze):
    def add(self, state, name, to):
        added = super().add(state, name, to)
        return dataclasses.replace(added, cheese=added.mouse)


class AddsAtTheFirst(Maze):
    def add(self, state, name, to):
        return super().add(state, name, np.resize(np.asarray(to)[0], np.shape(to)))


class MoveAgentStays(Maze):
    def move_agent(self, state, to):
        super().move_agent(state, to)
        return state


class MoveAgentTakesCheese(Maze):
    def move_agent(self, state, to):
        return remove_cheese(super().move_agent(state, to))


class DrawsWords(Maze):
    def picture(self, state, i):
        return f"level {i}"


@pytest.mark.parametrize(
    ("broken", "clause"),
    [
        (
            NothingToJudgeBy,
            "it has move, remove, add, move_agent, and no things and agent and free to judge by",
        ),
        (AgentsByOne, r"agent gave int64 \[1, 2\], not \[8, 2\] int"),
        (FreeAsNumbers, "free gave int64"),
        (FreeUnderTheMouse, "the square of cheese in level 0 is said to be free"),
        (ThingsOfTheFirst, "level 1 asked alone for things, agent, free differs from the batch"),
        (ThingOutside, r"cheese of level 0 is at \(0, 99\), which is no \(row, column\)"),
        (ThingsAsOne, "things gave no list of 8 dictionaries"),
        (MovesTheMouse, "move moved the agent"),
        (MovesAllAlike, "level 1 edited alone by move differs from the batch"),
        (MovesInPlace, "move changed its input state"),
        (MovesAndOpensWalls, "cheese moved away and back: another level"),
        (MovesAnything, "move.no thing of this name, .* was done, and cannot be"),
        (MovesAnywhere, "move.cheese, .* was done, and cannot be"),
        (
            MovesWithoutLevel,
            "move.cheese, .* does not name the level that it refuses, .*: this cannot be done",
        ),
        (RemovesNothing, "after remove of cheese things are"),
        (AddsElsewhere, "after add of cheese things are"),
        (AddsAtTheFirst, "add refuses what can be done: level 2: the square"),
        (MoveAgentStays, "move_agent left the agent elsewhere"),
        (MoveAgentTakesCheese, "move_agent moved a thing"),
        (DrawsWords, "picture gave no SVG text"),
    ],
)
def test_an_ability_that_does_not_do_what_it_says_is_caught_by_its_clause(broken, clause):
    with pytest.raises(ValueError, match=f"world contract broken: ({clause})"):
        check_world(broken(7, None), SEEDS)


def test_a_world_may_offer_none_or_some():
    check_world(Without(7, None), SEEDS)
    assert not [name for name in ABILITIES if hasattr(Without(7), name)]


def test_the_maze_says_what_lies_where_and_what_is_free():
    maze = Maze(5)
    state = maze.parse(TEXT)
    assert maze.things(state) == [{"cheese": (1, 3)}]
    assert maze.agent(state).tolist() == [[1, 1]]
    assert np.argwhere(maze.free(state)[0]).tolist() == [[1, 2], [2, 1], [3, 1], [3, 2]]
    bare = maze.remove(state, "cheese")
    assert maze.things(bare) == [{}] and maze.free(bare)[0, 1, 3]


def test_edits_of_the_maze_change_one_thing():
    maze = Maze(5)
    state = maze.parse(TEXT)
    moved = maze.move(state, "cheese", np.array([[3, 2]]))
    assert maze.text(moved)[0].split() == ["#####", "#M..#", "#.###", "#.C##", "#####"]
    back = maze.add(maze.remove(moved, "cheese"), "cheese", np.array([[1, 3]]))
    assert maze.text(back) == maze.text(state)
    elsewhere = maze.move_agent(state, np.array([[3, 1]]))
    assert maze.text(elsewhere)[0].split() == ["#####", "#..C#", "#.###", "#M.##", "#####"]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m, s: m.move(s, "cheese", [[1, 2], [0, 0]]), r"level 1: the square \(0, 0\) is not free"),
        (lambda m, s: m.move(s, "cheese", [[1, 2], [1, 1]]), r"level 1: the square \(1, 1\) is not free"),
        (lambda m, s: m.move(s, "cheese", [[1, 2], [5, 0]]), r"level 1: square \(5, 0\) lies outside"),
        (lambda m, s: m.move(s, "coin", [[1, 2], [1, 2]]), "level 0: a maze has no 'coin', but a cheese"),
        (lambda m, s: m.add(s, "cheese", [[1, 2], [1, 2]]), "level 0: there is already a cheese"),
        (lambda m, s: m.remove(m.remove(s, "cheese"), "cheese"), "level 0: there is no cheese"),
        (lambda m, s: m.move_agent(s, [[1, 2], [1, 3]]), r"level 1: the square \(1, 3\) is not free"),
    ],
)
def test_what_cannot_be_done_in_a_maze_is_refused_by_level(edit, words):
    maze = Maze(5)
    state = take(maze.parse(TEXT), [0, 0])
    with pytest.raises(ValueError, match=words):
        edit(maze, state)
