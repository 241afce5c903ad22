"""Modules by the names that they had in version 0.1."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from goalscope.moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_gives_the_new_module_and_a_warning(old: str):
    sys.modules.pop(f"goalscope.{old}", None)
    with pytest.warns(DeprecationWarning, match=f"goalscope.{old} is now goalscope.{MOVED[old]}"):
        module = importlib.import_module(f"goalscope.{old}")
    assert module is importlib.import_module(f"goalscope.{MOVED[old]}")
    assert module.__spec__ is not None and module.__spec__.name == f"goalscope.{MOVED[old]}"


def test_a_name_that_never_was_is_an_error():
    with pytest.raises(ModuleNotFoundError, match="checkers"):
        importlib.import_module("goalscope.worlds.checkers")


def test_nothing_in_the_package_uses_an_old_name():
    """In a fresh process every module is imported with the warning made an error."""
    program = """
import pkgutil, warnings, importlib, goalscope
warnings.simplefilter("error", DeprecationWarning)
warnings.filterwarnings("default", module="(?!goalscope)")
names = [m.name for m in pkgutil.walk_packages(goalscope.__path__, "goalscope.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and int(done.stdout) > 100, done.stderr
