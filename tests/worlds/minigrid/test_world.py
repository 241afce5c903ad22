"""MiniGrid behind the contract: texts, edits, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.worlds.contract import check_world
from goalscope.worlds.minigrid import (
    Action,
    Colour,
    Facing,
    Kind,
    MiniGrid,
    add,
    move,
    move_agent,
    remove,
    things,
)

KEY = """\
agent 1 1 right
carries -
wants -
over no
#   #   #   #   #
#   .   Dyl Gg  #
#   Ky  #   .   #
#   .   #   .   #
#   #   #   #   #"""


@pytest.fixture(scope="module")
def world() -> MiniGrid:
    return MiniGrid("MiniGrid-DoorKey-5x5-v0")


@pytest.mark.parametrize(
    "name",
    [
        "MiniGrid-Empty-Random-5x5-v0",
        "MiniGrid-DoorKey-5x5-v0",
        "MiniGrid-LavaGapS5-v0",
        "MiniGrid-UnlockPickup-v0",
        "MiniGrid-PutNear-6x6-N2-v0",
        "MiniGrid-MemoryS7-v0",
    ],
)
@pytest.mark.parametrize("observation", ["partial", "flat"])
def test_contract(name: str, observation):
    check_world(MiniGrid(name, observation), seeds=np.arange(6), steps=60)


def test_a_text_is_a_level_and_the_key_opens_its_door(world: MiniGrid):
    state = world.parse(KEY)
    assert world.text(state) == [KEY]
    for action in (Action.TOGGLE, Action.FORWARD):  # locked: nothing happens
        state = world.step(state, np.array([action])).state
    assert world.text(state) == [KEY]
    rewards = []
    for action in (Action.RIGHT, Action.PICKUP, Action.LEFT, Action.TOGGLE, Action.FORWARD, Action.FORWARD):
        outcome = world.step(state, np.array([action]))
        state = outcome.state
        rewards.append(float(outcome.reward[0]))
    assert rewards == [0, 0, 0, 0, 0, 1] and state.over.all()
    lines = world.text(state)[0].split("\n")
    assert lines[:4] == ["agent 1 3 right", "carries Ky", "wants -", "over yes"]
    assert "Dyo" in lines[5] and "Ky" not in lines[6]


def test_a_box_gives_what_it_holds():
    world = MiniGrid("MiniGrid-DoorKey-5x5-v0")
    state = world.parse(KEY.replace("Ky ", "Br(Ky) ").replace("1 1 right", "1 1 down"))
    carried = world.step(state, np.array([Action.PICKUP])).state
    assert world.text(carried)[0].split("\n")[1] == "carries Br(Ky)"
    assert world.text(world.step(carried, np.array([Action.DROP])).state) == world.text(state)
    opened = world.step(state, np.array([Action.TOGGLE])).state
    assert things(opened)[0]["yellow key"] == (2, 1)


def test_edits_change_what_they_say_and_nothing_else(world: MiniGrid):
    state = world.parse(KEY)
    assert things(state) == [{"yellow door": (1, 2), "green goal": (1, 3), "yellow key": (2, 1)}]
    moved = move(state, np.array([[2, 1]]), np.array([[3, 3]]))
    assert things(moved)[0]["yellow key"] == (3, 3) and things(state)[0]["yellow key"] == (2, 1)
    assert np.array_equal(move(moved, np.array([[3, 3]]), np.array([[2, 1]])).cells, state.cells)
    assert "yellow key" not in things(remove(state, np.array([[2, 1]])))[0]
    added = add(state, np.array([[3, 1]]), Kind.KEY, Colour.YELLOW)
    assert things(added)[0]["yellow key 2"] == (3, 1)
    there = move_agent(state, np.array([[3, 3]]), Facing.UP)
    assert there.agent.tolist() == [[3, 3, 3]] and not there.over.any()


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda s: move(s, np.array([[3, 1]]), np.array([[3, 3]])), r"nothing lies on \(3, 1\)"),
        (lambda s: move(s, np.array([[2, 1]]), np.array([[1, 1]])), r"\(1, 1\) is not free"),
        (lambda s: move(s, np.array([[2, 1]]), np.array([[1, 3]])), r"\(1, 3\) is not free"),
        (lambda s: add(s, np.array([[2, 9]]), Kind.KEY, Colour.RED), "lies outside 5 x 5"),
        (lambda s: add(s, np.array([[3, 1]]), Kind.KEY, Colour.RED, 2), "status must be 0"),
        (lambda s: move_agent(s, np.array([[1, 3]])), "where a goal lies"),
        (lambda s: remove(s, np.array([1, 3])), r"squares must be \[1, 2\]"),
    ],
)
def test_edits_that_cannot_be_are_refused(world: MiniGrid, edit, words: str):
    with pytest.raises(ValueError, match=words):
        edit(world.parse(KEY))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Ky", "Xy", r"line 7, column 5: 'Xy' is no thing"),
        ("Dyl", "Dy", r"line 6, column 9: 'Dy' is no square"),
        ("#   Ky  #", "#   Ky", "line 7: 4 squares where the first row has 5"),
        ("agent 1 1", "agent 9 1", "line 1, column 7: the agent at 9 1 is outside"),
        ("right", "east", "is no ROW COLUMN FACING"),
        ("carries -", "carries Gg", "line 2, column 9: 'Gg' cannot be carried"),
        ("over no", "over maybe", "line 4, column 6"),
        ("wants -", "goal -", r"line 3, column 1: 'goal -' where 'wants ...' is wanted"),
        ("\n#   #   #   #   #", "", "line 5: the level has 3 x 5"),
    ],
)
def test_broken_texts_are_refused(world: MiniGrid, old: str, new: str, words: str):
    with pytest.raises(ValueError, match=words):
        world.parse(KEY.replace(old, new))


