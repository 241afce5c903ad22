"""The store: every run folder in one table, what is damaged named, SQL that reads the table and nothing else."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from goalscope.evidence import store as store_module
from goalscope.evidence.finding import SCHEMA, Finding, write_findings
from goalscope.evidence.store import TABLE_SCHEMA, Store, open_store

FINDING = Finding(
    id="reach.size.13", question="P(reach the cheese)", estimate=0.5, low=0.4, high=0.6, n=10, unit="probability",
    control=0.2, control_low=0.1, control_high=0.3, control_name="untrained", method="exact chain", site="behaviour",
    policy="mouse-a", policy_sha256="", world="maze, size 13", seed=0, code_version="0.1.0+0",
)  # fmt: skip


def run(folder: Path, *findings: Finding) -> Path:
    """A run folder as a study leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text("{}")
    (folder / "figures").mkdir(exist_ok=True)
    write_findings(folder / "findings.parquet", findings)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs, one of them deeper, with one and two findings."""
    run(tmp_path / "runs" / "first", FINDING)
    run(
        tmp_path / "runs" / "deep" / "second",
        replace(FINDING, estimate=0.45, policy="mouse-b"),
        replace(
            FINDING, id="reach.overall", policy="mouse-b", control=None, control_low=None, control_high=None
        ),
    )
    return tmp_path / "runs"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The run folders whose files are read, not taken from the cache."""
    real, seen = store_module.read_findings, []

    def noted(path: Path) -> tuple[Finding, ...]:
        seen.append(path.parent.name)
        return real(path)

    monkeypatch.setattr(store_module, "read_findings", noted)
    return seen


def content(store: Store) -> list[tuple[str, str, float]]:
    return [(row["run"], row["id"], row["estimate"]) for row in store.table.to_pylist()]


BOTH = [
    ("deep/second", "reach.size.13", 0.45),
    ("deep/second", "reach.overall", 0.5),
    ("first", "reach.size.13", 0.5),
]


def test_all_runs_are_one_table(runs: Path, cache: Path):
    store = open_store(runs, cache)
    assert content(store) == BOTH and store.problems == () and store.runs == ("deep/second", "first")
    assert store.table.schema.equals(TABLE_SCHEMA) and TABLE_SCHEMA.names == [
        "run",
        *SCHEMA.names,
        "standing",
    ]
    again = open_store(runs, cache)
    assert again.table.equals(store.table) and again.runs == store.runs
    rows = again.query("SELECT policy, count(*) AS c FROM findings GROUP BY ALL ORDER BY policy").to_pylist()
    assert rows == [{"policy": "mouse-a", "c": 1}, {"policy": "mouse-b", "c": 2}]
    assert again.query("SELECT control FROM findings WHERE control IS NULL").num_rows == 1


def test_a_run_folder_itself_and_a_link_to_one(runs: Path, cache: Path):
    assert content(open_store(runs / "first", cache)) == [(".", "reach.size.13", 0.5)]
    (runs / "zlink").symlink_to(runs / "deep")
    (runs / "deep" / "circle").symlink_to(runs)
    assert content(open_store(runs, cache)) == BOTH


def test_findings_of_a_policy(runs: Path, cache: Path):
    store = open_store(runs, cache)
    assert store.findings("mouse-a") == (("first", FINDING),)
    assert [finding.control for _, finding in store.findings("mouse-b")] == [0.2, None]
    with pytest.raises(KeyError, match=r"no finding about the policy 'mouse-q'.*did you mean mouse-"):
        store.findings("mouse-q")


# The cache


def test_only_what_changed_is_read_again(runs: Path, cache: Path, reads: list[str]):
    open_store(runs, cache)
    assert sorted(reads) == ["first", "second"]
    reads.clear()
    open_store(runs, cache)
    assert reads == []
    run(runs / "first", replace(FINDING, estimate=0.55))
    assert content(open_store(runs, cache))[2] == ("first", "reach.size.13", 0.55)
    assert reads == ["first"]


def test_runs_may_be_deleted_copied_and_moved(runs: Path, cache: Path):
    open_store(runs, cache)
    shutil.copytree(runs / "first", runs / "copy")
    (runs / "deep" / "second").rename(runs / "moved")
    expected = [("copy", "reach.size.13", 0.5), ("first", "reach.size.13", 0.5)]
    assert content(open_store(runs, cache))[:2] == expected
    assert [row[0] for row in content(open_store(runs, cache))] == ["copy", "first", "moved", "moved"]
    shutil.rmtree(runs / "moved")
    assert content(open_store(runs, cache)) == expected
    runs.rename(runs.with_name("elsewhere"))
    assert content(open_store(runs.with_name("elsewhere"), cache)) == expected


def test_a_change_of_the_same_size_and_date_is_seen(runs: Path, cache: Path):
    path = runs / "first" / "findings.parquet"
    open_store(runs, cache)
    before = path.stat()
    run(runs / "first", replace(FINDING, estimate=0.51))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert content(open_store(runs, cache))[2] == ("first", "reach.size.13", 0.51)


@pytest.mark.parametrize("damage", [b"", b"PAR1 half", None])
def test_a_damaged_cache_is_made_anew(runs: Path, cache: Path, damage: bytes | None, reads: list[str]):
    open_store(runs, cache)
    (file,) = cache.iterdir()
    if damage is None:
        write_findings(file, [FINDING])  # a sound file, but no cache
    else:
        file.write_bytes(damage)
    reads.clear()
    assert content(open_store(runs, cache)) == BOTH and len(reads) == 2
    reads.clear()
    assert content(open_store(runs, cache)) == BOTH and reads == []


