"""SAELens' files: what SAELens 6.54 wrote and computed, read back here; what is written here is what it reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from goalscope.methods.reading.dictionary import Dictionary, read_saelens, write_saelens

THEIRS = Path(__file__).parent / "saelens"
"""folders that SAELens 6.54.0 saved, and `values.safetensors`: what it makes of 7 rows with each"""


def some(kind: str) -> Dictionary:
    """A dictionary of a kind with random weights."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    decoder = draw(24, 8)
    decoder /= decoder.norm(dim=1, keepdim=True)
    threshold = (
        torch.rand(24, generator=generator) if kind in ("jumprelu", "batchtopk", "matryoshka") else None
    )
    k = 3 if kind in ("topk", "multitopk") else None
    return Dictionary(
        decoder + 0.1 * draw(24, 8), 0.1 * draw(24), decoder, draw(8), kind, k, threshold, "blocks.2"
    )


@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu"])
def test_what_saelens_wrote_gives_its_numbers(architecture: str) -> None:
    values = load_file(THEIRS / "values.safetensors")
    read = read_saelens(THEIRS / architecture)
    torch.testing.assert_close(read(values["x"]), values[f"{architecture}.made"], rtol=1e-5, atol=1e-5)
    assert torch.equal(read.encode(values["x"]) > 0, values[f"{architecture}.active"].bool())
    torch.testing.assert_close(read.decoder.norm(dim=1), torch.ones(12))
    assert read.site == "blocks.2"


@pytest.mark.parametrize("kind", ["relu", "topk", "batchtopk", "jumprelu", "matryoshka", "multitopk"])
def test_a_dictionary_comes_back_as_it_was_written(kind: str, tmp_path: Path) -> None:
    was, x = some(kind), torch.randn(20, 8, generator=torch.Generator().manual_seed(1))
    back = read_saelens(write_saelens(was, tmp_path / "kept"))
    torch.testing.assert_close(back(x), was(x))
    assert (back.kind, back.k, back.site) == (kind, was.k, "blocks.2")


def test_what_is_written_has_the_form_that_saelens_wants(tmp_path: Path) -> None:
    for kind, named in (("relu", "standard"), ("topk", "topk"), ("matryoshka", "jumprelu")):
        folder = write_saelens(some(kind), tmp_path / kind)
        mine, theirs = (json.loads((f / "cfg.json").read_text()) for f in (folder, THEIRS / named))
        assert mine["architecture"] == theirs["architecture"] == named
        own = {"model_name", "hook_head_index", "model_class_name", "model_from_pretrained_kwargs"}
        assert set(mine) <= set(theirs) | own and mine["metadata"]["sae_lens_version"] == "6.54.0"
        tensors = [load_file(f / "sae_weights.safetensors") for f in (folder, THEIRS / named)]
        assert set(tensors[0]) == set(tensors[1])
        assert tensors[0]["W_enc"].shape == (8, 24) and tensors[0]["W_dec"].shape == (24, 8)


@pytest.mark.parametrize("kind", ["relu", "topk", "batchtopk"])
def test_saelens_loads_what_is_written(kind: str, tmp_path: Path) -> None:
    sae_lens = pytest.importorskip(
        "sae_lens", reason="SAELens is not installed: pip install sae-lens==6.54.0"
    )
    was, x = some(kind), torch.randn(20, 8, generator=torch.Generator().manual_seed(1))
    theirs = sae_lens.SAE.load_from_disk(write_saelens(was, tmp_path / "kept"))
    with torch.no_grad():
        torch.testing.assert_close(theirs(x), was(x), rtol=1e-5, atol=1e-5)
    assert theirs.cfg.metadata.hook_name == "blocks.2"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "gated"}, r"architecture 'gated' is not known here; standard, topk, jumprelu are"),
        ({"architecture": None}, "architecture None"),
        ({"normalize_activations": "layer_norm"}, "changes activations first.*layer_norm"),
        ({"d_sae": 13}, r"W_enc is \[6, 12\], cfg.json says d_in 6 and d_sae 13"),
        ({"rescale_acts_by_decoder_norm": False}, "different norms"),
    ],
)
def test_a_config_that_cannot_be_kept_to_is_refused(change: dict, words: str, tmp_path: Path) -> None:
    folder = tmp_path / "topk"
    shutil.copytree(THEIRS / "topk", folder)
    config = json.loads((folder / "cfg.json").read_text()) | change
    (folder / "cfg.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=words):
        read_saelens(folder)


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no sae_weights\.safetensors"):
        read_saelens(tmp_path)
    folder = tmp_path / "topk"
    shutil.copytree(THEIRS / "topk", folder)
    tensors = load_file(folder / "sae_weights.safetensors")
    save_file({k: v for k, v in tensors.items() if k != "b_dec"}, folder / "sae_weights.safetensors")
    with pytest.raises(ValueError, match="lacks b_dec; it has W_dec, W_enc, b_enc"):
        read_saelens(folder)
    (folder / "sae_weights.safetensors").write_bytes(b"none")
    with pytest.raises(ValueError, match="cannot be read"):
        read_saelens(folder)
