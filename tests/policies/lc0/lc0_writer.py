"""Writes small Leela network files with random weights: protobuf wire format and gzip, the other way round."""

from __future__ import annotations

import gzip
import struct

import numpy as np

Entries = list[tuple[int, "int | bytes | Fixed"]]


class Fixed(int):
    """An integer that is written in four bytes."""


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def message(entries: Entries) -> bytes:
    out = bytearray()
    for number, value in entries:
        if isinstance(value, Fixed):
            out += varint(number << 3 | 5) + struct.pack("<I", value)
        elif isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return bytes(out)


def layer(numbers: np.ndarray) -> bytes:
    """16 bits a number, between the least and the greatest."""
    flat = np.asarray(numbers, np.float32).reshape(-1)
    low, high = (flat.min(), flat.max()) if flat.size else (np.float32(0), np.float32(0))
    share = (flat - low) / (high - low) if high > low else np.zeros_like(flat)
    bits = [int(np.float32(bound).view(np.uint32)) for bound in (low, high)]
    data = np.round(share * 65535).astype("<u2").tobytes()
    return message([(1, Fixed(bits[0])), (2, Fixed(bits[1])), (3, data)])


def stored(numbers: np.ndarray) -> np.ndarray:
    """What is left of numbers once they are written in 16 bits."""
    flat = np.asarray(numbers, np.float32)
    low, high = flat.min(), flat.max()
    if not high > low:
        return np.full_like(flat, low)
    share = (np.round((flat - low) / (high - low) * 65535)).astype(np.float32) / np.float32(65535)
    return low * (1 - share) + high * share


class Writer:
    """Random layers by name, as they will be read."""

    def __init__(self, seed: int = 0):
        self.rng = np.random.default_rng(seed)
        self.numbers: dict[str, np.ndarray] = {}

    def layer(self, name: str, *shape: int, low: float = -0.3, high: float = 0.3) -> bytes:
        self.numbers[name] = stored(self.rng.uniform(low, high, shape).astype(np.float32))
        return layer(self.numbers[name])

    def dense(self, name: str, field: int, outputs: int, inputs: int) -> Entries:
        return [
            (field, self.layer(f"{name}.w", outputs, inputs)),
            (field + 1, self.layer(f"{name}.b", outputs)),
        ]

    def norm(self, name: str, field: int, width: int) -> Entries:
        gammas = self.layer(f"{name}.g", width, low=0.5, high=1.5)
        return [(field, gammas), (field + 1, self.layer(f"{name}.beta", width))]

    def convolution(self, name: str, outputs: int, inputs: int, side: int, normed: str = "no") -> bytes:
        """'no' batch norm but biases, a 'whole' one, or a 'bare' one without gammas and betas."""
        entries: Entries = [(1, self.layer(f"{name}.w", outputs, inputs, side, side))]
        if normed == "no":
            return message([*entries, (2, self.layer(f"{name}.b", outputs))])
        entries += [
            (3, self.layer(f"{name}.mean", outputs)),
            (4, self.layer(f"{name}.variance", outputs, low=0.2, high=2)),
        ]
        if normed == "whole":
            entries += [
                (5, self.layer(f"{name}.gamma", outputs, low=0.5, high=1.5)),
                (6, self.layer(f"{name}.beta", outputs)),
            ]
        return message(entries)

    def encoder(self, name: str, width: int, inner: int, hidden: int, smolgen: tuple[int, ...] = ()) -> bytes:
        attention: Entries = []
        for field, part in ((1, "q"), (3, "k"), (5, "v")):
            attention += self.dense(f"{name}.{part}", field, inner, width)
        attention += self.dense(f"{name}.out", 7, width, inner)
        if smolgen:
            compressed, deep, generated, heads = smolgen
            inside: Entries = [(1, self.layer(f"{name}.s.compress", compressed, width))]
            inside += self.dense(f"{name}.s.dense1", 2, deep, 64 * compressed)
            inside += self.norm(f"{name}.s.ln1", 4, deep)
            inside += self.dense(f"{name}.s.dense2", 6, heads * generated, deep)
            attention += [(9, message(inside + self.norm(f"{name}.s.ln2", 8, heads * generated)))]
        ffn = self.dense(f"{name}.dense1", 1, hidden, width) + self.dense(f"{name}.dense2", 3, width, hidden)
        entries: Entries = [(1, message(attention))]
        entries += self.norm(f"{name}.ln1", 2, width)
        entries += [(4, message(ffn))]
        return message(entries + self.norm(f"{name}.ln2", 5, width))


