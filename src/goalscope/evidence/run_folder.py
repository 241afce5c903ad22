"""The folder that a study writes: whole or not there, resumed after a kill, never written by two at once.

While a study runs, everything lies in `OUT.part`; `commit` renames it to `OUT`. What is slow is stored stage
by stage in `OUT.part/.work`, where the same command finds it after a kill, a full disk or Ctrl-C.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from goalscope.evidence.place import refuse_taken, take_place
from goalscope.files import whole_file, write_whole

_WORK = ".work"
_MENDABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
"""what the system refuses for reasons outside of the program"""


class RunFolder:
    """A run folder in the making; made by `create`, used in a `with` block, finished by `commit`.

    Attributes:
        path: where to write the run's files now: `OUT.part` until `commit`, `OUT` afterwards.
        resumed: whether an earlier, killed run of the same provenance is continued.
    """

    def __init__(self, out: Path, part: Path, lock: int, resumed: bool, force: bool = False):
        self.path, self.resumed = part, resumed
        self._out, self._part, self._lock, self._force = out, part, lock, force

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], provenance: Mapping[str, Any], force: bool = False
    ) -> RunFolder:
        """Opens `PATH.part`, new or left behind by a killed run of the same provenance.

        Args:
            path: where the finished run shall be; at most an empty folder may stand there.
            provenance: plain JSON that says what is run (policy, world, seeds, code). No time of day in it,
                since it decides whether a killed run is the same run.
            force: whether a finished run at `path` is replaced by `commit`; it stands until then.

        Raises:
            FileExistsError: something stands at `path`.
            ValueError: `PATH.part` is in use by another process, is of another provenance, or is no run; or
                the provenance is not plain JSON.
            OSError: the place cannot be written.
        """
        out = Path(path).absolute()
        part = out.with_name(f"{out.name}.part")
        try:
            text = json.dumps(provenance, indent=2, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the provenance of {out} must be plain JSON: {error}") from error
        refuse_taken(out, force)
        try:
            _refuse_foreign(part)
            (part / _WORK).mkdir(parents=True, exist_ok=True)
            lock = os.open(part / _WORK / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _take(lock, out, part)
                return cls(out, part, lock, _claim(part, text), force)
            except BaseException:
                os.close(lock)
                raise
        except FileExistsError:
            raise
        except OSError as error:
            raise OSError(
                f"the output folder {out} cannot be made ({error.strerror}: {error.filename}); choose another"
            ) from error

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the folder free; a run that stored no stage leaves nothing, any other one can be resumed."""
        kept = sorted(unquote(path.stem) for path in (self._part / _WORK).glob("*.npz"))
        if self.path == self._part and not kept:
            shutil.rmtree(self._part, ignore_errors=True)
        if isinstance(error, KeyboardInterrupt):
            error.add_note(_what_is_kept(self._part, kept))
        os.close(self._lock)
        if isinstance(error, OSError) and error.errno in _MENDABLE:
            raise OSError(
                f"writing the run {self._out} failed ({error.strerror}); what was done is in {self._part}: "
                "make room or mend the permissions, and give the same command again"
            ) from error

    def stage(self, name: str, compute: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The arrays of `compute`, stored, or as an earlier run of the same provenance stored them.

        Args:
            name: of the stage; each name once in a run.
            compute: what gives the arrays; called only where they are not stored yet.

        Raises:
            ValueError: an array holds Python objects.
            OSError: the disk is full.
        """
        path = self._part / _WORK / f"{quote(name, safe='')}.npz"
        stored = _stored(path)
        if stored is not None:
            return stored
        arrays = {key: np.asarray(value) for key, value in compute().items()}
        for key, array in arrays.items():
            if array.dtype.hasobject:
                raise ValueError(
                    f"stage {name!r}: array {key!r} holds Python objects; make it numbers or text"
                )
        with whole_file(path) as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        return arrays

    @property
    def scratch(self) -> Path:
        """A folder for what a stage must keep over a kill, such as training checkpoints; gone after `commit`."""
        path = self._part / _WORK / "scratch"
        path.mkdir(exist_ok=True)
        return path

    def write_json(self, name: str, value: Any) -> None:
        """Writes plain JSON as `NAME` in the run.

        Raises:
            ValueError: the value is not plain JSON; nan and infinity are not.
        """
        try:
            text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} must be plain JSON: {error}") from error
        write_whole(self.path / name, text + "\n")

    def commit(self) -> Path:
        """Makes the run whole: from now on it stands at `OUT`, all of it at once.

        Raises:
            FileExistsError: something has come to stand there meanwhile.
        """
        take_place(self._part, self._out, self._force)
        self.path = self._out
        shutil.rmtree(self._out / _WORK, ignore_errors=True)
        return self._out


def _what_is_kept(part: Path, stages: list[str]) -> str:
    """What whoever interrupts a run is told."""
    if not stages:
        return "no step of the study was finished: the same command begins anew"
    listed = ", ".join(stages) if len(stages) < 9 else f"{', '.join(stages[:8])} and {len(stages) - 8} more"
    steps, them = ("step", "it") if len(stages) == 1 else ("steps", "them")
    return f"{part} keeps {len(stages)} finished {steps} ({listed}): the same command skips {them}"


def _refuse_foreign(part: Path) -> None:
    """Whatever is in `OUT.part` will be cleared: so only a folder that is ours may stand there."""
    if (
        os.path.lexists(part)
        and not (part / _WORK).is_dir()
        and not (part.is_dir() and not any(part.iterdir()))
    ):
        raise ValueError(
            f"{part} exists and is not an unfinished run; move it away, or choose another output folder"
        )


def _take(lock: int, out: Path, part: Path) -> None:
    """Locks the folder for this process; when it ends, however it ends, the system gives the lock free."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise ValueError(
            f"{part} is being written by another process (pid {holder}); wait for it, or choose another "
            "output folder"
        ) from error
    current = part / _WORK / "lock"
    if not current.exists() or not os.path.samestat(os.fstat(lock), current.stat()):
        # Between opening and locking, the other process has finished and its folder has gone to OUT.
        refuse_taken(out)
        raise ValueError(
            f"{part} was given up by another process at this moment; give the same command again"
        )
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def _claim(part: Path, provenance: str) -> bool:
    """Whether the folder holds the same run; refuses another one, and clears what is made anew each time."""
    path = part / _WORK / "provenance.json"
    resumed = path.exists()
    if resumed and path.read_text(encoding="utf-8") != provenance:
        old, new = json.loads(path.read_text(encoding="utf-8")), json.loads(provenance)
        changed = [
            f"{key}: {old.get(key)!r} there, {new.get(key)!r} now"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]
        raise ValueError(
            f"{part} is an unfinished run of something else ({'; '.join(changed)}); finish it with "
            "its command, choose another output folder, or delete it"
        )
    for entry in part.iterdir():
        if entry.name != _WORK:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    if not resumed:
        write_whole(path, provenance)
    return resumed


def _stored(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a stage; None where there are none, or a power cut has left half of a file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (FileNotFoundError, EOFError, ValueError, zipfile.BadZipFile):
        return None
