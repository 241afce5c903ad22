"""What a finding says of its claim: the one rule that reports, the store, forecasts and arguments go by.

A study declares, before it runs, the role of each of its findings and what each claims: to lie above its control, below
it, or apart from it on either side (`data/findings.toml`). What was found then has one of five standings.
"""

from __future__ import annotations

import fnmatch
import functools
import math
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Literal, NamedTuple

Role = Literal["primary", "alternative", "stress", "undeclared"]
ROLES: tuple[Role, ...] = ("primary", "alternative", "stress", "undeclared")
"""primary: what the study is run for; alternative: another reading of it, or a detail; stress: could overturn a
primary one; undeclared: of a run from before roles, or of a study that is not in the table"""
Claim = Literal["above", "below", "apart"]
CLAIMS: tuple[Claim, ...] = ("above", "below", "apart")
Standing = Literal["supported", "contradicted", "inconclusive", "untested", "invalid"]
STANDINGS: tuple[Standing, ...] = ("supported", "contradicted", "inconclusive", "untested", "invalid")
REASONS = {
    "ceiling": "the largest effect that this measurement could show does not differ from nothing",
    "control": "its control could not have come out otherwise",
    "few": "too few independent units for any answer",
    "off_data": "the edit left the data so far that what follows says nothing of ordinary activations",
}
"""why a finding is invalid: code -> words"""
NEAR_FLOOR = 0.1
"""of the way from a control's floor to the estimate, within which the control lies at its floor"""


class Declared(NamedTuple):
    """What a study says of a finding before it is measured."""

    role: Role
    claim: Claim


def standing(
    low: float,
    high: float,
    control_low: float | None,
    control_high: float | None,
    claim: str,
    invalid: str = "",
) -> Standing:
    """The standing of an estimate's interval beside its control's.

    Supported where the intervals do not touch, on the side that was claimed; contradicted where they do not touch on
    the other side; inconclusive where they touch. Untested without a control or without an interval, such as one
    whose ends are equal: one network, or levels that all agree. Invalid, whatever the numbers, where a reason says
    so. Disjoint intervals are stricter than a test at 5%: for two independent estimates of equal precision they ask
    for about 2.8 standard errors of the difference (Schenker & Gentleman 2001).

    Args:
        low, high: the estimate's 95% interval.
        control_low, control_high: the control's; both its number where it has no interval; None where there is none.
        claim: one of `CLAIMS`. invalid: one of `REASONS`, or empty.
    """
    if invalid:
        return "invalid"
    if control_low is None or control_high is None:
        return "untested"
    if not all(map(math.isfinite, (low, high, control_low, control_high))) or low == high:
        return "untested"
    if low <= control_high and high >= control_low:
        return "inconclusive"
    above = low > control_high
    return "supported" if claim == "apart" or above == (claim == "above") else "contradicted"


def could_differ(
    low: float, high: float, control_low: float | None, control_high: float | None, floor: float | None
) -> bool | None:
    """Whether the numbers show that a control could have come out otherwise: that it is not stuck at its floor.

    A floor is what a control gives by construction, whatever the claim: the score of the most frequent label, no effect, the
    uniform walk. A control that lies there, as an untrained network's often does, was no risk to the claim. It is shown to
    lie off it where its whole interval is further from the floor than `NEAR_FLOOR` of the way to the far end of the
    estimate's.

    Args:
        low, high: the estimate's 95% interval.
        control_low, control_high: the control's; both its number where it has no interval; None where there is none.
        floor: None where it is not known.

    Returns:
        None where there is no control or no floor is known.
    """
    ends = (low, high, control_low, control_high, floor)
    if control_low is None or control_high is None or floor is None or not all(map(math.isfinite, ends)):  # type: ignore[arg-type]
        return None
    if control_low <= floor <= control_high:
        return False
    away = min(abs(control_low - floor), abs(control_high - floor))
    return away > NEAR_FLOOR * max(abs(low - floor), abs(high - floor))


def declared(identifier: str) -> Declared:
    """What `data/findings.toml` declares of a finding's id; ('undeclared', 'apart') where it is of no shipped study."""

    def among(patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(identifier, pattern) for pattern in patterns)

    lists = _lists()
    if not among(lists["ids"]):
        return Declared("undeclared", "apart")
    role: Role = (
        "primary" if among(lists["primary"]) else "stress" if among(lists["stress"]) else "alternative"
    )
    claim: Claim = "below" if among(lists["below"]) else "apart" if among(lists["apart"]) else "above"
    return Declared(role, claim)


@functools.cache
def _lists() -> dict[str, list[str]]:
    """The lists of all studies taken together, by their names in the file."""
    studies = tomllib.loads(
        (files("goalscope") / "data" / "findings.toml").read_text(encoding="utf-8")
    ).values()
    names = ("ids", "primary", "stress", "below", "apart")
    return {name: [pattern for study in studies for pattern in study.get(name, ())] for name in names}
