"""Does a test notice when the code is broken at its heart? Each patch here breaks it once; its test must go red.

    python tests/mutants/run.py            # all patches: `make mutants`
    python tests/mutants/run.py NAME ...   # those whose names begin so

A patch is a unified diff against `src`, whose head says what it breaks and which test must go red, by the id of
pytest. It is applied to a copy of `src` in a temporary folder; the tree is not touched. Red means that the test itself
failed: a patch that does not apply, or code that cannot be imported, is a fault of the patch.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
_FAILED = 1
"""what pytest returns where tests ran and some failed"""


@dataclass(frozen=True)
class Mutant:
    """One patch."""

    path: Path
    """of the patch"""
    breaks: str
    """what it breaks, in words"""
    test: str
    """id of the test that must go red"""


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


def run(test: str, source: Path) -> tuple[int, str]:
    """What pytest returns for one test with the code of `source`, and its last lines."""
    environment = {
        **os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=line", test]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, "\n".join((done.stdout + done.stderr).strip().splitlines()[-4:])


def judge(mutant: Mutant, copy: Path, green: dict[str, str | None]) -> str | None:
    """None where the mutant is killed, else why it counts as a failure; `skipped: ...` where its test did not run."""
    if mutant.test not in green:
        code, said = run(mutant.test, copy / "src")
        if code == 0 and " passed" not in said:
            green[mutant.test] = f"skipped: {said.splitlines()[-1]}"
        else:
            green[mutant.test] = None if code == 0 else f"is not green without the patch: {said}"
    if green[mutant.test] is not None:
        return green[mutant.test]
    applied = subprocess.run(["git", "apply", str(mutant.path)], cwd=copy, capture_output=True, text=True)
    if applied.returncode:
        return f"does not apply: {applied.stderr.strip()}"
    try:
        code, said = run(mutant.test, copy / "src")
    finally:
        subprocess.run(["git", "apply", "-R", str(mutant.path)], cwd=copy, check=True)
    if code == 0:
        return "SURVIVES"
    return None if code == _FAILED else f"the test could not run (pytest returned {code}): {said}"


def main(names: list[str]) -> int:
    """Applies the patches of these names (all where empty); 0 if every one whose test can run here is killed."""
    paths = sorted(p for p in HERE.glob("*.patch") if not names or any(p.name.startswith(n) for n in names))
    if not paths:
        print(f"no patch begins with {' or '.join(names)} in {HERE}", file=sys.stderr)
        return 2
    failed, skipped = 0, 0
    green: dict[str, str | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for path in paths:
            mutant = read(path)
            why = judge(mutant, copy, green)
            left_out = why is not None and why.startswith("skipped")
            failed, skipped = failed + (why is not None and not left_out), skipped + left_out
            print(f"{path.stem}: {why or 'killed'} ({mutant.breaks})", flush=True)
    print(f"{len(paths) - failed - skipped} of {len(paths)} killed, {failed} not, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
