"""The pages of docs/: their code runs as a reader would run it, top to bottom, their links lead somewhere, the site builds.

Building the site runs the examples of the methods' pages; where mkdocs is not installed (extra `docs`) they run here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
EXAMPLES = sorted((DOCS / "methods").glob("*.md"))
HEADS = (
    "**Question.**",
    "```python",
    "**Known answer.**",
    "**What a critic asks.**",
    "**When not to use it.**",
)


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def code_of(page: Path) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S))


def test_there_are_pages() -> None:
    assert {"docs/method.md", "docs/study.md", "docs/methods/reach.md"} <= set(map(named, PAGES))


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=named)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    if not (code := code_of(page)):
        return
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", EXAMPLES, ids=named)
def test_a_page_of_a_method_has_its_parts_and_an_example_that_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = page.read_text(encoding="utf-8")
    if page.name == "index.md":
        assert all(f"({other.name})" in text for other in EXAMPLES if other != page)
        return
    places = [text.index(head) for head in HEADS]
    assert places == sorted(places)
    assert (
        all((ROOT / test).exists() for test in re.findall(r"`(tests/[\w/.]+)`", text)) and "`tests/" in text
    )
    if find_spec("mkdocs") is None:
        monkeypatch.chdir(tmp_path)
        exec(compile(code_of(page), named(page), "exec"), {"__name__": "example"})
        assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("notebook", sorted((DOCS / "notebooks").glob("*.ipynb")), ids=named)
def test_a_notebook_runs_from_the_first_cell_to_the_last(notebook: Path, tmp_path: Path) -> None:
    if notebook.name == "stable_baselines3.ipynb":
        pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")
    cells = [
        cell
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    assert not any(cell["outputs"] for cell in cells)  # what it prints is made where it is read
    code = "\n".join("".join(cell["source"]) for cell in cells)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = dict(re.findall(r"^(\w+): (?:reaches the cheese in )?(\d+)", done.stdout, re.M))
    if told:  # what was trained does better than what was not
        assert int(told["trained"]) > int(told["untrained"])
    else:
        assert "Seeker   comes to the coin in 100% of levels" in done.stdout


@pytest.mark.timeout(1800)  # 40 s of one core, of which a busy machine gives little
def test_the_site_builds_without_a_warning_and_shows_what_its_examples_print(tmp_path: Path) -> None:
    if find_spec("mkdocs") is None:
        pytest.skip("the site needs mkdocs: pip install 'goalscope[docs]'")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "from the start: 1.000" in (tmp_path / "site" / "methods" / "reach.html").read_text(
        encoding="utf-8"
    )
    for page in EXAMPLES:
        built = (tmp_path / "site" / "methods" / page.with_suffix(".html").name).read_text(encoding="utf-8")
        assert page.name == "index.md" or ">prints<" in built, page.name
    everything = "".join(p.read_text(encoding="utf-8") for p in (tmp_path / "site").rglob("*.html"))
    assert not re.search(
        r'(?:src|href)="https?://(?!squidfunk|www\.mkdocs)[^"]*\.(?:js|css|woff2?)"', everything
    )


@pytest.mark.parametrize("page", [*PAGES, ROOT / "ARCHITECTURE.md"], ids=named)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
