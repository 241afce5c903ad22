"""Leela-format chess networks in plain PyTorch: convolutional and attention bodies, every activation named.

Files are read by `convert.py`; `goalscope.load("maia-1900.pb.gz")` gives the network as a policy. A forward takes
planes and gives logits of the 1,858 moves as the mover sees them:

    state = from_boards(boards)                             # worlds/chess/state.py
    output = network(network.encode(state))                 # or evaluate(network, state), in cache-sized pieces
    legal = legal_moves(boards, network.transforms(state))  # policies/lc0/moves.py
    move_probabilities(output.logits, legal)

Sites of a convolutional body: `body.conv`, `body.act`, and for each block `body.blocks.B` (the residual stream after
it), `.conv1`, `.act1`, `.conv2`, `.se` (the block's addition to the stream), `.act2`. Of an attention body: see
`attention.py`. Heads are `policy_heads.NAME`, `value_heads.NAME`, `moves_left_head`; only the chosen ones run.

Architecture: Leela Chess Zero's networks as lc0 0.31 evaluates them (McIlroy-Young et al. 2020, "Aligning Superhuman
AI with Human Behavior", for the Maia networks; Monroe and Chalmers 2024, "Mastering Chess with a Transformer Model").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies.lc0.attention import (
    NORM,
    NORM_MAP,
    PIECE_PLANES,
    AttentionBody,
    AttentionPolicy,
    TokenScalars,
)
from goalscope.policies.lc0.layers import (
    ClassicalPolicy,
    ConvolutionBody,
    ConvolutionPolicy,
    ConvolutionScalars,
)
from goalscope.policies.lc0.layers import activation as make_activation
from goalscope.worlds.chess import planes as chess_planes
from goalscope.worlds.chess.state import ChessState
from goalscope.worlds.contract import take


class Lc0Output(NamedTuple):
    """What a forward returns; the first two fields are those of a PolicyOutput."""

    logits: Tensor
    """[N, 1858]: unnormalised log-probabilities of the moves, legal or not, as the mover sees them"""
    value: Tensor
    """[N]: expected result for the side to move, from -1 (lost) to 1 (won)"""
    wdl: Tensor | None
    """[N, 3]: probabilities of win, draw and loss for the side to move, where the network gives them"""
    moves_left: Tensor | None
    """[N]: expected number of moves (of one side) to the end of the game, where the network gives it"""


class Lc0(nn.Module):
    """Policy, value and moves left of chess positions. Without a file: random weights of the same shape.

    Args:
        input_format: of `worlds.chess.planes.InputFormat`.
        body: 'convolution' or 'attention'.
        width: channels of the residual stream.
        blocks: residual blocks, or encoders.
        activation: the default one, 'relu' or 'mish'.
        squeeze: hidden size of squeeze and excitation; None for plain residual blocks.
        heads: attention heads of an encoder.
        inner: width of queries, keys and values together.
        hidden: hidden size of an encoder's dense layer.
        smolgen: its compressed, hidden and generated sizes; None for plain attention.
        smolgen_activation: an activation's name.
        ffn_activation: an activation's name.
        embedding: how an attention body marks the squares, 'map' or 'dense'.
        embedding_sizes: of a dense embedding: numbers a square, hidden size.
        gated: whether the embedding ends in a gate.
        policy: 'convolution', 'classical' or 'attention'.
        policy_width: channels (or width of the embedding) of the policy head.
        policy_queries: width of its queries and keys, where it is of attention.
        policy_encoders: how many encoders are in it; None for none.
        policy_encoder_sizes: their heads, inner width and hidden size.
        policy_names: of the policy heads; the first is chosen.
        value: 'wdl' or 'scalar'.
        value_sizes: channels a square and hidden size of the value heads.
        value_names: of the value heads; the first is chosen.
        moves_left_sizes: channels a square and hidden size; None for no such head.
        moves_left_activation: what its one number goes through at the end.
        no_history: whether only the present position is seen, its pieces and what follows the history: planes 12 to 103
            are zeros.

    Raises:
        ValueError: a choice that does not exist, or sizes that are missing.
    """

    def __init__(
        self, input_format: int = 1, body: str = "convolution", width: int = 64, blocks: int = 6,
        activation: str = "relu", squeeze: int | None = None, heads: int | None = None, inner: int | None = None,
        hidden: int | None = None, smolgen: Sequence[int] | None = None, smolgen_activation: str = "swish",
        ffn_activation: str = "relu_2", embedding: str = "map", embedding_sizes: Sequence[int] | None = None,
        gated: bool = False, policy: str = "convolution", policy_width: int = 64,
        policy_queries: int | None = None, policy_encoders: int | None = None,
        policy_encoder_sizes: Sequence[int] | None = None, policy_names: Sequence[str] = ("vanilla",),
        value: str = "wdl", value_sizes: Sequence[int] = (32, 128), value_names: Sequence[str] = ("winner",),
        moves_left_sizes: Sequence[int] | None = None, moves_left_activation: str = "relu", no_history: bool = False,
    ):  # fmt: skip
        super().__init__()
        _check_choices(body=body, policy=policy, value=value, embedding=embedding)
        _check_names([*policy_names, *value_names])
        self.input_format = chess_planes.InputFormat(input_format)
        attention = body == "attention"
        if attention:
            if policy != "attention":
                raise ValueError(f"an attention body has an attention policy, not {policy!r}")
            sizes = _sized("heads, inner and hidden", (heads, inner, hidden), 3)
            extra = _sized("embedding_sizes", embedding_sizes, 2) if embedding == "dense" else None
            generator = _sized("smolgen", smolgen, 3) if smolgen else None
            acts = (activation, smolgen_activation, ffn_activation)
            self.body = AttentionBody(width, blocks, sizes, acts, generator, extra, gated)
        else:
            self.body = ConvolutionBody(width, blocks, squeeze, activation)
        act, ffn = (activation, ffn_activation) if attention else ("selu", "selu")
        epsilon = NORM if attention and embedding == "dense" else NORM_MAP

        def policy_head() -> nn.Module:
            if policy == "convolution":
                return ConvolutionPolicy(width, policy_width, activation)
            if policy == "classical":
                return ClassicalPolicy(width, policy_width, activation)
            (queries,) = _sized("policy_queries", (policy_queries,), 1)
            count = policy_encoders or 0
            deep = _sized("policy_encoder_sizes", policy_encoder_sizes, 3) if count else None
            return AttentionPolicy(
                width, policy_width, queries, act, count, deep, ffn, epsilon, of_planes=not attention
            )

        def scalars(sizes: Sequence[int] | None, what: str, outputs: int, last: nn.Module) -> nn.Module:
            columns, deep = _sized(what, sizes, 2)
            kind = TokenScalars if attention else ConvolutionScalars
            return kind(width, columns, deep, outputs, activation, last)

        outputs, last = (3, nn.Softmax) if value == "wdl" else (1, nn.Tanh)
        self.policy_heads = nn.ModuleDict({name: policy_head() for name in policy_names})
        self.value_heads = nn.ModuleDict(
            {name: scalars(value_sizes, "value_sizes", outputs, last(1) if value == "wdl" else last())
             for name in value_names}
        )  # fmt: skip
        self.moves_left_head = None
        if moves_left_sizes:
            self.moves_left_head = scalars(
                moves_left_sizes, "moves_left_sizes", 1, make_activation(moves_left_activation)
            )
        self.has_wdl, self.no_history = value == "wdl", no_history
        self.chosen_policy, self.chosen_value = policy_names[0], value_names[0]

    def choose(self, policy: str | None = None, value: str | None = None) -> Lc0:
        """Chooses the heads that forwards run, of a network with several; returns the network itself.

        Raises:
            KeyError: there is no head of this name.
        """
        for name, heads in ((policy, self.policy_heads), (value, self.value_heads)):
            if name is not None and name not in heads:
                raise KeyError(f"the network has no head {name!r}; there are {', '.join(heads)}")
        self.chosen_policy = policy or self.chosen_policy
        self.chosen_value = value or self.chosen_value
        return self

    def encode(self, state: ChessState) -> Tensor:
        """Positions to planes [N, 112, 8, 8] in the network's input format, on its device, channels last.

        Raises:
            ValueError: the state has less history than the format reads.
        """
        planes = torch.from_numpy(chess_planes.encode(state, self.input_format))
        if self.no_history:
            planes[:, PIECE_PLANES:104] = 0
        return planes.to(next(self.parameters()).device)

    def transforms(self, state: ChessState) -> np.ndarray:
        """[N] uint8: how the network's input format turns each board; moves are read back through it."""
        return chess_planes.transforms(state, self.input_format)

    def forward(self, x: Tensor) -> Lc0Output:
        """[N, 112, 8, 8] planes to logits, value, and what else the network gives."""
        features = self.body(x)
        logits = self.policy_heads[self.chosen_policy](features)
        numbers = self.value_heads[self.chosen_value](features)
        value = numbers[:, 0] - numbers[:, 2] if self.has_wdl else numbers[:, 0]
        moves = None if self.moves_left_head is None else self.moves_left_head(features)[:, 0]
        return Lc0Output(logits, value, numbers if self.has_wdl else None, moves)


