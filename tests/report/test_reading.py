"""A damaged run folder is named file by file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goalscope.report.reading import read_run

MakeRun = Callable[..., Path]


def test_reads_what_was_written(make_run: MakeRun) -> None:
    run = read_run(make_run())
    assert [section.key for section in run.sections][:2] == ["reach", "field"]
    assert run.pictures[0].file == "field.svg"
    first, last = run.findings[0], run.findings[-1]
    assert (first.id, first.section, first.n, first.seed) == ("reach.size.3", "reach", 163, "0")
    assert math.isnan(last.estimate) and last.section == "headline"


def test_missing_numbers_are_nan(make_run: MakeRun) -> None:
    folder = make_run()
    rows = pq.read_table(folder / "findings.parquet").to_pylist()
    for row in rows:
        row.update(control=None, control_name=None, n=None)
    pq.write_table(pa.Table.from_pylist(rows), folder / "findings.parquet")
    found = read_run(folder).findings[0]
    assert math.isnan(found.control) and found.control_name == "" and found.n == -1


@pytest.mark.parametrize("name", ["run.json", "findings.parquet", "figures/field.svg"])
def test_missing_file(make_run: MakeRun, name: str) -> None:
    folder = make_run()
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name.split("/")[-1]):
        read_run(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        read_run(tmp_path / "none")


@pytest.mark.parametrize("name", ["run.json", "findings.parquet", "figures/index.json", "figures/field.svg"])
@pytest.mark.parametrize("content", [b"\xff\xfe{", b"PAR1", b""])
def test_damaged_file(make_run: MakeRun, name: str, content: bytes) -> None:
    folder = make_run()
    (folder / name).write_bytes(content)
    if name.endswith("svg") and content != b"\xff\xfe{":
        assert (
            read_run(folder).pictures[0].svg == content.decode()
        )  # any text may be a figure; it is sealed later
        return
    with pytest.raises(ValueError, match=name.split("/")[-1]):
        read_run(folder)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"title": ""}, "'title' must be a text"),
        ({"headline": None}, "'headline' must be a text"),
        ({"sections": {}}, "sections must be a list"),
        ({"sections": ["reach"]}, "a section must be an object"),
        ({"sections": [{"key": "reach"}]}, "'title' must be a text"),
        ({"sections": [{"key": "a", "title": "A"}, {"key": "a", "title": "B"}]}, "keys must differ"),
        ({"provenance": [1]}, "provenance must be an object"),
    ],
)
def test_wrong_entries(make_run: MakeRun, entries: dict[str, object], message: str) -> None:
    folder = make_run()
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps({**run, **entries}), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_run(folder)


def test_missing_column_and_wrong_number(make_run: MakeRun) -> None:
    folder = make_run()
    table = pq.read_table(folder / "findings.parquet")
    pq.write_table(table.drop_columns(["control", "n"]), folder / "findings.parquet")
    with pytest.raises(ValueError, match="lacks the columns n, control"):
        read_run(folder)
    rows = [{**row, "estimate": "many"} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows), folder / "findings.parquet")
    with pytest.raises(ValueError, match=r"estimate of 'reach\.size\.3'"):
        read_run(folder)


@pytest.mark.parametrize("name", ["../run.json", "/etc/passwd", "a/b.svg", "..", "..\\x.svg"])
def test_figures_stay_in_their_folder(make_run: MakeRun, name: str) -> None:
    folder = make_run()
    index = folder / "figures" / "index.json"
    listed = json.loads(index.read_text(encoding="utf-8"))
    listed[0]["file"] = name
    index.write_text(json.dumps(listed), encoding="utf-8")
    with pytest.raises(ValueError, match="plain file name"):
        read_run(folder)
