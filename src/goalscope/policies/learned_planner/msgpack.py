"""What `flax.serialization.to_bytes` wrote, to nested dictionaries of arrays: a reader that runs nothing.

The format is MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) with arrays as extensions, and needs
so little of it that a dependency would be longer than the reader. Arrays are views of the file's bytes: what is not
used costs nothing. Whatever the bytes are, the only error is a ValueError.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

DEEPEST = 32
"""maps and lists within each other; the published files have eight"""
MOST = 100_000
"""of values in a file; the published ones have some hundreds"""
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
)  # fmt: skip
NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i",
    0xD3: ">q",
}  # fmt: skip
LENGTHS = {
    0xC4: ("bytes", 1), 0xC5: ("bytes", 2), 0xC6: ("bytes", 4), 0xD9: ("text", 1), 0xDA: ("text", 2), 0xDB: ("text", 4),
    0xDC: ("list", 2), 0xDD: ("list", 4), 0xDE: ("map", 2), 0xDF: ("map", 4), 0xC7: ("extension", 1),
    0xC8: ("extension", 2), 0xC9: ("extension", 4),
}  # fmt: skip
ARRAY, COMPLEX, SCALAR = 1, 2, 3
"""flax's types of extensions"""


def is_msgpack(data: bytes) -> bool:
    """Whether a file begins as a map with a short text as its first key, and is no safetensors file."""
    return data[8:9] != b"{" and len(data) > 2 and 0x81 <= data[0] <= 0x8F and 0xA1 <= data[1] <= 0xBF


def read_msgpack(data: bytes) -> Any:
    """The one value in a file.

    Raises:
        ValueError: the bytes are damaged, truncated, nested too deep, or hold a type that flax does not write.
    """
    reader = _Reader(memoryview(data))
    value = reader.value(0)
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes are left after the value that the file is")
    return value


class _Reader:
    """Goes through the bytes once."""

    def __init__(self, data: memoryview):
        self.data, self.at, self.count = data, 0, 0

    def take(self, size: int) -> memoryview:
        if self.at + size > len(self.data):
            raise ValueError(
                f"the file ends at byte {len(self.data)}, {size} more are due at {self.at}: it is truncated"
            )
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self, depth: int) -> Any:
        """The next value."""
        self.count += 1
        if depth > DEEPEST:
            raise ValueError(
                f"values are nested deeper than {DEEPEST} at byte {self.at}, which no checkpoint is"
            )
        if self.count > MOST:
            raise ValueError(
                f"the file holds more than {MOST} values, which no checkpoint does: it is damaged"
            )
        start, kind = self.at, self.take(1)[0]
        if kind < 0x80 or kind >= 0xE0:
            return kind if kind < 0x80 else kind - 256
        if kind < 0xC0:  # the length is in the byte itself
            if kind >= 0xA0:
                return self.sized("text", kind & 31, depth)
            return self.sized("list" if kind >= 0x90 else "map", kind & 15, depth)
        if kind in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[kind]
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind in LENGTHS:
            what, width = LENGTHS[kind]
            return self.sized(what, int.from_bytes(self.take(width), "big"), depth)
        if 0xD4 <= kind <= 0xD8:
            return self.sized("extension", 1 << (kind - 0xD4), depth)
        raise ValueError(f"byte {start} is {kind:#x}, which begins no value of MessagePack")

    def sized(self, what: str, size: int, depth: int) -> Any:
        if what == "bytes":
            return self.take(size)
        if what == "text":
            try:
                return str(self.take(size), "utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(f"a text before byte {self.at} is not UTF-8: {error.reason}") from error
        if what == "list":
            return [self.value(depth + 1) for _ in range(size)]
        if what == "map":
            return self.map(size, depth)
        kind = self.number(">b")
        return self.extension(kind, self.take(size), depth)

    def map(self, size: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(size):
            key = self.value(depth + 1)
            if not isinstance(key, str) or key in found:
                said = "twice the key" if isinstance(key, str) else "the key"
                raise ValueError(
                    f"a map before byte {self.at} has {said} {str(key)[:80]!r}; flax writes texts, each once"
                )
            found[key] = self.value(depth + 1)
        return found

    def extension(self, kind: int, body: memoryview, depth: int) -> np.ndarray:
        """An array, which is a list of its own: shape, name of its type, its numbers in C order, little-endian."""
        if kind not in (ARRAY, SCALAR):
            named = "complex numbers" if kind == COMPLEX else "unknown to flax"
            raise ValueError(
                f"extension type {kind} before byte {self.at} is not read: {named}; arrays are type {ARRAY}"
            )
        inside = _Reader(body)
        inside.count = self.count
        parts = inside.value(depth + 1)
        self.count = inside.count
        if not isinstance(parts, list) or len(parts) != 3 or not isinstance(parts[2], memoryview):
            raise ValueError(f"the array before byte {self.at} is not [shape, type, numbers]")
        shape, name, numbers = parts
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"the array before byte {self.at} has the shape {str(shape)[:80]}")
        if name != "bfloat16" and name not in DTYPES:
            raise ValueError(
                f"the array before byte {self.at} is of the type {str(name)[:40]!r}, which is not read"
            )
        dtype = np.dtype("uint16" if name == "bfloat16" else name).newbyteorder("<")
        if len(numbers) != int(np.prod(shape, dtype=object)) * dtype.itemsize:
            raise ValueError(
                f"the array before byte {self.at} is {shape} {name}, but has {len(numbers)} bytes of numbers"
            )
        array = np.frombuffer(numbers, dtype)
        if name == "bfloat16":  # the upper half of a float32
            array = (array.astype(np.uint32) << 16).view(np.float32)
        return array.reshape(shape)
