"""Files to modules and back: `load`, `save`; names and paths are read in `names.py`.

Our own checkpoints are a folder: `model.safetensors` (weights, with a copy of the config in its metadata, so
that the file also stands alone), `config.json` (architecture, world, training) and `README.md` (the model
card). Foreign files are what `torch.save` wrote of an IMPALA network or of a MiniGrid agent of rl-starter-files, and
those of `foreign.py`. Nothing is ever unpickled into code. `download.py` fetches policies that are not packaged; `load`
finds them by their names.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from goalscope.files import write_folder
from goalscope.policies import foreign
from goalscope.policies.architectures import arguments_of, check_layers
from goalscope.policies.names import CARD, CONFIG, MODEL, WEIGHTS, located, named, parse_config, read_bytes
from goalscope.policies.starter import FIRST, arguments_from
from goalscope.policies.weights import check_numbers, read_tensors, unwrapped
from goalscope.showing import drawing, text
from goalscope.worlds.contract import whole_number

METADATA_KEY = "goalscope"


@dataclass(frozen=True)
class Policy:
    """A policy that was loaded, with what a finding must say about it."""

    __repr__, _repr_html_ = text, drawing

    module: nn.Module
    """in evaluation mode; `module(module.encode(observations))` gives a PolicyOutput"""
    name: str
    """the packaged name, or the name of the folder or file without its suffix"""
    sha256: str
    """of the weights file, 64 hexadecimal digits"""
    config: dict[str, Any]
    """`architecture` (name and arguments), and where known `world` and `training`"""
    make: Callable[[], nn.Module] | None = None
    """makes the same network with fresh weights; None where the config names an architecture of ours"""


def load(name_or_path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Policy:
    """Loads a policy; the state of torch's random numbers stays as it was.

    Args:
        name_or_path: the name of a packaged policy, or of one of its `snapshots`; or a folder that `save` wrote;
            or a `.safetensors` file (its config in its metadata, or in a `config.json` beside it); or a file of
            `torch.save` with the state dict of an IMPALA network, plain or under "state_dict" or
            "model_state_dict"; or a Leela chess network, `.pb.gz` or `.pb`; or a checkpoint of learned-planner (the
            folder, or its file `model`) or of emergent-planning (`.tar`); or the name of a policy that
            `goalscope policies add` fetches. A name goes before a folder of that name in the working directory:
            write `./NAME` for the folder.
        device: where the module goes.

    Raises:
        KeyError: no packaged policy has this name.
        FileNotFoundError: no such path, a folder without its weights or config, or a policy that is known but
            was not fetched (the message says how to get it).
        ValueError: a file that cannot be read, is truncated or damaged, or is a pickle that would run code; a
            config that is broken or names an unknown architecture; layers that differ from the architecture's
            (the message names the layer and both shapes); a device that is not there.
    """
    path = located(name_or_path)
    weights = _weights_of(path)
    packed = foreign.load_packed(weights)
    if packed is not None:
        module, config, digest = packed
        return Policy(placed(module, device), named(path), digest, config)
    data = read_bytes(weights)
    found = foreign.load_foreign(data, weights) if weights.name != WEIGHTS else None
    if found is not None:
        module, config = found
    else:
        tensors, metadata = read_tensors(data, weights)
        if metadata is None:
            foreign.check_kind(tensors, weights)
        check_numbers(tensors, weights)
        if metadata is None:
            module, config = _foreign(tensors, weights)
        else:
            config, source = _config_of(path, metadata)
            module = _build(config["architecture"], source, tensors, weights)
    return Policy(placed(module, device), named(path), hashlib.sha256(data).hexdigest(), config)


def untrained(config: Mapping[str, Any], seed: int, device: str | torch.device = "cpu") -> Policy:
    """The network of a config's architecture with fresh weights, the control of what training did.

    Args:
        config: as in `Policy`.
        seed: of the weights; the state of torch's random numbers stays as it was.
        device: where the module goes.

    Returns:
        A policy named "untrained"; its sha256 is that of the weights as safetensors, without a config.

    Raises:
        ValueError: the config names no known architecture or the device is not there.
    """
    checked = parse_config(json.dumps(config).encode(), Path("config"))
    constructor, arguments = arguments_of(checked["architecture"], Path("config"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(whole_number("seed", seed))
        module = constructor(**arguments)
    data = safetensors.torch.save(_contiguous(module))
    own = {"architecture": checked["architecture"], "training": {"steps": 0, "seed": seed}}
    return Policy(placed(module, device), "untrained", hashlib.sha256(data).hexdigest(), own)


def placed(module: nn.Module, device: str | torch.device) -> nn.Module:
    """The module in evaluation mode, on the device; convolutions run up to three times faster with channels last."""
    try:
        return module.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise ValueError(f"device {str(device)!r} cannot be used ({first_line}); 'cpu' always can") from error


def _contiguous(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}


def save(
    path: str | os.PathLike[str], module: nn.Module, config: Mapping[str, Any], card: str | None = None
) -> str:
    """Writes a policy so that `load` reads it back; nobody ever sees a half-written file.

    Args:
        path: a folder, which gets `model.safetensors`, `config.json` and `README.md`; or a path ending in
            `.safetensors`, which becomes one file with the config in its metadata. Older files are replaced.
        module: of one of `ARCHITECTURES`.
        config: must hold `architecture`, {"name": ..., argument: value, ...}; whatever JSON takes may follow.
        card: the model card, Markdown; a folder needs one.

    Returns:
        The sha256 of the weights file.

    Raises:
        ValueError: a config that JSON does not take or that does not describe the module, weights that are
            not finite, or a folder without a card.
        OSError: the place cannot be written, or the disk is full; what stood there before still does.
    """
    path = Path(path)
    try:
        text = json.dumps(config, indent=2, sort_keys=True, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"the config of {path} must be plain JSON: {error}") from error
    checked = parse_config(text.encode(), Path("config"))
    tensors = _contiguous(module)
    _build(checked["architecture"], Path("config"), tensors, path)
    check_numbers(tensors, path)
    data = safetensors.torch.save(tensors, metadata={METADATA_KEY: json.dumps(checked, sort_keys=True)})
    if path.suffix == ".safetensors":
        files = {path.name: data}
    else:
        if card is None:
            raise ValueError(f"{path} is a folder and needs a model card: pass card='# NAME ...' (Markdown)")
        # The weights last: while they stand, the config beside them is at most newer, never missing.
        files = {CARD: card.encode(), CONFIG: text.encode(), WEIGHTS: data}
    write_folder(path if path.suffix != ".safetensors" else path.parent, files)
    return hashlib.sha256(data).hexdigest()


def _weights_of(path: Path) -> Path:
    """The file with the weights: of a folder of ours, or of one that learned-planner wrote."""
    if not path.is_dir():
        return path
    theirs = path / MODEL
    return theirs if theirs.is_file() and not (path / WEIGHTS).exists() else path / WEIGHTS


def _foreign(tensors: dict[str, Tensor], path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The IMPALA network of a state dict that somebody else wrote, and the config it would have had.

    Or the MiniGrid agent, told by its first layer, or Maia-3, by its ratings.
    """
    if foreign.is_maia3(tensors):
        from goalscope.policies.maia3.convert import load_maia3

        return load_maia3(tensors, path)
    if any(name.endswith(FIRST) for name in tensors):
        return _starter(tensors, path)
    from goalscope.policies.impala import Impala
    from goalscope.policies.impala.convert import GRU_LAYERS, network_of
    from goalscope.policies.impala.others import Nature

    with torch.device("meta"):
        known = {*Impala().state_dict(), *Nature().state_dict(), *GRU_LAYERS.values()}
    tensors = unwrapped(tensors, known, path)
    try:
        module, architecture = network_of(tensors)
    except ValueError as error:
        raise ValueError(f"{path}, read as an IMPALA network: {error}") from error
    return module, {"architecture": architecture}


