"""Does a test notice when the code is broken at its heart? Each patch here breaks it once; its test must go red.

    python tests/mutants/run.py            # all patches: `make mutants`
    python tests/mutants/run.py NAME ...   # those whose names begin so

A patch is a unified diff against `src`, whose head says what it breaks and which test must go red, by the id of
pytest. First all these tests must be green; then each patch is applied, alone, to a copy of `src` in a temporary
folder, and its test is run with that. The tree is not touched. Red means that the test itself failed: a patch that does
not apply, or code that cannot be imported, is a fault of the patch.

Every run is a fork of this process, which has imported what the tests need from elsewhere (that takes longer than most
of the tests) and nothing of `goalscope`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import hypothesis  # noqa: F401
import numba  # noqa: F401
import numpy as np  # noqa: F401
import pytest
import scipy.optimize
import scipy.stats  # noqa: F401
import statsmodels.api  # noqa: F401
import torch  # noqa: F401

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Mutant:
    """One patch."""

    path: Path
    """of the patch"""
    breaks: str
    """what it breaks, in words"""
    test: str
    """id of the test that must go red"""


class Outcomes:
    """What became of each test, for pytest to fill in."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that failed in any of its phases has failed."""
        if report.outcome != "passed" or report.when == "call":
            self.found.setdefault(report.nodeid, report.outcome)
            if report.failed:
                self.found[report.nodeid] = "failed"


def read(path: Path) -> Mutant:
    """A patch and what its head says.

    Raises:
        ValueError: the head lacks a line `Breaks:` or `Red:`.
    """
    head = path.read_text(encoding="utf-8").partition("\n--- ")[0]
    found = [re.search(rf"^{word}: (.+)$", head, re.MULTILINE) for word in ("Breaks", "Red")]
    if None in found:
        raise ValueError(f"{path.name}: its head needs one line 'Breaks: ...' and one 'Red: TEST'")
    breaks, test = (match.group(1).strip() for match in found if match)
    return Mutant(path, breaks, test)


def run(tests: Sequence[str], copy: Path) -> tuple[dict[str, str], str]:
    """What became of some tests with the code in `copy`, by id, and the last lines that pytest said."""
    log, answer = copy / "log.txt", copy / "outcomes.json"
    answer.write_text("{}")
    child = os.fork()
    if child == 0:
        with log.open("w") as out, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            outcomes = Outcomes()
            sys.dont_write_bytecode, sys.pycache_prefix = True, str(copy / "compiled")  # there is none
            sys.path.insert(0, str(copy / "src"))
            os.environ["PYTHONPATH"] = str(copy / "src")
            os.chdir(ROOT)
            pytest.main(["-q", "-p", "no:cacheprovider", "--tb=line", *tests], plugins=[outcomes])
            answer.write_text(json.dumps(outcomes.found))
        os._exit(0)
    os.waitpid(child, 0)
    return json.loads(answer.read_text()), "\n".join(log.read_text().strip().splitlines()[-4:])


def of(test: str, outcomes: dict[str, str]) -> set[str]:
    """What became of a test, in all its parameters where the id names none."""
    return {became for name, became in outcomes.items() if name == test or name.startswith(f"{test}[")}


def judge(mutant: Mutant, copy: Path) -> str:
    """'killed', or what else became of it."""
    outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent)}
    patch = ["git", "apply", str(mutant.path)]
    applied = subprocess.run(patch, cwd=copy, env=outside, capture_output=True, text=True)
    if applied.returncode:
        return f"DOES NOT APPLY: {applied.stderr.strip()}"
    try:
        outcomes, said = run([mutant.test], copy)
    finally:
        subprocess.run([*patch, "-R"], cwd=copy, env=outside, check=True)
    became = of(mutant.test, outcomes)
    if not became:
        return f"ITS TEST COULD NOT RUN: {said}"
    return "killed" if "failed" in became else "SURVIVES"


def main(names: list[str]) -> int:
    """Applies the patches of these names (all where empty); 0 if every one whose test can run here is killed."""
    paths = sorted(p for p in HERE.glob("*.patch") if not names or any(p.name.startswith(n) for n in names))
    if not paths:
        print(f"no patch begins with {' or '.join(names)} in {HERE}", file=sys.stderr)
        return 2
    mutants, told = [read(path) for path in paths], []
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
        green, said = run(sorted({mutant.test for mutant in mutants}), copy)
        for mutant in mutants:
            before = of(mutant.test, green)
            if before <= {"skipped"} and before:
                told.append("skipped with its test")
            elif before - {"passed", "skipped"} or not before:
                told.append(f"ITS TEST IS NOT GREEN WITHOUT IT: {', '.join(before) or said}")
            else:
                told.append(judge(mutant, copy))
            print(f"{mutant.path.stem}: {told[-1]} ({mutant.breaks.rstrip('.')})", flush=True)
    killed, skipped = told.count("killed"), told.count("skipped with its test")
    print(f"{killed} of {len(told)} killed, {skipped} skipped, {len(told) - killed - skipped} at fault")
    return 0 if killed + skipped == len(told) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
