"""The Sokoban study on networks that are nothing of ours: a forward alone, a memory of one's own structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from goalscope.commands import study as commands
from goalscope.commands.main import main
from goalscope.policies.checkpoint import Policy
from goalscope.studies import study
from goalscope.studies.sokoban_plan.measure.play import captured, play
from goalscope.studies.sokoban_plan.setup import Sizes, told
from goalscope.viewing.sokoban import play_level
from goalscope.worlds.contract import take
from goalscope.worlds.sokoban import Sokoban
from goalscope.worlds.sokoban.text import parse_level

LEVEL = "########\n#@ $ . #\n#      #\n########"
SMALL = Sizes(levels=8, others=6, file=20, episodes=24, first=10, shortcuts=3, chosen=1, random=1)
WORLD = Sokoban(8, 8, 2)


class Right(nn.Module):
    """Pushes to the right, whatever there is; logits alone."""

    def forward(self, x):
        return torch.tensor([0.0, 0.0, 0.0, 5.0]).expand(len(x), 4)


class Turns(nn.Module):
    """Counts its looks in a dictionary, from the number of its level on; the moves go round with them."""

    def __init__(self):
        super().__init__()
        self.seen = nn.Identity()

    def initial_carry(self, n):
        return {"looks": torch.arange(n).float()[:, None], "map": torch.zeros(n, 1, 1, 1)}

    def forward(self, x, carry):
        looks = self.seen(carry["looks"])
        logits = nn.functional.one_hot(looks[:, 0].long() % 4, 4).float() * 9
        return logits, None, {"looks": looks + 1, "map": x[:, :1] + carry["map"]}


def test_a_level_is_played_by_a_module_that_is_only_a_forward() -> None:
    episode = play_level(Right(), parse_level(LEVEL))
    assert episode.solved and episode.lurd == "rRR"


def test_a_memory_of_any_structure_is_kept_for_the_levels_that_go_on() -> None:
    state = WORLD.generate(np.arange(6))
    done_at = np.array([1, 5, 2, 5, 5, 3])
    steps = iter(range(100))

    def done(levels: np.ndarray, now: object) -> np.ndarray:
        t = next(steps) + 1
        return done_at[levels] <= t

    played = play(Turns(), WORLD, state, steps=5, done=done)
    for level, end in enumerate(done_at):
        assert played.moves[:end, level].tolist() == [(t + level) % 4 for t in range(end)]
    forced = np.zeros((4, 6), np.int8)
    level, time = np.array([0, 4, 2]), np.array([1, 3, 0])
    maps, _ = captured(Turns(), WORLD, state, ["seen"], forced, level, time)
    assert maps["seen"][:, 0].tolist() == [1, 7, 2]


def test_dropout_is_off_where_a_module_is_played() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(256, 4))
    state = WORLD.generate(np.arange(4))
    first, again = (play(network, WORLD, state, steps=6) for _ in range(2))
    assert np.array_equal(first.moves, again.moves) and network.training


def test_a_network_of_ones_own_is_studied(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 64, 4))
    network.size = 8  # type: ignore[assignment]
    outcome = study("sokoban", network, size=8, boxes=2, sites=("1",), sizes=SMALL, out=str(tmp_path / "run"))
    mine = {f.id: f for f in outcome.findings if f.policy == "Sequential"}
    solved = mine["solve.generated.think_0"]
    assert solved.estimate < 0.3
    assert "sokoban, 8 x 8, 2 boxes" in solved.world


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    with pytest.raises(ValueError, match="`study sokoban` takes --size and --boxes"):
        study("sokoban", Right(), out=out)
    with pytest.raises(ValueError, match="--size 8 and --boxes None: both are wanted"):
        study("sokoban", Right(), size=8, out=out)
    with pytest.raises(ValueError, match="--site NAME for each"):
        study("sokoban", Right(), size=8, boxes=2, out=out)
    with pytest.raises(ValueError, match=r"no untrained Right can be made.*--blank"):
        study("sokoban", Right(), size=8, boxes=2, sites=("",), out=out)
    other = Policy(Right(), "other", "", {"world": {"name": "sokoban", "size": 10, "boxes": 4}})
    with pytest.raises(ValueError, match=r"of the world of other it is said .*'size': 10"):
        told(other, 8, 2)
    assert told(other, 10, 4).config == other.config
    assert not list(tmp_path.iterdir())


def test_the_command_takes_what_python_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}
    monkeypatch.setattr(
        commands, "study", lambda name, policy, **options: asked.update(options, policy=policy)
    )
    monkeypatch.setattr(commands, "_show", lambda outcome, json: None)
    words = [
        "--policy",
        "own.py:make",
        "--size",
        "8",
        "--boxes",
        "2",
        "--site",
        "1",
        "--site",
        "3",
        "--blank",
        "own.py:make",
    ]
    main(["study", "sokoban", *words])
    assert asked["policy"] == asked["blank"] == "own.py:make"
    assert (asked["size"], asked["boxes"], asked["sites"]) == (8, 2, ("1", "3"))


def test_a_size_that_is_not_the_networks_is_named() -> None:
    state = take(Sokoban(10, 10, 2).generate([0]), [0])
    with pytest.raises(
        ValueError, match=r"cannot take the observations \[1, 4, 10, 10\] of the sokoban world"
    ):
        play_level(nn.Sequential(nn.Flatten(), nn.Linear(256, 4)), state)
