"""`goalscope findings` and `goalscope argument`: what they print and write, and one clear line for bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

from goalscope.commands.findings import print_findings
from goalscope.commands.main import main
from goalscope.evidence.finding import Finding, write_findings

FINDING = Finding(
    id="reach.overall", question="P(<b>cheese</b>)", estimate=0.8, low=0.7, high=0.9, n=120, unit="probability",
    control=0.2, control_low=0.1, control_high=0.3, control_name="untrained", method="exact chain", site="behaviour",
    policy="mouse", policy_sha256="", world="maze, size 13", seed=0, code_version="0.1.0+0",
)  # fmt: skip
CASE = """
title = "It takes the cheese"
case = "affirmative"
policy = "mouse"
[[claim]]
id = "root"
text = "It takes the cheese & more."
rule = "reach.overall > 0.5"
[[claim]]
id = "doubt"
attacks = "root"
text = "An untrained network does so too."
rule = "control(reach.overall) > 0.5"
[[claim]]
id = "else"
supports = "doubt"
text = "Something that no run has."
rule = "probe.cheese > 0.5"
"""


class Done(NamedTuple):
    """What a command did."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs a command in this process."""

    def called(*words: str) -> Done:
        code = 0
        try:
            main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return Done(code, str(out), str(err))

    return called


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `runs/one` and `case.toml`, the cache beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "here"
    (folder / "runs" / "one").mkdir(parents=True)
    write_findings(
        folder / "runs" / "one" / "findings.parquet", [FINDING, replace(FINDING, id="reach.x", n=7)]
    )
    (folder / "case.toml").write_text(CASE)
    monkeypatch.chdir(folder)
    return folder


def test_findings_are_listed_with_their_questions(here: Path, call: Callable[..., Done]):
    done = call("findings")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "one: mouse",
        "  reach.overall  supported     0.8 [0.7, 0.9] probability, n = 120; control 0.2 [0.1, 0.3]",
        "      P(<b>cheese</b>)",
        "  reach.x        supported     0.8 [0.7, 0.9] probability, n = 7; control 0.2 [0.1, 0.3]",
        "      P(<b>cheese</b>)",
    ]


def test_a_narrow_list_breaks_no_line(here: Path, capsys: pytest.CaptureFixture[str]):
    long = replace(FINDING, question="What is the chance of reaching the cheese, from wherever it stands?")
    print_findings([{**asdict(long), "run": "one", "standing": "supported"}], 40)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40 and " ".join(" ".join(lines).split()).endswith(long.question)


def test_options_choose_among_findings(here: Path, call: Callable[..., Done]):
    other = replace(
        FINDING, id="probe.cheese", policy="cat", low=0.25, question="Where is the CHEESE?", quick=True
    )
    write_findings(here / "runs" / "one" / "findings.parquet", [FINDING, other])
    record = {"provenance": {"study": "maze-internals"}}
    (here / "runs" / "one" / "run.json").write_text(json.dumps(record))
    for words, ids in (
        (["--policy", "cat"], ["probe.cheese"]),
        (["--verdict", "supported"], ["reach.overall"]),
        (["--verdict", "inconclusive"], ["probe.cheese"]),
        (["--search", "where cheese"], ["probe.cheese"]),
        (["--search", "EXACT"], ["reach.overall", "probe.cheese"]),
        (["--study", "maze-internals", "--search", "reach."], ["reach.overall"]),
    ):
        rows = json.loads(call("findings", *words, "--json").stdout)
        assert [row["id"] for row in rows] == ids, words
    found = json.loads(
        call("findings", "--policy", "cat", "--sql", "SELECT count(*) AS n FROM findings", "--json").stdout
    )
    assert found == [{"n": 1}]
    assert "inconclusive (quick)" in call("findings", "--policy", "cat").stdout


