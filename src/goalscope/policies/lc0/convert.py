"""A Leela network file to a module: which numbers of the file are which parameters.

Sizes are read from the lengths of the layers' biases; then every layer must have just as many numbers as the network
of these sizes needs. Batch norms are folded into the convolutions before them. Names of layers in messages are those
of net.proto.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalscope.policies.lc0.file import LARGEST, Format, Message, read_net
from goalscope.policies.lc0.network import Lc0

LARGEST_SIZE = 4096
"""of any width, count or hidden size: a bound on what a damaged file can make us build"""
POLICY_HEADS = {3: "vanilla", 4: "optimistic_st", 5: "soft", 6: "opponent"}
VALUE_HEADS = {1: "winner", 2: "q", 3: "st"}

Layers = dict[str, tuple[str, np.ndarray]]
"""parameter name -> name in the file, numbers"""


def load_lc0(data: bytes, path: Path, limit: int = LARGEST) -> tuple[Lc0, dict[str, Any]]:
    """The network in a file, and its config.

    Args:
        data: the whole file, `.pb.gz` or `.pb`. path: where it came from, for messages.
        limit: bytes that it may unpack to.

    Returns:
        The network, and {"architecture": arguments of `Lc0` with its name, "unread": layers that it has no use for}.

    Raises:
        ValueError: as `read_lc0`.
    """
    return made(*read_lc0(data, path, limit))


def made(
    arguments: dict[str, Any], tensors: dict[str, Tensor], unread: list[str]
) -> tuple[Lc0, dict[str, Any]]:
    """The network of what `read_lc0` gives, and its config."""
    # Nothing is allocated or drawn at random: the file's own numbers become the parameters.
    with torch.device("meta"):
        network = Lc0(**arguments)
    network.load_state_dict(tensors, assign=True)
    return network.eval(), {"architecture": {"name": "lc0", **arguments}, "unread": unread}


def read_lc0(
    data: bytes, path: Path, limit: int = LARGEST
) -> tuple[dict[str, Any], dict[str, Tensor], list[str]]:
    """What `load_lc0` makes a network of: arguments of `Lc0`, its state dict, and layers it has no use for.

    Raises:
        ValueError: no network file, a damaged one, one of a kind that is not read, or one whose layers do not fit
            together (the message names the layer and both sizes).
    """
    return read_weights(*read_net(data, path, limit), path)


def read_weights(
    form: Format, weights: Message, path: Path
) -> tuple[dict[str, Any], dict[str, Tensor], list[str]]:
    """As `read_lc0`, of a message that was parsed."""
    try:
        arguments, layers, unread = (
            _attention(form, weights) if form.attention_body else _plain(form, weights)
        )
        _check_sizes(arguments)
        return arguments, _fitted(layers, _shapes(json.dumps(arguments))), unread
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


@functools.lru_cache(16)
def _shapes(arguments: str) -> dict[str, torch.Size]:
    """The shapes of the network of some arguments, as JSON; no memory is taken for it."""
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in Lc0(**json.loads(arguments)).state_dict().items()}


def _check_sizes(arguments: dict[str, Any]) -> None:
    for name, value in arguments.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int) and not isinstance(number, bool) and not 1 <= number <= LARGEST_SIZE:
                raise ValueError(
                    f"{name} would be {number}, which must be from 1 to {LARGEST_SIZE}: the file lacks the layer "
                    "that says so, or is damaged"
                )


def _fitted(layers: Layers, shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    """The layers as parameters of the shapes that the network needs."""
    tensors = {}
    for name, shape in shapes.items():
        if name not in layers:
            raise ValueError(f"the file lacks what the network needs for its layer {name} {list(shape)}")
        source, numbers = layers[name]
        if numbers.size != shape.numel():
            size = " x ".join(str(side) for side in shape)
            raise ValueError(
                f"layer {source} has {numbers.size} numbers, the network needs {shape.numel()} ({size})"
            )
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(numbers, np.float32).reshape(tuple(shape))
        if not np.isfinite(array).all():
            raise ValueError(
                f"layer {source} grows beyond all numbers by its batch norm; the file is damaged"
            )
        tensors[name] = torch.from_numpy(array)
    extra = [f"{layers[name][0]} ({name})" for name in layers if name not in shapes]
    if extra:
        raise ValueError(f"the file has {extra[0]}, which a network of its format does not have")
    return tensors


class _Reader:
    """Collects the layers of a network."""

    def __init__(self) -> None:
        self.layers: Layers = {}

    def take(self, message: Message, fields: dict[int, tuple[str, str]]) -> None:
        """Layers of one message, {field: (its name, parameter)}."""
        for field, (name, parameter) in fields.items():
            self.layers[parameter] = (f"{message.name}.{name}", message.layer(field, name))

    def dense(self, message: Message, field: int, name: str, parameter: str) -> None:
        """A dense layer, weights and biases in neighbouring fields."""
        self.take(
            message,
            {field: (f"{name}_w", f"{parameter}.weight"), field + 1: (f"{name}_b", f"{parameter}.bias")},
        )

    def norm(self, message: Message, field: int, name: str, parameter: str) -> None:
        """A layer norm, likewise."""
        self.take(
            message,
            {
                field: (f"{name}_gammas", f"{parameter}.weight"),
                field + 1: (f"{name}_betas", f"{parameter}.bias"),
            },
        )

    def convolution(self, block: Message, parameter: str) -> None:
        """A convolution with its batch norm folded in; the field of deviations holds variances."""
        weights = block.layer(1, "weights").astype(np.float64)
        bias, mean, variance, gamma, beta = (
            block.layer(field, name).astype(np.float64)
            for field, name in enumerate(("biases", "bn_means", "bn_stddivs", "bn_gammas", "bn_betas"), 2)
        )
        outputs = max(bias.size, mean.size)
        parts = {
            "biases": bias,
            "bn_means": mean,
            "bn_stddivs": variance,
            "bn_gammas": gamma,
            "bn_betas": beta,
        }
        for name, part in parts.items():
            if part.size not in (0, outputs):
                raise ValueError(
                    f"layer {block.name}.{name} has {part.size} numbers, its block has {outputs}"
                )
        if outputs and weights.size % outputs:
            raise ValueError(
                f"layer {block.name}.weights has {weights.size} numbers, not a multiple of the block's {outputs}"
            )
        if mean.size != variance.size:
            raise ValueError(
                f"layer {block.name}.bn_stddivs has {variance.size} numbers, bn_means has {mean.size}"
            )
        bias = bias if bias.size else np.zeros(outputs)
        if mean.size:
            if (variance < 0).any():
                raise ValueError(f"layer {block.name}.bn_stddivs holds a negative variance")
            factor = (gamma if gamma.size else 1) / np.sqrt(variance + 1e-5)
            weights = weights.reshape(outputs, -1) * factor[:, None]
            bias = (beta if beta.size else 0) + factor * (bias - mean)
        self.layers[f"{parameter}.weight"] = (f"{block.name}.weights", weights)
        self.layers[f"{parameter}.bias"] = (f"{block.name}.biases", bias)

    def size(self, parameter: str) -> int:
        """Numbers in a bias that was read."""
        return self.layers[f"{parameter}.bias"][1].size

    def encoder(self, message: Message, parameter: str) -> bool:
        """One encoder; whether it has smolgen."""
        attention = message.message(1, "mha")
        for field, name, part in ((1, "q", "query"), (3, "k", "key"), (5, "v", "value"), (7, "dense", "mix")):
            self.dense(attention, field, name, f"{parameter}.attention.{part}")
        self.norm(message, 2, "ln1", f"{parameter}.norm1")
        self.dense(message.message(4, "ffn"), 1, "dense1", f"{parameter}.feed_forward.dense1")
        self.dense(message.message(4, "ffn"), 3, "dense2", f"{parameter}.feed_forward.dense2")
        self.norm(message, 5, "ln2", f"{parameter}.norm2")
        if any(field in attention for field in (10, 11, 12)):
            raise ValueError(f"{attention.name} has relative position codes, which are not read")
        if 9 not in attention:
            return False
        smolgen, inside = attention.message(9, "smolgen"), f"{parameter}.attention.smolgen"
        self.take(smolgen, {1: ("compress", f"{inside}.compress.weight")})
        self.dense(smolgen, 2, "dense1", f"{inside}.dense1")
        self.norm(smolgen, 4, "ln1", f"{inside}.norm1")
        self.dense(smolgen, 6, "dense2", f"{inside}.dense2")
        self.norm(smolgen, 8, "ln2", f"{inside}.norm2")
        return True

    def attention_policy(self, head: Message, number: dict[str, int], parameter: str) -> dict[str, Any]:
        """An attention policy head without its embedding; `number` gives the fields, which differ by format."""
        self.dense(head, number["ip2"], "ip2_pol", f"{parameter}.query")
        self.dense(head, number["ip3"], "ip3_pol", f"{parameter}.key")
        self.take(head, {number["ip4"]: ("ip4_pol_w", f"{parameter}.promotion.weight")})
        encoders = head.messages(number["encoder"], "pol_encoder")
        for i, message in enumerate(encoders):
            if self.encoder(message, f"{parameter}.encoders.{i}"):
                raise ValueError(f"{message.name} has smolgen, which is not read in a policy head")
        sizes: dict[str, Any] = {"policy_queries": self.size(f"{parameter}.query")}
        if encoders:
            sizes["policy_encoders"] = len(encoders)
            first = f"{parameter}.encoders.0"
            sizes["policy_encoder_sizes"] = [head.integer(number["headcount"]), *self.encoder_sizes(first)]
        return sizes

    def encoder_sizes(self, parameter: str) -> list[int]:
        return [self.size(f"{parameter}.attention.query"), self.size(f"{parameter}.feed_forward.dense1")]


TOP = {"ip2": 17, "ip3": 19, "ip4": 22, "encoder": 21, "headcount": 24}
HEAD = {"ip2": 3, "ip3": 5, "ip4": 7, "encoder": 8, "headcount": 9}


def _common(form: Format) -> dict[str, Any]:
    return {
        "input_format": int(form.input_format), "activation": form.activation, "policy": form.policy,
        "value": form.value,
    }  # fmt: skip


def _plain(form: Format, weights: Message) -> tuple[dict[str, Any], Layers, list[str]]:
    """A network with a convolutional body: arguments, layers, what is not read."""
    read = _Reader()
    read.convolution(weights.message(1, "input"), "body.conv")
    blocks = weights.messages(2, "residual")
    squeezed = bool(blocks) and 3 in blocks[0]
    for i, block in enumerate(blocks):
        for field in (1, 2):
            read.convolution(block.message(field, f"conv{field}"), f"body.blocks.{i}.conv{field}")
        if (3 in block) != squeezed:
            raise ValueError(f"{block.name} and weights.residual[0] differ: only one has an se unit")
        if squeezed:
            names = {1: "w1", 2: "b1", 3: "w2", 4: "b2"}
            parts = ("dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias")
            inside = {
                field: (names[field], f"body.blocks.{i}.se.{part}") for field, part in enumerate(parts, 1)
            }
            read.take(block.message(3, "se"), inside)
    arguments = {
        **_common(form),
        "body": "convolution",
        "width": read.size("body.conv"),
        "blocks": len(blocks),
    }
    if squeezed:
        arguments["squeeze"] = read.size("body.blocks.0.se.dense1")
    head = "policy_heads.vanilla"
    if form.policy == "attention":
        read.dense(weights, 4, "ip_pol", f"{head}.dense")
        arguments |= read.attention_policy(weights, TOP, head)
        arguments["policy_width"] = read.size(f"{head}.dense")
    elif form.policy == "convolution":
        read.convolution(weights.message(11, "policy1"), f"{head}.conv1")
        read.convolution(weights.message(3, "policy"), f"{head}.conv2")
        arguments["policy_width"] = read.size(f"{head}.conv1")
    else:
        read.convolution(weights.message(3, "policy"), f"{head}.conv")
        read.dense(weights, 4, "ip_pol", f"{head}.dense")
        arguments["policy_width"] = read.size(f"{head}.conv")
    read.convolution(weights.message(6, "value"), "value_heads.winner.conv")
    arguments["value_sizes"] = _two_dense(read, weights, "value_heads.winner", "conv", 7, "val")
    if form.moves_left:
        read.convolution(weights.message(12, "moves_left"), "moves_left_head.conv")
        arguments["moves_left_sizes"] = _two_dense(read, weights, "moves_left_head", "conv", 13, "mov")
    return arguments, read.layers, []


def _two_dense(
    read: _Reader, message: Message, parameter: str, first: str, field: int, name: str
) -> list[int]:
    """The two last dense layers of a value or moves-left head; its two sizes."""
    read.dense(message, field, f"ip1_{name}", f"{parameter}.dense1")
    read.dense(message, field + 2, f"ip2_{name}", f"{parameter}.dense2")
    return [read.size(f"{parameter}.{first}"), read.size(f"{parameter}.dense1")]


def _attention(form: Format, weights: Message) -> tuple[dict[str, Any], Layers, list[str]]:
    """A network with an attention body: arguments, layers, what is not read."""
    read = _Reader()
    arguments = {**_common(form), "body": "attention", "ffn_activation": form.ffn_activation}
    if 2 in weights or 1 in weights:
        raise ValueError("the file has convolutions before its attention body, which are not read")
    read.dense(weights, 25, "ip_emb", "body.embedding.dense")
    arguments["width"] = width = read.size("body.embedding.dense")
    arguments["gated"] = 33 in weights or 34 in weights
    if arguments["gated"]:
        for field, name, part in ((33, "ip_mult_gate", "scale"), (34, "ip_add_gate", "shift")):
            numbers = weights.layer(field, name)
            turned = numbers.reshape(width, 64).T if numbers.size == 64 * width else numbers
            read.layers[f"body.embedding.gate.{part}"] = (f"weights.{name}", turned)
    arguments["embedding"] = form.embedding
    if form.embedding == "dense":
        read.dense(weights, 37, "ip_emb_preproc", "body.embedding.pieces")
        read.norm(weights, 39, "ip_emb_ln", "body.embedding.norm1")
        inner = weights.message(41, "ip_emb_ffn")
        read.dense(inner, 1, "dense1", "body.embedding.feed_forward.dense1")
        read.dense(inner, 3, "dense2", "body.embedding.feed_forward.dense2")
        read.norm(weights, 42, "ip_emb_ffn_ln", "body.embedding.norm2")
        hidden = read.size("body.embedding.feed_forward.dense1")
        arguments["embedding_sizes"] = [read.size("body.embedding.pieces") // 64, hidden]
    with_smolgen = [
        read.encoder(message, f"body.encoders.{i}") for i, message in enumerate(weights.drain(27, "encoder"))
    ]
    arguments["blocks"], arguments["heads"] = len(with_smolgen), weights.integer(28)
    if with_smolgen:
        arguments["inner"], arguments["hidden"] = read.encoder_sizes("body.encoders.0")
    if any(with_smolgen) or 35 in weights:
        read.take(weights, {35: ("smolgen_w", "body.to_scores.weight")})
        arguments |= _smolgen_sizes(form, read, arguments["heads"])
    names = _token_heads(form, weights, read, arguments)
    if form.moves_left:
        read.dense(weights, 31, "ip_mov", "moves_left_head.dense0")
        sizes = _two_dense(read, weights, "moves_left_head", "dense0", 13, "mov")
        arguments["moves_left_sizes"] = sizes
    return arguments, read.layers, names + (["weights.smolgen_b"] if 36 in weights else [])


def _smolgen_sizes(form: Format, read: _Reader, heads: int) -> dict[str, Any]:
    inside = "body.encoders.0.attention.smolgen"
    if f"{inside}.compress.weight" not in read.layers:
        raise ValueError("weights.encoder[0].mha lacks smolgen, which the file has elsewhere")
    width = max(read.size("body.embedding.dense"), 1)
    compressed = read.layers[f"{inside}.compress.weight"][1].size // width
    generated = read.size(f"{inside}.dense2") // max(heads, 1)
    sizes = [compressed, read.size(f"{inside}.dense1"), generated]
    return {"smolgen": sizes, "smolgen_activation": form.smolgen_activation}


def _token_heads(form: Format, weights: Message, read: _Reader, arguments: dict[str, Any]) -> list[str]:
    """Policy and value heads on an attention body; adds to the arguments, and names what is not read."""
    unread = []
    if not form.several_heads:
        read.dense(weights, 4, "ip_pol", "policy_heads.vanilla.dense")
        arguments |= read.attention_policy(weights, TOP, "policy_heads.vanilla")
        read.dense(weights, 29, "ip_val", "value_heads.winner.dense0")
        arguments["value_sizes"] = _two_dense(read, weights, "value_heads.winner", "dense0", 7, "val")
    else:
        shared = weights.message(45, "policy_heads")
        policies = {name: field for field, name in POLICY_HEADS.items() if field in shared}
        for name, field in policies.items():
            head, parameter = shared.message(field, name), f"policy_heads.{name}"
            read.dense(head if 1 in head else shared, 1, "ip_pol", f"{parameter}.dense")
            sizes = read.attention_policy(head, HEAD, parameter)
            arguments |= sizes if name == next(iter(policies)) else {}
        of_values = weights.message(44, "value_heads")
        values = {name: field for field, name in VALUE_HEADS.items() if field in of_values}
        for name, field in values.items():
            head, parameter = of_values.message(field, name), f"value_heads.{name}"
            read.dense(head, 1, "ip_val", f"{parameter}.dense0")
            sizes = _two_dense(read, head, parameter, "dense0", 3, "val")
            arguments.setdefault("value_sizes", sizes)
            unread += [
                f"{head.name}.{part}" for f, part in ((7, "ip_val_err"), (9, "ip_val_cat")) if f in head
            ]
        if not policies or not values:
            raise ValueError("the file has no policy head or no value head that is known")
        arguments["policy_names"], arguments["value_names"] = list(policies), list(values)
        unread += [f"{m.name}.{part}" for m, f, part in (
            (shared, 7, "policy_head_map"), (of_values, 4, "value_head_map")) if f in m]  # fmt: skip
    arguments["policy_width"] = read.size(
        f"policy_heads.{arguments.get('policy_names', ['vanilla'])[0]}.dense"
    )
    return unread
