"""Streamed activations are the captured ones, whatever interrupted the stream; a folder is of one stream only."""

from __future__ import annotations

import copy
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from goalscope.activations import add, capture, editing, stored, stream, zero
from goalscope.activations.content import digest
from goalscope.activations.streaming import shards

SITES = ["blocks.1", "hidden_relu", ":out.value"]
SHARD = 300_000
"""bytes; a batch of 20 takes 130 kB, so a shard takes three of them"""


class Counted(list):
    """Batches that say how often they were asked for."""

    asked = 0

    def __getitem__(self, index: Any) -> Any:
        self.asked += 1
        return super().__getitem__(index)


@pytest.fixture
def batches() -> list[Tensor]:
    """Twelve, of 20 samples but for the last."""
    torch.manual_seed(1)
    return list(torch.rand(235, 3, 13, 13).split(20))


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != ".lock"}


def test_rows_are_the_captured_ones(compact: tuple[nn.Module, Tensor], batches: list[Tensor], tmp_path: Path):
    module, _ = compact
    kept = stream(module, batches, SITES, tmp_path / "a", shard_bytes=SHARD)
    expected = capture(module, torch.cat(batches), SITES, batch=20)
    assert kept.rows == 235 and len(kept.shards) == 4
    assert kept.sites == {"blocks.1": (32, 7, 7), "hidden_relu": (64,), ":out.value": ()}
    some = [234, 0, 60, 59, 60]
    for site, tensor in expected.items():
        assert torch.equal(kept.read(site), tensor)
        assert torch.equal(kept.read(site, 55, 185), tensor[55:185])
        assert torch.equal(kept.take(site, some), tensor[some])
        assert torch.equal(torch.cat(list(kept.chunks(site))), tensor)
        parts = [load_file(tmp_path / "a" / name)[site] for name, _, _ in kept.shards]
        assert torch.equal(torch.cat(parts), tensor)
    table = pq.read_table(tmp_path / "a" / "index.parquet").to_pydict()
    assert table["first_row"] == [0, 60, 120, 180] and sum(table["rows"]) == 235
    assert table["first_batch"] == [0, 3, 6, 9] and table["batches"] == [3, 3, 3, 3]
    assert table["inputs"] == [digest(batches[k]) for k in table["first_batch"]]


@pytest.mark.parametrize("how", [iter, lambda batches: lambda: (x for x in batches), tuple])
def test_any_way_to_give_batches(
    compact: tuple[nn.Module, Tensor], batches: list[Tensor], tmp_path: Path, how: Any
):
    stream(compact[0], batches, SITES, tmp_path / "a", shard_bytes=SHARD)
    stream(compact[0], how(batches), SITES, tmp_path / "b", shard_bytes=SHARD)
    (tmp_path / "b" / "shard-000002.safetensors").unlink()
    stream(compact[0], how(batches), SITES, tmp_path / "b", shard_bytes=SHARD)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_only_what_is_missing_is_computed(
    compact: tuple[nn.Module, Tensor], batches: list[Tensor], tmp_path: Path
):
    module, _ = compact
    forwards: list[int] = []
    module.register_forward_hook(lambda *_: forwards.append(1))
    kept = stream(module, batches, SITES, tmp_path, shard_bytes=SHARD)
    assert len(forwards) == 12
    whole = files(tmp_path)
    counted = Counted(batches)
    assert stream(module, counted, SITES, tmp_path, shard_bytes=SHARD) == kept
    assert len(forwards) == 12 and counted.asked == 1 + 3  # the first batch of each shard
    for torn in (b"", whole["shard-000002.safetensors"][:-9], b"garbage" * 40):
        forwards.clear()
        (tmp_path / "shard-000002.safetensors").write_bytes(torn)
        counted = Counted(batches)
        stream(module, counted, SITES, tmp_path, shard_bytes=SHARD)
        assert len(forwards) == 6 and counted.asked == 1 + 1 + 6 and files(tmp_path) == whole
    (tmp_path / "index.parquet").unlink()
    stream(module, batches, SITES, tmp_path, shard_bytes=SHARD)
    assert len(forwards) == 6 and files(tmp_path) == whole


