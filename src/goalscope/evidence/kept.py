"""What was measured, kept in the user's cache folder under a key that says what it depends on, and found again by any run.

A file is taken only where it is, to the last bit, what was written for this very key; what is damaged, cannot be read or
cannot be written is measured anew and said. Files are removed where nobody asked for them for `UNUSED_DAYS`, and the
longest unused ones where all together are larger than `MOST_BYTES`.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from goalscope.files import cache_folder, write_whole

UNUSED_DAYS = 90
MOST_BYTES = 1 << 30
"""of all files together; a maze study of 500 levels and 13 policies keeps some 20 MB"""
_DIGEST = hashlib.sha256().digest_size


class Kept:
    """What was measured before, by key.

    Args:
        folder: where it lies; None is `measured` in the user's cache folder.
        say: called with one line where a file is damaged or cannot be written.
        off: keeps and finds nothing.
    """

    def __init__(
        self, folder: Path | None = None, say: Callable[[str], None] = lambda _: None, off: bool = False
    ):
        self._folder, self._say, self._off = folder or cache_folder() / "measured", say, off

    def holds(self, key: str | None) -> bool:
        """Whether there is a file for this key; it may turn out to be damaged."""
        return key is not None and not self._off and self._place(key).is_file()

    def arrays(
        self, key: str | None, compute: Callable[[], Mapping[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """The arrays of `compute`, as they were kept under this key, or computed now and kept.

        Args:
            key: of everything that the arrays depend on, hexadecimal; None neither keeps nor finds.
            compute: what gives the arrays, numbers or text.

        Raises:
            ValueError: an array holds Python objects.
        """
        if key is None or self._off:
            return {name: np.asarray(array) for name, array in compute().items()}
        place = self._place(key)
        try:
            found = _opened(place.read_bytes(), key)
            os.utime(place)
            return found
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            self._say(f"{place} is measured anew: {error}")
        arrays = {name: np.asarray(array) for name, array in compute().items()}
        content = _sealed(arrays, key)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(place, content)
            tidy(self._folder)
        except OSError as error:
            self._say(f"what was measured is not kept for other runs ({error.strerror}: {place})")
        return arrays

    def _place(self, key: str) -> Path:
        return self._folder / f"{key}.npz"


def tidy(folder: Path, most_bytes: int = MOST_BYTES, unused_days: float = UNUSED_DAYS) -> None:
    """Removes the files that nobody asked for in so many days, then the longest unused ones beyond so many bytes.

    Raises:
        OSError: one cannot be removed; one that another process has removed meanwhile is none.
    """
    files = []
    for path in folder.glob("*.npz"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        files.append((status.st_mtime, status.st_size, path))
    size = 0
    for used, bytes_, path in sorted(files, reverse=True):
        size += bytes_
        if used < time.time() - unused_days * 86400 or size > most_bytes:
            path.unlink(missing_ok=True)


def _sealed(arrays: Mapping[str, np.ndarray], key: str) -> bytes:
    """A sha256 of the key and of what follows, and then the arrays."""
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"array {name!r} holds Python objects; make it numbers or text")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    return hashlib.sha256(key.encode() + buffer.getvalue()).digest() + buffer.getvalue()


def _opened(content: bytes, key: str) -> dict[str, np.ndarray]:
    """The arrays of a file.

    Raises:
        ValueError: it is not what was written for this key.
    """
    if hashlib.sha256(key.encode() + content[_DIGEST:]).digest() != content[:_DIGEST]:
        raise ValueError("the file is damaged")
    with np.load(io.BytesIO(content[_DIGEST:]), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
