"""Forecasts as a text file: predictions written down, each with the rule that will decide it.

A file is TOML: `[[forecast]]` tables (id, by, kind, statement, rule, and what the kind needs), `[[question]]`
tables (id, statement, findings: what is asked without a prediction) and, where the findings come from studies of
one's own, `findings = ["my.study.id"]`, the ids that they will have; `note = "..."` says what every page must say
of the file. The text itself is what the ledger keeps.
"""

from __future__ import annotations

import difflib
import fnmatch
import itertools
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from goalscope.evidence.rule import Rule, parse
from goalscope.evidence.toml_lines import At, Lines
from goalscope.files import decoded, warn_of_namesake
from goalscope.showing import drawing, text

KINDS = ("threshold", "sign", "claim", "choice", "numeric", "conditional")
SUM_SLACK = 1e-6
"""how far the probabilities of a group may be from 1"""
LONGEST_CHAIN = 50
"""conditions in a row"""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_TABLES = frozenset(("forecast", "question", "findings", "forecaster", "note"))
_KEYS = frozenset(
    (
        "id",
        "by",
        "kind",
        "statement",
        "probability",
        "quantiles",
        "group",
        "given",
        "rule",
        "undecidable",
        "reading",
    )
)


@dataclass(frozen=True)
class Forecast:
    """One prediction."""

    __repr__, _repr_html_ = text, drawing

    id: str
    by: str
    """who predicts"""
    kind: str
    """one of `KINDS`: 'threshold', 'sign' and 'claim' are statements with a probability; 'choice' is one of a
    group of which exactly one comes true; 'numeric' is a number with quantiles; 'conditional' counts only if
    `given` comes true"""
    statement: str
    probability: float | None
    """None for a numeric one"""
    quantiles: tuple[tuple[float, float], ...]
    """(level in 0..1, value), rising; empty unless numeric"""
    group: str
    """empty unless a choice"""
    given: str
    """id of the forecast that must come true, 'not ID' for one that must not; may be empty"""
    rule: Rule | None
    undecidable: str
    """in place of a rule: why no finding can decide it"""
    reading: str
    """how the statement is made measurable by the rule, in words; may be empty"""


@dataclass(frozen=True)
class Question:
    """Something to measure that nobody predicted; `findings` are ids, or patterns with '*'."""

    __repr__, _repr_html_ = text, drawing

    id: str
    statement: str
    findings: tuple[str, ...]


@dataclass(frozen=True)
class ForecastFile:
    """What a file holds."""

    __repr__, _repr_html_ = text, drawing

    forecasts: tuple[Forecast, ...]
    questions: tuple[Question, ...]
    own: tuple[str, ...]
    """finding ids that the file says its own studies will have"""
    note: str
    """what the file says of itself, for every page made from it; may be empty"""
    lines: Mapping[str, int]
    """line of each forecast's and question's table, by id"""


def read_text(name_or_path: str) -> tuple[str, str]:
    """(name, text) of a packaged forecast file ('cheese_maze') or of a file.

    Raises:
        FileNotFoundError: neither; with what is packaged.
        ValueError: it is no text in UTF-8 (or UTF-16 with its mark).
    """
    folder = files("goalscope") / "data" / "forecasts"
    packaged = sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))
    if name_or_path in packaged:
        warn_of_namesake(name_or_path, "packaged forecasts")
        return name_or_path, (folder / f"{name_or_path}.toml").read_text(encoding="utf-8")
    path = Path(name_or_path)
    if not path.is_file():
        near = difflib.get_close_matches(name_or_path, packaged, 1)
        hint = f"; did you mean the packaged {near[0]}?" if near else f"; packaged: {', '.join(packaged)}"
        raise FileNotFoundError(f"no forecast file {name_or_path}{hint}")
    return path.name, decoded(path.read_bytes(), str(path))


