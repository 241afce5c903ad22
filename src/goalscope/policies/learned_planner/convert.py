"""A checkpoint of learned-planner, `model` and the `cfg.json` beside it, to a module and its config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.files import decoded
from goalscope.policies.drc import DRC
from goalscope.policies.layers import Layers, listed
from goalscope.policies.learned_planner.msgpack import read_msgpack
from goalscope.policies.learned_planner.resnet import GuezResNet

CONFIG = "cfg.json"
DRC_NAME, RESNET_NAME = "cleanba.convlstm:ConvLSTMConfig", "cleanba.network:GuezResNetConfig"
BODY = "network_params"
CHOICES = {
    "output": ("output_activation", "sigmoid", {"sigmoid": "sigmoid", "tanh": "tanh"}),
    "boundary": ("fence_pad", "same", {"same": "edge", "valid": "ring", "no": "none"}),
    "pooled": ("pool_and_inject", "horizontal", {"horizontal": "own", "vertical": "below", "no": "none"}),
    "pool": (
        "pool_projection",
        "full",
        {"full": "full", "per-channel": "weighted", "max": "max", "mean": "mean"},
    ),
}
"""of a cell: our argument, their key, what it is where a config does not say, and what is what"""


def load_learned_planner(data: bytes, config: bytes, path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in a checkpoint, and our config of it.

    Args:
        data: the file `model`.
        config: the file `cfg.json`.
        path: of the first, for messages.

    Raises:
        ValueError: damaged files, a network of a kind that is not read (named), or layers that do not fit the config.
    """
    try:
        net = _net(config)
        found = _parameters(read_msgpack(data))
        if net["_type_"] == RESNET_NAME:
            architecture, tensors = _resnet(net, Layers(found, "a residual network of learned-planner"))
            module: nn.Module = _made(GuezResNet, architecture, tensors)
            name = "learned-planner-resnet"
        else:
            architecture, tensors = _drc(net, Layers(found, "a DRC of learned-planner"))
            module, name = _made(DRC, architecture, tensors), "drc"
    except ValueError as error:
        raise ValueError(f"{path}, read as a checkpoint of learned-planner: {error}") from error
    world = {"name": "sokoban", "observation": "rgb", "size": architecture["size"], "boxes": 4}
    return module.eval(), {"architecture": {"name": name, **architecture}, "world": world}


def _made(kind: Any, architecture: dict[str, Any], tensors: dict[str, Tensor]) -> nn.Module:
    with torch.device("meta"):
        module = kind(**architecture)
    module.load_state_dict(tensors, assign=True)
    return module


def _net(config: bytes) -> dict[str, Any]:
    """What `cfg.json` says of the network; older files have no wrapper around it."""
    try:
        said = json.loads(decoded(config, CONFIG))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{CONFIG} is not JSON: {error}") from error
    said = said.get("cfg", said) if isinstance(said, dict) else {}
    net = said.get("net") if isinstance(said, dict) else None
    if not isinstance(net, dict) or net.get("_type_") not in (DRC_NAME, RESNET_NAME):
        kind = str(net.get("_type_"))[:80] if isinstance(net, dict) else "nothing"
        raise ValueError(f"{CONFIG} describes the network {kind}; read are {DRC_NAME} and {RESNET_NAME}")
    norm = net.get("norm", {})
    named = norm.get("_type_", "") if isinstance(norm, dict) else str(norm)
    if not str(named).endswith("IdentityNorm"):
        raise ValueError(f"{CONFIG} asks for the norm {str(named)[:80]}, which is not read; IdentityNorm is")
    if net.get("normalize_input", False):
        raise ValueError(f"{CONFIG} asks for normalize_input, which is not read")
    return net


def _parameters(content: Any) -> dict[str, np.ndarray]:
    """The arrays below `params`, by names joined with '/', without the axis of devices that the trainer puts first."""
    inside = content.get("params") if isinstance(content, dict) else None
    inside = inside.get("params", inside) if isinstance(inside, dict) else None
    if not isinstance(inside, dict) or BODY not in inside:
        keys = list(content) if isinstance(content, dict) else [type(content).__name__]
        below = f", and params holds {listed(inside)}" if isinstance(inside, dict) else ""
        raise ValueError(
            f"the file holds {listed(keys)}{below}; expected is params with params/{BODY}, params/actor_params and "
            "params/critic_params, as flax.serialization.to_bytes writes a TrainState of that project"
        )
    found: dict[str, np.ndarray] = {}

    def walk(part: Mapping[str, Any], prefix: str) -> None:
        for key, value in part.items():
            if isinstance(value, Mapping):
                walk(value, f"{prefix}{key}/")
            elif isinstance(value, np.ndarray):
                found[f"{prefix}{key}"] = value
            else:
                raise ValueError(f"{prefix}{key} is {type(value).__name__}, not an array")

    walk(inside, "")
    bias = found.get("actor_params/Output/bias")
    if bias is not None and bias.ndim == 2:
        if not all(array.ndim and len(array) for array in found.values()):
            raise ValueError("some of its arrays have the axis of devices first and some have not")
        found = {name: array[0] for name, array in found.items()}
    return found


