"""What a sweep adds to each cell, with cells of nothing: through the pool, and through Ray where it is installed.

A cell locks its place, writes a policy's config into a folder of its own and renames that, as every training does; what is
measured is the time from the first cell that is finished to the last, so that starting processes does not count.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any

from goalscope.parallel.cluster import Cluster
from goalscope.parallel.pool import Pool
from goalscope.sweep.cell import make
from goalscope.sweep.grid import TRAIN, Cell
from goalscope.sweep.run import Workers

POOL_BOUND, RAY_BOUND = 5.0, 30.0
"""milliseconds a cell"""
CELLS, REPETITIONS = 500, 3


def nothing(what: str, options: Mapping[str, Any]) -> None:
    """Leaves what a training leaves."""
    folder = Path(options["out"], "policy")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")


def milliseconds(working: AbstractContextManager[Workers]) -> float:
    """Of one cell, median of the repetitions."""
    times = []
    with working as workers:
        for _ in range(REPETITIONS):
            with tempfile.TemporaryDirectory() as out:
                names = [f"cell-{i}-{i:012x}" for i in range(CELLS)]
                cells = [Cell(name, TRAIN, "nothing", "", name, 0, {}) for name in names]
                moments = [time.perf_counter() for _ in workers.each(make, cells, (out, nothing))]
                if len(list(Path(out).glob("cell-*"))) != CELLS:
                    raise RuntimeError("not every cell was made")
                times.append((moments[-1] - moments[0]) / (CELLS - 1) * 1e3)
    print(f"  each repetition: {', '.join(f'{t:.2f}' for t in times)} ms a cell")
    return median(times)


def main() -> None:
    pool = milliseconds(Pool(2))
    print(f"pool of two processes: {pool:.2f} ms a cell of {CELLS}, at most {POOL_BOUND:g}")
    worst = pool / POOL_BOUND
    if importlib.util.find_spec("ray") is None:
        print("Ray: not installed, pip install 'goalscope[ray]'")
    else:
        ray = milliseconds(Cluster("local", workers=2))
        print(f"Ray on this machine, two workers: {ray:.2f} ms a cell of {CELLS}, at most {RAY_BOUND:g}")
        worst = max(worst, ray / RAY_BOUND)
    print(f"RATIO sweep_overhead {worst:.2f}")


if __name__ == "__main__":
    main()
