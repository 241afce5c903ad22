"""`goalscope findings` over 1,000 run folders against a plain DuckDB scan of the same files; whole processes, in turns.

Both choose the findings of one policy and print how many there are of each standing, or of what decides it. Processor
time (user and system) of the process is compared, since it does not depend on what else the machine does; ours is
the second look, which finds its cache, and the first is printed beside it.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from findings_query import EACH, FOLDERS, make

BOUND = 2.0
REPETITIONS = 7
OURS = "import sys; from goalscope.commands.main import main; main(['findings', *sys.argv[1:]])"
SQL = "SELECT standing, count(*) AS n FROM findings GROUP BY standing ORDER BY standing"
SCAN = (
    "SELECT estimate > control_high AS above, count(*) FROM read_parquet('{}/*/*/findings.parquet') "
    "WHERE policy = 'mouse-3' GROUP BY 1"
)
THEIRS = f"import sys, duckdb; print(duckdb.sql({SCAN!r}.format(sys.argv[1])).fetchall())"


def spent(command: list[str], environment: dict[str, str]) -> float:
    """Seconds of processor time of a whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "runs"
        for folder in range(FOLDERS):
            make(root, folder)
        environment = {**os.environ, "XDG_CACHE_HOME": str(Path(name) / "cache")}
        ours = [sys.executable, "-c", OURS, "--runs", str(root), "--policy", "mouse-3", "--sql", SQL]
        theirs = [sys.executable, "-c", THEIRS, str(root)]
        print(
            f"{FOLDERS * EACH:,} findings in {FOLDERS:,} run folders; seconds of processor time of a process"
        )
        print(f"{'goalscope findings, first look':<42}{spent(ours, environment):8.2f} s")
        both = [(spent(ours, environment), spent(theirs, environment)) for _ in range(REPETITIONS)]
        mine, plain = (median(times) for times in zip(*both, strict=True))
        print(f"{f'after it, median of {REPETITIONS}':<42}{mine:8.2f} s")
        print(f"{'DuckDB over the same files':<42}{plain:8.2f} s")
    print(f"RATIO findings_many {mine / plain / BOUND:.2f}")


if __name__ == "__main__":
    main()
