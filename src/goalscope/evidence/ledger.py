"""An append-only ledger of text: what was written when, by whom, in a chain of hashes.

One JSON object a line. Each holds the SHA-256 of the whole line before it, so that an entry that is edited, taken
out or moved no longer fits its neighbour. The chain alone cannot tell that its last entries are missing; so
`NAME.head` beside it holds how many entries there are and the hash of the last, written anew (atomically, after
the entry is on the disk) by every append. Crashes leave one of three things, all told from tampering: half a line
that nobody was told is written (cut off by the next append), a whole line without its line end (kept), a line that
the head does not count yet (kept; never more than one, since an append first mends what the last one left).

Who can write both files can rewrite the whole history. Against that, publish the head's hash when you register;
`verify` with that hash says whether the ledger still holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from goalscope.files import write_whole
from goalscope.showing import drawing, text

VERSION = 1
GENESIS = "0" * 64
"""what the first entry carries for the hash of the one before"""
_FIELDS = ("version", "number", "time", "author", "ids", "content_sha256", "content", "previous")


@dataclass(frozen=True)
class Entry:
    """One entry of a ledger."""

    __repr__, _repr_html_ = text, drawing

    number: int
    """0 for the first"""
    time: str
    """when it was written, UTC, ISO 8601, by the clock of the machine"""
    author: str
    ids: tuple[str, ...]
    """what it registers; no id is ever registered twice"""
    content: str
    content_sha256: str
    hash: str
    """of the entry's line"""


@dataclass(frozen=True)
class Ledger:
    """A ledger that was read and found whole.

    Attributes:
        entries: [N] in their order.
        head: hash of the last entry, `GENESIS` where there is none.
        notes: what a crash has left, in words; the next append mends it.
    """

    __repr__, _repr_html_ = text, drawing

    entries: tuple[Entry, ...]
    head: str
    notes: tuple[str, ...]


def append(path: str | os.PathLike[str], content: str, ids: Sequence[str], author: str) -> Entry:
    """Writes one entry; when this returns, it is on the disk. Processes that append at once take turns.

    Args:
        path: of the ledger; it and its folder are made where they are missing.
        content: text to keep, as it is.
        ids: what the text registers.
        author: who writes.

    Raises:
        ValueError: the ledger is not whole (see `verify`), or holds one of the ids.
        OSError: it cannot be written; it is then as it was.
    """
    path = Path(path)
    if not author.strip():
        raise ValueError("the author is empty: say who registers")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OSError(
            f"the ledger {path} cannot be written ({error.strerror}): choose another place"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        ledger, whole = _read(path, _content(file))
        taken = {i: entry for entry in ledger.entries for i in entry.ids}
        for i in ids:
            if i in taken:
                raise ValueError(
                    f"{i!r} is already registered in {path}, entry {taken[i].number} of {taken[i].time}; an entry "
                    "is never replaced: give a new forecast a new id"
                )
        entry, line = _entry(ledger, content, ids, author)
        try:
            _mend(file, path, ledger, whole)
            _write(file, line, at=len(whole))
            _set_head(path, len(ledger.entries) + 1, entry.hash)
        except OSError as error:
            outcome = "whether entry {n} was added, 'goalscope forecast verify' tells"
            with contextlib.suppress(OSError, ValueError):  # back to what was there, if the disk lets us
                if _known(path, whole)[0] <= len(ledger.entries):
                    os.ftruncate(file, len(whole))
                    outcome = "nothing was added"
                else:
                    outcome = "entry {n} was added, but the disk did not confirm that it is safe there"
            raise OSError(
                f"the ledger {path} cannot be written ({error.strerror}); {outcome.format(n=entry.number)}"
            ) from error
        return entry
    finally:
        os.close(file)


def read(path: str | os.PathLike[str]) -> Ledger:
    """Reads a ledger and verifies all of it; writes nothing.

    Raises:
        FileNotFoundError: there is none.
        ValueError: an entry was edited, taken out, moved or cut off, or is of another version.
    """
    path = Path(path)
    if not path.is_file():
        if _head_path(path).is_file() and _head(path)[0] > 0:
            raise ValueError(
                f"{path} is gone, but {_head_path(path).name} says that it had {_head(path)[0]} entries"
            )
        raise FileNotFoundError(f"no ledger {path}; 'goalscope forecast register FILE' begins one")
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_SH)  # no append is half-way while we read
        return _read(path, _content(file))[0]
    finally:
        os.close(file)


def verify(path: str | os.PathLike[str], published: str | None = None) -> Ledger:
    """Reads a ledger, and says whether it still holds the entry of a published hash.

    Raises:
        FileNotFoundError: there is none.
        ValueError: as `read`; or no entry has the published hash.
    """
    ledger = read(path)
    if published is not None and published not in {entry.hash for entry in ledger.entries}:
        raise ValueError(
            f"{path}: no entry has the hash {published}; the history was rewritten, or this is another ledger"
        )
    return ledger


