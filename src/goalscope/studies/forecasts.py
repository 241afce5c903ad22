"""Registered forecasts against the findings of the runs: who was right, on which policy, by which number.

Reads a ledger and run folders, writes a folder with `scoreboard.json`, one reliability diagram for each policy, and
the page made of them. Nothing is stored of a resolution: the same ledger and runs give the same page.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from goalscope.evidence import ledger as ledgers
from goalscope.evidence.finding import Finding
from goalscope.evidence.forecast import Forecast, ForecastFile, check_findings, parse_forecasts, read_text
from goalscope.evidence.resolve import Resolution, Subject, read_subjects, reply, resolve
from goalscope.evidence.scores import CLIP, Scores, score
from goalscope.evidence.store import Problem, figure_of, open_store
from goalscope.files import write_whole
from goalscope.plots.charts import Line, curves
from goalscope.report.scoreboard import write_scoreboard


@dataclass(frozen=True)
class Resolved:
    """Everything that a ledger registers, decided on every subject.

    Attributes:
        ledger: as it was read.
        files: [E] one an entry.
        subjects: [S].
        resolutions: [S] the resolutions of all forecasts on each subject, in the order of the ledger.
        problems: the run folders that are left out, damaged or not finished.
    """

    ledger: ledgers.Ledger
    files: tuple[ForecastFile, ...]
    subjects: tuple[Subject, ...]
    resolutions: tuple[tuple[Resolution, ...], ...]
    problems: tuple[Problem, ...]


def register(file: str, ledger: Path, author: str, runs: Path) -> tuple[ledgers.Entry, ForecastFile]:
    """Checks a forecast file and writes its text into the ledger.

    Args:
        file: its path, or the name of a packaged one.
        ledger: path of the ledger.
        author: who registers.
        runs: where run folders may be, whose finding ids may be used beside the known ones; need not exist.

    Raises:
        FileNotFoundError, ValueError: the file is missing or wrong; with the line.
        OSError: the ledger cannot be written.
    """
    name, text = read_text(file)
    forecasts = parse_forecasts(text, name)
    try:
        found = [i for subject in read_subjects(open_store(runs)) for i in subject.findings]
    except FileNotFoundError:
        found = []
    check_findings(forecasts, found, name)
    ids = [*(f.id for f in forecasts.forecasts), *(q.id for q in forecasts.questions)]
    groups = dict.fromkeys(f"group {f.group} of {f.by}" for f in forecasts.forecasts if f.group)
    return ledgers.append(ledger, text, [*ids, *groups], author), forecasts


def resolve_ledger(ledger: Path, runs: Path, policies: Sequence[str] = (), quick: bool = False) -> Resolved:
    """Decides every registered forecast on every policy of the runs, or on those named.

    Findings of quick runs are left out, and the runs named among the problems, unless `quick`.

    Raises:
        FileNotFoundError: no ledger, no runs.
        ValueError: the ledger is not whole.
        KeyError: a named policy is the subject of no run.
    """
    whole = ledgers.read(ledger)
    files = tuple(parse_forecasts(e.content, f"entry {e.number} of {ledger}") for e in whole.entries)
    store = open_store(runs)
    store = store if quick else store.whole()
    subjects = read_subjects(store)
    for policy in policies:
        if policy not in {s.policy for s in subjects}:
            there = ", ".join(dict.fromkeys(s.policy for s in subjects))
            raise KeyError(f"no run in {runs} is about {policy!r}; there are runs about {there}")
    subjects = tuple(s for s in subjects if not policies or s.policy in policies)
    resolutions = tuple(
        tuple(r for file in files for r in resolve(file.forecasts, subject.findings)) for subject in subjects
    )
    return Resolved(whole, files, subjects, resolutions, store.problems)


def score_ledger(
    ledger: Path, runs: Path, out: Path, policies: Sequence[str] = (), quick: bool = False
) -> tuple[dict[str, Any], Path]:
    """Resolves, scores, and writes `scoreboard.json`, `reliability-N.svg` and `scoreboard.html` into `out`.

    Returns:
        (what `scoreboard.json` holds, path of the page).

    Raises:
        FileNotFoundError, ValueError, KeyError: as `resolve_ledger`.
        OSError: the folder cannot be written.
    """
    resolved = resolve_ledger(ledger, runs, policies, quick)
    board = scoreboard(resolved, out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for i, resolutions in enumerate(resolved.resolutions):
            svg = reliability(score(resolutions)[:1], resolved.subjects[i].name)
            board["subjects"][i]["figure"] = f"reliability-{i + 1}.svg" if svg else ""
            if svg:
                write_whole(out / f"reliability-{i + 1}.svg", svg)
        write_whole(
            out / "scoreboard.json", json.dumps(board, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        )
    except OSError as error:
        raise OSError(
            f"the scoreboard cannot be written to {out} ({error.strerror}): choose another --out"
        ) from error
    return board, write_scoreboard(out)


def scoreboard(resolved: Resolved, out: Path) -> dict[str, Any]:
    """The scoreboard as plain JSON; links are relative to `out`."""
    forecasts = [
        (e, f)
        for e, file in zip(resolved.ledger.entries, resolved.files, strict=True)
        for f in file.forecasts
    ]
    entries = []
    for i, (entry, forecast) in enumerate(forecasts):
        results = [
            _result(rows[i], subject, out)
            for subject, rows in zip(resolved.subjects, resolved.resolutions, strict=True)
        ]
        registered = {"number": entry.number, "time": entry.time, "author": entry.author}
        entries.append({**_words(forecast), "registered": registered, "results": results})
    questions = []
    for question in (q for file in resolved.files for q in file.questions):
        replies = [
            [_finding(f, subject, out) for f in reply(question, subject.findings).findings]
            for subject in resolved.subjects
        ]
        questions.append({"id": question.id, "statement": question.statement, "results": replies})
    subjects = [
        {
            "name": subject.name,
            "policy": subject.policy,
            "policy_sha256": subject.policy_sha256,
            "world": subject.world,
            "scores": [_plain(scores) for scores in score(rows)],
        }
        for subject, rows in zip(resolved.subjects, resolved.resolutions, strict=True)
    ]
    chain = {
        "entries": len(resolved.ledger.entries),
        "head": resolved.ledger.head,
        "notes": resolved.ledger.notes,
    }
    left_out = [str(problem) for problem in resolved.problems]
    notes = [f.note for f in resolved.files if f.note]
    board = {"ledger": chain, "clip": CLIP, "left_out": left_out, "notes": notes, "subjects": subjects}
    return {**board, "forecasts": entries, "questions": questions}


_HALF = 0.008
"""half the width of an interval's bar, in probability"""


