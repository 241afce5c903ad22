"""`goalscope findings` and `goalscope argument`: what the run folders say, as a table and as a case."""

from __future__ import annotations

import datetime
import decimal
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pyarrow as pa

    from goalscope.evidence.store import Store

SHOWN = 200
"""rows in the terminal; `--json` has them all"""
_WIDTH = 160
"""of the table where the output is no terminal"""
_EACH = "SELECT run, policy, id, standing, estimate, low, high, control, n, unit FROM findings ORDER BY run, policy, id"
_RUNS = Annotated[Path, typer.Option("--runs", help="Folder that holds the run folders, at any depth.")]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


def findings(
    runs: _RUNS = Path("runs"),
    sql: Annotated[str | None, typer.Option(help="One SELECT over the table findings (DuckDB).")] = None,
    json: _JSON = False,
) -> None:
    """The findings of all run folders as one table."""
    store = _open(runs)
    table = store.query(_EACH if sql is None else sql) if sql is not None or not json else store.table
    if json:
        _print_json(_rows(table))
    else:
        _print_table(table)


def argument(
    file: Annotated[str, typer.Argument(help="A TOML file, or the name of a packaged argument.")],
    runs: _RUNS = Path("runs"),
    policy: Annotated[str | None, typer.Option(help="Instead of the policy that the file names.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the page (HTML) here.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Take the findings of quick runs too, and mark them.")
    ] = False,
    json: _JSON = False,
) -> None:
    """Which claims of a case stand, fall or have no evidence."""
    from dataclasses import replace

    from goalscope.evidence.argument import judge, read_argument, to_record
    from goalscope.report.argument_page import MARKS, write_argument_page

    case = read_argument(file)
    case = replace(case, policy=policy) if policy else case
    store = _open(runs, quick)
    record = to_record(case, judge(case, store.findings(case.policy)), str(runs))
    if out is not None:
        write_argument_page(out, _with_figures(record, store.root, out.parent))
    if json:
        _print_json(record)
        return
    print(printable(f"{case.title} ({case.case} case, {case.policy})") + "\n")
    for claim in record["claims"]:
        role = "" if claim["role"] == "root" else f"{claim['role']}: "
        sign, words = MARKS[claim["status"]]
        marked = " [from a quick run]" if any(finding["quick"] for finding in claim["findings"]) else ""
        print(
            f"{'  ' * claim['depth']}{sign} {words}  {role}{printable(claim['text'])} "
            f"[{printable(claim['why'])}]{marked}"
        )
    if out is not None:
        print(f"\nPage: {out}")


def _with_figures(record: dict[str, Any], root: Path, page: Path) -> dict[str, Any]:
    """The record with a link from each finding to its figure, relative to the folder of the page."""
    from goalscope.evidence.store import figure_of

    claims = []
    for claim in record["claims"]:
        found = []
        for finding in claim["findings"]:
            link, title = figure_of(finding["id"], root / finding["run"], page)
            found.append({**finding, "figure": link, "figure_title": title})
        claims.append({**claim, "findings": found})
    return {**record, "claims": claims}


def _open(runs: Path, quick: bool = True) -> Store:
    """The store, with quick runs or without; what is left out of it is said on stderr."""
    from goalscope.evidence.store import open_store

    store = open_store(runs)
    store = store if quick else store.whole()
    for problem in store.problems:
        print(printable(str(problem)), file=sys.stderr)
    return store


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    try:
        rows = table.to_pylist()
    except (OverflowError, ValueError) as error:
        raise ValueError(f"SQL: a time that Python cannot hold ({error}); cast it to VARCHAR") from error
    return [{key: _plain(value) for key, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    """What JSON can hold: no nan or infinity (null), times and bytes as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _print_json(value: Any) -> None:
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def _print_table(table: pa.Table) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    rows = _rows(table.slice(0, SHOWN))
    for name in table.column_names:
        numeric = any(isinstance(row[name], int | float) for row in rows)
        shown.add_column(Text(printable(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(_cell(value)) for value in row.values()))
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    console.print(shown)
    if len(table) > SHOWN:
        print(f"{SHOWN} of {len(table):,} rows; --json has all, --sql chooses")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else printable(str(value))


def printable(text: str) -> str:
    """Run folders may come from anywhere: nothing in them shall steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
