"""What is being done, counted where it is done and shown where somebody looks: the one way in which long work shows itself.

A long loop goes through `counted`; whoever wants to show it listens (`heard`), as the command line does. Without a listener
nothing happens. Of loops inside each other the outermost counts, so that a step ends once. Nothing is imported here, so
that every room may use it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Step:
    """One long loop while it runs."""

    words: str
    """what is being done"""
    unit: str
    """what is counted, in the plural"""
    total: int | None
    """how many there are; None where that is not known"""
    began: float
    """of `time.monotonic`"""
    start: int = 0
    """how many were done before, by an earlier run"""
    done: int = 0
    note: str = ""
    """what is best said beside the count, such as the success of a training"""

    def line(self, now: float) -> str:
        """'retargeting: 34 of 120 mazes, 3.2 a second, 27 s left'; rate and time once something was done."""
        of = "" if self.total is None else f" of {self.total:,}"
        text = f"{self.words}: {self.done:,}{of} {self.unit}"
        made, seconds = self.done - self.start, now - self.began
        if made > 0 and seconds > 0:
            text += f", {_rate(made / seconds)}"
            if self.total is not None and self.total > self.done:
                text += f", {duration((self.total - self.done) * seconds / made)} left"
        return f"{text}; {self.note}" if self.note else text


_LISTENER: ContextVar[Callable[[Step], None] | None] = ContextVar("listener", default=None)
_INSIDE: ContextVar[bool] = ContextVar("inside", default=False)


@contextmanager
def heard(listener: Callable[[Step], None]) -> Iterator[None]:
    """While the block lasts, `listener` is called at the beginning of every step, after each count, and at its end."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextmanager
def step(words: str, unit: str, total: int | None = None, start: int = 0) -> Iterator[Callable[..., None]]:
    """A long piece of work that counts for itself.

    Args:
        words: what is being done. unit: what is counted, in the plural.
        total: how many there are. start: how many were done before.

    Yields:
        What is called with how many are done now, and with a note.
    """
    listener = None if _INSIDE.get() else _LISTENER.get()
    if listener is None:
        yield lambda done, note="": None
        return
    now = Step(words, unit, total, time.monotonic(), start, start)
    token = _INSIDE.set(True)

    def tell(done: int, note: str = "") -> None:
        now.done, now.note = done, note
        listener(now)

    try:
        listener(now)
        yield tell
    finally:
        _INSIDE.reset(token)


def counted(items: Iterable[T], words: str, unit: str, total: int | None = None) -> Iterator[T]:
    """The items, one after the other, counted as they are done with.

    Args:
        items: what is gone through.
        words: what is being done. unit: what the items are, in the plural.
        total: how many there are; None takes the length, where the items have one.
    """
    length = getattr(items, "__len__", None)
    many = length() if total is None and length is not None else total
    with step(words, unit, many) as tell:
        for done, item in enumerate(items, start=1):
            yield item
            tell(done)


def duration(seconds: float) -> str:
    """'27 s', '4 min', '2 h 10 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def _rate(each_second: float) -> str:
    if each_second >= 10:
        return f"{each_second:,.0f} a second"
    if each_second >= 0.5:
        return f"{each_second:.1f} a second"
    return f"{duration(1 / each_second)} each"
