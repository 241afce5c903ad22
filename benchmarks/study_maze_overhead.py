"""The whole maze study against nothing but its forwards: what measuring, solving, fitting, drawing and writing add.

Peer: the networks of the study on the very batches that the study gives them (same positions, same size of batch), already
encoded when the clock starts, under inference_mode. Ours: the study from its options to its report, without the cache of
what was measured before. Both in one process with two threads, after a whole study that warms both up and tells the
batches. Bound: 1.25, in seconds and in CPU seconds; the ratio printed is the larger of the two.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from goalscope.policies.compact import Compact
from goalscope.studies import study
from goalscope.studies.maze_goal.study import Options

REPEATS = 3
Batches = list[tuple[nn.Module, np.ndarray]]


def run(levels: int) -> None:
    """One whole study, in a folder that goes away."""
    with tempfile.TemporaryDirectory() as place:
        study("maze", levels=levels, out=str(Path(place) / "run"), no_cache=True)


def recorded(levels: int) -> Batches:
    """What the study's networks are given, in its order."""
    batches: Batches = []
    encode = Compact.encode

    def recording(self: Compact, observations: np.ndarray) -> Any:
        batches.append((self, observations))
        return encode(self, observations)

    Compact.encode = recording
    try:
        run(levels)
    finally:
        Compact.encode = encode
    return batches


def timed(work: Callable[[], object]) -> np.ndarray:
    """Seconds and CPU seconds."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return np.array([time.perf_counter() - start, time.process_time() - cpu])


def forwards(batches: Batches) -> np.ndarray:
    """The same of the forwards alone; encoding is not counted."""
    spent = np.zeros(2)
    with torch.inference_mode():
        for module, observations in batches:
            x = module.encode(observations)  # type: ignore[operator]
            spent += timed(lambda module=module, x=x: module(x))
    return spent


def main() -> None:
    """Prints a table and the ratio. An argument is another number of levels than the study's own."""
    levels = int(sys.argv[1]) if len(sys.argv) > 1 else Options().levels
    torch.set_num_threads(2)
    batches = recorded(levels)
    pairs = [(timed(lambda: run(levels)), forwards(batches)) for _ in range(REPEATS)]
    positions = sum(len(observations) for _, observations in batches)
    print(
        f"{positions} positions in {len(batches)} batches, {levels} levels, two threads, {REPEATS} runs of each"
    )
    ratios = []
    for i, unit in enumerate(("seconds", "CPU seconds")):
        ours, peer = (statistics.median(pair[which][i] for pair in pairs) for which in (0, 1))
        ratios.append(statistics.median(pair[0][i] / pair[1][i] for pair in pairs))
        print(f"{unit:>12}: study {ours:8.1f}   forwards {peer:8.1f}   ratio {ratios[-1]:.3f}")
    print(f"RATIO study_maze_overhead {max(ratios):.3f}")


if __name__ == "__main__":
    main()
