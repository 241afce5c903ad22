"""The command `goalscope sweep`: many studies and trainings from one file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from goalscope.commands.findings import printable
from goalscope.commands.parser import App, Argument, Option, kinds_of
from goalscope.commands.shown import shown
from goalscope.commands.study import study_app
from goalscope.commands.train import train_app

if TYPE_CHECKING:
    from goalscope.sweep.grid import Grid
    from goalscope.sweep.run import Made, Workers
    from goalscope.sweep.table import Row

TRAIN_GIVEN = ("seed", "out")
"""options of a training that the sweep itself gives"""
STUDY_GIVEN = (*TRAIN_GIVEN, "policy", "strong", "force", "json")
"""those of a study, and what makes no sense in a sweep"""
LISTED = 20
"""cells and failures that are shown one by one"""
ROWS = 60
"""of the table"""


def sweep(
    file: Annotated[str, Argument("A TOML file: which policies, studies, seeds, options and trainings.")],
    dry_run: Annotated[bool, Option("Say what would be run, and run nothing.", "--dry-run")] = False,
    workers: Annotated[
        int | None, Option("Processes side by side, each with one thread [default: one a core].")
    ] = None,
    ray: Annotated[
        str | None, Option("'local', 'auto' (the cluster of this machine) or HOST:PORT of a Ray cluster.")
    ] = None,
) -> None:
    """Run every study and training that a file names, each once, side by side; going on where it stopped."""
    from goalscope.sweep.grid import read_grid
    from goalscope.sweep.run import sweep as run

    grid = read_grid(file, _known(study_app, STUDY_GIVEN), _known(train_app, TRAIN_GIVEN))
    if dry_run:
        _say_plan(grid)
        return
    with shown() as say, _workers(workers, ray, grid.out, say) as working:
        made = run(grid, working, train, say)
    _say_end(grid, made)
    if made.failed:
        sys.exit(1)


def _workers(
    workers: int | None, ray: str | None, folder: str, say: Callable[[str], None]
) -> AbstractContextManager[Workers]:
    """What makes the cells: processes of this machine, or a Ray cluster."""
    if ray is None:
        from goalscope.parallel.pool import Pool

        return Pool(workers, say)
    from goalscope.parallel.cluster import Cluster

    return Cluster(ray, workers, say, folder)


def train(what: str, options: Mapping[str, Any]) -> None:
    """Runs `goalscope train WHAT` with these options."""
    command = train_app.commands[what]
    if isinstance(command, App):
        raise KeyError(f"{what} is a group of trainings")
    command(**options)


def _known(app: App, given: tuple[str, ...]) -> dict[str, dict[str, type]]:
    """Of each command of a group the options that a sweep may give, with their types."""
    commands = {name: each for name, each in app.commands.items() if not isinstance(each, App)}
    return {
        name: {option: kind for option, kind in kinds_of(each).items() if option not in given}
        for name, each in commands.items()
    }


def _say_plan(grid: Grid) -> None:
    """What would be run, and what cannot be."""
    from goalscope.sweep.run import kinds, standing

    now = standing(grid)
    print(f"{len(grid.cells):,} cells in {grid.out}: {kinds(grid.cells)}")
    print(f"{now.there:,} finished, {now.begun:,} begun, {len(now.todo) - now.begun:,} not begun")
    for cell in now.todo[:LISTED]:
        given = "".join(f" {name}={value}" for name, value in cell.options.items())
        of = f"{cell.policy} " if cell.policy else ""
        print(printable(f"  {cell.name}: {cell.kind} {cell.what} {of}seed={cell.seed}{given}"))
    if len(now.todo) > LISTED:
        print(f"  and {len(now.todo) - LISTED:,} more")


def _say_end(grid: Grid, made: Made) -> None:
    """The table, what failed, and where everything is."""
    from goalscope.evidence.store import open_store
    from goalscope.sweep.cell import FAILED
    from goalscope.sweep.table import rows

    if any(cell.kind == "study" for cell in grid.cells) and len(made.failed) < len(grid.cells):
        store = open_store(grid.out)
        _print_rows(rows(grid.cells, store))
    for name, message in list(made.failed.items())[:LISTED]:
        print(printable(f"failed: {name}: {message}"))
    if len(made.failed) > LISTED:
        print(f"and {len(made.failed) - LISTED:,} more failures")
    print(
        f"{len(grid.cells):,} cells in {grid.out}: {made.made:,} made now, {made.there:,} there before, "
        f"{len(made.failed):,} failed{f' (see {Path(grid.out, FAILED)})' if made.failed else ''}"
    )
    print(f"All findings: goalscope findings --runs {grid.out}")


def _print_rows(rows: Sequence[Row]) -> None:
    """The rows below each other, in columns where there is room."""
    before = None
    for row in rows[:ROWS]:
        here = f"{row.study} {row.policy} {row.options}".strip()
        if here != before:
            print(printable(here))
            before = here
        value = " to ".join(dict.fromkeys((f"{row.least:.3g}", f"{row.greatest:.3g}")))
        over = "" if row.seeds == 1 else f" over {row.seeds} seeds"
        print(f"  {row.finding}: {value} {row.unit}{over}; {row.standings}")
    if len(rows) > ROWS:
        print(f"and {len(rows) - ROWS:,} more findings")