def reliability(scores: Sequence[Scores], name: str) -> str:
    """Reliability diagram as SVG: one point with its interval for each bin; empty where nothing was scored."""
    lines = []
    for each in scores:
        x, y, low, high = [], [], [], []
        for b in each.calibration:
            # Bins stand apart: a band as narrow as an error bar around each point, and a gap after it.
            x += [b.forecast - _HALF, b.forecast, b.forecast + _HALF, b.forecast]
            y += [math.nan, b.observed.estimate, math.nan, math.nan]
            low += [b.observed.low] * 3 + [math.nan]
            high += [b.observed.high] * 3 + [math.nan]
        if x:
            lines.append(Line(f"{each.forecaster}: {each.statements} forecasts", x, y, low, high))
    if not lines:
        return ""
    lines.append(Line("calibrated", [0.0, 1.0], [0.0, 1.0]))
    return curves(
        lines,
        description=_said(scores),
        title=f"How often what was predicted came true: {name}",
        x_label="probability that was given",
        y_label="share that came true, 95% interval",
        percent=True,
        x_ticks=[0, 0.2, 0.4, 0.6, 0.8, 1],
        y_limits=(0, 1),
    )


def _said(scores: Sequence[Scores]) -> str:
    """The diagram in words, for readers who cannot see it."""
    bins = [
        f"{each.forecaster} said {b.forecast:.0%} {b.observed.n} times, {b.observed.estimate:.0%} came true "
        f"({b.observed.low:.0%} to {b.observed.high:.0%})"
        for each in scores
        for b in each.calibration
    ]
    return "; ".join(bins)


def _words(forecast: Forecast) -> dict[str, Any]:
    words = {k: getattr(forecast, k) for k in ("id", "by", "kind", "group", "given", "statement", "reading")}
    rule = forecast.rule.text if forecast.rule else ""
    return {**words, "rule": rule, "probability": forecast.probability, "quantiles": forecast.quantiles}


def _result(resolution: Resolution, subject: Subject, out: Path) -> dict[str, Any]:
    value = asdict(resolution.value) if resolution.value else None
    findings = [_finding(f, subject, out) for f in resolution.findings]
    return {"verdict": resolution.verdict, "reason": resolution.reason, "value": value, "findings": findings}


_SHOWN = (
    "id",
    "question",
    "estimate",
    "low",
    "high",
    "n",
    "unit",
    "control",
    "control_low",
    "control_high",
    "control_name",
    "role",
    "standing",
    "quick",
)


def _finding(finding: Finding, subject: Subject, out: Path) -> dict[str, Any]:
    run = subject.runs[finding.id]
    link, title = figure_of(finding.id, run, out)
    return {
        **{k: getattr(finding, k) for k in _SHOWN},
        "figure": link,
        "figure_title": title,
        "run": run.name,
    }


def _plain(scores: Scores) -> Mapping[str, Any]:
    return asdict(scores)
