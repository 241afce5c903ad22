"""Leela network files (`.pb.gz`, `.pb`) to named numbers, without trusting them.

A file is a gzip of one protobuf message `Net` (LeelaChessZero/lczero-common, proto/net.proto). Here are its wire
format, the fields that say what kind of network it is, and its layers; `convert.py` makes a network of them.
Whatever the bytes are, the only error is a ValueError that names the file.
"""

from __future__ import annotations

import io
import itertools
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from goalscope.worlds.chess.planes import InputFormat

MAGIC = 0x1C0
LARGEST = 1 << 30
"""bytes of a file once unpacked; the largest published networks have about 400 MB"""
MOST_FIELDS = 100_000
"""of a whole file, those of its messages counted as they are read; the largest published networks have some thousands"""
GZIP = b"\x1f\x8b"
PIECE = 1 << 18
"""bytes of a file, or numbers of a layer, that are looked at together"""

NETWORKS = {
    1: "NETWORK_CLASSICAL",
    2: "NETWORK_SE",
    3: "NETWORK_CLASSICAL_WITH_HEADFORMAT",
    4: "NETWORK_SE_WITH_HEADFORMAT",
    5: "NETWORK_ONNX",
    6: "NETWORK_ATTENTIONBODY_WITH_HEADFORMAT",
    7: "NETWORK_ATTENTIONBODY_WITH_MULTIHEADFORMAT",
    134: "NETWORK_AB_LEGACY_WITH_MULTIHEADFORMAT",
}
POLICIES = {1: "classical", 2: "convolution", 3: "attention"}
VALUES = {1: "scalar", 2: "wdl"}
MOVES_LEFT = {0: None, 1: "v1"}
DEFAULTS = {0: "relu", 1: "mish"}
ACTIVATIONS = {
    0: None, 1: "mish", 2: "relu", 3: "none", 4: "tanh", 5: "sigmoid", 6: "selu", 7: "swish", 8: "relu_2",
}  # fmt: skip
EMBEDDINGS = {0: None, 1: "map", 2: "dense"}


class Message:
    """One parsed protobuf message: for each field number its values, in the order of the file.

    Values are integers (varint, fixed32 and fixed64 as unsigned) or bytes (strings, packed numbers, messages).

    Args:
        data: the message.
        name: what errors call it; empty for the file.
        count: of the fields that were read so far, shared by all messages of a file.

    Raises:
        ValueError: no message, a damaged one, or more than `MOST_FIELDS` fields.
    """

    def __init__(self, data: bytes | bytearray, name: str, count: Iterator[int] | None = None):
        self.name = name
        self.fields: dict[int, list[int | bytes]] = {}
        self._count = itertools.count(1) if count is None else count
        for number, value in _wire(data, name):
            # A field of two bytes becomes objects of a hundred: without a limit a small gzip fills the memory.
            if next(self._count) > MOST_FIELDS:
                raise ValueError(
                    f"{name or 'the file'} has more fields than {MOST_FIELDS}, which no network has: it is damaged"
                )
            self.fields.setdefault(number, []).append(value)

    def __contains__(self, number: int) -> bool:
        return number in self.fields

    def integer(self, number: int, default: int = 0) -> int:
        """The last value of an integer field."""
        value = self.fields.get(number, [default])[-1]
        if not isinstance(value, int):
            raise ValueError(f"{self.name}: field {number} holds bytes where a number is due")
        return value

    def data(self, number: int) -> bytes:
        """The last value of a bytes field; empty where there is none."""
        value = self.fields.get(number, [b""])[-1]
        if not isinstance(value, bytes):
            raise ValueError(f"{self.name}: field {number} holds a number where bytes are due")
        return value

    def message(self, number: int, name: str) -> Message:
        """A message field; without any fields where it is absent."""
        return Message(self.data(number), f"{self.name}.{name}" if self.name else name, self._count)

    def messages(self, number: int, name: str) -> list[Message]:
        """The messages of a repeated field."""
        prefix = f"{self.name}.{name}" if self.name else name
        found = []
        for i, value in enumerate(self.fields.get(number, [])):
            if not isinstance(value, bytes):
                raise ValueError(f"{prefix}[{i}] holds a number where a message is due")
            found.append(Message(value, f"{prefix}[{i}]", self._count))
        return found

    def drain(self, number: int, name: str) -> Iterator[Message]:
        """The messages of a repeated field, each let go before the next one: a large file need not be kept whole."""
        prefix = f"{self.name}.{name}" if self.name else name
        values = self.fields.pop(number, [])[::-1]
        for i in range(len(values)):
            if not isinstance(values[-1], bytes):
                raise ValueError(f"{prefix}[{i}] holds a number where a message is due")
            yield Message(values.pop(), f"{prefix}[{i}]", self._count)  # type: ignore[arg-type]

    def layer(self, number: int, name: str) -> np.ndarray:
        """The numbers of a layer, flat float32; empty where it is absent.

        Each is stored in 16 bits, as a place between the layer's least and greatest number; or as one of the
        floating-point encodings that the format knows.
        """
        layer = self.message(number, name)
        low, high = (_float(layer.integer(field)) for field in (1, 2))
        data, encoding = layer.data(3), layer.integer(4, 1)
        width = 4 if encoding == 4 else 2
        if len(data) % width:
            raise ValueError(f"layer {layer.name} has {len(data)} bytes, not a multiple of {width}")
        if encoding in (0, 1):
            stored = np.frombuffer(data, "<u2")
            numbers = np.empty(len(stored), np.float32)
            for at in range(
                0, len(stored), PIECE
            ):  # piece by piece: what lies between is as large as the layer
                share = stored[at : at + PIECE].astype(np.float32) / np.float32(65535)
                numbers[at : at + PIECE] = low * (1 - share) + high * share
        elif encoding == 2:
            numbers = np.frombuffer(data, "<f2").astype(np.float32)
        elif encoding == 3:
            numbers = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        elif encoding == 4:
            numbers = np.frombuffer(data, "<f4").astype(np.float32)
        else:
            raise ValueError(f"layer {layer.name} has the unknown encoding {encoding}; known are 1 to 4")
        if not all(np.isfinite(numbers[at : at + PIECE]).all() for at in range(0, len(numbers), PIECE)):
            raise ValueError(f"layer {layer.name} holds numbers that are not finite; the file is damaged")
        return numbers


