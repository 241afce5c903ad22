"""Attention parts of Leela-format networks: 64 tokens, one a square; every activation is a module.

A site is a module's output, and [N, 64, C] has the squares of the mover's board (a1 = 0) on axis 1:

* `body.encoders.L`: the residual stream after encoder L, `body.encoders.L.norm1` the one between its halves;
* `body.encoders.L.attention.heads`: what the heads say before they are mixed, H blocks of channels one after another,
  so that one head is a block of the channels;
* `body.encoders.L.attention.pattern`: [N, H, 64, 64] who looks (axis 2) at whom (axis 3); `.scores` before the softmax;
* `body.encoders.L.attention.smolgen`: [N, H, 64, 64] the part of the scores that is made of the whole position.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies.lc0.layers import SQUARES, activation
from goalscope.policies.lc0.moves import TARGETS, attention_map
from goalscope.worlds.chess.planes import PLANES

PIECE_PLANES = 12
NORM, NORM_MAP = 1e-3, 1e-6
"""epsilon of the layer norms; the second for those of the residual stream where the embedding is the map of moves"""


def position_code() -> Tensor:
    """[64, 64]: for each square -1 at itself, 1 where a queen or knight could go from it, else 0 (PE_MAP)."""
    code = -np.eye(SQUARES, dtype=np.float32)
    for targets in TARGETS:
        inside = np.flatnonzero(targets >= 0)
        code[inside, targets[inside]] = 1
    return torch.from_numpy(code)


class FeedForward(nn.Module):
    """Dense, activation, dense, on each square."""

    def __init__(self, width: int, hidden: int, act: str):
        super().__init__()
        self.dense1 = nn.Linear(width, hidden)
        self.act = activation(act)
        self.dense2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 64, width] to the same shape."""
        return self.dense2(self.act(self.dense1(x)))


class Smolgen(nn.Module):
    """Attention scores made of the whole position; `to_scores` is the one matrix that all encoders share."""

    def __init__(self, width: int, sizes: Sequence[int], heads: int, act: str, to_scores: nn.Linear):
        super().__init__()
        compressed, hidden, generated = sizes
        self.heads = heads
        self.compress = nn.Linear(width, compressed, bias=False)
        self.dense1 = nn.Linear(SQUARES * compressed, hidden)
        self.act1 = activation(act)
        self.norm1 = nn.LayerNorm(hidden, NORM)
        self.dense2 = nn.Linear(hidden, heads * generated)
        self.act2 = activation(act)
        self.norm2 = nn.LayerNorm(heads * generated, NORM)
        # In a list it is no child of this module: its weights are the body's.
        self._shared = [to_scores]

    def forward(self, x: Tensor) -> Tensor:
        """[N, 64, width] to [N, heads, 64, 64]."""
        hidden = self.norm1(self.act1(self.dense1(self.compress(x).flatten(1))))
        generated = self.norm2(self.act2(self.dense2(hidden))).unflatten(1, (self.heads, -1))
        return self._shared[0](generated).unflatten(2, (SQUARES, SQUARES))


