"""Trained mice as controls: another goal, or another seed, on the same mazes.

An untrained network does what the uniform walk does, so beating it shows no more than that something was trained. A mouse
that was trained as long, with the cheese elsewhere, could give the same numbers; that it does not is what a goal looks like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from goalscope.evidence.finding import Finding
from goalscope.policies.checkpoint import Policy
from goalscope.studies.about import About, finding
from goalscope.studies.maze_goal.findings.behaviour import Answers
from goalscope.studies.maze_goal.measure.fields import Measured

TOLD = ("overall", "cheese_pull", "corner_pull", "corner_instead")
"""the questions of `reach` that are held against trained mice"""


def beside_findings(
    found: Measured, policy: Policy, others: Mapping[str, Policy], told: Mapping[str, Answers], floors: Answers, about: About
) -> Iterator[Finding]:  # fmt: skip
    """The policy's main numbers, each beside those of every other trained mouse.

    Args:
        found: the policy's measurements. policy: itself.
        others: name -> trained mouse.
        told: name -> its answers, the policy's too.
        floors: answers of the uniform walk.
        about: origin of the findings.
    """
    for name in TOLD:
        identifier = f"reach.{name}"
        if identifier not in told[policy.name] or identifier not in floors:
            continue
        question, estimate = told[policy.name][identifier]
        for mouse, other in others.items():
            if identifier not in told[mouse]:
                continue
            yield finding(
                f"reach.beside.{mouse.replace('-', '_')}.{name}", question, estimate, told[mouse][identifier][1],
                f"{mouse}, {relation(policy, other)}", "exact chain", found, about, floor=floors[identifier][1].estimate,
            )  # fmt: skip


def relation(policy: Policy, other: Policy) -> str:
    """How another mouse was trained, seen from the policy: for another goal, or as it was with another seed."""
    mine, theirs = (p.config.get("world", {}) for p in (policy, other))
    region = theirs.get("cheese_region")
    where = {None: "anywhere", 1: "always in the top-right square"}.get(
        region, f"in the top-right {region} x {region}"
    )
    if mine.get("name") != "maze" or "cheese_region" not in mine:
        return f"trained with the cheese {where}"
    if mine == theirs:
        return "trained alike with another seed"
    return f"trained for another goal, cheese {where}"