def _read(path: Path, data: bytes) -> tuple[Ledger, bytes]:
    """The ledger, and its bytes as they shall be: without half a line, with the last line end."""
    count, head = _known(path, data)
    notes = []
    *lines, rest = data.split(b"\n")
    entries: list[Entry] = []
    for line in lines:
        entries.append(_checked(path, line, entries))
    if rest:
        try:
            entries.append(_checked(path, rest, entries))
            notes.append("the last line lacks its line end (a crash); the next registration adds it")
            lines.append(rest)
        except ValueError:
            notes.append(
                "half a line at the end that no registration confirmed (a crash); the next one cuts it off"
            )
    if len(entries) < count:
        raise ValueError(
            f"{path} was cut off: {_head_path(path).name} confirms {count} entries, {len(entries)} are there"
        )
    if count and entries[count - 1].hash != head:
        raise ValueError(
            f"{path}, line {count}: the entry is not the one that {_head_path(path).name} confirms: it was edited "
            "or replaced"
        )
    if len(entries) > count + 1:
        raise ValueError(
            f"{path}: {len(entries) - count} entries after line {count} were added without a registration"
        )
    if len(entries) == count + 1:
        notes.append("the last entry was written but not confirmed (a crash); it is kept")
    last = entries[-1].hash if entries else GENESIS
    return Ledger(tuple(entries), last, tuple(notes)), b"".join(line + b"\n" for line in lines)


def _known(path: Path, data: bytes) -> tuple[int, str]:
    """What the head confirms; before the first append there is none, and nothing in the ledger."""
    if not _head_path(path).is_file():
        if data:
            raise ValueError(
                f"{_head_path(path)} is missing: without it nobody can say whether {path.name} was cut off; copy "
                "both files together"
            )
        return 0, GENESIS
    return _head(path)


def _checked(path: Path, line: bytes, before: Sequence[Entry]) -> Entry:
    """One line as an entry that fits the ones before it."""
    where = f"{path}, line {len(before) + 1}"
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not a line of a ledger (edited, or another file?)") from error
    version = record.get("version") if isinstance(record, dict) else None
    if version != VERSION:
        raise ValueError(
            f"{where}: written in version {version!r} of the ledger, this goalscope reads version {VERSION}: use the "
            "goalscope that wrote it"
        )
    if tuple(record) != _FIELDS or record["number"] != len(before):
        raise ValueError(f"{where}: not entry {len(before)}: an entry was taken out, moved or edited")
    if record["previous"] != (before[-1].hash if before else GENESIS):
        raise ValueError(
            f"{where}: does not follow the entry before it: line {len(before)} or {len(before) + 1} was edited, taken "
            "out or moved"
        )
    content, ids = record["content"], record["ids"]
    if not (isinstance(ids, list) and all(isinstance(i, str) for i in [content, record["author"], *ids])):
        raise ValueError(f"{where}: not an entry of a ledger: it was edited")
    if _sha256(content.encode("utf-8", "replace")) != record["content_sha256"]:
        raise ValueError(f"{where}: the content does not have the hash it was registered with: it was edited")
    kept: Mapping[str, Any] = {
        name: record[name] for name in ("number", "time", "author", "content", "content_sha256")
    }
    return Entry(**kept, ids=tuple(ids), hash=_sha256(line))


def _entry(ledger: Ledger, content: str, ids: Sequence[str], author: str) -> tuple[Entry, bytes]:
    time = datetime.now(UTC).isoformat(timespec="seconds")
    digest = _sha256(content.encode())
    number = len(ledger.entries)
    values = (VERSION, number, time, author, list(ids), digest, content, ledger.head)
    line = json.dumps(dict(zip(_FIELDS, values, strict=True)), ensure_ascii=False).encode()
    return Entry(number, time, author, tuple(ids), content, digest, _sha256(line)), line + b"\n"


def _mend(file: int, path: Path, ledger: Ledger, whole: bytes) -> None:
    """Brings ledger and head to the state that `ledger` says, before anything is added."""
    size = os.fstat(file).st_size
    if size > len(whole):
        os.ftruncate(file, len(whole))
    elif size < len(whole):
        _write(file, b"\n", at=size)
    count, head = _head(path) if _head_path(path).is_file() else (-1, "")
    if (count, head) != (len(ledger.entries), ledger.head):
        _set_head(path, len(ledger.entries), ledger.head)


def _write(file: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(file, data, at)
        data, at = data[written:], at + written
    os.fsync(file)


def _content(file: int) -> bytes:
    return b"".join(_blocks(file))


def _blocks(file: int) -> Iterator[bytes]:
    at = 0
    while block := os.pread(file, 1 << 20, at):
        yield block
        at += len(block)


def _head_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.head")


def _head(path: Path) -> tuple[int, str]:
    """(entries, hash of the last)."""
    head = _head_path(path)
    try:
        record = json.loads(head.read_bytes())
        if record["version"] == VERSION:
            return int(record["entries"]), str(record["hash"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{head} is damaged: it must confirm how many entries {path.name} has") from error
    raise ValueError(
        f"{head}: version {record['version']!r} of the ledger, this goalscope reads version {VERSION}"
    )


def _set_head(path: Path, entries: int, last: str) -> None:
    head = _head_path(path)
    record = {"version": VERSION, "entries": entries, "hash": last}
    write_whole(head, json.dumps(record) + "\n", durable=True)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
