"""Every finding of every run in one table, filtered, sorted and paged as a plain list would be; reports shown in place."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from goalscope.app import runs as runs_module
from goalscope.app.desk import Desk
from goalscope.app.runs import ROWS, runs_answer
from goalscope.evidence.finding import Finding, write_findings

FINDING = Finding(
    id="reach.size.13", question="P(reach the cheese)", estimate=0.5, low=0.4, high=0.6, n=10, unit="probability",
    control=0.2, control_low=0.1, control_high=0.3, control_name="untrained", method="exact chain", site="behaviour",
    policy="mouse-a", policy_sha256="", world="maze, size 13", seed=0, code_version="0.1.0+0",
)  # fmt: skip
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def desk(asking, tmp_path_factory) -> Desk:
    """130 findings of two policies in two runs; the first run has a report."""
    root, rng = tmp_path_factory.mktemp("runs") / "root", random.Random(0)
    rows = []
    for i in range(130):
        value = rng.random()
        rows.append(replace(FINDING, id=f"probe.layer.{i}", estimate=value, low=value - 0.1, high=value + 0.1,
                            policy=f"mouse-{'ab'[i % 2]}", question=f"how well is {i} read"))  # fmt: skip
    for name, part in (
        ("one", rows[:70]),
        ("deep/two's", rows[70:]),
        ("marked", [replace(FINDING, policy=MARKUP)]),
    ):
        folder = root / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
        write_findings(folder / "findings.parquet", part)
    (root / "one" / "report.html").write_text(
        "<h1>Report one</h1><script>parent.document.title = 'taken'</script>"
    )
    (root.parent / "secret.html").write_text("secret")
    (root / "marked" / "report.html").symlink_to(root.parent / "secret.html")
    return Desk(asking.desk.given, "mouse-topright", root)


def every(desk: Desk, **asked) -> list[dict]:
    """All pages of a question."""
    first = runs_answer(desk, asked)
    pages = [runs_answer(desk, {**asked, "page": i}) for i in range(first["pages"])]
    rows = [row for page in pages for row in page["rows"]]
    assert len(rows) == first["count"] and all(len(page["rows"]) <= ROWS for page in pages)
    return rows


def test_pages_hold_every_finding_once_in_order(desk):
    rows = every(desk, sort="estimate", down=True)
    assert len({(row["run"], row["id"]) for row in rows}) == 131
    values = [row["estimate"] for row in rows]
    assert values == sorted(values, reverse=True)
    assert [row["estimate"] for row in every(desk, sort="estimate")] == sorted(values)


def test_words_policy_and_verdict_choose_and_quotes_are_no_sql(desk):
    assert {row["policy"] for row in every(desk, policy="mouse-b")} == {"mouse-b"}
    assert [row["id"] for row in every(desk, search="HOW layer.17")] == ["probe.layer.17"]
    assert len(every(desk, search="two's")) == 60
    everything = every(desk)
    for standing in {row["standing"] for row in everything}:
        assert every(desk, verdict=standing) == [row for row in everything if row["standing"] == standing]
    for words in ("' OR 1=1 --", "'; DROP TABLE findings; --", "%", "\\", "x') OR ('1'='1"):
        assert every(desk, search=words) == [] == every(desk, policy=words)
    with pytest.raises(ValueError, match="sort is one of run"):
        runs_answer(desk, {"sort": "estimate; DROP"})


def test_each_row_has_interval_n_and_control_and_markup_is_only_text(desk):
    (row,) = every(desk, policy=MARKUP)
    assert {name: row[name] for name in ("estimate", "low", "high", "n", "control", "control_low", "control_name")} == {
        "estimate": 0.5, "low": 0.4, "high": 0.6, "n": 10, "control": 0.2, "control_low": 0.1, "control_name": "untrained",
    }  # fmt: skip
    assert MARKUP in runs_answer(desk, {})["policies"]


def test_without_a_folder_the_page_says_what_to_do_first(asking):
    assert "goalscope study maze" in asking.refused("/api/runs")
    assert asking.get("/report?run=one").status_code == 404


def test_a_report_is_shown_without_its_scripts_and_no_other_file_is(desk, asking, monkeypatch):
    monkeypatch.setattr(asking.desk, "runs", desk.runs)
    answer = asking.get("/report", params={"run": "one"})
    assert answer.status_code == 200 and "Report one" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox;") and "script-src" not in policy and "default-src 'none'" in policy
    for run in (
        "",
        ".",
        "..",
        "deep/two's",
        "one/../one",
        "/etc",
        "../root/one",
        "one/report.html",
        "one\0",
        "marked",
    ):
        assert asking.get("/report", params={"run": run}).status_code == 404, run
    assert runs_answer(desk, {"search": "probe.layer.1"})["reports"] == {"one": True, "deep/two's": False}
    assert runs_module.report_of(desk, "marked") is None, "a link leads out of the folder"


def test_the_table_in_a_browser(desk, served, chromium, monkeypatch):
    monkeypatch.setattr(served.desk, "runs", desk.runs)
    tab = chromium.new_page()
    tab.set_default_timeout(60_000)
    tab.goto(served.link + "#runs?policy=" + MARKUP.replace(" ", "%20"))
    tab.locator("tbody tr").wait_for()
    assert MARKUP in tab.locator("tbody tr").inner_text() and tab.locator("table img").count() == 0
    tab.get_by_label("Policy", exact=True).select_option("")
    tab.get_by_text("131 findings, page 1 of 3").wait_for()
    tab.get_by_label("Words").fill("layer.17")
    tab.get_by_text("1 finding, page 1 of 1").wait_for()
    row = tab.locator("tbody tr").inner_text()
    (wanted,) = every(desk, search="layer.17")
    limits = f"[{100 * wanted['low']:.1f}%, {100 * wanted['high']:.1f}%], n = 10"
    assert (
        f"{100 * wanted['estimate']:.1f}%" in row and limits in row and "20.0%" in row and "untrained" in row
    )
    tab.set_viewport_size({"width": 320, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    tab.get_by_role("button", name="Open the report of one").click()
    tab.frame_locator("iframe").get_by_text("Report one").wait_for()
    assert tab.title() == "goalscope", "a report runs no script"
    tab.close()


def test_the_folder_may_change_while_the_page_is_open(desk, tmp_path: Path):
    moving = Desk(desk.given, "mouse-topright", tmp_path)
    with pytest.raises(FileNotFoundError, match="no run folder"):
        runs_answer(moving, {})
    (tmp_path / "new").mkdir()
    write_findings(tmp_path / "new" / "findings.parquet", [FINDING])
    assert runs_answer(moving, {})["count"] == 1
