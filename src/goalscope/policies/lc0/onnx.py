"""Networks that lc0's converter wrote as ONNX (leela-interp's `lc0.onnx` among them): their numbers, by their names.

Nothing of the graph is run. Its constants carry the names of what they are in the network, so they become the layers of
the plain module; the names of its operations say which activations there are. What a graph could do otherwise and the
module does not (another position code, another scale, another order of moves) is compared and refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalscope.policies.layers import Layers
from goalscope.policies.lc0.attention import position_code
from goalscope.policies.lc0.file import Message
from goalscope.policies.lc0.moves import MOVES, attention_map
from goalscope.policies.lc0.network import Lc0

DTYPES = {1: "<f4", 10: "<f2", 11: "<f8", 6: "<i4", 7: "<i8"}
"""ONNX's numbers of types that are read; 16 is bfloat16"""
BFLOAT = 16
ACTIVATIONS = {
    "sqrrelu": "relu_2",
    "mish": "mish",
    "swish": "swish",
    "relu": "relu",
    "selu": "selu",
    "tanh": "tanh",
}
"""as the converter names them, and as `Lc0` does"""
HEAD = "/policy/Q/"


def load_onnx(data: bytes, path: Path) -> tuple[Lc0, dict[str, Any]]:
    """The network in an ONNX file of lc0's converter, and its config.

    Raises:
        ValueError: a damaged file, a graph that is no attention network of lc0's converter, or one that differs from it
            (the message names the constant).
    """
    try:
        model = Message(data, "")
        graph = model.message(7, "graph")
        layers = Layers(_constants(graph), "an attention network of lc0's ONNX converter")
        names = [_text(node, 2) for node in graph.messages(1, "node")]
        arguments, tensors = _network(layers, names)
        arguments["no_history"] = _property(model, "no_history") == "true"
    except ValueError as error:
        raise ValueError(f"{path}, read as an ONNX model: {error}") from error
    with torch.device("meta"):
        network = Lc0(**arguments)
    missing = [name for name in network.state_dict() if name not in tensors]
    if missing:
        raise ValueError(
            f"{path}, read as an ONNX model: it lacks what the network needs for its layer {missing[0]}"
        )
    network.load_state_dict(tensors, assign=True)
    unread = [name for name in layers.found if layers.found[name].dtype.kind == "f"]
    return network.eval(), {"architecture": {"name": "lc0", **arguments}, "unread": unread}


def _text(message: Message, number: int) -> str:
    return message.data(number).decode("utf-8", "replace")


def _property(model: Message, name: str) -> str:
    """What the model's metadata says by a name; empty where nothing."""
    said = {_text(entry, 1): _text(entry, 2) for entry in model.messages(14, "metadata_props")}
    return said.get(name, "")


def _constants(graph: Message) -> dict[str, np.ndarray]:
    """The graph's constants by name."""
    found = {}
    for tensor in graph.messages(5, "initializer"):
        name = _text(tensor, 8)
        if tensor.integer(14) == 1 or 13 in tensor:
            raise ValueError(f"the numbers of {name[:80]} lie in another file, which is not read")
        found[name] = _array(tensor, name)
    if f"{HEAD}matmul/w" not in found:
        there = ", ".join(list(found)[:6]) or "none"
        raise ValueError(
            f"it has no constant {HEAD}matmul/w: what is read are attention networks that lc0's converter wrote; its "
            f"constants are {there}{' and more' if len(found) > 6 else ''}"
        )
    return found


def _array(tensor: Message, name: str) -> np.ndarray:
    dims = []
    for value in tensor.fields.get(1, []):
        dims += [value] if isinstance(value, int) else _varints(value)
    kind, raw = tensor.integer(2), tensor.data(9)
    if kind not in DTYPES and kind != BFLOAT:
        raise ValueError(
            f"constant {name[:80]} is of ONNX's type {kind}; read are {', '.join(map(str, [*DTYPES, BFLOAT]))}"
        )
    dtype = np.dtype("<u2" if kind == BFLOAT else DTYPES[kind])
    if not raw and kind == 1:
        raw = tensor.data(4)
    elif not raw and kind == 7:
        return np.array(_varints(tensor.data(7)), np.int64)
    size = int(np.prod(dims, dtype=object))
    if len(raw) != size * dtype.itemsize:
        raise ValueError(f"constant {name[:80]} is {dims}, and has {len(raw)} bytes of numbers")
    numbers = np.frombuffer(raw, dtype)
    if kind == BFLOAT:
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers.reshape(dims)


