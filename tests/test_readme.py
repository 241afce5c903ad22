"""Every command block of the README is run here, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = [
    line for block in re.findall(r"```sh\n(.*?)```", README, re.S) for line in block.splitlines() if line
]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)


def environment() -> dict[str, str]:
    """As a reader has it: the programs of this environment, and nothing of a make that runs these tests."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "PYTEST_ARGS"))
    }
    return {**own, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reader")
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


def test_there_are_commands() -> None:
    assert {"make study", "make test"} <= set(SHELL) and len(SHELL) >= 6 and PYTHON


@pytest.mark.parametrize("command", [line for line in SHELL if line.startswith("goalscope")])
def test_command(command: str, place: Path) -> None:
    done = subprocess.run(command, shell=True, cwd=place, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_make_study(tmp_path: Path) -> None:
    """The target on this environment in place of a fresh one: what it installs is what runs here already.

    On as many mazes as the command above, which has measured them; without more words it is the study of the README.
    """
    venv = Path(sys.executable).parents[1]
    stamp = venv / ".installed"
    assert stamp.exists() or not stamp.touch()
    command = [
        "make",
        "--no-print-directory",
        "study",
        f"VENV={venv}",
        f"OUT={tmp_path / 'run'}",
        "-o",
        str(stamp),
    ]
    recipe = subprocess.run(
        [*command, "-n"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    plain = recipe.stdout
    assert plain.strip() == f'{venv}/bin/goalscope study maze --out "{tmp_path / "run"}"'
    few = "STUDY_ARGS=--levels 100"
    done = subprocess.run([*command, few], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mouse-topright pursues" in done.stdout
    assert f"Report: {tmp_path / 'run' / 'report.html'}" in done.stdout


def test_make_test_runs_the_whole_suite() -> None:
    """This suite is what `make test` runs, so only its recipe is looked at."""
    command = ["make", "--no-print-directory", "-n", "test"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    assert re.search(r"python -m pytest\s*$", done.stdout, re.M)


@pytest.mark.parametrize("code", PYTHON)
def test_notebook(code: str, place: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
