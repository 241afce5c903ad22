"""Resolution rules: small expressions over findings by id, decided by intervals, never evaluated as code.

    decision.coef.steps_cheese_decision < 0
    reach.cheese_pull > control(reach.cheese_pull) and not reach.corner_pull > 0.1

A comparison is yes where it holds everywhere in the intervals of both sides, no where it holds nowhere, and
ambiguous where the intervals straddle the line. `and`, `or`, `not` are Kleene's; a finding that no run has makes
its part void, and so does one whose standing is invalid. Arithmetic is interval arithmetic: two findings are taken as if
nothing were known of how their errors go together, so a difference of two findings is never too narrow. Functions:
control, abs, min, max.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from goalscope.evidence.finding import Finding
from goalscope.evidence.standing import REASONS
from goalscope.showing import drawing, text

Verdict = Literal["yes", "no", "ambiguous", "void"]
FINDING_ID = re.compile(r"(?<![\w.])[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+(?!\w)")
_PLACEHOLDER = re.compile(r"\bF\d+_*\b")
"""what stands for an id while a rule is read"""
LONGEST = 2000
"""characters of a rule"""
DEEPEST = 50
"""parts inside of parts"""

_FLIPPED: dict[Verdict, Verdict] = {"yes": "no", "no": "yes", "ambiguous": "ambiguous", "void": "void"}


@dataclass(frozen=True)
class Interval:
    """A number with its 95% interval; all three are equal for a constant.

    Attributes:
        estimate, low, high: low <= estimate <= high; the ends may be infinite.
    """

    __repr__, _repr_html_ = text, drawing

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Measured:
    """What a rule sees of one finding: its interval and that of its control."""

    __repr__, _repr_html_ = text, drawing

    value: Interval
    control: Interval | None
    lacking: str = "has no control"
    """why `control` is None, where it is"""
    invalid: str = ""
    """why the measurement could not have answered; empty where it could"""


def measured_of(finding: Finding) -> Measured:
    """What a rule sees of a finding.

    Limits that are both the estimate are no interval: one network, or levels that all agree. How far other ones lie is not
    known, so the rule sees everything from -infinity to infinity. A control without an interval is none.
    """
    value = Interval(finding.estimate, finding.low, finding.high)
    if finding.low == finding.high:
        value = Interval(finding.estimate, -math.inf, math.inf)
    control, lacking = None, "has no control"
    if finding.control is not None:
        low, high = finding.control_low, finding.control_high
        if low is None or high is None or low == high:
            lacking = "has a control without an interval"
        else:
            control = Interval(finding.control, low, high)
    return Measured(value, control, lacking, REASONS.get(finding.invalid, ""))


@dataclass(frozen=True)
class Answer:
    """What a rule says.

    Attributes:
        verdict: 'yes', 'no', 'ambiguous' or 'void'; for a rule that is a number: 'yes' where it has one.
        value: the number, for a rule that is one.
        reason: why it is ambiguous or void; empty otherwise.
    """

    __repr__, _repr_html_ = text, drawing

    verdict: Verdict
    value: Interval | None
    reason: str


@dataclass(frozen=True)
class Rule:
    """A rule that was read and checked; made by `parse`.

    Attributes:
        text: as it was written.
        ids: the findings it names, in their order.
        numeric: it is a number, not a statement.
    """

    __repr__, _repr_html_ = text, drawing

    text: str
    ids: tuple[str, ...]
    numeric: bool
    _tree: ast.expr
    _names: Mapping[str, str]

    def answer(self, findings: Mapping[str, Measured]) -> Answer:
        """Decides the rule from findings by id; an id that is not there makes its part void."""
        walk = _Walk(self._names, findings)
        try:
            if self.numeric:
                value = walk.number(self._tree)
                if not all(map(math.isfinite, (value.estimate, value.low, value.high))):
                    return Answer(
                        "ambiguous", None, f"the rule gives {_said(value)}, which is no finite number"
                    )
                return Answer("yes", value, "")
            verdict = walk.verdict(self._tree)
        except _Undecided as stop:
            return Answer(stop.verdict, None, str(stop))
        reason = (
            "; ".join(dict.fromkeys(walk.reasons.get(verdict, ())))
            if verdict in ("ambiguous", "void")
            else ""
        )
        return Answer(verdict, None, reason)


def parse(text: str) -> Rule:
    """Reads a rule.

    Raises:
        ValueError: it is not a rule: what stands where, and what may stand there; it divides by zero; it is a
            number and a statement mixed; it names no finding.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError("the rule is empty: write a comparison such as 'reach.overall > 0.5'")
    if len(text) > LONGEST:
        raise ValueError(f"the rule has {len(text)} characters, at most {LONGEST} are read")
    if "#" in text:
        raise ValueError(f"the rule {text!r} has a '#': a rule holds no comment, write it above the rule")
    names: dict[str, str] = {}
    line = re.sub(r"\s", " ", text)
    own = _PLACEHOLDER.search(FINDING_ID.sub(" ", line))
    if own:
        raise ValueError(f"the rule {text!r}: {own[0]!r} is no finding id, which has a dot")

    def placeholder(match: re.Match[str]) -> str:
        # An id such as reach.size.13 is no Python; a name of the same length keeps the columns of errors.
        name = f"F{len(names)}".ljust(len(match[0]), "_")
        names[name] = match[0]
        return name

    try:
        tree = ast.parse(FINDING_ID.sub(placeholder, line.strip()), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        column = f" at column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise ValueError(f"the rule {text!r} cannot be read{column}") from error
    numeric = _kind(tree, names, 0) == "number"
    ids = tuple(dict.fromkeys(names.values()))
    if not ids:
        raise ValueError(f"the rule {text!r} names no finding, so nothing could decide it")
    _check_constants(tree)
    return Rule(text, ids, numeric, tree, names)


def _kind(node: ast.expr, names: Mapping[str, str], depth: int) -> str:
    """'number' or 'statement'; refuses whatever is not in the language."""
    if depth > DEEPEST:
        raise ValueError(f"the rule has more than {DEEPEST} parts inside of each other")

    def wants(kind: str, *parts: ast.expr) -> None:
        for part in parts:
            if _kind(part, names, depth + 1) != kind:
                raise ValueError(f"column {part.col_offset + 1} of the rule: a {kind} must stand here")

    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            if not abs(value) < 1e15:
                raise ValueError(f"column {node.col_offset + 1} of the rule: {value} is too large a number")
            return "number"
        case ast.Name(id=name) if name in names:
            return "number"
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=part):
            wants("number", part)
            return "number"
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), left=left, right=right):
            wants("number", left, right)
            return "number"
        case ast.Call(func=ast.Name(id="control"), args=[ast.Name(id=name)], keywords=[]) if name in names:
            return "number"
        case ast.Call(func=ast.Name(id="abs"), args=[part], keywords=[]):
            wants("number", part)
            return "number"
        case ast.Call(func=ast.Name(id="min" | "max"), args=[_, _, *_] as parts, keywords=[]):
            wants("number", *parts)
            return "number"
        case ast.Compare(left=left, ops=ops, comparators=parts):
            if not all(isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in ops):
                raise ValueError(
                    f"column {node.col_offset + 1} of the rule: compare with <, <=, > or >=; an interval equals nothing"
                )
            wants("number", left, *parts)
            return "statement"
        case ast.BoolOp(values=parts):
            wants("statement", *parts)
            return "statement"
        case ast.UnaryOp(op=ast.Not(), operand=part):
            wants("statement", part)
            return "statement"
    what = f"the name {node.id!r}" if isinstance(node, ast.Name) else f"{type(node).__name__.lower()}"
    raise ValueError(
        f"column {node.col_offset + 1} of the rule: {what} has no place in a rule; it has finding ids with a dot, "
        "numbers, + - * /, < <= > >=, and, or, not, control(id), abs(x), min(x, y), max(x, y)"
    )


