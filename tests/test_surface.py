"""The way in: what `dir` and `help` show, what every folder says of itself."""

from __future__ import annotations

import ast
import pydoc
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import goalscope
from goalscope.methods.intervening.steer import dose_response
from goalscope.moved import MOVED

PACKAGE = Path(goalscope.__file__).parent
FOLDERS = sorted(file.parent for file in PACKAGE.rglob("__init__.py"))


def parts_of(folder: Path) -> list[str]:
    """The names of a package's files and subpackages."""
    files = [file.stem for file in folder.glob("*.py") if file.stem != "__init__"]
    return sorted([*files, *(file.parent.name for file in folder.glob("*/__init__.py"))])


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(PACKAGE.parent).as_posix())
def test_a_folder_names_what_is_in_it(folder: Path):
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    missing = [name for name in parts_of(folder) if not re.search(rf"`{name}(\.py|/)?`", said)]
    assert not missing, f"the docstring of {folder.name} does not say what is in {missing}"


def words_of(file: Path) -> str:
    """Every string and every comment of a source file."""
    with file.open("rb") as source:
        tokens = list(tokenize.tokenize(source.readline))
    kinds = (tokenize.STRING, tokenize.COMMENT)
    return "\n".join(token.string for token in tokens if token.type in kinds)


@pytest.mark.parametrize(
    "room", sorted({*PACKAGE.iterdir()} - {PACKAGE / "moved.py"}), ids=lambda room: room.name
)
def test_no_word_names_a_file_that_is_not_there(room: Path):
    """In docstrings, comments and messages: files that were moved keep no reader looking."""
    there = [file.as_posix() for top in (PACKAGE, Path(__file__).parent) for file in top.rglob("*.py")]
    gone = {old.rpartition(".")[2] for old in MOVED} - {Path(name).stem for name in there}
    old = re.compile(rf"\b({'|'.join(sorted(name for name in gone if '_' in name))})\b")
    for file in [room] if room.suffix == ".py" else room.rglob("*.py"):
        text = words_of(file)
        named = re.findall(r"[\w/]*\w\.py\b", text)
        lost = [name for name in named if not any(place.endswith(f"/{name}") for place in there)]
        assert not lost + old.findall(text), f"{file} names {lost + old.findall(text)}"


def test_dir_shows_the_public_names_and_each_is_there():
    assert set(goalscope.__all__) <= set(dir(goalscope))
    for name in (
        "capture",
        "editing",
        "sites",
        "probe",
        "patch_effects",
        "steer",
        "study",
        "load",
        "save",
        "fields",
    ):
        assert name in dir(goalscope)
    for name in dir(goalscope):
        assert getattr(goalscope, name) is not None
    assert goalscope.steer is dose_response


def test_help_explains_every_public_name():
    text = pydoc.plain(pydoc.render_doc(goalscope))
    for name in goalscope.__all__:
        if not name.startswith("_"):
            assert re.search(rf"\b{name}\b", goalscope.__doc__ or ""), name
            assert re.search(rf"\b{name}\b", text), name


def test_a_name_that_is_not_there_is_said():
    with pytest.raises(AttributeError, match="no attribute 'captur'"):
        _ = goalscope.captur


def test_the_import_loads_nothing_heavy():
    program = "import sys, goalscope; dir(goalscope); print(*(n for n in sys.modules if n in {'torch', 'numpy', 'scipy'}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
