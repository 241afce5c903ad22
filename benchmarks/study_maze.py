"""`goalscope study maze` on the packaged agent: seconds and peak memory of the whole command, at 1x, 4x and 16x levels.

1x is a quarter of the default number of levels, so 4x is the default.

The bound is 60 s (two cores) and 1.5 GB at the default number of levels; the ratio printed last is seconds over 60.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from goalscope.studies.maze_goal.study import Options

BOUND_SECONDS = 60


def once(levels: int, folder: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of one run of the command in a fresh process."""
    command = [sys.executable, "-c", "from goalscope.commands.main import main; main()", "study", "maze"]
    command += ["--levels", str(levels), "--out", str(folder)]
    watch = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", watch, *command], check=True, capture_output=True, text=True)
    return time.perf_counter() - start, int(done.stdout) / 1024


def main() -> None:
    """Prints a table and the ratio."""
    default = Options().levels
    print(f"{'levels':>8}{'seconds':>10}{'peak MB':>10}{'ms a level':>12}   (median of runs)")
    seconds = {}
    with tempfile.TemporaryDirectory() as place:
        for times, repeats in ((1, 1), (4, 5), (16, 1)):
            runs = [once(default * times // 4, Path(place) / f"run-{times}-{i}") for i in range(repeats)]
            seconds[times] = statistics.median(s for s, _ in runs)
            memory = max(m for _, m in runs)
            levels = default * times // 4
            print(
                f"{levels:8}{seconds[times]:10.1f}{memory:10.0f}{seconds[times] / levels * 1000:12.1f}",
                flush=True,
            )
    print(f"RATIO study_maze {seconds[4] / BOUND_SECONDS:.3f}")


if __name__ == "__main__":
    main()