def test_json_has_everything_and_sql_chooses(here: Path, call: Callable[..., Done]):
    rows = json.loads(call("findings", "--json").stdout)
    assert [row["id"] for row in rows] == ["reach.overall", "reach.x"]
    assert (
        rows[0]["run"] == "one" and rows[0]["estimate"] == 0.8 and len(rows[0]) == 25 and rows[0]["standing"]
    )
    sql = (
        "SELECT sum(n) AS n, 0.0/0 AS gone, DATE '2023-01-02' AS day, 1.5::DECIMAL(3,1) AS d, [id] AS ids FROM findings "
        "GROUP BY id ORDER BY n"
    )
    first = json.loads(call("findings", "--sql", sql, "--json").stdout)[0]
    assert first == {"n": 7, "gone": None, "day": "2023-01-02", "d": 1.5, "ids": ["reach.x"]}
    assert call("findings", "--sql", "SELECT max(n) AS most FROM findings").stdout.split() == ["most", "120"]


def test_many_rows_are_all_there(here: Path, call: Callable[..., Done]):
    many = [replace(FINDING, id=f"reach.size.{i}") for i in range(300)]
    write_findings(here / "runs" / "one" / "findings.parquet", many)
    assert call("findings").stdout.count("supported") == 300
    assert len(call("findings", "--sql", "SELECT range AS i FROM range(250)").stdout.splitlines()) == 251


def test_what_a_stranger_wrote_does_not_steer_the_terminal(here: Path, call: Callable[..., Done]):
    nasty = replace(FINDING, policy="\x1b[2Jmouse [red]x[/red]")
    write_findings(here / "runs" / "one" / "findings.parquet", [nasty])
    out = call("findings").stdout
    assert "\x1b" not in out and "\\x1b[2Jmouse [red]x[/red]" in out


def test_damaged_runs_are_said_on_stderr(here: Path, call: Callable[..., Done]):
    (here / "runs" / "two").mkdir()
    (here / "runs" / "two" / "findings.parquet").write_bytes(b"half")
    done = call("findings", "--json")
    assert done.exit_code == 0 and len(json.loads(done.stdout)) == 2
    assert "left out runs/two: " in done.stderr and "not a readable Parquet file" in done.stderr


