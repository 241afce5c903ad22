"""Checkpoints of emergent-planning: nothing of them runs, and their networks have the numbers of those in one piece."""

from __future__ import annotations

import io
import pickle
import re
import sys
import tarfile
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from goalscope.policies.checkpoint import load, save, untrained
from goalscope.policies.emergent_planning.archive import Inert, read_archive
from goalscope.rollout.sampled import play
from goalscope.worlds.sokoban import Sokoban

C, HIDDEN, SIDE = 4, 6, 8


def layers(depth: int) -> OrderedDict[str, Tensor]:
    """Random layers of a DRC by the project's names."""
    rng = torch.Generator().manual_seed(depth)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng) / max(int(np.prod(shape[1:])), 9) ** 0.5

    found = OrderedDict({"encoder.0.weight": drawn(C, 7, 3, 3), "encoder.0.bias": drawn(C)})
    for d in range(depth):
        found[f"core.layers.{d}.main.weight"] = drawn(5 * C, 4 * C, 3, 3)
        found[f"core.layers.{d}.main.bias"] = drawn(5 * C)
        found[f"core.layers.{d}.proj.weight"] = drawn(C, 1, 2, 1)
        found[f"core.layers.{d}.proj.bias"] = drawn(C)
    return found | head(drawn, 2 * C)


def head(drawn: Any, channels: int) -> OrderedDict[str, Tensor]:
    found: OrderedDict[str, Tensor] = OrderedDict()
    for name, outputs, inputs in (
        ("final_layer", HIDDEN, channels * SIDE * SIDE), ("policy", 5, HIDDEN), ("baseline", 1, HIDDEN)
    ):  # fmt: skip
        found[f"{name}.weight"], found[f"{name}.bias"] = drawn(outputs, inputs), drawn(outputs)
    found["norm_low"] = torch.zeros(7, SIDE, SIDE, dtype=torch.uint8)
    found["norm_high"] = torch.ones(7, SIDE, SIDE, dtype=torch.uint8)
    return found


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class whose objects lie in a checkpoint; it is gone while the file is read."""
    module = types.ModuleType("thinker.buffer")
    ran: list[str] = []

    class RetBuffer:
        def __init__(self) -> None:
            self.returns = np.arange(4.0)

        def __setstate__(self, state: Any) -> None:
            ran.append("set")

    RetBuffer.__module__, RetBuffer.__qualname__ = "thinker.buffer", "RetBuffer"
    module.RetBuffer = RetBuffer  # type: ignore[attr-defined]
    parent = types.ModuleType("thinker")
    parent.buffer = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "thinker", parent)
    monkeypatch.setitem(sys.modules, "thinker.buffer", module)
    RetBuffer.ran = ran  # type: ignore[attr-defined]
    return RetBuffer


def written(path: Path, state: Any, foreign: Any, **more: Any) -> Path:
    content = {
        "step": 3, "ret_buffers": [foreign()], "norm_stats": np.float64(2.0), "crnorm": None,
        "actor_net_optimizer_state_dict": {"state": {0: {"exp_avg": torch.ones(3)}}}, "actor_net_state_dict": state,
        "flags": {"lr": 1e-4, "name": "x"}, **more,
    }  # fmt: skip
    torch.save(content, path)
    return path


def in_one_piece(found: dict[str, Tensor], planes: np.ndarray, depth: int, ticks: int, steps: int) -> Any:
    """Logits, value, h and c of the last step, from the project's layers as they are."""
    encoded = functional.conv2d(
        torch.from_numpy(planes).float(), found["encoder.0.weight"], found["encoder.0.bias"], padding=1
    )
    h = [torch.zeros_like(encoded) for _ in range(depth)]
    c = [torch.zeros_like(encoded) for _ in range(depth)]
    for _ in range(steps * ticks):
        below = h[-1]
        for d in range(depth):
            name = f"core.layers.{d}"
            weight = found[f"{name}.proj.weight"][:, 0, :, 0]
            told = (
                weight[:, 0] * h[d].mean((2, 3))
                + weight[:, 1] * h[d].amax((2, 3))
                + found[f"{name}.proj.bias"]
            )
            into = torch.cat([encoded, below, h[d], told[:, :, None, None].expand_as(below)], 1)
            gates = functional.conv2d(
                into, found[f"{name}.main.weight"], found[f"{name}.main.bias"], padding=1
            )
            i, f, o, g, _ = gates.chunk(5, 1)
            c[d] = f.sigmoid() * c[d] + i.sigmoid() * g.tanh()
            h[d] = below = o.sigmoid() * c[d].tanh()

    def linear(x: Tensor, name: str) -> Tensor:
        return functional.linear(x, found[f"{name}.weight"], found[f"{name}.bias"])

    hidden = linear(torch.cat([encoded, h[-1]], 1).flatten(1), "final_layer").relu()
    return linear(hidden, "policy"), linear(hidden, "baseline")[:, 0], torch.stack(h, 1), torch.stack(c, 1)