def test_without_a_place_for_the_cache(runs: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert content(open_store(runs, tmp_path / "file" / "cache")) == BOTH
    assert sorted(os.listdir(tmp_path)) == ["file", "runs"]


def test_the_cache_lies_in_the_users_folder_and_old_files_go(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "goalscope"
    folder.mkdir(parents=True)
    old, recent = folder / "findings-old.parquet", folder / "findings-recent.parquet"
    for file in (old, recent):
        file.write_bytes(b"")
    os.utime(old, (0, time.time() - 100 * 86400))
    before = sorted(runs.rglob("*"))
    open_store(runs)
    assert not old.exists() and recent.exists() and len(list(folder.iterdir())) == 2
    assert sorted(runs.rglob("*")) == before


# What is damaged is named


def test_damaged_and_unfinished_runs_are_named_and_the_others_read(runs: Path, cache: Path):
    half = run(runs / "half", FINDING) / "findings.parquet"
    half.write_bytes(half.read_bytes()[:-40])
    (run(runs / "lost", FINDING) / "findings.parquet").unlink()
    (run(runs / "killed.part", FINDING) / ".work").mkdir()
    (runs / "notes").mkdir()
    (runs / "training" / "snapshots").mkdir(parents=True)
    for _ in range(2):
        store = open_store(runs, cache)
        assert content(store) == BOTH
        assert [Path(problem.path).name for problem in store.problems] == ["half", "killed.part", "lost"]
        reasons = [str(problem) for problem in store.problems]
        assert "not a readable Parquet file" in reasons[0]
        assert "its command, given again, goes on" in reasons[1]
        assert "has no findings.parquet" in reasons[2]
    run(runs / "half", FINDING)
    assert "half" in open_store(runs, cache).runs


def test_a_finding_that_cannot_be_damages_its_run(runs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(Finding, "__post_init__", lambda self: None)
        run(runs / "liar", replace(FINDING, low=0.9))
    (problem,) = open_store(runs, cache).problems
    assert "liar" in problem.path and "lies outside of its interval" in problem.reason


def test_a_name_that_is_not_utf8(runs: Path, cache: Path):
    try:
        os.mkdir(os.fsencode(runs) + b"/bad\xff")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (problem,) = open_store(runs, cache).problems
    assert "rename it" in problem.reason and problem.path.encode()


def test_nowhere_and_nothing(tmp_path: Path, cache: Path):
    with pytest.raises(FileNotFoundError, match=r"gone is not a folder.*--runs"):
        open_store(tmp_path / "gone", cache)
    with pytest.raises(FileNotFoundError, match=r"no run folder in .*goalscope study maze"):
        open_store(tmp_path, cache)
    assert not cache.exists()
    run(tmp_path / "empty")
    assert len(open_store(tmp_path, cache).table) == 0
    assert open_store(tmp_path, cache).query("SELECT * FROM findings").num_rows == 0


# The SQL

REFUSED = {
    "a file": ("SELECT * FROM '{file}'", "disabled by configuration"),
    "a text file": ("SELECT * FROM read_text('{file}')", "disabled by configuration"),
    "a list of files": ("SELECT * FROM glob('{file}*')", "disabled by configuration"),
    "Parquet": ("SELECT * FROM read_parquet('{file}')", "disabled by configuration"),
    "a query in a text": ("SELECT * FROM query('COPY findings TO ''{out}''')", "SELECT"),
    "writing": ("COPY findings TO '{out}'", "give one SELECT"),
    "exporting": ("EXPORT DATABASE '{out}'", "give one SELECT"),
    "attaching": ("ATTACH '{out}'", "give one SELECT"),
    "an extension": ("LOAD httpfs", "give one SELECT"),
    "a setting": ("SET enable_external_access = true", "give one SELECT"),
    "a table": ("CREATE TABLE x AS SELECT 1", "give one SELECT"),
    "deleting": ("DELETE FROM findings", "give one SELECT"),
    "two statements": ("SELECT 1; COPY findings TO '{out}'", "give one SELECT"),
    "a Python variable": ("SELECT * FROM TABLE_SCHEMA", "name TABLE_SCHEMA does not exist. The only table"),
    "no such column": ("SELECT polcy FROM findings", "The columns are run, id, question"),
    "no SQL": ("SELEC 1", "syntax error"),
    "nothing": (" -- ", "give one SELECT"),
    "a cast": ("SELECT CAST(id AS INT) FROM findings", "Conversion Error"),
    "a name twice": ("SELECT 1 AS a, 2 AS a", "two columns are called a; rename one"),
    "no value": ("SELECT $x FROM findings", "parameter"),
}


@pytest.mark.parametrize("sql, said", REFUSED.values(), ids=REFUSED.keys())
def test_sql_reads_the_table_and_nothing_else(runs: Path, cache: Path, tmp_path: Path, sql: str, said: str):
    store = open_store(runs, cache)
    (tmp_path / "file.csv").write_text("a\n1\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError) as caught:
        store.query(sql.format(file=tmp_path / "file.csv", out=tmp_path / "out"))
    message = str(caught.value)
    assert message.startswith("SQL: ") and said in message.replace("!", ".") and "\n" not in message
    assert sorted(tmp_path.rglob("*")) == before
    assert store.query("SELECT count(*) AS c FROM findings").to_pylist() == [{"c": 3}]