CHILD = """
import sys, time, torch
from goalscope.activations import stream
from goalscope.policies.compact import Compact
torch.manual_seed(0)
module = Compact().eval()
torch.manual_seed(1)
def batches():
    for k, x in enumerate(torch.rand(235, 3, 13, 13).split(20)):
        if k == 8:
            print("there", flush=True)
            time.sleep(60)
        yield x
stream(module, batches, ["blocks.1", "hidden_relu", ":out.value"], sys.argv[1], shard_bytes=300_000)
"""


def test_after_a_kill_the_same_call_goes_on(
    compact: tuple[nn.Module, Tensor], batches: list[Tensor], tmp_path: Path
):
    module, _ = compact
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "there\n"
    with pytest.raises(ValueError, match="being written by another process"):
        stream(module, batches, SITES, tmp_path / "a", shard_bytes=SHARD)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)
    assert {"shard-000000.safetensors", "shard-000001.safetensors"} <= files(tmp_path / "a").keys()
    with pytest.raises(ValueError, match="finish it with the same call"):
        stored(tmp_path / "a")
    counted = Counted(batches)
    stream(module, counted, SITES, tmp_path / "a", shard_bytes=SHARD)
    assert counted.asked == 1 + 1 + 6
    stream(module, batches, SITES, tmp_path / "b", shard_bytes=SHARD)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_batches_may_come_from_the_module_itself(compact: tuple[nn.Module, Tensor], tmp_path: Path):
    module, x = compact

    def played() -> Iterator[Tensor]:
        for k in range(3):
            with torch.no_grad():
                yield (x + module(x).value.mean() + k).clamp(0, 1)

    kept = stream(module, played, ["hidden_relu"], tmp_path)
    expected = capture(module, torch.cat(list(played())), ["hidden_relu"], batch=4)["hidden_relu"]
    assert torch.equal(kept.read("hidden_relu"), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.int64, torch.bool])
def test_types_keep_their_bits(tmp_path: Path, dtype: torch.dtype):
    x = torch.randn(9, 2, 3).mul(5).to(dtype)
    kept = stream(nn.Identity(), x.split(4), [""], tmp_path)
    assert kept.read("").dtype == dtype and torch.equal(kept.read(""), x)


def test_a_folder_of_something_else(compact: tuple[nn.Module, Tensor], batches: list[Tensor], tmp_path: Path):
    module, _ = compact
    stream(module, batches, SITES, tmp_path / "a", shard_bytes=SHARD)
    whole = files(tmp_path / "a")

    def again(
        module: nn.Module = module, batches: Any = batches, sites: Any = SITES, size: int = SHARD
    ) -> Any:
        return lambda: stream(module, batches, sites, tmp_path / "a", shard_bytes=size)

    other = copy.deepcopy(module)
    with torch.no_grad():
        other.stem.weight[0, 0, 0, 0] += 1e-3  # type: ignore[union-attr, index]
    for run, words in (
        (again(module=other), r"something else \(another module\); choose another folder"),
        (again(sites=SITES[:2]), "another list of sites"),
        (again(batches=batches[::-1]), "another first batch"),
        (again(size=2 * SHARD), "another shard_bytes"),
        (again(batches=batches[:5]), "holds 12 batches, 5 are given"),
        (again(batches=[*batches, batches[0]]), "holds 12 batches, 13 are given"),
    ):
        with pytest.raises(ValueError, match=words):
            run()
        assert files(tmp_path / "a") == whole
    (tmp_path / "a" / "index.parquet").unlink()
    with pytest.raises(ValueError, match="12 batches are stored, 5 are given"):
        again(batches=iter(batches[:5]))()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds something else \(notes\.txt\)"):
        stream(module, batches, SITES, tmp_path / "b")
    save_file({"x": torch.zeros(2)}, tmp_path / "b" / "shard-000000.safetensors")
    (tmp_path / "b" / "notes.txt").unlink()
    with pytest.raises(ValueError, match="something else"):
        stream(module, batches, SITES, tmp_path / "b")
    (tmp_path / "b" / "index.parquet").write_bytes(b"PAR1nothing")
    with pytest.raises(ValueError, match="is no index of streamed activations"):
        stored(tmp_path / "b")


