"""Cells that are made once, found again, go on where they were killed; failures that are kept and stop nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import goalscope.studies
from goalscope.commands import main as cli
from goalscope.evidence.run_folder import RunFolder
from goalscope.parallel.task import attempt
from goalscope.policies.names import PACKAGED
from goalscope.progress import Step, heard
from goalscope.sweep.cell import FAILED
from goalscope.sweep.grid import Cell, Grid
from goalscope.sweep.run import standing, sweep


class Here:
    """Does the tasks one after the other, in this process."""

    def each(self, work: Any, tasks: Sequence[Any], shared: Any = None) -> Iterator[tuple[int, Any]]:
        for number, task in enumerate(tasks):
            yield number, attempt(work, shared, task)


class Studies:
    """Stands for `goalscope.studies.study`: two stages and a run folder, and a note of what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.computed: list[str] = []
        self.fail: dict[int, BaseException] = {}
        """seed -> what its second stage raises"""

    def __call__(self, name: str, policy: str, *, seed: int, out: str, **options: Any) -> None:
        self.asked.append((name, policy, seed, options))
        with RunFolder.create(out, {"study": name, "seed": seed}) as run:
            for stage in ("one", "two"):
                run.stage(stage, lambda stage=stage: self.stage(stage, seed))
            run.write_json("run.json", {"seed": seed})
            run.commit()

    def stage(self, stage: str, seed: int) -> dict[str, np.ndarray]:
        if stage == "two" and seed in self.fail:
            raise self.fail[seed]
        self.computed.append(f"{stage} of {seed}")
        return {"x": np.array(seed)}


def no_training(what: str, options: Mapping[str, Any]) -> None:
    raise ValueError("no training here")


def trains(what: str, options: Mapping[str, Any]) -> None:
    """Leaves what a training leaves."""
    print("Policy: somewhere")
    folder = Path(options["out"], "policy")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"seed": options["seed"]}))


def cell(seed: int, kind: str = "study", needs: str = "", **options: Any) -> Cell:
    name = f"{kind}-{seed}-{seed:012x}"
    return Cell(name, kind, "maze", "mouse", name if kind == "train" else "mouse", seed, options, needs)


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> Studies:
    made = Studies()
    monkeypatch.setattr(goalscope.studies, "study", made)
    return made


def test_every_cell_is_made_once_and_found_afterwards(studies: Studies, tmp_path: Path):
    grid = Grid(str(tmp_path), tuple(cell(seed, levels=5, site=["a"]) for seed in range(3)))
    made = sweep(grid, Here(), no_training)
    assert (made.there, made.made, made.failed) == (0, 3, {})
    assert studies.asked[1] == ("maze", "mouse", 1, {"levels": 5, "sites": ("a",)})
    assert all((tmp_path / each.name / "run.json").exists() for each in grid.cells)
    again = sweep(grid, Here(), no_training)
    assert (again.there, again.made, len(studies.asked)) == (3, 0, 3)


def test_a_failure_is_kept_with_its_message_and_does_not_stop_the_rest(studies: Studies, tmp_path: Path):
    grid, said = Grid(str(tmp_path), tuple(map(cell, range(3)))), []
    studies.fail[1] = ValueError("the checkpoint is damaged")
    made = sweep(grid, Here(), no_training, said.append)
    name = grid.cells[1].name
    assert made.made == 2 and made.failed == {name: "the checkpoint is damaged"}
    assert said == [f"{name}: the checkpoint is damaged"]
    kept = (tmp_path / FAILED / f"{name}.txt").read_text()
    assert kept.startswith("the checkpoint is damaged\n") and "Traceback" in kept
    del studies.fail[1]
    made = sweep(grid, Here(), no_training)
    assert (made.there, made.made, made.failed) == (2, 1, {})
    assert not list((tmp_path / FAILED).iterdir())


def test_a_cell_that_was_stopped_goes_on_from_its_last_stage(studies: Studies, tmp_path: Path):
    grid = Grid(str(tmp_path), tuple(map(cell, range(3))))
    studies.fail[1] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as stopped:
        sweep(grid, Here(), no_training)
    assert "1 of 3 cells are finished" in stopped.value.__notes__[-1]
    now = standing(grid)
    assert (now.there, now.begun, len(now.todo)) == (1, 1, 2)
    del studies.fail[1]
    sweep(grid, Here(), no_training)
    assert sorted(studies.computed) == sorted(f"{s} of {i}" for s in ("one", "two") for i in range(3))


