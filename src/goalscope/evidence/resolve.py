"""Forecasts meet findings: which run folders speak about which policy, and what every rule then says.

A subject is one policy (name and weights) in one world. Findings of all run folders about a subject are taken
together; where two runs have the same finding, the one of more independent units counts, the later folder name
at equal n. That choice is fixed here, before anything is looked at.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goalscope.evidence.finding import Finding, from_row
from goalscope.evidence.forecast import Forecast, Question
from goalscope.evidence.rule import Answer, Interval, Measured, Verdict, measured_of
from goalscope.evidence.store import Store
from goalscope.showing import drawing, text


@dataclass(frozen=True)
class Subject:
    """One policy in one world, and all that the runs say of it."""

    __repr__, _repr_html_ = text, drawing

    policy: str
    policy_sha256: str
    world: str
    findings: Mapping[str, Finding]
    """by id"""
    runs: Mapping[str, Path]
    """the run folder of each finding, by id"""

    @property
    def name(self) -> str:
        """Policy and kind of world in a few words."""
        return f"{self.policy} ({self.world.split(',')[0]})"


@dataclass(frozen=True)
class Resolution:
    """What became of one forecast on one subject."""

    __repr__, _repr_html_ = text, drawing

    forecast: Forecast
    verdict: Verdict
    """'yes' for a numeric forecast whose number is known"""
    value: Interval | None
    """the number that a numeric forecast is scored by"""
    reason: str
    """why it is ambiguous or void; empty otherwise"""
    findings: tuple[Finding, ...]
    """those that the rule read"""


@dataclass(frozen=True)
class Reply:
    """What answers a question on one subject; empty where no run has it yet."""

    __repr__, _repr_html_ = text, drawing

    question: Question
    findings: tuple[Finding, ...]


def read_subjects(store: Store) -> tuple[Subject, ...]:
    """Every subject of the run folders; a run's subject is the policy and world of its first finding.

    Raises:
        FileNotFoundError: no finished run among them.
    """
    if not store.runs:
        left_out = "".join(f"; {problem}" for problem in store.problems)
        raise FileNotFoundError(
            f"no finished run in {store.root}; 'goalscope study maze --out {store.root}/maze' makes one{left_out}"
        )
    found: dict[tuple[str, str, str], dict[str, tuple[Finding, Path]]] = {}
    first: dict[str, tuple[str, str, str]] = {}
    for row in store.table.to_pylist():
        run, finding = row["run"], from_row(row)
        key = (finding.policy, finding.policy_sha256, finding.world)
        if key != first.setdefault(run, key):
            continue
        mine = found.setdefault(key, {})
        if finding.id not in mine or finding.n >= mine[finding.id][0].n:
            mine[finding.id] = finding, store.root / run
    return tuple(
        Subject(*key, {i: f for i, (f, _) in mine.items()}, {i: run for i, (_, run) in mine.items()})
        for key, mine in found.items()
    )


def resolve(forecasts: Sequence[Forecast], findings: Mapping[str, Finding]) -> list[Resolution]:
    """Decides every forecast from the findings of one subject.

    Args:
        forecasts: with unique ids and conditions that lead nowhere in a circle, as `parse_forecasts` gives them.
        findings: by id.

    Returns:
        One resolution a forecast, in their order.
    """
    measured = {i: measured_of(finding) for i, finding in findings.items()}
    plain = {f.id: _answer(f, measured) for f in forecasts}
    plain |= _choices(forecasts, plain)
    final: dict[str, Answer] = {}
    by_id = {f.id: f for f in forecasts}

    def settle(forecast: Forecast) -> Answer:
        if forecast.id not in final:
            answer = plain[forecast.id]
            if forecast.given:
                negated = forecast.given.startswith("not ")
                condition = by_id[forecast.given.removeprefix("not ").strip()]
                answer = _conditional(answer, settle(condition).verdict, negated, forecast.given)
            final[forecast.id] = answer
        return final[forecast.id]

    made = []
    for forecast in forecasts:
        answer = settle(forecast)
        read = tuple(findings[i] for i in (forecast.rule.ids if forecast.rule else ()) if i in findings)
        made.append(Resolution(forecast, answer.verdict, answer.value, answer.reason, read))
    return made


def reply(question: Question, findings: Mapping[str, Finding]) -> Reply:
    """The findings that a question asks for, in its order."""
    found = [
        f for pattern in question.findings for i, f in findings.items() if fnmatch.fnmatchcase(i, pattern)
    ]
    return Reply(question, tuple(dict.fromkeys(found)))


def _answer(forecast: Forecast, measured: Mapping[str, Measured]) -> Answer:
    if forecast.rule is None:
        return Answer("ambiguous", None, forecast.undecidable)
    return forecast.rule.answer(measured)


def _choices(forecasts: Sequence[Forecast], plain: Mapping[str, Answer]) -> dict[str, Answer]:
    """Groups as a whole: exactly one member comes true, or none is decided."""
    groups: dict[tuple[str, str], list[str]] = {}
    for forecast in forecasts:
        if forecast.kind == "choice":
            groups.setdefault((forecast.by, forecast.group), []).append(forecast.id)
    changed: dict[str, Answer] = {}
    for key, members in groups.items():
        verdicts = {i: plain[i].verdict for i in members}
        true = [i for i, verdict in verdicts.items() if verdict == "yes"]
        open_ = [i for i, verdict in verdicts.items() if verdict in ("ambiguous", "void")]
        if open_:
            # One open member leaves the group open, even beside a yes: it may come true as well.
            verdict = "void" if "void" in verdicts.values() else "ambiguous"
            reason = next(plain[i].reason for i in open_ if plain[i].verdict == verdict)
        elif len(true) != 1:
            verdict = "ambiguous"
            reason = f"{' and '.join(true) or 'none'} of the group {key[1]!r} came true, where one should"
        else:
            continue
        changed |= {i: Answer(verdict, None, plain[i].reason or reason) for i in members}
    return changed


def _conditional(answer: Answer, condition: Verdict, negated: bool, given: str) -> Answer:
    wanted: Verdict = "no" if negated else "yes"
    if condition == wanted:
        return answer
    if condition == "ambiguous":
        return Answer("ambiguous", None, f"its condition, {given}, is ambiguous")
    if condition == "void":
        return Answer("void", None, f"its condition, {given}, has no evidence yet")
    return Answer("void", None, f"its condition, {given}, did not come true")
