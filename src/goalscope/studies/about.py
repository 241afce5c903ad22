"""What a study says: findings that name their origin, and the outcome that it hands back."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Protocol

from goalscope.evidence.finding import Finding
from goalscope.evidence.standing import declared
from goalscope.stats import Estimate


@dataclass(frozen=True)
class About:
    """What every finding of a run says of its origin."""

    world: str
    """in words, with its parameters"""
    seed: int
    code_version: str
    quick: bool = False
    """fewer levels than the study has"""


class Subject(Protocol):
    """What a finding is about: a `Policy`, or what was measured of one."""

    @property
    def name(self) -> str:
        """As findings and reports call it."""
        ...

    @property
    def sha256(self) -> str:
        """Of the weights file; empty for a policy that has none."""
        ...


@dataclass(frozen=True)
class Outcome:
    """A finished study."""

    folder: Path
    """the run folder"""
    headline: str
    findings: list[Finding]

    @property
    def report(self) -> Path:
        """The report's path."""
        return self.folder / "report.html"

    def _repr_html_(self) -> str:
        drawn = (self.folder / "figures" / name for name in ("headline.svg", "pulls.svg"))
        figures = "".join(path.read_text(encoding="utf-8") for path in drawn if path.exists())
        return f'<p>{escape(self.headline)}</p><div style="max-width:40em">{figures}</div>'


def finding(
    name: str, question: str, estimate: Estimate, control: Estimate | None, control_name: str, method: str,
    found: Subject, about: About, unit: str = "probability", site: str = "behaviour", floor: float | None = None,
) -> Finding:  # fmt: skip
    """One finding of a policy; a control of None says why in its name, one without an interval has none.

    `floor` is what the control gives by construction (see `Finding`). Its role and what it claims are those that
    `data/findings.toml` declares for its id.
    """
    role, claim = declared(name)
    beside = (None, None, None)
    if control is not None:
        known = control.has_interval
        beside = (control.estimate, control.low if known else None, control.high if known else None)
    return Finding(
        id=name, question=question, estimate=estimate.estimate, low=estimate.low, high=estimate.high, n=estimate.n,
        unit=unit, control=beside[0], control_low=beside[1], control_high=beside[2], control_name=control_name,
        method=method, site=site, policy=found.name, policy_sha256=found.sha256, world=about.world, seed=about.seed,
        code_version=about.code_version, role=role, claim=claim, quick=about.quick,
        floor=None if control is None else floor,
    )  # fmt: skip
