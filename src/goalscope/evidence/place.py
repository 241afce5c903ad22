"""Where a finished run stands: whether the place may be taken, and how a finished run takes it, in one step.

Nothing is imported here but the system, so that a place that is taken is refused before anything heavy is loaded.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

_AT_CWD, _EXCHANGE = -100, 2
"""of Linux's renameat2: paths as they are; the two change places"""


def refuse_taken(out: Path, force: bool = False) -> None:
    """Refuses a place where something stands: at most an empty folder may, or a finished run where `force` is given.

    Raises:
        FileExistsError: the message says what stands there, and how to go on.
    """
    if not os.path.lexists(out) or (out.is_dir() and not out.is_symlink() and not any(out.iterdir())):
        return
    if (out / "run.json").is_file() and not out.is_symlink():
        if force:
            return
        raise FileExistsError(
            f"{out} holds a finished run; --force replaces it, --out chooses another folder"
        )
    raise FileExistsError(
        f"{out} exists and is not a run; choose another output folder, or move that one away"
    )


def take_place(part: Path, out: Path, force: bool = False) -> None:
    """Moves a finished run to its place; a run that stood there is replaced at one moment, and then removed.

    Args:
        part: the finished run's folder, beside `out`.
        out: where it shall stand.
        force: whether an older run may be replaced.

    Raises:
        FileExistsError: as `refuse_taken`.
        OSError: it cannot be moved; an older run then still stands.
    """
    refuse_taken(out, force)
    if not out.is_dir() or not any(out.iterdir()):
        os.replace(part, out)
    elif _exchange(part, out):
        shutil.rmtree(part, ignore_errors=True)
    else:
        old = out.with_name(f".{out.name}.{uuid.uuid4().hex}.old")
        os.rename(out, old)
        try:
            os.rename(part, out)
        except OSError:
            os.rename(old, out)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Lets two folders change places at one moment; False where this system cannot."""
    with suppress(OSError, AttributeError):
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
        return renameat2(_AT_CWD, os.fsencode(one), _AT_CWD, os.fsencode(other), _EXCHANGE) == 0
    return False