def _whole(said: Any, what: str, known: Any = None) -> int:
    """A whole number of a config, which may write it as a float."""
    if isinstance(said, bool) or not isinstance(said, int | float) or said != int(said) or said < 1:
        raise ValueError(f"{CONFIG}: {what} is {str(said)[:60]}; a whole number of 1 or more is due")
    if known is not None and said != known:
        raise ValueError(f"{CONFIG}: {what} is {said}, which is not read; {known} is")
    return int(said)


def _square(convolution: Any, what: str) -> tuple[int, int]:
    """Channels and side of a convolution that leaves the board as large as it is."""
    if not isinstance(convolution, dict):
        raise ValueError(f"{CONFIG}: {what} is {type(convolution).__name__}, not a convolution")
    sides = [_whole(side, f"kernel_size of {what}") for side in convolution.get("kernel_size", [])]
    strides = convolution.get("strides", [1, 1])
    if (
        len(sides) != 2
        or sides[0] != sides[1]
        or list(strides) != [1, 1]
        or convolution.get("padding", "SAME") != "SAME"
    ):
        shape = {key: convolution.get(key) for key in ("kernel_size", "strides", "padding")}
        raise ValueError(
            f"{CONFIG}: {what} has {shape}; square kernels with strides 1 and padding SAME are read"
        )
    return _whole(convolution.get("features"), f"features of {what}"), sides[0]


def _chosen(part: Mapping[str, Any], key: str, default: str, names: dict[str, str]) -> str:
    said = part.get(key, default)
    if said not in names:
        raise ValueError(f"{CONFIG}: {key} is {str(said)[:60]!r}; read are {', '.join(names)}")
    return names[said]


def _drc(net: Mapping[str, Any], layers: Layers) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Arguments and state dict of `DRC`. Defaults of what a config leaves unsaid are those of the project's code."""
    cell = net.get("recurrent")
    if not isinstance(cell, dict) or not isinstance(net.get("embed"), list) or not net["embed"]:
        raise ValueError(f"{CONFIG}: net has no embed (a list of convolutions) or no recurrent")
    channels, _ = _square(cell.get("conv"), "recurrent.conv")
    _whole(cell["conv"]["kernel_size"][0], "kernel_size of recurrent.conv", 3)
    kernels = [_square(part, f"embed[{k}]") for k, part in enumerate(net["embed"])]
    if len(set(kernels)) > 1 or kernels[0][0] != channels:
        raise ValueError(
            f"{CONFIG}: embed has (channels, kernel) {kernels} and recurrent {channels} channels; read are networks "
            "whose convolutions have one width and the encoder's one kernel"
        )
    between = "relu between" if net.get("use_relu", True) else "linear"
    arguments: dict[str, Any] = {
        "layers": _whole(net.get("n_recurrent", 1), "n_recurrent"),
        "ticks": _whole(net.get("repeats_per_step", 1), "repeats_per_step"),
        "channels": channels, "kernel": kernels[0][1], "convolutions": len(kernels), "encoder": between,
        **{ours: _chosen(cell, *theirs) for ours, theirs in CHOICES.items()},
        "skip": "add" if net.get("skip_final", True) else "none", "residual": bool(net.get("residual", False)),
    }  # fmt: skip
    arguments["planes"] = layers.axis(f"{BODY}/conv_list_0/kernel", 2)
    tensors: dict[str, Tensor] = {}
    at = 0
    for k in range(len(kernels)):
        at += 1  # after the padding
        inputs = channels if k else arguments["planes"]
        _convolution(layers, tensors, f"{BODY}/conv_list_{k}", f"core.encoder.{at}", inputs, *kernels[k])
        at += 2 if between == "relu between" and k + 1 < len(kernels) else 1
    for d in range(arguments["layers"]):
        _cell(layers, tensors, d, arguments, float(cell.get("forget_bias", 0.0)))
    arguments |= _head(net, layers, tensors, f"{BODY}/dense_list_0", channels)
    layers.finish()
    return arguments, tensors


def _convolution(
    layers: Layers, tensors: dict[str, Tensor], name: str, ours: str, inputs: int, outputs: int, kernel: int
) -> None:
    weight = layers.take(f"{name}/kernel", kernel, kernel, inputs, outputs)
    tensors[f"{ours}.weight"] = weight.permute(3, 2, 0, 1).contiguous()
    bias = f"{name}/bias"
    tensors[f"{ours}.bias"] = layers.take(bias, outputs) if bias in layers else torch.zeros(outputs)


