"""The pictures of the internals study: from measurements and findings to figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from goalscope.evidence.finding import Finding
from goalscope.plots.boards.maze import Board, panel_grid
from goalscope.plots.charts import Bars, Line, bars, curves
from goalscope.plots.figure import Figure
from goalscope.studies.figures import forest_of
from goalscope.studies.frame import Placed
from goalscope.studies.maze_internals.findings.reading import channel_table
from goalscope.studies.maze_internals.findings.steering import name_of
from goalscope.studies.maze_internals.measure.retarget import BUDGETS
from goalscope.studies.maze_internals.measure.steering import DOSES
from goalscope.studies.maze_internals.setup import Setup
from goalscope.worlds.contract import take
from goalscope.worlds.maze.paths import top_right

SHOWN_CHANNELS = 8
Table = Mapping[str, Finding]
SHOWN = {
    "probes": ("probe.cheese_position.*",),
    "dose-cheese": ("steer.cheese.minus_*", "steer.cheese.plus_*", "steer.best.*"),
    "dose-corner": ("steer.corner.*",),
    "layers": ("steer.layer.*", "steer.transfer.*"),
    "cuts": ("cut.*",),
    "channels-together": ("channels.all.other_place", "channels.top_[0-9]*.other_place"),
    "retarget": (
        "retarget.all*", "retarget.near*", "retarget.far*", "retarget.corner.top_left*", "retarget.corner.bottom_right*"
    ),
    "budget": ("budget.*",),
    "finetune": ("finetune.more_*", "finetune.less_*", "finetune.matched.*"),
    "grafts": ("flipped.graft.*",),
    "goals": ("goals.*",),
}  # fmt: skip
"""figure -> the findings that it draws"""


def _line(name: str, x: ArrayLike, rows: Sequence[Finding], control: bool = False) -> Line:
    keys = ("control", "control_low", "control_high") if control else ("estimate", "low", "high")
    return Line(name, x, *([getattr(f, k) for f in rows] for k in keys))


def reading_figures(setup: Setup, table: Table, found: dict[str, np.ndarray]) -> Iterator[Placed]:
    """The cheese's place by layer, and the channels that follow a feature best."""
    layers = np.arange(len(setup.layout.layers))
    rows = [table[f"probe.cheese_position.layer_{i}"] for i in layers]
    seen = table["probe.cheese_position.observation"]
    lines = [
        _line(setup.policy.name, layers, rows),
        _line("untrained network", layers, rows, control=True),
        Line("the observation alone", layers, *([getattr(seen, k)] * len(layers) for k in ("estimate", "low", "high"))),
    ]  # fmt: skip
    svg = curves(
        lines, title="Where is the cheese? Linear probes by layer", x_label="layer, first to last", percent=True,
        x_ticks=layers, x_names=setup.layout.layers, y_limits=(0, 1),
    )  # fmt: skip
    yield "probes", "probe", Figure.of(svg, "Row and column both right, held-out mazes.")
    series, labels = [], []
    for network, name in (("policy", setup.policy.name), ("untrained", "untrained network")):
        rows = channel_table(found, network)[:SHOWN_CHANNELS]
        series.append(Bars(name, [abs(r) for _, _, r in rows]))
        labels = (
            [f"{i + 1}. {feature}" for i, (_, feature, _) in enumerate(rows)]
            if network == "policy"
            else labels
        )
    svg = bars(labels, series, title="Channels that follow one feature of the maze: |r|, best first")
    yield (
        "channels-readable",
        "channels",
        Figure.of(
            svg,
            f"At {setup.layout.early}, held-out mazes; the features are those of {setup.policy.name}'s channels.",
        ),
    )


def steering_figures(setup: Setup, table: Table) -> Iterator[Placed]:
    """Dose and response of both vectors, transfer, and the layers."""
    for key, title, file in (
        ("cheese", "The cheese vector: change of P(reach the cheese), by dose", "dose-cheese"),
        ("corner", "The top-right vector: change of P(reach the corner), by dose", "dose-corner"),
    ):
        rows = [table[f"steer.{key}.{name_of(dose)}"] for dose in DOSES]
        lines = [
            _line("each maze's own vector", DOSES, rows),
            _line("random, equal norm", DOSES, rows, control=True),
        ]
        svg = curves(lines, title=title, x_label="coefficient", percent=True, reference=0, y_limits=(-1, 1))
        caption = f"At {setup.layout.middle}; bands are 95% intervals over held-out mazes."
        yield file, "headline" if key == "cheese" else "steer", Figure.of(svg, caption)
    rows = [f for i, f in table.items() if i.startswith("steer.layer.")] + [
        table["steer.transfer.same_place"]
    ]
    labels = [f.site for f in rows[:-1]] + ["another maze's, cheese in the same place"]
    svg = forest_of(labels, rows, "Subtracting the cheese vector, layer by layer", percent=True, reference=0)
    yield (
        "layers",
        "steer",
        Figure.of(svg, "Change of P(reach the cheese). Last row: the vector of another maze."),
    )
    rows = [f for i, f in table.items() if i.startswith("cut.")]
    labels = ["cut reached" if f.id.endswith(".cut") else "top-right attainment kept" for f in rows]
    groups = [f"to cut {f.id.split('.')[1].split('_')[1]}%" for f in rows]
    svg = forest_of(labels, rows, "Cutting cheese-taking", groups=groups, percent=True)
    yield (
        "cuts",
        "cut",
        Figure.of(svg, "Dose chosen on discovery mazes. Kept: of the attainment without cheese."),
    )
    rows = [f for i, f in table.items() if i.startswith("channels.") and i.endswith(".other_place")]
    labels = [f.id.split(".")[1].replace("top_", "strongest ") for f in rows]
    svg = forest_of(labels, rows, "Channels as in the same maze, cheese elsewhere", percent=True, reference=0)
    yield (
        "channels-together",
        "channels",
        Figure.of(
            svg,
            "Change of P(reach the cheese), held-out mazes; strongest on discovery mazes. Controls: a random change as "
            "large as that of all channels; as many random channels.",
        ),
    )


