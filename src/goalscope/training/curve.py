"""The curve of a PPO run as a table of its model card."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

COLUMNS = (("steps", ",.0f"), ("seconds", ",.0f"), ("success", ".3f"), ("length", ".1f"), ("entropy", ".2f"))
ROWS = 16


def curve_table(path: Path) -> str:
    """Log-spaced rows of a run's `curve.csv`, Markdown, with what they are."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    shown = [rows[i] for i in np.unique(np.geomspace(1, len(rows), ROWS).round().astype(int)) - 1]
    lines = ["| " + " | ".join(format(float(r[name]), form) for name, form in COLUMNS) + " |" for r in shown]
    table = "\n".join(lines)
    return f"""| steps | seconds | success | episode length | entropy |
|---:|---:|---:|---:|---:|
{table}

Success and length are those of the training episodes (sampled actions) that ended in one batch."""
