"""`goalscope study goals` on the two packaged MiniGrid agents: seconds, CPU seconds and peak memory of the whole command.

The room of 6 x 6 that they were trained in, the study's default number of levels; each run a fresh process.

The bound is 60 s on two cores; the ratio printed last is the seconds of the slower agent over 60.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AGENTS, WORLD = ("grid-corner", "grid-anywhere"), "minigrid:MiniGrid-Empty-6x6-v0"
BOUND_SECONDS, REPEATS = 60, 3


def once(agent: str, folder: Path) -> tuple[float, float]:
    """Seconds and CPU seconds of one run of the command."""
    command = [sys.executable, "-c", "from goalscope.commands.main import main; main()", "study", "goals"]
    command += ["--policy", agent, "--world", WORLD, "--out", str(folder)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Prints a table and the ratio."""
    print(f"{'agent':>14}{'seconds':>10}{'CPU s':>8}{'peak MB':>10}   (median of {REPEATS})")
    slowest = 0.0
    with tempfile.TemporaryDirectory() as place:
        for agent in AGENTS:
            runs = [once(agent, Path(place) / f"{agent}-{i}") for i in range(REPEATS)]
            seconds, cpu = (statistics.median(part) for part in zip(*runs, strict=True))
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            print(f"{agent:>14}{seconds:10.1f}{cpu:8.1f}{peak:10.0f}", flush=True)
            slowest = max(slowest, seconds)
    print(f"RATIO study_goals {slowest / BOUND_SECONDS:.3f}")


if __name__ == "__main__":
    main()