def boards(count: int = 3) -> np.ndarray:
    world = Sokoban(observation="kinds", noop=True)
    return world.observe(world.generate(range(count)))


@pytest.mark.parametrize(
    ("name", "depth", "ticks"),
    [
        ("ckp_actor_realstep250m", 3, 3), ("ckp_actor_realstep100m_d1t9", 1, 9), ("realstep100m_d9t1", 9, 1),
        ("ckp_actor_drc24-small", 2, 4),
    ],
)  # fmt: skip
def test_drcs_have_the_numbers_of_the_network_in_one_piece(
    name: str, depth: int, ticks: int, tmp_path: Path, foreign: Any
):
    found = layers(depth)
    policy = load(written(tmp_path / f"{name}.tar", found, foreign))
    module: Any = policy.module
    carry = module.initial_carry(3)
    with torch.inference_mode():
        for _ in range(2):
            out = module(module.encode(boards()), carry)
            carry = out.carry
        expected = in_one_piece(found, boards(), depth, ticks, 2)
    for mine, theirs in zip((out.logits, out.value, *carry), expected, strict=True):
        assert torch.allclose(mine, theirs, atol=2e-5)
    assert out.logits.std() > 1e-3 and policy.config["architecture"]["ticks"] == ticks
    assert foreign.ran == [], "an object of the file was made"


