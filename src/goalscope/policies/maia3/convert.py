"""A file of Maia-3 to a module and its config: sizes are read from the layers' shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from goalscope.policies.foreign import RATING
from goalscope.policies.layers import Layers
from goalscope.policies.maia3.network import KINDS, Maia3


def load_maia3(tensors: Mapping[str, Tensor], path: Path) -> tuple[Maia3, dict[str, Any]]:
    """The network of a state dict.

    Args:
        tensors: by the project's names; older files say smolgen where newer ones say gab.
        path: where they came from, for messages.

    Raises:
        ValueError: a layer is missing, unknown or of a shape that does not fit.
    """
    prefix = next(name for name in tensors if name.endswith(RATING)).removesuffix(RATING)
    found = {name.removeprefix(prefix).replace("smolgen", "gab"): layer for name, layer in tensors.items()}
    # In every layer the shared matrix is there again.
    found = {name: layer for name, layer in found.items() if not name.endswith("self_attn.gab_weight")}
    try:
        arguments, mine = _network(Layers(found, "Maia-3"))
    except ValueError as error:
        raise ValueError(f"{path}, read as Maia-3: {error}") from error
    with torch.device("meta"):
        network = Maia3(**arguments)
    network.load_state_dict(mine, assign=True)
    return network.eval(), {"architecture": {"name": "maia3", **arguments}}


def _network(layers: Layers) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Arguments and state dict of `Maia3`."""
    bank = layers.take("gab_shared_weight", 4096, None)
    weak = layers.take(RATING, 1, None)
    size, generated = weak.shape[1], bank.shape[1]
    embedding = layers.take("token_projection.weight", None, None)
    width, read = embedding.shape
    if read <= 2 * size or (read - 2 * size) % KINDS:
        raise ValueError(
            f"token_projection.weight reads {read} numbers: {KINDS} kinds of pieces for each position of the history and "
            f"two ratings of {size} are due"
        )
    tensors = {
        "bank.weight": bank, "weakest": layers.take("elo_embedding_high.weight", 1, size)[0], "strongest": weak[0],
        "embedding.weight": embedding, "embedding.bias": layers.take("token_projection.bias", width),
    }  # fmt: skip
    blocks = len({name.split(".")[2] for name in layers.names if name.startswith("transformer.layers.")})
    arguments: dict[str, Any] = {
        "width": width, "blocks": blocks, "generated": generated, "history": (read - 2 * size) // KINDS,
        "rating_size": size,
    }  # fmt: skip
    for k in range(blocks):
        arguments |= _layer(layers, tensors, k, width, generated)
    for theirs, ours in (("transformer.norm", "norm"), ("last_ln", "mean_norm")):
        for part in ("weight", "bias"):
            tensors[f"{ours}.{part}"] = layers.take(f"{theirs}.{part}", width)
    query = layers.take("proj_sq_from.weight", None, width)
    arguments["queries"] = queries = query.shape[0]
    tensors |= {
        "policy.query.weight": query, "policy.key.weight": layers.take("proj_sq_to.weight", queries, width),
        "policy.promotion.weight": layers.take("promo_bias_proj.weight", 4, queries),
    }  # fmt: skip
    for theirs, ours, outputs in (("value", "value_head", 3), ("ponder", "ponder_head", 1)):
        _dense(layers, tensors, f"fc_{theirs}_hid", f"{ours}.dense1", queries, width)
        _dense(layers, tensors, f"fc_{theirs}", f"{ours}.dense2", outputs, queries)
    layers.finish()
    return arguments, tensors


def _dense(
    layers: Layers, tensors: dict[str, Tensor], theirs: str, ours: str, outputs: int | None, inputs: int
) -> int:
    weight = layers.take(f"{theirs}.weight", outputs, inputs)
    tensors[f"{ours}.weight"] = weight
    tensors[f"{ours}.bias"] = layers.take(f"{theirs}.bias", weight.shape[0])
    return weight.shape[0]


def _layer(layers: Layers, tensors: dict[str, Tensor], k: int, width: int, generated: int) -> dict[str, Any]:
    theirs, ours = f"transformer.layers.{k}", f"layers.{k}"
    attention, mine = f"{theirs}.self_attn", f"{ours}.attention"
    together = layers.take(f"{attention}.mha.in_proj_weight", 3 * width, width).chunk(3)
    for part, weight in zip(("query", "key", "value"), together, strict=True):
        tensors[f"{mine}.{part}.weight"] = weight.clone()
    tensors[f"{mine}.mix.weight"] = layers.take(f"{attention}.mha.out_proj.weight", width, width)
    sizes: dict[str, Any] = {}
    inputs = width
    if f"{attention}.sm1.weight" in layers:
        sizes["compressed"] = _dense(
            layers, tensors, f"{attention}.sm1", f"{mine}.position.compress", None, width
        )
        inputs = 64 * sizes["compressed"]
    deep = _dense(layers, tensors, f"{attention}.sm2", f"{mine}.position.dense1", None, inputs)
    told = _dense(layers, tensors, f"{attention}.sm3", f"{mine}.position.dense2", None, deep)
    if told % generated:
        raise ValueError(f"{attention}.sm3 gives {told} numbers, no multiple of the {generated} of a head")
    for norm, count in ((1, deep), (2, told)):
        for part in ("weight", "bias"):
            tensors[f"{mine}.position.norm{norm}.{part}"] = layers.take(f"{attention}.ln{norm}.{part}", count)
    sizes |= {"position_hidden": deep, "heads": told // generated}
    sizes["hidden"] = _dense(layers, tensors, f"{theirs}.linear1", f"{ours}.dense1", None, width)
    _dense(layers, tensors, f"{theirs}.linear2", f"{ours}.dense2", width, sizes["hidden"])
    for norm in (1, 2):
        tensors[f"{ours}.norm{norm}.weight"] = layers.take(f"{theirs}.norm{norm}.weight", width)
    return sizes
