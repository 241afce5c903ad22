"""The pictures of the maze study: from measurements and findings to figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.behaviour.decision import DecisionRegression
from goalscope.plots.boards.maze import Board, difference, panel_grid
from goalscope.plots.charts import Bars, Line, bars, curves, heat
from goalscope.plots.figure import Figure
from goalscope.rollout import Fields, VectorField, average_facings
from goalscope.studies.figures import forest_of
from goalscope.studies.frame import Placed
from goalscope.studies.maze_goal.measure.fields import Measured, reach_cheese
from goalscope.worlds.maze.paths import decision_square, maze_size, shortest_path, top_right

SHOWN = {
    "pulls": ("reach.cheese_pull", "reach.corner_instead"),
    "reach-size": ("reach.size.*",),
    "reach-quadrant": ("reach.quadrant.*",),
    "reach-corner": ("reach.corner.*",),
    "reach-far": ("reach.far_corner.*",),
    "fork": ("decision.cheese_first", "decision.corner_first"),
    "decision-coefficients": ("decision.coef.*",),
    "algorithms": ("algorithm.*",),
    "value-agreement": ("value.agreement.*",),
    "training": ("training.*",),
}
"""figure -> the findings that it draws"""


def chosen_levels(found: Measured) -> list[tuple[int, str]]:
    """Three levels of the largest size with a decision square, chosen by rule: least, median and greatest P(cheese)."""
    maze = found.base.maze
    has = decision_square(maze)[:, 0] >= 0
    for size in sorted(np.unique(maze_size(maze)), reverse=True):
        levels = np.flatnonzero(has & (maze_size(maze) == size))
        if len(levels) >= 3:
            order = levels[np.argsort(reach_cheese(found)[levels], kind="stable")]
            return [
                (int(order[0]), "least"),
                (int(order[len(order) // 2]), "median"),
                (int(order[-1]), "greatest"),
            ]
    return [(int(level), "shown") for level in np.flatnonzero(has)[:3]]


def board(field: VectorField, caption: str) -> Board:
    """A vector field as a board: arrows, value, paths, decision square."""
    maze = field.maze
    walls, mouse, cheese = maze.walls[0], maze.mouse[0], maze.cheese[0]
    paths = {"way to the top-right corner": shortest_path(walls, mouse, top_right(maze)[0])}
    if cheese[0] >= 0:
        paths["way to the cheese"] = shortest_path(walls, mouse, cheese)
    return Board(
        walls, mouse, cheese, field.squares, field.moves, value=None if np.isnan(field.value).all() else field.value,
        heat_label="value head", paths=paths,
        decision_square=decision_square(maze)[0], caption=caption,
    )  # fmt: skip


def field_figures(found: Measured, moved: Fields, levels: Sequence[tuple[int, str]]) -> Iterator[Placed]:
    """Section 2: the chosen mazes as they are, with the cheese moved to the top-left, and without it.

    Args:
        found: the policy.
        moved: its fields on the chosen mazes with the cheese moved.
        levels: (index of the level, how it was chosen).
    """
    for i, (level, rule) in enumerate(levels):
        shown = [
            average_facings(f, at, found.steps)
            for f, at in ((found.base, level), (moved, i), (found.bare, level))
        ]
        captions = (
            f"as generated: reaches the cheese {shown[0].reach_start:.0%}",
            f"cheese moved: reaches it {shown[1].reach_start:.0%}",
            "cheese removed",
        )
        boards = [board(f, caption) for f, caption in zip(shown, captions, strict=True)]
        boards.append(difference(boards[2], boards[0], caption="what the cheese changes (1st minus 3rd)"))
        title = f"Vector fields of {found.name}, maze with the {rule} P(cheese)"
        caption = (
            "Arrows: expected move on each square; colour: the value head. The ring is the decision square, where the way "
            "to the cheese leaves the way to the corner."
        )
        svg = panel_grid(boards, columns=2, title=title)
        yield f"field-{i + 1}", "field", Figure.of(svg, caption)


def headline_figure(found: Measured, levels: Sequence[tuple[int, str]]) -> Iterator[Placed]:
    """The chosen mazes of least and greatest P(cheese), side by side, under the headline."""
    boards = [
        board(field, f"{rule} P(cheese): {field.reach_start:.0%}")
        for field, rule in ((average_facings(found.base, level, found.steps), rule) for level, rule in levels)
        if rule != "median"
    ]
    title = f"Where {found.name} goes: two of the largest mazes"
    svg = panel_grid(boards, columns=2, title=title)
    caption = "Of the largest mazes with a decision square, the one with the least and the one with the greatest P(cheese)."
    yield "headline", "headline", Figure.of(svg, caption)


def reach_figures(findings: Sequence[Finding], subject: str) -> Iterator[Placed]:
    """Section 1: the two pulls of every policy, reach by size, by quadrant and by corner."""
    policies = list(dict.fromkeys(f.policy for f in findings))
    table = {(f.policy, f.id): f for f in findings}
    title = "What pulls the mouse: cheese or corner?"
    shown = {
        "cheese_pull": "the cheese's pull",
        "corner_instead": "the top-right corner first, cheese in another corner",
    }
    rows = [(words, table[p, f"reach.{name}"]) for name, words in shown.items() for p in policies]
    svg = forest_of(
        [f.policy for _, f in rows], [f for _, f in rows], title, groups=[g for g, _ in rows], percent=True
    )
    caption = (
        "Above: how much the cheese's presence raises the chance of reaching its square. Below: with the cheese in the "
        "top-left or bottom-right corner of the largest mazes, the chance of coming to the top-right corner before it."
    )
    yield "pulls", "headline", Figure.of(svg, caption)
    sizes = sorted({int(f.id.rsplit(".", 1)[1]) for f in findings if f.id.startswith("reach.size.")})
    lines = []
    for policy in policies:
        here = [table[policy, f"reach.size.{s}"] for s in sizes]
        lines.append(
            Line(policy, sizes, *([getattr(f, k) for f in here] for k in ("estimate", "low", "high")))
        )
    title = "Reaching the cheese, by maze size"
    svg = curves(
        lines, title=title, x_label="maze size (squares)", percent=True, x_ticks=sizes, y_limits=(0, 1)
    )
    yield "reach-size", "reach", Figure.of(svg, "Cheese anywhere; bands are 95% intervals over levels.")
    yield from _placed_figures(policies, table, subject)
    yield from _fork_figure(policies, table)


def _placed_figures(
    policies: Sequence[str], table: Mapping[tuple[str, str], Finding], subject: str
) -> Iterator[Placed]:
    """By where the cheese lies: its quadrant, a corner of the largest mazes, a far corner by size and depth."""
    for key, title, caption in (
        (
            "quadrant",
            "Reaching the cheese, by the quadrant it lies in",
            "The mouse starts in the bottom-left.",
        ),
        (
            "corner",
            "Reaching the cheese in a corner of the largest mazes",
            "Same mazes, cheese placed by hand.",
        ),
        (
            "far_corner",
            "Where the top-right corner draws it away from the cheese",
            "Cheese in a far corner, by the size of the maze; by depth: in the largest mazes, so many squares off both "
            "borders. P(top-right corner first) minus P(the other far corner first): wandering gives 0 or less.",
        ),
    ):
        names = [name for policy, name in table if policy == subject and name.startswith(f"reach.{key}.")]
        if not names:
            continue
        series = []
        for policy in policies:
            here = [table[policy, name] for name in names]
            series.append(Bars(policy, *([getattr(f, k) for f in here] for k in ("estimate", "low", "high"))))
        words = " " if key == "far_corner" else "-"
        labels = [name.rsplit(".", 1)[1].replace("_", words) for name in names]
        svg = bars(labels, series, title=title, percent=True)
        yield f"reach-{key.partition('_')[0]}", "reach", Figure.of(svg, caption)


def _fork_figure(policies: Sequence[str], table: Mapping[tuple[str, str], Finding]) -> Iterator[Placed]:
    title = "At the fork: cheese before corner, corner before cheese"
    keys = [(p, f"decision.{name}_first") for name in ("cheese", "corner") for p in policies]
    rows = [table[key] for key in keys if key in table]
    if not rows:
        return
    groups = [f"{f.id.split('.')[1].split('_')[0]} first" for f in rows]
    svg = forest_of([f.policy for f in rows], rows, title, groups=groups, percent=True)
    yield "fork", "decision", Figure.of(svg, "Exact, from the decision square.")


def decision_figures(fit: DecisionRegression, findings: Sequence[Finding]) -> Iterator[Placed]:
    """Section 3: coefficients with their collinearity."""
    here = [f for f in findings if f.id.startswith("decision.coef.")]
    labels = [
        f"{name.replace('_', ' ')} (VIF {vif:.0f}, sign {stable:.0%})"
        for name, vif, stable in zip(fit.names, fit.vif, fit.sign_stability, strict=True)
    ]
    title = "What decides P(cheese): standardised coefficients"
    svg = forest_of(labels, here, title, reference=0)
    caption = (
        "Each coefficient beside the other eight (with its control, the feature alone, below it). VIF: how far the others "
        "inflate its variance. Sign: share of the subsets of the others beside which it keeps its sign."
    )
    yield "decision-coefficients", "decision", Figure.of(svg, caption)
    title = "How the features hang together (correlations)"
    short = [name.replace("_", " ") for name in fit.names]
    svg = heat(
        fit.correlation, short, [str(i + 1) for i in range(len(short))], title=title, value_range=(-1, 1)
    )
    yield "decision-correlations", "decision", Figure.of(svg, "Columns are numbered as the rows.")


def explanation_figures(findings: Sequence[Finding], subject: str) -> Iterator[Placed]:
    """Sections 4 and 5: hand-written algorithms by mazes, value-policy agreement by policy."""
    title = "Which algorithm? Held-out log-likelihood per step"
    here = [f for f in findings if f.policy == subject and f.id.startswith("algorithm.")]
    scopes = [f.id.split(".")[1] for f in here]
    labels = [f.question.split("'")[1] for f in here]
    if here:
        svg = forest_of(labels, here, title, groups=[f"{scope} mazes" for scope in scopes])
        yield "algorithms", "algorithm", Figure.of(svg, "Higher is better; the control is uniform moves.")
    title = "Does the policy follow its own value?"
    here = [f for f in findings if f.id.startswith("value.agreement.")]
    if not here:  # no policy gives a value
        return
    groups = [f"{f.id.rsplit('.', 1)[1]} squares" for f in here]
    order = sorted(range(len(here)), key=lambda i: groups[i])
    svg = forest_of(
        [here[i].policy for i in order],
        [here[i] for i in order],
        title,
        groups=[groups[i] for i in order],
        percent=True,
    )
    yield (
        "value-agreement",
        "value",
        Figure.of(svg, "Control: random read-outs of what the value layer reads."),
    )


def training_figure(findings: Sequence[Finding]) -> Iterator[Placed]:
    """The quantities against training steps; nothing where no snapshot was measured."""
    here = [f for f in findings if f.id.startswith("training.")]
    if not here:
        return
    lines = []
    for name, words in (
        ("reach", "reaches the cheese"),
        ("cheese_pull", "the cheese's pull"),
        ("corner_instead", "corner instead of cheese elsewhere"),
    ):
        rows = [f for f in here if f.id == f"training.{name}"]
        steps = [int(f.policy.partition("@")[2]) for f in rows]
        lines.append(
            Line(words, steps, *([getattr(f, k) for f in rows] for k in ("estimate", "low", "high")))
        )
    title = "How the goal came about"
    svg = curves(lines, title=title, x_label="training steps", log_x=True, percent=True, y_limits=(0, 1))
    caption = "Snapshots of the training; bands are 95% intervals over levels."
    yield "training", "training", Figure.of(svg, caption)
