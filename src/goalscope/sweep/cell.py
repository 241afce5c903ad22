"""One cell of a sweep: found, or made now, by one process at a time, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from goalscope.files import write_whole
from goalscope.parallel.task import Failed, attempt
from goalscope.policies.names import CONFIG
from goalscope.sweep.content import DIGITS
from goalscope.sweep.grid import STUDY, Cell

MADE, THERE = "made", "there"
FAILED = "failed"
"""folder of the messages, beside the cells"""
_LOCKS = ".sweep.lock"
_RENAMED = {"site": "sites"}
"""option on the command line -> of the study, where they differ"""

Train = Callable[[str, Mapping[str, Any]], None]
"""(training, its options) -> nothing; what runs a training"""


def is_there(out: str, cell: Cell) -> bool:
    """Whether a cell is finished."""
    return _sign(Path(out), cell).is_file()


def is_begun(out: str, cell: Cell) -> bool:
    """Whether a cell was begun and stopped."""
    return Path(out, f"{cell.name}.part").is_dir()


def make(shared: tuple[str, Train], cell: Cell) -> str | Failed:
    """Makes a cell, or finds it; a failure is kept as a text beside the cells until the cell is made.

    Args:
        shared: the folder of all cells, and what runs a training.
        cell: which one.

    Returns:
        `MADE`, `THERE`, or why there is none.
    """
    out, train = shared
    with _held(Path(out), cell):
        if is_there(out, cell):
            return THERE
        result = attempt(_made, (out, train), cell)
        kept = Path(out, FAILED, f"{cell.name}.txt")
        if isinstance(result, Failed):
            kept.parent.mkdir(exist_ok=True)
            write_whole(kept, f"{result.message}\n\n{result.trace}")
            return result
        kept.unlink(missing_ok=True)
        return MADE


def _made(shared: tuple[str, Train], cell: Cell) -> None:
    """Runs what the cell says; where it was begun before, goes on with it."""
    out, train = shared
    if cell.kind == STUDY:
        from goalscope.studies import study

        options: dict[str, Any] = {_RENAMED.get(name, name): value for name, value in cell.options.items()}
        options = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
        study(cell.what, cell.policy, seed=cell.seed, out=str(Path(out, cell.name)), **options)
        return
    part = Path(out, f"{cell.name}.part", cell.name)
    with contextlib.redirect_stdout(io.StringIO()):  # the command's last words; the sweep has its own
        train(cell.what, {**cell.options, "seed": cell.seed, "out": str(part)})
    shutil.rmtree(part / cell.name, ignore_errors=True)  # where it was killed just here
    os.rename(part / "policy", part / cell.name)  # so that findings tell the sweep's policies apart
    os.rename(part, Path(out, cell.name))
    part.parent.rmdir()


def _sign(out: Path, cell: Cell) -> Path:
    """The file that only a finished cell has."""
    folder = out / cell.name
    return folder / "run.json" if cell.kind == STUDY else folder / cell.name / CONFIG


@contextmanager
def _held(out: Path, cell: Cell) -> Iterator[None]:
    """Waits until no other process has this cell, and has it; when the process ends, however it ends, it is free.

    One byte of one file for each cell: such locks hold between machines too, where the folder is shared.
    """
    out.mkdir(parents=True, exist_ok=True)
    file = os.open(out / _LOCKS, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX, 1, int(cell.name[-DIGITS:], 16))
        yield
    finally:
        os.close(file)
