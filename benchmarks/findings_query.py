"""Seconds to query 100,000 findings in 1,000 run folders, over the bound of 2 seconds, after the first scan.

Each query looks at all run folders anew (which are there, which have changed) and then answers SQL: a count by policy, a
look-up by id, the runs that disagree most. The first scan reads and checks every finding; afterwards a cache is used.
Also told: one folder deleted and one changed between two queries, and how long 200 rows take from the command line.

RATIO findings_query: seconds / 2, should be below 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from goalscope.evidence.finding import Finding, write_findings
from goalscope.evidence.store import open_store

FOLDERS, EACH = 1000, 100
BOUND_SECONDS = 2.0
REPETITIONS = 7
QUERIES = (
    "SELECT policy, count(*) AS findings, avg(estimate) AS mean FROM findings GROUP BY policy ORDER BY policy",
    "SELECT run, estimate, low, high FROM findings WHERE id = 'reach.size.7' AND estimate > control_high ORDER BY run",
    "SELECT id, max(low) - min(high) AS gap FROM findings GROUP BY id ORDER BY gap DESC LIMIT 10",
)
COMMAND = "import sys; from goalscope.commands.main import main; main(['findings', *sys.argv[1:]])"


def make(root: Path, folder: int) -> None:
    """One run folder of `EACH` findings, about two policies in turn."""
    draw = np.random.default_rng(folder).uniform(size=EACH)
    run = root / f"group-{folder % 10}" / f"run-{folder:04}"
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text("{}")
    findings = [
        Finding(
            id=f"reach.size.{i}", question=f"P(reach the cheese), mazes of size {i}, run {folder}", estimate=x,
            low=x - 0.1, high=x + 0.1, n=100 + i, unit="probability", control=0.2, control_low=0.1, control_high=0.3,
            control_name="untrained", method="exact chain", site="behaviour", policy=f"mouse-{folder % 7}",
            policy_sha256="0" * 64, world="maze, size 13", seed=folder, code_version="0.1.0+0",
        )
        for i, x in enumerate(draw)
    ]  # fmt: skip
    write_findings(run / "findings.parquet", findings)


def ask(root: Path, cache: Path) -> float:
    """Seconds of a look at every folder and all queries; checks the number of findings."""
    began = time.perf_counter()
    store = open_store(root, cache)
    answers = [store.query(sql) for sql in QUERIES]
    seconds = time.perf_counter() - began
    if sum(answers[0]["findings"].to_pylist()) != len(store.table) or store.problems:
        raise SystemExit(f"wrong answers: {answers[0]} {store.problems[:3]}")
    return seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root, cache = Path(name) / "runs", Path(name) / "cache" / "goalscope"
        for folder in range(FOLDERS):
            make(root, folder)
        print(f"{FOLDERS * EACH:,} findings in {FOLDERS:,} run folders; {len(QUERIES)} queries each time")
        print(f"{'first scan':<42}{ask(root, cache):8.2f} s")
        busy = time.process_time()
        seconds = median(ask(root, cache) for _ in range(REPETITIONS))
        busy = (time.process_time() - busy) / REPETITIONS
        print(f"{f'after it, median of {REPETITIONS}':<42}{seconds:8.2f} s ({busy:.2f} s of processor time)")
        shutil.rmtree(root / "group-1" / "run-0001")
        make(root, 2)
        print(f"{'one folder deleted, one changed':<42}{ask(root, cache):8.2f} s")
        began = time.perf_counter()
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache.parent)}
        command = [sys.executable, "-c", COMMAND, "--runs", str(root), "--sql", QUERIES[1]]
        subprocess.run(command, check=True, capture_output=True, env=environment)
        print(f"{'goalscope findings, the whole process':<42}{time.perf_counter() - began:8.2f} s")
    print(f"RATIO findings_query {seconds / BOUND_SECONDS:.2f}")


if __name__ == "__main__":
    main()