def retarget_figures(setup: Setup, table: Table, found: dict[str, np.ndarray]) -> Iterator[Placed]:
    """A held-out maze with P(reach) for every target, and the edit budget."""
    rows = found["map.level"] == 0
    state = take(setup.largest_held, 0)
    squares = np.stack([found["map.row"], found["map.column"]], 1)[rows]
    panels = (
        ("success", "edited"),
        ("ceiling", "cheese put there (ceiling)"),
        ("floor", "noise (floor)"),
        ("bare", "no edit"),
    )
    boards = [
        Board(
            state.walls[0], state.mouse[0], top_right(state)[0], squares=squares, heat=found[f"map.{key}"][rows],
            heat_label="P(reach the square)", heat_range=(0, 1), percent=True,
            caption=f"{words}: {found[f'map.{key}'][rows].mean():.0%}",
        )
        for key, words in panels
    ]  # fmt: skip
    svg = panel_grid(boards, columns=2, title="Retargeting to each square, cheese left in the top right")
    yield (
        "retarget-map",
        "retarget",
        Figure.of(
            svg,
            "One held-out maze; the colour of a square is the chance of reaching it when it is the target.",
        ),
    )
    groups, labels, shown = [], [], []
    for name in ("all", "near", "far", "corner.top_left", "corner.bottom_right"):
        for suffix, words in (("", "edited"), (".ceiling", "cheese put there"), (".bare", "no edit")):
            if f"retarget.{name}{suffix}" in table:
                groups.append(name.replace("corner.", "corner: ").replace("_", "-"))
                labels.append(words)
                shown.append(table[f"retarget.{name}{suffix}"])
    svg = forest_of(
        labels, shown, "Retargeting, held-out mazes: P(reach the target)", groups=groups, percent=True
    )
    yield "retarget", "retarget", Figure.of(svg, "Mazes are the unit of the intervals.")
    rows = [table[f"budget.share_{f'{100 * b:g}'.replace('.', '_')}"] for b in BUDGETS]
    x = found["budget.fraction"]
    lines = [
        _line("edited", x, rows),
        _line("noise of equal norm on the same entries", x, rows, control=True),
    ]
    svg = curves(
        lines, title="The edit budget", x_label="share of a forward's activations that is edited", log_x=True,
        percent=True, y_limits=(0, 1), reference=0.75, reference_label="three quarters",
    )  # fmt: skip
    yield "budget", "budget", Figure.of(svg, "P(reach a random target); bands are 95% intervals over mazes.")


def training_figures(setup: Setup, table: Table, found: dict[str, np.ndarray]) -> Iterator[Placed]:
    """Edit against finetuning by compute; layers that the flipped reward changed, and what they carry."""
    if setup.sizes.multiples:
        steps = np.array(setup.sizes.multiples) * int(found["budget"][0])
        names = {"more": "for more cheese", "less": "for less cheese"}
        lines = [
            _line(words, steps, [table[f"finetune.{key}_{m}x"] for m in setup.sizes.multiples])
            for key, words in names.items()
        ]
        same = [table[f"finetune.more_{m}x"] for m in setup.sizes.multiples]
        lines.append(_line("unchanged reward", steps, same, control=True))
        best = table["steer.best.cheese_change"]
        edit = best.estimate if "for more cheese" in best.question else -best.estimate
        svg = curves(
            lines, title="Finetuning beside the edit: change of P(reach the cheese)",
            x_label="steps of finetuning", log_x=True,
            percent=True, y_limits=(-1, 1), reference=edit, reference_label=f"the edit, {edit:.0%}",
        )  # fmt: skip
        yield "finetune", "finetune", Figure.of(svg, "The first point has the compute of the edit.")
    if "layers" in found and "weights.flipped" in found:
        series = [
            Bars(words, found[f"weights.{key}"])
            for key, words in (
                ("flipped", "flipped reward"),
                ("same", "same reward"),
                ("random", "random reward"),
            )
            if f"weights.{key}" in found
        ]
        labels = [str(layer) for layer in found["layers"]]
        svg = bars(labels, series, title="How far each layer moved (relative change)")
        yield "weights", "flipped", Figure.of(svg, "Norm of the change over norm of the weights.")
    rows = [f for i, f in table.items() if i.startswith("flipped.graft.") and i.endswith(".carried")]
    if rows:
        svg = forest_of(
            [f.site for f in rows],
            rows,
            "What each part carries of the flipped behaviour",
            percent=True,
            reference=0,
        )
        yield "grafts", "flipped", Figure.of(svg, "Its new weights alone in the original network.")


def goal_figures(table: Table) -> Iterator[Placed]:
    """Likelihood of each explanation by condition."""
    rows = [f for i, f in table.items() if i.startswith("goals.")]
    labels = [f.question.split("'")[1] for f in rows]
    groups = [f.question.split("', ", 1)[1] for f in rows]
    svg = forest_of(labels, rows, "One objective or two? Held-out log-likelihood per step", groups=groups)
    yield "goals", "goals", Figure.of(svg, "Higher is better; the control is uniform moves.")
