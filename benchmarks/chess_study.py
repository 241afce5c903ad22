"""`goalscope study chess` on Lichess puzzles: seconds and peak memory of the whole command at 250, 1,000 and 4,000 puzzles.

Processor seconds say what a busy machine hides. The numbers beyond the file's come by repetition with another move counter,
so that every row is a row. The bound is 300 s (two cores) at 1,000 puzzles and 2 GB at any number; the ratio printed last is
seconds over 300, or memory over 2 GB where that is more. Needs GOALSCOPE_DATA.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BOUND_SECONDS, BOUND_MB = 300, 2000
NUMBERS = (250, 1000, 4000)


def repeated(source: Path, target: Path, number: int) -> None:
    """The first `number` puzzles of a file; after its last row it begins again, each round with later move counters."""
    with open(source, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(target, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for i in range(number):
            row, again = rows[i % len(rows)], i // len(rows)
            *words, move = row["FEN"].split()
            fen = " ".join([*words, str(int(move) + again)])
            writer.writerow({**row, "FEN": fen, "PuzzleId": f"{row['PuzzleId']}-{again}"})


def once(data: Path, puzzles: Path, folder: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak memory in MB of one run of the command in a fresh process."""
    command = [sys.executable, "-c", "from goalscope.commands.main import main; main()", "study", "chess"]
    command += ["--strong", str(data / "maia-1900.pb.gz"), "--weak", str(data / "maia-1100.pb.gz")]
    command += ["--puzzles", str(puzzles), "--out", str(folder)]
    watch = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", watch, *command], check=True, capture_output=True, text=True)
    wall = time.perf_counter() - start
    processor, peak = map(float, done.stdout.split())
    return wall, processor, peak / 1024


def main() -> None:
    """Prints a table and the ratio."""
    if "GOALSCOPE_DATA" not in os.environ:
        sys.exit("GOALSCOPE_DATA is unset: it points at the shared data with networks and puzzles")
    data = Path(os.environ["GOALSCOPE_DATA"]) / "chess"
    print(f"{'puzzles':>8}{'seconds':>10}{'processor s':>13}{'peak MB':>10}")
    seconds, memory = {}, {}
    with tempfile.TemporaryDirectory() as place:
        for number in NUMBERS:
            puzzles = Path(place) / f"{number}.csv"
            repeated(data / "lichess_puzzles_1000.csv", puzzles, number)
            seconds[number], processor, memory[number] = once(data, puzzles, Path(place) / f"run-{number}")
            print(f"{number:8}{seconds[number]:10.1f}{processor:13.1f}{memory[number]:10.0f}", flush=True)
    ratio = max(seconds[1000] / BOUND_SECONDS, max(memory.values()) / BOUND_MB)
    print(f"RATIO chess_study {ratio:.3f}")


if __name__ == "__main__":
    main()
