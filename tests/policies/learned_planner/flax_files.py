"""Checkpoints as learned-planner writes them, and its networks in one piece, for tests.

The forward is written from the papers and the configs' words, with one convolution over all that enters a layer and
channels last, so that it shares nothing with `goalscope.policies.drc`.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

NET: dict[str, Any] = {
    "_type_": "cleanba.convlstm:ConvLSTMConfig",
    "norm": {"_type_": "cleanba.network:IdentityNorm"},
    "embed": [{"features": 4, "kernel_size": [4, 4], "strides": [1, 1], "padding": "SAME", "use_bias": True}] * 2,
    "recurrent": {
        "conv": {"features": 4, "kernel_size": [3, 3], "strides": [1, 1], "padding": "SAME", "use_bias": True},
        "fence_pad": "valid", "forget_bias": 0.0, "pool_and_inject": "horizontal",
        "pool_projection": "per-channel", "output_activation": "tanh",
    },
    "use_relu": False, "residual": False, "skip_final": True, "mlp_hiddens": [6], "head_scale": 1.0,
    "n_recurrent": 2, "repeats_per_step": 2, "normalize_input": False,
}  # fmt: skip
"""a small network in the form of the published one"""
RESNET: dict[str, Any] = {
    "_type_": "cleanba.network:GuezResNetConfig", "norm": {"_type_": "cleanba.network:IdentityNorm"},
    "channels": [4, 6], "strides": [1, 1], "kernel_sizes": [4, 3], "mlp_hiddens": [6], "head_scale": 1,
}  # fmt: skip


def changed(net: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A config with other values, those of a cell in its `recurrent`."""
    cell = {key: value for key, value in changes.items() if key in net.get("recurrent", {})}
    rest = {key: value for key, value in changes.items() if key not in cell}
    return {**net, **rest, **({"recurrent": {**net["recurrent"], **cell}} if cell else {})}


def parameters(net: dict[str, Any], size: int = 5, seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights by names joined with '/', shapes as flax has them."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}

    def layer(name: str, *shape: int) -> None:
        found[name] = (rng.standard_normal(shape) / max(np.prod(shape[:-1]), 9) ** 0.5).astype(np.float32)

    def convolution(name: str, kernel: int, inputs: int, outputs: int, bias: bool = True) -> None:
        layer(f"{name}/kernel", kernel, kernel, inputs, outputs)
        if bias:
            layer(f"{name}/bias", outputs)

    if "embed" in net:
        cell, c = net["recurrent"], net["recurrent"]["conv"]["features"]
        for k, part in enumerate(net["embed"]):
            convolution(f"network_params/conv_list_{k}", part["kernel_size"][0], c if k else 3, c)
        for d in range(net["n_recurrent"]):
            name, pooled = f"network_params/cell_list_{d}", cell["pool_and_inject"] != "no"
            convolution(f"{name}/ih", 3, (3 if pooled else 2) * c, 4 * c)
            convolution(f"{name}/hh", 3, c, 4 * c, bias=False)
            if cell["fence_pad"] != "no":
                convolution(f"{name}/fence", 3, 1, 4 * c, bias=False)
            if pooled and cell["pool_projection"] == "per-channel":
                layer(f"{name}/project", 2, c)
            if pooled and cell["pool_projection"] == "full":
                layer(f"{name}/Dense_0/kernel", 2 * c, c)
        dense = "network_params/dense_list_0"
    else:
        widths = [3, *net["channels"]]
        for s, (kernel, c) in enumerate(zip(net["kernel_sizes"], net["channels"], strict=True)):
            name = f"network_params/GuezConvSequence_{s}"
            convolution(f"{name}/{'Conv_0' if s else 'xXx_Input_xXx'}", kernel, widths[s], c)
            for b in (0, 1):
                convolution(f"{name}/GuezResidualBlock_{b}/Conv_0", kernel, c, c)
        dense = "network_params/Dense_0"
    hidden = net["mlp_hiddens"][0]
    for name, inputs, outputs in (
        (dense, size * size * c, hidden), ("actor_params/Output", hidden, 4), ("critic_params/Output", hidden, 1)
    ):  # fmt: skip
        layer(f"{name}/kernel", inputs, outputs)
        layer(f"{name}/bias", outputs)
    return found


def packed(value: Any) -> bytes:
    """MessagePack of what a training state holds."""
    if isinstance(value, dict):
        head = bytes([0x80 | len(value)]) if len(value) < 16 else b"\xde" + struct.pack(">H", len(value))
        return head + b"".join(packed(key) + packed(part) for key, part in value.items())
    if isinstance(value, str):
        raw = value.encode()
        return (bytes([0xA0 | len(raw)]) if len(raw) < 32 else b"\xd9" + bytes([len(raw)])) + raw
    if isinstance(value, bool) or value is None:
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return bytes([value]) if 0 <= value < 128 else b"\xd3" + struct.pack(">q", value)
    if isinstance(value, list):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(packed, value))
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    array = np.asarray(value)
    body = packed([list(array.shape), array.dtype.name, array.tobytes()])
    return b"\xc9" + struct.pack(">Ib", len(body), 1) + body


