"""The pictures of the planning study: a maze as it is read, readings beside what is seen, moments, ticks, written ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.plots.boards.maze import Board, panel_grid
from goalscope.plots.charts import Line, curves
from goalscope.plots.figure import Figure
from goalscope.studies.figures import forest_of
from goalscope.studies.frame import Placed
from goalscope.studies.planning.findings import FAR, FAR_CHEESE, NEAR, rivals
from goalscope.studies.planning.setup import Setup

Table = Mapping[str, Finding]
SHOWN = {
    "read": ("read.way", "read.beside.*"),
    "form": ("form.*moment_*",),
    "follow": ("follow.way", "follow.own_square", "follow.swap"),
    "think": ("think.*.ticks_*",),
}
"""figure -> the findings that it draws"""
PANELS = 4


def figures(setup: Setup, table: Table, found: Mapping[str, Mapping[str, Any]]) -> Iterator[Placed]:
    """All figures, in the order of the report."""
    yield from _maze_figure(setup, found["reading"])
    names = rivals(setup)
    rows = [table[f"read.beside.{name}"] for name in names]
    svg = forest_of(list(names.values()), rows, "Squares of the way whose right move is read", percent=True)
    yield (
        "read",
        "read",
        Figure.of(svg, "Each row the same reading, and below it what else tells; 95% intervals over levels."),
    )
    lines = [_line(table, f"form.{place}moment_", words) for place, words in (
        ("", "all squares"), ("near.", f"{NEAR} steps from the cheese or nearer"),
        ("far.", f"{FAR} steps or more"))]  # fmt: skip
    if lines := [line for line in lines if line is not None]:
        svg = curves(lines, title="What is read, moment by moment", x_label="moment", percent=True)
        yield "form", "form", Figure.of(svg, "A probe for each moment, judged on other levels.")
    follow = {
        "follow.way": "all squares but its own",
        "follow.own_square": "its own square alone",
        "follow.swap": "state swapped",
    }
    if "follow.way" in table:
        svg = forest_of(
            list(follow.values()), [table[k] for k in follow], "Another way is followed", percent=True
        )
        yield (
            "follow",
            "follow",
            Figure.of(svg, "In levels where it is not gone anyway; chosen on other levels."),
        )
    lines = [_line(table, f"think.{place}.ticks_", words) for place, words in (
        ("all", "all levels"), ("far", f"cheese {FAR_CHEESE} or more steps away"))]  # fmt: skip
    if lines := [line for line in lines if line is not None]:
        svg = curves(
            lines, title="Coming to the cheese, by ticks a step", x_label="ticks", percent=True, log_x=True
        )
        yield "think", "think", Figure.of(svg, "Exact chances, 95% intervals over levels.")


def _line(table: Table, prefix: str, name: str) -> Line | None:
    """The findings whose ids are a prefix and a number, as one line over the number."""
    rows = [(int(i.removeprefix(prefix)), f) for i, f in table.items() if i.startswith(prefix)]
    if len(rows) < 2:
        return None
    return Line(
        name, [x for x, _ in rows], *([getattr(f, k) for _, f in rows] for k in ("estimate", "low", "high"))
    )


def _maze_figure(setup: Setup, found: Mapping[str, np.ndarray]) -> Iterator[Placed]:
    """The judged level with the longest way: on which squares of it the right move is read, at some moments."""
    level, steps = found["level"], found["steps"]
    longest = int(level[steps.argmax()])
    rows = level == longest
    state, squares, boards = setup.read, found["square"][rows], []
    for t in np.unique(np.linspace(0, len(setup.sites) - 1, PANELS).round().astype(int)):
        boards.append(
            Board(
                state.walls[longest], tuple(state.mouse[longest].tolist()), tuple(state.cheese[longest].tolist()),
                squares=squares, heat=found["moments"][t][rows].astype(float),
                heat_label="right move read", heat_range=(0.0, 1.0), caption=f"moment {t + 1}",
            )
        )  # fmt: skip
    svg = panel_grid(
        boards, columns=min(2, len(boards)), title=f"The way of {setup.policy.name}, as it is read"
    )
    yield (
        "headline",
        "headline",
        Figure.of(svg, "The judged level with the longest way; a probe of its own for each moment."),
    )