def parse_forecasts(text: str, name: str = "forecasts") -> ForecastFile:
    """Reads and checks a forecast file.

    Args:
        text: the file.
        name: what to call it in errors.

    Raises:
        ValueError: with file and line: no TOML, a key that is missing, unknown or wrong, a probability outside
            0..1, a group that does not sum to 1, an id used twice, a condition on itself, a rule that is none.
    """
    try:
        table = tomllib.loads(text.removeprefix("\ufeff"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        why = "brackets inside of brackets too deep" if isinstance(error, RecursionError) else error
        raise ValueError(f"{name}: not valid TOML: {why}") from error
    unknown = sorted(table.keys() - _TABLES)
    if unknown:
        raise ValueError(f"{name}: unknown {_near(unknown[0], sorted(_TABLES))}")
    lines = Lines(text, name)
    forecasts = [_forecast(t, lines.of("forecast", i)) for i, t in _tables(table, "forecast", name)]
    questions = [_question(t, lines.of("question", i)) for i, t in _tables(table, "question", name)]
    own = table.get("findings", [])
    if not isinstance(own, list) or not all(isinstance(i, str) for i in own):
        raise ValueError(f"{name}: findings must be a list of finding ids")
    note = table.get("note", "")
    if not isinstance(note, str):
        raise ValueError(f"{name}: note must be a text, got {note!r}")
    if not forecasts and not questions:
        raise ValueError(f"{name}: no [[forecast]] and no [[question]] in it")
    where: dict[str, int] = {}
    at = [("forecast", i, f.id) for i, f in enumerate(forecasts)]
    for kind, i, identifier in [*at, *(("question", i, q.id) for i, q in enumerate(questions))]:
        line = lines.of(kind, i)
        if identifier in where:
            raise ValueError(
                f"{line('id')}: the id {identifier!r} is already that of line {where[identifier]}"
            )
        where[identifier] = line.number("id")
    _check_groups(forecasts, where, name)
    _check_conditions(forecasts, where, name)
    return ForecastFile(tuple(forecasts), tuple(questions), tuple(own), note.strip(), where)


def check_findings(file: ForecastFile, found: Iterable[str], name: str = "forecasts") -> None:
    """Refuses rules over findings that no study gives.

    Args:
        file: the forecasts.
        found: ids that the runs at hand have, beside those that the shipped studies are known to give.
        name: of the file, for errors.

    Raises:
        ValueError: the line of the forecast, the id, and near matches.
    """
    known = [*known_findings(), *file.own, *found]
    patterns = [k for k in known if "*" in k]
    exact = set(known)
    asked = [(f.id, i) for f in file.forecasts if f.rule for i in f.rule.ids]
    asked += [(q.id, i) for q in file.questions for i in q.findings]
    for owner, identifier in asked:
        if identifier in exact or any(fnmatch.fnmatchcase(identifier, p) for p in patterns):
            continue
        if "*" in identifier and fnmatch.filter(exact, identifier):
            continue
        raise ValueError(
            f"{name}, line {file.lines[owner]}: {owner} asks for an unknown finding {_near(identifier, sorted(exact))}; "
            "a study of your own: name its ids in findings = [...] at the top of the file"
        )


def known_findings() -> list[str]:
    """Ids, and patterns with '*', of the findings that the shipped studies give (`data/findings.toml`)."""
    table = tomllib.loads((files("goalscope") / "data" / "findings.toml").read_text(encoding="utf-8"))
    return [i for study in table.values() for i in study["ids"]]


Line = Callable[[str], str]


def _tables(table: Mapping[str, Any], kind: str, name: str) -> list[tuple[int, dict[str, Any]]]:
    found = table.get(kind, [])
    if not isinstance(found, list) or not all(isinstance(t, dict) for t in found):
        raise ValueError(f"{name}: write [[{kind}]] with two brackets, once for each {kind}")
    return list(enumerate(found))


def _forecast(table: Mapping[str, Any], at: At) -> Forecast:
    for key in table:
        if key not in _KEYS:
            raise ValueError(f"{at(key)}: unknown key {_near(key, sorted(_KEYS))}")
    words = {key: _text(table, key, at, key in ("id", "by", "kind", "statement")) for key in (
        "id", "by", "kind", "statement", "group", "given", "undecidable", "reading", "rule")}  # fmt: skip
    kind = words["kind"]
    if not _NAME.fullmatch(words["id"]):
        raise ValueError(f"{at('id')}: the id {words['id']!r} must be letters, digits, '-', '_' and '.'")
    if kind not in KINDS:
        raise ValueError(f"{at('kind')}: unknown kind {_near(kind, KINDS)}")
    if kind == "numeric" and "probability" in table:
        raise ValueError(
            f"{at('probability')}: {words['id']} is numeric: it has quantiles and no probability"
        )
    for key, where in (("quantiles", "numeric"), ("group", "choice")):
        if (key in table) != (kind == where):
            raise ValueError(
                f"{at(key)}: {key} belongs to a {where} forecast, and only there; {words['id']} is {kind}"
            )
    if kind == "conditional" and not words["given"]:
        raise ValueError(f'{at()}: the conditional forecast {words["id"]} needs given = "ID", its condition')
    if bool(words["rule"]) == bool(words["undecidable"]):
        raise ValueError(f'{at()}: {words["id"]} needs a rule, or undecidable = "why", and not both')
    rule = None
    if words["rule"]:
        try:
            rule = parse(words["rule"])
        except ValueError as error:
            raise ValueError(f"{at('rule')}: {error}") from error
        if rule.numeric != (kind == "numeric"):
            wanted = "a number" if kind == "numeric" else "a comparison"
            raise ValueError(f"{at('rule')}: the rule of a {kind} forecast must be {wanted}: {rule.text!r}")
    probability = None if kind == "numeric" else _probability(table, at)
    quantiles = _quantiles(table["quantiles"], at) if kind == "numeric" else ()
    texts = {key: value for key, value in words.items() if key != "rule"}
    return Forecast(**texts, probability=probability, quantiles=quantiles, rule=rule)


def _question(table: Mapping[str, Any], at: At) -> Question:
    for key in table:
        if key not in ("id", "statement", "findings"):
            raise ValueError(f"{at(key)}: unknown key {_near(key, ('id', 'statement', 'findings'))}")
    ids = table.get("findings")
    if not isinstance(ids, list) or not ids or not all(isinstance(i, str) and i for i in ids):
        raise ValueError(f"{at('findings')}: a question needs findings = [...], the ids that answer it")
    return Question(_text(table, "id", at, True), _text(table, "statement", at, True), tuple(ids))


def _text(table: Mapping[str, Any], key: str, at: At, needed: bool) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or (not value.strip() and (needed or key in table)):
        said = repr(value) if key in table else "nothing"
        raise ValueError(f"{at(key)}: {key} must be a text that is not empty, got {said}")
    return value.strip()


def _probability(table: Mapping[str, Any], at: At) -> float:
    value = table.get("probability")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        said = "nothing" if value is None else repr(value)
        raise ValueError(f"{at('probability')}: probability must be a number from 0 to 1, got {said}")
    return float(value)


def _quantiles(value: Any, at: At) -> tuple[tuple[float, float], ...]:
    """[[level, value], ...], both rising."""
    line = at("quantiles")
    pairs = value if isinstance(value, list) else []
    if not pairs or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise ValueError(
            f"{line}: quantiles must be [[level, value], ...], such as [[0.1, 2], [0.5, 3], [0.9, 5]]"
        )
    for number in (x for pair in pairs for x in pair):
        if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < 1e300:
            raise ValueError(f"{line}: {number!r} is no finite number")
    levels, values = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    if not all(0 < level < 1 for level in levels) or any(b <= a for a, b in itertools.pairwise(levels)):
        raise ValueError(
            f"{line}: the levels of the quantiles must lie between 0 and 1 and rise, got {levels}"
        )
    if any(b < a for a, b in itertools.pairwise(values)):
        raise ValueError(
            f"{line}: the values of the quantiles must not fall as their levels rise, got {values}"
        )
    return tuple(zip(levels, values, strict=True))


def _check_groups(forecasts: Sequence[Forecast], where: Mapping[str, int], name: str) -> None:
    groups: dict[tuple[str, str], list[Forecast]] = {}
    for forecast in forecasts:
        if forecast.kind == "choice":
            groups.setdefault((forecast.by, forecast.group), []).append(forecast)
    for key, members in groups.items():
        total = sum(f.probability or 0.0 for f in members)
        if abs(total - 1) > SUM_SLACK or len(members) < 2:
            listed = ", ".join(f"{f.id} {f.probability:g} (line {where[f.id]})" for f in members)
            raise ValueError(
                f"{name}, line {where[members[0].id]}: the group {key[1]!r} of {key[0]} must have two members or more "
                f"that sum to 1, and sums to {total:g}: {listed}"
            )
        if len({f.given for f in members}) > 1:
            raise ValueError(
                f"{name}, line {where[members[0].id]}: the group {key[1]!r} has members with other conditions"
            )


def _check_conditions(forecasts: Sequence[Forecast], where: Mapping[str, int], name: str) -> None:
    by_id = {f.id: f for f in forecasts}
    for forecast in forecasts:
        chain = [forecast.id]
        while given := by_id[chain[-1]].given.removeprefix("not ").strip():
            line = f"{name}, line {where[chain[-1]]}"
            if given not in by_id:
                raise ValueError(
                    f"{line}: {chain[-1]} is given an unknown forecast {_near(given, sorted(by_id))}"
                )
            if by_id[given].kind == "numeric":
                raise ValueError(
                    f"{line}: {chain[-1]} is given {given}, a number, which is neither true nor false"
                )
            if given in chain:
                line = f"{name}, line {where[forecast.id]}"
                raise ValueError(f"{line}: circular condition: {' -> '.join([*chain, given])}")
            if len(chain) > LONGEST_CHAIN:
                line = f"{name}, line {where[forecast.id]}"
                raise ValueError(
                    f"{line}: {forecast.id} hangs on more than {LONGEST_CHAIN} conditions in a row"
                )
            chain.append(given)


def _near(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, 3, 0.5)
    return (
        f"{word!r}; did you mean {' or '.join(near)}?"
        if near
        else f"{word!r}; there are {', '.join(known[:12])}"
    )
