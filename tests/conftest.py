"""What all tests share.

Cache folders of their own, so that nothing kept on this machine is taken for measured now; and one folder of compiled
Python files, where this machine is told to keep none: dozens of tests start a process that imports torch, and compiling
all that anew takes each of them several seconds.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def _compile_once() -> None:
    """Python files are compiled into a folder of this run, for the processes that its tests start too."""
    folder = tempfile.mkdtemp(prefix="goalscope-compiled-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sys.dont_write_bytecode, sys.pycache_prefix = False, folder
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = folder


if sys.dont_write_bytecode and sys.pycache_prefix is None:
    _compile_once()


@pytest.fixture(scope="session", autouse=True)
def _own_cache() -> Iterator[Path]:
    """For whatever runs once for several tests."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        yield Path(folder)
        os.environ.pop("XDG_CACHE_HOME")
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(autouse=True)
def _cache_of_this_test(
    _own_cache: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """No test finds what another one has fetched or opened; only what was measured is shared, under its content's key."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "goalscope").mkdir()
    measured = _own_cache / "goalscope" / "measured"
    measured.mkdir(parents=True, exist_ok=True)
    (folder / "goalscope" / "measured").symlink_to(measured)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def nothing_measured(_cache_of_this_test: Path) -> None:
    """For tests of measuring itself, and of what is kept of it: they find nothing of other tests."""
    (_cache_of_this_test / "goalscope" / "measured").unlink()
