"""An argument as one HTML file: which claims stand, fall or have no evidence, each beside the numbers that decide it.

The page takes plain JSON (`goalscope.evidence.argument.to_record` makes it), so it needs no policy and no run folder. It
wears the style of the report and loads nothing from anywhere.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from goalscope.files import write_whole
from goalscope.report.cells import cells
from goalscope.report.reading import Row
from goalscope.report.templates import style, template

MARKS = {"stands": ("▲", "stands"), "falls": ("▼", "falls"), "no evidence": ("?", "no evidence")}
"""the sign and the words of each status"""
_BADGES = {"stands": "supported", "falls": "inconclusive", "no evidence": "untested"}
"""the report's badge that has the colours of each status"""
_CASES = {"affirmative": "Affirmative case", "risk": "Risk case"}


def write_argument_page(path: str | os.PathLike[str], record: Mapping[str, Any]) -> Path:
    """Writes the page of a judged argument, whole or not at all; an older page is replaced.

    Raises:
        OSError: the place cannot be written.
    """
    path = Path(path)
    page = render_argument(record)
    try:
        return write_whole(path, page)
    except OSError as error:
        raise OSError(
            f"the page {path} cannot be written ({error.strerror}); choose another place"
        ) from error


def render_argument(record: Mapping[str, Any]) -> str:
    """The page as HTML text.

    Args:
        record: {title, case, policy, world, runs, claims: [{id, text, role, target, needs, rule, depth, status, why,
            findings: [the columns of a finding, run, and where there is one figure (its link) and
            figure_title]}]}, the root claim first.
    """
    claims = record["claims"]
    counts = {status: sum(claim["status"] == status for claim in claims) for status in MARKS}
    return template("argument").render(
        record=record,
        case=_CASES[record["case"]],
        style=style(),
        tree=_nest(claims, ""),
        root=claims[0],
        why=claims[0]["why"][:1].upper() + claims[0]["why"][1:],
        marks=MARKS,
        badges=_BADGES,
        counts=counts,
    )


def _nest(claims: list[Mapping[str, Any]], target: str) -> list[dict[str, Any]]:
    """The claims that support or attack `target`, each with those below it, for nested lists."""
    below: dict[str, list[dict[str, Any]]] = {}
    for claim in reversed(claims):
        rows = [_cells(finding) for finding in claim["findings"]]
        entry = {"claim": claim, "rows": rows, "below": below.get(claim["id"], [])[::-1]}
        below.setdefault(claim["target"], []).append(entry)
    return below[target]


def _cells(finding: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a finding, and where it comes from."""
    row = Row(**{field.name: _plain(finding[field.name], str(field.type)) for field in fields(Row)})
    figure = finding.get("figure")
    return cells(row) | {
        "run": finding["run"],
        "link": quote(PurePosixPath(figure).as_posix(), safe="/.") if figure else "",
        "figure": finding.get("figure_title", ""),
        "world": row.world,
        "method": row.method,
    }


def _plain(value: Any, kind: str) -> Any:
    if kind == "float":
        return math.nan if value is None else float(value)
    return str(value) if kind == "str" else value
