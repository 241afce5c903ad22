"""A policy edited inside: what the page shows are the study's own edits, beside controls of the same norm."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

import goalscope
from goalscope.app import edited
from goalscope.app.edited import cheese_fields, learn, reach_of, sent_fields
from goalscope.rollout import Fields
from goalscope.stats import bootstrap_clustered
from goalscope.studies.maze_internals.measure.retarget import Moved, move_goal
from goalscope.studies.maze_internals.setup import Sizes, activations, cells, run
from goalscope.worlds.maze import Maze, remove_cheese

WORLD = Maze(13, cheese_region=None)
STATE = WORLD.generate([1])
TEXT = WORLD.text(STATE)[0]
POLICY = goalscope.load("mouse-topright")


JUDGED: list[Moved] = []
"""what the study's own function gave"""


@pytest.fixture(scope="module")
def learnt():
    """The moved goal from few mazes."""

    def moved(*given):
        JUDGED.append(move_goal(*given))
        return JUDGED[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(edited, "QUICK", Sizes(4, 4, 4, 4, 1, 1, ()))
        patched.setattr(edited, "move_goal", moved)
        yield learn(POLICY)


def start(found: Fields) -> np.ndarray:
    """Log-probabilities of the moves where the mouse is, and the value."""
    at = found.squares.start[0]
    return np.append(np.log(found.moves[at]), found.value[at])


def test_minus_one_cheese_vector_is_no_cheese_where_it_was_taken():
    bare, gone = (goalscope.fields(POLICY, WORLD, state) for state in (STATE, remove_cheese(STATE)))
    assert np.allclose(start(cheese_fields(POLICY, STATE, -1.0)), start(gone), atol=1e-3)
    assert not np.allclose(start(bare), start(gone), atol=0.5), "the cheese makes a difference there"
    assert np.allclose(cheese_fields(POLICY, STATE, 0.0).moves, bare.moves, atol=1e-6)


def test_the_page_shows_the_cheese_vector_beside_a_random_one_of_its_norm(asking):
    found = asking.ask("/api/maze", text=TEXT, beside="edit:cheese", dose=-1)
    rows = {row["name"]: row["estimate"] for row in found["effect"]["rows"]}
    edited_, noise = (cheese_fields(POLICY, STATE, -1.0, random) for random in (False, True))
    assert rows["cheese vector, dose -1"] == edited_.reach_from_start(200)[0] < 0.1
    assert rows["random vector of equal norm"] == noise.reach_from_start(200)[0] > 0.9
    assert rows["no edit"] == found["panels"][0]["reach_start"] > 0.9
    assert found["panels"][1]["moves"] == edited_.moves.tolist() and found["difference"]
    assert "dose must be at" in asking.refused("/api/maze", text=TEXT, beside="edit:cheese", dose=40)
    bare = TEXT.replace("C", ".")
    assert "no cheese" in asking.refused("/api/maze", text=bare, beside="edit:cheese")


def test_the_moved_goal_is_the_studys_edit_with_the_cheese_where_it_is(learnt):
    to = (0, 0)
    site = learnt.setup.layout.middle
    plain = activations(POLICY.module, WORLD, STATE, site)[site]
    change = learnt.edit.change(torch.from_numpy(cells(learnt.setup, np.array([to]), 7)), 7, 7)
    assert (learnt.edit.source == cells(learnt.setup, np.array([[0, 12]]), 7)[0]).all(), (
        "the study's cheese, top right"
    )
    shift = torch.tensor(cells(learnt.setup, STATE.cheese, 7)[0] - learnt.edit.source)
    assert tuple(plain.shape[-2:]) == (7, 7) and shift.any()
    own = sent_fields(POLICY, STATE, to, learnt)
    corner = WORLD.parse(TEXT.replace("C", "."))
    corner = goalscope.place_cheese(corner, np.array([0, 12]))
    theirs = run(learnt.setup, corner, site, lambda x, level: x + change[level * 0])
    assert np.allclose(sent_fields(POLICY, corner, to, learnt).moves, theirs.moves, atol=1e-6)
    assert not np.allclose(own.moves, goalscope.fields(POLICY, WORLD, STATE).moves, atol=1e-2)
    noise = sent_fields(POLICY, STATE, to, learnt, random=True)
    assert reach_of(noise, to, 200) != reach_of(own, to, 200)


def test_what_stands_beside_it_was_judged_on_other_mazes_with_intervals_over_mazes(learnt):
    (moved,) = JUDGED
    rows = {row["name"]: row for row in learnt.rows}
    for name, key in (
        ("edited", "success"),
        ("noise of equal norm", "floor"),
        ("the cheese put there", "ceiling"),
    ):
        wanted = bootstrap_clustered(
            moved.found[f"move.{key}"], moved.found["move.level"], bounds=(0, 1), seed=0
        )
        assert (rows[name]["estimate"], rows[name]["low"], rows[name]["n"]) == (
            wanted.estimate,
            wanted.low,
            wanted.n,
        )
    walls = [learnt.setup.largest.walls, learnt.setup.largest_held.walls]
    assert not any((held == found).all() for held in walls[1] for found in walls[0])


@pytest.mark.parametrize(
    ("to", "words"), [((0, 1), "is a wall"), ((12, 0), "where the mouse"), ((40, 1), "is a wall")]
)
def test_nobody_is_sent_into_a_wall(learnt, to, words):
    with pytest.raises(ValueError, match=words):
        sent_fields(POLICY, STATE, to, learnt)


def test_the_page_says_that_it_learns_and_then_shows_what_it_learnt(asking, learnt, monkeypatch, capsys):
    monkeypatch.setattr(edited, "learn", lambda policy: learnt)
    asked = {"text": TEXT, "beside": "edit:send", "to": [0, 0]}
    found = asking.ask("/api/maze", **asked)
    while found["effect"]["learning"]:
        assert len(found["panels"]) == 1
        time.sleep(0.05)
        found = asking.ask("/api/maze", **asked)
    rows = {row["name"]: row["estimate"] for row in found["effect"]["rows"]}
    assert rows["goal moved there"] == reach_of(sent_fields(POLICY, STATE, (0, 0), learnt), (0, 0), 200)
    assert found["effect"]["held_out"] == learnt.rows and "way to the chosen square" in found["key"]
    exec(found["python"], {})
    assert capsys.readouterr().out.split()[-1] == str(rows["goal moved there"])
