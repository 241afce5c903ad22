"""What the studies' pictures share: findings as a forest, each with its control."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.plots.charts import forest

LONGEST_CONTROL = 90
"""characters of the controls' names that a legend has room for"""


def forest_of(labels: Sequence[str], rows: Sequence[Finding], title: str, **options: Any) -> str:
    """The findings as a forest, each with its control.

    Args:
        labels: one a finding.
        rows: the findings.
        title: of the drawing.
        options: of `goalscope.plots.charts.forest`.
    """
    columns = {k: [np.nan if getattr(f, k) is None else getattr(f, k) for f in rows] for k in (
        "estimate", "low", "high", "n", "control", "control_low", "control_high")}  # fmt: skip
    control = " / ".join(dict.fromkeys(f.control_name for f in rows))
    legend = control if len(control) < LONGEST_CONTROL else "control"
    return forest(labels, **columns, control_name=legend, title=title, **options)
