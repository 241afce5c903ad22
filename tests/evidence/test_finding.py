"""Findings: only sound ones can be made, and equal findings are equal files."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import goalscope
from goalscope.evidence import finding
from goalscope.evidence.finding import (
    Finding,
    code_version,
    from_row,
    read_findings,
    to_json,
    to_table,
    write_findings,
)


def made(**changes: object) -> Finding:
    values: dict[str, object] = {
        "id": "reach.size.13",
        "question": "P(reach the cheese), mazes of size 13",
        "estimate": 0.1 + 0.2,
        "low": 0.25,
        "high": 0.5,
        "n": 100,
        "unit": "probability",
        "control": 0.1,
        "control_low": 0.05,
        "control_high": 0.2,
        "control_name": "untrained network",
        "method": "exact chain",
        "site": "behaviour",
        "policy": "mouse-topright",
        "policy_sha256": "0123456789abcdef" * 4,
        "world": "maze, size 13",
        "seed": 0,
        "code_version": "0.1.0+abc",
    }
    return Finding(**{**values, **changes})  # type: ignore[arg-type]


def several() -> list[Finding]:
    none = {"control": None, "control_low": None, "control_high": None, "control_name": "none: by definition"}
    return [
        made(),
        made(policy="mouse-corner", estimate=1 / 3),
        made(id="reach.other", question="Größe, 'quoted', \"twice\"", **none),
        made(id="reach.bare", control_low=None, control_high=None, policy_sha256=""),
    ]


def test_files_give_back_every_field_exactly(tmp_path: Path):
    write_findings(tmp_path / "f.parquet", several())
    assert list(read_findings(tmp_path / "f.parquet")) == several()
    assert (tmp_path / "f.parquet").stat().st_mode & 0o777 == 0o644


def test_equal_findings_are_equal_bytes_in_another_process(tmp_path: Path):
    write_findings(tmp_path / "a.parquet", several())
    code = (
        "import sys; from goalscope.evidence.finding import read_findings, write_findings;"
        "write_findings(sys.argv[2], read_findings(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, "a.parquet", "b.parquet"], cwd=tmp_path, check=True)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    changed = [dataclasses.replace(several()[0], estimate=math.nextafter(0.1 + 0.2, 1)), *several()[1:]]
    write_findings(tmp_path / "c.parquet", changed)
    assert (tmp_path / "a.parquet").read_bytes() != (tmp_path / "c.parquet").read_bytes()


def test_no_findings_is_a_table_with_every_column(tmp_path: Path):
    write_findings(tmp_path / "f.parquet", [])
    assert read_findings(tmp_path / "f.parquet") == ()
    assert pq.read_table(tmp_path / "f.parquet").column_names == [f.name for f in dataclasses.fields(Finding)]


def test_json_keeps_every_digit_and_missing_controls():
    rows = json.loads(to_json(several()))
    assert [from_row(row) for row in rows] == several()
    assert [row["standing"] for row in rows] == [finding.standing for finding in several()]
    assert json.loads(to_json(several()))[2]["control"] is None


def test_numbers_of_arrays_become_plain_numbers():
    plain = made(estimate=np.float32(0.25), n=np.int64(7), seed=np.uint8(3), control=1, control_high=1)
    assert (type(plain.estimate), type(plain.n), type(plain.seed)) == (float, int, int)
    assert type(plain.control) is float and plain.n == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "reach"}, "must be lower-case words joined by dots"),
        ({"id": "Reach.x"}, "must be lower-case words"),
        ({"id": "reach.x y"}, "must be lower-case words"),
        ({"id": 3}, "must be lower-case words"),
        ({"estimate": math.nan}, r"reach\.size\.13: estimate must be a finite number, got nan"),
        ({"high": math.inf}, "high must be a finite number"),
        ({"estimate": None}, "estimate must be a finite number, got None"),
        ({"estimate": "0.3"}, "estimate must be a finite number"),
        ({"control": math.nan}, "control must be a finite number"),
        ({"estimate": True}, "estimate must be a finite number"),
        ({"n": 0}, "n is 0"),
        ({"n": 1.5}, "n must be a whole number"),
        ({"n": math.inf}, "n must be a whole number"),
        ({"seed": None}, "seed must be a whole number"),
        ({"low": 0.31}, r"estimate 0\.30000000000000004 lies outside of its interval \[0\.31, 0\.5\]"),
        ({"high": 0.29}, "estimate .* lies outside of its interval"),
        ({"control_low": 0.15}, "the control 0.1 lies outside of its interval"),
        ({"control": None}, "a control interval without a control"),
        ({"control_name": " "}, "control_name is empty"),
        ({"unit": ""}, "unit is empty"),
        ({"world": None}, "world must be a text"),
        ({"policy_sha256": "abc"}, "not 64 hexadecimal digits"),
    ],
)
def test_unsound_findings_are_refused(changes: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        made(**changes)


def test_an_interval_may_miss_its_estimate_by_a_rounding():
    assert made(estimate=1.0, low=0.9, high=1 - 1e-12).high < 1
    with pytest.raises(ValueError, match="outside"):
        made(estimate=1.0, low=0.9, high=1 - 1e-6)


def test_the_same_claim_twice_is_refused():
    with pytest.raises(
        ValueError, match=r"two findings are called 'reach\.size\.13' for policy 'mouse-topright'"
    ):
        to_table([made(), made(estimate=0.4)])
    assert to_table([made(), made(policy="other"), made(world="other")]).num_rows == 3


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "column", "value"])
def test_damaged_files(tmp_path: Path, damage: str):
    path = tmp_path / "f.parquet"
    write_findings(path, several())
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(path.read_bytes()[:-20])
        case "text":
            path.write_text("id,question\n")
        case "column":
            pq.write_table(pq.read_table(path).drop_columns(["unit", "n"]), path)
        case "value":
            table = pq.read_table(path)
            wrong = pa.array([2.0] * len(table))
            pq.write_table(table.set_column(table.column_names.index("low"), "low", wrong), path)
    expected = {"column": "lacks the columns n, unit", "value": "lies outside of its interval"}
    with pytest.raises(
        ValueError, match=rf"f\.parquet.*{expected.get(damage, 'not a readable Parquet file')}"
    ):
        read_findings(path)


def test_missing_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="in the run folder of a finished study"):
        read_findings(tmp_path / "no.parquet")


def test_out_of_disk_keeps_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "f.parquet"
    write_findings(path, several())
    before = path.read_bytes()

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(finding.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_findings(path, [made()])
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["f.parquet"]


def test_code_version_changes_with_any_source_file(tmp_path: Path):
    package = Path(goalscope.__file__).parent
    copy = tmp_path / "goalscope"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "packaged"))
    code = "from goalscope.evidence.finding import code_version; print(code_version())"

    def version() -> str:
        env = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    assert version() == code_version()
    assert code_version().startswith(f"{goalscope.__version__}+") and len(code_version().split("+")[1]) == 12
    (copy / "stats/means.py").write_text((copy / "stats/means.py").read_text() + "\n# changed\n")
    changed = version()
    assert changed != code_version()
    (copy / "stats/means.py").rename(copy / "stats/means2.py")
    assert version() not in (changed, code_version())


def test_schema_has_the_columns_in_the_order_of_the_fields():
    assert finding.SCHEMA.names == [field.name for field in dataclasses.fields(Finding)]
    assert [f.name for f in finding.SCHEMA if f.nullable] == [
        "control",
        "control_low",
        "control_high",
        "floor",
    ]
