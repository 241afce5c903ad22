"""Network files that are damaged, foreign or hostile: one documented error that says what and where."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import random
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from goalscope.policies import checkpoint
from goalscope.policies.lc0.convert import load_lc0, read_lc0
from goalscope.policies.lc0.file import Message, unpack

_spec = importlib.util.spec_from_file_location("lc0_writer", Path(__file__).parent / "lc0_writer.py")
assert _spec and _spec.loader
writer = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writer)

NAME = Path("net.pb.gz")
CONVOLUTION = [(1, 1), (2, 2), (3, 4), (4, 2), (5, 2), (6, 1)]
ATTENTION = [(1, 4), (2, 2), (3, 7), (4, 3), (5, 2), (6, 0), (7, 1), (8, 7), (9, 8)]


def convolutional(**options) -> list:
    return writer.convolutional(writer.Writer(0), moves_left=True, width=2, blocks=1, squeeze=1, **options)


def small(form: list = CONVOLUTION, **options) -> bytes:
    return writer.file(convolutional(), form, **options)


def replaced(form: list, number: int, value: int) -> list:
    return [(n, value if n == number else v) for n, v in form]


# The numbers of a layer


def test_layers_come_back_to_the_last_bit():
    numbers = np.random.default_rng(0).normal(size=300).astype(np.float32)
    data = writer.message([(7, writer.layer(numbers))])
    found = Message(data, "net").layer(7, "x")
    assert np.array_equal(found, writer.stored(numbers))
    step = (numbers.max() - numbers.min()) / 65535
    assert np.abs(found - numbers).max() <= 0.51 * step
    assert found.min() == numbers.min() and found.max() == numbers.max()


@pytest.mark.parametrize(("encoding", "kind"), [(2, "<f2"), (4, "<f4")])
def test_floating_point_encodings(encoding: int, kind: str):
    numbers = np.array([1.5, -2, 0, 1000], kind)
    data = writer.message([(7, writer.message([(3, numbers.tobytes()), (4, encoding)]))])
    assert Message(data, "net").layer(7, "x").tolist() == [1.5, -2, 0, 1000]


def test_bfloat16():
    bits = (np.array([1.5, -2, 0.25], np.float32).view(np.uint32) >> 16).astype("<u2")
    data = writer.message([(7, writer.message([(3, bits.tobytes()), (4, 3)]))])
    assert Message(data, "net").layer(7, "x").tolist() == [1.5, -2, 0.25]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ([(3, b"abc")], r"layer net\.x has 3 bytes, not a multiple of 2"),
        ([(3, b"ab"), (4, 9)], r"layer net\.x has the unknown encoding 9"),
        (
            [(3, np.array([np.nan], "<f4").tobytes()), (4, 4)],
            r"layer net\.x holds numbers that are not finite",
        ),
        ([(3, 7)], r"net\.x: field 3 holds a number where bytes are due"),
        ([(3, b"ab"), (1, b"abcd")], r"net\.x: field 1 holds bytes where a number is due"),
    ],
)
def test_layers_that_are_none(layer: list, message: str):
    data = writer.message([(7, writer.message(layer))])
    with pytest.raises(ValueError, match=message):
        Message(data, "net").layer(7, "x")


# The file as a whole


def test_plain_and_packed_are_the_same_network():
    first, second = (load_lc0(small(packed=packed), NAME)[0].state_dict() for packed in (True, False))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_archives_of_several_networks_are_named():
    with pytest.raises(ValueError, match="several gzip files one after another"):
        unpack(gzip.compress(b"a") + gzip.compress(b"b"), NAME)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name in ("first.pb", "second.pb"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match=r"a tar archive \(first\.pb, second\.pb\): unpack it"):
        unpack(data.getvalue(), NAME)
    assert unpack(gzip.compress(b"a"), NAME) == b"a"


@pytest.mark.parametrize("kept", [2, 3, 11, 100, -1, -9])
def test_truncated_gzip(kept: int):
    with pytest.raises(ValueError, match=r"net\.pb\.gz is a truncated gzip \(\d+ bytes\)"):
        load_lc0(small()[:kept], NAME)


def test_damaged_gzip():
    data = bytearray(small())
    data[-6] ^= 1  # in the checksum
    with pytest.raises(ValueError, match=r"net\.pb\.gz is a damaged gzip"):
        load_lc0(bytes(data), NAME)


def test_truncated_message():
    data = small(packed=False)
    with pytest.raises(ValueError, match=r"net\.pb\.gz: .*truncated or damaged"):
        load_lc0(data[:-50], NAME)


def test_wrong_magic():
    with pytest.raises(
        ValueError, match="no Leela network: it begins with the magic number 0x1c1, not 0x1c0"
    ):
        load_lc0(small(magic=0x1C1), NAME)
    with pytest.raises(ValueError, match=r"net\.pb\.gz: .*magic number 0x0"):
        load_lc0(gzip.compress(b""), NAME)


def test_another_file_that_was_gzipped(tmp_path: Path):
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"1.e4 e5 2.Nf3 Nc6 3.Bb5 a6 and so on, and so on"))
    with pytest.raises(ValueError, match=r"text\.gz: "):
        checkpoint.load(tmp_path / "text.gz")


def test_decompression_bomb_is_not_unpacked():
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    assert len(bomb) < 100_000
    with pytest.raises(ValueError, match="unpacks to more than the limit of 1000000 bytes"):
        unpack(bomb, NAME, limit=1_000_000)
    with pytest.raises(ValueError, match="more than the limit of 1000000 bytes"):
        load_lc0(bomb, NAME, limit=1_000_000)
    with pytest.raises(ValueError, match="has 1000001 bytes, more than the limit"):
        unpack(bytes(1_000_001), NAME, limit=1_000_000)
    assert len(unpack(gzip.compress(bytes(999_999)), NAME, limit=1_000_000)) == 999_999


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes(8_000_000), r"net\.pb\.gz: the file is no protobuf message: field number 0"),
        (b"\x08\x00" * 4_000_000, r"net\.pb\.gz: the file has more fields than 100000"),
    ],
)
def test_tiny_fields_do_not_fill_the_memory(data: bytes, message: str):
    """A few KB of gzip, at the default limit, never become objects for every two bytes."""
    packed = gzip.compress(data)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            load_lc0(packed, NAME)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(packed) < 10_000 and peak < 80_000_000


def test_fields_are_counted_over_all_messages_of_a_file():
    block = b"\x08\x00" * 30_000
    data = writer.file([*convolutional(), *[(2, block)] * 4], CONVOLUTION)
    with pytest.raises(ValueError, match=r"weights\.residual\[\d\] has more fields than 100000"):
        load_lc0(data, NAME)


# The format


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (3, 5, r"network format 5 NETWORK_ONNX is not read; known are 1 NETWORK_CLASSICAL"),
        (3, 99, r"network format 99 \(unknown\) is not read"),
        (1, 77, r"input format 77 is unknown; lc0 has 1 CLASSICAL"),
        (4, 8, r"policy format 8 is not read; known are 1 classical"),
        (5, 3, r"value format 3 is not read; known are 1 scalar"),
        (6, 9, r"moves-left format 9 is not read"),
    ],
)
def test_unknown_formats_are_named(field: int, value: int, message: str):
    with pytest.raises(ValueError, match=rf"net\.pb\.gz: {message}"):
        load_lc0(small(replaced(CONVOLUTION, field, value)), NAME)


def test_onnx_inside():
    data = writer.message([
        (1, writer.Fixed(0x1C0)), (4, writer.message([(1, 1), (2, writer.message(CONVOLUTION))])),
        (11, writer.message([(1, b"model")])),
    ])  # fmt: skip
    with pytest.raises(ValueError, match="holds an ONNX model inside instead of weights"):
        load_lc0(data, NAME)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (35, r"layer weights\.residual\[0\]\.conv2\.weights has 35 numbers, not a multiple of the block's 2"),
        (
            34,
            r"layer weights\.residual\[0\]\.conv2\.weights has 34 numbers, the network needs 36 \(2 x 2 x 3 x 3\)",
        ),
        (36, None),
    ],
)
def test_wrong_number_of_weights(count: int, message: str | None):
    """The message names the layer and both sizes."""
    w = writer.Writer(0)
    entries = writer.convolutional(w, width=2, blocks=1, squeeze=None)
    conv2 = writer.message([(1, writer.layer(np.zeros(count))), (2, writer.layer(np.zeros(2)))])
    block = writer.message([(1, w.convolution("c", 2, 2, 3)), (2, conv2)])
    data = writer.file([(n, block if n == 2 else v) for n, v in entries], CONVOLUTION[:5])
    if message is None:
        load_lc0(data, NAME)
    else:
        with pytest.raises(ValueError, match=message):
            load_lc0(data, NAME)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (1, r"layer weights\.input\.weights has 0 numbers|width would be 0"),
        (7, r"layer weights\.ip1_val_w has 0 numbers, the network needs 1344 \(7 x 192\)"),
        (10, r"layer weights\.ip2_val_b has 0 numbers, the network needs 3 \(3\)"),
        (11, r"policy_width would be 0, which must be from 1 to 4096"),
        (12, r"moves_left_sizes would be 0"),
    ],
)
def test_missing_layers(field: int, message: str):
    entries = [entry for entry in convolutional() if entry[0] != field]
    with pytest.raises(ValueError, match=message):
        load_lc0(writer.file(entries, CONVOLUTION), NAME)


def test_batch_norm_beyond_all_numbers():
    w = writer.Writer(0)
    entries = writer.convolutional(w, width=2, blocks=1, squeeze=None)
    parts = [np.full(2016, 3e38), np.zeros(2), np.zeros(2)]
    huge = writer.message([(n, writer.layer(part)) for n, part in zip((1, 3, 4), parts, strict=True)])
    with pytest.raises(ValueError, match=r"layer weights\.input\.weights grows beyond all numbers"):
        load_lc0(writer.file([(1, huge), *entries[1:]], CONVOLUTION[:5]), NAME)


def test_head_of_another_kind_than_the_format_says():
    with pytest.raises(ValueError, match=r"ip2_val_w has 21 numbers, the network needs 7 \(1 x 7\)"):
        load_lc0(small(replaced(CONVOLUTION, 5, 1)), NAME)


def test_batch_norm_that_is_none():
    w = writer.Writer(0)
    entries = writer.convolutional(w, width=2, blocks=1, squeeze=None, normed="whole")
    negative = writer.message(
        [(1, writer.layer(np.zeros(2016))), (3, writer.layer(np.zeros(2))), (4, writer.layer(-np.ones(2)))]
    )
    with pytest.raises(ValueError, match=r"weights\.input\.bn_stddivs holds a negative variance"):
        load_lc0(writer.file([(1, negative), *entries[1:]], CONVOLUTION[:5]), NAME)


@pytest.mark.parametrize(("kind", "trials"), [("convolution", 7000), ("attention", 3000)])
def test_ten_thousand_damaged_files(kind: str, trials: int):
    """Bits, bytes and stretches changed in the message: a network or a ValueError, nothing else."""
    rng = random.Random(0)
    if kind == "convolution":
        entries = writer.convolutional(writer.Writer(0), width=2, blocks=1, squeeze=1)
        data = writer.file(entries, CONVOLUTION[:5], packed=False)
    else:
        entries = writer.attentional(writer.Writer(0), width=2, encoders=1, several=True)
        data = writer.file(entries, ATTENTION, packed=False)
    # Most of a file is numbers, in which nothing can go wrong; the places in between are hit more often.
    between = [i for i in range(len(data)) if i < 60 or rng.random() < 0.02]
    read = refused = 0
    for _ in range(trials):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = min(
                rng.choice(between) if rng.random() < 0.7 else rng.randrange(len(changed)), len(changed) - 1
            )
            what = rng.randrange(4)
            if what == 0:
                changed[at] ^= 1 << rng.randrange(8)
            elif what == 1:
                changed[at] = rng.randrange(256)
            elif what == 2:
                del changed[at : at + rng.randrange(1, 9)]
            else:
                changed[at:at] = rng.randbytes(rng.randrange(1, 9))
        try:
            read_lc0(bytes(changed), NAME)
            read += 1
            if read % 50 == 0:
                assert torch.isfinite(
                    load_lc0(bytes(changed), NAME)[0](torch.zeros(1, 112, 8, 8)).value
                ).all()
        except ValueError as error:
            assert str(error).startswith("net.pb.gz")
            refused += 1
    assert read > 0.1 * trials and refused > 0.1 * trials


def test_a_network_is_loaded_in_little_more_than_its_own_memory(tmp_path: Path):
    """The file, what it unpacks to and the 16 bits of every number are let go on the way."""
    w = writer.Writer()
    width, encoders = 160, 12
    entries = w.dense("ip_emb", 25, width, 176)
    entries += [(27, w.encoder(f"e{i}", width, width, 3 * width)) for i in range(encoders)]
    entries += [(28, 4), *w.dense("ip_pol", 4, 8, width)]
    entries += writer.attention_policy(w, "pol", (17, 19, 22), 8, 10)
    entries += w.dense("ip_val", 29, 3, width) + w.dense("ip1_val", 7, 7, 192) + w.dense("ip2_val", 9, 3, 7)
    data = writer.file(entries, [(1, 1), (3, 6), (4, 3), (5, 2)])
    (tmp_path / "n.pb.gz").write_bytes(data)
    checkpoint.load(tmp_path / "n.pb.gz")  # what is imported and kept for later is not the network's
    tracemalloc.start()
    try:
        policy = checkpoint.load(tmp_path / "n.pb.gz")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = sum(4 * p.numel() for p in policy.module.parameters())
    assert size > 8e6 and peak < 1.3 * size, f"{peak / size:.2f} times the network"
    assert policy.sha256 == hashlib.sha256(data).hexdigest()
