"""The planning study of mazes, on networks of which it is known whether they plan."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from goalscope.commands import study as command
from goalscope.policies.checkpoint import Policy, load
from goalscope.policies.handwritten_networks import LocalPatterns, ValueIteration
from goalscope.policies.thinker import Thinker
from goalscope.studies.about import Outcome
from goalscope.studies.planning import words
from goalscope.studies.planning.findings import fronts
from goalscope.studies.planning.measure.thinking import close, openings, think, walks_into
from goalscope.studies.planning.measure.ways import NOWHERE, on_way, other_ways, right_moves
from goalscope.studies.planning.measure.windows import said_by, table_of, window_keys
from goalscope.studies.planning.measure.writing import (
    AHEAD,
    OWN,
    Writing,
    asked_of,
    best_of,
    directions,
    followed,
    random_like,
)
from goalscope.studies.planning.setup import Sizes, mazes_of, moments, shared_out, side
from goalscope.studies.planning.study import Options, prepare, study
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze, MazeState, parse_maze

SIZES = Sizes(read=150, chosen=8, written=17, random=1, thinking=20, closing=20)
SIDE = 17
TICKS = 130
"""more than the longest way"""


def options_of(module: torch.nn.Module, name: str, sites: tuple[str, ...] | None = None) -> Options:
    """Of a network by hand; the untrained lookup has a table drawn at random."""
    blank = None
    if isinstance(module, LocalPatterns):
        torch.manual_seed(0)
        blank = LocalPatterns().eval()
        blank.table.weight.normal_()
    return Options(Policy(module.eval(), name, "", {}), size=SIDE, sizes=SIZES, sites=sites, blank=blank)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Outcome, dict[str, Any]]]:
    """name -> outcome and findings: one that plans, one that looks up, one whose plan is read out where the mouse stands."""
    subjects = {
        "plans": (ValueIteration(TICKS), None), "looks-up": (LocalPatterns(), None),
        "one-square": (ValueIteration(TICKS), ("plan",)),
    }  # fmt: skip
    found = {}
    for name, (module, sites) in subjects.items():
        out = str(tmp_path_factory.mktemp("planning") / name)
        outcome = study(replace(options_of(module, name, sites), out=out))
        found[name] = (outcome, {f.id: f for f in outcome.findings})
    return found


def test_a_planner_is_found_to_plan_and_to_obey_what_is_written(made: dict[str, Any]) -> None:
    outcome, found = made["plans"]
    verdict, *lines = outcome.headline.split("\n\n")
    assert (
        verdict
        == "plans holds a plan of its way to the cheese, and writing another one elsewhere changes its moves."
    )
    assert len(lines) == 3 and "100.0%" in lines[0]
    assert found["read.way"].estimate == 1 and found["read.way"].control_could_differ
    assert all(f.low > 0 for i, f in found.items() if i.startswith("read.gain."))
    assert found["follow.way"].estimate == 1 and found["follow.way"].control == 0
    assert found["follow.way.off_manifold"].estimate < words.FAR_OUT
    # Of its 130 sweeps 40 are moments: what is swapped there is partly made good by those between them.
    assert words.is_lifted(found, "follow.swap") and found["follow.own_square"].estimate < 0.2
    assert found["replan.reach"].estimate == 1


def test_its_plan_forms_from_the_cheese_outwards_a_sweep_a_step(made: dict[str, Any]) -> None:
    found = made["plans"][1]
    assert found["form.rise"].low > 0.5 and found["form.rise"].control_high < 0.5
    # A step further is one sweep later, and 40 of its 130 sweeps are read.
    front = found["form.front"]
    assert 0.2 < front.estimate < 0.5 and front.low > front.control_high
    near, far = (found[f"form.{k}.moment_4"].estimate for k in ("near", "far"))
    assert near > 0.9 > 0.6 > far


def test_a_lookup_of_local_patterns_is_not_found_to_plan(made: dict[str, Any]) -> None:
    outcome, found = made["looks-up"]
    assert outcome.headline.startswith("No plan was found in looks-up: ")
    # Much of what it will do is read all the same: that alone shows nothing.
    assert found["read.does"].low > 0.75
    assert found["read.gain.window_3"].low <= 0 and found["read.gain.other_goal"].low <= 0
    assert found["follow.way"].estimate <= found["follow.way"].control_high
    assert not words.is_lifted(found, "follow.way") and not words.is_lifted(found, "follow.swap")
    assert "replan.reach" not in found or found["replan.reach"].estimate < 0.5


def test_a_plan_that_is_read_out_where_the_mouse_stands_is_told_apart(made: dict[str, Any]) -> None:
    """The map of next moves says the whole way, but the mouse reads one square of it: the others cause nothing."""
    outcome, found = made["one-square"]
    assert found["read.way"].estimate == 1 and not words.not_beaten(*_told(found))
    assert outcome.headline.split("\n\n")[0] == (
        "The way can be read from one-square, but that the plan on other squares causes its moves is not shown: only what "
        "is written where the mouse stands dictates a move."
    )
    assert found["follow.way"].estimate == 0 and found["follow.swap"].estimate == 0
    assert found["follow.own_square"].estimate > 0.9 and words.is_lifted(found, "follow.own_square")


def _told(found: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return prepare(options_of(ValueIteration(TICKS), "x")), found


def test_the_verdict_says_what_was_shown_and_no_more(made: dict[str, Any]) -> None:
    setup, found = _told(made["plans"][1])
    lift, far, swap = (found[f"follow.{k}"] for k in ("way.lift", "way.off_manifold", "swap.lift"))
    out = {far.id: replace(far, estimate=91.0, low=90.0, high=92.0)}
    none, no_swap = {lift.id: replace(lift, low=-0.1)}, {swap.id: replace(swap, low=-0.1)}
    assert "only far outside of ordinary activations" in words.verdict(setup, found | out)
    assert "along the directions that were tried is not shown to be followed" in words.verdict(
        setup, found | none
    )
    assert "is not shown" in words.verdict(setup, found | none | no_swap)
    gain = found["read.gain.window_11"]
    missed = words.verdict(setup, found | {gain.id: replace(gain, low=0.0)})
    assert missed == "No plan was found in x: the 11 x 11 squares around may tell its way as well."


def test_levels_that_flip_are_listed(made: dict[str, Any]) -> None:
    outcome, found = made["plans"]
    flips = json.loads((outcome.folder / "run.json").read_text())["flips"]
    turned = {t: levels["to_solved"] for t, levels in flips.items()}
    every = [level for levels in turned.values() for level in levels]
    assert len(every) == len(set(every)) > 10
    for t, levels in turned.items():
        assert found[f"think.to_solved_{t}"].estimate == pytest.approx(len(levels) / SIZES.thinking)
    assert not any(levels["to_unsolved"] for levels in flips.values())
    assert found["think.all.ticks_64"].low > found["think.all.ticks_2"].high


def test_right_moves_lead_to_the_square_and_ways_leave_both_ends_out() -> None:
    state = parse_maze("#####\n#C..#\n###.#\n#M..#\n#####")
    moves, steps = right_moves(state.walls, state.cheese)
    assert steps[0, 3, 1] == 6 and moves[0, 3].tolist() == [NOWHERE, 3, 3, 2, NOWHERE]
    assert moves[0, 1].tolist() == [NOWHERE, NOWHERE, 0, 0, NOWHERE]
    assert on_way(state)[0].sum() == 5 and not on_way(state)[0, 3, 1] and not on_way(state)[0, 1, 1]


def test_a_window_says_what_it_shows_and_nothing_of_what_lies_beyond() -> None:
    """Left a dead end, right a corridor that leads out of a window of 5; the cheese lies beyond it."""
    state = parse_maze("#########\n#..M...C#\n#########" + "\n#########" * 6)
    at, level = np.array([[1, 3]]), np.zeros(1, int)
    keys = {side: window_keys(state, level, at, side) for side in (3, 5, 9)}
    nothing = {
        side: said_by(table_of(np.zeros(0, int), np.zeros(0, int)), key)[0] for side, key in keys.items()
    }
    assert nothing[3][0] == pytest.approx(nothing[3][3], abs=0.01)  # either way leads out of 3 x 3
    assert nothing[9].tolist() == [0, 0, 0, 1]  # the cheese is seen
    further = replace(state, cheese=np.array([[1, 6]], np.int16))
    assert window_keys(further, level, at, 5) == keys[5]
    left = table_of(np.repeat(keys[3], 3), np.array([0, 0, 3]))
    assert said_by(left, keys[3])[0].argmax() == 0


def test_a_way_that_is_planned_without_the_window_beats_no_window_that_sees_all() -> None:
    """In mazes that a window covers from everywhere it is always right: no planner could be told from it there."""
    state = mazes_of(Maze(7, None), 40)
    level, row, column = np.nonzero(on_way(state))
    said = said_by(np.zeros((10000, 4)), window_keys(state, level, np.stack([row, column], 1), 13)).argmax(1)
    assert (said == right_moves(state.walls, state.cheese)[0][level, row, column]).all()


def test_other_ways_lead_into_branches_without_cheese() -> None:
    state = mazes_of(Maze(SIDE, None), 30)
    others = other_ways(state, 0)
    asked = asked_of(state, others)
    moves = right_moves(state.walls, state.cheese)[0]
    first = np.unique(asked.level, return_index=True)[1]
    at = asked.state.mouse.astype(int)
    bare = moves[others.maze[asked.level], at[:, 0], at[:, 1]]
    assert len(others.maze) > 15 and (asked.wanted >= 0).all() and (asked.wanted != bare).all()
    assert (
        asked.change[np.arange(len(at)), at[:, 0], at[:, 1]] == 0
    ).all()  # the mouse's own square stays as it is
    assert all(len(s) > 2 for s in others.squares) and len(first) == len(others.maze)


def test_the_mouses_own_square_is_left_out_or_is_all() -> None:
    setup = prepare(options_of(ValueIteration(TICKS), "x"))
    asked = asked_of(setup.written, other_ways(setup.written, 0)).take(slice(5))
    writing = Writing("mean", torch.eye(4)[None], (0,))
    here = asked.here()
    ahead, own = (writing.added(0, asked, where).abs().sum(1).numpy() > 0 for where in (~here, here))
    changed = (asked.moves != asked.bare) & (asked.moves >= 0) & (asked.bare >= 0)
    assert not (ahead & here).any() and (ahead == changed & ~here).all() and (own == changed & here).all()
    assert (AHEAD, OWN) == ("ahead", "own")


def test_random_vectors_have_the_norms_of_what_they_stand_beside() -> None:
    setup = prepare(options_of(ValueIteration(TICKS), "x"))
    probes = {f"weights.steps.{t}": np.full((1, 1), -0.5) for t in range(len(setup.sites))} | {
        "spread": np.ones(40)
    }
    writing = directions(setup, probes, "steps", "last", 2.0)
    assert torch.allclose(writing.vectors, torch.tensor(-4.0)) and writing.moments == (len(setup.sites) - 1,)
    (drawn,) = random_like(writing, setup)
    assert torch.allclose(drawn.vectors.abs(), writing.vectors.abs()) and drawn.moments == writing.moments


def test_of_equal_successes_the_weakest_is_taken() -> None:
    trial = np.zeros((3, 3, 5))
    trial[1, 2, 2:] = trial[2, 0, 3] = 0.75
    assert best_of(trial) == (1, 2, 2)


def test_a_front_is_found_at_its_pace_and_none_where_there_is_none() -> None:
    level, steps = np.repeat(np.arange(20), 12), np.tile(np.arange(1, 13), 20)
    arrived = np.arange(1, 30)[:, None] >= 2 * steps
    arrived[0] |= steps == 12  # right once by chance, and not for good
    mine, shuffled = fronts(arrived, steps, level, 0)
    assert np.allclose(mine, 2) and abs(shuffled.mean()) < 0.7
    assert np.allclose(fronts(np.ones_like(arrived), steps, level, 0)[0], 0)


def test_a_wall_that_closes_leaves_another_way() -> None:
    setup = prepare(options_of(ValueIteration(TICKS), "x"))
    which, wall, front = openings(setup.closing, 0)
    state = take(setup.closing, which)
    rows = np.arange(len(which))
    assert len(which) > 5 and state.walls[rows, wall[:, 0], wall[:, 1]].all()
    assert not state.walls[rows, front[:, 0], front[:, 1]].any()
    found = close(setup)
    assert found["takes"].all() and (found["reach"] == 1).all() and (found["detour"] > 2).all()
    far = think(setup)
    assert (np.diff(far["reach"].mean(1)) >= 0).all() and far["reach"][-1].mean() == 1
    assert callable(walks_into)


@pytest.mark.parametrize("options, said", [
    (Options("sokoban-small"), "has a memory"),
    (Options("mouse-topright"), "knows the moments of networks that think in ticks"),
    (Options("mouse-planner", size=8), "--size must be odd"),
    (Options("mouse-topright", size=9), "sees mazes of size 13, --size says 9"),
    (Options("mouse-planner", world="chess"), "--world must be maze or sokoban"),
    (Options("mouse-planner", seed=-1), "--seed must be"),
    (Options("mouse-topright", sites=("value_head",), sizes=SIZES), "something of every square"),
])  # fmt: skip
def test_what_the_study_cannot_take_is_refused(options: Options, said: str, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match=said):
        study(replace(options, out=str(tmp_path / "x")))


def test_moments_are_ticks_in_their_order() -> None:
    tied, untied = Thinker(ticks=3), Thinker(ticks=2, tied=False)
    assert moments(tied, None) == ("blocks.0@0", "blocks.0@1", "blocks.0@2")
    assert moments(untied, None) == ("blocks.0", "blocks.1") and moments(Thinker(1), None) == ("blocks.0",)
    assert (
        moments(ValueIteration(200), None)[-1] == "sweep@199"
        and len(moments(ValueIteration(200), None)) == 40
    )
    assert moments(tied, ("stem",)) == ("stem",) and side(load("mouse-planner"), None) == 25
    states = shared_out(Maze(SIDE, None), SIZES).values()
    every = np.concatenate([state.walls.reshape(len(state), -1) for state in states])
    assert len(every) == 215 and len(np.unique(every, axis=0)) == 215


def test_a_written_way_is_followed_only_where_every_step_is() -> None:
    setup = prepare(options_of(ValueIteration(TICKS), "x"))
    asked = asked_of(setup.written, other_ways(setup.written, 0))
    assert not followed(setup, asked, None).any()
    there = MazeState(asked.state.walls, asked.state.mouse, asked.end.astype(np.int16))
    assert followed(setup, replace(asked, state=there), None).all()


@pytest.mark.parametrize("world, name", [("sokoban", "sokoban"), ("maze", "planning"), ("chess", "planning")])
def test_the_command_asks_the_study_of_its_world(
    world: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of Sokoban it is the study that there is; a policy that is not named is the study's own."""
    asked: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(command, "study", lambda study, **options: asked.append((study, options)))
    monkeypatch.setattr(command, "_show", lambda outcome, json: None)
    command.study_planning(world=world, quick=True, site=["a", "b"])
    (study_name, options), *_ = asked
    assert (
        study_name == name and options["quick"] and options["sites"] == ("a", "b") and "policy" not in options
    )
    assert options.get("world") == (None if name == "sokoban" else world)