def _varints(data: bytes) -> list[int]:
    """Packed numbers."""
    found, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise ValueError("a packed number is damaged")
        if byte < 0x80:
            found.append(value)
            value = shift = 0
    return found


def _activation(names: list[str], after: str, default: str | None = None) -> str:
    """The activation after an operation, as the names of the operations below it say."""
    for name in names:
        if name.startswith(f"{after}/"):
            word = name[len(after) + 1 :].split("/")[0]
            if word in ACTIVATIONS:
                return ACTIVATIONS[word]
    if default is None:
        raise ValueError(f"no operation of the graph says which activation follows {after}")
    return default


def _same(layers: Layers, name: str, expected: np.ndarray | float, what: str) -> None:
    """Refuses a constant of the graph that is not what the module computes; one that is not there is none."""
    if name not in layers:
        return
    found = layers.found.pop(name)
    if found.size != np.size(expected) or not np.allclose(
        found.reshape(np.shape(expected)), expected, rtol=1e-2
    ):
        raise ValueError(f"{name} is not {what}: such a network is not read")


class _Taker:
    """Takes constants as parameters; dense ones are stored the other way round."""

    def __init__(self, layers: Layers):
        self.layers = layers
        self.tensors: dict[str, Tensor] = {}

    def dense(
        self, name: str, ours: str, inputs: int | None, outputs: int | None, bias: str | None
    ) -> tuple[int, int]:
        weight = self.layers.take(f"{name}/w", inputs, outputs)
        self.tensors[f"{ours}.weight"] = weight.T.contiguous()
        if bias is not None:
            self.tensors[f"{ours}.bias"] = self.layers.take(bias, weight.shape[1])
        return weight.shape[0], weight.shape[1]

    def norm(self, name: str, ours: str, width: int) -> None:
        self.tensors[f"{ours}.weight"] = self.layers.take(f"{name}/w/scale", width)
        self.tensors[f"{ours}.bias"] = self.layers.take(f"{name}/w/bias", width)


