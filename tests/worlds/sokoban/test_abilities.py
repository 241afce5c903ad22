"""What the Sokoban world offers a study of goals: boxes and targets by name, edits, aims, a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from goalscope.worlds.contract import check_world
from goalscope.worlds.sokoban import Sokoban

LEVEL = """\
#######
#@$ . #
# * $.#
#######"""


@pytest.fixture(scope="module")
def world() -> Sokoban:
    return Sokoban(4, 7, 3, min_pushes=1)


@pytest.fixture(scope="module")
def state(world: Sokoban):
    return world.parse(LEVEL)


def test_the_world_keeps_the_contract_with_its_edits():
    check_world(Sokoban(6, 6, 1, min_pushes=1), range(4), steps=30)


def test_boxes_and_targets_are_told_in_reading_order(world: Sokoban, state):
    assert world.things(state) == [
        {
            "box": (1, 2),
            "box 2": (2, 2),
            "box 3": (2, 4),
            "target": (1, 4),
            "target 2": (2, 2),
            "target 3": (2, 5),
        }
    ]
    assert world.agent(state).tolist() == [[1, 1]]
    assert np.argwhere(world.free(state)[0]).tolist() == [[1, 3], [1, 5], [2, 1], [2, 3]]


def test_edits_change_what_they_say_and_nothing_else(world: Sokoban, state):
    assert world.text(world.move(state, "box 2", np.array([[1, 5]])))[0] == LEVEL.replace("*", ".").replace(
        ". #", ".$#", 1
    )
    assert world.text(world.move(state, "target 2", np.array([[2, 1]])))[0] == LEVEL.replace("# *", "#.$")
    assert world.text(world.remove(state, "target 3"))[0] == LEVEL.replace("$.#", "$ #")
    assert world.text(world.move_agent(state, np.array([[1, 3]])))[0] == LEVEL.replace("@$ ", " $@")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("move", "box 4", [[1, 3]]), r"level 0: there is no 'box 4'; it has box, box 2, box 3, target"),
        (("move", "key", [[1, 3]]), "level 0: a Sokoban level has no 'key'"),
        (("move", "box", [[1, 1]]), r"level 0: the square \(1, 1\) is not free"),
        (("add", "box", [[0, 0]]), r"level 0: the square \(0, 0\) is not free: it has a wall"),
        (("move_agent", [[9, 9]]), r"level 0: the square \(9, 9\) lies outside the board"),
        (("move_agent", [1, 3]), r"squares must be \[1, 2\] integers"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_level(world: Sokoban, state, edit: tuple, words: str):
    name, *given = edit
    with pytest.raises(ValueError, match=words):
        getattr(world, name)(state, *given[:-1], np.array(given[-1]))


def test_the_aims_say_what_was_brought_about(world: Sokoban, state):
    def told(text: str) -> list[bool]:
        return [bool(aim(world.parse(text))[0]) for aim in world.aims().values()]

    assert told(LEVEL) == [True, False] and told(LEVEL.replace("*", "$").replace(". #", "..#")) == [
        False,
        False,
    ]
    assert told("#######\n#@  * #\n# * * #\n#######") == [True, True]


def test_a_level_is_drawn_with_all_that_lies_there(world: Sokoban, state):
    drawn = world.picture(state, 0)
    assert ET.fromstring(drawn) is not None and drawn == world.picture(state, 0)
    assert (drawn.count("<title>box</title>"), drawn.count("<title>box on a target</title>")) == (2, 1)
    assert drawn.count("<title>target</title>") == 3 and "player at row 1, column 1; 3 boxes, 1 home" in drawn