class Attention(nn.Module):
    """Attention between the squares."""

    def __init__(self, width: int, inner: int, heads: int, smolgen: Smolgen | None):
        super().__init__()
        if inner % heads:
            raise ValueError(f"attention of width {inner} does not split into {heads} heads")
        self.count, self.scale = heads, 1 / math.sqrt(inner // heads)
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(width, inner)
        self.value = nn.Linear(width, inner)
        self.smolgen = smolgen
        self.scores = nn.Identity()
        self.pattern = nn.Softmax(-1)
        self.heads = nn.Identity()
        self.mix = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 64, width] to the same shape."""
        query, key, value = (
            part(x).unflatten(2, (self.count, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) * self.scale
        if self.smolgen is not None:
            scores = scores + self.smolgen(x)
        pattern = self.pattern(self.scores(scores))
        return self.mix(self.heads((pattern @ value).transpose(1, 2).flatten(2)))


class Encoder(nn.Module):
    """Attention and a dense layer, each added with the factor alpha and normed afterwards.

    Args:
        width: of the residual stream.
        sizes: heads, inner width of the attention, hidden size of the dense layer.
        act: activation of the dense layer.
        alpha: factor of what is added.
        epsilon: of the layer norms.
        smolgen: adds to the attention scores.
    """

    def __init__(
        self,
        width: int,
        sizes: Sequence[int],
        act: str,
        alpha: float,
        epsilon: float,
        smolgen: Smolgen | None = None,
    ):
        super().__init__()
        heads, inner, hidden = sizes
        self.alpha = alpha
        self.attention = Attention(width, inner, heads, smolgen)
        self.norm1 = nn.LayerNorm(width, epsilon)
        self.feed_forward = FeedForward(width, hidden, act)
        self.norm2 = nn.LayerNorm(width, epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 64, width] to the same shape."""
        x = self.norm1(x + self.alpha * self.attention(x))
        return self.norm2(x + self.alpha * self.feed_forward(x))


class Gate(nn.Module):
    """Scales and shifts every number of every square by a constant."""

    def __init__(self, width: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(SQUARES, width))
        self.shift = nn.Parameter(torch.zeros(SQUARES, width))

    def forward(self, x: Tensor) -> Tensor:
        """[N, 64, width] to the same shape."""
        return x * self.scale + self.shift


class MapEmbedding(nn.Module):
    """Each square's planes and where a piece could go from it, through a dense layer."""

    code: Tensor

    def __init__(self, width: int, act: str, gated: bool):
        super().__init__()
        self.register_buffer("code", position_code(), persistent=False)
        self.dense = nn.Linear(PLANES + SQUARES, width)
        self.act = activation(act)
        self.gate = Gate(width) if gated else nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        """[N, 64, 112] to [N, 64, width]."""
        # Not `expand`, which would ask for the number of positions: this way a forward can be traced.
        code = torch.zeros_like(tokens[:, :, :SQUARES]) + self.code
        return self.gate(self.act(self.dense(torch.cat((tokens, code), 2))))


class DenseEmbedding(nn.Module):
    """Each square's planes and a few numbers made of all squares' pieces; then a norm and a dense layer."""

    def __init__(
        self, width: int, extra: int, hidden: int, act: str, ffn_act: str, gated: bool, alpha: float
    ):
        super().__init__()
        self.alpha = alpha
        self.pieces = nn.Linear(SQUARES * PIECE_PLANES, SQUARES * extra)
        self.dense = nn.Linear(PLANES + extra, width)
        self.act = activation(act)
        self.norm1 = nn.LayerNorm(width, NORM)
        self.gate = Gate(width) if gated else nn.Identity()
        self.feed_forward = FeedForward(width, hidden, ffn_act)
        self.norm2 = nn.LayerNorm(width, NORM)

    def forward(self, tokens: Tensor) -> Tensor:
        """[N, 64, 112] to [N, 64, width]."""
        extra = self.pieces(tokens[:, :, :PIECE_PLANES].flatten(1)).unflatten(1, (SQUARES, -1))
        x = self.gate(self.norm1(self.act(self.dense(torch.cat((tokens, extra), 2)))))
        return self.norm2(x + self.alpha * self.feed_forward(x))


