"""All run folders under a folder as one table of findings, and read-only SQL over it.

The run folders stay the source of truth: they may be copied, moved or deleted at any time, and what cannot be read is
named. A cache in the user's cache folder makes the second look quick; it is thrown away wherever it does not fit.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from goalscope.evidence.finding import SCHEMA, Finding, from_row, read_findings, to_table
from goalscope.files import cache_folder, read_text, whole_file
from goalscope.showing import drawing, text

TABLE_SCHEMA = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        *SCHEMA,
        pa.field("standing", pa.string(), nullable=False),
    ]
)
"""the columns of the table `findings`: the run folder, what its finding says, and how that stands"""
_FILE = "findings.parquet"
_INDEX = b"goalscope runs"
_UNUSED_DAYS = 90
"""a cache file that was not rewritten for so long is removed; it would only be made anew"""
_SEALED: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "threads": "2",
}
"""of DuckDB, beside `enable_external_access`: no downloads, no Python variables as tables, no files of its own"""


@dataclass(frozen=True)
class Problem:
    """A run folder that is left out of the table."""

    __repr__, _repr_html_ = text, drawing

    path: str
    reason: str

    def __str__(self) -> str:
        return f"left out {self.path}: {self.reason}"


@dataclass(frozen=True)
class Store:
    """What `open_store` found.

    Attributes:
        root: the folder that was searched.
        runs: the run folders that were read, relative to `root`, sorted; '.' is `root` itself.
        table: their findings, columns `TABLE_SCHEMA`; by run, then as in the run's file.
        problems: the run folders that are damaged or not finished, sorted.
    """

    __repr__, _repr_html_ = text, drawing

    root: Path
    runs: tuple[str, ...]
    table: pa.Table
    problems: tuple[Problem, ...]

    def findings(self, policy: str) -> tuple[tuple[str, Finding], ...]:
        """(run, finding) of every finding about a policy, in the order of the table.

        Raises:
            KeyError: no run folder has a finding about it.
        """
        rows = self.table.filter(pc.field("policy") == policy).to_pylist()
        if not rows:
            there = self.table["policy"].unique().to_pylist()
            near = get_close_matches(policy, there, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(there)) or 'none'}"
            raise KeyError(f"no finding about the policy {policy!r} in {self.root}; {hint}")
        return tuple((row["run"], from_row(row)) for row in rows)

    def chosen(self, policy: str = "", study: str = "", verdict: str = "", search: str = "") -> Store:
        """The same with some of the findings; '' takes all.

        Args:
            policy: its name.
            study: of whose runs, as `run.json` names it.
            verdict: their standing, one of `standing.STANDINGS`.
            search: words that all stand in the id, the question, the method or the site, in any case of letters.

        Raises:
            KeyError: no finding is left; the message says what there is.
        """
        table = self.table
        for column, wanted in (("policy", policy), ("standing", verdict)):
            if wanted:
                table = _having(table, table[column], wanted, column)
        if study:
            of_run = {run: _study_of(self.root / run) for run in set(table["run"].to_pylist())}
            studies = pa.array([of_run[run] for run in table["run"].to_pylist()], pa.string())
            table = _having(table, studies, study, "study")
        for word in search.lower().split():
            texts = _texts(table)
            found = [word in text for text in texts]
            if not any(found):
                raise KeyError(_nowhere(word, table, texts))
            table = table.filter(pa.array(found))
        return Store(self.root, self.runs, table, self.problems)

    def whole(self) -> Store:
        """The same without the findings of quick runs, which are named among the problems."""
        runs = sorted(set(self.table.filter(pc.field("quick"))["run"].to_pylist()))
        reason = "a quick run, with fewer levels than the study has: --quick takes it too"
        named = [Problem(str(self.root / run), reason) for run in runs]
        kept = tuple(run for run in self.runs if run not in runs)
        return Store(self.root, kept, self.table.filter(~pc.field("quick")), (*self.problems, *named))

    def query(self, sql: str) -> pa.Table:
        """The answer of one SELECT over the table `findings`, in DuckDB's SQL.

        The query sees this table and nothing else: no file, no other database, no extension, no setting.

        Raises:
            ValueError: the SQL is wrong, is not one SELECT, or reaches for what it may not see.
        """
        import duckdb

        with closing(duckdb.connect(":memory:", config=_SEALED)) as connection:
            connection.register("findings", self.table)
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            try:
                statements = connection.extract_statements(sql)
                if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                    raise ValueError("SQL: give one SELECT over the table findings, and nothing else")
                answer = connection.sql(statements[0].query).to_arrow_table()
            except duckdb.Error as error:
                raise ValueError(_sql_error(error)) from error
        twice = {name for name in answer.column_names if answer.column_names.count(name) > 1}
        if twice:
            raise ValueError(f"SQL: two columns are called {', '.join(sorted(twice))}; rename one with AS")
        return answer


def _having(table: pa.Table, values: pa.Array | pa.ChunkedArray, wanted: str, what: str) -> pa.Table:
    """The rows whose value is the one that is wanted."""
    found = table.filter(pa.array([value == wanted for value in values.to_pylist()]))
    if len(found):
        return found
    there = sorted(value for value in values.unique().to_pylist() if value)
    near = get_close_matches(wanted, there, n=1)
    raise KeyError(
        f"none of the {len(table):,} findings has the {what} {wanted!r}; "
        + (f"did you mean {near[0]}?" if near else f"there is {', '.join(there) or 'none'}")
    )


def _texts(table: pa.Table) -> list[str]:
    """What of each finding is searched, in small letters."""
    columns = (table[name].to_pylist() for name in ("id", "question", "method", "site"))
    return ["\n".join(parts).lower() for parts in zip(*columns, strict=True)]


def _nowhere(word: str, table: pa.Table, texts: list[str]) -> str:
    """What is said of a word that no finding has."""
    words = {part for text in texts for part in re.split(r"[^\w]+", text) if len(part) > 2}
    near = get_close_matches(word, sorted(words), n=1)
    kinds = sorted({identifier.split(".")[0] for identifier in table["id"].to_pylist()})
    hint = f"did you mean {near[0]}?" if near else f"their ids begin with {', '.join(kinds)}"
    return f"none of the {len(table):,} findings has {word!r} in its id, question, method or site; {hint}"


def _study_of(run: Path) -> str:
    """What `run.json` calls the study of a run; '' where it does not say."""
    try:
        return str(json.loads(read_text(run / "run.json"))["provenance"]["study"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # a run without a word of its study is a run of no study that could be asked for


def _sql_error(error: Exception) -> str:
    """DuckDB's words in one line; where a name is unknown, the names that are known."""
    message = " ".join(str(error).split("\n\nLINE ")[0].split())
    if "Table with name" in message:
        message = message.split(" Did you mean")[0] + " The only table is findings."
    if "Table with name" in message or "Referenced column" in message:
        message = (
            f"{message.split(' Candidate bindings')[0]} The columns are {', '.join(TABLE_SCHEMA.names)}."
        )
    return f"SQL: {message}"


