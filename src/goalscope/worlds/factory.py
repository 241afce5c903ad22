"""Functions of a user's own file, written 'file.py:function': what worlds and policies that are made by code come from.

The file is run, as `python file.py` runs it: it may import what lies beside it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FACTORY = re.compile(r"(?P<file>.+\.py):(?P<name>[^\W\d]\w*)")
_CODE = re.compile(r"(.+\.py)(:.*)?")
"""a path that names Python code, but no function in it"""


def file_and_name(text: str, kind: str, wanted: str) -> tuple[Path, str] | None:
    """File and function of 'file.py:function'; None of a text that names no code.

    Args:
        text: what was given.
        kind: what it is to name, "policy" or "world", for the message.
        wanted: what the function is to make, for the message: "a torch.nn.Module or a Policy".

    Raises:
        ValueError: a Python file without a function.
    """
    if found := _FACTORY.fullmatch(text):
        return Path(found["file"]), found["name"]
    if (code := _CODE.fullmatch(text)) and not Path(text).is_dir():
        raise ValueError(f"{text} names no function: {code[1]}:NAME is a {kind}, where NAME makes {wanted}")
    return None


def function_in(file: Path, name: str) -> Callable[..., Any]:
    """The function of a file, which is run as a module of its own.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file fails (told with its line), or has no such function (told with those it has).
    """
    if not file.is_file():
        raise FileNotFoundError(f"no file {file}; 'file.py:factory' names a Python file and a function in it")
    # Under a name of its own, which classes of that file look up (dataclasses do), whatever else is called like it.
    own = f"goalscope_given_{file.stem}_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(own, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[own] = module
    try:
        with _beside(file):
            spec.loader.exec_module(module)
    except (
        Exception,
        SystemExit,
    ) as error:  # whatever the user's file raises is told with its place in that file
        del sys.modules[own]
        raise ValueError(f"{_place(error, file)}: {type(error).__name__}: {error}") from error
    found = getattr(module, name, None)
    if not callable(found):
        there = sorted(
            key for key, value in vars(module).items() if callable(value) and not key.startswith("_")
        )
        raise ValueError(f"{file} has no function {name!r}; it has {', '.join(there) or 'none'}")
    return found


def called(factory: Callable[[], Any], file: Path, name: str) -> Any:
    """What the function of `function_in` makes.

    Raises:
        ValueError: it fails; told with its line in the file.
    """
    try:
        with _beside(file):
            return factory()
    except (Exception, SystemExit) as error:  # as above
        raise ValueError(f"{_place(error, file)}: {name}() fails: {type(error).__name__}: {error}") from error


@contextmanager
def _beside(file: Path) -> Iterator[None]:
    """What lies beside the file can be imported; afterwards it is not taken for what lies beside another file."""
    folder, before = file.resolve().parent, set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            top = name.partition(".")[0]
            module = sys.modules[name]
            # Of a package without __init__.py its path tells. Libraries, wherever they are, stay.
            place = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), "")
            if Path(place).is_relative_to(folder / top) or Path(place) == folder / f"{top}.py":
                del sys.modules[name]


def _place(error: BaseException, file: Path) -> str:
    """'file.py, line 7': the last line of that file on the way to the error."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"{file}, line {error.lineno}"
    here = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).name == file.name]
    return f"{file}, line {here[-1]}" if here else str(file)
