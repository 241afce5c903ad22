"""Tasks of nothing, for processes and machines that import them by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any


def square(shared: int, task: int) -> int:
    return shared + task**2


def threads(shared: Any, task: Any) -> str:
    return os.environ["OMP_NUM_THREADS"]


def fails_on_three(shared: Any, task: int) -> int:
    if task == 3:
        raise KeyError("there is no three")
    if task == 4:
        raise RuntimeError("two\nlines")
    return task


def dies_once(shared: str, task: int) -> int:
    """Kills its own process the first time that task 1 is done."""
    mark = Path(shared, f"tried-{task}")
    if task == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def dies_always(shared: Any, task: int) -> int:
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def unsendable(shared: Any, task: int) -> Any:
    return lambda: task


def waits(shared: str, task: int) -> int:
    """Says that it was begun, waits until it may go on, says that it was finished."""
    with Path(shared, f"begun-{task}").open("a") as file:
        file.write(f"{os.getpid()}\n")
    while not Path(shared, "go").exists():
        time.sleep(0.02)
    with Path(shared, f"finished-{task}").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return task