def _check_constants(tree: ast.expr) -> None:
    """Refuses a division by a number that is 0 whatever the findings say."""
    walk = _Walk({}, {})
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            try:
                divisor = walk.number(node.right)
            except (_Undecided, KeyError):
                continue
            if divisor.low == divisor.high == 0:
                raise ValueError(f"column {node.right.col_offset + 1} of the rule: it divides by zero")


class _Undecided(Exception):
    """A number that there is not: its verdict stands for the comparison it was part of."""

    def __init__(self, verdict: Verdict, reason: str):
        super().__init__(reason)
        self.verdict: Verdict = verdict


class _Walk:
    """One evaluation; `reasons` gathers why a part was ambiguous or void."""

    def __init__(self, names: Mapping[str, str], findings: Mapping[str, Measured]):
        self.names, self.findings = names, findings
        self.reasons: dict[str, list[str]] = {"ambiguous": [], "void": []}

    def verdict(self, node: ast.expr) -> Verdict:
        match node:
            case ast.UnaryOp(operand=part):
                return _FLIPPED[self.verdict(part)]
            case ast.BoolOp(op=op, values=parts):
                found = [self.verdict(part) for part in parts]
                decisive: Verdict = "no" if isinstance(op, ast.And) else "yes"
                order: tuple[Verdict, ...] = (decisive, "void", "ambiguous", _FLIPPED[decisive])
                return next(v for v in order if v in found)
            case ast.Compare(left=left, ops=ops, comparators=parts):
                sides = [left, *parts]
                found = [self.compare(a, op, b) for a, op, b in zip(sides, ops, parts, strict=False)]
                return next(v for v in ("no", "void", "ambiguous", "yes") if v in found)
        raise TypeError(f"not a statement: {ast.dump(node)}")

    def compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Verdict:
        try:
            a, b = self.number(left), self.number(right)
        except _Undecided as stop:
            self.reasons[stop.verdict].append(str(stop))
            return stop.verdict
        strict = isinstance(op, ast.Lt | ast.Gt)
        small, large = (a, b) if isinstance(op, ast.Lt | ast.LtE) else (b, a)
        if small.high < large.low or (not strict and small.high <= large.low):
            return "yes"
        if small.low > large.high or (strict and small.low >= large.high):
            return "no"
        self.reasons["ambiguous"].append(
            f"{_said(a)} straddles {_said(b)}" if b.low == b.high else f"{_said(a)} overlaps {_said(b)}"
        )
        return "ambiguous"

    def number(self, node: ast.expr) -> Interval:
        match node:
            case ast.Constant(value=int() | float() as value):
                return Interval(float(value), float(value), float(value))
            case ast.Name(id=name):
                return self.finding(name).value
            case ast.UnaryOp(op=op, operand=part):
                x = self.number(part)
                return Interval(-x.estimate, -x.high, -x.low) if isinstance(op, ast.USub) else x
            case ast.BinOp(left=left, op=op, right=right):
                return _combine(self.number(left), op, self.number(right))
            case ast.Call(func=ast.Name(id="control"), args=[ast.Name(id=name)]):
                measured = self.finding(name)
                if measured.control is None:
                    raise _Undecided("void", f"{self.names[name]} {measured.lacking}")
                return measured.control
            case ast.Call(func=ast.Name(id=function), args=args):
                parts = [self.number(part) for part in args]
                if function == "abs":
                    return _abs(parts[0])
                pick = min if function == "min" else max
                ends = ([getattr(p, k) for p in parts] for k in ("estimate", "low", "high"))
                return Interval(*map(pick, ends))
        raise TypeError(f"not a number: {ast.dump(node)}")

    def finding(self, name: str) -> Measured:
        identifier = self.names[name]
        if identifier not in self.findings:
            raise _Undecided("void", f"no evidence yet: no run has {identifier}")
        measured = self.findings[identifier]
        if measured.invalid:
            raise _Undecided("void", f"{identifier} is invalid: {measured.invalid}")
        return measured


