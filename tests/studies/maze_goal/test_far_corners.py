"""Where the corner draws a policy: by size and depth, on policies whose pursuit is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from goalscope.evidence.finding import Finding
from goalscope.policies import PolicyOutput
from goalscope.policies.checkpoint import Policy
from goalscope.policies.handwritten import Handwritten, limited_scores, rule_scores
from goalscope.rollout import fields
from goalscope.studies.maze_goal.measure import far_corners
from goalscope.studies.maze_goal.measure.far_corners import cases, measure_far_corners
from goalscope.studies.maze_goal.measure.fields import measure, study_levels
from goalscope.studies.maze_goal.study import Options, study
from goalscope.studies.maze_goal.words import EVERYWHERE, verdict, wanted
from goalscope.worlds.maze import Maze, MazeState, parse_maze

SIZE = 11
CONFIG = {"architecture": {"name": "compact", "size": SIZE, "channels": 8, "blocks": 1}}


class Limited(nn.Module):
    """Seeks a cheese that is off the border or near; else the top-right corner."""

    size = SIZE

    def __init__(self, near: int):
        super().__init__()
        self.near = near

    def encode(self, observations: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(observations).float()

    def forward(self, x: torch.Tensor) -> PolicyOutput:
        planes = x.numpy() > 0.5
        at = [
            np.stack(np.divmod(p.reshape(len(p), -1).argmax(1), SIZE), 1)
            for p in (planes[:, 1], planes[:, 2])
        ]
        cheese = np.where(planes[:, 2].any((1, 2))[:, None], at[1], -1).astype(np.int16)
        state = MazeState(planes[:, 0], at[0].astype(np.int16), cheese)
        logits = torch.from_numpy(limited_scores(state, self.near, inner=True)).float() / 0.05
        return PolicyOutput(logits, torch.zeros(len(x)))


@pytest.fixture(scope="module")
def levels():
    return study_levels(Maze(SIZE, None), Maze(SIZE, 5), 0, 80)


def test_a_limited_pursuit_goes_to_the_corner_only_from_a_cheese_that_is_far_and_on_the_border(
    levels,
) -> None:
    far = measure_far_corners(Limited(near=4), levels)
    assert cases(far) == [("size", 7), ("size", 9), ("depth", 0), ("depth", 2), ("depth", 4)]
    # In some mazes the way to the corner leads past the cheese.
    assert far["far.depth.0.corner"].mean() > 0.8 and far["far.depth.0.cheese"].mean() < 0.2
    for depth in (2, 4):
        assert (
            far[f"far.depth.{depth}.cheese"].mean() > 0.99 and far[f"far.depth.{depth}.corner"].mean() < 0.01
        )


def test_what_is_known_of_the_largest_mazes_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    few = study_levels(Maze(SIZE, None), Maze(SIZE, 5), 0, 20)
    policy = Handwritten("up-and-right", SIZE, temperature=0.5)
    alone, asked = measure_far_corners(policy, few), []

    def counted(module, world, state):
        asked.append(len(state))
        return fields(module, world, state)

    monkeypatch.setattr(far_corners, "fields", counted)
    beside = measure_far_corners(policy, few, measure(policy, few))
    assert list(beside) == list(alone) and len(asked) == 2 * (len(cases(alone)) - 1)
    for name, values in alone.items():
        np.testing.assert_array_equal(beside[name], values)
    assert alone["far.depth.0.corner"].std() > 0


def test_wandering_comes_to_the_third_corner_no_less(levels) -> None:
    far = measure_far_corners(Handwritten("up-and-right", SIZE, temperature=1e6), levels)
    for kind, value in cases(far):
        corner, third = (far[f"far.{kind}.{value}.{k}"] for k in ("corner", "third"))
        assert 0 < corner.mean() < third.mean()  # which is nearer to where the mouse starts


def test_the_corner_first_and_the_cheese_first_are_all_that_can_happen(levels) -> None:
    policy = Handwritten("corner-then-cheese", SIZE)
    far = measure_far_corners(policy, levels)
    size = next(n for kind, n in cases(far) if kind == "size")
    assert far[f"far.size.{size}.corner"].mean() > 0.8
    # It comes to the corner, unless the cheese lies on the way: then the level is over there.
    assert np.allclose(far[f"far.size.{size}.cheese"] + far[f"far.size.{size}.corner"], 1, atol=1e-3)


def test_the_headline_says_where(tmp_path: Path) -> None:
    policy = Policy(Limited(near=4), "limited", "", CONFIG)
    outcome = study(Options(policy=policy, levels=120, out=str(tmp_path / "run")))
    verdict, *lines = outcome.headline.split("\n\n")
    assert verdict.startswith("limited pursues the cheese; the top-right corner draws it only in ")
    assert "in the largest mazes with the cheese on the border" in verdict
    assert len(lines) == 3


def finding(identifier: str, low: float) -> Finding:
    return Finding(
        id=identifier, question="q", estimate=low + 0.05, low=low, high=low + 0.1, n=50, unit="probability",
        control=0.0, control_low=-0.05, control_high=0.05, control_name="untrained", method="m", site="behaviour",
        policy="mouse", policy_sha256="", world="maze", seed=0, code_version="0",
    )  # fmt: skip


def subject(cheese: float, **corner: float) -> dict[str, Finding]:
    rows = [finding("reach.cheese_pull", cheese)]
    rows += [finding(f"reach.far_corner.{case}", low) for case, low in corner.items()]
    return {row.id: row for row in rows}


def test_one_size_is_not_all_sizes() -> None:
    everywhere = subject(0.5, size_9=0.3, depth_0=0.3, depth_2=0.3)
    assert wanted(everywhere) == (True, EVERYWHERE)
    assert verdict(everywhere) == "mouse pursues both the cheese and the top-right corner."
    only = subject(0.5, size_9=0.0, depth_0=0.3, depth_2=0.0)
    assert verdict(only) == (
        "mouse pursues the cheese; the top-right corner draws it only in the largest mazes with the cheese on the border."
    )
    smaller = subject(0.5, size_7=0.0, size_9=0.3, depth_0=0.3, depth_2=0.3)
    assert verdict(smaller).endswith("draws it only in mazes of size 9 and in the largest mazes.")
    assert verdict(subject(0.5, size_9=0.0, depth_0=0.05)).endswith(
        "that the top-right corner draws it is not shown."
    )
    assert verdict(subject(0.0, size_9=0.0, depth_0=0.3, depth_2=0.0)).startswith(
        "mouse pursues the top-right corner, shown only in the largest mazes with the cheese on the border; that"
    )


def test_a_pull_as_large_as_its_controls_is_no_goal() -> None:
    rows = subject(0.5, size_9=0.3, depth_0=0.3)
    same = dataclasses.replace(
        rows["reach.far_corner.depth_0"], control=0.4, control_low=0.3, control_high=0.5
    )
    assert wanted({**rows, same.id: same}) == (True, "in mazes of size 9")


def test_the_limited_rule_near_far_and_without_cheese() -> None:
    maze = parse_maze("C....\n####.\n.....\n.####\nM....")
    cheese, corner = (rule_scores(rule, maze) for rule in ("cheese", "corner"))
    assert np.array_equal(limited_scores(maze, 4, inner=True), corner)  # twelve steps away, on the border
    assert np.array_equal(limited_scores(maze, 12, inner=False), cheese)
    inner = parse_maze("....#\n###.#\n..C..\n.####\nM....")
    assert np.array_equal(limited_scores(inner, 1, inner=True), rule_scores("cheese", inner))
    assert np.array_equal(limited_scores(inner, 1, inner=False), rule_scores("corner", inner))
    bare = MazeState(maze.walls, maze.mouse, np.full((1, 2), -1, np.int16))
    assert np.array_equal(limited_scores(bare, 100, inner=True), corner)
    assert fields(Handwritten("corner", 5), Maze(5, None), maze).moves.shape[1] == 5
