"""Arguments: known answers of the labelling, findings that decide leaves, and every way a file can be wrong."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from goalscope.evidence.argument import (
    DEEPEST,
    Argument,
    judge,
    packaged,
    parse_argument,
    read_argument,
    to_record,
)  # fmt: skip
from goalscope.evidence.finding import Finding
from goalscope.evidence.forecast import read_text

HEAD = 'title = "A case"\ncase = "risk"\npolicy = "mouse"\n'
RULE = {"stands": "a.x > 0.5", "falls": "a.x < 0.5", "no evidence": "a.gone > 0.5"}
"""rules whose outcome is known from the finding below"""


def finding(identifier: str, estimate: float = 0.8, half: float = 0.1, **changes: object) -> Finding:
    made = Finding(
        id=identifier, question="?", estimate=estimate, low=estimate - half, high=estimate + half, n=10,
        unit="probability", control=0.2, control_low=0.1, control_high=0.3, control_name="untrained", method="chain",
        site="behaviour", policy="mouse", policy_sha256="", world="maze, size 13", seed=0, code_version="0.1.0+0",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


KNOWN = [("run", finding("a.x"))]


def claim(identifier: str, link: str = "", **fields: str) -> str:
    """One claim in TOML; `link` is such as 'supports root'."""
    pairs = {"id": identifier, "text": f"The claim {identifier}", **fields}
    pairs |= dict([link.split()]) if link else {}
    return "\n[[claim]]\n" + "".join(f'{key} = "{value}"\n' for key, value in pairs.items())


def statuses(*claims: str, findings: list[tuple[str, Finding]] = KNOWN) -> dict[str, str]:
    judged = judge(parse_argument(HEAD + "".join(claims)), findings)
    return {entry.claim.id: entry.status for entry in judged}


# The labelling


@pytest.mark.parametrize("status", RULE)
def test_a_rule_decides_its_claim(status: str):
    assert statuses(claim("root", rule=RULE[status])) == {"root": status}


def conjunction(*parts: str) -> str:
    return "falls" if "falls" in parts else "no evidence" if "no evidence" in parts else "stands"


NOT = {"stands": "falls", "falls": "stands", "no evidence": "no evidence"}


@pytest.mark.parametrize("a, b", list(itertools.product(RULE, RULE)))
def test_supports_and_attacks_are_kleenes(a: str, b: str):
    """Every pair of outcomes against the three-valued tables, written out here once more."""
    root, one, two = claim("root"), claim("one", "supports root", rule=RULE[a]), "two"
    supported = statuses(root, one, claim(two, "supports root", rule=RULE[b]))
    assert supported == {"root": conjunction(a, b), "one": a, "two": b}
    any_ = statuses(claim("root", needs="any"), one, claim(two, "supports root", rule=RULE[b]))
    assert any_["root"] == NOT[conjunction(NOT[a], NOT[b])]
    assert statuses(root, one, claim(two, "attacks root", rule=RULE[b]))["root"] == conjunction(a, NOT[b])
    ruled = statuses(claim("root", rule=RULE[b]), one)
    assert ruled["root"] == conjunction(a, b)


@pytest.mark.parametrize("length", range(2, 7))
def test_a_chain_of_attacks_ends_as_grounded_semantics_says(length: int):
    """c0 <- c1 <- c2 ...: the last one stands, and from there every second one."""
    chain = [claim("c0", rule="a.x > 0.5")]
    chain += [claim(f"c{i}", f"attacks c{i - 1}", rule="a.x > 0.5") for i in range(1, length)]
    expected = {f"c{i}": "stands" if (length - 1 - i) % 2 == 0 else "falls" for i in range(length)}
    assert statuses(*chain) == expected


def test_an_attack_without_evidence_is_said():
    (root, attack) = judge(
        parse_argument(
            HEAD + claim("root", rule=RULE["stands"]) + claim("doubt", "attacks root", rule="b.y > 0.5")
        ),
        KNOWN,
    )
    assert root.status == "no evidence" and "the attack doubt has no evidence" in root.why
    assert "no run has b.y" in attack.why and attack.evidence == ()


def test_order_and_depth():
    text = HEAD + "".join(
        [
            claim("leaf", "supports mid", rule="a.x > 0"),
            claim("foe", "attacks root", rule="a.x < 0"),
            claim("root"),
            claim("mid", "supports root"),
            claim("second", "supports root", rule="a.x > 0"),
        ]
    )
    judged = judge(parse_argument(text), KNOWN)
    assert [(entry.claim.id, entry.depth) for entry in judged] == [
        ("root", 0), ("mid", 1), ("leaf", 2), ("second", 1), ("foe", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("length, fits", [(DEEPEST, True), (DEEPEST + 1, False), (5000, False)])
def test_a_deep_argument(length: int, fits: bool):
    links = [claim(f"c{i}", f"supports c{i - 1}") for i in range(1, length - 1)]
    text = claim("c0"), *links, claim("leaf", f"supports c{length - 2}", rule="a.x > 0")
    if fits:
        assert set(statuses(*text).values()) == {"stands"} and len(statuses(*text)) == length
    else:
        with pytest.raises(ValueError, match=f"more than {DEEPEST} claims deep"):
            statuses(*text)


# The findings


def test_straddling_intervals_and_missing_controls_are_no_evidence():
    bare = finding("a.y", control=None, control_low=None, control_high=None)
    known = [*KNOWN, ("run", bare)]
    assert statuses(claim("root", rule="a.x > 0.75"), findings=known)["root"] == "no evidence"
    assert statuses(claim("root", rule="a.x > control(a.x)"), findings=known)["root"] == "stands"
    assert statuses(claim("root", rule="a.y > control(a.y)"), findings=known)["root"] == "no evidence"


def test_the_finding_of_more_levels_decides():
    small = [("z-first", finding("a.x", 0.2, n=5)), ("z-first", finding("a.only", 0.9, n=2))]
    large = [("b-second", finding("a.x", 0.9, n=50)), ("b-second", finding("a.z", 0.9, n=3))]
    text = HEAD + claim("root", rule="a.x > 0.5 and a.only > 0.5")
    for known in (small + large, large + small):
        (root,) = judge(parse_argument(text), known)
        assert root.status == "stands"
        assert [(run, row.id, row.n) for run, row in root.evidence] == [
            ("b-second", "a.x", 50), ("z-first", "a.only", 2),
        ]  # fmt: skip
    equal = [("b", finding("a.x", 0.9)), ("a", finding("a.x", 0.2))]
    assert statuses(claim("root", rule="a.x > 0.5"), findings=equal)["root"] == "stands"


def test_only_the_policy_and_the_world_of_the_case_count():
    others = [
        ("r", finding("a.x", 0.1, policy="cat", n=99)),
        ("r", finding("a.x", 0.1, world="procgen", n=99)),
    ]
    text = HEAD + 'world = "maze"\n' + claim("root", rule="a.x > 0.5")
    (root,) = judge(parse_argument(text), [*others, *KNOWN])
    assert root.status == "stands"
    assert judge(replace(parse_argument(text), world="procgen"), [*others, *KNOWN])[0].status == "falls"
    with pytest.raises(
        ValueError, match=r"several worlds .*'maze, size 13' in run and 'procgen' in r.*say more"
    ):
        statuses(claim("root", rule="a.x > 0.5"), findings=[*others, *KNOWN])
    with pytest.raises(
        ValueError, match=r"policy 'mouse' in a world named 'mars'; its worlds: maze, size 13"
    ):
        judge(replace(parse_argument(text), world="mars"), KNOWN)


def test_two_networks_of_one_name_are_refused():
    known = [("a", finding("a.x", policy_sha256="1" * 64)), ("b", finding("a.x", policy_sha256="2" * 64))]
    with pytest.raises(
        ValueError, match=r"several networks for policy 'mouse' .*1111' in a and '2222.* in b"
    ):
        statuses(claim("root", rule="a.x > 0.5"), findings=known)


def test_a_misspelt_finding_is_an_error_and_another_number_is_not():
    known = [("run", finding("reach.overall")), ("run", finding("reach.size.13"))]
    with pytest.raises(
        ValueError, match=r"'root': no run has the finding 'reach.overal'; did you mean reach.overall"
    ):
        statuses(claim("root", rule="reach.overal > 0.5"), findings=known)
    assert statuses(claim("root", rule="reach.size.15 > 0.5"), findings=known)["root"] == "no evidence"


# Bad files

GOOD = claim("root", rule="a.x > 0.5")
WRONG = {
    "no TOML": (HEAD + "[[claim", "not valid TOML: Expected"),
    "unknown key": (HEAD + 'polcy = "x"\n' + GOOD, "unknown key 'polcy'; did you mean policy"),
    "no title": (HEAD.replace("title", "world") + GOOD, "title must be a text"),
    "no such case": (HEAD.replace("risk", "maybe") + GOOD, "case must be one of affirmative, risk"),
    "no claims": (HEAD, r"under \[\[claim\]\]"),
    "claim is no table": (HEAD + "claim = [1]", r"under \[\[claim\]\]"),
    "unknown key of a claim": (HEAD + claim("root", rul="a.x > 0.5"), "line 5: unknown key 'rul'; did you mean rule"),
    "no id": (HEAD + GOOD.replace("id =", "text ="), "TOML"),
    "empty text": (HEAD + claim("root", rule="a.x > 0.5", text=" "), "line 5: claim 'root': text must be a text"),
    "twice": (HEAD + GOOD + GOOD, "line 10: a second claim is called 'root'"),
    "needs": (HEAD + claim("root", needs="some", rule="a.x > 0"), "needs must be 'all' or 'any', got 'some'"),
    "both": (HEAD + GOOD + claim("x", supports="root", attacks="root", rule="a.x > 0"), "both supports and attacks"),
    "no such target": (HEAD + GOOD + claim("x", "supports rot", rule="a.x > 0"), "'x' supports 'rot'.*did you mean root"),
    "unchecked": (HEAD + claim("root"), "nothing checks 'root'; give it a rule"),
    "unchecked but attacked": (HEAD + claim("root") + claim("x", "attacks root", rule="a.x > 0"), "nothing checks 'root'"),
    "two roots": (HEAD + GOOD + claim("x", rule="a.x > 0"), "one claim must be the root.*'root', 'x'"),
    "supports itself": (HEAD + GOOD + claim("x", "supports x"), "line 10: the argument is circular: x → x"),
    "circle": (
        HEAD + GOOD + "".join(claim(a, f"attacks {b}", rule="a.x > 0") for a, b in ("ta", "ab", "ba")),
        "line 16: the argument is circular: a → b → a",
    ),
    "circle without a root": (HEAD + claim("a", "supports b") + claim("b", "supports a"), "circular: a → b → a"),
    "code": (HEAD + claim("root", rule="open('x') > 0"), "line 5: claim 'root'"),
    "a number": (HEAD + claim("root", rule="a.x + 1"), "is a number; compare it"),
    "division by zero": (HEAD + claim("root", rule="a.x / 0 > 1"), "divides by zero"),
    "rule is a number": (HEAD + claim("root") + "rule = 3\n", "rule must be a text"),
}  # fmt: skip


@pytest.mark.parametrize("text, said", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_is_one_clear_error(text: str, said: str):
    with pytest.raises(ValueError) as caught:
        parse_argument(text, "case.toml")
    assert re.search(said, str(caught.value)) and str(caught.value).startswith("case.toml")
    assert parse_argument(HEAD + GOOD).claims[0].id == "root"


def test_files_that_are_not_there_or_no_text(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="did you mean stays-with-cheese"):
        read_argument("stays-with-chese")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="byte 0 is not UTF-8"):
        read_argument(tmp_path / "bytes.toml")


# What is packaged


def test_the_packaged_cases_are_an_affirmative_and_a_risk_case():
    cases = [read_argument(name) for name in packaged()]
    assert sorted(case.case for case in cases) == ["affirmative", "risk"]
    for case in cases:
        assert {"supports", "attacks"} <= {each.role for each in case.claims}


def small_mazes_well(case: Argument, value: float) -> list[tuple[str, Finding]]:
    """Findings on every id of the case, all equal to `value` but for those set here."""
    ids = {key for each in case.claims if each.rule for key in each.rule.ids}
    high = {key: value for key in ids if key.startswith("reach.size.")} | {"reach.size.13": 0.4}
    high |= {
        "algorithm.small.cheese": -0.5,
        "algorithm.small.corner": -1.5,
        "reach.quadrant.bottom_left": 0.6,
    }
    return [("run", finding(key, high.get(key, 0.5), 0.02, policy=case.policy)) for key in sorted(ids)]


@pytest.mark.parametrize("value, status", [(0.97, "stands"), (0.5, "falls"), (0.8, "no evidence")])
def test_the_affirmative_case_on_numbers_with_a_known_answer(value: float, status: str):
    case = read_argument("stays-with-cheese")
    judged = judge(case, small_mazes_well(case, value))
    assert judged[0].status == status
    found = {entry.claim.id: entry.status for entry in judged}
    assert found["corner-explains"] == "falls"
    # The attack is answered only where the largest mazes (0.4) are worse than the small ones.
    assert found["that-is-large-mazes"] == "stands" and found["leaves-far-cheese"] == "falls"


def test_the_record_is_plain_and_complete():
    import json

    case = parse_argument(HEAD + claim("root", rule="a.x > 0.5") + claim("x", "attacks root", rule="a.x < 0"))
    record = to_record(case, judge(case, KNOWN), "runs")
    assert json.loads(json.dumps(record)) == record
    assert record["claims"][0]["findings"][0]["run"] == "run"
    assert [entry["status"] for entry in record["claims"]] == ["stands", "falls"]


def test_a_packaged_name_that_is_also_a_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The packaged argument and the packaged forecasts are taken, and how to get the file is told."""
    monkeypatch.chdir(tmp_path)
    title = read_argument("stays-with-cheese").title
    for name in ("stays-with-cheese", "cheese_maze"):
        (tmp_path / name).write_text("something else")
    with pytest.warns(UserWarning, match=r"taken as the packaged argument.*write \./stays-with-cheese"):
        assert read_argument("stays-with-cheese").title == title
    with pytest.warns(UserWarning, match=r"taken as the packaged forecasts.*write \./cheese_maze"):
        assert read_text("cheese_maze")[0] == "cheese_maze"
    assert read_text("./cheese_maze")[1] == "something else"
