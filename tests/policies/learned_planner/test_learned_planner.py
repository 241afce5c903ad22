"""Checkpoints of learned-planner: the same numbers as its networks in one piece, and plain words for what is not one."""

from __future__ import annotations

import importlib.util
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalscope.policies.checkpoint import load, save, untrained
from goalscope.policies.drc import DRC
from goalscope.policies.learned_planner.msgpack import DEEPEST, is_msgpack, read_msgpack
from goalscope.rollout.sampled import play
from goalscope.worlds.sokoban import Sokoban

_spec = importlib.util.spec_from_file_location("flax_files", Path(__file__).parent / "flax_files.py")
assert _spec and _spec.loader
flax = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(flax)

SIZE = 5


def written(folder: Path, net: dict[str, Any], found: Any = None, devices: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    found = flax.parameters(net, SIZE) if found is None else found
    (folder / "model").write_bytes(flax.checkpoint(found, devices))
    (folder / "cfg.json").write_bytes(flax.config(net))
    return folder


def pixels(seed: int = 0, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, 3, size, size), dtype=np.uint8)


FORMS: dict[str, dict[str, Any]] = {
    "published": {},
    "the code's defaults": {
        "use_relu": True, "output_activation": "sigmoid", "fence_pad": "same", "pool_projection": "full"
    },
    "one layer, one tick": {"n_recurrent": 1, "repeats_per_step": 1},
    "no fence": {"fence_pad": "no"},
    "pooled from below": {"pool_and_inject": "vertical"},
    "pooled from below, mixed by a matrix": {"pool_and_inject": "vertical", "pool_projection": "full"},
    "nothing pooled": {"pool_and_inject": "no"},
    "pooled by the mean": {"pool_projection": "mean"},
    "pooled by the maximum": {"pool_projection": "max"},
    "forget gates biased, values scaled": {"forget_bias": 1.5, "head_scale": 2.5},
    "residual": {"residual": True},
    "residual, fed on": {"residual": True, "skip_final": False},
    "the top layer alone": {"skip_final": False},
    "whole numbers written as such": {"forget_bias": 1, "head_scale": 1, "n_recurrent": 3.0},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_numbers_of_the_network_in_one_piece(form: str, tmp_path: Path):
    net = flax.changed(flax.NET, **FORMS[form])
    plain = {**net, "n_recurrent": int(net["n_recurrent"])}
    found = flax.parameters(plain, SIZE)
    module: Any = load(written(tmp_path / "cp", net, found)).module
    assert isinstance(module, DRC)
    carry, theirs = module.initial_carry(3), []
    with torch.inference_mode():
        for step in range(3):
            seen = pixels(step)
            logits, value, theirs = flax.forward(plain, found, seen, theirs)
            out = module(module.encode(seen), carry)
            carry = out.carry
            assert torch.allclose(out.logits, logits, atol=2e-5) and torch.allclose(
                out.value, value, atol=2e-5
            )
            for part, of in enumerate(carry):
                expected = torch.stack([layer[part].permute(0, 3, 1, 2) for layer in theirs], 1)
                assert torch.allclose(of, expected, atol=2e-5)
    assert value.abs().max() > 1e-3 and out.logits.std() > 1e-3


def test_the_residual_network_has_the_numbers_of_the_one_in_one_piece(tmp_path: Path):
    found = flax.parameters(flax.RESNET, SIZE)
    module: Any = load(written(tmp_path / "cp", flax.RESNET, found)).module
    with torch.inference_mode():
        out = module(module.encode(pixels()))
        logits, value = flax.resnet_forward(flax.RESNET, found, pixels())
    assert torch.allclose(out.logits, logits, atol=2e-5) and torch.allclose(out.value, value, atol=2e-5)


def test_the_published_networks_have_as_many_parameters_as_their_card_says():
    def count(module: Any) -> int:
        return sum(p.numel() for p in module.parameters())

    from goalscope.policies.learned_planner.resnet import GuezResNet

    published = dict(channels=32, planes=3, size=10, kernel=4, encoder="linear", boundary="ring", skip="add")
    with torch.device("meta"):
        assert count(DRC(3, 3, output="tanh", **published)) == 1_285_125  # type: ignore[arg-type]
        assert count(DRC(1, 1, output="tanh", **published)) == 987_525  # type: ignore[arg-type]
        assert count(GuezResNet()) == 3_068_421


def test_older_files_load_too(tmp_path: Path):
    """Without the axis of devices; with the fence's input channels as many as the encoder's; config without a wrapper."""
    found = flax.parameters(flax.NET, SIZE)
    expected = load(written(tmp_path / "a", flax.NET, found)).module.state_dict()
    plain = load(written(tmp_path / "b", flax.NET, found, devices=False)).module.state_dict()
    wide = dict(found)
    for name in [name for name in found if "fence" in name]:
        parts = np.random.default_rng(0).dirichlet(np.ones(4)).astype(np.float32)
        wide[name] = found[name] * parts[:, None]
    folder = written(tmp_path / "c", flax.NET, wide)
    (folder / "cfg.json").write_text(json.dumps({"net": flax.NET}))
    summed = load(folder / "model").module.state_dict()
    for name, layer in expected.items():
        assert torch.equal(plain[name], layer) and torch.allclose(summed[name], layer, atol=1e-6)


def test_it_is_saved_loaded_and_made_anew_like_any_policy(tmp_path: Path):
    for net in (flax.NET, flax.RESNET):
        policy = load(written(tmp_path / "cp", net))
        assert policy.name == "cp" == load(tmp_path / "cp" / "model").name
        save(tmp_path / "own.safetensors", policy.module, policy.config)
        again = load(tmp_path / "own.safetensors").module.state_dict()
        assert all(torch.equal(again[name], layer) for name, layer in policy.module.state_dict().items())
        assert untrained(policy.config, 1).module.state_dict().keys() == again.keys()


def test_it_acts_in_the_sokoban_world_that_its_config_names(tmp_path: Path):
    folder = tmp_path / "cp"
    policy = load(written(folder, flax.NET, flax.parameters(flax.NET, 10)))
    said = policy.config["world"]
    world = Sokoban(said["size"], said["size"], said["boxes"], observation=said["observation"])
    played = play(policy.module, world, world.generate(range(2)), 3, seed=0)
    assert played.actions.max() < 4
    with pytest.raises(ValueError, match=r"takes observations \[N, 3, 10, 10\] uint8, got \[2, 4, 10, 10\]"):
        policy.module.encode(Sokoban().observe(world.generate(range(2))))  # type: ignore[operator]


# Bad input


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"_type_": "cleanba.convlstm:LSTMConfig"}, "describes the network cleanba.convlstm:LSTMConfig; read are"),
        ({"norm": {"_type_": "cleanba.network:RMSNorm"}}, "norm cleanba.network:RMSNorm, which is not read"),
        ({"normalize_input": True}, "normalize_input"),
        ({"mlp_hiddens": [6, 6]}, r"mlp_hiddens is \[6, 6\]"),
        ({"repeats_per_step": 0.5}, "repeats_per_step is 0.5; a whole number"),
        ({"pool_projection": "median"}, "pool_projection is 'median'; read are full, per-channel"),
        ({"fence_pad": "no"}, "has no network_params/cell_list_0/fence/kernel, .*which the file holds"),
        ({"pool_and_inject": "no"}, r"ih/kernel has shape \[3, 3, 12, 16\], a DRC .* needs \[3, 3, 8, 16\]"),
        ({"n_recurrent": 3}, "lacks network_params/cell_list_2/ih/kernel of a DRC of learned-planner; it has"),
        ({"embed": flax.NET["embed"][:1]}, "conv_list_1"),
        ({"embed": [{**flax.NET["embed"][0], "strides": [2, 2]}]}, "strides 1 and padding SAME are read"),
    ],
)  # fmt: skip
def test_a_config_that_is_not_the_files_is_refused_by_name(
    change: dict[str, Any], words: str, tmp_path: Path
):
    folder = written(tmp_path / "cp", flax.NET)
    (folder / "cfg.json").write_bytes(flax.config(flax.changed(flax.NET, **change)))
    with pytest.raises(ValueError, match=f"read as a checkpoint of learned-planner: .*{words}"):
        load(folder)


