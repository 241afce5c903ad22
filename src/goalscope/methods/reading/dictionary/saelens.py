"""Dictionaries in SAELens' format, a folder with `sae_weights.safetensors` and `cfg.json`: written so that SAELens 6 loads
them, and read from there.

A dictionary that has a threshold is a "jumprelu" there, whatever it was trained as; one with a k is a "topk", any other one
a "standard". What SAELens has no word for stands in the metadata, under "goalscope".
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from goalscope.files import read_text, write_folder
from goalscope.methods.reading.dictionary.learned import KINDS, Dictionary

WEIGHTS, CONFIG = "sae_weights.safetensors", "cfg.json"
VERSION = "6.54.0"
"""of SAELens, whose form of the config this is: of one without it SAELens drops the metadata"""
ARCHITECTURES = {"standard": "relu", "topk": "topk", "jumprelu": "jumprelu"}
"""SAELens' name -> kind, of those that are read here"""


def write_saelens(dictionary: Dictionary, folder: str | os.PathLike[str]) -> Path:
    """Writes a dictionary; nobody ever sees a half-written file.

    Args:
        dictionary: any.
        folder: made where it is not there; older files of these names are replaced.

    Returns:
        The folder.

    Raises:
        OSError: the place cannot be written.
    """
    tensors = {
        "W_enc": dictionary.encoder.T.contiguous(),
        "b_enc": dictionary.encoder_bias,
        "W_dec": dictionary.decoder,
        "b_dec": dictionary.bias,
    }
    architecture, further = "standard", {}
    if dictionary.threshold is not None:
        architecture = "jumprelu"
        # Theirs cuts relu at it; ours is 0 below 0 too.
        tensors["threshold"] = dictionary.threshold.clamp(min=0)
    elif dictionary.k is not None:
        architecture, further = "topk", {"k": dictionary.k, "rescale_acts_by_decoder_norm": False}
    config = {
        "architecture": architecture,
        "d_in": dictionary.size,
        "d_sae": dictionary.width,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        **further,
        "metadata": {
            "sae_lens_version": VERSION,
            "hook_name": dictionary.site,
            "goalscope": {"kind": dictionary.kind},
        },
    }
    data = save({name: tensor.detach().float().contiguous().clone() for name, tensor in tensors.items()})
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    write_folder(Path(folder), {WEIGHTS: data, CONFIG: text.encode()})
    return Path(folder)


def read_saelens(folder: str | os.PathLike[str]) -> Dictionary:
    """Reads a dictionary that this package or SAELens 6 wrote.

    The decoder's rows are brought to unit norm, and what SAELens does not take off before encoding goes into the encoder's
    bias: the reconstructions stay as they are.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, an architecture that is not known here, activations that SAELens would change first,
            tensors of other shapes than `cfg.json` says.
    """
    path = Path(folder)
    for name in (WEIGHTS, CONFIG):
        if not (path / name).is_file():
            raise FileNotFoundError(
                f"{path} has no {name}: a folder that SAELens wrote has {WEIGHTS} and {CONFIG}"
            )
    try:
        config = json.loads(read_text(path / CONFIG))
        tensors = load((path / WEIGHTS).read_bytes())
    except (ValueError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    kind = _kind(config, path)
    names = ["W_enc", "b_enc", "W_dec", "b_dec", *(["threshold"] if kind == "jumprelu" else [])]
    encoder, shift, decoder, bias, *threshold = _sized(tensors, names, config, path)
    if not config.get("apply_b_dec_to_input", True):
        shift = shift + bias @ encoder
    norm = decoder.norm(dim=1).clamp(min=1e-12)
    k = int(config["k"]) if kind == "topk" else None
    if k is not None and not config.get("rescale_acts_by_decoder_norm", False) and not _even(norm):
        raise ValueError(
            f"{path}: a topk whose decoder rows have different norms chooses by its pre-activations alone, which unit rows "
            "would change: fold the norms in SAELens first (fold_W_dec_norm)"
        )
    about = config.get("metadata") or {}
    own = (about.get("goalscope") or {}).get("kind")
    return Dictionary(
        encoder=(encoder * norm).T.contiguous(), encoder_bias=shift * norm, decoder=decoder / norm[:, None], bias=bias,
        kind=own if own in KINDS else kind, k=k, threshold=threshold[0] * norm if threshold else None,
        site=str(about.get("hook_name") or ""),
    )  # fmt: skip


def _kind(config: Any, path: Path) -> str:
    """The kind of a config.

    Raises:
        ValueError: it is no object, or says what is not known here.
    """
    if not isinstance(config, Mapping) or "architecture" not in config:
        raise ValueError(f"{path / CONFIG} names no architecture: is it a dictionary's?")
    named = config["architecture"]
    if named not in ARCHITECTURES:
        raise ValueError(
            f"{path / CONFIG}: the architecture {named!r} is not known here; {', '.join(ARCHITECTURES)} are (SAELens saves "
            "batchtopk and matryoshka as jumprelu)"
        )
    changed = config.get("normalize_activations") or "none"
    if changed != "none" or (config.get("reshape_activations") or "none") != "none":
        raise ValueError(
            f"{path / CONFIG}: SAELens changes activations first (normalize_activations {changed!r}, reshape_activations "
            f"{config.get('reshape_activations')!r}), which is not done here: fold that into the weights"
        )
    return ARCHITECTURES[named]


def _sized(
    tensors: Mapping[str, Tensor], names: list[str], config: Mapping[str, Any], path: Path
) -> list[Tensor]:
    """The tensors of these names as float32.

    Raises:
        ValueError: one is missing, not finite, or of another shape than `cfg.json` says.
    """
    size, width = config.get("d_in"), config.get("d_sae")
    shapes = {
        "W_enc": (size, width),
        "b_enc": (width,),
        "W_dec": (width, size),
        "b_dec": (size,),
        "threshold": (width,),
    }
    for name in names:
        if name not in tensors:
            raise ValueError(
                f"{path / WEIGHTS} lacks {name}; it has {', '.join(sorted(tensors)) or 'nothing'}"
            )
        if tuple(tensors[name].shape) != shapes[name]:
            raise ValueError(
                f"{path}: {name} is {list(tensors[name].shape)}, {CONFIG} says d_in {size} and d_sae {width}"
            )
        if not tensors[name].isfinite().all():
            raise ValueError(f"{path / WEIGHTS}: {name} holds numbers that are not finite")
    return [tensors[name].float() for name in names]


def _even(norm: Tensor) -> bool:
    return bool(torch.allclose(norm, norm[:1].expand_as(norm), rtol=1e-3))
