"""Arguments: a tree of claims that support and attack each other, its leaves checked against findings.

A claim stands, falls, or has no evidence. Its ground is its rule and what supports it: it falls where one of them
falls (with needs = "any", where all supports fall), and has no evidence where that is not decided. An attack that
stands knocks its claim out whatever else holds; one without evidence leaves its claim undecided; one that falls, by
its own rule or by an attack on it, does nothing. With all leaves decided this is the grounded labelling (Dung, 1995,
"On the acceptability of arguments"), which is unique here, since a tree has no circles; undecided leaves go through
it by Kleene's three-valued logic.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from goalscope.evidence.finding import Finding
from goalscope.evidence.rule import Measured, Rule, measured_of, parse
from goalscope.files import read_text, warn_of_namesake
from goalscope.showing import drawing, text

Status = Literal["stands", "falls", "no evidence"]
Role = Literal["root", "supports", "attacks"]
CASES = ("affirmative", "risk")
_TOP = {"title", "case", "policy", "world", "claim"}
_KEYS = {"id", "text", "supports", "attacks", "needs", "rule"}
_OWN: Mapping[str, Status] = {"yes": "stands", "no": "falls"}
DEEPEST = 50
"""claims on the way from the root to a leaf"""
_TYPO = 0.9
"""similarity from which an id that no run has is taken for a misspelt one"""


@dataclass(frozen=True)
class Claim:
    """One claim of an argument."""

    __repr__, _repr_html_ = text, drawing

    id: str
    text: str
    role: Role
    target: str
    """the claim that it supports or attacks; empty for the root"""
    needs: Literal["all", "any"]
    """which of its supports must stand"""
    rule: Rule | None


@dataclass(frozen=True)
class Argument:
    """A case about one policy, as `read_argument` gives it.

    Attributes:
        title: the case in one line.
        case: 'affirmative' or 'risk'.
        policy: whose findings decide it.
        world: how the name of their world begins; empty for any world.
        claims: the root first, each one before what supports and attacks it.
    """

    __repr__, _repr_html_ = text, drawing

    title: str
    case: str
    policy: str
    world: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Judged:
    """What became of a claim.

    Attributes:
        claim: the claim.
        depth: 0 for the root.
        status: 'stands', 'falls' or 'no evidence'.
        why: in words.
        evidence: (run, finding) for each id of the rule that a run has.
    """

    __repr__, _repr_html_ = text, drawing

    claim: Claim
    depth: int
    status: Status
    why: str
    evidence: tuple[tuple[str, Finding], ...]


def read_argument(path: str | Path) -> Argument:
    """Reads an argument from a TOML file, or one that is packaged, by its name.

    Raises:
        FileNotFoundError: neither a file nor packaged.
        ValueError: the file is no argument; the message says where and what is wrong.
    """
    name, shipped = os.fspath(path), packaged()
    if name in shipped:
        warn_of_namesake(name, "packaged argument")
        text = (files("goalscope") / "data" / "arguments" / f"{name}.toml").read_text(encoding="utf-8")
    elif Path(path).is_file():
        text = read_text(path)
    else:
        near = get_close_matches(name, shipped, n=1)
        hint = f"did you mean {near[0]}?" if near else f"packaged are {', '.join(shipped)}"
        raise FileNotFoundError(f"no argument file {path}; {hint}")
    return parse_argument(text, str(path))


def packaged() -> list[str]:
    """The names of the packaged arguments."""
    folder = files("goalscope") / "data" / "arguments"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def parse_argument(text: str, name: str = "argument") -> Argument:
    """Reads an argument from TOML text; `name` is what errors call it.

    Raises:
        ValueError: it is no argument.
    """
    try:
        data = tomllib.loads(text.removeprefix("\ufeff"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{name} is not valid TOML: {error}") from error
    _known(data, _TOP, name)
    fields = {key: _words(data, key, name) for key in ("title", "case", "policy")}
    if fields["case"] not in CASES:
        raise ValueError(f"{name}: case must be one of {', '.join(CASES)}, got {fields['case']!r}")
    world = _words(data, "world", name) if "world" in data else ""
    entries = data.get("claim")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{name}: claims are tables, each under [[claim]]")
    lines = [i for i, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*claim\s*\]\]", line)]
    places = (
        [f"{name}, line {line}" for line in lines] if len(lines) == len(entries) else [name] * len(entries)
    )
    claims: dict[str, Claim] = {}
    where: dict[str, str] = {}
    for entry, place in zip(entries, places, strict=True):
        claim = _claim(entry, place)
        if claim.id in claims:
            raise ValueError(f"{place}: a second claim is called {claim.id!r}")
        claims[claim.id], where[claim.id] = claim, place
    return Argument(**fields, world=world, claims=_tree(claims, where, name))


def _known(entry: Mapping[str, Any], keys: set[str], place: str) -> None:
    for key in entry.keys() - keys:
        near = get_close_matches(key, keys, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(keys))}"
        raise ValueError(f"{place}: unknown key {key!r}; {hint}")


def _words(entry: Mapping[str, Any], key: str, place: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{place}: {key} must be a text that is not empty, got {value!r}")
    return " ".join(value.split())


def _claim(entry: Mapping[str, Any], place: str) -> Claim:
    _known(entry, _KEYS, place)
    identifier = _words(entry, "id", place)
    place = f"{place}: claim {identifier!r}"
    roles: list[Role] = [role for role in ("supports", "attacks") if role in entry]
    if len(roles) > 1:
        raise ValueError(f"{place} both supports and attacks; write two claims")
    needs = entry.get("needs", "all")
    if needs not in ("all", "any"):
        raise ValueError(f"{place}: needs must be 'all' or 'any', got {needs!r}")
    rule = None
    if "rule" in entry:
        try:
            rule = parse(_words(entry, "rule", place))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
        if rule.numeric:
            raise ValueError(f"{place}: the rule {rule.text!r} is a number; compare it with something")
    role: Role = roles[0] if roles else "root"
    target = _words(entry, role, place) if roles else ""
    return Claim(identifier, _words(entry, "text", place), role, target, needs, rule)


def _tree(claims: Mapping[str, Claim], where: Mapping[str, str], name: str) -> tuple[Claim, ...]:
    """The claims, the root first, each one before its supports, and these before its attacks.

    Raises:
        ValueError: there is not one root, or a circle; a target is unknown, or nothing checks a claim.
    """
    below: dict[str, list[Claim]] = {identifier: [] for identifier in claims}
    for claim in claims.values():
        if claim.role != "root" and claim.target not in claims:
            near = get_close_matches(claim.target, claims, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(
                f"{where[claim.id]}: {claim.id!r} {claim.role} {claim.target!r}, which is no claim{hint}"
            )
        if claim.role != "root":
            below[claim.target].append(claim)
    for claim in claims.values():
        if claim.rule is None and not any(child.role == "supports" for child in below[claim.id]):
            raise ValueError(
                f"{where[claim.id]}: nothing checks {claim.id!r}; give it a rule, or a claim that supports it"
            )
    roots = [claim for claim in claims.values() if claim.role == "root"]
    order, waiting = [], list(roots)
    while waiting:
        claim = waiting.pop()
        order.append(claim)
        waiting += sorted(reversed(below[claim.id]), key=lambda child: child.role)
    if len(order) < len(claims):
        reached = {claim.id for claim in order}
        walk = [next(identifier for identifier in claims if identifier not in reached)]
        while walk[-1] not in walk[:-1]:
            walk.append(claims[walk[-1]].target)
        circle = walk[walk.index(walk[-1]) :]
        raise ValueError(
            f"{where[circle[0]]}: the argument is circular: {' → '.join(circle)}; a claim cannot rest on itself"
        )
    if len(roots) != 1:
        found = ", ".join(repr(root.id) for root in roots) or "none"
        raise ValueError(
            f"{name}: one claim must be the root, which supports and attacks nothing; found {found}"
        )
    depth = {"": 0}
    for claim in order:
        depth[claim.id] = depth[claim.target] + 1
        if depth[claim.id] > DEEPEST:
            raise ValueError(f"{where[claim.id]}: {claim.id!r} is more than {DEEPEST} claims deep; join some")
    return tuple(order)


def judge(argument: Argument, findings: Iterable[tuple[str, Finding]]) -> tuple[Judged, ...]:
    """Decides every claim, in the order of the argument.

    Where several runs have a finding, the one of more independent units counts, the later run by name at equal n: no
    run can be picked for what it says.

    Args:
        argument: from `read_argument`.
        findings: (run, finding), of any policies and worlds.

    Raises:
        ValueError: no finding is about the policy in the world, either name stands for two, or an id of a rule is
            unknown and much like one that is known.
    """
    taken: dict[str, tuple[str, Finding]] = {}
    for run, finding in _about(argument, list(findings)):
        taken[finding.id] = run, finding
    _refuse_misspelt(argument, taken)
    measured = {key: measured_of(finding) for key, (_, finding) in taken.items()}
    depth: dict[str, int] = {}
    children: dict[str, list[str]] = {claim.id: [] for claim in argument.claims}
    for claim in argument.claims:
        depth[claim.id] = depth[claim.target] + 1 if claim.target else 0
        if claim.target:
            children[claim.target].append(claim.id)
    judged: dict[str, Judged] = {}
    for claim in reversed(argument.claims):
        status, why = _settle(claim, measured, [judged[child] for child in children[claim.id]])
        ids = claim.rule.ids if claim.rule else ()
        evidence = tuple(taken[key] for key in ids if key in taken)
        judged[claim.id] = Judged(claim, depth[claim.id], status, why, evidence)
    return tuple(judged[claim.id] for claim in argument.claims)


def _about(argument: Argument, findings: Sequence[tuple[str, Finding]]) -> list[tuple[str, Finding]]:
    """What is known about the policy in the world, from few units to many."""
    named = [(run, finding) for run, finding in findings if finding.policy == argument.policy]
    mine = [(run, finding) for run, finding in named if finding.world.startswith(argument.world)]
    if not mine:
        worlds = ", ".join(sorted({finding.world for _, finding in named})) or "none"
        raise ValueError(
            f"no finding about policy {argument.policy!r} in a world named {argument.world!r}; its worlds: {worlds}"
        )
    for what, of in (("networks", "policy_sha256"), ("worlds", "world")):
        several = {getattr(finding, of): run for run, finding in mine}
        if len(several) > 1:
            told = " and ".join(f"{name[:60] or 'none'!r} in {run}" for name, run in sorted(several.items()))
            raise ValueError(
                f"the runs have several {what} for policy {argument.policy!r} ({told}); search the runs of one of them"
                + (", or make world in the file say more" if what == "worlds" else "")
            )
    return sorted(mine, key=lambda row: (row[1].n, row[0]))


def _refuse_misspelt(argument: Argument, known: Mapping[str, Any]) -> None:
    """An id that no run has is no evidence; unless it is much like one that is known, and not by its number alone."""
    kinds = {re.sub(r"\d+", "#", key) for key in known}
    for claim in argument.claims:
        for key in claim.rule.ids if claim.rule else ():
            if re.sub(r"\d+", "#", key) in kinds:
                continue
            near = get_close_matches(key, known, n=1, cutoff=_TYPO)
            if near:
                raise ValueError(
                    f"claim {claim.id!r}: no run has the finding {key!r}; did you mean {near[0]}?"
                )


def _settle(claim: Claim, measured: Mapping[str, Measured], children: Sequence[Judged]) -> tuple[Status, str]:
    """The status of a claim from its rule, its supports and the attacks on it; see the top of this file."""
    falls: list[str] = []
    open_: list[str] = []
    if claim.rule is not None:
        answer = claim.rule.answer(measured)
        own = _OWN.get(answer.verdict, "no evidence")
        if own == "falls":
            falls.append("its rule does not hold")
        elif own == "no evidence":
            open_.append("; ".join(dict.fromkeys(answer.reason.split("; "))))
    supports = {child.claim.id: child.status for child in children if child.claim.role == "supports"}
    lost = [key for key, status in supports.items() if status == "falls"]
    bare = [key for key, status in supports.items() if status == "no evidence"]
    if claim.needs == "all" or len(lost) == len(supports):
        falls += [f"its support {key} falls" for key in lost]
    if claim.needs == "all" or "stands" not in supports.values():
        open_ += [f"its support {key} has no evidence" for key in bare]
    for child in children:
        if child.claim.role == "attacks" and child.status == "stands":
            falls.append(f"the attack {child.claim.id} stands")
        elif child.claim.role == "attacks" and child.status == "no evidence":
            open_.append(f"the attack {child.claim.id} has no evidence, so it is not answered")
    if falls or open_:
        return ("falls", "; ".join(falls)) if falls else ("no evidence", "; ".join(open_))
    grounds = ["its rule holds"] if claim.rule else []
    if supports:
        grounds.append("all its supports stand" if claim.needs == "all" else "one of its supports stands")
    return "stands", "; ".join(grounds)


def to_record(argument: Argument, judged: Sequence[Judged], runs: str) -> dict[str, Any]:
    """Everything as plain JSON, for the page and other programs; `runs` says where the findings are from."""
    claims = [
        {
            "id": entry.claim.id,
            "text": entry.claim.text,
            "role": entry.claim.role,
            "target": entry.claim.target,
            "needs": entry.claim.needs,
            "rule": entry.claim.rule.text if entry.claim.rule else "",
            "depth": entry.depth,
            "status": entry.status,
            "why": entry.why,
            "findings": [{"run": run, **asdict(finding)} for run, finding in entry.evidence],
        }
        for entry in judged
    ]
    top = {key: getattr(argument, key) for key in ("title", "case", "policy", "world")}
    return {**top, "runs": runs, "claims": claims}