def attention_policy(
    w: Writer,
    name: str,
    fields: tuple[int, int, int],
    width: int,
    queries: int,
    encoders: tuple[int, int, int] | None = None,
) -> Entries:
    """Queries, keys, promotions, and in `encoders` (field, field of the head count, how many) of two heads."""
    entries = w.dense(f"{name}.ip2", fields[0], queries, width) + w.dense(
        f"{name}.ip3", fields[1], queries, width
    )
    entries += [(fields[2], w.layer(f"{name}.ip4", 4, queries))]
    if encoders:
        field, count_field, count = encoders
        entries += [(field, w.encoder(f"{name}.enc{i}", width, 8, 12)) for i in range(count)]
        entries += [(count_field, 2)]
    return entries


def convolutional(
    w: Writer,
    policy: str = "convolution",
    squeeze: int | None = 4,
    outputs: int = 3,
    moves_left: bool = False,
    normed: str = "no",
    width: int = 8,
    blocks: int = 2,
    policy_encoders: int = 0,
) -> Entries:
    """Fields of a `Weights` message with a convolutional body."""
    entries: Entries = [(1, w.convolution("input", width, 112, 3, normed))]
    for i in range(blocks):
        inside: Entries = [
            (1, w.convolution(f"{i}.conv1", width, width, 3, normed)),
            (2, w.convolution(f"{i}.conv2", width, width, 3, normed)),
        ]
        if squeeze:
            se = w.dense(f"{i}.se1", 1, squeeze, width) + w.dense(f"{i}.se2", 3, 2 * width, squeeze)
            inside += [(3, message(se))]
        entries += [(2, message(inside))]
    if policy == "convolution":
        entries += [
            (11, w.convolution("policy1", width, width, 3, normed)),
            (3, w.convolution("policy", 80, width, 3)),
        ]
    elif policy == "classical":
        entries += [(3, w.convolution("policy", 4, width, 1, normed)), *w.dense("ip_pol", 4, 1858, 256)]
    else:
        entries += w.dense("ip_pol", 4, 6, width)
        encoders = (21, 24, policy_encoders) if policy_encoders else None
        entries += attention_policy(w, "pol", (17, 19, 22), 6, 10, encoders)
    entries += [(6, w.convolution("value", 3, width, 1, normed))]
    entries += w.dense("ip1_val", 7, 7, 192) + w.dense("ip2_val", 9, outputs, 7)
    if moves_left:
        entries += [(12, w.convolution("moves", 2, width, 1, normed))]
        entries += w.dense("ip1_mov", 13, 5, 128)
        entries += [(15, w.layer("ip2_mov.w", 1, 5)), (16, w.layer("ip2_mov.b", 1, low=40, high=60))]
    return entries


def attentional(w: Writer, width: int = 8, encoders: int = 2, several: bool = False) -> Entries:
    """Fields of a `Weights` message with an attention body, PE_MAP, gate and smolgen."""
    entries = w.dense("ip_emb", 25, width, 176)
    entries += [(33, w.layer("mult", width, 64, low=0.5, high=1.5)), (34, w.layer("add", width, 64))]
    entries += [(27, w.encoder(f"enc{i}", width, 8, 12, (2, 6, 3, 2))) for i in range(encoders)]
    entries += [(28, 2), (35, w.layer("smolgen_w", 4096, 3))]
    if several:
        shared = w.dense("pol.emb", 1, 6, width)
        shared += [
            (f, message(attention_policy(w, n, (3, 5, 7), 6, 10))) for f, n in ((3, "vanilla"), (5, "soft"))
        ]
        values: Entries = []
        for field, name in ((1, "winner"), (2, "q")):
            head = (
                w.dense(f"{name}.emb", 1, 3, width)
                + w.dense(f"{name}.1", 3, 7, 192)
                + w.dense(f"{name}.2", 5, 3, 7)
            )
            values += [(field, message(head + w.dense(f"{name}.err", 7, 1, 7)))]
        return [*entries, (44, message(values)), (45, message(shared))]
    entries += w.dense("ip_pol", 4, 6, width) + attention_policy(w, "pol", (17, 19, 22), 6, 10, (21, 24, 1))
    entries += w.dense("ip_val", 29, 3, width) + w.dense("ip1_val", 7, 7, 192) + w.dense("ip2_val", 9, 3, 7)
    return entries


def file(weights: Entries, network_format: Entries | None, magic: int = 0x1C0, packed: bool = True) -> bytes:
    """The whole file; `network_format` None leaves it out, as the oldest files do."""
    form = message([(1, 1)]) if network_format is None else message([(1, 1), (2, message(network_format))])
    data = message([(1, Fixed(magic)), (3, message([(1, 0)])), (4, form), (10, message(weights))])
    return gzip.compress(data, 1) if packed else data
