"""The goals study where play is sampled: a game of two players, and Sokoban with a network that has a memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import goalscope
from goalscope.policies.given import policy_of
from goalscope.rollout import play
from goalscope.studies.about import Outcome
from goalscope.studies.any_world import world_for
from goalscope.studies.goals import study as goals_study
from goalscope.worlds.boards import GomokuBoard
from goalscope.worlds.boards.gomoku import line_of
from goalscope.worlds.sokoban import Sokoban


def run(policy: Any, world: Any, out: Path, **options: Any) -> tuple[dict, dict, Outcome]:
    """Findings by id, verdicts by candidate, the outcome."""
    outcome = goalscope.goal_study(policy, world, out=str(out), **options)
    verdicts = json.loads((outcome.folder / "run.json").read_text())["verdicts"]
    return {f.id: f for f in outcome.findings}, verdicts, outcome


class Liner(nn.Module):
    """Puts its stone where one is still wanting to a line, else beside its own ones; with `aim` -1 it makes no line."""

    def __init__(self, aim: float = 1.0):
        super().__init__()
        self.aim = aim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 4, 5, 5] to logits [N, 25]: how much longer its longest line would be."""
        own = x[:, 0].numpy().astype(bool)
        logits = np.zeros((len(own), 25), np.float32)
        for square in range(25):
            with_it = own.copy()
            with_it.reshape(len(own), -1)[:, square] = True
            for length in (2, 3):
                logits[:, square] += 4.0 * (line_of(with_it, length) & ~line_of(own, length))
        return self.aim * torch.from_numpy(logits)


def test_only_legal_moves_are_played_and_as_likely_as_the_policy_has_them_among_them():
    world, laid = GomokuBoard(replies=False), np.full(36, -50.0)
    laid[[7, 8]] = np.log([0.75, 0.25])

    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(np.tile(laid, (len(x), 1)))

    state = world.generate(np.zeros(4000, np.int64))
    first = play(Fixed(), world, state, 2, 0).actions
    assert (first[0] == 7).mean() == pytest.approx(0.75, abs=0.03)
    assert (first[0] + first[1] == 15).all(), "the square that is taken is not played again"


def test_who_makes_lines_comes_to_an_own_line_and_who_does_not_want_one_does_not(tmp_path: Path):
    world = GomokuBoard(side=5, row=3)
    found, told, outcome = run(Liner(), world, tmp_path / "line", levels=30)
    assert (
        told["an own line"] == "yes"
        and told["a line of the other side"] != "yes"
        and told["a full board"] != "yes"
    )
    assert (
        outcome.headline.startswith(
            "Liner comes to an own line more often than its controls, for its own sake or on its way"
        )
        and "It comes to an own line:" in outcome.headline
    )
    assert found["lead.an_own_line"].method.startswith("sampled play")
    assert (
        found["lead.an_own_line"].control_name == "random walk"
        and (found["lead.an_own_line"].control or 0) < 0.8
    )
    assert all(f.low >= 0 and f.high <= 1 for f in found.values()), "shares, all of them"
    _, told, _ = run(Liner(-1.0), world, tmp_path / "none", levels=30)
    assert told["an own line"] != "yes"


class Pusher(nn.Module):
    """A memory that it does not use; knows the way in the one level of the test: two steps to the right."""

    def initial_carry(self, count: int) -> torch.Tensor:
        return torch.zeros(count, 1)

    def forward(self, x: torch.Tensor, carry: torch.Tensor) -> tuple:
        logits = torch.zeros(len(x), 4)
        player = x[:, 3].flatten(1).argmax(1) % x.shape[3]
        box = x[:, 2].flatten(1).argmax(1) % x.shape[3]
        logits[torch.arange(len(x)), torch.where(box >= player, 3, 2)] = 8.0
        return logits, torch.zeros(len(x)), carry


def test_in_sokoban_the_box_that_is_pushed_draws_and_a_solved_level_is_asked_about(tmp_path: Path):
    corridor = "#########\n#   @$. #\n#########\n#########"
    levels = Sokoban(4, 9, 1).parse(corridor)
    world = Sokoban(4, 9, 1, time_limit=8, levels=levels)
    found, told, outcome = run(Pusher(), world, tmp_path / "push", levels=8)
    assert found["come.every_box_on_a_target"].estimate > 0.95 and "every box on a target" in told
    record = json.loads((outcome.folder / "run.json").read_text())
    assert "Sampled, 4 plays of each level: Pusher has a memory" in record["sections"][0]["answer"]
    assert "pull.box" in found and found["pull.box"].estimate > found["pull.target"].estimate


def test_the_packaged_sokoban_player_is_studied_on_boards_of_its_own_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(goals_study, "MOST_PLACEMENTS", 8)
    world = world_for(policy_of("sokoban-small"), "sokoban", None)
    assert isinstance(world, Sokoban) and (world.height, world.width, world.boxes) == (8, 8, 2)
    level = "########\n#@ $ . #\n#  $ . #\n########\n########\n########\n########\n########"
    short = Sokoban(8, 8, 2, time_limit=2, levels=world.parse(level))
    _, told, outcome = run("sokoban-small", short, tmp_path / "drc", levels=2)
    assert {"box", "target"} <= set(told) and "box 2" not in told and outcome.report.is_file()
    record = json.loads((outcome.folder / "run.json").read_text())
    assert (
        "Not moved, since" in record["sections"][0]["answer"] and "box 2" in record["sections"][0]["answer"]
    )


def test_an_impala_checkpoint_is_studied_in_coinrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A random network in the form of train-procgen-pytorch's files, through the name of the game."""
    pytest.importorskip("procgen", reason="needs the extra goalscope[procgen]")
    from goalscope.policies.impala import Impala
    from goalscope.worlds.procgen import ProcgenGame

    torch.manual_seed(0)
    torch.save({"model_state_dict": Impala((2, 4, 4), 8).state_dict()}, tmp_path / "coinrun.pth")
    policy = policy_of(str(tmp_path / "coinrun.pth"))
    assert isinstance(world_for(policy, "procgen:coinrun", None), ProcgenGame)
    found, told, outcome = run(
        str(tmp_path / "coinrun.pth"), ProcgenGame("coinrun", time_limit=3), tmp_path / "run", levels=2
    )
    assert "coin" in told and found["come.coin"].control_name in ("untrained", "random walk")
    assert any(f.id == "pull.coin" for f in outcome.findings) and outcome.report.is_file()
    monkeypatch.chdir(tmp_path)
    torch.save({"model_state_dict": Impala((2, 4, 4), 8, 9).state_dict()}, tmp_path / "nine.pth")
    with pytest.raises(ValueError, match="the policy has 9 actions, the procgen:coinrun world 15"):
        run("nine.pth", "procgen:coinrun", tmp_path / "nine")
