"""Progress on standard error: one line that is rewritten in a terminal, a plain line now and then anywhere else."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from goalscope.progress import Step, heard

_REDRAWN = 0.2
"""seconds between two looks of a line that is rewritten"""
_PLAIN = 30.0
"""seconds without a word after which a plain line is due, however many short steps they were"""
_CLEAR = "\r\x1b[K"


@contextmanager
def shown() -> Iterator[Callable[[str], None]]:
    """While the block lasts, long work shows itself; gives what says one line of its own.

    In a file, a pipe or a terminal that rewrites nothing (TERM=dumb) no line is rewritten. Colours are never used.
    """
    live = sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb"
    last, drawn = time.monotonic(), False

    def clear() -> None:
        nonlocal drawn
        if drawn:
            sys.stderr.write(_CLEAR)
        drawn = False

    def say(line: str) -> None:
        nonlocal last
        clear()
        print(line, file=sys.stderr, flush=True)
        last = time.monotonic()

    def listen(step: Step) -> None:
        nonlocal last, drawn
        now = time.monotonic()
        if live and step.done == step.total:
            clear()
            last = now
        elif live and now - last >= _REDRAWN:
            room = shutil.get_terminal_size().columns - 1
            sys.stderr.write(_CLEAR + step.line(now)[:room])
            sys.stderr.flush()
            last, drawn = now, True
        elif not live and now - last >= _PLAIN:
            print(step.line(now), file=sys.stderr, flush=True)
            last = now

    try:
        with heard(listen):
            yield say
    finally:
        clear()
