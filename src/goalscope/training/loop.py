"""The course of a training run, whatever is trained: update after update, with a curve, a saved state and a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

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
        shown: the column in the progress bar, and over how many of the last rows its mean is taken.
        checkpoint_seconds: least time between two saves; the last update is always saved.
        progress: whether to draw a progress bar on standard error.

    Returns:
        Seconds trained in all, over all resumptions.
    """
    steps, before = begin
    column, last = shown
    rows = rows_until(folder / "curve.csv", steps, counts)
    began = saved = time.monotonic()
    with Progress(disable=not progress, console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=total, completed=steps)
        while steps < total:
            steps, row = update(steps)
            seconds = before + time.monotonic() - began
            rows.append({"steps": steps, "seconds": round(seconds, 3), **row})
            if steps >= total or time.monotonic() - saved > checkpoint_seconds:
                write_rows(folder / "curve.csv", rows)
                save(steps, seconds)
                saved = time.monotonic()
            recent = [r[column] for r in rows[-last:] if r["episodes"]]
            description = f"{column} {np.mean(recent):.3f}" if recent else "training"
            bar.update(task, completed=steps, description=description)
    return before + time.monotonic() - began
