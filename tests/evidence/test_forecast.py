"""Rules and forecast files: what they decide, and where they say a mistake is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalscope.evidence.finding import Finding, write_findings
from goalscope.evidence.forecast import (
    check_findings,
    known_findings,
    parse_forecasts,
    read_text,
)
from goalscope.evidence.resolve import read_subjects, reply, resolve
from goalscope.evidence.rule import Interval, Measured, measured_of, parse
from goalscope.evidence.store import open_store


def measured(estimate: float, low: float, high: float, control: float | None = None) -> Measured:
    around = None if control is None else Interval(control, control - 0.1, control + 0.1)
    return Measured(Interval(estimate, low, high), around)


FINDINGS = {
    "a.x": measured(2, 1, 3, 0.5),
    "a.y": measured(-1, -2, 0.5),
    "a.zero": measured(0, 0, 0),
    "reach.size.13": measured(0.7, 0.6, 0.8, 0.65),
}

RULES = [
    ("a.x > 0", "yes"), ("a.x < 0", "no"), ("a.x > 2", "ambiguous"), ("a.gone > 0", "void"),
    ("a.x > 1", "ambiguous"), ("a.x >= 1", "yes"), ("a.x < 1", "no"), ("a.x <= 1", "ambiguous"), ("a.x <= 0.99", "no"),
    ("0.5 < a.x < 4", "yes"), ("0.5 < a.x < 2", "ambiguous"), ("4 < a.x < 5", "no"),
    ("a.x > control(a.x)", "yes"), ("reach.size.13 > control(reach.size.13)", "ambiguous"),
    ("a.y > control(a.y)", "void"), ("not a.x > 0", "no"), ("not a.x > 2", "ambiguous"), ("not a.gone > 0", "void"),
    ("a.x > 0 and a.x < 4", "yes"), ("a.x > 0 and a.x > 2", "ambiguous"), ("a.x < 0 and a.gone > 0", "no"),
    ("a.x > 0 and a.gone > 0", "void"), ("a.x > 0 or a.gone > 0", "yes"), ("a.x < 0 or a.gone > 0", "void"),
    ("a.x < 0 or a.x > 2", "ambiguous"), ("a.x > 2 and a.gone > 0", "void"), ("a.x > 2 or a.gone > 0", "void"),
    ("a.x + a.y > -1.5", "yes"), ("a.x - a.y > 0.4", "yes"), ("a.x - a.y > 0.6", "ambiguous"),
    ("a.x * a.y < 1.6", "yes"), ("a.x * a.y > -6.1", "yes"), ("a.x * a.y > -5.9", "ambiguous"), ("-a.x < 0", "yes"),
    ("a.y / a.x > -2.1", "yes"), ("a.y / a.x < 0.6", "yes"), ("a.x / a.y > 0", "ambiguous"),
    ("a.x / a.zero > 0", "ambiguous"), ("abs(a.y) < 2.1", "yes"), ("abs(a.y) > 0", "ambiguous"),
    ("abs(a.y) >= 0", "yes"), ("max(a.x, a.y) > 0.9", "yes"), ("min(a.x, a.y, 0) <= 0", "yes"),
    ("1e-3 < a.x", "yes"), ("(a.x > 0) or\n  (a.y > 0)", "yes"),
]  # fmt: skip


@pytest.mark.parametrize("text, verdict", RULES)
def test_rules_by_hand(text: str, verdict: str) -> None:
    answer = parse(text).answer(FINDINGS)
    assert answer.verdict == verdict
    assert bool(answer.reason) == (verdict in ("ambiguous", "void"))


def test_a_rule_names_its_findings_and_says_why() -> None:
    rule = parse("reach.size.13 > 0.1 and a.x > 2 and reach.size.13 < 1")
    assert rule.ids == ("reach.size.13", "a.x") and not rule.numeric
    assert rule.answer(FINDINGS).reason == "2 (1 to 3) straddles 2"
    assert parse("a.x > b.y").answer(FINDINGS).reason == "no evidence yet: no run has b.y"
    number = parse("a.x * 2 - 1")
    assert number.numeric and number.answer(FINDINGS).value == Interval(3, 1, 5)
    assert number.answer({}).verdict == "void"


@given(
    st.lists(st.floats(-9, 9), min_size=6, max_size=6),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from("+-*/"),
)
def test_interval_arithmetic_holds_every_combination(
    ends: list[float], s: float, t: float, sign: str
) -> None:
    a, b = sorted(ends[:3]), sorted(ends[3:])
    findings = {k: measured(v[1], v[0], v[2]) for k, v in (("a.a", a), ("b.b", b))}
    x, y = a[0] + s * (a[2] - a[0]), b[0] + t * (b[2] - b[0])
    answer = parse(f"a.a {sign} b.b").answer(findings)
    if sign == "/" and b[0] <= 0 <= b[2]:
        assert answer.verdict == "ambiguous" and "may be 0" in answer.reason
        return
    if sign == "/" and min(abs(b[0]), abs(b[2])) < 1e-6:
        return
    assert answer.value is not None
    exact = {"+": x + y, "-": x - y, "*": x * y}[sign] if sign != "/" else x / y
    slack = 1e-9 * max(1.0, abs(exact))
    assert answer.value.low - slack <= exact <= answer.value.high + slack


BAD_RULES = {
    "": "empty",
    "a.x >": "cannot be read",
    "1 > 0": "names no finding",
    "a.x == 1": "an interval equals nothing",
    "a.x / 0 > 1": "divides by zero",
    "a.x / (2 - 2) > 1": "divides by zero",
    "a.x > 1 > (a.y > 2)": "a number must stand here",
    "a.x and a.y": "a statement must stand here",
    "not a.x": "a statement must stand here",
    "a.x ** 2 > 1": "no place in a rule",
    "x > 1 and a.x > 1": "the name 'x'",
    "__import__('os').system('true') > a.x": "no place in a rule",
    "a.x.Class > 1": "no place in a rule",
    "a.xClass > 1": "no place in a rule",
    "(lambda: a.x)() > 1": "no place in a rule",
    "[a.x][0] > 1": "no place in a rule",
    "control(1) > a.x": "no place in a rule",
    "control(a.x + 1) > 1": "no place in a rule",
    "abs(a.x, a.y) > 1": "no place in a rule",
    "a.x if a.y > 1 else a.x": "no place in a rule",
    "a.x > True": "no place in a rule",
    "a.x > 'text'": "no place in a rule",
    "a.x > 1e999": "too large",
    "a.x > " + "-" * 60 + "1": "inside of each other",
    "a.x > " + "(" * 3000 + "1": "characters",
    "a.x > 0  # first half\nand a.y > 3": "holds no comment",
    "F0__ > 1 and a.x > 1": "'F0__' is no finding id",
}


@pytest.mark.parametrize("text, said", BAD_RULES.items())
def test_what_is_no_rule_is_refused_with_words(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text)


@given(st.text(alphabet="ax.y0 <>=()+-*/'[]{}:,\n\\_andortF#", max_size=40))
def test_any_text_is_a_rule_or_a_clear_error(text: str) -> None:
    try:
        rule = parse(text)
    except ValueError as error:
        assert "rule" in str(error)
    else:
        rule.answer(FINDINGS)


FILE = """\
# a comment with [[forecast]] in it
[[forecast]]
id = "one"
by = "A"
kind = "claim"
statement = '''several
lines, probability = 3
'''
probability = 0.7
rule = "reach.overall > 0.5"

