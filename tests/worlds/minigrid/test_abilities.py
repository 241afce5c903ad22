"""What a MiniGrid world offers a study of goals: things by name, free squares, edits, a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from goalscope.worlds.contract import concatenate
from goalscope.worlds.minigrid import MiniGrid

ROOM = """\
agent 1 1 right
carries -
wants -
over no
#   #   #   #   #   .
#   .   Dyl Gg  #   .
#   Ky  #   .   #   .
#   Br(Ky) # Ky #   .
#   #   #   #   #   ."""


@pytest.fixture(scope="module")
def world() -> MiniGrid:
    made = MiniGrid("MiniGrid-DoorKey-5x5-v0")
    made.height, made.width = 5, 6
    return made


@pytest.fixture(scope="module")
def state(world: MiniGrid):
    return world.parse(ROOM)


def test_what_lies_where_and_where_nothing_does(world: MiniGrid, state):
    assert world.things(state) == [
        {"yellow door": (1, 2), "green goal": (1, 3), "yellow key": (2, 1), "red box": (3, 1), "yellow key 2": (3, 3)}
    ]  # fmt: skip
    assert world.agent(state).tolist() == [[1, 1]]
    # Behind the locked door is room; outside the walls is none, nor on the agent's own square.
    assert np.argwhere(world.free(state)[0]).tolist() == [[2, 3]]


def test_lava_keeps_the_agent_from_what_is_behind_it(world: MiniGrid, state):
    behind = world.parse(ROOM.replace("Dyl", "Vr "))
    assert not world.free(behind).any()


def test_edits_by_name_in_every_level(world: MiniGrid, state):
    two = concatenate([state, world.remove(state, "red box")])
    here = np.array([[2, 3], [3, 1]])
    moved = world.move(two, "yellow key", here)
    assert moved.cells[[0, 1], here[:, 0], here[:, 1], 0].tolist() == [5, 5]
    assert moved.cells[0, 2, 1, 0] == 1 and two.cells[0, 2, 1, 0] == 5
    bare = world.remove(two, "yellow key 2")
    assert [sorted(level) for level in world.things(bare)][1] == ["green goal", "yellow door", "yellow key"]
    again = world.add(bare, "yellow key 2", np.array([[3, 3], [3, 3]]))
    assert np.array_equal(again.cells, two.cells)
    assert world.things(world.move(state, "yellow door", np.array([[2, 3]])))[0]["yellow door"] == (2, 3)
    assert world.move(state, "yellow door", np.array([[2, 3]])).cells[0, 2, 3].tolist() == [4, 4, 2]
    assert world.add(state, "blue door", np.array([[2, 3]])).cells[0, 2, 3].tolist() == [4, 2, 1]
    box = world.move(state, "red box", np.array([[2, 3]]))
    assert box.inside[0, 2, 3].tolist() == [5, 4] and not box.inside[0, 3, 1].any()
    assert world.agent(world.move_agent(state, np.array([[2, 3]]))).tolist() == [[2, 3]]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda w, s: w.move(s, "yelow key", [[2, 3], [2, 3]]), "level 0: no 'yelow key' .* did you mean 'yellow key'"),
        (lambda w, s: w.remove(s, "red box"), "level 1: no 'red box' lies here"),
        (lambda w, s: w.move(s, "yellow key", [[2, 3], [1, 1]]), r"level 1: the square \(1, 1\) is not free"),
        (lambda w, s: w.move(s, "yellow key", [[2, 3], [0, 5]]), r"level 1: the square \(0, 5\) is not free"),
        (lambda w, s: w.move_agent(s, [[3, 3], [2, 3]]), r"level 0: the square \(3, 3\) is not free"),
        (lambda w, s: w.add(s, "yellow key", [[2, 3], [2, 6]]), r"level 1: square \(2, 6\) lies outside 5 x 6"),
        (lambda w, s: w.add(s, "yellow wall", [[2, 3], [2, 3]]), "level 0: 'yellow wall' is no thing: a colour"),
        (lambda w, s: w.add(s, "key", [[2, 3], [2, 3]]), "level 0: 'key' is no thing"),
    ],
)  # fmt: skip
def test_edits_that_cannot_be_name_the_level(world: MiniGrid, state, edit, words: str):
    two = concatenate([state, world.remove(state, "red box")])
    with pytest.raises(ValueError, match=words):
        edit(world, two)


def test_a_picture_shows_every_thing_by_its_name(world: MiniGrid, state):
    drawn = ET.fromstring(world.picture(state, 0))
    assert drawn.get("viewBox") == "0 0 192 160"
    titles = [title.text for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(t or "" for t in titles[1:]) == sorted([*world.things(state)[0], "agent, carries nothing"])
    assert world.picture(state, 0) == world.picture(world.parse(ROOM), 0)
    opened = world.parse(ROOM.replace("Dyl", "Dyo").replace("carries -", "carries Ab"))
    assert "agent, carries blue ball" in world.picture(opened, 0)
    assert world.picture(opened, 0) != world.picture(state, 0)
