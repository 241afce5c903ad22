"""`goalscope findings` and `goalscope argument`: what the run folders say, as a list and as a case."""

from __future__ import annotations

import datetime
import decimal
import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from goalscope.commands.parser import NARROW, WIDEST, Argument, Option, columns

if TYPE_CHECKING:
    import pyarrow as pa

    from goalscope.evidence.store import Store

_WIDTH = 160
"""of the table where the output is no terminal"""
_ESTIMATE = ("estimate", "low", "high")
_RUNS = Annotated[Path, Option("Folder that holds the run folders, at any depth.")]
_JSON = Annotated[bool, Option("Print JSON, and nothing else.")]


def findings(
    runs: _RUNS = Path("runs"),
    policy: Annotated[str, Option("Only about this policy.")] = "",
    study: Annotated[str, Option("Only of runs of this study, such as maze-internals.")] = "",
    verdict: Annotated[
        str, Option("Only these: supported, contradicted, inconclusive, untested or invalid.")
    ] = "",
    search: Annotated[str, Option("Only those with these words in id, question, method or site.")] = "",
    sql: Annotated[str | None, Option("One SELECT over the table findings (DuckDB), of those.")] = None,
    json: _JSON = False,
) -> None:
    """The findings of all run folders, with their questions; options choose among them."""
    _check_verdict(verdict)
    store = _open(runs).chosen(policy, study, verdict, search)
    table = store.table if sql is None else store.query(sql)
    if json:
        _print_json(_rows(table))
    elif sql is None:
        print_findings(_rows(table), columns() if sys.stdout.isatty() else WIDEST)
    else:
        _print_table(table)


def _check_verdict(verdict: str) -> None:
    """Refuses a word that no finding can have, before any is read."""
    from goalscope.evidence.standing import STANDINGS

    if verdict and verdict not in STANDINGS:
        raise ValueError(f"--verdict is one of {', '.join(STANDINGS)}, got {verdict!r}")


def argument(
    file: Annotated[str, Argument("A TOML file, or the name of a packaged argument.")],
    runs: _RUNS = Path("runs"),
    policy: Annotated[str | None, Option("Instead of the policy that the file names.")] = None,
    out: Annotated[Path | None, Option("Write the page (HTML) here.")] = None,
    quick: Annotated[bool, Option("Take the findings of quick runs too, and mark them.", "--quick")] = False,
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
    if not runs.is_dir():  # said before the readers of its files are loaded
        raise FileNotFoundError(
            f"{runs} is not a folder: give the folder that holds your run folders with --runs"
        )
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


def print_findings(rows: Sequence[Mapping[str, Any]], width: int) -> None:
    """The findings by run and policy: id, standing and numbers, the question below; as wide as there is room."""
    widest = min(40, max((len(row["id"]) for row in rows), default=0))
    before = None
    for row in rows:
        here = (row["run"], row["policy"])
        if here != before:
            print(("" if before is None else "\n") + printable(f"{row['run']}: {row['policy']}"))
            before = here
        numbers = f"{_measured(row)} {row['unit']}, n = {row['n']}; control {_measured(row, 'control')}"
        standing = row["standing"] + " (quick)" * row["quick"]
        if width >= NARROW:
            lines = [f"{row['id']:{widest}}  {standing:12}  {numbers}", f"    {row['question']}"]
        else:
            lines = [row["id"], f"  {standing}", f"  {numbers}", f"  {row['question']}"]
        for line in lines:
            text = printable(line)
            inner = " " * (len(text) - len(text.lstrip()) + 4)
            print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent=inner))


def _measured(row: Mapping[str, Any], name: str = "") -> str:
    """'0.8 [0.7, 0.9]', of the estimate or of the control."""
    value, low, high = (row[key] for key in ((name, f"{name}_low", f"{name}_high") if name else _ESTIMATE))
    if value is None:
        return "none"
    interval = "" if low is None or high is None or low == high else f" [{low:.3g}, {high:.3g}]"
    return f"{value:.3g}{interval}"


def _print_table(table: pa.Table) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False)
    rows = _rows(table)
    for name in table.column_names:
        numeric = any(isinstance(row[name], int | float) for row in rows)
        shown.add_column(Text(printable(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(_cell(value)) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(shown)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else printable(str(value))


def printable(text: str) -> str:
    """Run folders may come from anywhere: nothing in them shall steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
