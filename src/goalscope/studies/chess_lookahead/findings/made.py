"""Findings in the making, and the effect that the positions would have shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.stats import (
    Estimate,
    above_zero,
    above_zero_within,
    bootstrap_clustered,
    bootstrap_ratio,
    least_effect,
)
from goalscope.studies.about import About, finding
from goalscope.studies.chess_lookahead.setup import Subject

LEAST = 5
"""different positions that an estimate needs"""
SHAPES = {
    "": ("constant", "the same in every position"),
    "_sparse": ("sparse", "all of it in one position of ten"),
}
"""end of a finding's id -> the shape of the effect that would be shown four times in five, and its words"""


@dataclass
class Findings:
    """Findings in the making, all of one run."""

    about: About
    made: list[Finding] = field(default_factory=list)

    def add(
        self, subject: Subject, name: str, question: str, estimate: Estimate | None, control: Estimate | None,
        control_name: str, method: str, unit: str, site: str = "behaviour", floor: float | None = None,
    ) -> None:  # fmt: skip
        """One more, unless there is no estimate (too few positions)."""
        if estimate is None or not np.isfinite([estimate.low, estimate.high]).all():
            return
        self.made.append(
            finding(
                name,
                question,
                estimate,
                control,
                control_name,
                method,
                subject,
                self.about,
                unit,
                site,
                floor,
            )
        )

    def mean(
        self, values: np.ndarray, level: np.ndarray, bounds: tuple[float, float] | None = None
    ) -> Estimate | None:
        """Mean of the finite values over positions; None where there are fewer than `LEAST`."""
        values = np.asarray(values, np.float64)
        there = np.isfinite(values)
        if len(np.unique(level[there])) < LEAST:
            return None
        return bootstrap_clustered(values[there], level[there], bounds=bounds, seed=self.about.seed)

    def ratio(self, values: np.ndarray, weights: np.ndarray, level: np.ndarray) -> Estimate | None:
        """Sum of values [M] over sum of weights [M] >= 0, positions resampled; None where fewer than `LEAST` weigh."""
        _, index = np.unique(level, return_inverse=True)
        totals, counts = np.bincount(index, values), np.bincount(index, weights)
        if (counts > 0).sum() < LEAST:
            return None
        return bootstrap_ratio(np.where(counts > 0, totals, 0), counts, seed=self.about.seed)


def word(name: str) -> str:
    """A name as part of a finding's id: 'discoveredAttack' is 'discovered_attack'."""
    spaced = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    return "".join(c if c.isalnum() else "_" for c in spaced).strip("_")


def detectable(
    values: np.ndarray, level: np.ndarray, shape: str = "constant", bounds: tuple[float, float] | None = None
) -> Estimate | None:
    """The least true mean whose interval would lie above 0 four times in five, simulated from the scatter over positions.

    Rows of one position count as one. None where there are too few positions or no effect of that shape is found so often.
    It has no interval: it is a property of these data, not an estimate of something else.
    """
    there = np.isfinite(values)
    names, index = np.unique(level[there], return_inverse=True)
    if (n := len(names)) < LEAST:
        return None
    rule = above_zero if bounds is None else above_zero_within(bounds)
    totals, counts = np.bincount(index, values[there], n), np.bincount(index, minlength=n)
    size = least_effect(totals, counts, shape=shape, rule=rule, bounds=bounds)
    return None if size is None else Estimate.bare(size, n)


def by_id(findings: Sequence[Finding], policy: str) -> dict[str, Finding]:
    """One policy's findings by id."""
    return {f.id: f for f in findings if f.policy == policy}
