"""`goalscope forecast`: from a text file to the page, and what bad input gets: one line, exit code 2, nothing written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from goalscope.commands import main as cli
from goalscope.evidence.finding import Finding, write_findings
from goalscope.evidence.ledger import verify
from goalscope.evidence.store import figure_of
from goalscope.plots.charts import forest
from goalscope.plots.figure import Figure, write_figures
from goalscope.report.scoreboard import write_scoreboard

FILE = """\
[[forecast]]
id = "likely"
by = "Ada"
kind = "threshold"
statement = "it reaches the cheese <b>mostly</b>"
probability = 0.8
rule = "reach.overall > 0.5"

[[forecast]]
id = "unlikely"
by = "Bob"
kind = "sign"
statement = "the corner repels"
probability = 0.4
rule = "reach.corner_pull < 0"

[[forecast]]
id = "later"
by = "Bob"
kind = "numeric"
statement = "how readable"
quantiles = [[0.5, 0.7]]
rule = "probe.cheese_position.middle"

[[question]]
id = "asked"
statement = "how often?"
findings = ["reach.overall"]
"""


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["goalscope", "forecast", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
        sys.exit(0)
    return stopped.value.code if isinstance(stopped.value.code, int) else 0


def finding(identifier: str, estimate: float, low: float, high: float) -> Finding:
    return Finding(
        identifier, f"what is {identifier}?", estimate, low, high, 100, "probability", 0.1, 0.05, 0.15, "untrained",
        "exact", "behaviour", "mouse", "", "maze, size 13", 0, "1",
    )  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a forecast file and the runs of two policies."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(FILE)
    rows = [finding("reach.overall", 0.8, 0.7, 0.9), finding("reach.corner_pull", 0.3, 0.2, 0.4)]
    for run, policy in (("first run", "mouse"), ("second", "impala")):
        folder = tmp_path / "runs" / run
        folder.mkdir(parents=True)
        write_findings(folder / "findings.parquet", [replace(row, policy=policy) for row in rows])
    svg = forest(["a"], [0.8], [0.7], [0.9], title="Reach overall")
    figures = [
        ("other", "reach", Figure.of(forest(["b"], [0.1], [0], [0.2], title="x"))),
        ("overall", "reach", Figure.of(svg)),
    ]
    shown = {"other": ("reach.corner_pull",), "overall": ("reach.over*",)}
    write_figures(tmp_path / "runs" / "first run", figures, shown)
    return tmp_path


def test_from_a_file_to_the_page(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "register", "mine.toml", "--author", "Ada") == 0
    said = capsys.readouterr().out
    published = said.split("Hash: ")[1].split()[0]
    assert "3 forecasts and 1 questions as entry 0" in said
    assert call(monkeypatch, "register", "cheese_maze") == 0
    assert call(monkeypatch, "verify", "--hash", published) == 0
    assert "is whole: 2 entries" in capsys.readouterr().out
    assert call(monkeypatch, "resolve") == 0
    out = capsys.readouterr().out
    assert re.search(r"mouse, maze, size 13\n  yes +80%  likely\n  no +40%  unlikely\n  void +later", out)
    assert out.count("likely\n") == 4, "two policies"
    assert call(monkeypatch, "score", "--policy", "mouse", "--json") == 0
    board = json.loads(capsys.readouterr().out)
    everyone, ada, bob, reader = board["subjects"][0]["scores"]
    assert everyone["brier"]["score"] == pytest.approx((0.04 + 0.16) / 2)
    assert ada["skill_half"] == pytest.approx(1 - 0.04 / 0.25)
    assert (bob["statements"], bob["void"]) == (1, 1) and reader["statements"] == 0
    assert sorted(os.listdir(here / "forecasts")) == [
        "ledger.jsonl", "ledger.jsonl.head", "reliability-1.svg", "scoreboard.html", "scoreboard.json",
    ]  # fmt: skip


class Page(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.text = ""
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "a":
            self.links.append(named["href"] or "")
        if tag in ("script", "link", "iframe") or (named.get("src") or "data:")[:5] != "data:":
            self.loads.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_each_forecast_with_its_evidence(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "register", "mine.toml", "--author", "Ada") == 0
    assert call(monkeypatch, "score", "--out", "page") == 0
    html = (here / "page" / "scoreboard.html").read_text()
    page = Page(html)
    assert page.loads == []
    words = re.sub(r"\s+", " ", page.text)
    for said in ("mouse (maze)", "impala (maze)", "80%", "came true", "did not", "no evidence yet", "50%: 0.7",
                 "80.0% (70.0% to 90.0%)", "control 10.0% (5.0% to 15.0%), untrained", "reach.overall > 0.5",
                 "0.100", "+0.600", verify(here / "forecasts/ledger.jsonl").head):  # fmt: skip
        assert said in words, said
    assert "cheese <b>mostly" not in html and "cheese &lt;b&gt;mostly" in html
    link = next(link for link in page.links if not link.startswith("#"))
    assert link == "../runs/first%20run/figures/overall.svg"
    assert html.count("<svg") == 2, "a reliability diagram for each policy"
    said = re.findall(r"everyone said 80% 1 times, 100% came true \((.*?)\)", html)
    assert len(said) >= 2 and set(said) <= {"2% to 100%", "3% to 100%"}, "Clopper-Pearson of 1 of 1"
    (here / "page" / "scoreboard.json").write_text("{}")
    with pytest.raises(ValueError, match=r"scoreboard\.json is damaged"):
        write_scoreboard(here / "page")
    assert (here / "page" / "scoreboard.html").read_text() == html


def test_the_figure_of_a_finding_is_the_one_that_draws_it(here: Path) -> None:
    first, page = here / "runs" / "first run", here / "pages"
    link = "../runs/first run/figures/overall.svg"
    assert figure_of("reach.overall", first, page) == (link, "Reach overall")
    assert figure_of("reach.corner_pull", first, page)[1] == "x"
    assert figure_of("reach.other", first, page) == ("", ""), "of its section, but nowhere drawn"
    assert figure_of("decision.accuracy", first, page) == ("", "")
    assert figure_of("reach.overall", here / "runs" / "second", page) == ("", "")


def test_nothing_in_runs_or_forecasts_steers_the_terminal(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [finding("reach.overall", 0.8, 0.7, 0.9)]
    rows = [replace(row, policy="mouse\x1b[2J", world="maze\x1b[31m") for row in rows]
    write_findings(here / "runs" / "second" / "findings.parquet", rows)
    text = FILE.replace('rule = "reach.overall > 0.5"', 'undecidable = "why \\u001b[2J"').replace(
        'by = "', 'by = "\\u001b[2J'
    )
    (here / "mine.toml").write_text(text)
    assert text != FILE and call(monkeypatch, "register", "mine.toml") == 0
    for command in ("resolve", "score"):
        assert call(monkeypatch, command) == 0
        said = capsys.readouterr().out
        assert "\x1b" not in said and "\\x1b[2J" in said


BAD = {
    "no such file": (["register", "gone.toml"], "no forecast file gone.toml"),
    "not text": (["register", "bytes.toml"], "not UTF-8"),
    "probability": (
        ["register", "bad.toml"],
        "bad.toml, line 6: probability must be a number from 0 to 1, got 1.8",
    ),
    "unknown finding": (["register", "unknown.toml"], "did you mean reach.overall"),
    "no ledger": (["verify"], "no ledger forecasts/ledger.jsonl"),
    "no ledger to score": (["score"], "no ledger forecasts/ledger.jsonl"),
    "no runs": (["score", "--ledger", "whole/l.jsonl", "--runs", "none"], "none is not a folder"),
    "no such policy": (
        ["resolve", "--ledger", "whole/l.jsonl", "--policy", "rat"],
        "runs about mouse, impala",
    ),
    "twice": (["register", "mine.toml", "--ledger", "whole/l.jsonl"], "'likely' is already registered"),
    "edited": (["score", "--ledger", "edited/l.jsonl"], "was edited"),
    "another hash": (["verify", "--ledger", "whole/l.jsonl", "--hash", "0" * 64], "no entry has the hash"),
    "a file in the way": (["register", "mine.toml", "--ledger", "mine.toml/ledger"], "cannot be written"),
    "a page in the way": (
        ["score", "--ledger", "whole/l.jsonl", "--out", "mine.toml"],
        "choose another --out",
    ),
}


@pytest.mark.parametrize("words, said", BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_clear_error(
    words: list[str],
    said: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (here / "bytes.toml").write_bytes(b"\xff\xfe")
    (here / "bad.toml").write_text(FILE.replace("0.8", "1.8"))
    (here / "unknown.toml").write_text(FILE.replace("reach.overall >", "reach.overal >"))
    for name in ("whole", "edited"):
        assert (
            call(monkeypatch, "register", "mine.toml", "--author", "Ada", "--ledger", f"{name}/l.jsonl") == 0
        )
    edited = here / "edited" / "l.jsonl"
    edited.write_bytes(edited.read_bytes().replace(b"Ada", b"Eve"))
    capsys.readouterr()
    before = {file: file.read_bytes() for file in sorted(here.rglob("*")) if file.is_file()}
    assert call(monkeypatch, *words) == 2
    out, err = capsys.readouterr()
    assert said in err and "Traceback" not in err and out == ""
    assert {file: file.read_bytes() for file in sorted(here.rglob("*")) if file.is_file()} == before


def test_a_folder_that_may_not_be_written() -> None:
    """As a user without rights, since the superuser may write anywhere; in a place that such a user can see."""
    code = (
        "import os, sys\n"
        "from goalscope.evidence.ledger import append\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: append(sys.argv[1], 'text', ['id'], 'Ada')\n"
        "except OSError as error: print(error)"
    )
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        command = [sys.executable, "-c", code, f"{name}/ledger.jsonl"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert "cannot be written (Permission denied): choose another place" in done.stdout, done.stderr
        assert os.listdir(name) == []


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, goalscope.commands.forecast\n"
        "print([m for m in ('torch', 'numba', 'numpy', 'pyarrow', 'jinja2', 'goalscope.evidence') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