def _cell(
    layers: Layers, tensors: dict[str, Tensor], d: int, arguments: dict[str, Any], forget_bias: float
) -> None:
    """One layer: their kernel of all that enters is cut by what it reads; the constant of the forget gate is its bias."""
    c, name, ours = arguments["channels"], f"{BODY}/cell_list_{d}", f"core.cells.{d}"
    pooled = arguments["pooled"] != "none"
    inputs = layers.take(f"{name}/ih/kernel", 3, 3, 3 * c if pooled else 2 * c, 4 * c).permute(3, 2, 0, 1)
    own = layers.take(f"{name}/hh/kernel", 3, 3, c, 4 * c).permute(3, 2, 0, 1)
    bias = layers.take(f"{name}/ih/bias", 4 * c) if f"{name}/ih/bias" in layers else torch.zeros(4 * c)
    bias[2 * c : 3 * c] += forget_bias
    tensors[f"{ours}.observation.weight"] = inputs[:, :c].contiguous()
    tensors[f"{ours}.observation.bias"] = bias
    tensors[f"{ours}.recurrent.weight"] = torch.cat([inputs[:, c : 2 * c], own], 1)
    if arguments["boundary"] != "none":
        # Older runs gave the fence as many equal input channels as the encoder has.
        fence = layers.take(f"{name}/fence/kernel", 3, 3, None, 4 * c).sum(2, keepdim=True)
        tensors[f"{ours}.boundary.weight"] = fence.permute(3, 2, 0, 1).contiguous()
    if not pooled:
        return
    tensors[f"{ours}.inject"] = inputs[:, 2 * c :].contiguous()
    # Theirs are of maximum and mean, ours of mean and maximum.
    if arguments["pool"] == "weighted":
        tensors[f"{ours}.pool.weight"] = layers.take(f"{name}/project", 2, c).flip(0)
    elif arguments["pool"] == "full":
        mixed = layers.take(f"{name}/Dense_0/kernel", 2 * c, c)
        tensors[f"{ours}.pool.weight"] = torch.cat([mixed[c:], mixed[:c]]).T.contiguous()


def _head(
    net: Mapping[str, Any], layers: Layers, tensors: dict[str, Tensor], dense: str, channels: int
) -> dict[str, int]:
    """The hidden layer, whose rows are turned from (rows, columns, channels) to ours, and the two outputs."""
    hiddens = net.get("mlp_hiddens", [256])
    if not isinstance(hiddens, list) or len(hiddens) != 1:
        raise ValueError(f"{CONFIG}: mlp_hiddens is {str(hiddens)[:60]}; one hidden layer is read")
    hidden = _whole(hiddens[0], "mlp_hiddens")
    flat = layers.axis(f"{dense}/kernel", 0)
    size = round((flat / channels) ** 0.5)
    if not size or size * size * channels != flat:
        raise ValueError(
            f"{dense}/kernel reads {flat} numbers, which are no square board of {channels} channels"
        )
    rows = layers.take(f"{dense}/kernel", flat, hidden).view(size, size, channels, hidden)
    tensors["head.hidden.weight"] = rows.permute(3, 2, 0, 1).reshape(hidden, flat)
    tensors["head.hidden.bias"] = layers.take(f"{dense}/bias", hidden)
    policy = layers.take("actor_params/Output/kernel", hidden, None)
    tensors["head.policy.weight"] = policy.T.contiguous()
    tensors["head.policy.bias"] = layers.take("actor_params/Output/bias", policy.shape[1])
    scale = float(net.get("head_scale", 1.0))
    tensors["head.value.weight"] = (
        layers.take("critic_params/Output/kernel", hidden, 1).T.contiguous() * scale
    )
    tensors["head.value.bias"] = layers.take("critic_params/Output/bias", 1) * scale
    return {"size": size, "hidden": hidden, "actions": policy.shape[1]}


def _resnet(net: Mapping[str, Any], layers: Layers) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Arguments and state dict of `GuezResNet`."""
    lists = [net.get(key) for key in ("channels", "kernel_sizes", "strides")]
    if not all(isinstance(part, list) and part for part in lists) or len({len(part) for part in lists}) > 1:  # type: ignore[arg-type]
        raise ValueError(f"{CONFIG}: channels, kernel_sizes and strides must be lists of one length")
    channels, kernels = ([_whole(n, key) for n in net[key]] for key in ("channels", "kernel_sizes"))
    for stride in net["strides"]:
        _whole(stride, "strides", 1)
    planes = layers.axis(f"{BODY}/GuezConvSequence_0/xXx_Input_xXx/kernel", 2)
    tensors: dict[str, Tensor] = {}
    for s, (width, kernel) in enumerate(zip(channels, kernels, strict=True)):
        name, ours = f"{BODY}/GuezConvSequence_{s}", f"sequences.{s}"
        first = "Conv_0" if s else "xXx_Input_xXx"
        inputs = channels[s - 1] if s else planes
        _convolution(layers, tensors, f"{name}/{first}", f"{ours}.conv.1", inputs, width, kernel)
        for b in (0, 1):
            block, mine = f"{name}/GuezResidualBlock_{b}/Conv_0", f"{ours}.block{b + 1}.conv.1"
            _convolution(layers, tensors, block, mine, width, width, kernel)
    arguments: dict[str, Any] = {"channels": channels, "kernels": kernels, "planes": planes}
    arguments |= _head(net, layers, tensors, f"{BODY}/Dense_0", channels[-1])
    layers.finish()
    return arguments, tensors