[[forecast]]
id = "two"
by = "A"
kind = "conditional"
statement = "a second"
probability = 1
given = "one"
rule = "reach.cheese_pull > 0"

[[forecast]]
id = "three"
by = "A"
kind = "numeric"
statement = "a number"
quantiles = [[0.1, 0.2], [0.5, 0.5], [0.9, 0.8]]
rule = "reach.overall"

[[forecast]]
id = "left"
by = "A"
kind = "choice"
group = "side"
statement = "left"
probability = 0.25
rule = "reach.corner_pull < 0"

[[forecast]]
id = "right"
by = "A"
kind = "choice"
group = "side"
statement = "right"
probability = 0.75
rule = "reach.corner_pull > 0"

[[question]]
id = "asked"
statement = "how often?"
findings = ["reach.size.*", "reach.overall"]
"""


def test_a_file_is_read() -> None:
    file = parse_forecasts(FILE)
    assert [f.id for f in file.forecasts] == ["one", "two", "three", "left", "right"]
    assert file.lines == {"one": 3, "two": 13, "three": 22, "left": 30, "right": 39, "asked": 48}
    one, two, three, left, _ = file.forecasts
    assert one.statement == "several\nlines, probability = 3" and one.probability == 0.7
    assert two.given == "one" and three.quantiles == ((0.1, 0.2), (0.5, 0.5), (0.9, 0.8))
    assert three.probability is None and left.group == "side"
    check_findings(file, [])


BAD_FILES = {
    "not TOML": ("id = \"one\"", "id = one", "not valid TOML.*line 3"),
    "probability above 1": ("probability = 0.7", "probability = 1.2", "line 9: probability must be .* got 1.2"),
    "probability below 0": ("probability = 0.7", "probability = -0.1", "line 9: probability"),
    "probability nan": ("probability = 0.7", "probability = nan", "line 9: probability"),
    "probability true": ("probability = 0.7", "probability = true", "line 9: probability"),
    "no probability": ("probability = 0.7\n", "", "line 2: probability must be .* got nothing"),
    "group too small": ("probability = 0.25", "probability = 0.2", r"line 30: the group 'side' of A .* sums to 0.95"),
    "group of one": ('group = "side"\nstatement = "left"', 'group = "far"\nstatement = "left"', "two members"),
    "duplicate": ('id = "two"', 'id = "one"', "line 13: the id 'one' is already that of line 3"),
    "question's duplicate": ('id = "asked"', 'id = "right"', "line 48: the id 'right' is already that of line 39"),
    "unknown kind": ('kind = "conditional"', 'kind = "conditionl"', "line 15: unknown kind .*mean conditional"),
    "unknown key": ("probability = 0.7", "probabilty = 0.7", "line 9: unknown key .*mean probability"),
    "unknown table": ("[[question]]", "[[questoin]]", "unknown 'questoin'; did you mean question"),
    "circle": ("probability = 0.7", 'probability = 0.7\ngiven = "not two"', "line 3: circular condition: one -> two -> one"),
    "itself": ('given = "one"', 'given = "two"', "circular condition: two -> two"),
    "unknown condition": ('given = "one"', 'given = "ones"', "line 13: two is given an unknown forecast .*mean one"),
    "numeric condition": ('given = "one"', 'given = "three"', "neither true nor false"),
    "no condition": ('given = "one"\n', "", "line 12: the conditional forecast two needs given"),
    "bad rule": ('rule = "reach.overall > 0.5"', 'rule = "reach.overall / 0 > 1"', "line 10: .*divides by zero"),
    "number for a claim": ('rule = "reach.overall > 0.5"', 'rule = "reach.overall"', "line 10: .*must be a comparison"),
    "claim for a number": ('rule = "reach.overall"\n', 'rule = "reach.overall > 1"\n', "line 27: .*must be a number"),
    "no rule": ('rule = "reach.overall > 0.5"', "", "line 2: one needs a rule"),
    "quantiles fall": ("[0.5, 0.5]", "[0.5, 0.1]", "line 26: the values"),
    "levels fall": ("[0.5, 0.5]", "[0.05, 0.5]", "line 26: the levels"),
    "level of 1": ("[0.9, 0.8]", "[1.0, 0.8]", "line 26: the levels"),
    "group for a claim": ("probability = 0.7", 'probability = 0.7\ngroup = "g"', "line 10: group belongs to a choice"),
    "empty statement": ('statement = "a second"', 'statement = " "', "line 16: statement must be a text"),
    "probability of a number": ("quantiles = ", "probability = 0.3\nquantiles = ", "line 26: three is numeric"),
    "deep brackets": ("[[question]]", f"deep = {'[' * 5000}{']' * 5000}\n[[question]]", "too deep"),
    "note": ("# a comment", "note = 3 #", "note must be a text"),
    "bad id": ('id = "two"', 'id = "2 two"', "line 13: the id"),
}  # fmt: skip


@pytest.mark.parametrize("old, new, said", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_mistakes_are_shown_with_their_line(old: str, new: str, said: str) -> None:
    assert FILE.count(old) >= 1
    with pytest.raises(ValueError, match=f"(?s)my.toml.*{said}"):
        parse_forecasts(FILE.replace(old, new, 1), "my.toml")


def test_unknown_findings_are_refused_with_near_matches() -> None:
    wrong = parse_forecasts(FILE.replace("reach.overall > 0.5", "reach.overal > 0.5"))
    with pytest.raises(
        ValueError,
        match=r"line 3: one asks for an unknown finding 'reach.overal'; did you mean reach.overall",
    ):
        check_findings(wrong, [])
    check_findings(wrong, ["reach.overal"])
    own = parse_forecasts(
        'findings = ["reach.overal"]\n' + FILE.replace("reach.overall > 0.5", "reach.overal > 0.5")
    )
    check_findings(own, [])
    with pytest.raises(ValueError, match=r"asked asks for an unknown finding 'reach.siz"):
        check_findings(parse_forecasts(FILE.replace("reach.size.*", "reach.siz.*")), [])


def finding(identifier: str, estimate: float, low: float, high: float, **other: object) -> Finding:
    base = Finding(
        identifier, "q", estimate, low, high, 100, "probability", 0.1, 0.05, 0.15, "untrained", "exact", "behaviour",
        "mouse", "", "maze", 0, "1",
    )  # fmt: skip
    return replace(base, **other)  # type: ignore[arg-type]


def resolved(overall: Finding, corner: Finding, pull: Finding | None = None) -> dict[str, str]:
    findings = {f.id: f for f in (overall, corner, *([pull] if pull else []))}
    return {r.forecast.id: r.verdict for r in resolve(parse_forecasts(FILE).forecasts, findings)}


def test_a_file_is_resolved() -> None:
    high, right = finding("reach.overall", 0.8, 0.7, 0.9), finding("reach.corner_pull", 0.3, 0.2, 0.4)
    pull = finding("reach.cheese_pull", 0.3, 0.2, 0.4)
    want = {"one": "yes", "two": "yes", "three": "yes", "left": "no", "right": "yes"}
    assert resolved(high, right, pull) == want
    low = finding("reach.overall", 0.3, 0.2, 0.4)
    assert resolved(low, right, pull) == want | {"one": "no", "two": "void"}, (
        "its condition did not come true"
    )
    between = finding("reach.overall", 0.5, 0.4, 0.6)
    assert resolved(between, right, pull) == want | {"one": "ambiguous", "two": "ambiguous"}
    assert resolved(high, right) == want | {"two": "void"}
    open_ = finding("reach.corner_pull", 0.1, -0.1, 0.3)
    assert resolved(high, open_, pull) == want | {"left": "ambiguous", "right": "ambiguous"}
    numbers = {f.id: f for f in (high, right)}
    three = resolve(parse_forecasts(FILE).forecasts, numbers)[2]
    assert three.value == Interval(0.8, 0.7, 0.9) and three.findings == (high,)


def test_a_chain_of_conditions_has_an_end() -> None:
    def chain(length: int) -> str:
        head = '[[forecast]]\nid = "c0"\nby = "A"\nkind = "claim"\nstatement = "s"\nprobability = 0.5\nrule = "a.x > 0"\n'
        rest = (
            head.replace('"c0"', f'"c{i}"').replace("claim", "conditional") + f'given = "c{i - 1}"\n'
            for i in range(1, length)
        )
        return head + "".join(rest)

    assert (
        resolve(parse_forecasts(chain(50)).forecasts, {"a.x": finding("a.x", 1, 0.5, 2)})[-1].verdict == "yes"
    )
    with pytest.raises(ValueError, match=r"line \d+: c\d+ hangs on more than 50 conditions"):
        parse_forecasts(chain(1200))


def test_a_number_out_of_range_is_no_number() -> None:
    rule = parse(" * ".join(["a.x"] + ["1e14"] * 23))
    answer = rule.answer({"a.x": measured(2, 1, 3)})
    assert answer.verdict == "ambiguous" and answer.value is None and "no finite number" in answer.reason


def test_a_control_without_an_interval_decides_nothing() -> None:
    bare = finding("a.x", 0.5, 0.4, 0.6, control_low=None, control_high=None)
    answer = parse("a.x > control(a.x)").answer({"a.x": measured_of(bare)})
    assert answer.verdict == "void" and "control without an interval" in answer.reason


def test_an_interval_of_no_width_is_no_certainty() -> None:
    """One network's number, or levels that all agree: nothing says how far other ones lie."""
    alone = {"a.x": measured_of(finding("a.x", 0.5, 0.5, 0.5))}
    for rule in ("a.x > 0.4", "a.x < 0.4", "a.x > 0.6", "a.x - 0.4 > 0", "abs(a.x) > 0.1"):
        answer = parse(rule).answer(alone)
        assert answer.verdict == "ambiguous", rule
    assert "without an interval" in parse("a.x > 0.4").answer(alone).reason
    assert parse("a.x > 0.4").answer({"a.x": measured_of(finding("a.x", 0.5, 0.45, 0.55))}).verdict == "yes"
    bare = finding("a.x", 0.5, 0.4, 0.6, control=0.1, control_low=0.1, control_high=0.1)
    answer = parse("a.x > control(a.x)").answer({"a.x": measured_of(bare)})
    assert answer.verdict == "void" and "control without an interval" in answer.reason


