"""A checkpoint of emergent-planning to a module and its config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from goalscope.policies.drc import DRC
from goalscope.policies.emergent_planning.archive import read_archive
from goalscope.policies.emergent_planning.resnet import EmergentResNet
from goalscope.policies.layers import Layers, listed

STATE = "actor_net_state_dict"
TICKS = 3
"""of a file whose name says nothing of them; the file itself does not"""
_SAID = re.compile(r"d(\d+)t(\d+)|drc(\d)(\d)")
_NORM = 1e-5
"""epsilon of their batch norms"""


def load_emergent_planning(data: bytes, path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in a checkpoint, and our config of it.

    How often a DRC ticks stands in the file's name only ("..._d1t9.tar" or "...drc19..."); else it is the published 3.
    For a file of another name set `module.core.ticks`.

    Args:
        data: the whole file.
        path: where it came from, for messages and the ticks.

    Raises:
        ValueError: a damaged file, one that names what could run code, or layers that are no network of this project.
    """
    try:
        content = read_archive(data)
        state = content.get(STATE) if isinstance(content, Mapping) else None
        if not isinstance(state, Mapping) or not all(
            isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
        ):
            keys = listed(content) if isinstance(content, Mapping) else type(content).__name__
            raise ValueError(f"it holds {keys}; expected is {STATE} with the layers by their names")
        found = {k: v for k, v in state.items() if k not in ("norm_low", "norm_high")}
        if any(name.startswith("core.layers.") for name in found):
            arguments, tensors = _drc(Layers(found, "a DRC of emergent-planning"), path.stem)
            name, kind = "drc", DRC
        else:
            arguments, tensors = _resnet(Layers(found, "a residual network of emergent-planning"))
            name, kind = "emergent-resnet", EmergentResNet
        _check_norm(state, arguments)
    except ValueError as error:
        raise ValueError(f"{path}, read as a checkpoint of emergent-planning: {error}") from error
    with torch.device("meta"):
        module = kind(**arguments)
    module.load_state_dict(tensors, assign=True)
    size = arguments["size"] + 2
    world = {"name": "sokoban", "observation": "kinds", "noop": True, "size": size, "boxes": 4}
    return module.eval(), {"architecture": {"name": name, **arguments}, "world": world}


def _check_norm(state: Mapping[str, Tensor], arguments: dict[str, Any]) -> None:
    """Raises ValueError where the planes are not 0 and 1 as they are: then they would have to be scaled."""
    for name, wanted in (("norm_low", 0), ("norm_high", 1)):
        if name in state and not bool((state[name] == wanted).all()):
            raise ValueError(f"{name} is not {wanted} everywhere: planes other than 0 and 1 are not read")


def _ticks(layers: int, stem: str) -> int:
    said = _SAID.search(stem)
    if said is None:
        return TICKS
    depth, ticks = (int(number) for number in said.groups() if number)
    if depth != layers or not 1 <= ticks <= 64:
        raise ValueError(f"its name says {said[0]}, and it has {layers} layers")
    return ticks


def _drc(layers: Layers, stem: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Arguments and state dict of `DRC`: the kernel of all that enters a layer is cut by what it reads."""
    weight = layers.take("encoder.0.weight", None, None, 3, 3)
    c, planes = weight.shape[:2]
    tensors = {"core.encoder.1.weight": weight, "core.encoder.1.bias": layers.take("encoder.0.bias", c)}
    depth = len({name.split(".")[2] for name in layers.names if name.startswith("core.layers.")})
    for d in range(depth):
        name, ours = f"core.layers.{d}", f"core.cells.{d}"
        # Their gates are i, f, o, g and one that is not used; ours i (their g), j (their i), f, o.
        i, f, o, g, _ = layers.take(f"{name}.main.weight", 5 * c, 4 * c, 3, 3).chunk(5)
        main = torch.cat([g, i, f, o])
        i, f, o, g, _ = layers.take(f"{name}.main.bias", 5 * c).chunk(5)
        tensors[f"{ours}.observation.weight"] = main[:, :c].contiguous()
        tensors[f"{ours}.observation.bias"] = torch.cat([g, i, f, o])
        tensors[f"{ours}.recurrent.weight"] = main[:, c : 3 * c].contiguous()
        tensors[f"{ours}.inject"] = main[:, 3 * c :].contiguous()
        tensors[f"{ours}.pool.weight"] = layers.take(f"{name}.proj.weight", c, 1, 2, 1)[
            :, 0, :, 0
        ].T.contiguous()
        tensors[f"{ours}.pool.bias"] = layers.take(f"{name}.proj.bias", c)
    arguments = {
        "layers": depth, "ticks": _ticks(depth, stem), "channels": c, "planes": planes, "kernel": 3, "convolutions": 1,
        "encoder": "linear", "boundary": "none", "pool": "biased", "skip": "concatenate",
    }  # fmt: skip
    arguments |= _head(layers, tensors, 2 * c)
    layers.finish()
    return arguments, tensors


def _head(layers: Layers, tensors: dict[str, Tensor], channels: int) -> dict[str, int]:
    hidden = layers.take("final_layer.weight", None, None)
    size = round((hidden.shape[1] / channels) ** 0.5)
    if not size or size * size * channels != hidden.shape[1]:
        raise ValueError(
            f"final_layer.weight reads {hidden.shape[1]} numbers, which are no square board of {channels} channels"
        )
    width = hidden.shape[0]
    policy = layers.take("policy.weight", None, width)
    tensors |= {
        "head.hidden.weight": hidden, "head.hidden.bias": layers.take("final_layer.bias", width),
        "head.policy.weight": policy, "head.policy.bias": layers.take("policy.bias", policy.shape[0]),
        "head.value.weight": layers.take("baseline.weight", 1, width), "head.value.bias": layers.take("baseline.bias", 1),
    }  # fmt: skip
    return {"size": size, "hidden": width, "actions": policy.shape[0]}


def _resnet(layers: Layers) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Arguments and state dict of `EmergentResNet`, batch norms folded into the convolutions before them."""
    weight = layers.take("encoder.weight", None, None, 3, 3)
    c, planes = weight.shape[:2]
    tensors = {"encoder.weight": weight, "encoder.bias": layers.take("encoder.bias", c)}
    depth = len({name.split(".")[1] for name in layers.names if name.startswith("core.")})
    for b in range(depth):
        for k in (1, 2):
            name, ours = f"core.{b}.conv{k}", f"blocks.{b}.conv{k}"
            gamma, beta, mean, variance = (
                layers.take(f"core.{b}.bn{k}.{part}", c).double()
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            if (variance < 0).any():
                raise ValueError(f"core.{b}.bn{k}.running_var holds a negative variance")
            layers.found.pop(f"core.{b}.bn{k}.num_batches_tracked", None)
            factor = gamma / torch.sqrt(variance + _NORM)
            kernel = layers.take(f"{name}.weight", c, c, 3, 3).double() * factor[:, None, None, None]
            tensors[f"{ours}.weight"] = kernel.float()
            tensors[f"{ours}.bias"] = (
                beta + factor * (layers.take(f"{name}.bias", c).double() - mean)
            ).float()
    arguments = {"blocks": depth, "channels": c, "planes": planes, **_head(layers, tensors, c)}
    layers.finish()
    return arguments, tensors
