"""Weights files: nothing in them runs, and whatever their bytes are, only the documented errors come out."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goalscope.policies import checkpoint, weights
from goalscope.policies.compact import Compact
from goalscope.policies.impala import Impala
from goalscope.policies.weights import read_tensors, unwrapped

CONFIG = {"architecture": {"name": "compact", "size": 5, "channels": 4, "blocks": 1}}
DOCUMENTED = (ValueError, KeyError, FileNotFoundError)


# The format


def test_weights_are_told_apart_by_content(tmp_path: Path):
    data = safetensors.torch.save(Compact(size=5, channels=4, blocks=1).state_dict())
    tensors, metadata = weights.read_tensors(data, tmp_path / "misnamed.pth")
    assert metadata == {} and tensors["stem.weight"].shape == (4, 3, 5, 5)


# Nothing runs


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".pkl"])
@pytest.mark.parametrize("kind", ["pickle", "old torch", "torch", "torch in a state dict"])
def test_a_pickle_that_would_run_code_does_not_run(tmp_path: Path, kind: str, suffix: str):
    mark, path = tmp_path / "ran", tmp_path / f"bomb{suffix}"
    match kind:
        case "pickle":
            path.write_bytes(pickle.dumps(Bomb(mark)))
        case "old torch":
            torch.save({"a": Bomb(mark)}, path, _use_new_zipfile_serialization=False)
        case "torch":
            torch.save(Bomb(mark), path)
        case _:
            torch.save({"state_dict": Impala((1, 1, 1), 1, 1).state_dict() | {"x": Bomb(mark)}}, path)
    with pytest.raises(ValueError, match=r"could run code|may run code"):
        checkpoint.load(path)
    assert not mark.exists()
    if kind != "old torch":  # the bomb is live: what unpickles sets it off
        data = path.read_bytes()
        pickle.loads(data) if kind == "pickle" else torch.load(io.BytesIO(data), weights_only=False)
        assert mark.exists()


def test_a_small_file_cannot_claim_a_large_tensor(tmp_path: Path):
    state = Impala((1, 1, 1), 1, 1).state_dict()
    state["embedder.fc.weight"] = torch.zeros(1, 1).expand(10**6, 10**7)
    torch.save(state, tmp_path / "n.pth")
    with pytest.raises(ValueError, match=r"embedder\.fc\.weight' is Tensor, not a dense tensor"):
        checkpoint.load(tmp_path / "n.pth")


def test_torch_file_without_a_state_dict(tmp_path: Path):
    torch.save([torch.zeros(2)], tmp_path / "n.pth")
    with pytest.raises(ValueError, match="holds no state dict but list"):
        checkpoint.load(tmp_path / "n.pth")
    torch.save({"weights": 3}, tmp_path / "n.pth")
    with pytest.raises(ValueError, match="the entry 'weights' is int"):
        checkpoint.load(tmp_path / "n.pth")


# Any bytes at all


def outcome(path: Path) -> str:
    """'loaded', or the type of the documented error; anything else propagates and fails the test."""
    try:
        checkpoint.load(path)
    except DOCUMENTED as error:
        assert len(str(error)) > 20
        return type(error).__name__
    return "loaded"


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """One to four edits: a byte changed, a stretch cut out, doubled, or replaced by noise."""
    array = bytearray(data)
    for _ in range(random.integers(1, 5)):
        start = int(random.integers(0, len(array) + 1))
        # Half of the edits hit the first 200 bytes, where the headers are.
        start = min(start, int(random.integers(0, 200))) if random.random() < 0.5 else start
        stop = start + int(random.integers(0, 40))
        match random.integers(0, 4):
            case 0:
                array[start : start + 1] = random.bytes(1)
            case 1:
                del array[start:stop]
            case 2:
                array[start:start] = array[start:stop]
            case _:
                array[start:stop] = random.bytes(stop - start)
    return bytes(array)


def rezipped(data: bytes, random: np.random.Generator) -> bytes:
    """A torch file whose pickle was edited, in an archive that is whole (the checksums fit again)."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, mutated(content, random) if name.endswith("data.pkl") else content)
    return out.getvalue()


