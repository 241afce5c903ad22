"""A run folder as one HTML file: readable offline, on a phone, light or dark, without any script.

`write_report` reads files only, so a report can be made anew from any run folder, also an old one, without
the network that the study examined. What a reader must be able to trust is stated on the page itself: the
control stands beside each estimate, and the rule by which a finding is said to differ from its control is
written above the tables.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from goalscope.files import write_whole
from goalscope.report.inline import figure_markup
from goalscope.report.reading import Picture, Row, Run, read_run
from goalscope.report.templates import style, template

SIZE_LIMIT_BYTES = 3_000_000
_SHARES = frozenset(("probability", "share", "fraction", "proportion", "accuracy", "rate"))


@dataclass(frozen=True)
class Grade:
    """What the intervals say about a finding and its control.

    Attributes:
        kind: "differs", "same" or "open".
        sign: a character that repeats it for the eye.
        text: the badge.
    """

    kind: str
    sign: str
    text: str


_ABOVE = Grade("differs", "▲", "differs from control: above")
_BELOW = Grade("differs", "▼", "differs from control: below")
_SAME = Grade("same", "≈", "not distinguishable from control")


def grade(row: Row) -> Grade:
    """Grades a finding by whether its 95% interval and that of its control are disjoint.

    A control without an interval counts as its single number. A finding without an interval, or without a
    control, is not graded. Disjoint intervals are a stricter rule than a test at 5%: for two independent
    estimates of equal precision they ask for about 2.8 standard errors of the difference (Schenker &
    Gentleman 2001).
    """
    if not math.isfinite(row.estimate):
        return Grade("open", "?", "not estimated")
    if not (math.isfinite(row.low) and math.isfinite(row.high)):
        return Grade("open", "?", "no interval, not graded")
    if not math.isfinite(row.control):
        return Grade("open", "?", "no control, not graded")
    low = row.control_low if math.isfinite(row.control_low) else row.control
    high = row.control_high if math.isfinite(row.control_high) else row.control
    if row.low > high:
        return _ABOVE
    if row.high < low:
        return _BELOW
    return _SAME


def write_report(run_folder: str | os.PathLike[str]) -> Path:
    """Writes `report.html` into a run folder from the files that lie in it.

    Reads `run.json` {title, headline, sections: [{key, title, question, answer}], provenance, command},
    `findings.parquet` and `figures/index.json` with the SVG files that it lists. The page loads nothing from
    anywhere. Figures that would take it over 3 MB are named on the page with the place of their file instead
    of shown.

    Args:
        run_folder: the folder that a study wrote.

    Returns:
        The path of the report, which replaces an older one in a single step.

    Raises:
        FileNotFoundError: if the folder or one of its files is missing.
        ValueError: if a file is damaged; the message names it and what is wrong.
        OSError: if the report cannot be written; an older report then stays as it was.
    """
    folder = Path(run_folder)
    run = read_run(folder)
    return write_whole(folder / "report.html", render(run))


def render(run: Run) -> str:
    """The whole page of a run as HTML text."""
    page_template = template("report")
    shown = len(run.pictures)
    while True:
        page = page_template.render(_page(run, shown), style=style())
        over = len(page.encode("utf-8")) - SIZE_LIMIT_BYTES
        if over <= 0 or shown == 0:
            return page
        while over > 0 and shown > 0:
            shown -= 1
            over -= len(run.pictures[shown].svg.encode("utf-8"))


def _page(run: Run, shown: int) -> dict[str, Any]:
    """What the template fills in; the first `shown` figures are drawn."""
    keys = [section.key for section in run.sections]
    strays = sorted({row.section for row in run.findings} - set(keys) - {"headline"})
    sections = [
        {
            "key": f"s{i}",
            "title": section.title,
            "question": section.question,
            "answer": section.answer,
            "figures": _figures(run, section.key, shown) if section.key != "headline" else [],
            "groups": _groups([row for row in run.findings if row.section == section.key]),
        }
        for i, section in enumerate(run.sections, start=1)
    ]
    if strays:
        rest = [row for row in run.findings if row.section in strays]
        words = "Findings that belong to none of the sections above."
        others = {"title": "Further findings", "question": "", "answer": words}
        sections.append({"key": "further", **others, "figures": [], "groups": _groups(rest)})
    unplaced = {picture.section for picture in run.pictures} - set(keys)
    lead = [figure for key in sorted({"headline", *unplaced}) for figure in _figures(run, key, shown)]
    subject = run.findings[0].policy if run.findings else ""
    grades = [grade(row).kind for row in run.findings if row.policy == subject]
    if "headline" not in keys:
        sections = _with_headline_rows(run, sections)
    return {
        "title": run.title,
        "headline": [part.strip() for part in run.headline.split("\n\n") if part.strip()],
        "lead": lead,
        "sections": sections,
        "counts": {
            "subject": subject,
            "all": len(grades),
            "differs": grades.count("differs"),
            "same": grades.count("same"),
            "open": grades.count("open"),
        },
        "examples": [_ABOVE, _SAME],
        "provenance": list(_flat(run.provenance)),
        "command": run.command,
    }


def _with_headline_rows(run: Run, sections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds a section for headline findings where the run names none, so that no finding is lost."""
    rows = [row for row in run.findings if row.section == "headline"]
    if not rows:
        return sections
    entry = {"key": "headline-rows", "title": "The numbers of the headline", "question": "", "answer": ""}
    return [*sections, {**entry, "figures": [], "groups": _groups(rows)}]