def test_names_and_rules_that_are_not_known_are_refused():
    with pytest.raises(ValueError, match="did you mean MiniGrid-DoorKey-6x6-v0"):
        MiniGrid("MiniGrid-DoorKey-6x6")
    with pytest.raises(ValueError, match=r"\(DynamicObstaclesEnv.step\): its obstacles move at random"):
        MiniGrid("MiniGrid-Dynamic-Obstacles-5x5-v0")
    with pytest.raises(ValueError, match="observation must be"):
        MiniGrid(observation="pixels")  # type: ignore[arg-type]


ASKED = """\
agent 2 1 right
carries -
wants Ab
over no
target 1 3
mission go to the blue ball
#  #  #  #  #  #
#  .  .  Ab .  #
#  .  .  .  .  #
#  .  Kr .  .  #
#  .  .  .  .  #
#  #  #  #  #  #"""


def test_a_level_holds_its_mission_and_the_square_that_it_speaks_of():
    world = MiniGrid("MiniGrid-GoToObject-6x6-N2-v0", "dict")
    state = world.parse(ASKED)
    assert world.text(state) == [ASKED]
    told = world.observe(state)
    assert told["mission"].tolist() == [b"go to the blue ball"] and told["direction"].tolist() == [0]
    assert [reward(world, state, way) for way in ("FFD", "FD", "FT")] == [1, 0, 0]
    # The thing moved takes the target with it; another thing does not.
    moved = world.move(state, "blue ball", np.array([[2, 3]]))
    assert moved.target.tolist() == [[2, 3]]
    assert [reward(world, moved, way) for way in ("FFD", "FD", "D")] == [1, 1, 0]
    assert world.move(state, "red key", np.array([[4, 4]])).target.tolist() == [[1, 3]]


def reward(world: MiniGrid, state, way: str) -> float:
    """Of the last of the actions FORWARD, LEFT, PICKUP, DROP (O), TOGGLE and DONE; nothing was paid before."""
    letters = {"F": 2, "L": 0, "R": 1, "P": 3, "O": 4, "T": 5, "D": 6}
    paid = [0.0]
    for letter in way:
        assert not any(paid) and not state.over.any()
        outcome = world.step(state, np.array([letters[letter]]))
        state = outcome.state
        paid.append(float(outcome.reward[0]))
    return paid[-1]


def test_what_a_text_must_say_of_its_mission():
    world = MiniGrid("MiniGrid-GoToObject-6x6-N2-v0")
    for line, words in (
        ("target 1 3\n", "line 5: 'target ROW COLUMN' is wanted"),
        ("mission go to the blue ball\n", "line 5: 'mission WORDS'"),
    ):
        with pytest.raises(ValueError, match=words):
            world.parse(ASKED.replace(line, ""))
    with pytest.raises(ValueError, match="line 5, column 8: '1 9' is no ROW COLUMN of the 6 x 6"):
        world.parse(ASKED.replace("target 1 3", "target 1 9"))
    with pytest.raises(ValueError, match="at most 96 ASCII characters"):
        world.parse(ASKED.replace("blue ball\n", "x" * 90 + "\n"))
    assert MiniGrid("MiniGrid-DoorKey-5x5-v0").parse(KEY).mission[0].startswith(b"use the key")
