"""Ctrl-C once: nothing new is begun, what runs is finished. Twice: it stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Asked:
    """Whether somebody has pressed Ctrl-C."""

    once = False


@contextmanager
def patient(say: Callable[[str], None]) -> Iterator[Asked]:
    """While the block lasts, the first Ctrl-C is only noted; the second raises KeyboardInterrupt.

    Args:
        say: is told what the first one does.

    Yields:
        What is asked whether there was one. Outside of the main thread, which alone is told of signals, there is none.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def noted(number: int, frame: object) -> None:
        if asked.once:
            raise KeyboardInterrupt
        asked.once = True
        say("nothing new is begun; what runs is finished (Ctrl-C again stops it at once)")

    before = signal.signal(signal.SIGINT, noted)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
