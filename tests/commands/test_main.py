"""The commands, and what they say to bad input: one line, exit code 2, nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from goalscope.commands import main as cli
from goalscope.evidence.run_folder import RunFolder

MAZE = "....C\n.###.\n.#...\n.#.##\nM#...\n"


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Runs a command in this process and gives its exit code."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
        sys.exit(0)
    code = stopped.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_json_is_all_that_goes_to_standard_output(
    nothing_measured: None, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "study", "maze", "--levels", "6", "--json", "--out", "run") == 0
    out, err = capsys.readouterr()
    findings = json.loads(out)
    assert {"id", "estimate", "low", "high", "n", "control", "control_name"} <= set(findings[0])
    assert "mouse-topright: moves on every square" in err
    assert sorted(os.listdir(here)) == ["run"]


BAD = {
    "no such policy": (["study", "maze", "--policy", "mouse-toprigth"], "did you mean mouse-topright"),
    "no such file": (["study", "maze", "--policy", "./gone.safetensors"], "no file or folder"),
    "no levels": (["study", "maze", "--levels", "0"], "--levels must be a whole number, from 1"),
    "negative level": (
        ["study", "maze", "--first-level", "-1"],
        "--first-level must be a whole number, from 0",
    ),
    "level beyond all": (["study", "maze", "--first-level", "99999999999999999999"], "--first-level must be"),
    "seed beyond all": (["study", "maze", "--seed", "100000000000000000000000"], "--seed must be"),
    "unknown world": (["study", "maze", "--world", "mars"], "--world must be maze or procgen"),
    "Procgen's option on the maze": (
        ["study", "maze", "--distribution", "hard"],
        "--distribution is Procgen's",
    ),
    "folder exists": (["study", "maze", "--out", "taken"], "taken"),
    "folder under a file": (["study", "maze", "--levels", "3", "--out", "taken/file/run"], "file"),
    "no device": (["study", "maze", "--device", "warp"], "warp"),
    "no maze file": (["play", "gone.txt"], "gone.txt"),
    "no change of mazes": (["bound", "two.txt", "--over", "ways"], "'cheese' or 'walls:K'"),
    "no walls turned": (["bound", "two.txt", "--over", "walls:0"], "at least 1, got 'walls:0'"),
    "a sample of cheeses": (["bound", "two.txt", "--sample", "3"], "few enough to try"),
    "no maze to change": (["bound", "two.txt"], "line 5, column 5: a second mouse"),
    "two mice": (["play", "two.txt"], "line 5, column 5: a second mouse"),
    "too large": (["play", "large.txt"], "larger than the 13 x 13"),
    "not text": (["play", "bytes.txt"], "not a text file"),
    "even training size": (["train", "maze", "--size", "8"], "size must be odd"),
    "no steps": (["train", "maze", "--steps", "0"], "--steps must be at least 1"),
    "unknown option": (["study", "maze", "--polcy", "x"], "polcy"),
}


@pytest.mark.parametrize("words, said", BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_clear_error(
    words: list[str],
    said: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (here / "taken").mkdir()
    (here / "taken" / "file").write_text("something")
    (here / "two.txt").write_text(MAZE[:-2] + "M\n")
    (here / "large.txt").write_text("\n".join(["M" + "." * 14] + ["." * 15] * 14))
    (here / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    before = sorted(here.rglob("*"))
    assert call(monkeypatch, *words) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert "Traceback" not in err and out == ""
    assert sorted(here.rglob("*")) == before


def test_a_full_disk_is_said_and_what_was_done_is_kept(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from goalscope.studies import frame

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(frame, "write_findings", full)
    assert call(monkeypatch, "study", "maze", "--levels", "3", "--out", "run") == 2
    assert "No space left" in capsys.readouterr().err
    assert not (here / "run").exists()
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert call(monkeypatch, "study", "maze", "--levels", "3", "--out", "run") == 0
    assert (here / "run" / "report.html").exists()


def test_an_interrupted_study_leaves_no_run_and_says_how_to_go_on(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from goalscope.commands.main import main; main()",
        "study",
        "maze",
        "--levels",
        "4000",
    ]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")],
        stderr=subprocess.PIPE,
        text=True,
        # A suite that runs in the background passes on that Ctrl-C is to be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    process.stderr.readline()  # the first line of progress: the study has begun
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(timeout=120) == 130
    assert "interrupted: no step of the study was finished" in said and "Traceback" not in said
    assert not (tmp_path / "run").exists()


def test_ctrl_c_is_130_and_says_what_is_kept(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped() -> None:
        with RunFolder.create("run", {"seed": 1}) as run:
            run.stage("measure-a", lambda: {"x": np.zeros(1)})
            raise KeyboardInterrupt

    def at_once() -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.app.commands, "findings", stopped)
    assert call(monkeypatch, "findings") == 130
    said = capsys.readouterr().err
    assert (
        "interrupted: " in said
        and "run.part keeps 1 finished step (measure-a): the same command skips it" in said
    )
    monkeypatch.setitem(cli.app.commands, "findings", at_once)
    assert call(monkeypatch, "findings") == 130
    assert "interrupted: nothing was written" in capsys.readouterr().err


def test_force_replaces_a_finished_run_once_the_new_one_is_finished(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "run").mkdir()
    (here / "run" / "run.json").write_text("old")
    words = ("study", "maze", "--levels", "3", "--seed", "1", "--out", "run")
    assert call(monkeypatch, *words) == 2
    assert "run holds a finished run; --force replaces it" in capsys.readouterr().err
    assert call(monkeypatch, *words, "--force") == 0
    assert json.loads((here / "run" / "run.json").read_text())["provenance"]["seed"] == 1
    assert os.listdir(here) == ["run"]


def test_play_draws_the_maze(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "maze.txt").write_text(MAZE)
    assert call(monkeypatch, "play", "maze.txt") == 0
    out = capsys.readouterr().out
    assert "M" in out and "C" in out and "P(reach the cheese within 200 steps)" in out


def test_policies_lists_what_is_packaged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "policies") == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"mouse-anywhere", "mouse-corner", "mouse-topright", "mouse-topright-2"} <= {
        line.split()[0] for line in lines
    }


HEAVY = ("torch", "numba", "numpy", "pyarrow", "scipy", "rich")
QUICKLY = {
    "help": ["study", "maze", "--help"],
    "version": ["--version"],
    "policies": ["policies"],
    "unknown policy": ["study", "maze", "--policy", "mouse-toprigth"],
    "finished folder": ["study", "maze-internals", "--out", "done"],
    "finished folder of its name": ["study", "sokoban"],
    "wrong number": ["study", "maze", "--levels", "0"],
    "wrong seed": ["study", "chess", "--puzzles", "done/run.json", "--seed", "-1"],
    "no puzzles": ["study", "chess", "--puzzles", "gone.csv"],
    "wrong world": ["study", "maze-internals", "--world", "mars"],
    "wrong option": ["train", "maze", "--stesp", "5"],
    "unknown command": ["stduy"],
    "no runs": ["findings", "--runs", "gone"],
    "no verdict": ["findings", "--verdict", "true"],
    "no such file": ["play", "gone.txt"],
}


def test_help_and_refusals_import_nothing_heavy(tmp_path: Path) -> None:
    for name in ("done", "runs/sokoban-sokoban-small"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}")
    code = (
        "import sys\nfrom goalscope.commands.main import main\n"
        f"for words in {list(QUICKLY.values())}:\n"
        "    try: main(words)\n"
        "    except SystemExit as stop: print('code', stop.code)\n"
        f"    print('loaded', [m for m in {HEAVY} if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = [line for line in done.stdout.splitlines() if line.startswith("loaded")]
    assert loaded == ["loaded []"] * len(QUICKLY)
    codes = [line for line in done.stdout.splitlines() if line.startswith("code")]
    assert codes == ["code 0"] * 2 + ["code 2"] * (len(QUICKLY) - 3)
    assert len(done.stderr.splitlines()) == len(QUICKLY) - 3
    assert "--first-level" in done.stdout and "goalscope policies add maia-1900" in done.stdout


def test_threads_do_not_spin_for_each_other_unless_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting counts only before torch is there, so the command must come without it."""
    show = "import os, sys; from goalscope.commands.main import main\ntry: main(['--version'])\nexcept SystemExit: pass\n"
    show += "print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    for given, expected in (("", "1000 False"), ("7", "7 False")):
        environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
        environment |= {"GOMP_SPINCOUNT": given} if given else {}
        done = subprocess.run([sys.executable, "-c", show], env=environment, capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == expected
