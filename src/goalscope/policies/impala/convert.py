"""State dicts of Procgen agents, by the layer names of train-procgen-pytorch and its forks, to networks."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from goalscope.policies.impala.network import Impala
from goalscope.policies.impala.others import NATURE_SIDES, Nature, RecurrentImpala

GRU_LAYERS = {
    "gru.input.weight": "gru.gru.weight_ih_l0", "gru.memory.weight": "gru.gru.weight_hh_l0",
    "gru.input.bias": "gru.gru.bias_ih_l0", "gru.memory.bias": "gru.gru.bias_hh_l0",
}  # fmt: skip
"""our name of a layer of the memory, and torch's"""
WIDTHS = [f"embedder.block{b}.conv.bias" for b in (1, 2, 3)]
LAST = "embedder.layers.7"
"""the dense layer of the network without blocks"""


def network_of(state_dict: Mapping[str, Tensor]) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a state dict, and the architecture that a config would have of it.

    Raises:
        ValueError: a layer is missing, unknown or of a shape that does not fit; the message names the layer
            and both shapes, or the nearest names.
    """
    recurrent = any(name.startswith("gru.") for name in state_dict)
    if any(name.startswith("embedder.layers.") for name in state_dict):
        if recurrent:
            raise ValueError("the state dict has a memory (gru) and no blocks, which together are not read")
        network = _nature(state_dict)
        sizes = {"hidden": network.fc_policy.in_features, "side": network.side}
        return network, {"name": "nature", **sizes, "actions": network.fc_policy.out_features}
    found = dict(state_dict)
    # Under our names, so that the messages below speak of one name; torch's stand in the file.
    for ours, theirs in GRU_LAYERS.items():
        if recurrent and theirs in found:
            found[ours] = found.pop(theirs)
    network = _fitted(found, RecurrentImpala if recurrent else Impala)
    channels = [found[name].numel() for name in WIDTHS]
    sizes = {"channels": channels, "hidden": found["fc_policy.weight"].shape[1]}
    name = "impala-gru" if recurrent else "impala"
    return network, {"name": name, **sizes, "actions": found["fc_policy.weight"].shape[0]}


def from_state_dict(state_dict: Mapping[str, Tensor]) -> Impala:
    """The network without memory of a state dict, its widths read from the layers' shapes.

    Raises:
        ValueError: a layer is missing, unknown or of a shape that does not fit; the message names the layer
            and both shapes, or the nearest names.
    """
    return _fitted(state_dict, Impala)


def _fitted(state_dict: Mapping[str, Tensor], kind: type[Any]) -> Any:
    shapes = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
    with torch.device("meta"):
        expected = _shapes(kind())
    check_names(shapes, expected)
    sources = [*WIDTHS, "embedder.fc.bias", "fc_policy.bias"]
    for name in sources:
        if len(shapes[name]) != 1 or not shapes[name][0]:
            raise ValueError(f"layer {name} has shape {shapes[name]}, expected (N,) as in {expected[name]}")
    first, second, third, hidden, actions = (shapes[name][0] for name in sources)
    with torch.device("meta"):
        network = kind((first, second, third), hidden, actions)
    return _filled(network, state_dict)


def check_names(shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raises ValueError for the first layer that is missing, or that no such network has."""
    for name in [name for name in expected if name not in shapes]:
        near = difflib.get_close_matches(name, [other for other in shapes if other not in expected], 1, 0.5)
        hint = f"; {near[0]} is there instead, rename it" if near else ""
        raise ValueError(f"the state dict lacks the layer {name} {expected[name]}{hint}")
    for name in [name for name in shapes if name not in expected]:
        near = difflib.get_close_matches(name, expected, 3)
        hint = f"; near matches: {', '.join(near)}" if near else ""
        raise ValueError(f"the state dict has a layer {name!r} that an IMPALA network does not have{hint}")


def _nature(state_dict: Mapping[str, Tensor]) -> Nature:
    shapes = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
    with torch.device("meta"):
        check_names(shapes, _shapes(Nature()))
        dense, policy = shapes[f"{LAST}.weight"], shapes["fc_policy.weight"]
        sides = [
            side for side, squares in NATURE_SIDES.items() if len(dense) == 2 and dense[1] == 64 * squares**2
        ]
        if not sides or len(policy) != 2 or not policy[0]:
            read = " or ".join(str(64 * squares**2) for squares in NATURE_SIDES.values())
            raise ValueError(
                f"layer {LAST}.weight has shape {dense}, expected (hidden, {read}); fc_policy.weight {policy}"
            )
        network = Nature(dense[0], policy[0], sides[0])
    return _filled(network, state_dict)


def _filled(network: Any, state_dict: Mapping[str, Tensor]) -> Any:
    for name, shape in _shapes(network).items():
        if tuple(state_dict[name].shape) != shape:
            raise ValueError(f"layer {name} has shape {tuple(state_dict[name].shape)}, expected {shape}")
    network.to_empty(device="cpu").load_state_dict(state_dict)
    return network.eval()


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