def _abs(x: Interval) -> Interval:
    least = 0.0 if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high))
    return Interval(abs(x.estimate), least, max(abs(x.low), abs(x.high)))


def _combine(a: Interval, op: ast.operator, b: Interval) -> Interval:
    if isinstance(op, ast.Add):
        return Interval(a.estimate + b.estimate, a.low + b.low, a.high + b.high)
    if isinstance(op, ast.Sub):
        return Interval(a.estimate - b.estimate, a.low - b.high, a.high - b.low)
    if isinstance(op, ast.Mult):
        return _corners(a, b, lambda x, y: 0.0 if 0 in (x, y) else x * y)
    if b.low <= 0 <= b.high:
        raise _Undecided("ambiguous", f"it divides by {_said(b)}, which may be 0")
    return _corners(a, b, lambda x, y: 0.0 if x == 0 or math.isinf(y) else x / y)


def _corners(a: Interval, b: Interval, of: Callable[[float, float], float]) -> Interval:
    ends = [of(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    return Interval(of(a.estimate, b.estimate), min(ends), max(ends))


def _said(x: Interval) -> str:
    if x.low == -math.inf and x.high == math.inf:
        return f"{x.estimate:.3g} (without an interval)"
    if x.low == x.high:
        return f"{x.estimate:g}"
    return f"{x.estimate:.3g} ({x.low:.3g} to {x.high:.3g})"
