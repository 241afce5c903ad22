"""The example of a world and a policy of one's own: short, and from nothing to the report."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "key_and_door.py"


def test_the_example_is_thirty_lines_beside_its_imports() -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line.strip()]
    assert len([x for x in lines if not x.startswith(("import", "from", "#", '"""'))]) <= 30


def test_the_example_finds_key_and_door_and_the_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    said = capsys.readouterr().out
    assert said.startswith(
        "Fetcher pursues the key and the door, and comes to having the key more often than its controls"
    )
    assert "best is 'to the end of the level'; it leaves 0.1%" in said
    run = tmp_path / "runs" / "key-and-door"
    assert (run / "report.html").is_file()
    found = json.loads((run / "run.json").read_text())["verdicts"]
    assert {found[name] for name in ("key", "door", "having the key")} == {"yes"}
    assert "yes" not in {answer for name, answer in found.items() if name.endswith(("corner", "edge"))}
