"""All run folders as one table: DuckDB filters, sorts and pages it here, the page shows one page of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from goalscope.app import asked as ask
from goalscope.app.asked import Asked
from goalscope.app.desk import Desk
from goalscope.evidence.standing import STANDINGS
from goalscope.evidence.store import Store, open_store

ROWS = 50
"""of one page"""
COLUMNS = (
    "run", "id", "question", "estimate", "low", "high", "n", "unit", "control", "control_low", "control_high",
    "control_name", "method", "site", "policy", "world", "role", "claim", "standing", "quick",
)  # fmt: skip
SEARCHED = ("id", "question", "method", "site", "run")
REPORT = "report.html"
REPORT_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
)
"""a report is shown in place and runs nothing: what it holds may come from anywhere"""


def runs_answer(desk: Desk, asked: Asked) -> dict[str, Any]:
    """One page of the findings.

    Args:
        desk: the folder of runs.
        asked: `search` (words that all stand in id, question, method, site or run), `policy`, `verdict`, `sort` (a column),
            `down` (true: the greatest first), `page`.

    Returns:
        `rows` of `COLUMNS` (null for a limit that is infinite), `count` of all that were found, `page`, `pages`, the
        `policies` and `verdicts` there are, `reports` {run: whether it has a report}, and `problems`: run folders that
        could not be read.

    Raises:
        ValueError: there is no folder of runs; a column that is none. FileNotFoundError: no run in it.
    """
    store = store_of(desk)
    sort, page = ask.one_of(asked, "sort", COLUMNS), ask.whole(asked, "page", 0, 0, 10**7)
    where = _where(asked)
    down = "DESC" if asked.get("down") is True else "ASC"
    columns = ", ".join(f'"{name}"' for name in COLUMNS)
    order = f'ORDER BY "{sort}" {down} NULLS LAST, run, id, policy, world'
    rows = store.query(
        f"SELECT {columns} FROM findings {where} {order} LIMIT {ROWS} OFFSET {page * ROWS}"
    ).to_pylist()
    count = store.query(f"SELECT count(*) AS n FROM findings {where}").to_pylist()[0]["n"]
    policies = store.query("SELECT DISTINCT policy FROM findings ORDER BY policy").to_pylist()
    return {
        "rows": [{name: _plain(value) for name, value in row.items()} for row in rows],
        "count": count,
        "page": page,
        "pages": max(1, math.ceil(count / ROWS)),
        "policies": [row["policy"] for row in policies],
        "verdicts": list(STANDINGS),
        "reports": {run: report_of(desk, run) is not None for run in {row["run"] for row in rows}},
        "problems": [str(problem) for problem in store.problems],
    }


def store_of(desk: Desk) -> Store:
    """All runs of the desk's folder, as they are now."""
    if desk.runs is None:
        raise ValueError(
            "there is no folder of runs: make a run with `goalscope study maze`, or start the page with --runs FOLDER"
        )
    return open_store(desk.runs)


def report_of(desk: Desk, run: str) -> Path | None:
    """The report of a run of the desk's folder; None where there is none, or where it lies outside of the folder."""
    if desk.runs is None or run not in store_of(desk).runs:
        return None
    root, file = desk.runs.resolve(), (desk.runs / run / REPORT).resolve()
    return file if file.is_relative_to(root) and file.is_file() else None


def _where(asked: Asked) -> str:
    """The condition of a question, in SQL; words of the page stand in it as quoted text only."""
    texts = " || ' ' || ".join(f'"{name}"' for name in SEARCHED)
    conditions = [
        f"contains(lower({texts}), {_quoted(word)})"
        for word in ask.text(asked, "search", "", 400).lower().split()
    ]
    for name, column in (("policy", "policy"), ("verdict", "standing")):
        if wanted := ask.text(asked, name, "", 400):
            conditions.append(f'"{column}" = {_quoted(wanted)}')
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _quoted(text: str) -> str:
    if "\0" in text:
        raise ValueError("the search holds a zero byte: leave it out")
    return "'" + text.replace("'", "''") + "'"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
