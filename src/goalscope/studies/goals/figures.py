"""The pictures of the goals study: where the policy goes, a map over where a thing is put, and the verdicts as a forest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.plots.boards.grid import GridBoard, grid_svg
from goalscope.plots.figure import Figure
from goalscope.studies.any_world import open_squares
from goalscope.studies.figures import forest_of
from goalscope.studies.frame import Placed
from goalscope.studies.goals.measure.rules import Explained
from goalscope.worlds.contract import take

MOST_RULES = 10
"""drawn, the best ones"""
SHOWN = {
    "verdicts": ("pull.*", "lead.*"),
    "come": ("come.*",),
    "map": ("map.*",),
    "rules": ("rule.*",),
}
"""figure -> the findings that it draws"""


def paths_figure(
    policy: str, world: Any, shown: Sequence[tuple[Any, str]], chances: Sequence[Mapping[str, np.ndarray]]
) -> Iterator[Placed]:  # fmt: skip
    """Under the headline: levels, and how likely the policy comes to each square.

    Args:
        policy: its name. world: of the levels.
        shown: (one level, caption). chances: of each, 'row,column' -> [1] P(comes to that square).
    """
    boards = []
    for (state, caption), chance in zip(shown, chances, strict=True):
        squares, heat = open_squares(world, state)[0], None
        heat = np.full(squares.shape, np.nan)
        for name, value in chance.items():
            heat[tuple(map(int, name.split(",")))] = value[0]
        boards.append(_board(world, state, heat, "chance of coming to the square", caption))
    if boards:
        svg = grid_svg(boards, columns=2, title=f"Where {policy} goes")
        words = "The first level as the world gives it, the others with one thing moved to squares drawn at random."
        yield "headline", "headline", Figure.of(svg, words)


def map_figure(
    policy: str, thing: str, world: Any, levels: Any, maps: Sequence[np.ndarray], seen: np.ndarray
) -> Iterator[Placed]:
    """One board a level: the chance of coming to the thing, by the square that it is put on.

    Args:
        policy: its name. thing: which. world: of the levels. levels: L levels as generated.
        maps: [H, W] a level, NaN where it was not put. seen: [H, W] bool, where the world puts it.
    """
    boards = [
        _board(world, take(levels, i), heat, "chance of coming to it", f"level {i + 1}", without=thing)
        for i, heat in enumerate(maps)
    ]
    if boards:
        wide = 330.0 if len(boards) == 1 else 215.0
        svg = grid_svg(boards, columns=2, title=f"Coming to the {thing}, by where it is put", panel_px=wide)
        known = int(seen.sum())
        words = f"Each square: the {thing} put there. Of all squares the world itself puts it on {known}."
        yield "map", "map", Figure.of(svg, words)


def _board(
    world: Any, state: Any, heat: np.ndarray, label: str, caption: str, without: str | None = None
) -> GridBoard:
    things = {name: at for name, at in world.things(state)[0].items() if name != without}
    row, column = world.agent(state)[0].tolist()
    return GridBoard(
        open_squares(world, state)[0],
        (row, column),
        things,
        heat,
        label,
        (0.0, 1.0),
        percent=True,
        caption=caption,
    )


def finding_figures(findings: Sequence[Finding], names: Mapping[str, str]) -> Iterator[Placed]:
    """What decides about each candidate, and how often each is come to; `names` are the candidates' by their keys."""
    by = {
        prefix: [f for f in findings if f.id.startswith(f"{prefix}.")] for prefix in ("pull", "lead", "come")
    }
    by["pull"] = [f for f in by["pull"] if f.id.count(".") == 1]
    rows = [*by["pull"], *by["lead"]]
    if rows:
        groups = ["things: drawn there when they are moved there"] * len(by["pull"])
        groups += ["places: come to first, more than others of their kind"] * len(by["lead"])
        labels = [names[f.id.split(".")[1]] for f in rows]
        svg = forest_of(labels, rows, "What draws it?", groups=groups, percent=True)
        yield (
            "verdicts",
            "headline",
            Figure.of(svg, "Intervals hold all at once with 95%; each has its control below it."),
        )
    if by["come"]:
        labels = [names[f.id.split(".")[1]] for f in by["come"]]
        svg = forest_of(labels, by["come"], "Coming there, levels as generated", percent=True)
        yield (
            "come",
            "come",
            Figure.of(svg, "Exact chances or shares of sampled plays; 95% intervals over levels."),
        )


def rules_figure(fit: Explained | str, findings: Sequence[Finding]) -> Iterator[Placed]:
    """The ten best rules by held-out log-likelihood; `findings` are the rules' own, best first."""
    if isinstance(fit, str):
        return
    names = [model.name for model in fit.rules.models if model.name != "uniform"][:MOST_RULES]
    svg = forest_of(
        names,
        findings[: len(names)],
        "Which rule explains its moves?",
        x_label="log-likelihood, nats per step",
    )
    yield (
        "rules",
        "rule",
        Figure.of(svg, "On levels that the rules were not fitted on; 95% intervals over levels."),
    )
