"""The built page is that of its sources: `make page` was run after the last change."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import goalscope

ROOT = Path(__file__).parents[2]
STATIC = Path(goalscope.__file__).parent / "app" / "static"
RECORD = json.loads((STATIC / "built.json").read_text(encoding="utf-8"))


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_bundle_is_built_from_these_sources():
    folder = ROOT / "app"
    own = ("build.mjs", "package.json", "package-lock.json", "tsconfig.json")
    sources = [folder / name for name in own] + sorted((folder / "src").iterdir())
    now = {file.relative_to(folder).as_posix(): digest(file) for file in sources}
    assert RECORD["sources"] == now, "app/ has changed: run `make page`"


def test_nothing_was_changed_after_it_was_built_and_it_is_small():
    assert {name: digest(STATIC / name) for name in RECORD["built"]} == RECORD["built"]
    assert {file.name for file in STATIC.iterdir()} == {*RECORD["built"], "built.json"}
    assert len(gzip.compress(b"".join((STATIC / name).read_bytes() for name in RECORD["built"]))) < 400_000


def test_the_page_loads_nothing_from_elsewhere():
    for name in RECORD["built"]:
        text = (STATIC / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text and "eval(" not in text
