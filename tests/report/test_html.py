"""The report: whole, offline, safe with hostile names, and honest about what differs from its control."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goalscope.evidence.finding import LATER
from goalscope.report import html
from goalscope.report.cells import cells, grade, interval, is_share, number, said_of_control
from goalscope.report.html import write_report
from goalscope.report.reading import Row

MakeRun = Callable[..., Path]
VOID = frozenset(("meta", "br", "img", "input", "link", "hr", "wbr", "path", "rect", "circle", "ellipse"))


class Page(HTMLParser):
    """Checks nesting while it reads; keeps elements, text, ids and links."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.code: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> repeats an attribute"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.code.append(data)
        elif "style" not in self.open:
            self.words.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report_of(folder: Path) -> tuple[str, Page]:
    text = write_report(folder).read_text(encoding="utf-8")
    return text, Page(text)


def change_run(folder: Path, **entries: object) -> None:
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps({**run, **entries}), encoding="utf-8")


def change_index(folder: Path, position: int, **entries: str) -> None:
    index = folder / "figures" / "index.json"
    listed = json.loads(index.read_text(encoding="utf-8"))
    listed[position] |= entries
    index.write_text(json.dumps(listed), encoding="utf-8")


def test_whole_report(make_run: MakeRun) -> None:
    folder = make_run()
    path = write_report(folder)
    assert path == folder / "report.html" and path.stat().st_size < 3_000_000
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    titles = [
        "What does mouse-topright want?",
        "Reach",
        "Vector field",
        "Decision",
        "Algorithm",
        "Value",
        "Headline",
    ]
    headings = re.findall(r"<h[12]>(?:<span class=\"step\">\d</span>)?(.*?)</h[12]>", text)
    assert headings == [titles[0], "The answers", *titles[1:], "Provenance"]
    # The headline comes before everything but the title.
    assert page.text.index("That it merely walks to the corner is ruled out") < page.text.index(
        "How to read this"
    )
    for words in (
        "How often does it reach the cheese?",
        "At 71% of the decision squares.",
        "untrained network",
    ):
        assert words in page.text
    assert sum(tag == "svg" for tag, _ in page.elements) == 4
    names = [attrs.get("name") for tag, attrs in page.elements if tag == "meta"]
    assert "viewport" in names and "prefers-color-scheme: dark" in text


def test_same_folder_same_bytes(make_run: MakeRun) -> None:
    folder = make_run()
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_every_finding_stands_beside_its_control(make_run: MakeRun) -> None:
    folder = make_run()
    _, page = report_of(folder)
    for row in pq.read_table(folder / "findings.parquet").to_pylist():
        assert row["id"] in page.text and row["question"] in page.text
    cells = page.text
    assert "96.3% (94.8% to 97.8%) probability" in cells
    assert "8.0% (6.0% to 10.0%) untrained network" in cells
    assert "\N{MINUS SIGN}0.62 (\N{MINUS SIGN}0.92 to \N{MINUS SIGN}0.32) log-odds per SD" in cells
    assert "11 findings about mouse-topright: 9 supported, 1 inconclusive, 1 untested." in cells
    # Policies of one section are counted by themselves.
    assert "mouse-corner : 6 findings: 6 supported" in cells


def test_provenance_and_command(make_run: MakeRun) -> None:
    _, page = report_of(make_run())
    for words in ("goalscope study maze --policy mouse-topright", "policy · sha256 9f86d0", "seeds 0, 1, 2"):
        assert words in page.text
    assert "world · cheese region 5" in page.text and "code version 0.1.0+abc1234" in page.text


def test_the_answers_stand_above_all_numbers(make_run: MakeRun) -> None:
    folder = make_run()
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    answer = "In 71% [60%, 80%; untrained: 12%] of them. Not 3.5 (E. g. here it does. Still). Then more."
    first = {**run["sections"][0], "answer": answer, "verdict": "It does."}
    second = {**run["sections"][1], "answer": answer}
    change_run(folder, sections=[first, second, *run["sections"][2:]])
    text, _ = report_of(folder)
    answers = text[text.index('<ol class="answers">') : text.index("</ol>")]
    quiet = '<span class="interval">[60%, 80%; untrained: 12%]</span>'
    assert text.index("</ol>") < text.index("<table>") and answers.count("<li>") == len(run["sections"])
    assert "It does." in answers and f"In 71% {quiet} of them.</span>" in answers
    rest = "<li>Not 3.5 (E. g. here it does. Still).</li><li>Then more.</li>"
    assert f'<ul class="details"><li>In 71% {quiet} of them.</li>{rest}</ul>' in text
    assert f'<ul class="details">{rest}</ul>' in text
    rows = pq.read_table(folder / "findings.parquet").to_pylist()
    mine = [row for row in rows if row["id"].startswith("reach.") and row["policy"] == rows[0]["policy"]]
    assert f'title="{len(mine)} supported"' in answers