class AttentionBody(nn.Module):
    """Planes to features of the 64 squares: `embedding`, then the `encoders`.

    Args:
        width: of the residual stream.
        blocks: number of encoders.
        encoder_sizes: heads, inner width, hidden size of each.
        acts: the default activation, that of smolgen, that of the encoders' dense layers.
        smolgen: its compressed, hidden and generated sizes; None for plain attention.
        embedding_sizes: numbers a square and hidden size of a dense embedding; None for the map of moves.
        gated: whether the embedding ends in a gate.
    """

    def __init__(
        self,
        width: int,
        blocks: int,
        encoder_sizes: Sequence[int],
        acts: tuple[str, str, str],
        smolgen: Sequence[int] | None,
        embedding_sizes: Sequence[int] | None,
        gated: bool,
    ):
        super().__init__()
        default, smolgen_act, dense_act = acts
        alpha = (2 * blocks) ** -0.25
        epsilon = NORM if embedding_sizes else NORM_MAP
        if embedding_sizes:
            extra, hidden = embedding_sizes
            self.embedding = DenseEmbedding(width, extra, hidden, default, dense_act, gated, alpha)
        else:
            self.embedding = MapEmbedding(width, default, gated)
        encoders = []
        self.to_scores = nn.Linear(smolgen[2], SQUARES * SQUARES, bias=False) if smolgen else None
        for _ in range(blocks):
            generator = None
            if smolgen and self.to_scores is not None:
                generator = Smolgen(width, smolgen, encoder_sizes[0], smolgen_act, self.to_scores)
            encoders.append(Encoder(width, encoder_sizes, dense_act, alpha, epsilon, generator))
        self.encoders = nn.Sequential(*encoders)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 112, 8, 8] to [N, 64, width]."""
        return self.encoders(self.embedding(x.permute(0, 2, 3, 1).flatten(1, 2)))


class AttentionPolicy(nn.Module):
    """Moves as from-square looks at to-square; promotions are offsets of the eighth rank's keys.

    Args:
        width: of the body's features.
        embedded: width after the embedding.
        queries: width of queries and keys.
        act: activation of the embedding.
        encoders: how many are between the embedding and the queries.
        encoder_sizes: heads, inner width, hidden size of each; None where there are none.
        encoder_act: activation of their dense layers.
        epsilon: of their layer norms.
        of_planes: whether the body's features are planes.
    """

    place: Tensor

    def __init__(
        self,
        width: int,
        embedded: int,
        queries: int,
        act: str,
        encoders: int = 0,
        encoder_sizes: Sequence[int] | None = None,
        encoder_act: str = "selu",
        epsilon: float = NORM_MAP,
        of_planes: bool = False,
    ):
        super().__init__()
        self.of_planes = of_planes
        self.scale = 1 / math.sqrt(queries)
        self.dense = nn.Linear(width, embedded)
        self.act = activation(act)
        self.encoders = nn.Sequential(
            *(Encoder(embedded, encoder_sizes or (), encoder_act, 1.0, epsilon) for _ in range(encoders))
        )
        self.query = nn.Linear(embedded, queries)
        self.key = nn.Linear(embedded, queries)
        self.promotion = nn.Linear(queries, 4, bias=False)
        self.register_buffer("place", attention_map(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 64, width] or [N, width, 8, 8] to logits [N, 1858]."""
        tokens = x.permute(0, 2, 3, 1).flatten(1, 2) if self.of_planes else x
        tokens = self.encoders(self.act(self.dense(tokens)))
        query, key = self.query(tokens), self.key(tokens)
        plain = query @ key.transpose(1, 2) * self.scale
        offsets = self.promotion(key[:, 56:])
        offsets = offsets[:, :, :3] + offsets[:, :, 3:]
        promotions = plain[:, 48:56, 56:, None] + offsets[:, None]
        return torch.cat((plain.flatten(1), promotions.flatten(1)), 1).index_select(1, self.place)


class TokenScalars(nn.Module):
    """A few numbers a square, a hidden layer, then a few numbers: the value and moves-left heads."""

    def __init__(self, features: int, width: int, hidden: int, outputs: int, act: str, last: nn.Module):
        super().__init__()
        self.dense0 = nn.Linear(features, width)
        self.act1 = activation(act)
        self.dense1 = nn.Linear(SQUARES * width, hidden)
        self.act2 = activation(act)
        self.dense2 = nn.Linear(hidden, outputs)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """[N, 64, features] to [N, outputs]."""
        hidden = self.act2(self.dense1(self.act1(self.dense0(x)).flatten(1)))
        return self.last(self.dense2(hidden))
