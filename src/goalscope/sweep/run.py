"""All cells of a sweep: trainings first, then studies, side by side on whatever works; and what became of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from goalscope.parallel.task import Failed, Work
from goalscope.progress import step
from goalscope.sweep.cell import MADE, THERE, Train, is_begun, is_there, make
from goalscope.sweep.grid import TRAIN, Cell, Grid


class Workers(Protocol):
    """What does tasks side by side: `parallel.pool.Pool`, `parallel.cluster.Cluster`."""

    def each(self, work: Work, tasks: Sequence[Any], shared: Any = None) -> Iterator[tuple[int, Any]]:
        """(number of the task, what `work(shared, task)` gave, or `Failed`), in the order in which they finish."""
        ...


@dataclass
class Made:
    """What became of the cells."""

    there: int = 0
    """that were finished before"""
    made: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """name -> message"""


@dataclass(frozen=True)
class Standing:
    """How far a sweep is, before it runs."""

    there: int
    begun: int
    todo: tuple[Cell, ...]
    """not finished, begun or not"""


def standing(grid: Grid) -> Standing:
    """Which cells are finished, begun, or not."""
    todo = tuple(cell for cell in grid.cells if not is_there(grid.out, cell))
    return Standing(len(grid.cells) - len(todo), sum(is_begun(grid.out, cell) for cell in todo), todo)


def sweep(
    grid: Grid, workers: Workers, train: Train, say: Callable[[str], None] = lambda _: None
) -> Made:  # fmt: skip
    """Makes every cell that is not there yet; one that fails does not stop the others.

    Args:
        grid: the cells.
        workers: what makes them.
        train: what runs a training, a function of a module.
        say: is told of each failure, one line.

    Raises:
        KeyboardInterrupt: after Ctrl-C, with a note that says how far it came.
    """
    before = standing(grid)
    made = Made(before.there)
    with step("sweep", "cells", len(grid.cells), before.there) as tell:
        try:
            for stage in (True, False):  # trainings, then what may need them
                cells = [cell for cell in before.todo if (cell.kind == TRAIN) == stage]
                ready = [cell for cell in cells if cell.needs not in made.failed]
                for cell in cells:
                    if cell.needs in made.failed:
                        made.failed[cell.name] = f"the training {cell.needs} failed"
                for number, value in workers.each(make, ready, (grid.out, train)):
                    _counted(ready[number], value, made, say)
                    done = made.there + made.made + len(made.failed)
                    tell(done, f"{len(made.failed):,} failed" if made.failed else "")
        except KeyboardInterrupt as stop:
            done = made.there + made.made
            stop.add_note(f"{done:,} of {len(grid.cells):,} cells are finished; the same command goes on")
            raise
    return made


def _counted(cell: Cell, value: str | Failed, made: Made, say: Callable[[str], None]) -> None:
    if isinstance(value, Failed):
        made.failed[cell.name] = value.message
        say(f"{cell.name}: {value.message}")
    elif value == MADE:
        made.made += 1
    else:
        made.there += value == THERE


def kinds(cells: Sequence[Cell]) -> str:
    """'3 of train maze, 12 of study maze'."""
    count = Counter(f"{cell.kind} {cell.what}" for cell in cells)
    return ", ".join(f"{number:,} of {what}" for what, number in count.items())
