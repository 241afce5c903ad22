"""Files that are whole or not there: the one place where a file is written beside its place and moved to it."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which stands at `path` once the block has ended well; else what stood there still does.

    Args:
        path: where it will stand; an older file is replaced in one step.
        durable: outlives a power cut too (waits for the disk).

    Raises:
        OSError: the place cannot be written, or the disk is full.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(part, "xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with suppress(FileNotFoundError):
            part.unlink()
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name too must outlive it
        finally:
            os.close(folder)


def write_whole(path: str | os.PathLike[str], content: str | bytes, *, durable: bool = False) -> Path:
    """Writes a text (UTF-8, newlines as they are) or bytes, whole or not at all. See `whole_file`."""
    with whole_file(path, durable=durable) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return Path(path)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Each file whole or not at all, in the order given; a folder that is new appears with all of them at once.

    Raises:
        OSError: as `whole_file`; a new folder is then not there.
    """
    if folder.exists():
        for name, data in files.items():
            write_whole(folder / name, data)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, data in files.items():
            (staging / name).write_bytes(data)
        staging.chmod(0o755)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