def checkpoint(found: dict[str, np.ndarray], devices: bool = True) -> bytes:
    """The file `model`: step, weights and something of an optimiser; `devices` is the axis that the trainer adds."""
    inside: dict[str, Any] = {}
    for name, array in found.items():
        part = inside
        *folders, last = name.split("/")
        for folder in folders:
            part = part.setdefault(folder, {})
        part[last] = array[None] if devices else array
    moments = {"0": {"count": np.zeros(1, np.int32), "mu": {"x": np.ones((1, 2), np.float32)}}, "1": {}}
    return packed({"step": np.ones(1, np.int32), "params": {"params": inside}, "opt_state": moments})


def config(net: dict[str, Any]) -> bytes:
    """The file `cfg.json`."""
    return json.dumps({"cfg": {"net": net, "seed": 1}, "update_step": 3}).encode()


def _same(x: Tensor, found: dict[str, np.ndarray], name: str) -> Tensor:
    """A convolution of [N, H, W, C] with SAME padding."""
    kernel = torch.from_numpy(found[f"{name}/kernel"]).permute(3, 2, 0, 1)
    before = (kernel.shape[2] - 1) // 2
    after = kernel.shape[2] - 1 - before
    x = functional.pad(x.permute(0, 3, 1, 2), (before, after, before, after))
    out = functional.conv2d(x, kernel).permute(0, 2, 3, 1)
    return out + torch.from_numpy(found[f"{name}/bias"]) if f"{name}/bias" in found else out


def _pooled(h: Tensor, found: dict[str, np.ndarray], name: str, how: str) -> Tensor:
    most, mean = h.amax((1, 2)), h.mean((1, 2))
    if how in ("max", "mean"):
        return most if how == "max" else mean
    if how == "full":
        return torch.cat([most, mean], 1) @ torch.from_numpy(found[f"{name}/Dense_0/kernel"])
    project = torch.from_numpy(found[f"{name}/project"])
    return project[0] * most + project[1] * mean


def _cell(
    cell: dict[str, Any],
    found: dict[str, np.ndarray],
    name: str,
    seen: Tensor,
    below: Tensor,
    h: Tensor,
    c: Tensor,
) -> tuple[Tensor, Tensor]:
    into = [seen, below]
    if cell["pool_and_inject"] != "no":
        of = h if cell["pool_and_inject"] == "horizontal" else below
        told = _pooled(of, found, name, cell["pool_projection"])
        into.append(told[:, None, None].expand_as(h))
    gates = _same(torch.cat(into, 3), found, f"{name}/ih") + _same(h, found, f"{name}/hh")
    if cell["fence_pad"] != "no":
        out = 2 if cell["fence_pad"] == "valid" else 0
        fence = torch.ones(1, h.shape[1] + out, h.shape[2] + out, 1)
        fence[:, 1:-1, 1:-1] = 0
        around = _same(fence, found, f"{name}/fence")
        gates = gates + (around[:, 1:-1, 1:-1] if out else around)
    i, j, f, o = gates.chunk(4, 3)
    c = torch.sigmoid(f + cell["forget_bias"]) * c + torch.tanh(i) * torch.sigmoid(j)
    return torch.tanh(c) * getattr(torch, cell["output_activation"])(o), c


def _outputs(x: Tensor, found: dict[str, np.ndarray], dense: str, scale: float) -> tuple[Tensor, Tensor]:
    def linear(x: Tensor, name: str) -> Tensor:
        return x @ torch.from_numpy(found[f"{name}/kernel"]) + torch.from_numpy(found[f"{name}/bias"])

    hidden = linear(x.flatten(1), dense).relu()
    return linear(hidden, "actor_params/Output"), scale * linear(hidden, "critic_params/Output")[:, 0]


def forward(
    net: dict[str, Any], found: dict[str, np.ndarray], pixels: np.ndarray, carry: list[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
    """One step of the DRC: logits, value and (h, c) of every layer, [N, H, W, C]; an empty carry begins a level."""
    encoded = torch.from_numpy(pixels).permute(0, 2, 3, 1) / 255
    for k in range(len(net["embed"])):
        encoded = _same(encoded, found, f"network_params/conv_list_{k}")
        if net["use_relu"] and k + 1 < len(net["embed"]):
            encoded = encoded.relu()
    carry = carry or [(torch.zeros_like(encoded),) * 2] * net["n_recurrent"]
    carry = list(carry)
    for _ in range(net["repeats_per_step"]):
        below = carry[-1][0]
        for d in range(net["n_recurrent"]):
            name = f"network_params/cell_list_{d}"
            carry[d] = _cell(net["recurrent"], found, name, encoded, below, *carry[d])
            below = below + carry[d][0] if net["residual"] else carry[d][0]
        if not net["skip_final"]:
            carry[-1] = (below, carry[-1][1])
    out = carry[-1][0] + encoded if net["skip_final"] else carry[-1][0]
    return *_outputs(out, found, "network_params/dense_list_0", net["head_scale"]), carry


def resnet_forward(
    net: dict[str, Any], found: dict[str, np.ndarray], pixels: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Logits and value of the residual network."""
    x = torch.from_numpy(pixels).permute(0, 2, 3, 1) / 255
    for s in range(len(net["channels"])):
        name = f"network_params/GuezConvSequence_{s}"
        x = _same(x, found, f"{name}/{'Conv_0' if s else 'xXx_Input_xXx'}")
        for b in (0, 1):
            x = x + _same(x.relu(), found, f"{name}/GuezResidualBlock_{b}/Conv_0")
    return _outputs(x.relu(), found, "network_params/Dense_0", net["head_scale"])