def test_a_file_without_its_config_says_where_it_belongs(tmp_path: Path):
    folder = written(tmp_path / "cp", flax.NET)
    (folder / "cfg.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"cfg\.json is not there: it says what network"):
        load(folder)
    (folder / "cfg.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"cfg\.json is not JSON"):
        load(folder)


def test_a_checkpoint_of_another_project_names_both_sets_of_keys(tmp_path: Path):
    folder = written(tmp_path / "cp", flax.NET)
    (folder / "model").write_bytes(flax.packed({"model": {"w": np.zeros(2, np.float32)}, "epoch": 3}))
    with pytest.raises(
        ValueError, match=r"holds model, epoch; expected is params with params/network_params"
    ):
        load(folder)
    (folder / "model").write_bytes(flax.packed({"params": {"encoder": {}, "torso": {}}}))
    with pytest.raises(ValueError, match=r"params holds encoder, torso; expected is"):
        load(folder)


def deep(levels: int) -> bytes:
    return b"\x81\xa1a" * levels + b"\xc0"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (deep(DEEPEST + 1), f"deeper than {DEEPEST}"),
        (b"\x81\xa1a" + b"\xdd\xff\xff\xff\xff" + b"\xc0" * 200_000, "more than 100000 values"),
        (b"\x81\xa1a" + b"\x91" * 50_000, f"deeper than {DEEPEST}"),
        (b"\x81\xa1a\xc1", "0xc1, which begins no value"),
        (b"\x81\xa1a\xc7\x01\x05x", "extension type 5 .* unknown to flax"),
        (b"\x81\xa1a\xc7\x01\x02x", "extension type 2 .* complex numbers"),
        (b"\x81\xa1a\xd7\xff" + bytes(8), "extension type -1"),
        (b"\x81\xa1a\xc6\xff\xff\xff\xff", "truncated"),
        (b"\x81\xa1\xff\xc0", "not UTF-8"),
        (b"\x82\xa1a\xc0\xa1a\xc0", "twice the key 'a'"),
        (b"\x82\xa1a\xc0\x01\xc0", "the key '1'"),
        (b"\x81\xa1a\xc0\xc0", "1 bytes are left"),
    ],
)  # fmt: skip
def test_strange_bytes_are_refused_in_words(data: bytes, words: str):
    assert is_msgpack(data)
    with pytest.raises(ValueError, match=words):
        read_msgpack(data)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([[2], "float32", bytes(4)], r"is \[2\] float32, but has 4 bytes"),
        ([[2], "float32", bytes(9)], "has 9 bytes"),
        ([[10**9, 10**9, 10**9], "float32", bytes(4)], "but has 4 bytes"),
        ([[-1], "float32", bytes(4)], r"has the shape \[-1\]"),
        ([[1], "object", bytes(8)], "of the type 'object', which is not read"),
        ([[1], "float32"], r"is not \[shape, type, numbers\]"),
    ],
)  # fmt: skip
def test_an_array_that_is_none_is_refused(parts: list[Any], words: str):
    body = flax.packed(parts)
    with pytest.raises(ValueError, match=words):
        read_msgpack(b"\x81\xa1a\xc9" + struct.pack(">Ib", len(body), 1) + body)


def test_any_damage_is_an_error_in_words_or_no_damage(tmp_path: Path):
    folder = written(tmp_path / "cp", flax.NET)
    whole, random = (folder / "model").read_bytes(), np.random.default_rng(0)
    outcomes = set()
    for _ in range(80):
        data = bytearray(whole)
        at = int(random.integers(0, 400)) if random.random() < 0.7 else int(random.integers(0, len(data)))
        if random.random() < 0.3:
            del data[at : at + int(random.integers(1, 40))]
        else:
            data[at] = int(random.integers(0, 256))
        (folder / "model").write_bytes(data)
        try:
            load(folder)
            outcomes.add("loaded")
        except (ValueError, FileNotFoundError) as error:
            assert len(str(error)) > 20
            outcomes.add("refused")
    assert outcomes == {"loaded", "refused"}
