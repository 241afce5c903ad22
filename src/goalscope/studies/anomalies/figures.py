"""The pictures of the anomalies study: who sees the changed mechanism, and who takes what is new for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from goalscope.evidence.finding import Finding
from goalscope.plots.figure import Figure
from goalscope.studies.figures import forest_of
from goalscope.studies.frame import Placed

SHOWN = {"headline": ("detect.*",), "novelty": ("novelty.*",), "shifted": ("shifted.*",), "hits": ("hits.*",)}
"""figure -> the findings that it draws"""
TITLES = {
    "detect": ("headline", "Does its score tell a changed mechanism from an unchanged one?", "Usual mazes."),
    "hits": ("hits", "What is found at 1% false alarms", "Usual mazes."),
    "shifted": ("shifted", "The same in new mazes", "All runs in new mazes."),
    "novelty": ("novelty", "Does it take new mazes for a changed mechanism?", "Better below its control."),
}


def forests(findings: Sequence[Finding], what: Mapping[str, str]) -> Iterator[Placed]:
    """One forest a kind of finding, grouped by task.

    Args:
        findings: all. what: task -> what is changed, in words.
    """
    for kind, (section, title, words) in TITLES.items():
        rows = [f for f in findings if f.id.startswith(f"{kind}.")]
        labels = [f.id.split(".")[2].replace("_", " ") for f in rows]
        groups = [what[f.id.split(".")[1]] for f in rows]
        percent = kind == "hits"
        svg = forest_of(
            labels, rows, title, groups=groups, reference=None if percent else 0.5, percent=percent
        )
        name = "headline" if kind == "detect" else kind
        yield (
            name,
            section,
            Figure.of(svg, f"{words} 95% intervals over levels; each has its control below it."),
        )