def open_store(runs: str | os.PathLike[str], cache: str | os.PathLike[str] | None = None) -> Store:
    """Reads the findings of every run folder in `runs`, at any depth; `runs` may be a run folder itself.

    A run folder is one that holds `findings.parquet`. What was read before, and has the same size and times, comes from
    the cache; where the cache cannot be read or written, the files are read each time.

    Args:
        runs: the folder to search.
        cache: the folder of the cache; the user's (`files.cache_folder`) where None.

    Raises:
        FileNotFoundError: no such folder, or no run folder in it.
    """
    root = Path(runs)
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root} is not a folder: give the folder that holds your run folders with --runs"
        )
    stamps, problems = _search(root)
    if not stamps and not problems:
        raise FileNotFoundError(
            f"no run folder in {root}: `goalscope study maze --out {root / 'first'}` makes one"
        )
    file = _cache_file(root, cache)
    known, table = _load(file)
    index: dict[str, tuple[str, int]] = {}
    if known.keys() != stamps.keys() or any(known[run][0] != stamps[run] for run in stamps):
        pieces, start = {}, 0
        for run, (stamp, count) in known.items():
            if stamps.get(run) == stamp:
                pieces[run] = table.slice(start, count)
            start += count
        for run in stamps.keys() - pieces.keys():
            try:
                pieces[run] = _read(root / run / _FILE, run)
            except (OSError, ValueError) as error:
                problems.append(Problem(str(root / run), str(error)))
        index = {run: (stamps[run], len(pieces[run])) for run in sorted(pieces)}
        table = pa.concat_tables([pieces[run] for run in index] or [TABLE_SCHEMA.empty_table()])
        table = table.combine_chunks()
        if index != known:
            _save(file, index, table)
    else:
        index = known
    return Store(root, tuple(index), table, tuple(sorted(problems, key=lambda problem: problem.path)))