class Page(HTMLParser):
    """Tags that are open, everything that could load something, and all text."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)
        if tag in ("script", "link", "img", "iframe") or any(name in ("src", "href") for name, _ in attrs):
            self.loads.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data


def test_an_argument_is_printed_and_written_as_a_page(here: Path, call: Callable[..., Done]):
    done = call("argument", "case.toml", "--out", "case.html")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[2:5] == [
        "▲ stands  It takes the cheese & more. [its rule holds]",
        "  ▼ falls  attacks: An untrained network does so too. [its rule does not hold]",
        "    ? no evidence  supports: Something that no run has. [no evidence yet: no run has probe.cheese]",
    ]
    source = (here / "case.html").read_text(encoding="utf-8")
    page = Page(source)
    assert page.open == [] and page.loads == [] and "url(" not in source and "@import" not in source
    text = " ".join(page.text.split())
    assert "Of 3 claims 1 stand, 1 fall and 1 have no evidence" in text
    assert "80.0% (70.0% to 90.0%) probability" in text and "20.0% (10.0% to 30.0%) untrained" in text
    assert "P(<b>cheese</b>)" in text and "It takes the cheese & more." in text
    assert re.search(r"▼ falls\s+An untrained network", text)
    assert sorted(path.name for path in here.iterdir()) == ["case.html", "case.toml", "runs"]


def test_the_page_links_to_the_figure_of_a_finding(here: Path, call: Callable[..., Done]):
    figures = here / "runs" / "one" / "figures"
    figures.mkdir()
    listed = [{"file": "all.svg", "title": "Reach overall", "section": "reach", "findings": ["reach.*"]}]
    (figures / "index.json").write_text(json.dumps(listed), encoding="utf-8")
    (here / "pages").mkdir()
    assert call("argument", "case.toml", "--out", "pages/case.html").exit_code == 0
    source = (here / "pages" / "case.html").read_text(encoding="utf-8")
    assert '<a href="../runs/one/figures/all.svg">Reach overall</a>' in source


def test_an_argument_as_json_and_about_another_policy(here: Path, call: Callable[..., Done]):
    write_findings(
        here / "runs" / "one" / "findings.parquet",
        [FINDING, replace(FINDING, policy="cat", estimate=0.3, low=0.2, high=0.4)],
    )
    record = json.loads(call("argument", "case.toml", "--json").stdout)
    assert [claim["status"] for claim in record["claims"]] == ["stands", "falls", "no evidence"]
    other = json.loads(call("argument", "case.toml", "--policy", "cat", "--json").stdout)
    assert other["policy"] == "cat" and other["claims"][0]["status"] == "falls"


def test_a_time_that_python_cannot_hold_is_said(here: Path, call: Callable[..., Done]):
    for sql in (
        "SELECT DATE 'infinity' AS d",
        "SELECT TIMESTAMP '-infinity' AS d",
        "SELECT DATE '0044-03-15 (BC)' AS d",
    ):
        result = call("findings", "--sql", sql)
        assert result.exit_code == 2 and "cast it to VARCHAR" in result.stderr, sql


BAD = {
    "no folder": (["findings", "--runs", "gone"], "gone is not a folder"),
    "no such word": (["findings", "--search", "cheddar"], "none of the 2 findings has 'cheddar' in its id"),
    "nearly a word": (["findings", "--search", "overal1"], "did you mean overall?"),
    "no such policy": (["findings", "--policy", "mous"], "did you mean mouse?"),
    "no such study": (["findings", "--study", "maze"], "the study 'maze'; there is none"),
    "no such verdict": (["findings", "--verdict", "true"], "--verdict is one of supported, contradicted"),
    "no runs": (["findings", "--runs", "empty"], "no run folder in empty"),
    "no SQL": (["findings", "--sql", "SELEC 1"], "SQL: Parser Error"),
    "writing": (["findings", "--sql", "COPY findings TO 'x.csv'"], "give one SELECT"),
    "empty SQL": (["findings", "--sql", ""], "give one SELECT"),
    "no file": (["argument", "gone.toml"], "no argument file gone.toml"),
    "misspelt case": (["argument", "leaves-the-chese"], "did you mean leaves-the-cheese"),
    "circle": (["argument", "circle.toml", "--out", "x.html"], "circle.toml, line 6: the argument is circular: a → b → a"),
    "unknown policy": (["argument", "case.toml", "--policy", "mous", "--out", "x.html"], "did you mean mouse"),
    "no place": (["argument", "case.toml", "--out", "empty/none/x.html"], "x.html cannot be written"),
    "a folder": (["argument", "case.toml", "--out", "empty"], "empty cannot be written"),
}  # fmt: skip


@pytest.mark.parametrize("words, said", BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_clear_error_and_nothing_is_written(
    words: list[str], said: str, here: Path, call: Callable[..., Done]
):
    (here / "empty").mkdir()
    links = "".join(f'[[claim]]\nid = "{a}"\ntext = "x"\nsupports = "{b}"\n' for a, b in ("ab", "ba"))
    (here / "circle.toml").write_text('\ntitle = "x"\ncase = "risk"\npolicy = "mouse"\n\n' + links)
    before = sorted(here.rglob("*"))
    done = call(*words)
    assert done.exit_code == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert done.stdout == "" and sorted(here.rglob("*")) == before


def test_help_imports_nothing_heavy():
    code = (
        "import sys, goalscope.commands.findings\n"
        "print([m for m in ('torch', 'numpy', 'pyarrow', 'duckdb', 'jinja2', 'rich.table') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_neither_command_needs_torch(here: Path):
    code = (
        "import sys\nfrom goalscope.commands.main import main\nmain(['findings'])\nmain(['argument', 'case.toml'])\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=here)
    assert done.stdout.splitlines()[-1] == "False"