@pytest.mark.filterwarnings("ignore")
def test_ten_thousand_random_files_give_only_documented_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "tiny"
    checkpoint.save(folder, Compact(size=5, channels=4, blocks=1), CONFIG, "# tiny")
    random = np.random.default_rng(20)
    ours = (folder / "model.safetensors").read_bytes()
    torch.save(Impala((1, 1, 1), 1, 1).state_dict(), tmp_path / "n.pth")
    foreign = (tmp_path / "n.pth").read_bytes()
    config = (folder / "config.json").read_bytes()
    lone, beside = tmp_path / "x.safetensors", folder / "config.json"
    outcomes: dict[str, int] = {}
    lone.touch()
    real, disk = Path.read_bytes, {}
    # The bytes stand in for the disk, on which emptying a file may take longer than all the rest.
    monkeypatch.setattr(Path, "read_bytes", lambda path: disk[path] if path in disk else real(path))

    def tried(path: Path, data: bytes) -> None:
        disk[path] = data
        outcomes[result] = outcomes.get((result := outcome(path if path != beside else folder)), 0) + 1

    for number in range(10_200):
        match number % 10:
            case 0 | 1:
                tried(lone, random.bytes(int(random.integers(0, 300))))
            case 2 | 3:
                tried(lone, b"PK\x03\x04" + random.bytes(int(random.integers(0, 300))))
            case 4 | 5 | 6:
                tried(lone, mutated(ours, random))
            case 7 | 8:
                tried(beside, mutated(config, random))
            case _:
                edit = mutated if number % 20 < 10 else rezipped
                tried(lone, edit(foreign, random))
    # Most are refused; harmless edits (a weight's last bits, a space in the JSON) load: the test sees both.
    assert outcomes["ValueError"] > 5000 and outcomes["loaded"] > 100, outcomes


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["name", "size", "channels", "x"]), inner)
        ),
    )
)
def test_any_json_as_architecture_gives_only_documented_errors(tmp_path: Path, architecture: object):
    if isinstance(architecture, dict):
        architecture["name"] = "compact"
    (tmp_path / "config.json").write_text(json.dumps({"architecture": architecture}))
    safetensors.torch.save_file(
        Compact(size=5, channels=4, blocks=1).state_dict(), tmp_path / "model.safetensors"
    )
    assert outcome(tmp_path) in {"ValueError", "loaded"}


LAYERS = {name: torch.full((2,), float(i)) for i, name in enumerate(("a.weight", "a.bias", "b.weight"))}


@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "_orig_mod.module.", "model.", "policy.network.", "x.y.module."]
)
def test_a_prefix_of_all_layers_is_taken_off(prefix: str):
    found = unwrapped({prefix + name: t for name, t in LAYERS.items()}, LAYERS, Path("x"))
    assert list(found) == list(LAYERS) and all(torch.equal(found[name], LAYERS[name]) for name in LAYERS)


def test_a_wrapped_part_of_a_network_is_found():
    names = ["a._orig_mod.weight", "a._orig_mod.bias", "b.module.weight"]
    assert list(unwrapped(dict(zip(names, LAYERS.values(), strict=True)), LAYERS, Path("x"))) == list(LAYERS)


def test_what_is_named_by_the_network_itself_stays():
    own = {f"module.{name}": t for name, t in LAYERS.items()}
    assert list(unwrapped(own, own, Path("x"))) == list(own)
    other = {"c.weight": torch.ones(1), "d.weight": torch.ones(1)}
    assert list(unwrapped(other, LAYERS, Path("x"))) == list(other), (
        "other layers keep their names in messages"
    )


def test_prefixes_that_are_no_prefix_of_all_are_named():
    mixed = {"module.a.weight": torch.ones(1), "module.a.bias": torch.ones(1), "b.weight": torch.ones(1)}
    with pytest.raises(
        ValueError, match=r"2 of 3 layers have the prefix of a wrapper \(module\.a\.weight\).*b\.weight"
    ):
        unwrapped(mixed, LAYERS, Path("x"))
    twice = {**LAYERS, "a.module.weight": torch.ones(1)}
    with pytest.raises(ValueError, match=r"the layer a\.weight twice"):
        unwrapped(twice, LAYERS, Path("x"))
    both = {f"{prefix}.{name}": t for prefix in ("online", "target") for name, t in LAYERS.items()}
    with pytest.raises(
        ValueError, match=r"under the prefix 'online\.' and under 'target\.', and 3 other layers; say which"
    ):
        unwrapped(both, LAYERS, Path("x"))
    lightning = {**{f"net.{name}": t for name, t in LAYERS.items()}, "loss.weight": torch.ones(1)}
    with pytest.raises(ValueError, match=r"under the prefix 'net\.', and 1 other layers"):
        unwrapped(lightning, LAYERS, Path("x"))


def test_a_zip_of_files_is_named_with_its_members():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("run/a.pth", b"1")
        archive.writestr("run/b.pth", b"2")
    with pytest.raises(ValueError, match=r"a zip archive of 2 files \(run/a\.pth, run/b\.pth\): unpack it"):
        read_tensors(data.getvalue(), Path("x.zip"))
