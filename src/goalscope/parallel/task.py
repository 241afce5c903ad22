"""What a process does with one task: it gives what the function gives, or why there is nothing."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Work = Callable[[Any, Any], Any]
"""(what all tasks share, the task) -> what comes back"""
RETRIES = 2
"""how often a task is begun anew whose process or machine has died; one that kills its process each time is given up"""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""Of a process that has others beside it: threads of all would be in each other's way, and sums over another number of
threads are rounded otherwise, so that the outcome would depend on how many processes there are."""
_TOLD = (ValueError, KeyError, OSError, ImportError)
"""errors whose message is meant for a user"""


@dataclass(frozen=True)
class Failed:
    """A task that gave nothing."""

    message: str
    """one line"""
    trace: str = ""
    """where it was raised; empty where the process died"""


def attempt(work: Work, shared: Any, task: Any) -> Any:
    """What `work` gives of one task, or the `Failed` that says why it gives nothing."""
    try:
        return work(shared, task)
    except Exception as error:
        first = error.args[0] if isinstance(error, KeyError) and error.args else error
        lines = str(first).splitlines()
        message = " ".join(line.strip() for line in lines) or "no message"
        if not isinstance(error, _TOLD):
            message = f"{type(error).__name__}: {message}"
        return Failed(message, traceback.format_exc())


def one_thread() -> None:
    """Tells the numerical libraries of this process to keep to one thread; torch also where it is loaded already."""
    os.environ.update(ONE_THREAD)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