def test_other_inputs_after_the_first_batch(
    compact: tuple[nn.Module, Tensor], batches: list[Tensor], tmp_path: Path
):
    module, _ = compact
    stream(module, batches, SITES, tmp_path, shard_bytes=SHARD)
    whole = files(tmp_path)
    other = [x.clone() for x in batches]
    other[6][0, 0, 0, 0] += 1e-3
    words = r"something else \(another batch 6\); choose another folder"
    with pytest.raises(ValueError, match=words):
        stream(module, other, SITES, tmp_path, shard_bytes=SHARD)
    assert files(tmp_path) == whole
    (tmp_path / "shard-000003.safetensors").unlink()
    for given in (other, iter(other)):
        with pytest.raises(ValueError, match=words):
            stream(module, given, SITES, tmp_path, shard_bytes=SHARD)
    stream(module, iter(batches), SITES, tmp_path, shard_bytes=SHARD)
    assert files(tmp_path) == whole
    # What is not looked at, as documented: batches within a shard, an iterable whose shards are all there.
    within = [x.clone() for x in batches]
    within[7][0, 0, 0, 0] += 1e-3
    stream(module, within, SITES, tmp_path, shard_bytes=SHARD)
    stream(module, iter(other), SITES, tmp_path, shard_bytes=SHARD)


def test_shards_without_the_hash_of_their_inputs_are_made_again(
    compact: tuple[nn.Module, Tensor], batches: list[Tensor], tmp_path: Path
):
    module, _ = compact
    stream(module, batches, SITES, tmp_path, shard_bytes=SHARD)
    whole = files(tmp_path)
    shard = tmp_path / "shard-000001.safetensors"
    shard.write_bytes(shard.read_bytes().replace(rb"\"inputs\"", rb"\"output\""))
    assert files(tmp_path) != whole
    stream(module, batches, SITES, tmp_path, shard_bytes=SHARD)
    assert files(tmp_path) == whole