def _starter(tensors: dict[str, Tensor], path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The MiniGrid agent of a state dict of rl-starter-files, and the config it would have had."""
    tensors = unwrapped(tensors, (FIRST,), path)
    architecture = {"name": "starter", **arguments_from(tensors, path)}
    return _build(architecture, path, tensors, path), {"architecture": architecture}


def _config_of(path: Path, metadata: Mapping[str, str]) -> tuple[dict[str, Any], Path]:
    """The config of a folder, or of a lone safetensors file, and where it stands."""
    if path.is_file() and METADATA_KEY in metadata:
        return parse_config(metadata[METADATA_KEY].encode(), path), path
    source = (path if path.is_dir() else path.parent) / CONFIG
    if path.is_file() and not source.exists():
        raise FileNotFoundError(
            f"{path} has no config in its metadata, and no {CONFIG} is beside it; write one that holds "
            '"architecture": {"name": ..., ...}'
        )
    return parse_config(read_bytes(source), source), source


def _build(
    architecture: Mapping[str, Any], config: Path, tensors: Mapping[str, Tensor], weights: Path
) -> nn.Module:
    """The module of a config with the weights of a file, once its layers are known to be those of the file.

    They are compared without allocating anything, so that a damaged config cannot ask for all of the memory.
    """
    name = architecture["name"]
    constructor, arguments = arguments_of(architecture, config)
    try:
        with torch.device("meta"):
            expected = constructor(**arguments).state_dict()
        tensors = unwrapped(tensors, expected.keys(), weights)
        check_layers(expected, tensors, name, weights)
        # Initial weights are drawn and then overwritten; the caller's random numbers must not notice.
        with torch.random.fork_rng(devices=[]):
            module = constructor(**arguments)
        module.load_state_dict(tensors)
        return module
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{config}: architecture {name} with {arguments}: {error}") from error
