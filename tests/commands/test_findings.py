"""`goalscope findings` and `goalscope argument`: what they print and write, and one clear line for bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from goalscope.commands.findings import SHOWN, argument, findings
from goalscope.evidence.finding import Finding, write_findings

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
app.command("findings")(findings)
app.command("argument")(argument)

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


def call(*words: str) -> Any:
    """Runs a command; errors come back as they reach the entry point."""
    return CliRunner().invoke(app, list(words))


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


def test_findings_are_a_table(here: Path):
    done = call("findings")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "run",
        "policy",
        "id",
        "standing",
        "estimate",
        "low",
        "high",
        "control",
        "n",
        "unit",
    ]
    assert lines[1].split() == [
        "one",
        "mouse",
        "reach.overall",
        "supported",
        "0.8",
        "0.7",
        "0.9",
        "0.2",
        "120",
        "probability",
    ]
    assert len(lines) == 3


def test_json_has_everything_and_sql_chooses(here: Path):
    rows = json.loads(call("findings", "--json").stdout)
    assert [row["id"] for row in rows] == ["reach.overall", "reach.x"]
    assert (
        rows[0]["run"] == "one" and rows[0]["estimate"] == 0.8 and len(rows[0]) == 24 and rows[0]["standing"]
    )
    sql = (
        "SELECT sum(n) AS n, 0.0/0 AS gone, DATE '2023-01-02' AS day, 1.5::DECIMAL(3,1) AS d, [id] AS ids FROM findings "
        "GROUP BY id ORDER BY n"
    )
    first = json.loads(call("findings", "--sql", sql, "--json").stdout)[0]
    assert first == {"n": 7, "gone": None, "day": "2023-01-02", "d": 1.5, "ids": ["reach.x"]}
    assert call("findings", "--sql", "SELECT max(n) AS most FROM findings").stdout.split() == ["most", "120"]


def test_many_rows_are_cut_and_said(here: Path):
    done = call("findings", "--sql", f"SELECT range AS i FROM range({SHOWN + 50})")
    assert len(done.stdout.splitlines()) == SHOWN + 2 and f"{SHOWN} of {SHOWN + 50} rows" in done.stdout
    assert len(json.loads(call("findings", "--sql", "FROM range(999)", "--json").stdout)) == 999


def test_what_a_stranger_wrote_does_not_steer_the_terminal(here: Path):
    nasty = replace(FINDING, policy="\x1b[2Jmouse [red]x[/red]")
    write_findings(here / "runs" / "one" / "findings.parquet", [nasty])
    out = call("findings").stdout
    assert "\x1b" not in out and "\\x1b[2Jmouse [red]x[/red]" in out


def test_damaged_runs_are_said_on_stderr(here: Path):
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


def test_an_argument_is_printed_and_written_as_a_page(here: Path):
    done = call("argument", "case.toml", "--out", "case.html")
    assert done.exit_code == 0, done.exception
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


def test_the_page_links_to_the_figure_of_a_finding(here: Path):
    figures = here / "runs" / "one" / "figures"
    figures.mkdir()
    listed = [{"file": "all.svg", "title": "Reach overall", "section": "reach", "findings": ["reach.*"]}]
    (figures / "index.json").write_text(json.dumps(listed), encoding="utf-8")
    (here / "pages").mkdir()
    assert call("argument", "case.toml", "--out", "pages/case.html").exit_code == 0
    source = (here / "pages" / "case.html").read_text(encoding="utf-8")
    assert '<a href="../runs/one/figures/all.svg">Reach overall</a>' in source


def test_an_argument_as_json_and_about_another_policy(here: Path):
    write_findings(
        here / "runs" / "one" / "findings.parquet",
        [FINDING, replace(FINDING, policy="cat", estimate=0.3, low=0.2, high=0.4)],
    )
    record = json.loads(call("argument", "case.toml", "--json").stdout)
    assert [claim["status"] for claim in record["claims"]] == ["stands", "falls", "no evidence"]
    other = json.loads(call("argument", "case.toml", "--policy", "cat", "--json").stdout)
    assert other["policy"] == "cat" and other["claims"][0]["status"] == "falls"


def test_a_time_that_python_cannot_hold_is_said(here: Path):
    for sql in (
        "SELECT DATE 'infinity' AS d",
        "SELECT TIMESTAMP '-infinity' AS d",
        "SELECT DATE '0044-03-15 (BC)' AS d",
    ):
        result = call("findings", "--sql", sql)
        assert isinstance(result.exception, ValueError) and "cast it to VARCHAR" in str(result.exception), sql


BAD = {
    "no folder": (["findings", "--runs", "gone"], "gone is not a folder"),
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
def test_bad_input_is_one_clear_error_and_nothing_is_written(words: list[str], said: str, here: Path):
    (here / "empty").mkdir()
    links = "".join(f'[[claim]]\nid = "{a}"\ntext = "x"\nsupports = "{b}"\n' for a, b in ("ab", "ba"))
    (here / "circle.toml").write_text('\ntitle = "x"\ncase = "risk"\npolicy = "mouse"\n\n' + links)
    before = sorted(here.rglob("*"))
    done = call(*words)
    # The entry point of the command line makes one line and exit code 2 of these.
    assert isinstance(done.exception, ValueError | KeyError | OSError)
    assert said in str(done.exception.args[-1] if isinstance(done.exception, KeyError) else done.exception)
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
        "import sys\nfrom pathlib import Path\nfrom goalscope.commands.findings import argument, findings\n"
        "findings(Path('runs'), None, False)\n"
        "argument('case.toml', Path('runs'), None, None, False)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=here)
    assert done.stdout.splitlines()[-1] == "False"
