"""Reading a run folder: `run.json`, `findings.parquet`, `figures/`; checked, and made plain records."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from goalscope.evidence.finding import LATER
from goalscope.files import decoded, read_text

_SENTENCES = re.compile(r"(?<=[.?!])\s+(?=[A-Z0-9])(?![^\[(]*[\])])")
"""between sentences, but not inside of brackets"""


@dataclass(frozen=True)
class Section:
    """One section of a study: a question and its answer in one sentence.

    Attributes:
        key: the first part of the ids of its findings, and the section of its figures.
        title, question, answer: plain text; the answer's first sentence is the verdict where none is given.
        verdict: the answer in a few words; may be empty.
    """

    key: str
    title: str
    question: str
    answer: str
    verdict: str = ""

    @property
    def said(self) -> tuple[str, list[str]]:
        """The verdict, and the sentences that bear it out."""
        sentences = _SENTENCES.split(self.answer) if self.answer else []
        if self.verdict:
            return self.verdict, sentences
        return (sentences[0], sentences[1:]) if sentences else ("", [])


@dataclass(frozen=True)
class Row:
    """One finding as it stands in the file; numbers that are missing are nan, n is -1 where it is missing.

    Attributes: the columns of `findings.parquet`; the last five are missing in files of version 0.1.0.
    """

    id: str
    question: str
    estimate: float
    low: float
    high: float
    n: int
    unit: str
    control: float
    control_low: float
    control_high: float
    control_name: str
    method: str
    site: str
    policy: str
    policy_sha256: str
    world: str
    seed: str
    code_version: str
    role: str = "undeclared"
    claim: str = "apart"
    invalid: str = ""
    quick: bool = False
    floor: float = math.nan

    @property
    def section(self) -> str:
        """Key of the section that lists this finding."""
        return self.id.split(".", 1)[0]


@dataclass(frozen=True)
class Picture:
    """One figure of the run.

    Attributes:
        file: its name inside `figures/`.
        svg: its text.
        title, caption, alt, section: from the index.
    """

    file: str
    svg: str
    title: str
    caption: str
    alt: str
    section: str


@dataclass(frozen=True)
class Run:
    """Everything the report shows.

    Attributes:
        title, headline, command: plain text; `command` may be empty.
        sections: in their order.
        provenance: nested mapping from `run.json`.
        findings: in the order of the file.
        pictures: in the order of the index.
    """

    title: str
    headline: str
    command: str
    sections: tuple[Section, ...]
    provenance: Mapping[str, Any]
    findings: tuple[Row, ...]
    pictures: tuple[Picture, ...]


def read_run(folder: Path) -> Run:
    """Reads a run folder.

    Raises:
        FileNotFoundError: if the folder, `run.json`, `findings.parquet` or a listed figure is missing.
        ValueError: if a file is damaged or lacks something; the message names the file and the entry.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: give the run folder that a study wrote")
    path = folder / "run.json"
    run = _json(path)
    if not isinstance(run, dict):
        raise ValueError(f"{path} must hold one JSON object, got {type(run).__name__}")
    sections = tuple(_section(entry, path) for entry in _list(run.get("sections", []), f"{path}: sections"))
    keys = [section.key for section in sections]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{path}: section keys must differ, got {keys}")
    provenance = run.get("provenance", {})
    if not isinstance(provenance, dict):
        raise ValueError(f"{path}: provenance must be an object, got {type(provenance).__name__}")
    return Run(
        title=_text(run, "title", path),
        headline=_text(run, "headline", path),
        command=str(run.get("command") or ""),
        sections=sections,
        provenance=provenance,
        findings=_findings(folder / "findings.parquet"),
        pictures=_pictures(folder / "figures"),
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(decoded(_existing(path).read_bytes(), path.name))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}): run the study again to rewrite it") from error


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: a report needs the run folder of a finished study")
    return path


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what} must be a list, got {type(value).__name__}")
    return value


def _text(entry: Mapping[str, Any], name: str, path: Path) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{path}: {name!r} must be a text that is not empty, got {value!r}")
    return value


def _section(entry: Any, path: Path) -> Section:
    if not isinstance(entry, dict):
        raise ValueError(
            f"{path}: a section must be an object with key, title, question and answer, got {entry!r}"
        )
    key, title = _text(entry, "key", path), _text(entry, "title", path)
    words = (str(entry.get(name) or "") for name in ("question", "answer", "verdict"))
    return Section(key, title, *words)


def _findings(path: Path) -> tuple[Row, ...]:
    """The findings in the order of the file."""
    try:
        table = pq.read_table(
            pa.BufferReader(_existing(path).read_bytes()), use_threads=False, pre_buffer=False
        )
    except pa.ArrowException as error:
        raise ValueError(f"{path} is not a readable Parquet file ({error}): run the study again") from error
    names = [field.name for field in fields(Row)]
    missing = [name for name in names if name not in (*table.column_names, *LATER)]
    if missing:
        raise ValueError(
            f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(table.column_names)}"
        )
    return tuple(
        _row(entry, path)
        for entry in table.select([name for name in names if name in table.column_names]).to_pylist()
    )


def _row(entry: Mapping[str, Any], path: Path) -> Row:
    values: dict[str, Any] = {}
    for field in fields(Row):
        if field.name not in entry:  # a file from before there was such a column
            continue
        value = entry[field.name]
        try:
            if field.type == "float":
                values[field.name] = math.nan if value is None else float(value)
            elif field.type == "bool":
                values[field.name] = bool(value)
            elif field.type == "int":
                values[field.name] = -1 if value is None else int(value)
            else:
                values[field.name] = "" if value is None else str(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {field.name} of {entry['id']!r} is no number: {value!r}") from error
    return Row(**values)


def _pictures(folder: Path) -> tuple[Picture, ...]:
    """The figures of the index; none where the study drew none."""
    index = folder / "index.json"
    if not index.is_file():
        return ()
    return tuple(_picture(entry, index) for entry in _list(_json(index), str(index)))


def _picture(entry: Any, index: Path) -> Picture:
    if not isinstance(entry, dict):
        raise ValueError(
            f"{index}: an entry must be an object with file, title, caption, alt and section: {entry!r}"
        )
    name = _text(entry, "file", index)
    if PurePosixPath(name).name != name or "\\" in name or name in (".", ".."):
        raise ValueError(f"{index}: {name!r} is not a plain file name: figures lie beside their index")
    path = _existing(index.parent / name)
    try:
        svg = read_text(path)
    except ValueError as error:
        raise ValueError(f"{error}: an SVG figure was expected") from error
    words = {key: _text(entry, key, index) for key in ("title", "alt")}
    extra = {key: str(entry.get(key) or "") for key in ("caption", "section")}
    return Picture(file=name, svg=svg, **words, **extra)