PIECE = 64
"""positions that `evaluate` runs at once: what they need stays in a core's cache"""


@torch.inference_mode()
def evaluate(network: Lc0, state: ChessState, batch: int = PIECE) -> Lc0Output:
    """What a network says about N positions, without gradients.

    Args:
        network: in evaluation mode or not, it has nothing that differs.
        state: N positions; they are encoded as the network's input format asks.
        batch: how many go through the network at once. On a CPU the default is the fastest, on a GPU a larger one.

    Raises:
        ValueError: a batch below 1, or a state with less history than the format reads.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    # Encoded piece by piece, so that memory does not grow with planes; one empty piece where there is no position.
    starts = range(0, max(len(state), 1), batch)
    outputs = [network(network.encode(take(state, slice(start, start + batch)))) for start in starts]
    logits, value, wdl, moves = (
        None if column[0] is None else torch.cat(column) for column in zip(*outputs, strict=True)
    )
    return Lc0Output(logits, value, wdl, moves)  # type: ignore[arg-type]


CHOICES = {
    "body": ("convolution", "attention"),
    "policy": ("convolution", "classical", "attention"),
    "value": ("wdl", "scalar"),
    "embedding": ("map", "dense"),
}


def _check_choices(**chosen: str) -> None:
    for what, name in chosen.items():
        if name not in CHOICES[what]:
            raise ValueError(f"{what} must be one of {', '.join(CHOICES[what])}, got {name!r}")


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not name.isidentifier() or hasattr(nn.ModuleDict, name):
            raise ValueError(f"head names must be plain words that torch's modules do not use, got {name!r}")


def _sized(what: str, sizes: Sequence[int | None] | None, count: int) -> tuple[int, ...]:
    found = tuple(size for size in sizes or () if size is not None)
    if len(found) != count:
        raise ValueError(f"this network needs {what}: {count} whole numbers, got {sizes}")
    return found
