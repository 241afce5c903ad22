"""Files of small games' players, as safetensors with the layer names of their projects, to networks of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from goalscope.policies.games.az_net import AzNet
from goalscope.policies.games.gomoku import Gomoku
from goalscope.policies.games.mlp import FlatMlp
from goalscope.policies.weights import check_numbers, read_tensors

_GYMNAX, _GOMOKU, _HAIKU = "Dense_0.kernel", "val_fc2.weight", "params/az_net/conv2_d/w"
_MEMORY = ("LSTMCell_", "GRUCell_", "OptimizedLSTMCell_")


def is_game(data: bytes) -> bool:
    """Whether a file is safetensors with the layers of one of these players."""
    header = data[8 : 8 + int.from_bytes(data[:8], "little")] if data[8:9] == b"{" else b""
    return any(f'"{layer}"'.encode() in header for layer in (_GYMNAX, _GOMOKU, _HAIKU))


def load_game(data: bytes, path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in a file, and the config it would have had.

    Raises:
        ValueError: a damaged file, an agent with a memory, layers that are missing, unknown or of other shapes.
    """
    tensors, _ = read_tensors(data, path)
    # Haiku's running means count how often they were updated.
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith("/counter")}
    check_numbers(tensors, path)
    memory = [name for name in tensors if name.startswith(_MEMORY)]
    if memory:
        raise ValueError(
            f"{path} is an agent with a memory (layer {memory[0]}): what it does depends on what it saw before, and it is "
            "not read"
        )
    try:
        if _HAIKU in tensors:
            found, state, architecture = _haiku(tensors)
        elif _GOMOKU in tensors:
            side = round(len(tensors["act_fc.bias"]) ** 0.5)
            found, state, architecture = Gomoku(side), tensors, {"name": "gomoku", "side": side}
        else:
            found, state, architecture = _gymnax(tensors)
        found.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError, IndexError) as error:
        first = str(error).replace("\n\t", " ")[:300]
        raise ValueError(f"{path} has other layers than such a player: {first}") from error
    return found.eval(), {"architecture": architecture}


def _gymnax(tensors: Mapping[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor], dict[str, Any]]:
    """Flax has kernels [in, out]; `Dense_0..2` are the moves', `critic_fc_1`, `_2`, `_v` the value's."""
    places = {f"Dense_{i}": f"actor.{2 * i}" for i in range(3)}
    places |= {f"critic_fc_{name}": f"critic.{2 * i}" for i, name in enumerate("12v")}
    state = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        state[f"{places[layer]}.{'weight' if kind == 'kernel' else kind}"] = (
            tensor.T if kind == "kernel" else tensor
        )
    hidden, inputs = state["actor.0.weight"].shape
    arguments = {
        "inputs": inputs,
        "hidden": hidden,
        "actions": len(state["actor.4.bias"]),
        "value": "critic.0.bias" in state,
    }
    return FlatMlp(**arguments), state, {"name": "flat-mlp", **arguments}


def _haiku(tensors: Mapping[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor], dict[str, Any]]:
    """Haiku has kernels [height, width, in, out], norms [1, 1, 1, channels], and numbers modules of a kind."""
    heads = {
        "conv2_d": "first", "conv2_d_1": "policy_conv", "conv2_d_2": "value_conv", "batch_norm": "norm",
        "batch_norm_1": "policy_norm", "batch_norm_2": "value_norm", "linear": "policy", "linear_1": "value_hidden",
        "linear_2": "value",
    }  # fmt: skip
    inner = {"conv2_d": "conv1", "conv2_d_1": "conv2", "batch_norm": "norm1", "batch_norm_1": "norm2"}
    leaves = {
        "w": "weight", "b": "bias", "scale": "weight", "offset": "bias",
        "mean_ema/average": "running_mean", "var_ema/average": "running_var",
    }  # fmt: skip
    state = {}
    for name, tensor in tensors.items():
        path = name.partition("/az_net/")[2].replace("/~/", "/")
        if path.endswith("/hidden"):
            continue  # the running mean before it is corrected for its start
        found = re.fullmatch(r"(?:block_(\d+)/)?(\w+?)/(w|b|scale|offset|(?:mean|var)_ema/average)", path)
        if found is None:
            raise KeyError(name)
        block, module, leaf = found.groups()
        place = heads[module] if block is None else f"blocks.{block}.{inner[module]}"
        if leaf == "w":
            tensor = tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor.T
        state[f"{place}.{leaves[leaf]}"] = tensor.contiguous() if leaf == "w" else tensor.flatten()
    blocks = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    channels, planes = state["first.weight"].shape[:2]
    side = round(state["value_hidden.weight"].shape[1] ** 0.5)
    arguments = {
        "side": side, "planes": planes, "channels": channels, "blocks": blocks, "actions": len(state["policy.bias"]),
    }  # fmt: skip
    module = AzNet(**arguments)
    norms = [name for name in module.state_dict() if name.endswith("num_batches_tracked")]
    return module, state | dict.fromkeys(norms, torch.tensor(0)), {"name": "az-net", **arguments}