def _float(bits: int) -> np.float32:
    return np.frombuffer((bits & 0xFFFFFFFF).to_bytes(4, "little"), "<f4")[0]


def _wire(data: bytes | bytearray, name: str) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of every field of a message."""
    at, end = 0, len(data)
    view = memoryview(data)
    where = name or "the file"
    while at < end:
        key, at = _varint(data, at, where)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError(f"{where} is no protobuf message: field number 0 before byte {at}")
        if kind == 0:
            value, at = _varint(data, at, where)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = int.from_bytes(data[at : at + size], "little"), at + size
        elif kind == 2:
            size, at = _varint(data, at, where)
            value, at = bytes(view[at : at + size]), at + size
        else:
            raise ValueError(f"{where} is no protobuf message: wire type {kind} at byte {at}")
        if at > end:
            raise ValueError(f"{where} ends within field {number}: it is truncated or damaged")
        yield number, value


def _varint(data: bytes | bytearray, at: int, where: str) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError(f"{where} is no protobuf message: a damaged number at byte {at}")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


@dataclass(frozen=True)
class Format:
    """What kind of network a file holds, older files brought up to date as lc0 does."""

    input_format: InputFormat
    attention_body: bool
    policy: str
    """'classical', 'convolution' or 'attention'"""
    value: str
    """'scalar' or 'wdl'"""
    moves_left: bool
    several_heads: bool
    activation: str
    """the default activation, 'relu' or 'mish'"""
    smolgen_activation: str
    ffn_activation: str
    embedding: str
    """'map' or 'dense': how an attention body marks the squares"""


def unpack(data: bytes, path: Path, limit: int = LARGEST) -> bytes | bytearray:
    """The message in a file that may be a gzip.

    Raises:
        ValueError: the gzip is truncated or damaged, or there is more in it than `limit` bytes.
    """
    if data[:2] != GZIP:
        if len(data) > limit:
            raise ValueError(f"{path} has {len(data)} bytes, more than the limit of {limit}")
        return data
    view = memoryview(data)
    return inflated((view[at : at + PIECE] for at in range(0, len(data), PIECE)), path, limit)


def inflated(pieces: Iterable[bytes | memoryview], path: Path, limit: int = LARGEST) -> bytearray:
    """The message in the pieces of a gzip, which need not be in memory together.

    Raises:
        ValueError: as `unpack`.
    """
    decoder, message, size, after = zlib.decompressobj(wbits=31), bytearray(), 0, b""
    try:
        for piece in pieces:
            size += len(piece)
            left: bytes | memoryview = piece if not decoder.eof else b""
            after += bytes(piece[:2]) if decoder.eof and len(after) < 2 else b""
            while left and not decoder.eof and len(message) <= limit:
                message += decoder.decompress(left, PIECE)
                left = decoder.unconsumed_tail
                after = decoder.unused_data[:2]
            if len(message) > limit:
                break
        while not decoder.eof and len(message) <= limit and (more := decoder.decompress(b"", PIECE)):
            message += more
    except zlib.error as error:
        raise ValueError(f"{path} is a damaged gzip ({error}); copy or download it again") from error
    if len(message) > limit or (len(message) == limit and not decoder.eof):
        raise ValueError(f"{path} unpacks to more than the limit of {limit} bytes, and was not opened")
    if not decoder.eof:
        raise ValueError(f"{path} is a truncated gzip ({size} bytes); copy or download it again")
    if after.startswith(GZIP):
        raise ValueError(
            f"{path} holds several gzip files one after another: give the one network that is meant"
        )
    if message[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(message)) as archive:
            names = ", ".join(name[:60] for name in archive.getnames()[:8])
        raise ValueError(f"{path} is a tar archive ({names}): unpack it and give the network that is meant")
    return message


def read_net(data: bytes, path: Path, limit: int = LARGEST) -> tuple[Format, Message]:
    """The format of a network file and the message with its weights.

    Args:
        data: the whole file.
        path: where it came from, for messages.
        limit: bytes that it may unpack to.

    Raises:
        ValueError: no network file, a damaged one, or one of a kind that is not read (named).
    """
    return parse_net([unpack(data, path, limit)], path)


def parse_net(held: list[bytes | bytearray], path: Path) -> tuple[Format, Message]:
    """The same of the message in a file, which is taken out of the list and let go.

    Raises:
        ValueError: as `read_net`.
    """
    try:
        net = Message(held.pop(), "")
        magic = net.integer(1)
        if magic != MAGIC:
            raise ValueError(f"no Leela network: it begins with the magic number {magic:#x}, not {MAGIC:#x}")
        declared = net.message(4, "format")
        if declared.integer(1, 1) > 1:
            raise ValueError(f"format.weights_encoding is {declared.integer(1)}; only 1 (16 bits) is known")
        if 10 not in net:
            kind = "an ONNX model inside" if 11 in net else "nothing"
            raise ValueError(f"the file holds {kind} instead of weights; take the network as .pb.gz weights")
        weights = net.message(10, "weights")
        return _format(declared, weights), weights
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _format(declared: Message, weights: Message) -> Format:
    """The network format, with what older files left unsaid (as lc0's loader fills it in)."""
    fields = declared.message(2, "network_format")
    network = fields.integer(3) if 2 in declared else 1
    if network not in NETWORKS or network == 5:
        known = ", ".join(f"{number} {name}" for number, name in NETWORKS.items() if number != 5)
        named = f"{network} {NETWORKS.get(network, '(unknown)')}"
        raise ValueError(f"network format {named} is not read; known are {known}")
    old_heads = network in (1, 2)
    encoders = network == 4 and 27 in weights
    smolgen = encoders and 35 in weights
    attention = encoders or network in (6, 7, 134)
    # Files of this kind were written before format 7 had a number; lc0 takes them as 7 with a dense embedding,
    # whatever they say of the embedding (`FixOlderWeightsFile` in its loader.cc).
    unsaid_heads = network == 6 and 44 in weights and 45 in weights
    several = unsaid_heads or network in (7, 134)
    activation = _named(fields, 7, DEFAULTS, "default_activation") or "relu"
    input_format = fields.integer(1, 1)
    if input_format not in list(InputFormat):
        known = ", ".join(f"{f.value} {f.name}" for f in InputFormat)
        raise ValueError(f"input format {input_format} is unknown; lc0 has {known}")
    return Format(
        input_format=InputFormat(input_format),
        attention_body=attention,
        policy="classical" if old_heads else _named(fields, 4, POLICIES, "policy format") or "",
        value="scalar" if old_heads else _named(fields, 5, VALUES, "value format") or "",
        moves_left=_named(fields, 6, MOVES_LEFT, "moves-left format") is not None and not old_heads,
        several_heads=several,
        activation=activation,
        smolgen_activation="swish"
        if smolgen
        else _named(fields, 8, ACTIVATIONS, "smolgen_activation") or activation,
        ffn_activation="relu_2"
        if smolgen
        else _named(fields, 9, ACTIVATIONS, "ffn_activation") or activation,
        embedding="dense" if unsaid_heads else _named(fields, 10, EMBEDDINGS, "input_embedding") or "map",
    )


def _named(fields: Message, number: int, names: dict, what: str) -> str | None:
    value = fields.integer(number)
    if value not in names:
        known = ", ".join(f"{number} {name}" for number, name in names.items() if name)
        raise ValueError(f"{what} {value} is not read; known are {known}")
    return names[value]
