"""What the page is told of a maze is what the package's own functions give, number by number."""

from __future__ import annotations

import numpy as np
import pytest

import goalscope
from goalscope.worlds.maze import Maze

WORLD = Maze(13, cheese_region=None)
SMALL = "#####\n#M.C#\n#.#.#\n#...#\n#####"


def text_of(seed: int) -> str:
    return WORLD.text(WORLD.generate([seed]))[0]


@pytest.mark.parametrize("policy", ["mouse-topright", "mouse-topright@39062"])
def test_the_numbers_are_those_of_vector_field(asking, policy):
    for seed in range(4):
        found = asking.ask("/api/maze", text=text_of(seed), policy=policy)
        (panel,) = found["panels"]
        loaded = goalscope.load(policy)
        field = goalscope.vector_field(loaded, text_of(seed))
        assert found["squares"] == field.squares.tolist()
        assert panel["reach_start"] == field.reach_start
        for name in ("moves", "reach"):
            assert panel[name] == getattr(field, name).tolist()
        assert np.array_equal(np.array(panel["value"], np.float32), field.value.astype(np.float32))
        ends = goalscope.fields(loaded, WORLD, field.maze).occupancy(200)
        assert panel["final"] == ends.final.tolist() and panel["visits"] == ends.visits.tolist()
        assert sum(panel["final"]) == pytest.approx(1) and panel["expected_steps"] == ends.visits.sum()


def test_where_it_starts_is_where_the_mouse_is(asking):
    found = asking.ask("/api/maze", text=SMALL)
    (panel,) = found["panels"]
    start = found["squares"].index([5, 5])
    assert found["text"].splitlines()[5][5] == "M", "the maze stands in the middle of the policy's world"
    assert panel["reach_start"] == panel["reach"][start]
    assert panel["moves_start"] == panel["moves"][start] and panel["value_start"] == panel["value"][start]
    assert panel["actions"] == ["left", "down", "up", "right", "stay"]


def test_the_time_limit_counts(asking):
    few = asking.ask("/api/maze", text=SMALL, steps=1)["panels"][0]
    assert few["reach_start"] == 0.0, "the cheese is two steps away"
    two = asking.ask("/api/maze", text=SMALL, steps=2)["panels"][0]
    moves = {tuple(square): i for i, square in enumerate(asking.ask("/api/maze", text=SMALL)["squares"])}
    right = two["actions"].index("right")
    there = two["moves"][moves[5, 5]][right] * two["moves"][moves[5, 6]][right]
    assert two["reach_start"] == pytest.approx(there, abs=1e-12)


def test_two_policies_stand_beside_each_other_with_their_difference(asking):
    found = asking.ask("/api/maze", text=text_of(1), policy="mouse-topright", beside="mouse-corner")
    assert [panel["name"] for panel in found["panels"]] == ["mouse-topright", "mouse-corner"]
    for panel in found["panels"]:
        alone = asking.ask("/api/maze", text=text_of(1), policy=panel["name"])["panels"][0]
        assert panel["moves"] == alone["moves"]
    assert found["difference"]["name"] == "mouse-corner minus mouse-topright"
    assert asking.ask("/api/maze", text=text_of(1))["difference"] is None


def test_a_maze_without_cheese_has_no_chance_to_reach_it(asking):
    panel = asking.ask("/api/maze", text=SMALL.replace("C", "."))["panels"][0]
    assert panel["reach_start"] is None and sum(panel["final"]) == pytest.approx(1)
    assert panel["expected_steps"] == pytest.approx(200)


def test_the_lines_of_python_give_the_same_numbers(asking, capsys):
    found = asking.ask(
        "/api/maze", text=text_of(2), policy="mouse-topright", beside="mouse-anywhere", steps=60
    )
    names: dict = {}
    exec(found["python"], names)
    said = capsys.readouterr().out.split()
    assert said == [word for panel in found["panels"] for word in (panel["name"], str(panel["reach_start"]))]
    assert names["field"].moves.tolist() == found["panels"][1]["moves"]
    assert names["ends"].final.tolist() == found["panels"][1]["final"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the maze text is empty"),
        ("#####\n#M.C#\n#.x.#\n#...#\n#####", "line 3, column 3: unknown character 'x'"),
        ("#####\n#M.C#\n#.#.\n#...#\n#####", "line 3 has 4 characters"),
        ("#####\n#M#C#\n#.#.#\n#.#.#\n#####", "cannot be reached"),
        ("#####\n#...#\n#...#\n#...#\n#####", "no mouse"),
        ("\n".join(["." * 15] * 14 + ["M" + "." * 14]), "larger than the 13 x 13"),
    ],
)
def test_a_bad_maze_is_refused_where_it_is_wrong(asking, text, words):
    assert words in asking.refused("/api/maze", text=text)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "text must be a text, got nothing"),
        ({"text": 3}, "text must be a text"),
        ({"text": SMALL, "policy": "/etc/passwd"}, "no policy of this page"),
        ({"text": SMALL, "policy": "tests/app/conftest.py:page"}, "no policy of this page"),
        ({"text": SMALL, "policy": "sokoban-small"}, "memory"),
        ({"text": SMALL, "paint": "beauty"}, "paint is one of reach"),
        ({"text": SMALL, "steps": 0}, "steps must be at least 1"),
        ({"text": SMALL, "steps": True}, "steps must be a whole number"),
        ({"text": "x" * 30_000}, "at most 20,000"),
    ],
)
def test_a_bad_question_is_refused_in_one_line(asking, asked, words):
    assert words in asking.refused("/api/maze", **asked)


def test_levels_are_those_of_the_world(asking):
    assert asking.ask("/api/level", level=7, size=13, anywhere=True)["text"] == text_of(7)
    assert "odd" in asking.refused("/api/level", size=8)


def test_the_drawing_shows_the_whole_world_and_markup_in_a_name_stays_text(asking):
    from dataclasses import replace

    from goalscope.app.desk import Desk
    from goalscope.app.mazes import maze_answer

    name = "<script>alert(1)</script>"
    desk = Desk(replace(asking.desk.given, name=name), name)
    found = maze_answer(desk, {"text": SMALL, "policy": name})
    svg = found["panels"][0]["svg"]
    assert "<script" not in svg and "&lt;script" in svg and " style=" not in svg.split("\n")[0]
    floor = svg.split('<g shape-rendering="crispEdges"')[1].split("</g>")[0]
    assert 'x="5" y="5" width="1"' in floor, (
        "squares are counted from the corner of the world, not of the maze"
    )
    assert desk.policies()[0]["name"] == name
