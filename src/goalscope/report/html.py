"""A run folder as one HTML file: readable offline, on a phone, light or dark, and without its small script.

`write_report` reads files only, so a report can be made anew from any run folder, also an old one, without
the network that the study examined. What a reader must be able to trust is stated on the page itself: the
control stands beside each estimate, and the rule by which a finding's claim stands or falls is written above
the tables. The answers come first, one line a section; what the study was run for is shown below, and the rest
is there, folded. The script chooses rows and sorts them; nothing else may run (`templates.script`).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from goalscope.evidence.standing import STANDINGS, Standing
from goalscope.files import write_whole
from goalscope.report.cells import Grade, cells, grade
from goalscope.report.inline import figure_markup
from goalscope.report.reading import Picture, Row, Run, read_run
from goalscope.report.templates import script, style, template

SIZE_LIMIT_BYTES = 3_000_000


_EXAMPLES = (
    Grade("supported", "▲", "supported: above control"),
    Grade("contradicted", "▼", "contradicted: below control"),
    Grade("inconclusive", "≈", "inconclusive"),
)

_SIGNS = {"supported": "✓", "contradicted": "✗", "inconclusive": "≈", "untested": "?", "invalid": "-"}
"""of each standing where findings are counted; a badge's own sign says on which side of its control it lies"""


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
    code, allowed = script()
    shown = len(run.pictures)
    while True:
        page = page_template.render(_page(run, shown), style=style(), script=code, allowed=allowed)
        over = len(page.encode("utf-8")) - SIZE_LIMIT_BYTES
        if over <= 0 or shown == 0:
            return page
        while over > 0 and shown > 0:
            shown -= 1
            over -= len(run.pictures[shown].svg.encode("utf-8"))


def _page(run: Run, shown: int) -> dict[str, Any]:
    """What the template fills in; the first `shown` figures are drawn."""
    keys = [section.key for section in run.sections]
    subject = run.findings[0].policy if run.findings else ""
    strays = sorted({row.section for row in run.findings} - set(keys) - {"headline"})
    sections = [
        {
            "key": f"s{i}",
            "title": section.title,
            "question": section.question,
            "verdict": section.said[0],
            "details": section.said[1],
            "counted": _counted_apart(
                [r for r in run.findings if r.section == section.key and r.policy == subject]
            ),
            "figures": _figures(run, section.key, shown) if section.key != "headline" else [],
            "groups": _groups([row for row in run.findings if row.section == section.key]),
        }
        for i, section in enumerate(run.sections, start=1)
    ]
    if strays:
        rest = [row for row in run.findings if row.section in strays]
        words = "Findings that belong to none of the sections above."
        others = {"title": "Further findings", "question": "", "verdict": words, "details": [], "counted": []}
        sections.append({"key": "further", **others, "figures": [], "groups": _groups(rest)})
    unplaced = {picture.section for picture in run.pictures} - set(keys)
    lead = [figure for key in sorted({"headline", *unplaced}) for figure in _figures(run, key, shown)]
    grades: list[Standing] = [grade(row).kind for row in run.findings if row.policy == subject]
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
            "words": _counted(grades),
            "rows": len(run.findings),
        },
        "standings": _counted_apart(run.findings),
        "quick": any(row.quick for row in run.findings),
        "examples": _EXAMPLES,
        "provenance": list(_flat(run.provenance)),
        "command": run.command,
    }


def _with_headline_rows(run: Run, sections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds a section for headline findings where the run names none, so that no finding is lost."""
    rows = [row for row in run.findings if row.section == "headline"]
    if not rows:
        return sections
    entry = {"key": "headline-rows", "title": "The numbers of the headline", "question": "", "verdict": ""}
    more = {"details": [], "counted": [], "figures": [], "groups": _groups(rows)}
    return [*sections, entry | more]


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
        first = [row for row in mine if row.role == "primary"]
        rest = [row for row in mine if row.role != "primary"]
        groups.append(
            {
                "policy": policy,
                "words": f"{len(mine)} finding{'s' * (len(mine) != 1)}: {_counted([grade(row).kind for row in mine])}",
                "rows": [_cells(row) for row in first],
                "more": [_cells(row) for row in rest],
            }
        )
    return groups


def _counted_apart(rows: Sequence[Row]) -> list[tuple[Standing, str, int]]:
    """(standing, its sign, how many) of those that occur, in their order."""
    kinds = [grade(row).kind for row in rows]
    return [(kind, _SIGNS[kind], kinds.count(kind)) for kind in STANDINGS if kind in kinds]


def _counted(kinds: Sequence[Standing]) -> str:
    """'3 supported, 1 inconclusive': the standings that occur, in their order."""
    counts = ((kinds.count(kind), kind) for kind in STANDINGS)
    return ", ".join(f"{count} {kind}" for count, kind in counts if count) or "none"


def _cells(row: Row) -> dict[str, Any]:
    """The cells of a finding, and how it was found."""
    how = (
        ("role", row.role),
        ("claim", f"{row.claim} control" if row.claim != "apart" else "apart from control, on either side"),
        ("method", row.method),
        ("site", row.site),
        ("world", row.world),
        ("seed", row.seed),
        ("policy sha256", row.policy_sha256),
        ("code", row.code_version),
    )
    sorts = {"estimate": _sorted_as(row.estimate), "control": _sorted_as(row.control), "n": str(row.n)}
    return cells(row) | {"sorts": sorts, "how": [(name, value) for name, value in how if value]}


def _sorted_as(value: float) -> str:
    """What the script sorts a cell by; what is missing comes first."""
    return repr(float(value)) if math.isfinite(value) else ""


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
