"""The main quantities of each snapshot, beside the untrained network on the same levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.stats import bootstrap_mean
from goalscope.studies.about import About, finding
from goalscope.studies.maze_goal.measure.fields import Measured, cheese_pull, reach_cheese

SNAPSHOT_QUANTITIES: dict[str, tuple[str, Callable[[Measured], np.ndarray]]] = {
    "reach": ("P(reach the cheese), cheese anywhere", reach_cheese),
    "cheese_pull": ("P(reach the cheese) minus P(reach that square when the cheese is removed)", cheese_pull),
    "corner_instead": (
        "cheese in the top-left or bottom-right corner of the largest mazes: P(top-right corner first)",
        lambda found: found.instead,
    ),
}
"""what is followed over training: finding -> (question, [N] values of the levels)"""


def training_findings(snapshots: Sequence[Measured], control: Measured, about: About) -> list[Finding]:
    """The main quantities of each snapshot, beside the untrained network on the same levels.

    Args:
        snapshots: in the order of training.
        control: the untrained network.
        about: origin of the findings.
    """
    made = []
    for found in snapshots:
        for name, (question, values) in SNAPSHOT_QUANTITIES.items():
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
