"""What decides the outcome of a cell: the options, the bytes of every file that they name, the code, torch's version.

Its digits stand in the name of the cell's folder: where one of them changes, it is another cell, and what was made before
stays as it is.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from goalscope.evidence.finding import code_version
from goalscope.policies.names import located

DIGITS = 12
"""of a sha256, in the name of a folder"""
POLICIES = frozenset(("policy", "strong", "weak", "blank"))
"""options that name a policy"""
_PIECE = 1 << 20
"""bytes of a file that are read at once"""


def digits_of(*parts: Any) -> str:
    """The first digits of a sha256 over plain JSON, the code and torch's version."""
    text = json.dumps([*parts, *_code()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


@functools.cache
def _code() -> tuple[str, str]:
    return code_version(), version("torch")


def files_of(options: Mapping[str, Any]) -> dict[str, str]:
    """sha256 of what each option names: of a policy's file or folder, or of any other file; option -> digits.

    Raises:
        KeyError, FileNotFoundError, ValueError: an option names a policy that is not there.
    """
    found = {}
    for name, value in options.items():
        if not isinstance(value, str):
            continue
        file = value.rpartition(":")[0] if ".py:" in value else value
        if name in POLICIES and ".py:" not in value:
            found[name] = _content(located(value))
        elif _exists(file):
            found[name] = _content(Path(file))
        elif name in POLICIES:
            raise FileNotFoundError(f"no file {file}")
    return found


def _exists(name: str) -> bool:
    try:
        return bool(name) and Path(name).exists()
    except (OSError, ValueError):  # no text that could be a path
        return False


@functools.cache
def _content(path: Path) -> str:
    """sha256 of a file, or of the files of a folder with their names; what cannot be read counts as its error."""
    digest = hashlib.sha256()
    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    for file in files:
        digest.update(f"{file.name}\n".encode() * path.is_dir())
        try:
            with file.open("rb") as opened:
                while piece := opened.read(_PIECE):
                    digest.update(piece)
        except OSError as error:  # said by the cell itself, when it is run
            digest.update(f"unreadable: {error.strerror}".encode())
    return digest.hexdigest()
