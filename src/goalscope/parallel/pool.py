"""Processes of this machine that work on tasks side by side; of the standard library alone.

Not `concurrent.futures`: there one process that dies (no memory, a crash in compiled code) takes all tasks with it. Here its
task goes to a new process, and the others do not notice.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

from goalscope.parallel.interrupts import patient
from goalscope.parallel.task import RETRIES, Failed, Work, attempt, one_thread

_LOOKS = 0.5
"""seconds between two looks of a process at whether whoever started it still lives"""


@dataclass
class _Worker:
    """One process, and the number of the task that it has."""

    process: BaseProcess
    pipe: Connection
    task: int | None = None


class Pool:
    """Processes that work on tasks, each on one at a time and with one thread; used in a `with` block.

    Args:
        workers: how many processes; None is one for each core.
        say: is told what Ctrl-C does.

    Raises:
        ValueError: fewer than one.
    """

    def __init__(self, workers: int | None = None, say: Callable[[str], None] = lambda _: None):
        if workers is not None and workers < 1:
            raise ValueError(f"--workers must be at least 1, got {workers}")
        self.workers, self._say = workers or cores(), say
        self._made: list[_Worker] = []
        self._work: tuple[Work, Any] | None = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the processes, those that still work too."""
        self._end()

    def each(self, work: Work, tasks: Sequence[Any], shared: Any = None) -> Iterator[tuple[int, Any]]:
        """Calls `work(shared, task)` for each task, and gives what came of it in the order in which they finish.

        Args:
            work: a function of a module, not of another function.
            tasks: what differs; sent when its turn has come.
            shared: what they all need; sent once to each process.

        Yields:
            (number of the task, what `work` gave, or `Failed`).

        Raises:
            KeyboardInterrupt: after Ctrl-C: once what runs is finished, or at the second one at once.
        """
        if self._work is None or self._work[0] is not work or self._work[1] is not shared:
            self._end()  # processes that have other work loaded
            self._work = (work, shared)
        todo, died = deque(range(len(tasks))), Counter()
        with patient(self._say) as asked:
            while True:
                if not asked.once:
                    self._give(tasks, todo)
                busy = [worker for worker in self._made if worker.task is not None]
                if not busy:
                    break
                ready = wait([worker.pipe for worker in busy])
                for worker in [worker for worker in busy if worker.pipe in ready]:
                    found = self._taken(worker, todo, died)
                    if found is not None:
                        yield found
            if todo:
                raise KeyboardInterrupt

    def _give(self, tasks: Sequence[Any], todo: deque[int]) -> None:
        """Gives tasks to processes that have none, starting as many as are needed."""
        while len(self._made) < min(self.workers, len(todo) + sum(w.task is not None for w in self._made)):
            self._made.append(self._started())
        for worker in [worker for worker in self._made if worker.task is None]:
            if not todo:
                return
            worker.task = todo.popleft()
            with suppress(BrokenPipeError, ConnectionResetError):  # it has died; its pipe says so when asked
                worker.pipe.send((worker.task, tasks[worker.task]))

    def _taken(self, worker: _Worker, todo: deque[int], died: Counter[int]) -> tuple[int, Any] | None:
        """What a process that is ready has to say; None where it died and its task is to be done again."""
        try:
            number, value = worker.pipe.recv()
            worker.task = None
            return number, value
        except (EOFError, ConnectionResetError):
            number = worker.task
            self._made.remove(worker)
            worker.pipe.close()
            worker.process.join()
            if number is None:
                return None
            died[number] += 1
            if died[number] <= RETRIES:
                todo.appendleft(number)
                return None
            return number, Failed(f"its process died {died[number]} times ({_end_of(worker.process)})")

    def _started(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
        here = threading.current_thread() is threading.main_thread()
        # The terminal sends Ctrl-C to all; these never hear it, not even while they start.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if here else None
        try:
            process.start()
        finally:
            if here:
                signal.signal(signal.SIGINT, before)
        theirs.close()
        with suppress(BrokenPipeError, ConnectionResetError):
            ours.send(self._work)
        return _Worker(process, ours)

    def _end(self) -> None:
        for worker in self._made:
            worker.process.kill() if worker.task is not None else worker.pipe.close()
        for worker in self._made:
            worker.process.join()
        self._made = []


def cores() -> int:
    """Of this machine that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serve(pipe: Connection, parent: int) -> None:
    """What a process does: tasks, one after the other, until the pipe ends or whoever started it is gone."""
    one_thread()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with suppress(EOFError, ConnectionResetError, BrokenPipeError):
        work, shared = pipe.recv()
        while True:
            number, task = pipe.recv()
            value = attempt(work, shared, task)
            try:
                pipe.send((number, value))
            except (TypeError, AttributeError, ValueError) as error:
                pipe.send((number, Failed(f"what it gave cannot be sent back: {error}")))


def _end_with(parent: int) -> None:
    """Ends this process when whoever started it was killed, so that nobody finds its run folder in use."""
    while os.getppid() == parent:
        time.sleep(_LOOKS)
    os._exit(1)


def _end_of(process: BaseProcess) -> str:
    """'SIGKILL', 'exit code 3'."""
    code = process.exitcode
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
