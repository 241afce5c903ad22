"""The whole maze study against nothing but its forwards: what measuring, solving, fitting, drawing and writing add.

Peer: the forwards of the study's networks themselves, on the batches that the study gives them, by a clock around each one
in the same run, so that no other load of the machine and no other order of work comes between the two. Ours: the study
from its options to its report, without the cache of what was measured before. Two threads, after a whole study that warms
up. Bound: 1.25, in seconds and in CPU seconds; the ratio printed is the larger of the two.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from goalscope.policies.compact import Compact
from goalscope.studies import study
from goalscope.studies.maze_goal.study import Options

REPEATS = 3


def now() -> np.ndarray:
    """Seconds and CPU seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def run(levels: int) -> tuple[np.ndarray, np.ndarray, int]:
    """(the study, its forwards, each in seconds and CPU seconds; positions) of one study in a folder that goes away."""
    spent, positions = np.zeros(2), 0
    forward = Compact.forward

    def clocked(self: Compact, x: torch.Tensor) -> Any:
        nonlocal spent, positions
        start = now()
        out = forward(self, x)
        spent, positions = spent + now() - start, positions + len(x)
        return out

    Compact.forward = clocked
    start = now()
    try:
        with tempfile.TemporaryDirectory() as place:
            study("maze", levels=levels, out=str(Path(place) / "run"), no_cache=True)
    finally:
        Compact.forward = forward
    return now() - start, spent, positions


def main() -> None:
    """Prints a table and the ratio. An argument is another number of levels than the study's own."""
    levels = int(sys.argv[1]) if len(sys.argv) > 1 else Options().levels
    torch.set_num_threads(2)
    run(min(levels, 20))
    runs = [run(levels) for _ in range(REPEATS)]
    print(f"{runs[0][2]} positions, {levels} levels, two threads, {REPEATS} runs")
    ratios = []
    for i, unit in enumerate(("seconds", "CPU seconds")):
        ours = statistics.median(float(whole[i]) for whole, _, _ in runs)
        peer = statistics.median(float(forwards[i]) for _, forwards, _ in runs)
        ratios.append(statistics.median(float(whole[i] / forwards[i]) for whole, forwards, _ in runs))
        print(f"{unit:>12}: study {ours:8.1f}   forwards {peer:8.1f}   ratio {ratios[-1]:.3f}")
    print(f"RATIO study_maze_overhead {max(ratios):.3f}")


if __name__ == "__main__":
    main()
