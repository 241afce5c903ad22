"""Checkpoints: what is saved comes back bit for bit, and what is wrong is named."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from goalscope import files
from goalscope.policies import checkpoint, names
from goalscope.policies.compact import Compact
from goalscope.policies.impala import Impala

CONFIG = {
    "architecture": {"name": "compact", "size": 5, "channels": 4, "blocks": 1},
    "training": {"steps": 7},
}
CARD = "# tiny\n\nA network of the tests.\n"
DOCUMENTED = (ValueError, KeyError, FileNotFoundError)


def tiny() -> Compact:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Compact(size=5, channels=4, blocks=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "tiny", tiny(), CONFIG, CARD)
    return tmp_path / "tiny"


def same_state(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# What is written comes back


def test_folder_comes_back_bit_for_bit(folder: Path):
    policy = checkpoint.load(folder)
    assert same_state(policy.module, tiny())
    assert not policy.module.training
    assert policy.name == "tiny"
    assert policy.config == CONFIG
    assert policy.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert (folder / "README.md").read_text() == CARD
    observations = np.random.default_rng(0).integers(0, 2, (6, 3, 5, 5)).astype(np.uint8)
    # In the memory format that `load` chooses the convolutions may add in another order.
    loaded, original = policy.module, tiny().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert isinstance(loaded, Compact)
    for ours, theirs in zip(
        loaded(loaded.encode(observations)), original(original.encode(observations)), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_another_network_is_another_file(folder: Path, tmp_path: Path):
    other = tiny()
    with torch.no_grad():
        other.stem.weight[0, 0, 0, 0] += 1e-6
    sha256 = checkpoint.save(tmp_path / "other", other, CONFIG, CARD)
    assert sha256 != checkpoint.load(folder).sha256
    assert not same_state(checkpoint.load(tmp_path / "other").module, tiny())


def test_same_network_is_the_same_file(folder: Path, tmp_path: Path):
    sha256 = checkpoint.save(tmp_path / "again.safetensors", tiny(), CONFIG)
    assert sha256 == checkpoint.load(folder).sha256 == checkpoint.load(tmp_path / "again.safetensors").sha256


def test_lone_file_carries_its_config(tmp_path: Path):
    checkpoint.save(tmp_path / "step_7.safetensors", tiny(), CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["step_7.safetensors"]
    policy = checkpoint.load(tmp_path / "step_7.safetensors")
    assert policy.config == CONFIG and policy.name == "step_7"
    assert same_state(policy.module, tiny())


def test_plain_safetensors_reads_the_config_beside_it(tmp_path: Path):
    safetensors.torch.save_file(tiny().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(FileNotFoundError, match=r"no config\.json is beside it"):
        checkpoint.load(tmp_path / "w.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert same_state(checkpoint.load(tmp_path / "w.safetensors").module, tiny())


def test_loading_leaves_the_random_numbers_alone(folder: Path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    checkpoint.load(folder)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict"])
def test_foreign_torch_file_is_an_impala_network_of_any_width(tmp_path: Path, key: str | None):
    network = Impala((2, 3, 4), hidden=5, actions=7)
    state = network.state_dict()
    torch.save(
        state if key is None else {key: state, "optimizer_state_dict": {"lr": 1.0}}, tmp_path / "n.pth"
    )
    policy = checkpoint.load(tmp_path / "n.pth")
    assert same_state(policy.module, network)
    architecture = policy.config["architecture"]
    assert architecture == {"name": "impala", "channels": [2, 3, 4], "hidden": 5, "actions": 7}
    # Its config describes it: saved by us, it loads again.
    checkpoint.save(tmp_path / "ours", policy.module, policy.config, "# foreign\n")
    assert same_state(checkpoint.load(tmp_path / "ours").module, network)


def test_half_precision_file_is_read_as_float32(tmp_path: Path):
    half = {name: tensor.half() for name, tensor in tiny().state_dict().items()}
    safetensors.torch.save_file(half, tmp_path / "h.safetensors", {"goalscope": json.dumps(CONFIG)})
    loaded = checkpoint.load(tmp_path / "h.safetensors").module.state_dict()
    assert all(tensor.dtype == torch.float32 for tensor in loaded.values())
    assert torch.equal(loaded["stem.weight"], half["stem.weight"].float())


# What is packaged


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("mouse-corner", "mouse-anywhere"):
        checkpoint.save(tmp_path / "packaged" / name, tiny(), CONFIG, f"# {name}\n")
    monkeypatch.setattr(names, "PACKAGED", tmp_path / "packaged")
    return tmp_path / "packaged"


def test_packaged_policies_are_listed_and_load_by_name(packages: Path):
    (packages / "notes").mkdir()
    listed = names.packaged()
    assert [policy.name for policy in listed] == ["mouse-anywhere", "mouse-corner"]
    assert listed[1].card == "# mouse-corner\n" and listed[1].config == CONFIG
    assert checkpoint.load("mouse-corner").name == "mouse-corner"


def test_every_policy_in_the_package_loads():
    for policy in names.packaged():
        loaded = checkpoint.load(policy.name)
        assert loaded.config == policy.config
        assert policy.card.strip(), f"{policy.name} has an empty card"
        most = 2_000_000 if policy.name == "sokoban-boxoban" else 500_000
        assert (policy.folder / "model.safetensors").stat().st_size < most


def test_unknown_name_shows_near_matches_and_the_list(packages: Path):
    with pytest.raises(
        KeyError, match=r"'mouse-cornr'; did you mean mouse-corner.*packaged are mouse-anywhere, mouse-corner"
    ):
        checkpoint.load("mouse-cornr")


# Errors: what, where, how to mend it


def test_missing_path_shows_what_is_beside_it(folder: Path):
    with pytest.raises(FileNotFoundError, match="did you mean tiny"):
        checkpoint.load(folder.parent / "tyny")
    with pytest.raises(FileNotFoundError, match="give the path of a checkpoint"):
        checkpoint.load(folder / "no" / "such.safetensors")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_incomplete_folder_names_the_missing_file(folder: Path, name: str):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"has no {name}"):
        checkpoint.load(folder)


def test_unreadable_file_is_a_value_error(folder: Path):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read \(Is a directory\)"):
        checkpoint.load(folder)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000])
def test_impossible_paths_are_documented_errors(name: str):
    with pytest.raises(DOCUMENTED):
        checkpoint.load(name)


@pytest.mark.parametrize("kept", [0, 5, 8, 40, 400, -1])
def test_truncated_safetensors(folder: Path, kept: int):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model\.safetensors \(\d+ bytes\) is truncated"):
        checkpoint.load(folder)


@pytest.mark.parametrize("kept", [2, 30, 1000, -1, -30])
def test_truncated_torch_file(tmp_path: Path, kept: int):
    torch.save(Impala((1, 1, 1), 1, 1).state_dict(), tmp_path / "n.pth")
    (tmp_path / "n.pth").write_bytes((tmp_path / "n.pth").read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"n\.pth .*(truncated|damaged)"):
        checkpoint.load(tmp_path / "n.pth")


def test_other_shapes_name_the_layer_and_both_shapes(folder: Path):
    config = {"architecture": {**CONFIG["architecture"], "channels": 6}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"stem\.weight has shape \[4, 3, 5, 5\].*needs \[6, 3, 5, 5\]"):
        checkpoint.load(folder)


def test_missing_and_unexpected_layers_show_near_matches(tmp_path: Path):
    state = tiny().state_dict()
    state["steem.weight"] = state.pop("stem.weight")
    metadata = {"goalscope": json.dumps(CONFIG)}
    safetensors.torch.save_file(state, tmp_path / "a.safetensors", metadata)
    with pytest.raises(
        ValueError, match=r"lacks layer stem\.weight \[4, 3, 5, 5\].*did you mean steem\.weight"
    ):
        checkpoint.load(tmp_path / "a.safetensors")
    state = tiny().state_dict() | {"stem.weights": torch.zeros(1)}
    safetensors.torch.save_file(state, tmp_path / "b.safetensors", metadata)
    with pytest.raises(ValueError, match=r"no layer 'stem\.weights'; did you mean stem\.weight"):
        checkpoint.load(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", 'must be an object that holds "architecture"'),
        ("{}", 'must be an object that holds "architecture"'),
        ('{"architecture": "compact"}', 'must be an object that holds "architecture"'),
        ('{"architecture": {"name": 3}}', 'must be an object that holds "architecture"'),
        ('{"architecture": {"name": "compcat"}}', "no architecture 'compcat'; did you mean compact"),
        (
            '{"architecture": {"name": "compact", "chanels": 4}}',
            "no argument 'chanels'; did you mean channels",
        ),
        ('{"architecture": {"name": "compact", "channels": "4"}}', "must be a whole number from 1 to 4096"),
        ('{"architecture": {"name": "compact", "channels": true}}', "must be a whole number from 1 to 4096"),
        ('{"architecture": {"name": "compact", "channels": 0}}', "must be a whole number from 1 to 4096"),
        ('{"architecture": {"name": "compact", "channels": 1e999}}', "must be a whole number from 1 to 4096"),
        (
            '{"architecture": {"name": "compact", "channels": 9999999}}',
            "must be a whole number from 1 to 4096",
        ),
        ('{"architecture": {"name": "compact", "channels": [4]}}', "architecture compact with"),
    ],
)
def test_broken_config(folder: Path, text: str, message: str):
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        checkpoint.load(folder)


def test_config_that_is_not_utf8(folder: Path):
    (folder / "config.json").write_bytes(b'{"architecture": "\xff"}')
    with pytest.raises(ValueError, match="is not JSON"):
        checkpoint.load(folder)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite(folder: Path, number: float, tmp_path: Path):
    state = tiny().state_dict()
    state["hidden.bias"][2] = number
    safetensors.torch.save_file(state, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"hidden\.bias holds numbers that are not finite"):
        checkpoint.load(folder)
    broken = tiny()
    broken.load_state_dict(state)
    with pytest.raises(ValueError, match="not finite"):
        checkpoint.save(tmp_path / "broken", broken, CONFIG, CARD)
    assert not (tmp_path / "broken").exists()


def test_integer_weights(folder: Path):
    state = {name: tensor.to(torch.int32) for name, tensor in tiny().state_dict().items()}
    safetensors.torch.save_file(state, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"holds torch\.int32"):
        checkpoint.load(folder)


def test_unknown_device(folder: Path):
    with pytest.raises(ValueError, match="device 'abacus' cannot be used"):
        checkpoint.load(folder, device="abacus")


# Writing is all or nothing


def test_save_refuses_what_would_not_load(tmp_path: Path):
    with pytest.raises(ValueError, match="channels"):
        checkpoint.save(tmp_path / "a", tiny(), {"architecture": {"name": "compact", "channels": -1}}, CARD)
    with pytest.raises(ValueError, match=r"stem\.weight has shape"):
        checkpoint.save(tmp_path / "a", tiny(), {"architecture": {"name": "compact", "channels": 9}}, CARD)
    with pytest.raises(ValueError, match="plain JSON"):
        checkpoint.save(tmp_path / "a", tiny(), {**CONFIG, "x": np.float32(1)}, CARD)
    with pytest.raises(ValueError, match="plain JSON"):
        checkpoint.save(tmp_path / "a", tiny(), {**CONFIG, "x": float("nan")}, CARD)
    with pytest.raises(ValueError, match="needs a model card"):
        checkpoint.save(tmp_path / "a", tiny(), CONFIG)
    assert list(tmp_path.iterdir()) == []


def test_save_replaces_an_older_checkpoint(folder: Path):
    newer = tiny()
    with torch.no_grad():
        newer.policy_head.bias.add_(1)
    before = {path: path.stat().st_ino for path in folder.iterdir()}
    checkpoint.save(folder, newer, {**CONFIG, "training": {"steps": 8}}, "# newer\n")
    # Each is another file that took the name: whoever reads meanwhile sees the old one or the new one, whole.
    assert all(path.stat().st_ino != number for path, number in before.items())
    policy = checkpoint.load(folder)
    assert same_state(policy.module, newer) and policy.config["training"]["steps"] == 8
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_out_of_disk_leaves_what_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    real = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.suffix == ".safetensors":
            real(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, data)

    class Full(io.FileIO):
        """A file on a disk that is full after half of the weights."""

        def write(self, data) -> int:
            super().write(bytes(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def opened(path: Path, mode: str):
        return Full(path, mode) if ".safetensors." in Path(path).name else open(path, mode)

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(files, "open", opened, raising=False)
    newer = tiny()
    with torch.no_grad():
        newer.policy_head.bias.add_(1)
    for target in (folder, folder.parent / "fresh", folder.parent / "deep" / "lone.safetensors"):
        with pytest.raises(OSError, match="No space left"):
            checkpoint.save(target, newer, CONFIG, CARD)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.name for path in folder.parent.rglob("*") if path.is_file()) == sorted(before)


# The control


def test_untrained_network_has_the_shape_and_its_own_seed():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (checkpoint.untrained(CONFIG, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert same_state(first.module, again.module) and first.sha256 == again.sha256
    assert not same_state(first.module, other.module) and first.sha256 != other.sha256
    assert first.name == "untrained" and not first.module.training
    shapes = {name: tensor.shape for name, tensor in first.module.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in tiny().state_dict().items()}
    assert "training" in first.config and first.config["training"]["steps"] == 0
    with pytest.raises(ValueError, match="no architecture 'transformer'"):
        checkpoint.untrained({"architecture": {"name": "transformer"}}, 0)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.network."])
def test_a_checkpoint_behind_wrappers_is_the_same_network(tmp_path: Path, prefix: str):
    config = {"architecture": {"name": "compact", "size": 5, "channels": 4, "blocks": 1}}
    own = checkpoint.untrained(config, 3).module.state_dict()
    (tmp_path / "config.json").write_text(json.dumps(config))
    tensors = {prefix + name: tensor.contiguous() for name, tensor in own.items()}
    safetensors.torch.save_file(tensors, tmp_path / "a.safetensors")
    found = checkpoint.load(tmp_path / "a.safetensors").module.state_dict()
    assert all(torch.equal(found[name], own[name]) for name in own)


@pytest.mark.parametrize("seed", [1.5, True, "1"])
def test_a_seed_of_weights_that_would_be_rounded_is_refused(seed: object):
    with pytest.raises(ValueError, match="seed must be a whole number"):
        checkpoint.untrained({"architecture": {"name": "compact", "size": 5}}, seed)  # type: ignore[arg-type]
