"""Streaming capture of one site over 0.1, 0.3 and 1 million positions: throughput and memory.

Peer: the bare forward on batches of the same size, under no_grad, in the same process: 5,120 positions of it after
every 20,480 of ours, spread over the whole run. Ours: `stream`, forward and shards on disk together. The site is a
residual stream of the compact policy, 6 KB a position; what it writes is deleted again. The bound on ours over the
bare throughput is 0.8, at the largest size; peak memory must not grow with the number of positions (each size in a
process of its own).

RATIO streaming_capture: positions per second of ours over the bare forward's, at 1 M; must stay above 0.8.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from goalscope.activations import stream
from goalscope.policies.compact import Compact

SIZES = (100_000, 300_000, 1_000_000)
BATCH = 512
EVERY, FORWARDS = 40, 10
"""after so many batches of ours, so many of the bare forward"""
SITE = "blocks.1"


def measure(positions: int) -> dict[str, float]:
    """Positions per second of both, and the peak memory of this process in MB."""
    torch.manual_seed(0)
    policy = Compact().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pool = torch.rand(8, BATCH, 3, 13, 13)
    bare, forwards = 0.0, 0

    def run_bare() -> None:
        nonlocal bare, forwards
        start = time.perf_counter()
        with torch.no_grad():
            for k in range(FORWARDS):
                policy(pool[k % len(pool)])
        bare += time.perf_counter() - start
        forwards += FORWARDS

    def batches() -> Iterator[Tensor]:
        for k in range(-(-positions // BATCH)):
            if k % EVERY == 0:  # while the stream waits for its next batch
                run_bare()
            yield pool[k % len(pool)][: positions - k * BATCH]

    run_bare()  # warms up
    bare, forwards = 0.0, 0
    with tempfile.TemporaryDirectory(dir=".") as folder:
        start = time.perf_counter()
        kept = stream(policy, batches(), [SITE], folder)
        ours = time.perf_counter() - start - bare
        if kept.rows != positions:
            raise SystemExit(f"{kept.rows} rows, not {positions}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"bare": forwards * BATCH / bare, "ours": positions / ours, "peak": peak}


def main() -> None:
    """Prints a table and the ratio."""
    print(f"site {SITE}, batches of {BATCH}, {torch.get_num_threads()} threads")
    print(f"{'positions':>10}{'bare, 1/s':>12}{'ours, 1/s':>12}{'ratio':>8}{'peak MB':>9}")
    ratio = 0.0
    for positions in SIZES:
        done = subprocess.run(
            [sys.executable, __file__, str(positions)], check=True, capture_output=True, text=True
        )
        found = json.loads(done.stdout)
        ratio = found["ours"] / found["bare"]
        print(
            f"{positions:10,}{found['bare']:12,.0f}{found['ours']:12,.0f}{ratio:8.3f}{found['peak']:9.0f}",
            flush=True,
        )
    print(f"RATIO streaming_capture {ratio:.3f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        main()
