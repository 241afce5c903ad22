"""The course of a training run, whatever is trained: update after update, with a curve and a saved state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

from goalscope.progress import step
from goalscope.training.saved_state import rows_until, write_rows


def follow(
    folder: Path, total: int, update: Callable[[int], tuple[int, dict[str, float]]],
    save: Callable[[int, float], None], *, begin: tuple[int, float], counts: tuple[str, ...],
    shown: tuple[str, int], checkpoint_seconds: float, progress: bool,
) -> float:  # fmt: skip
    """Updates until `total` steps are done, and leaves `curve.csv` and a saved state that agree with each other.

    Args:
        folder: run folder.
        total: steps of the whole run.
        update: steps done so far -> steps done then, and what the curve says of it.
        save: (steps done, seconds trained in all) writes all that is needed to go on.
        begin: steps and seconds of what was done before, (0, 0) for a fresh run.
        counts: columns of the curve that are whole numbers.
        shown: the column that progress says, and over how many of the last rows its mean is taken.
        checkpoint_seconds: least time between two saves; the last update is always saved.
        progress: whether it is counted for whoever listens (`goalscope.progress`).

    Returns:
        Seconds trained in all, over all resumptions.
    """
    steps, before = begin
    column, last = shown
    rows = rows_until(folder / "curve.csv", steps, counts)
    began = saved = time.monotonic()
    counting = step("training", "steps", total, steps) if progress else nullcontext(_in_silence)
    with counting as tell, _keeping(folder, total) as kept:
        kept(steps)
        while steps < total:
            steps, row = update(steps)
            seconds = before + time.monotonic() - began
            rows.append({"steps": steps, "seconds": round(seconds, 3), **row})
            if steps >= total or time.monotonic() - saved > checkpoint_seconds:
                write_rows(folder / "curve.csv", rows)
                save(steps, seconds)
                saved = time.monotonic()
                kept(steps)
            recent = [r[column] for r in rows[-last:] if r["episodes"]]
            tell(steps, f"{column} {np.mean(recent):.3f}" if recent else "")
    return before + time.monotonic() - began


def _in_silence(done: int, note: str = "") -> None:
    """Tells nobody."""


@contextmanager
def _keeping(folder: Path, total: int) -> Iterator[Callable[[int], None]]:
    """Notes on Ctrl-C how many steps are kept; gives what is told them."""
    kept = 0

    def tell(steps: int) -> None:
        nonlocal kept
        kept = steps

    try:
        yield tell
    except KeyboardInterrupt as stop:
        stop.add_note(f"{folder} keeps {kept:,} of {total:,} steps: the same command goes on from there")
        raise