def test_rows_can_be_chosen_and_sorted_by_what_they_say(make_run: MakeRun) -> None:
    folder = make_run()
    _, page = report_of(folder)
    rows = pq.read_table(folder / "findings.parquet").to_pylist()
    standings = [
        attrs["data-standing"] for tag, attrs in page.elements if tag == "tr" and "data-standing" in attrs
    ]
    assert len(standings) == len(rows)
    for tag, attrs in page.elements:
        if tag == "button" and attrs.get("data-standing"):
            assert attrs["data-standing"] in standings
    values = [attrs["data-value"] for tag, attrs in page.elements if attrs.get("data-label") == "Estimate"]
    assert sorted(map(float, filter(None, values))) == sorted(
        row["estimate"] for row in rows if math.isfinite(row["estimate"])
    )


def test_loads_nothing_and_runs_only_its_own_script(make_run: MakeRun) -> None:
    text, page = report_of(make_run())
    assert [tag for tag, _ in page.elements].count("script") == 1
    for tag, attrs in page.elements:
        assert tag not in ("iframe", "object", "embed", "link", "base", "form")
        for name, value in attrs.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "srcset", "poster", "data", "action"):
                assert value is not None and value.startswith(("#", "data:image/svg+xml;base64,"))
    assert not re.search(r"url\(|@import", text)
    assert set(re.findall(r"https?://[^\s\"'<]*", text)) <= {"http://www.w3.org/2000/svg"}
    policy = [attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv")]
    assert policy and policy[0] is not None and policy[0].startswith("default-src 'none'")
    (code,) = page.code
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert re.findall(r"script-src ([^;]*)", policy[0]) == [f"'sha256-{digest}'"]
    assert not re.search(r"fetch|XMLHttpRequest|innerHTML|eval|storage|cookie|import", code)


def test_every_picture_has_words_and_every_link_a_target(make_run: MakeRun) -> None:
    _, page = report_of(make_run())
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in page.elements:
        if tag == "svg":
            assert attrs.get("role") == "img" and attrs.get("aria-label")
        if tag == "img":
            assert attrs.get("alt")
        if tag == "a":
            assert (attrs.get("href") or "").removeprefix("#") in ids


def test_hostile_names_stay_text(make_run: MakeRun) -> None:
    bad = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'"
    folder = make_run(name=bad)
    rows = pq.read_table(folder / "findings.parquet").to_pylist()
    for row in rows:
        row.update(policy=bad, world=bad, question=bad, unit=bad, control_name=bad, method=bad)
    pq.write_table(pa.Table.from_pylist(rows), folder / "findings.parquet")
    change_run(folder, command=bad, headline=bad, provenance={bad: {bad: [bad]}})
    change_index(folder, 0, title=bad, caption=bad, alt=bad)
    text, page = report_of(folder)
    assert text.count("<script") == 1 and sum(tag == "script" for tag, _ in page.elements) == 1
    assert not any("onerror" in attrs for _, attrs in page.elements)
    assert page.text.count("<script>alert(1)</script>") > 20


def test_hostile_figure_is_sealed(make_run: MakeRun) -> None:
    folder = make_run()
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    (folder / "figures" / "field.svg").write_text(svg, encoding="utf-8")
    text, page = report_of(folder)
    assert text.count("<script") == 1
    alts = [attrs["alt"] for tag, attrs in page.elements if tag == "img"]
    assert alts == ["Where mouse-topright goes: four versions of one maze. Numbers are in the table."]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ""),
        (
            {"floor": 0.1, "control": 0.3, "control_low": 0.25, "control_high": 0.35},
            "could have come out otherwise: off its floor, 10.0%",
        ),
        ({"floor": 0.1}, "at its floor, 10.0%: nothing shows that it could have come out otherwise"),
        ({"floor": 0.1, "control": math.nan, "control_low": math.nan, "control_high": math.nan}, ""),
    ],
)
def test_the_table_says_whether_a_control_could_have_come_out_otherwise(given: dict, said: str) -> None:
    row = row_of(**{"unit": "probability", **given})
    assert said_of_control(row) == said and cells(row)["control_said"] == said


def row_of(**given: Any) -> Row:
    texts = {name: "x" for name in Row.__dataclass_fields__ if name not in LATER}
    numbers = {
        "estimate": 0.5,
        "low": 0.4,
        "high": 0.6,
        "control": 0.1,
        "control_low": 0.0,
        "control_high": 0.2,
    }
    return Row(**{**texts, **numbers, "n": 10, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "kind", "sign"),
    [
        ({}, "supported", "▲"),
        ({"control": 0.9, "control_low": 0.8, "control_high": 1.0}, "supported", "▼"),
        ({"claim": "above"}, "supported", "▲"),
        ({"claim": "below"}, "contradicted", "▲"),
        ({"claim": "above", "control": 0.9, "control_low": 0.8, "control_high": 1.0}, "contradicted", "▼"),
        ({"control_high": 0.45}, "inconclusive", "≈"),
        ({"control_high": 0.4}, "inconclusive", "≈"),
        ({"control": 0.5, "control_low": math.nan, "control_high": math.nan}, "inconclusive", "≈"),
        ({"control_low": math.nan, "control_high": math.nan}, "supported", "▲"),
        ({"control": math.nan, "control_low": math.nan, "control_high": math.nan}, "untested", "?"),
        ({"low": math.nan}, "untested", "?"),
        ({"estimate": math.nan}, "untested", "?"),
        ({"invalid": "ceiling"}, "invalid", "✗"),
    ],
)
def test_grade(given: dict[str, Any], kind: str, sign: str) -> None:
    found = grade(row_of(**given))
    assert (found.kind, found.sign) == (kind, sign)


