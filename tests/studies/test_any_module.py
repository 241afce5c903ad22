"""One line is enough: any module from observations to logits (and a value) goes into every way in, wrapped by nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import goalscope
from goalscope.commands.main import main
from goalscope.worlds.maze import Maze

SIZE = 7
OWN = """
import torch
from torch import nn
def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(147, 5))
"""


class WithValue(nn.Module):
    """Logits and a value."""

    def __init__(self):
        super().__init__()
        self.read = nn.Linear(3 * SIZE * SIZE, 6)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = self.read(x.flatten(1))
        return out[:, :5], out[:, 5]


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return WithValue()


def test_it_draws_a_vector_field_and_plays(module: nn.Module):
    world = Maze(SIZE)
    state = world.generate([1])
    field = goalscope.vector_field(module, state)
    assert 0 <= field.reach_start <= 1 and "<svg" in field._repr_html_()
    assert goalscope.play(module, world, state, 5, 0).actions.shape == (5, 1)


def test_it_is_studied_in_mazes_and_in_any_world(module: nn.Module, tmp_path: Path):
    mazes = goalscope.study("maze", module, size=SIZE, levels=3, out=str(tmp_path / "maze"))
    goals = goalscope.goal_study(module, Maze(SIZE), levels=3, out=str(tmp_path / "goals"))
    for outcome in (mazes, goals):
        assert {"WithValue", "untrained"} >= {
            f.policy for f in outcome.findings if f.policy in ("WithValue", "untrained")
        }
        assert any(f.id.startswith("value.agreement") and f.policy == "WithValue" for f in outcome.findings)
        assert outcome.report.is_file()


def test_on_the_command_line_a_function_of_a_file_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(OWN)
    Path("maze.txt").write_text("#######\n#....C#\n#.###.#\n#.#...#\n#.#.###\n#M#...#\n#######\n")
    main(["play", "maze.txt", "--policy", "mine.py:make"])
    assert "P(reach the cheese within 200 steps)" in capsys.readouterr().out
