"""A key changes with all that decides what is measured; what was kept gives the same study as measuring anew."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import goalscope
from goalscope.activations import editing, zero
from goalscope.evidence import finding
from goalscope.evidence.finding import code_digest
from goalscope.policies.checkpoint import Policy, untrained
from goalscope.studies import study
from goalscope.studies.kept import ROOMS, key_of
from goalscope.studies.maze_goal import study as maze_goal
from goalscope.studies.maze_goal.measure.fields import study_levels
from goalscope.worlds.maze import Maze

CONFIG = {"architecture": {"name": "compact", "size": 7, "channels": 4, "blocks": 1}}
FILES = maze_goal.MEASURING
OF_STUDIES = ("studies/maze.py", "studies/value_layer.py", "studies/maze_goal/measure/fields.py")
PACKAGE = Path(goalscope.__file__).parent


def levels(first: int = 0, count: int = 3, steps: int = 200):
    return study_levels(Maze(7, None, steps), Maze(7, 5, steps), first, count)


def fresh() -> Policy:
    return untrained(CONFIG, seed=3)


def test_the_same_content_has_the_same_key_and_any_other_another() -> None:
    key = key_of(fresh(), FILES, "measure", levels())
    assert key is not None and len(key) == 64
    assert key == key_of(fresh(), FILES, "measure", levels())
    others = [
        key_of(untrained(CONFIG, seed=4), FILES, "measure", levels()),
        key_of(fresh(), FILES, "measure_far_corners", levels()),
        key_of(fresh(), FILES[:1], "measure", levels()),
        key_of(fresh(), FILES, "measure", levels(first=1)),
        key_of(fresh(), FILES, "measure", levels(count=4)),
        key_of(fresh(), FILES, "measure", levels(steps=100)),
    ]
    for change in (_weight, _precision, _activation):
        policy = fresh()
        change(policy.module)
        others.append(key_of(policy, FILES, "measure", levels()))
    assert len({key, *others}) == 1 + len(others) and None not in others


def _weight(module: nn.Module) -> None:
    with torch.no_grad():
        module.policy_head.bias[0] += 1  # type: ignore[union-attr, operator, index]


def _precision(module: nn.Module) -> None:
    module.double()


def _activation(module: nn.Module) -> None:
    module.hidden_relu = nn.LeakyReLU(0.1)


def test_code_that_measures_changes_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a copy of the package: a file of each room that measures does, the words of a report do not."""
    (tmp_path / "evidence").mkdir()
    for place in ("worlds/maze/kernels.py", "rollout/forward.py", *OF_STUDIES, "studies/maze_goal/words.py"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("x = 1\n")
    monkeypatch.setattr(finding, "__file__", str(tmp_path / "evidence" / "finding.py"))

    def now() -> str:
        code_digest.cache_clear()
        return code_digest("worlds", "rollout", *FILES)

    first = now()
    (tmp_path / "studies/maze_goal/words.py").write_text("x = 2\n")
    assert now() == first
    for place in ("worlds/maze/kernels.py", "rollout/forward.py", *OF_STUDIES):
        (tmp_path / place).write_text("x = 2\n")
        assert now() != first, place
        (tmp_path / place).write_text("x = 1\n")
        assert now() == first
    with pytest.raises(FileNotFoundError, match=r"no source file at .*gone"):
        code_digest("gone")
    code_digest.cache_clear()


def test_the_code_that_counts_is_all_that_measuring_imports() -> None:
    """What `MEASURING` imports lies in the rooms that are hashed, among its own files, or only shows and writes."""
    places = [PACKAGE / place for place in FILES]
    for file in [file for place in places for file in ([place] if place.is_file() else place.rglob("*.py"))]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("goalscope."):
                place = "/".join((node.module or "").split(".")[1:])
                known = (*ROOMS, *(name.removesuffix(".py") for name in FILES))
                assert any(place == name or place.startswith(f"{name}/") for name in known), (
                    f"{file} imports {node.module}"
                )


class Mine(nn.Module):
    """A network of code that is not in the package."""

    size = 7

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(3 * 49, 5))

    def forward(self, x):
        return self.body(x)


def test_what_cannot_be_known_has_no_key() -> None:
    assert key_of(Policy(Mine(), "mine", "0" * 64, {}), FILES, levels()) is None
    policy = fresh()
    with editing(policy.module, {"stem": zero()}):
        policy.module(torch.zeros(1, 3, 7, 7))
        assert key_of(policy, FILES, levels()) is None
    assert key_of(policy, FILES, levels()) is not None
    policy.module.stem.register_forward_hook(lambda *_: None)  # type: ignore[union-attr, operator]
    assert key_of(policy, FILES, levels()) is None


def run(folder: Path, **options) -> tuple:
    said: list[str] = []
    outcome = study("maze", fresh_named(), levels=12, out=str(folder), say=said.append, **options)
    files = [folder / "findings.parquet", *sorted((folder / "figures").glob("*.svg"))]
    return outcome, said, [file.read_bytes() for file in files]


def fresh_named() -> Policy:
    policy = untrained(CONFIG, seed=9)
    return Policy(policy.module, "mine", policy.sha256, CONFIG)


def test_a_second_study_measures_nothing_and_says_the_same(
    nothing_measured: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first, written = run(tmp_path / "first")
    assert "mine: moves on every square of 12 mazes" in first
    _, anew, again = run(tmp_path / "anew", no_cache=True)
    assert "mine: moves on every square of 12 mazes" in anew and again == written
    measuring = sys.modules[f"{maze_goal.__package__}.measure.fields"]
    monkeypatch.setattr(measuring, "fields", lambda *_: pytest.fail("it was measured anew"))
    _, second, found = run(tmp_path / "second")
    assert "mine: measured before on these 12 mazes" in second
    assert found == written


def test_without_a_cache_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run(tmp_path / "run", no_cache=True)
    assert not (tmp_path / "cache" / "goalscope" / "measured").exists()


def test_the_answer_about_the_policy_comes_before_its_comparisons(
    nothing_measured: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, blank = untrained(CONFIG, seed=1), untrained(CONFIG, seed=2)
    other = Policy(other.module, "other", other.sha256, CONFIG)
    monkeypatch.setattr(maze_goal, "_compared", lambda policy, *_: [policy, other, blank])
    outcome, said, _ = run(tmp_path / "run")
    (answer,) = [line for line in said if line.startswith("so far: ")]
    assert answer.removeprefix("so far: ") == outcome.headline.splitlines()[0]
    order = [line.partition(":")[0] for line in said if " mazes" in line or line == answer]
    assert order == ["mine", "untrained", "so far", "other"]
    assert list(dict.fromkeys(f.policy for f in outcome.findings)) == ["mine", "other", "untrained"]