def test_a_negated_condition_and_a_group_with_two_truths() -> None:
    text = FILE.replace('given = "one"', 'given = "not one"').replace(
        "reach.corner_pull < 0", "reach.corner_pull < 1"
    )
    findings = {
        i: finding(i, 0.3, 0.2, 0.4) for i in ("reach.overall", "reach.corner_pull", "reach.cheese_pull")
    }
    found = {r.forecast.id: r for r in resolve(parse_forecasts(text).forecasts, findings)}
    assert found["two"].verdict == "yes"
    assert found["left"].verdict == found["right"].verdict == "ambiguous"
    assert "left and right of the group 'side' came true" in found["left"].reason


def test_runs_of_one_subject_are_taken_together(tmp_path: Path) -> None:
    def run(name: str, *findings: Finding) -> None:
        (tmp_path / name).mkdir()
        write_findings(tmp_path / name / "findings.parquet", findings)

    small = finding("reach.overall", 0.5, 0.4, 0.6, n=10)
    large = finding("reach.overall", 0.8, 0.7, 0.9, n=500)
    other = finding("reach.overall", 0.1, 0.0, 0.2, policy="untrained")
    run("a", large, other)
    run("b", small, finding("reach.size.3", 1, 0.9, 1))
    run("c", finding("reach.overall", 0.2, 0.1, 0.3, world="procgen maze, hard"))
    run("d.part", finding("reach.overall", 0.9, 0.9, 0.9, n=9999))
    (tmp_path / "d.part" / ".work").mkdir()
    store = open_store(tmp_path, cache=tmp_path / "cache")
    maze, procgen = read_subjects(store)
    assert [Path(problem.path).name for problem in store.problems] == ["d.part"]
    assert maze.findings["reach.overall"] == large and maze.runs["reach.overall"].name == "a"
    assert set(maze.findings) == {"reach.overall", "reach.size.3"} and maze.runs["reach.size.3"].name == "b"
    assert procgen.world == "procgen maze, hard"
    assert [s.findings for s in read_subjects(open_store(tmp_path / "a", cache=tmp_path / "cache"))] == [
        {"reach.overall": large}
    ]
    question = parse_forecasts(FILE).questions[0]
    assert [f.id for f in reply(question, maze.findings).findings] == ["reach.size.3", "reach.overall"]
    with pytest.raises(FileNotFoundError, match="no finished run"):
        read_subjects(open_store(tmp_path / "d.part", cache=tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match="--runs"):
        read_subjects(open_store(tmp_path / "none"))


def test_the_packaged_file_asks_only_for_known_findings() -> None:
    name, text = read_text("cheese_maze")
    file = parse_forecasts(text, name)
    check_findings(file, [], name)
    assert (len(file.forecasts), len(file.questions)) == (21, 8)
    assert sum(f.probability or 0 for f in file.forecasts if f.group) == pytest.approx(1)
    open_ = {f.id for f in file.forecasts if f.rule is None and "not identified" in f.undecidable}
    # Of three coefficients that add up, none is identified beside the two others.
    assert open_ == {f"A-behaviour-steps-{k}" for k in ("decision", "corner", "decision-corner")}
    assert "no test of a pre-registration" in file.note
    assert len(set(known_findings())) == len(known_findings())
    with pytest.raises(FileNotFoundError, match="did you mean the packaged cheese_maze"):
        read_text("cheese_mase")
