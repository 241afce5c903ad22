"""What the cells of a sweep say together: a row for each study, policy, options and primary finding, over the seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from goalscope.evidence.store import Store
from goalscope.sweep.grid import STUDY, Cell


@dataclass(frozen=True)
class Row:
    """One finding in all cells that differ by their seed alone."""

    study: str
    policy: str
    options: str
    """those that differ within the sweep, 'levels=100'"""
    finding: str
    """its id"""
    seeds: int
    least: float
    """of the estimates"""
    greatest: float
    unit: str
    standings: str
    """'supported', or '3 supported, 1 inconclusive'"""


def rows(cells: Sequence[Cell], store: Store) -> list[Row]:
    """The primary findings of the studied policies, as the store has them; a cell that is not there has none.

    Args:
        cells: of the sweep.
        store: over the folder of the sweep.
    """
    studies = {cell.name: cell for cell in cells if cell.kind == STUDY}
    shown = {what: _differing([c for c in studies.values() if c.what == what]) for what in _whats(cells)}
    found: dict[tuple[str, str, str, str], list[Mapping[str, Any]]] = {}
    for row in store.table.to_pylist():
        cell = studies.get(row["run"])
        if cell is None or row["role"] != "primary" or row["policy"] != cell.label:
            continue
        options = " ".join(f"{name}={cell.options.get(name, 'default')}" for name in shown[cell.what])
        found.setdefault((cell.what, cell.label, options, row["id"]), []).append(row)
    return [_row(key, found[key]) for key in sorted(found)]


def _row(key: tuple[str, str, str, str], found: Sequence[Mapping[str, Any]]) -> Row:
    estimates = [row["estimate"] for row in found]
    count = Counter(row["standing"] for row in found)
    standings = ", ".join(f"{number} {word}" for word, number in sorted(count.items()))
    if len(found) == 1:
        standings = found[0]["standing"]
    if any(row["quick"] for row in found):
        standings += " (quick)"
    return Row(*key, len(found), min(estimates), max(estimates), found[0]["unit"], standings)


def _whats(cells: Sequence[Cell]) -> list[str]:
    return sorted({cell.what for cell in cells if cell.kind == STUDY})


def _differing(cells: Sequence[Cell]) -> list[str]:
    """The options that have more than one value among these cells."""
    names = sorted({name for cell in cells for name in cell.options})
    return [name for name in names if len({str(cell.options.get(name)) for cell in cells}) > 1]
