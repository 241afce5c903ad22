"""Chess positions to the 112 planes, in positions per second on one core; and what it takes to load a network.

The bounds are absolute: at least 20,000 positions a second, a file of 1.3 MB in less than 0.5 s. Encoding is timed by the
processor time that it takes, in one thread, so that it is that of one core on a busy machine, too; loading by the
clock on the wall. RATIO lc0_encoding is positions per second over 20,000 (at least 1), from boards of python-chess with
the moves of their games to planes, for the slower of two input formats; RATIO lc0_loading is seconds over 0.5 (at most
1), and is left out where GOALSCOPE_DATA, with the file, is unset.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from goalscope.policies.checkpoint import load
from goalscope.worlds.chess.planes import InputFormat, encode
from goalscope.worlds.chess.state import from_boards

POSITIONS, REPEATS = 2048, 15
NEEDED, SECONDS = 20_000, 0.5


def seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """The median time of a run, after two to warm up."""
    times = []
    for i in range(REPEATS + 2):
        start = clock()
        run()
        if i >= 2:
            times.append(clock() - start)
    return statistics.median(times)


def main() -> int:
    """Prints a table and the ratios."""
    try:
        import chess
    except ImportError as error:
        print(f"python-chess is not installed ({error}): pip install 'goalscope[chess]'", file=sys.stderr)
        return 1
    torch.set_num_threads(1)
    rng = random.Random(0)
    boards = []
    while len(boards) < POSITIONS:
        board = chess.Board()
        for _ in range(rng.randrange(2, 100)):
            moves = list(board.legal_moves)
            if not moves:
                break
            # Pawn moves and captures first, as in real games: random ones would shuffle pieces for ever.
            few = rng.sample(moves, min(2, len(moves)))
            board.push(
                max(few, key=lambda m: board.is_capture(m) + (board.piece_type_at(m.from_square) == 1))
            )
        boards.append(board)
    state = from_boards(boards)
    slowest = 0.0
    print(f"{'positions per second, one core':48}{POSITIONS} positions")
    for input_format in (InputFormat.CLASSICAL, InputFormat.HECTOPLIES):
        planes = seconds(lambda form=input_format: encode(state, form), time.process_time)
        both = seconds(lambda form=input_format: encode(from_boards(boards), form), time.process_time)
        slowest = max(slowest, both)
        print(f"{input_format.name:12}{'from states':36}{POSITIONS / planes:10.0f}")
        print(f"{input_format.name:12}{'from boards and moves':36}{POSITIONS / both:10.0f}")
    folder = os.environ.get("GOALSCOPE_DATA")
    if folder:
        path = Path(folder) / "chess" / "maia-1100.pb.gz"
        loading = seconds(lambda: load(path), time.perf_counter)
        print(f"loading {path.name} of {path.stat().st_size} bytes: {loading:.3f} s")
        print(f"RATIO lc0_loading {loading / SECONDS:.3f}")
    print(f"RATIO lc0_encoding {POSITIONS / slowest / NEEDED:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