def _network(layers: Layers, names: list[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Arguments and state dict of `Lc0`."""
    take = _Taker(layers)
    _same(
        layers, "/const/pos_encoding", position_code().numpy(), "the map of moves by which squares are marked"
    )
    _same(layers, "/const/mapping_table", attention_map().numpy(), f"lc0's order of the {MOVES} moves")
    _, width = take.dense("/attn_body/matmul", "body.embedding.dense", 176, None, "/attn_body/add/w")
    blocks = len({name.split("/")[1] for name in layers.names if name.startswith("/encoder")})
    arguments: dict[str, Any] = {
        "body": "attention", "width": width, "blocks": blocks, "activation": _activation(names, "/attn_body"),
        "policy": "attention", "embedding": "map", "gated": "/ip_mul_gate/w" in layers,
    }  # fmt: skip
    if arguments["gated"]:
        for name, part in (("mul", "scale"), ("add", "shift")):
            take.tensors[f"body.embedding.gate.{part}"] = layers.take(f"/ip_{name}_gate/w", 64, width)
    arguments |= _encoders(take, names, width, blocks)
    arguments |= _heads(take, names, width, arguments["activation"])
    return arguments, take.tensors


def _encoders(take: _Taker, names: list[str], width: int, blocks: int) -> dict[str, Any]:
    layers = take.layers
    if "/const/smolgen_w" not in layers:
        raise ValueError("it has no /const/smolgen_w: without smolgen nothing says how many heads there are")
    scores = layers.take("/const/smolgen_w", None, 4096)
    take.tensors["body.to_scores.weight"] = scores.T.contiguous()
    sizes: dict[str, Any] = {}
    for e in range(blocks):
        name, ours = f"/encoder{e}", f"body.encoders.{e}"
        for theirs, part in (("Q", "query"), ("K", "key"), ("V", "value")):
            head = f"{name}/mha/{theirs}"
            _, inner = take.dense(
                f"{head}/w", f"{ours}.attention.{part}", width, sizes.get("inner"), f"{head}/b/w"
            )
            sizes["inner"] = inner
        out = f"{name}/mha/out/dense"
        take.dense(f"{out}/w", f"{ours}.attention.mix", inner, width, f"{out}/b/w")
        smolgen, inside = f"{name}/smolgen", f"{ours}.attention.smolgen"
        _, compressed = take.dense(f"{smolgen}/compress", f"{inside}.compress", width, None, None)
        deep = f"{smolgen}/dense1"
        _, hidden = take.dense(f"{deep}/w", f"{inside}.dense1", 64 * compressed, None, f"{deep}/b/w")
        take.norm(f"{smolgen}/ln1", f"{inside}.norm1", hidden)
        deep = f"{smolgen}/dense2"
        _, generated = take.dense(f"{deep}/w", f"{inside}.dense2", hidden, None, f"{deep}/b/w")
        take.norm(f"{smolgen}/ln2", f"{inside}.norm2", generated)
        sizes["smolgen"] = [compressed, hidden, scores.shape[0]]
        sizes["heads"] = generated // scores.shape[0]
        take.norm(f"{name}/ln1", f"{ours}.norm1", width)
        take.norm(f"{name}/ln2", f"{ours}.norm2", width)
        first, second = f"{name}/ffn/dense1", f"{name}/ffn/dense2"
        _, sizes["hidden"] = take.dense(
            f"{first}/w", f"{ours}.feed_forward.dense1", width, None, f"{first}/b/w"
        )
        take.dense(f"{second}/w", f"{ours}.feed_forward.dense2", sizes["hidden"], width, f"{second}/b/w")
        for alpha in [
            n for n in list(layers.found) if n.startswith(f"{name}/alpha") and n.endswith("input/w")
        ]:
            _same(layers, alpha, (2 * blocks) ** -0.25, "(2 layers) to the power of -1/4")
    if not blocks:
        raise ValueError("it has no encoder")
    sizes["ffn_activation"] = _activation(names, "/encoder0/ffn/dense1")
    sizes["smolgen_activation"] = _activation(names, "/encoder0/smolgen/dense1", "swish")
    return sizes


def _heads(take: _Taker, names: list[str], width: int, act: str) -> dict[str, Any]:
    """Policy, value and moves left; whatever their last activation is, `Lc0` has it for the whole network."""
    layers, ours = take.layers, "policy_heads.vanilla"

    def dense(name: str, mine: str, inputs: int, outputs: int | None = None) -> int:
        return take.dense(f"{name}/matmul", mine, inputs, outputs, f"{name}/add/w")[1]

    embedded = dense("/policy/dense1", f"{ours}.dense", width)
    queries = dense("/policy/Q", f"{ours}.query", embedded)
    dense("/policy/K", f"{ours}.key", embedded, queries)
    promotion, _ = take.dense("/policy/promotion/matmul", f"{ours}.promotion", queries, 4, None)
    _same(layers, "/policy/scale/w", promotion**-0.5, "1 / sqrt of the queries' width")
    arguments: dict[str, Any] = {"policy_width": embedded, "policy_queries": queries}
    for name, mine, key, outputs in (
        ("/value", "value_heads.winner", "value_sizes", 3), ("/mlh", "moves_left_head", "moves_left_sizes", 1)
    ):  # fmt: skip
        if name == "/mlh" and "/mlh/embed/matmul/w" not in layers:
            continue
        columns = dense(f"{name}/embed", f"{mine}.dense0", width)
        hidden = dense(f"{name}/dense1", f"{mine}.dense1", 64 * columns)
        dense(f"{name}/dense2", f"{mine}.dense2", hidden, outputs)
        arguments[key] = [columns, hidden]
    if "moves_left_sizes" in arguments:
        # lc0 ends it in a relu; older exports in the default activation.
        arguments["moves_left_activation"] = _activation(names, "/mlh/dense2", act)
    return arguments
