"""What the tests of the worlds share."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The plain maze world beside this file; tests are imported one by one, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location(
        "maze_reference", Path(__file__).with_name("maze") / "maze_reference.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