def test_a_full_disk_keeps_whole_shards_and_no_part(
    compact: tuple[nn.Module, Tensor], batches: list[Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real, calls = shards._write_safetensors, []

    def full(file: BinaryIO, *rest: Any) -> None:
        calls.append(file)
        real(file, *rest)
        if len(calls) == 3:
            file.truncate(1000)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shards, "_write_safetensors", full)
    with pytest.raises(OSError, match=r"cannot be written to .*No space left.*make the same call again"):
        stream(compact[0], batches, SITES, tmp_path / "a", shard_bytes=SHARD)
    assert sorted(files(tmp_path / "a")) == ["shard-000000.safetensors", "shard-000001.safetensors"]
    monkeypatch.undo()
    kept = stream(compact[0], batches, SITES, tmp_path / "a", shard_bytes=SHARD)
    assert kept.rows == 235
    calls.clear()
    (tmp_path / "a" / "shard-000000.safetensors").write_bytes(b"")
    monkeypatch.setattr(shards, "_write_safetensors", full)
    with pytest.raises(OSError, match="No space left"):
        stream(compact[0], batches, SITES, tmp_path / "a", shard_bytes=SHARD)
    with pytest.raises(ValueError, match="finish it with the same call"):  # the old index is no longer true
        stored(tmp_path / "a")


def test_places_that_cannot_be_written(
    compact: tuple[nn.Module, Tensor], batches: list[Tensor], tmp_path: Path
):
    with pytest.raises(OSError, match="cannot be written to /proc/goalscope"):
        stream(compact[0], batches, SITES, "/proc/goalscope")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file; choose a folder"):
        stream(compact[0], batches, SITES, tmp_path / "file")


def test_batches_that_do_not_do(compact: tuple[nn.Module, Tensor], batches: list[Tensor], tmp_path: Path):
    module, x = compact
    wrong = x.clone()
    wrong[2, 0, 1, 1] = float("nan")
    for given, sites, words in (
        ([], SITES, "no batches"),
        (x, SITES, r"one tensor \[4, 3, 13, 13\]; cut it"),
        ([x, x[:0]], SITES, "batch 1 is empty"),
        (
            [x, torch.rand(4, 3, 15, 15)],
            SITES,
            r"'blocks.1': rows of shape \[32, 8, 8\] in batch 1, \[32, 7, 7\]",
        ),
        ([x, wrong], SITES, "site 'blocks.1': sample 6 "),
        ([x], ["blocks.1@*"], "axis 0 counts calls"),
        ([x], ["blocks.9"], "near matches"),
    ):
        with pytest.raises(ValueError, match=words):
            stream(module, given, sites, tmp_path / "a")
    with pytest.raises(ValueError, match=r"axis 0 does not count samples"):
        stream(nn.Flatten(0), [x], [""], tmp_path / "b")


def test_reading_what_is_not_there(compact: tuple[nn.Module, Tensor], batches: list[Tensor], tmp_path: Path):
    kept = stream(compact[0], batches, SITES, tmp_path, shard_bytes=SHARD)
    with pytest.raises(KeyError, match=r"does not hold the site 'stem', but blocks\.1, hidden_relu"):
        kept.read("stem")
    for run in (
        lambda: kept.read("hidden_relu", 5, 5),
        lambda: kept.read("hidden_relu", 0, 236),
        lambda: kept.take("hidden_relu", [235]),
        lambda: kept.take("hidden_relu", [-1]),
        lambda: kept.take("hidden_relu", []),
    ):
        with pytest.raises(ValueError, match=r"0\.\.23[45]"):
            run()
    (tmp_path / "shard-000001.safetensors").unlink()
    with pytest.raises(ValueError, match=r"lacks shard-000001\.safetensors"):
        stored(tmp_path)


class Ticks(nn.Module):
    """The same weights with another number of ticks."""

    def __init__(self, ticks: int = 1):
        super().__init__()
        self.ticks = ticks
        self.layer = nn.Linear(4, 4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.ticks):
            x = self.layer(x)
        return self.drop(x)


def test_what_changes_the_activations_is_another_folder(tmp_path: Path):
    torch.manual_seed(0)
    module, other, x = Ticks().eval(), Ticks(3).eval(), [torch.randn(6, 4)]
    other.load_state_dict(module.state_dict())
    stream(module, x, ["drop"], tmp_path)
    with pytest.raises(ValueError, match="another configuration or mode of the module"):
        stream(other, x, ["drop"], tmp_path)
    with (
        pytest.warns(UserWarning, match="training mode"),
        pytest.raises(ValueError, match="configuration or mode"),
    ):
        stream(module.train(), x, ["drop"], tmp_path)
    module.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(ValueError, match="another precision"):
        stream(module, x, ["drop"], tmp_path)
    with pytest.raises(ValueError, match="another first batch"):
        stream(module, [torch.cat([x[0], x[0]])[:6].reshape(3, 8)[:, :4]], ["drop"], tmp_path)

    def doubled(_: nn.Module, args: tuple, out: torch.Tensor) -> torch.Tensor:
        return out * 2

    handle = module.layer.register_forward_hook(doubled)
    with pytest.raises(ValueError, match="another hook on the module"):
        stream(module, x, ["drop"], tmp_path)
    handle.remove()
    assert stream(module, x, ["drop"], tmp_path).rows == 6


@pytest.mark.parametrize("first", [True, False])
def test_a_folder_made_under_an_edit_is_of_that_call(tmp_path: Path, first: bool):
    torch.manual_seed(0)
    module, x = Ticks().eval(), [torch.randn(6, 4)]

    def edited(edit: Any) -> Any:
        with editing(module, {"layer": edit}):
            module(x[0])
            return stream(module, x, ["drop"], tmp_path)

    kept = edited(zero()) if first else stream(module, x, ["drop"], tmp_path)
    assert (kept.read("drop") == 0).all() == first
    for again in (
        lambda: edited(add(1.0)),
        *([lambda: stream(module, x, ["drop"], tmp_path)] if first else []),
    ):
        with pytest.raises(ValueError, match="another editing block"):
            again()


def test_an_edit_in_another_block_of_another_module_does_not_count(tmp_path: Path):
    module, other, x = Ticks().eval(), Ticks().eval(), [torch.randn(6, 4)]
    stream(module, x, ["drop"], tmp_path)
    with editing(other, {"layer": zero()}):
        other(x[0])
        assert stream(module, x, ["drop"], tmp_path).rows == 6
