"""Files that are whole or not there: the one place where a file is written beside its place and moved to it.

And the one place where the bytes of a foreign text become letters: `read_text`, `decoded`, `text_encoding`; and the one
that says where the user's cache lies: `cache_folder`; and the one that says which is meant where a packaged name is also a
file's: `warn_of_namesake`.
"""

from __future__ import annotations

import codecs
import os
import shutil
import tempfile
import uuid
import warnings
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


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
"""byte order marks and what they say; that of UTF-32 begins with that of UTF-16"""
_TEXT_CONTROLS = b"\t\n\x0b\x0c\r\x1a\x1b"
"""control characters that texts of old systems hold; others stand in binary files"""


def text_encoding(head: bytes) -> str:
    """How a text is encoded, by its first bytes: by its byte order mark, or by the zero bytes of UTF-16; else UTF-8."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    pairs = head[: len(head) // 2 * 2]
    # A text of mostly Latin letters has a zero in every second byte, and no character is zero.
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, letters = pairs[first::2].count(0), pairs[1 - first :: 2].count(0)
        if pairs and not letters and 2 * zeros > len(pairs) // 2:
            return encoding
    return "utf-8"


def decoded(data: bytes, where: str, *, windows: bool = False) -> str:
    """A text in UTF-8, UTF-16 or UTF-32, its byte order mark taken off.

    Args:
        data: the whole file.
        where: what errors call it.
        windows: a line that is not UTF-8 is read as Windows-1252 (Latin-1 with more), line by line, since files
            are put together of several; for formats that are older than UTF-8.

    Raises:
        ValueError: the bytes are no such text; the message has the first one that is none.
    """
    encoding = text_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8" and windows:
            return _by_line(data, where)
        name = encoding.removesuffix("-sig").upper()
        raise ValueError(f"{where} is not a text file (byte {error.start} is not {name})") from error
    if data and not text and encoding != "utf-8-sig":
        raise ValueError(
            f"{where} is not a text file (byte 0 is not UTF-8, nothing follows a mark of UTF-16)"
        )
    return text.removeprefix("\ufeff")


def _by_line(data: bytes, where: str) -> str:
    """Each line as UTF-8, or else as Windows-1252."""
    lines, begin = [], 0
    for line in data.split(b"\n"):
        strange = [i for i, byte in enumerate(line) if byte < 32 and byte not in _TEXT_CONTROLS]
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            if strange:
                raise ValueError(
                    f"{where} is not a text file (byte {begin + strange[0]} is a control character, "
                    f"byte {begin + error.start} is not UTF-8)"
                ) from error
            try:
                lines.append(line.decode("cp1252"))
            except UnicodeDecodeError as other:
                raise ValueError(
                    f"{where} is not a text file (byte {begin + other.start} is neither UTF-8 nor Windows-1252)"
                ) from other
        begin += len(line) + 1
    return "\n".join(lines)


def read_text(path: str | os.PathLike[str], *, windows: bool = False) -> str:
    """The text of a file, line ends as '\\n'; see `decoded`.

    Raises:
        ValueError: it is no text.
        OSError: it cannot be read.
    """
    text = decoded(Path(path).read_bytes(), os.fspath(path), windows=windows)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def cache_folder() -> Path:
    """Where goalscope keeps what can be made or fetched anew: in XDG_CACHE_HOME, else in ~/.cache; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "goalscope"


def warn_of_namesake(name: str, kind: str) -> None:
    """Warns where something here has the name of what is packaged (or fetched by its name), which is taken.

    Args:
        name: that was given.
        kind: what is taken, as 'packaged policy'.
    """
    if Path(name).exists():
        warnings.warn(
            f"{name!r} is taken as the {kind}; for the file or folder of that name here, write ./{name}",
            stacklevel=3,
        )
