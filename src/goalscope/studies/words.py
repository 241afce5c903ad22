"""How the studies say a number: one precision everywhere, the interval and the control beside it."""

from __future__ import annotations

from collections.abc import Iterable

from goalscope.evidence.finding import Finding

LINES = 3
"""of a headline below its verdict, at most"""


def headed(verdict: str, *lines: str) -> str:
    """A headline: the verdict in one sentence, then at most `LINES` lines with a number each; empty ones are left out.

    Raises:
        ValueError: there are more; what is left is for the sections.
    """
    there = [line for line in lines if line]
    if len(there) > LINES:
        raise ValueError(
            f"a headline has {len(there)} lines below its verdict, at most {LINES} are read: {there}"
        )
    return "\n\n".join([verdict, *there])


def controls_said(findings: Iterable[Finding], percent: bool = True, of: str = "") -> str:
    """Which controls could have come out otherwise and which lie at their floors, in words; '' where no floor is known.

    Args:
        findings: with their controls.
        percent: how numbers are said.
        of: what they are controls of, said in each sentence, since a report makes each a line of its own.
    """
    told: dict[bool, dict[str, str]] = {True: {}, False: {}}
    floors: dict[str, None] = {}
    for f in findings:
        could = f.control_could_differ
        if could is None or f.control is None or f.floor is None:
            continue
        told[could][f.control_name] = f"{f.control_name} ({number(f.control, percent)})"
        if not could:
            floors[number(f.floor, percent)] = None
    said = []
    first, second = (f"{of}, controls", f"{of}, at") if of else ("Controls", "At")
    if told[True]:
        said.append(f"{first} that could have come out otherwise: {'; '.join(told[True].values())}.")
    if told[False]:
        said.append(
            f"{second} the floor ({', '.join(floors)}), so that nothing shows that it could have failed the claim: "
            f"{'; '.join(told[False].values())}."
        )
    return " ".join(said)


def number(value: float, percent: bool = True) -> str:
    """A share as '12.3%', anything else as '1.23'; never a negative nothing."""
    text = f"{value:.1%}" if percent else f"{value:.2f}"
    return text if text.strip("-0.%") else text.removeprefix("-")


def alone(finding: Finding, percent: bool = True) -> str:
    """The estimate with its interval, or that it has none."""
    if finding.low == finding.high:
        return f"{number(finding.estimate, percent)} [no interval]"
    low, high = number(finding.low, percent), number(finding.high, percent)
    return f"{number(finding.estimate, percent)} [{low}, {high}]"


def told(finding: Finding, percent: bool = True) -> str:
    """The estimate with its interval, and the control where there is one."""
    if finding.control is None:
        return alone(finding, percent)
    return f"{alone(finding, percent)[:-1]}; {finding.control_name}: {number(finding.control, percent)}]"
