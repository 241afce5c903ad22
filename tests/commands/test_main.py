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

import pytest

from goalscope.commands import main as cli

MAZE = "....C\n.###.\n.#...\n.#.##\nM#...\n"


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Runs a command in this process and gives its exit code."""
    monkeypatch.setattr(sys, "argv", ["goalscope", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
        sys.exit(0)
    code = stopped.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_json_is_all_that_goes_to_standard_output(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
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
    assert process.wait(timeout=120) == 2
    assert "interrupted" in said and "Traceback" not in said
    assert not (tmp_path / "run").exists()


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


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['goalscope', 'study', 'maze', '--help']\n"
        "from goalscope.commands.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'numba', 'numpy', 'pyarrow', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--first-level" in done.stdout
