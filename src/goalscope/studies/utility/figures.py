"""The pictures of the utility study: what each utility explains, how well each is served, and levels with its moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.behaviour.reach import occupancy
from goalscope.plots.boards.grid import GridBoard, grid_svg
from goalscope.plots.figure import Figure
from goalscope.studies.any_world import open_squares
from goalscope.studies.figures import forest_of
from goalscope.studies.frame import Placed
from goalscope.studies.utility.setup import Asked
from goalscope.worlds.contract import take

MOST = 12
"""utilities drawn, the best ones"""
BOARDS = 4
SHOWN = {"explains": ("explains.*", "gated.gain"), "served": ("served.*",)}
"""figure -> the findings that it draws"""


def finding_figures(findings: Sequence[Finding]) -> Iterator[Placed]:
    """Forests of what explains, and of what is served."""
    rows = [f for f in findings if f.id.startswith("explains.") and f.id != "explains.best"]
    rows = sorted(rows, key=lambda f: -f.estimate)[:MOST]
    gated = [f for f in findings if f.id == "gated.gain"]
    labels = [*map(_name, rows), *["gated pair, beyond the best" for _ in gated]]
    svg = forest_of(
        labels, [*rows, *gated], "Which utility explains its moves?", x_label="bits per step, held out"
    )
    yield "explains", "headline", Figure.of(
        svg, "Beyond uniform moves, on levels that nothing was fitted on; 95% intervals over levels."
    )  # fmt: skip
    served = sorted((f for f in findings if f.id.startswith("served.")), key=lambda f: -f.estimate)
    svg = forest_of([_name(f) for f in served], served, "How well is each served?", x_label="bits")
    yield "served", "served", Figure.of(
        svg, "Minus log2 of the chance that uniform moves come as soon, beyond what they get themselves."
    )  # fmt: skip


def _name(finding: Finding) -> str:
    return finding.question.partition("'")[2].partition("'")[0]


def board_figure(policy: str, moves: np.ndarray, asked: Asked) -> Iterator[Placed]:
    """Levels with how long the policy is on each square.

    Args:
        policy: its name. moves: [K, A] of it. asked: of which levels.
    """
    states, world = asked.states, asked.world
    visits = occupancy(moves, states.next, states.over, states.start, asked.steps)
    stood = visits.visits + visits.final
    boards = []
    for n in range(min(BOARDS, len(states.start))):
        part = slice(states.offsets[n], states.offsets[n + 1])
        level = take(states.state, states.start[n : n + 1])
        squares = open_squares(world, level)[0]
        heat = np.where(squares, 0.0, np.nan)
        np.add.at(heat, tuple(world.agent(take(states.state, part)).T), stood[part])
        row, column = world.agent(level)[0].tolist()
        shown = np.minimum(heat, 1.0)
        boards.append(GridBoard(
            squares, (row, column), world.things(level)[0], shown, "moments there, at most one", (0.0, 1.0), percent=False,
            caption=f"level {n + 1}",
        ))  # fmt: skip
    svg = grid_svg(boards, columns=2, title=f"Where {policy} is")
    yield "headline", "headline", Figure.of(svg, "Expected moments on each square, drawn up to one.")