def _figures(run: Run, key: str, shown: int) -> list[dict[str, Any]]:
    """The figures of one section, drawn or named."""
    return [_figure(picture, i < shown) for i, picture in enumerate(run.pictures) if picture.section == key]


def _figure(picture: Picture, drawn: bool) -> dict[str, Any]:
    markup = Markup(figure_markup(picture.svg, picture.alt)) if drawn else None
    return {"markup": markup, "file": picture.file, "title": picture.title, "caption": picture.caption}


def _groups(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Findings of one section by policy, in the order in which the policies first appear."""
    groups = []
    for policy in dict.fromkeys(row.policy for row in rows):
        mine = [row for row in rows if row.policy == policy]
        grades = [grade(row).kind for row in mine]
        groups.append(
            {
                "policy": policy,
                "rows": [_cells(row) for row in mine],
                "differs": grades.count("differs"),
                "same": grades.count("same"),
                "open": grades.count("open"),
            }
        )
    return groups


def _cells(row: Row) -> dict[str, Any]:
    """One finding as the texts of its cells."""
    share = row.unit.strip().lower() in _SHARES
    how = (
        ("method", row.method),
        ("site", row.site),
        ("world", row.world),
        ("seed", row.seed),
        ("policy sha256", row.policy_sha256),
        ("code", row.code_version),
    )
    return {
        "id": row.id,
        "question": row.question or row.id,
        "estimate": number(row.estimate, share),
        "interval": _interval(row.low, row.high, share),
        "unit": row.unit,
        "n": f"{row.n:,}" if row.n >= 0 else "not given",
        "control": number(row.control, share) if math.isfinite(row.control) else "none",
        "control_interval": _interval(row.control_low, row.control_high, share),
        "control_name": row.control_name,
        "grade": grade(row),
        "how": [(name, value) for name, value in how if value],
    }


def number(value: float, share: bool = False) -> str:
    """A number for a table: shares as percent with one decimal, others with three significant digits."""
    if not math.isfinite(value):
        return "not estimated"
    if share:
        text = f"{100 * value:.1f}%"
    elif value != 0 and not 1e-3 <= abs(value) < 1e6:
        text = f"{value:.2e}"
    elif abs(value) >= 100:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.{2 if abs(value) >= 0.1 or value == 0 else 4}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def _interval(low: float, high: float, share: bool) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{number(low, share)} to {number(high, share)}"


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested provenance as (name, text) pairs, in the order of the file."""
    for key, entry in value.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(entry, Mapping):
            yield from _flat(entry, f"{name} · ")
        elif isinstance(entry, list) and not any(isinstance(part, (Mapping, list)) for part in entry):
            yield name, ", ".join(map(_plain, entry))
        else:
            yield name, _plain(entry)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