def figure_of(identifier: str, run: Path, page: Path) -> tuple[str, str]:
    """The figure that draws a finding, as its run's index of figures says; the first where several do.

    Args:
        identifier: id of the finding.
        run: its run folder.
        page: the folder of the page that links to the figure.

    Returns:
        (link relative to `page`, title), or ('', '') where no figure draws it.
    """
    try:
        for entry in json.loads(read_text(run / "figures" / "index.json")):
            if any(fnmatch.fnmatchcase(identifier, pattern) for pattern in entry.get("findings", ())):
                return os.path.relpath(run / "figures" / str(entry["file"]), page), str(entry["title"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # a run without pictures is still a run
    return "", ""


def _search(root: Path) -> tuple[dict[str, str], list[Problem]]:
    """The run folders and the stamp of each one's file; links are followed, each folder is seen once."""
    stamps: dict[str, str] = {}
    problems: list[Problem] = []
    folders, seen = [root], set()
    while folders:
        folder = folders.pop()
        name = folder.relative_to(root).as_posix()
        try:
            name.encode()
            here = folder.stat()
            if (here.st_dev, here.st_ino) in seen:
                continue
            seen.add((here.st_dev, here.st_ino))
            with os.scandir(folder) as listing:
                entries = {entry.name: entry for entry in listing}
            if ".work" in entries and folder.name.endswith(".part"):
                reason = "the study was stopped or still runs; its command, given again, goes on with it"
                problems.append(Problem(str(folder), reason))
            elif _FILE in entries:
                stamps[name] = _stamp(entries[_FILE].stat())
            elif "run.json" in entries:
                problems.append(Problem(str(folder), f"it has no {_FILE}; copy it again, or run it again"))
            else:
                inner = [entry for entry in entries.values() if entry.name[0] != "." and entry.is_dir()]
                folders += sorted((folder / entry.name for entry in inner), reverse=True)
        except OSError as error:
            problems.append(Problem(str(folder), f"it cannot be read ({error.strerror})"))
        except UnicodeEncodeError:
            readable = os.fsencode(folder).decode("utf-8", "replace")
            problems.append(Problem(readable, "its name is not UTF-8; rename it"))
    return stamps, problems


def _stamp(status: os.stat_result) -> str:
    """Changes with every change of the file; the last two also where its size and date were put back."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _read(path: Path, run: str) -> pa.Table:
    """The findings of one run, each checked, with the run's name.

    Raises:
        OSError, ValueError: the file cannot be read, or holds what no finding can be.
    """
    findings = read_findings(path)
    table = to_table(findings).add_column(
        0, TABLE_SCHEMA.field("run"), pa.array([run] * len(findings), pa.string())
    )
    return table.append_column(
        TABLE_SCHEMA.field("standing"), pa.array([finding.standing for finding in findings], pa.string())
    )


def _cache_file(root: Path, cache: str | os.PathLike[str] | None) -> Path:
    """Each searched folder has its own file: not in the run folders, so that none comes along with a copy."""
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:24]
    return Path(cache or cache_folder()) / f"findings-{digest}.parquet"


def _load(file: Path) -> tuple[dict[str, tuple[str, int]], pa.Table]:
    """({run: (stamp, rows)}, their findings in this order); nothing where there is no cache that fits."""
    with suppress(OSError, ValueError, TypeError, pa.ArrowException):
        table = pq.read_table(file, memory_map=False, use_threads=False, pre_buffer=False)
        index = json.loads((table.schema.metadata or {})[_INDEX]) if table.schema.metadata else {}
        known = {str(run): (str(stamp), int(count)) for run, (stamp, count) in index.items()}
        table = table.replace_schema_metadata(None)
        if table.schema.equals(TABLE_SCHEMA) and sum(count for _, count in known.values()) == len(table):
            return known, table
    return {}, TABLE_SCHEMA.empty_table()


def _save(file: Path, index: dict[str, tuple[str, int]], table: pa.Table) -> None:
    """Replaces the cache in one step; where that cannot be, there is none: nothing depends on it."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as sink:
            pq.write_table(table.replace_schema_metadata({_INDEX: json.dumps(index)}), sink)
        for other in file.parent.glob("findings-*.parquet"):
            if other.stat().st_mtime < time.time() - _UNUSED_DAYS * 86400:
                other.unlink()
