"""The files of a stream: shards that are whole or not there, and the index made from them.

The format of a shard is safetensors; each says in its header what it was made from and which rows it holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from goalscope.activations.content import digest
from goalscope.activations.hooks import Recorder, refuse_uncounted, sample_count
from goalscope.activations.inputs import as_inputs
from goalscope.files import whole_file

INDEX = "index.parquet"
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_COUNTS = ("first_row", "rows", "first_batch", "batches")
_COLUMNS = (*_COUNTS, "inputs")


class Shard:
    """The rows of one shard in the making.

    Two shards' memory is used in turn, so one can be written while the next is filled.

    Attributes:
        line: its line of the index so far.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._rooms: dict[str, Tensor] = {}
        self._spare: dict[str, Tensor] = {}
        self._shapes: dict[str, list[int]] = {}
        self._count = 0
        self.line: dict[str, Any] = {name: 0 for name in _COUNTS}

    def go_on(self, last: dict[str, Any]) -> None:
        """Begins the shard after one that is whole, in the other memory."""
        self._rooms, self._spare = self._spare, self._rooms
        self._shapes = dict(last["shapes"])
        self.line = {
            "first_row": last["first_row"] + last["rows"],
            "rows": 0,
            "first_batch": last["first_batch"] + last["batches"],
            "batches": 0,
        }

    def fill(self, recorder: Recorder, inputs: Any) -> None:
        """Runs one batch, whose rows `keep` puts behind those of the last one."""
        arguments = as_inputs(inputs, recorder.module)
        self._count = sample_count(arguments)
        if not self._count:
            raise ValueError(f"batch {self.line['first_batch'] + self.line['batches']} is empty")
        if not self.line["batches"]:
            self.line["inputs"] = digest(inputs)
        recorder.run(arguments, self.line["first_row"] + self.line["rows"])
        self.line["rows"] += self._count
        self.line["batches"] += 1

    def keep(self, site: str, tensor: Tensor) -> Tensor:
        """Copies a site's rows of this batch to their place."""
        refuse_uncounted(site, tensor, 0, self._count)
        row, first = list(tensor.shape[1:]), self.line["rows"]
        if self._shapes.setdefault(site, row) != row:
            raise ValueError(
                f"site {site!r}: rows of shape {row} in batch {self.line['first_batch'] + self.line['batches']}, "
                f"{self._shapes[site]} before; stream inputs of each size into a folder of their own"
            )
        needed, room = first + self._count, self._rooms.get(site)
        if room is None or len(room) < needed:
            # Memory that is never written to costs nothing, so this may ask for what a shard can be.
            rows = needed + self._limit // max(1, tensor[0].nbytes)
            larger = torch.empty(rows, *row, dtype=tensor.dtype)
            if room is not None:
                larger[:first] = room[:first]
            self._rooms[site] = room = larger
        return room[first:needed].copy_(tensor)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The rows so far."""
        return {site: room[: self.line["rows"]] for site, room in self._rooms.items()}

    def entry(self, number: int) -> dict[str, Any]:
        """This shard's line of the index."""
        shapes = {site: list(tensor.shape[1:]) for site, tensor in self.tensors.items()}
        return {"shard": f"shard-{number:06d}.safetensors", "shapes": shapes, **self.line}

    @property
    def full(self) -> bool:
        """Whether the rows have reached the size of a shard."""
        return sum(tensor.nbytes for tensor in self.tensors.values()) >= self._limit


def write_shard(
    path: Path, entry: dict[str, Any], tensors: dict[str, Tensor], origin: dict[str, Any]
) -> None:
    """Writes the shard of a line of the index into a folder."""
    line = {name: entry[name] for name in _COLUMNS}
    about = {"origin": json.dumps(origin), "line": json.dumps(line)}
    with clear_errors(path), whole_file(path / entry["shard"]) as file:
        _write_safetensors(file, tensors, about)


def _write_safetensors(file: BinaryIO, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    """The format is a length, a JSON header and the bytes; written without the copies that the library makes."""
    header: dict[str, Any] = {"__metadata__": about}
    end = 0
    for site, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        if tensor.dtype not in _DTYPES:
            raise ValueError(f"site {site!r}: {tensor.dtype} cannot be stored")
        kind = _DTYPES[tensor.dtype]
        header[site] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for tensor in tensors.values():
        raw: Any = tensor.reshape(-1).view(torch.uint8).numpy()
        file.write(raw)


def write_index(path: Path, index: list[dict[str, Any]], origin: dict[str, Any]) -> None:
    """Writes the index of whole shards."""
    columns = {"shard": pa.array([line["shard"] for line in index])}
    columns |= {name: pa.array([line[name] for line in index], pa.int64()) for name in _COUNTS}
    columns["inputs"] = pa.array([line["inputs"] for line in index])
    about = json.dumps({"origin": origin, "shapes": index[0]["shapes"]})
    table = pa.table(columns).replace_schema_metadata({"goalscope": about})
    with clear_errors(path), whole_file(path / INDEX) as file:
        pq.write_table(table, file)


def whole_shards(path: Path, origin: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of the index for the shards that are there, up to the first one that is missing or torn."""
    index: list[dict[str, Any]] = []
    while True:
        name = f"shard-{len(index):06d}.safetensors"
        try:
            with safe_open(path / name, "pt") as file:
                about = file.metadata() or {}
                shapes = {site: list(file.get_slice(site).get_shape()[1:]) for site in file.keys()}  # noqa: SIM118
        except (FileNotFoundError, SafetensorError):
            return index
        was = json.loads(about.get("origin", "{}"))
        changed = [key for key in origin if was.get(key) != origin[key]]
        if changed:
            raise ValueError(
                f"{path} holds activations of something else (another {', another '.join(changed)}); "
                "choose another folder"
            )
        line = {
            "shard": name,
            "shapes": {site: shapes[site] for site in origin["list of sites"]},
            **json.loads(about["line"]),
        }
        if "inputs" not in line:  # written before it was kept, so it is made again
            return index
        if index and (
            line["first_row"] != index[-1]["first_row"] + index[-1]["rows"]
            or line["first_batch"] != index[-1]["first_batch"] + index[-1]["batches"]
        ):
            return index
        index.append(line)


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Says which folder could not be written, and that nothing is lost."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"activations cannot be written to {path} ({error}); whole shards stay there: make room or mend the "
            "permissions, and make the same call again"
        ) from error
