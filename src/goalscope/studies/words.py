"""How the studies say a number: one precision everywhere, the interval and the control beside it."""

from __future__ import annotations

from goalscope.evidence.finding import Finding


def number(value: float, percent: bool = True) -> str:
    """A share as '12.3%', anything else as '1.23'; never a negative nothing."""
    text = f"{value:.1%}" if percent else f"{value:.2f}"
    return text if text.strip("-0.%") else text.removeprefix("-")


def alone(finding: Finding, percent: bool = True) -> str:
    """The estimate with its interval."""
    low, high = number(finding.low, percent), number(finding.high, percent)
    return f"{number(finding.estimate, percent)} [{low}, {high}]"


def told(finding: Finding, percent: bool = True) -> str:
    """The estimate with its interval, and the control where there is one."""
    if finding.control is None:
        return alone(finding, percent)
    return f"{alone(finding, percent)[:-1]}; {finding.control_name}: {number(finding.control, percent)}]"