@pytest.mark.parametrize(
    ("value", "share", "expected"),
    [
        (0.9743, True, "97.4%"),
        (-0.0004, True, "0.0%"),
        (-0.004, True, "\N{MINUS SIGN}0.4%"),
        (-0.62, False, "\N{MINUS SIGN}0.62"),
        (0.0123, False, "0.0123"),
        (1234.5, False, "1,234"),
        (1e-7, False, "1.00e\N{MINUS SIGN}07"),
        (math.nan, False, "not estimated"),
    ],
)
def test_number(value: float, share: bool, expected: str) -> None:
    assert number(value, share) == expected


def test_units_are_told_alike_on_every_page() -> None:
    """A rate is a share wherever it stands, and an end that is missing as None or NaN is no interval."""
    assert all(map(is_share, ("probability", " Rate", "proportion", "share"))) and not is_share("nats")
    row = row_of(unit="rate", low=0.25, high=0.5)
    assert cells(row)["interval"] == interval(0.25, 0.5, True) == "25.0% to 50.0%"
    assert [interval(*ends, False) for ends in ((None, 1.0), (0.0, math.nan), (1.0, 1.0))] == ["", "", ""]


def test_findings_of_no_section_are_shown(make_run: MakeRun) -> None:
    folder = make_run()
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    change_run(folder, sections=[s for s in run["sections"] if s["key"] not in ("algorithm", "headline")])
    _, page = report_of(folder)
    assert "Further findings" in page.text and "algorithm.small.shortest_path" in page.text
    assert "headline.corner_pull" in page.text


def test_figures_over_the_size_limit_are_named(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run()
    whole = len(write_report(folder).read_bytes())
    monkeypatch.setattr(html, "SIZE_LIMIT_BYTES", whole - 100)
    text, page = report_of(folder)
    assert len(text.encode()) <= whole - 100
    assert sum(tag == "svg" for tag, _ in page.elements) == 3
    assert "Open figures/coefficients.svg in the run folder" in page.text


def test_a_run_without_figures_and_findings(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "figures" / "index.json").unlink()
    table = pq.read_table(folder / "findings.parquet")
    pq.write_table(table.slice(0, 0), folder / "findings.parquet")
    _, page = report_of(folder)
    assert "0 findings: none." in page.text and not any(tag in ("svg", "table") for tag, _ in page.elements)


def test_failed_write_keeps_the_old_report(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run()
    old = write_report(folder).read_bytes()
    change_run(folder, headline="new")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(folder)
    assert (folder / "report.html").read_bytes() == old
    assert not list(folder.glob("*.part"))


def roles_of(folder: Path, **roles: str) -> None:
    """Gives the subject's findings roles by id; the others are alternatives."""
    table = pq.read_table(folder / "findings.parquet").to_pylist()
    quick = roles.pop("quick", "") == "yes"
    for row in table:
        row |= {
            "role": roles.get(row["id"].replace(".", "_"), "alternative"),
            "claim": "above",
            "invalid": "",
            "quick": quick,
        }
    pq.write_table(pa.Table.from_pylist(table), folder / "findings.parquet")


def test_primary_findings_are_shown_and_the_rest_folded(make_run: MakeRun) -> None:
    folder = make_run()
    first = pq.read_table(folder / "findings.parquet").to_pylist()[0]["id"]
    roles_of(folder, **{first.replace(".", "_"): "primary"})
    text, page = report_of(folder)
    for row in pq.read_table(folder / "findings.parquet").to_pylist():
        assert row["id"] in page.text
    folded = text.index('<details class="more">')
    assert text.index(f"<code>{first}</code>") < folded
    assert re.search(r"\d+ more: alternatives, details, stress tests", page.text)
    assert "A quick run" not in page.text


def test_a_quick_run_says_so_above_its_headline(make_run: MakeRun) -> None:
    folder = make_run()
    roles_of(folder, quick="yes")
    text, _ = report_of(folder)
    assert text.index("A quick run.") < text.index('<div class="lead">')


def test_a_quick_run_whose_headline_says_so_is_not_told_twice(make_run: MakeRun) -> None:
    folder = make_run()
    roles_of(folder, quick="yes")
    change_run(folder, headline="A quick run, with fewer levels than the study: nothing is shown.")
    text, _ = report_of(folder)
    assert text.lower().count("a quick run") == 2  # the headline, and that it decides nothing
    assert text.index('<div class="lead">') < text.index("no forecast or argument is decided by it")