def test_residual_networks_have_the_numbers_of_torchs_layers(tmp_path: Path, foreign: Any):
    torch.manual_seed(0)
    blocks: Any = torch.nn.ModuleList(
        torch.nn.ModuleDict(
            {f"{kind}{k}": torch.nn.Conv2d(C, C, 3, padding=1) if kind == "conv" else torch.nn.BatchNorm2d(C)
             for k in (1, 2) for kind in ("conv", "bn")}
        )
        for _ in range(2)
    )  # fmt: skip
    for part in blocks.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(part.weight, 1)
            torch.nn.init.normal_(part.bias)
            torch.nn.init.normal_(part.running_mean)  # type: ignore[arg-type]
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    encoder = torch.nn.Conv2d(7, C, 3, padding=1)
    found = head(lambda *shape: torch.randn(*shape) / 10, C)
    state = OrderedDict(
        {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
        | {f"core.{k}": v for k, v in blocks.state_dict().items()}
        | found
    )
    module: Any = load(written(tmp_path / "ckp_actor_realstep250m_resnet_d24.tar", state, foreign)).module
    with torch.inference_mode():
        x = encoder(torch.from_numpy(boards()).float())
        for block in blocks.eval():
            inner = block["bn1"](block["conv1"](x)).relu()
            x = (block["bn2"](block["conv2"](inner)) + x).relu()
        hidden = functional.linear(
            x.flatten(1), found["final_layer.weight"], found["final_layer.bias"]
        ).relu()
        logits = functional.linear(hidden, found["policy.weight"], found["policy.bias"])
        out = module(module.encode(boards()))
    assert torch.allclose(out.logits, logits, atol=2e-5) and logits.std() > 1e-3


def test_the_published_networks_have_as_many_parameters():
    """Without the fifth gate, which their code does not use: 1,606,150 less 3 x 36,896; 1,236,998 less one of them."""
    from goalscope.policies.drc import DRC

    form: Any = dict(planes=7, size=8, convolutions=1, encoder="linear", boundary="none", pool="biased",
                     skip="concatenate", actions=5)  # fmt: skip
    with torch.device("meta"):
        counts = [sum(p.numel() for p in DRC(*depth, **form).parameters()) for depth in ((3, 3), (1, 9))]
    unused = 32 * (128 * 9 + 1)
    assert counts == [1_606_150 - 3 * unused, 1_236_998 - unused]


def test_it_acts_with_five_actions_in_the_world_that_its_config_names(tmp_path: Path, foreign: Any):
    policy = load(written(tmp_path / "a.tar", layers(1), foreign))
    said = policy.config["world"]
    world = Sokoban(
        said["size"], said["size"], said["boxes"], observation=said["observation"], noop=said["noop"]
    )
    played = play(policy.module, world, world.generate(range(3)), 6, 0)
    assert played.actions.min() >= 0 and played.actions.max() < 5
    save(tmp_path / "own.safetensors", policy.module, policy.config)
    again = load(tmp_path / "own.safetensors").module.state_dict()
    assert all(torch.equal(again[name], layer) for name, layer in policy.module.state_dict().items())
    assert untrained(policy.config, 0).module.state_dict().keys() == again.keys()
    with pytest.raises(ValueError, match=r"takes observations \[N, 7, 8, 8\] uint8, got \[3, 7, 6, 6\]"):
        policy.module.encode(boards()[:, :, 1:-1, 1:-1])  # type: ignore[operator]


# Bad input


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


def test_a_checkpoint_that_would_run_code_does_not_and_is_refused(tmp_path: Path, foreign: Any):
    mark = tmp_path / "ran"
    path = written(tmp_path / "a.tar", layers(1), foreign, extra=Bomb(mark))
    with pytest.raises(ValueError, match=r"names (io|_io|builtins)\.open, which could run code"):
        load(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists(), "the bomb is not live"


@pytest.mark.parametrize(("name", "words"), [
    ("thinker.buffer", "RetBuffer"), ("torch.serialization", "load"), ("numpy", "load"), ("torch.hub", "load"),
])  # fmt: skip
def test_names_of_known_projects_stand_for_nothing(name: str, words: str, tmp_path: Path):
    """What a pickle calls by them is not called: here `numpy.load` of a file that is not there."""
    program = b"\x80\x02}X\x14\x00\x00\x00actor_net_state_dictc" + name.encode() + b"\n" + words.encode()
    program += b"\nX\x05\x00\x00\x00/nope\x85Rs."
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("x/data.pkl", program)
    assert isinstance(read_archive(raw.getvalue())["actor_net_state_dict"], Inert)
    (tmp_path / "a.tar").write_bytes(raw.getvalue())
    with pytest.raises(
        ValueError, match=r"holds actor_net_state_dict; expected is actor_net_state_dict with the layers"
    ):
        load(tmp_path / "a.tar")


def test_layers_that_do_not_fit_are_named(tmp_path: Path, foreign: Any):
    state = layers(2)
    del state["core.layers.1.proj.bias"]
    with pytest.raises(
        ValueError, match=r"lacks core\.layers\.1\.proj\.bias of a DRC .*; it has encoder\.0\.weight"
    ):
        load(written(tmp_path / "a.tar", state, foreign))
    with pytest.raises(ValueError, match=r"has no value_head\.weight, which the file holds"):
        load(written(tmp_path / "b.tar", layers(1) | {"value_head.weight": torch.zeros(2)}, foreign))
    with pytest.raises(ValueError, match=r"its name says d2t4, and it has 1 layers"):
        load(written(tmp_path / "c_d2t4.tar", layers(1), foreign))
    with pytest.raises(ValueError, match=r"norm_high is not 1 everywhere"):
        load(written(tmp_path / "d.tar", layers(1) | {"norm_high": torch.full((7, 8, 8), 255)}, foreign))
    with pytest.raises(ValueError, match=r"core\.layers\.0\.main\.bias holds numbers that are not finite"):
        state = layers(1)
        state["core.layers.0.main.bias"][3] = torch.nan
        load(written(tmp_path / "e.tar", state, foreign))


def test_a_tensor_cannot_reach_beyond_its_numbers(tmp_path: Path, foreign: Any):
    """The strides of a tensor stand in the pickle; those of a damaged one would read other memory."""
    path = written(tmp_path / "a.tar", layers(1), foreign)
    with zipfile.ZipFile(path) as archive:
        parts = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name = next(name for name in parts if name.endswith("data.pkl"))
    shape = b"K\x04K\x07K\x03K\x03t"  # of encoder.0.weight
    assert shape in parts[name]
    parts[name] = parts[name].replace(shape, b"K\xffK\x07K\x03K\x03t", 1)
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in parts.items():
            archive.writestr(entry, data)
    with pytest.raises(
        ValueError, match=r"a tensor \[255, 7, 3, 3\] of the file reaches beyond its 252 numbers"
    ):
        load(path)


def test_memory_is_not_taken_for_places_that_nothing_fills():
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}r\xff\xff\xff\x7f.")
    with pytest.raises(ValueError, match="place 2147483647 of its memory"):
        read_archive(raw.getvalue())


def test_a_tar_of_files_is_not_unpacked(tmp_path: Path):
    path = tmp_path / "ckp.tar"
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("../../outside.py")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"boo"))
    with pytest.raises(
        ValueError, match=re.escape("is a tar archive of files (../../outside.py), of which none is unpacked")
    ):
        load(path)
    assert list(tmp_path.iterdir()) == [path]


def test_any_damage_is_an_error_in_words_or_no_damage(tmp_path: Path, foreign: Any):
    whole, random = written(tmp_path / "a.tar", layers(1), foreign).read_bytes(), np.random.default_rng(0)
    outcomes = set()
    for _ in range(60):
        data = bytearray(whole)
        at = int(random.integers(0, 3000)) if random.random() < 0.7 else int(random.integers(0, len(data)))
        data[at] = int(random.integers(0, 256))
        (tmp_path / "a.tar").write_bytes(data)
        try:
            load(tmp_path / "a.tar")
            outcomes.add("loaded")
        except (ValueError, FileNotFoundError) as error:
            assert len(str(error)) > 20
            outcomes.add("refused")
    assert "refused" in outcomes
    (tmp_path / "a.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="truncated or damaged"):
        load(tmp_path / "a.tar")


def test_a_bare_pickle_inside_no_archive_is_refused(tmp_path: Path):
    (tmp_path / "a.tar").write_bytes(pickle.dumps({"actor_net_state_dict": Bomb(tmp_path / "ran")}))
    with pytest.raises(ValueError, match="bare pickle, which may run code"):
        load(tmp_path / "a.tar")
    assert not (tmp_path / "ran").exists()
