"""Activations over more data than memory holds: safetensors shards with a Parquet index, resumed after a kill.

A folder holds `shard-000000.safetensors`, `shard-000001.safetensors`, ... and, once all of them are there,
`index.parquet`: one line a shard with its first row, rows, first batch, batches and the sha256 of that first batch.
Each shard is written beside its place and renamed, so whatever has its name is whole; each says in its header what it
was made from. So the same call goes on at the first missing shard, and the index can always be written anew from the
shards.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import safe_open
from torch import Tensor, nn

from goalscope.activations.content import code_of, digest, precision, settings_of, weights_of
from goalscope.activations.hooks import Recorder
from goalscope.activations.inputs import Inputs
from goalscope.activations.sites import EVERY, parse
from goalscope.activations.streaming.shards import (
    INDEX,
    Shard,
    clear_errors,
    whole_shards,
    write_index,
    write_shard,
)
from goalscope.activations.watch import foreign_hooks, watched
from goalscope.showing import drawing, text

_LOCK = ".lock"
_OURS = re.compile(r"shard-\d{6}\.safetensors(\.part)?|index\.parquet(\.part)?|\.lock")


@dataclass(frozen=True)
class Stored:
    """Activations in a folder; nothing is in memory until it is read.

    Attributes:
        folder: where the shards are.
        sites: site -> shape of one row.
        rows: number of rows; row r of every site belongs to the same sample, in the order of the batches.
        shards: (file name, first row, rows) of each shard, in order.
    """

    __repr__, _repr_html_ = text, drawing

    folder: Path
    sites: dict[str, tuple[int, ...]]
    rows: int
    shards: tuple[tuple[str, int, int], ...]

    def read(self, site: str, start: int = 0, stop: int | None = None) -> Tensor:
        """[stop - start, ...]: consecutive rows of a site, copied out of the memory-mapped shards.

        Raises:
            KeyError: the site was not stored.
            ValueError: the rows are not in 0..rows.
        """
        stop = self.rows if stop is None else stop
        self._check(site)
        if not 0 <= start < stop <= self.rows:
            raise ValueError(f"rows {start}..{stop} are not in 0..{self.rows}")
        parts = []
        for name, first, rows in self.shards:
            low, high = max(start - first, 0), min(stop - first, rows)
            if low < high:
                with safe_open(self.folder / name, "pt") as file:
                    parts.append(file.get_slice(site)[low:high])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def take(self, site: str, rows: Sequence[int] | Tensor) -> Tensor:
        """[len(rows), ...]: any rows of a site, in the order asked for; only the pages they lie in are read.

        Raises:
            KeyError: the site was not stored.
            ValueError: a row is not in 0..rows - 1.
        """
        self._check(site)
        wanted = torch.as_tensor(rows, dtype=torch.int64)
        if wanted.ndim != 1 or not len(wanted) or wanted.min() < 0 or wanted.max() >= self.rows:
            raise ValueError(f"rows must be a list of numbers in 0..{self.rows - 1}, at least one")
        parts, places = [], []
        for name, first, count in self.shards:
            here = ((wanted >= first) & (wanted < first + count)).nonzero()[:, 0]
            if len(here):
                with safe_open(self.folder / name, "pt") as file:
                    parts.append(file.get_tensor(site)[wanted[here] - first])
                places.append(here)
        return torch.cat(parts)[torch.cat(places).argsort()]

    def chunks(self, site: str) -> Iterator[Tensor]:
        """The rows of a site, one shard after the other."""
        for _, first, rows in self.shards:
            yield self.read(site, first, first + rows)

    def _check(self, site: str) -> None:
        if site not in self.sites:
            raise KeyError(f"{self.folder} does not hold the site {site!r}, but {', '.join(self.sites)}")


def stream(
    module: nn.Module,
    batches: Iterable[Inputs] | Callable[[], Iterable[Inputs]],
    sites: Iterable[str],
    folder: str | os.PathLike[str],
    *,
    shard_bytes: int = 32 << 20,
) -> Stored:
    """Captures some sites over any number of batches, into a folder; memory stays at a batch and a shard.

    The same call after a kill, a full disk or an error goes on at the first missing shard, and after the end it only
    reads the index. The inputs must be the same again, which is checked on the first batch of each shard that is there;
    other batches are not looked at, nor, of an iterable whose shards are all there, any but its first. The numbers
    are those of `capture`, batch by batch; rows are stored in the order of their axes. A folder is of one module with its
    weights, settings and mode, and of one precision (autocast, default type). Under `editing` a folder is of one
    call: it is not gone on with. Of hooks that somebody else has set their code counts, not what they close over.

    Args:
        module: any module; it runs as it is, without gradients.
        batches: inputs of one forward each (a tensor or a tuple of arguments), as a sequence, an iterable, or a
            function that gives an iterable. Of what is stored already a sequence is asked for the first batch of
            each shard only; an iterable is run through.
        sites: names of sites; axis 0 of each must count the samples of a batch.
        folder: new, empty, or of the same call.
        shard_bytes: a shard is closed by the batch that reaches so many bytes.

    Raises:
        ValueError: as `capture`; the folder holds anything else, activations of another module, of other sites or
            of other inputs (as far as that is checked), or is in use; batches are empty or fewer than those stored.
        OSError: the folder cannot be written, or the disk is full; whole shards stay.
    """
    texts = [sites] if isinstance(sites, str) else list(sites)
    for named in texts:
        if parse(named).call == EVERY:
            raise ValueError(f"site {named!r}: axis 0 counts calls there; name the calls one by one")
    given = _in_batches(batches)
    path = Path(folder)
    shard = Shard(shard_bytes)
    recorder = Recorder(module, texts, shard.keep)
    with _claimed(path):
        source = _numbered(given, path)
        first = next(source([]), None)
        if first is None:
            raise ValueError("there are no batches to stream")
        origin = _origin(module, texts, first, shard_bytes)
        index = whole_shards(path, origin)
        done = _batches_in(index)
        total = len(given) if hasattr(given, "__len__") else None
        finished = _finished(path, len(index))
        if total is not None and (total < done or (finished and total != done)):
            raise ValueError(f"{path} holds {done} batches, {total} are given; choose another folder")
        missing = source(index)
        if not finished:
            with clear_errors(path):
                (path / INDEX).unlink(missing_ok=True)
            _compute(recorder, missing, shard, path, index, origin)
            write_index(path, index, origin)
    return stored(path)


def _in_batches(batches: Any) -> Any:
    """The batches themselves."""
    if isinstance(batches, Tensor | np.ndarray):
        kind, cut = ("tensor", "x") if isinstance(batches, Tensor) else ("array", "torch.from_numpy(x)")
        raise ValueError(f"batches is one {kind} {list(batches.shape)}; cut it: batches={cut}.split(256)")
    return batches() if callable(batches) else batches


def stored(folder: str | os.PathLike[str]) -> Stored:
    """What `stream` has put into a folder.

    Raises:
        ValueError: there is no index, it is no index of this kind, or a shard is missing.
    """
    path = Path(folder)
    try:
        table = pq.read_table(path / INDEX, memory_map=False, use_threads=False, pre_buffer=False)
        about: dict[bytes, bytes] = table.schema.metadata or {}
        shapes = json.loads(about[b"goalscope"])["shapes"]
        rows = table.to_pylist()
        shards = tuple((row["shard"], row["first_row"], row["rows"]) for row in rows)
    except FileNotFoundError as error:
        raise ValueError(f"{path} has no {INDEX}: finish it with the same call of stream") from error
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise ValueError(f"{path / INDEX} is no index of streamed activations ({error})") from error
    missing = [name for name, _, _ in shards if not (path / name).is_file()]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing[:3])}; make it again with the same call of stream")
    sites = {site: tuple(shape) for site, shape in shapes.items()}
    return Stored(path, sites, shards[-1][1] + shards[-1][2], shards)


def _batches_in(index: list[dict[str, Any]]) -> int:
    """How many batches the shards hold."""
    return index[-1]["first_batch"] + index[-1]["batches"] if index else 0


def _numbered(given: Any, path: Path) -> Callable[[list[dict[str, Any]]], Iterator[Any]]:
    """A function that gives the batches after those of an index, whose shards' first batches must be the same again.

    An iterator's first batch is kept for the second call.
    """

    def refuse_other(line: dict[str, Any], batch: Any) -> None:
        if digest(batch) != line["inputs"]:
            raise ValueError(
                f"{path} holds activations of something else (another batch {line['first_batch']}); "
                "choose another folder"
            )

    if hasattr(given, "__len__") and hasattr(given, "__getitem__"):

        def chosen(index: list[dict[str, Any]]) -> Iterator[Any]:
            for line in index[1:]:  # the first shard's is among what `whole_shards` has compared
                refuse_other(line, given[line["first_batch"]])
            return (given[k] for k in range(_batches_in(index), len(given)))

        return chosen
    rest = iter(given)
    kept: list[Any] = []

    def source(index: list[dict[str, Any]]) -> Iterator[Any]:
        if not kept:
            kept.extend(islice(rest, 1))
            yield from kept
            return
        skip, begun = _batches_in(index), {line["first_batch"]: line for line in index[1:]}
        yield from kept[skip:]
        passed = 1
        for batch in islice(rest, max(0, skip - 1)):
            if passed in begun:
                refuse_other(begun[passed], batch)
            passed += 1
        if passed < skip:
            raise ValueError(f"{skip} batches are stored, {passed} are given; choose another folder")
        yield from rest

    return source


def _compute(
    recorder: Recorder,
    batches: Iterator[Any],
    shard: Shard,
    path: Path,
    index: list[dict[str, Any]],
    origin: dict[str, Any],
) -> None:
    """Fills and writes the shards that are missing; a shard is written while the next one is filled."""
    if index:
        shard.go_on(index[-1])
    with ThreadPoolExecutor(1) as writer:
        pending: Future[None] | None = None

        def close() -> Future[None]:
            if pending is not None:
                pending.result()
            index.append(shard.entry(len(index)))
            written = writer.submit(write_shard, path, index[-1], shard.tensors, origin)
            shard.go_on(index[-1])
            return written

        for inputs in batches:
            shard.fill(recorder, inputs)
            if shard.full:
                pending = close()
        if shard.line["batches"]:
            pending = close()
        if pending is not None:
            pending.result()


def _finished(path: Path, whole: int) -> bool:
    try:
        return len(stored(path).shards) == whole
    except ValueError:
        return False


def _origin(module: nn.Module, sites: list[str], first: Any, shard_bytes: int) -> dict[str, Any]:
    """What a shard was made from; its keys are words of the error where two of them differ."""
    return {
        "module": weights_of(module),
        "configuration or mode of the module": settings_of(module),
        "precision": precision(),
        # What an edit does cannot be told from what it is: a folder made under one is of one call only.
        "editing block": uuid.uuid4().hex if watched(module) else "",
        "hook on the module": digest([(name, code_of(hook)) for name, hook in foreign_hooks(module)]),
        "list of sites": sites,
        "first batch": digest(first),
        "shard_bytes": shard_bytes,
    }


@contextmanager
def _claimed(path: Path) -> Iterator[None]:
    """The folder, made where there is none, and locked while the block lasts."""
    with clear_errors(path):
        if path.exists() and not path.is_dir():
            raise ValueError(f"{path} is a file; choose a folder")
        path.mkdir(parents=True, exist_ok=True)
        foreign = [entry.name for entry in path.iterdir() if not _OURS.fullmatch(entry.name)]
        if foreign:
            raise ValueError(
                f"{path} holds something else ({', '.join(sorted(foreign)[:3])}); choose a new folder"
            )
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"{path} is being written by another process or thread; wait for it") from error
        yield
    finally:
        os.close(lock)