def test_progress_counts_what_was_there_and_names_failures(studies: Studies, tmp_path: Path):
    cells = tuple(map(cell, range(3)))
    sweep(Grid(str(tmp_path), cells[:1]), Here(), no_training)
    studies.fail[1] = ValueError("no")
    heard_of: list[tuple[int, int | None, int, str]] = []

    def listen(step: Step) -> None:
        heard_of.append((step.done, step.total, step.start, step.note))

    with heard(listen):
        sweep(Grid(str(tmp_path), cells), Here(), no_training)
    assert heard_of == [(1, 3, 1, ""), (2, 3, 1, "1 failed"), (3, 3, 1, "1 failed")]


def test_a_training_comes_first_and_its_policy_has_its_name(
    studies: Studies, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    train = cell(1, "train")
    grid = Grid(str(tmp_path), (cell(2, needs=train.name), train))
    made = sweep(grid, Here(), trains)
    assert made.made == 2 and len(studies.asked) == 1
    assert json.loads((tmp_path / train.name / train.name / "config.json").read_text()) == {"seed": 1}
    assert not (tmp_path / f"{train.name}.part").exists() and capsys.readouterr().out == ""
    assert sweep(grid, Here(), no_training).there == 2


def test_a_study_whose_training_failed_is_not_tried(studies: Studies, tmp_path: Path):
    train = cell(1, "train")
    grid = Grid(str(tmp_path), (train, cell(2, needs=train.name), cell(3)))
    made = sweep(grid, Here(), no_training)
    assert made.made == 1 and [seed for _, _, seed, _ in studies.asked] == [3]
    assert made.failed[grid.cells[1].name] == f"the training {train.name} failed"


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
        sys.exit(0)
    return int(stopped.value.code or 0)


GRID = """out = "runs"
[[study]]
study = "goals"
policies = ["grid-corner", "broken.safetensors"]
world = "minigrid:MiniGrid-Empty-Random-6x6-v0"
levels = 4
"""


def test_a_real_sweep_gives_the_bytes_of_the_study_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("minigrid", reason="needs goalscope[minigrid]")
    monkeypatch.chdir(tmp_path)
    Path("grid.toml").write_text(GRID)
    damaged = (PACKAGED / "grid-corner" / "model.safetensors").read_bytes()[:1000]
    Path("broken.safetensors").write_bytes(damaged)
    assert call(monkeypatch, "sweep", "grid.toml", "--dry-run") == 0
    assert capsys.readouterr().out.startswith(
        "2 cells in runs: 2 of study goals\n0 finished, 0 begun, 2 not begun\n"
    )
    assert not Path("runs").exists()
    assert call(monkeypatch, "sweep", "grid.toml", "--workers", "1") == 1
    out, err = capsys.readouterr()
    assert "1 made now, 0 there before, 1 failed" in out and "failed: goals-broken-0-" in out
    assert "broken.safetensors" in err
    (made,) = Path("runs").glob("goals-grid-corner-0-*")
    words = ("--policy", "grid-corner", "--world", "minigrid:MiniGrid-Empty-Random-6x6-v0", "--levels", "4")
    assert call(monkeypatch, "study", "goals", *words, "--out", "alone") == 0
    one, other = (folder / "findings.parquet" for folder in (made, Path("alone")))
    assert one.read_bytes() == other.read_bytes()
    capsys.readouterr()
    before = os.stat(made / "run.json")
    assert call(monkeypatch, "sweep", "grid.toml", "--workers", "1") == 1
    out, _ = capsys.readouterr()
    assert "0 made now, 1 there before, 1 failed" in out and "grid-corner" in out.split("\n")[0]
    assert os.stat(made / "run.json") == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gone.toml",), "gone.toml"),
        (("grid.toml", "--workers", "0"), "--workers must be at least 1"),
        (("grid.toml", "--worker", "1"), "did you mean --workers?"),
    ],
)
def test_bad_words_are_refused_in_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("grid.toml").write_text('[[study]]\nstudy = "maze"\npolicies = ["mouse-corner"]\n')
    assert call(monkeypatch, "sweep", *words) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert os.listdir() == ["grid.toml"]
