"""How a maze policy's goal came about: the study's main quantities at snapshots of its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.plots.charts import Line, curves
from goalscope.plots.figure import Figure
from goalscope.policies.checkpoint import Policy
from goalscope.stats import bootstrap_mean
from goalscope.studies.about import About, finding
from goalscope.studies.frame import Placed
from goalscope.studies.maze_goal.measure import Levels, Measured, cheese_pull, measure, reach_cheese, restore

LEVELS = 100
"""levels that each snapshot is measured on, the study's first"""
QUANTITIES: dict[str, tuple[str, Callable[[Measured], np.ndarray]]] = {
    "reach": ("P(reach the cheese), cheese anywhere", reach_cheese),
    "cheese_pull": ("P(reach the cheese) minus P(reach that square when the cheese is removed)", cheese_pull),
    "corner_instead": (
        "cheese in the top-left or bottom-right corner of the largest mazes: P(top-right corner first)",
        lambda found: found.instead,
    ),
}


def training_findings(
    policies: Sequence[Policy],
    untrained: Policy,
    levels: Levels,
    stage: Callable[[str, Callable], Any],
    about: About,
) -> list[Finding]:
    """The main quantities of each snapshot, beside the untrained network on the same levels.

    Args:
        policies: the snapshots, in the order of training.
        untrained: the control.
        levels: the mazes.
        stage: stores what a name's function computes, or gives what it stored before.
        about: origin of the findings.
    """

    def run(policy: Policy) -> Measured:
        arrays = stage(f"training-{policy.name}", lambda: measure(policy.module, levels))
        return restore(policy.name, policy.sha256, arrays, levels)

    control = run(untrained)
    made = []
    for policy in policies:
        found = run(policy)
        for name, (question, values) in QUANTITIES.items():
            low = -1.0 if name == "cheese_pull" else 0.0
            estimate, other = (
                bootstrap_mean(values(f), bounds=(low, 1.0), seed=about.seed) for f in (found, control)
            )
            made.append(
                finding(
                    f"training.{name}", question, estimate, other, "untrained", "exact chain", found, about
                )
            )
    return made


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
