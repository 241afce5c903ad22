"""The scoreboard of forecasts as one HTML file, offline, in the style of the reports; reads files only.

`scoreboard.json` and the reliability diagrams beside it go in; every number that the page states is in there.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from goalscope.files import read_text, write_whole
from goalscope.report.cells import interval, is_share, number
from goalscope.report.inline import figure_markup
from goalscope.report.templates import style, template

_SIGNS = {
    "yes": ("supported", "✓"),
    "no": ("inconclusive", "✗"),
    "ambiguous": ("untested", "~"),
    "void": ("untested", "○"),
}
_WORDS = {"yes": "came true", "no": "did not", "ambiguous": "ambiguous", "void": "void"}


def write_scoreboard(folder: str | os.PathLike[str]) -> Path:
    """Writes `scoreboard.html` into a folder from the `scoreboard.json` and diagrams that lie in it.

    Returns:
        The path of the page, which replaces an older one in a single step.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: `scoreboard.json` is damaged.
        OSError: the page cannot be written; an older one then stays as it was.
    """
    folder = Path(folder)
    source = folder / "scoreboard.json"
    if not source.is_file():
        raise FileNotFoundError(f"{source} is missing; 'goalscope forecast score' writes it")
    try:
        board = json.loads(read_text(source))
        page = render(board, {s["figure"]: _drawing(folder, s["figure"]) for s in board["subjects"]})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{source} is damaged ({error!r}); 'goalscope forecast score' writes it anew"
        ) from error
    return write_whole(folder / "scoreboard.html", page)


def render(board: Mapping[str, Any], drawings: Mapping[str, str]) -> str:
    """The page as HTML text.

    Args:
        board: what `scoreboard.json` holds.
        drawings: SVG text by file name.
    """
    subjects = []
    for subject in board["subjects"]:
        svg = drawings.get(subject["figure"], "")
        alt = f"Reliability diagram of {subject['name']}"
        subjects.append({**subject, "drawing": Markup(figure_markup(svg, alt)) if svg else None})
    return template("scoreboard", score=_score, signed=_signed).render(
        style=style(),
        headline=[*_headline(board), *board["notes"]],
        clip=board["clip"],
        ledger=board["ledger"],
        subjects=subjects,
        forecasts=[_forecast(f) for f in board["forecasts"]],
        questions=[
            {**q, "results": [[_finding(f) for f in found] for found in q["results"]]}
            for q in board["questions"]
        ],
    )


def _headline(board: Mapping[str, Any]) -> list[str]:
    """One sentence a subject: how many of the forecasts are decided, and how good they were."""
    said = []
    for subject in board["subjects"]:
        every = subject["scores"][0] if subject["scores"] else None
        if every is None:
            continue
        total = len(board["forecasts"])
        counted = [_count(every["statements"], "statement"), _count(every["groups"], "group")]
        counted.append(_count(every["numbers"], "number"))
        text = (
            f"{subject['name']}: decided of {total} forecasts: {', '.join(counted)}; ambiguous: {every['ambiguous']}, "
            f"void or without evidence yet: {every['void']}."
        )
        if every["brier"]:
            text += f" Brier score {_score(every['brier']['score'])}, where saying 50% always scores 0.25."
        said.append(text)
    return said or ["Nothing is registered, or no run speaks about it yet."]


def _count(n: int, name: str) -> str:
    return f"{n} {name}{'' if n == 1 else 's'}"


def _forecast(forecast: Mapping[str, Any]) -> dict[str, Any]:
    if forecast["probability"] is not None:
        said = f"{100 * forecast['probability']:g}%"
    else:
        said = ", ".join(f"{100 * level:g}%: {value:g}" for level, value in forecast["quantiles"])
    results = []
    for result in forecast["results"]:
        kind, sign = _SIGNS[result["verdict"]]
        word = _WORDS[result["verdict"]]
        if result["verdict"] == "void" and result["reason"].startswith("no evidence yet"):
            word = "no evidence yet"
        if result["value"] is not None:
            word, sign = f"is {result['value']['estimate']:.3g}", "="
        findings = [_finding(f) for f in result["findings"]]
        results.append(
            {"kind": kind, "sign": sign, "word": word, "reason": result["reason"], "findings": findings}
        )
    return {**forecast, "said": said, "results": results}


def _finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    share = is_share(finding["unit"])
    control = finding["control"]
    return {
        **finding,
        "estimate": number(finding["estimate"], share),
        "interval": interval(finding["low"], finding["high"], share),
        "control": "none" if control is None else number(control, share),
        "control_interval": interval(finding["control_low"], finding["control_high"], share),
        "link": quote(PurePosixPath(finding["figure"]).as_posix(), safe="/.") if finding["figure"] else "",
    }


def _drawing(folder: Path, name: str) -> str:
    if not name:
        return ""
    if PurePosixPath(name).name != name:
        raise ValueError(f"{name!r} is not a plain file name: diagrams lie beside scoreboard.json")
    return read_text(folder / name)


def _score(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "none"
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def _signed(value: float | None) -> str:
    return _score(value) if value is None or value < 0 else f"+{_score(value)}"
