"""What `torch.save` wrote, where other objects lie beside the tensors: read without making one of them.

A pickle is a program that calls what it names. Here its names stand for nothing: tensors become tensors, dictionaries
and lists what they are, and every object of another class an empty thing that takes whatever it is given. Names that no
training state has a use for, such as those that run commands, are refused. Whatever the bytes are, the only error is a
ValueError.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from math import prod
from typing import Any

import torch
from torch import Tensor

LARGEST_PICKLE = 1 << 24
"""bytes of the pickle, which holds names and small values; those of the published files have some 100 kB"""
HARMLESS = ("thinker", "numpy", "torch", "_codecs", "collections", "argparse")
"""the modules whose names may occur; none of them is looked up"""
STORAGES = {
    "FloatStorage": torch.float32, "HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64, "LongStorage": torch.int64, "IntStorage": torch.int32, "ShortStorage": torch.int16,
    "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip


class Inert:
    """Stands for an object of a class that is not made; takes and ignores all that a pickle gives it."""

    def __new__(cls, *args: Any, **named: Any) -> Inert:
        return object.__new__(cls)

    def __init__(self, *args: Any, **named: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Ignored."""

    def extend(self, values: Any) -> None:
        """Ignored."""


class _Kind:
    """A type of numbers that a storage has."""

    def __init__(self, dtype: torch.dtype):
        self.dtype = dtype


def holds(data: bytes, word: bytes) -> bool:
    """Whether a file is a zip whose pickle holds a word; no for what is damaged."""
    if data[:2] != b"PK":
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return word in archive.read(_pickle_of(archive))
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, RuntimeError, KeyError):
        return False


def read_archive(data: bytes) -> Any:
    """The value in the file, tensors as tensors on the CPU, foreign objects as `Inert`.

    Raises:
        ValueError: the bytes are damaged, or the pickle in them names what no training state has a use for.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entry = _pickle_of(archive)
            program = archive.read(entry)
            _check(program)
            return _Reader(program, archive, entry.filename.removesuffix("data.pkl")).load()
    except ValueError:
        raise
    except Exception as error:  # damaged bytes make pickle's and zip's readers raise almost any type
        detail = str(error) or type(error).__name__
        raise ValueError(
            f"the file of torch.save is damaged ({detail}); copy or download it again"
        ) from error


def _pickle_of(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    entries = [entry for entry in archive.infolist() if entry.filename.split("/")[-1] == "data.pkl"]
    if (
        len(entries) != 1
        or entries[0].file_size > LARGEST_PICKLE
        or entries[0].compress_type != zipfile.ZIP_STORED
    ):
        raise ValueError(
            f"a file of torch.save holds one uncompressed data.pkl of at most {LARGEST_PICKLE} bytes"
        )
    return entries[0]


def _check(program: bytes) -> None:
    """Raises ValueError where the pickle asks for a place in its memory that it cannot have filled."""
    for count, (code, argument, _) in enumerate(pickletools.genops(program)):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument) > count:  # type: ignore[arg-type]
            raise ValueError(f"the pickle puts something at place {argument} of its memory: it is damaged")


class _Reader(pickle.Unpickler):
    """An unpickler that knows tensors and nothing else."""

    def __init__(self, program: bytes, archive: zipfile.ZipFile, prefix: str):
        super().__init__(io.BytesIO(program), encoding="latin1")
        self.archive, self.prefix = archive, prefix

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for here: no class or function of that name is ever looked up."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module in ("torch", "torch.cuda") and name in STORAGES:
            return _Kind(STORAGES[name])
        if module.partition(".")[0] not in HARMLESS:
            raise ValueError(
                f"the file names {module[:60]}.{name[:60]}, which could run code and belongs into no checkpoint; it was "
                "not opened any further"
            )
        return Inert

    def persistent_load(self, pid: Any) -> Tensor:
        """The numbers that a tensor is made of, flat."""
        if (
            not isinstance(pid, tuple)
            or len(pid) != 5
            or pid[0] != "storage"
            or not isinstance(pid[1], _Kind)
        ):
            raise ValueError("the pickle refers to something else than a storage of numbers")
        entry = self.archive.getinfo(f"{self.prefix}data/{pid[2]}")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{entry.filename[:80]} is compressed, which torch.save does not do")
        numbers = bytearray(self.archive.read(entry))
        dtype = pid[1].dtype
        if not numbers or len(numbers) % dtype.itemsize:
            return torch.empty(0, dtype=dtype)
        return torch.frombuffer(numbers, dtype=dtype)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """A tensor of a storage, where all of its numbers are there."""
    parts = (*size, *stride, offset)
    if (
        not isinstance(storage, Tensor)
        or len(size) != len(stride)
        or not all(type(n) is int and n >= 0 for n in parts)
    ):
        raise ValueError("a tensor of the file has no plausible shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if prod(size) and (last >= storage.numel() or prod(size) > storage.numel()):
        raise ValueError(f"a tensor {list(size)} of the file reaches beyond its {storage.numel()} numbers")
    return torch.as_strided(storage, size, stride, offset) if prod(size) else storage.new_empty(size)
