"""Maia-3: 64 tokens, one a square, that look at each other; the ratings of both players are a part of every token.

A forward takes tokens and gives logits of the 1,858 moves in the order of `policies/lc0/moves.py`, so that whatever reads
a Leela network's moves reads these. The network itself has a logit for each pair of squares and for the four pieces that
a pawn can become: those are the site `policy`, [N, 4352], from * 64 + to, then 4096 + from_file * 32 + to_file * 4 and
queen, rook, bishop, knight.

Sites, [N, 64, C] with the squares of the mover's board (a1 = 0): `embedding`; `layers.L` the residual stream after layer
L, `.norm1` between its halves; `.attention.pattern` [N, H, 64, 64], `.scores` before the softmax, `.position` what the
whole position adds to them, `.heads` before they are mixed; `norm`. `ratings`, an attribute, is whose game is played.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies.lc0.moves import INDEX, MOVES, NAMES, PROMOTION_INDEX
from goalscope.worlds.chess.state import ChessState

SQUARES, KINDS = 64, 12
LARGEST_RATING = 5000.0
"""where the embedding of a rating is that of the strongest"""
PAIRS, PIECES = 64 * 64, "qrbn"
PAWN, ROOK, KING = 0, 3, 5
NORM = 1e-5
"""epsilon of the layer norms; that of the others is torch's default"""


class Maia3Output(NamedTuple):
    """What a forward returns; the first two fields are those of a PolicyOutput."""

    logits: Tensor
    """[N, 1858]: unnormalised log-probabilities of the moves, legal or not, as the mover sees them"""
    value: Tensor
    """[N]: expected result for the side to move, from -1 (lost) to 1 (won)"""
    wdl: Tensor
    """[N, 3]: probabilities of win, draw and loss for the side to move"""
    moves_left: None
    """not given"""
    ponder: Tensor
    """[N]: the network's number for how long the move takes"""


class Position(nn.Module):
    """Attention scores made of the whole position; `bank` is the one matrix that all layers share."""

    def __init__(self, width: int, compressed: int, hidden: int, heads: int, bank: nn.Linear):
        super().__init__()
        self.count = heads
        # Without a size the squares' mean is read instead of a few numbers of each.
        self.compress = nn.Linear(width, compressed) if compressed else None
        self.dense1 = nn.Linear(SQUARES * compressed if compressed else width, hidden)
        self.act1, self.norm1 = nn.GELU(), nn.LayerNorm(hidden, NORM)
        self.dense2 = nn.Linear(hidden, heads * bank.in_features)
        self.act2, self.norm2 = nn.GELU(), nn.LayerNorm(heads * bank.in_features, NORM)
        # In a list it is no child of this module: its weights are the network's.
        self._shared = [bank]

    def forward(self, x: Tensor) -> Tensor:
        """[N, 64, width] to [N, heads, 64, 64]."""
        read = x.mean(1) if self.compress is None else self.compress(x).flatten(1)
        hidden = self.norm1(self.act1(self.dense1(read)))
        generated = self.norm2(self.act2(self.dense2(hidden))).unflatten(1, (self.count, -1))
        return self._shared[0](generated).unflatten(2, (SQUARES, SQUARES))


class Attention(nn.Module):
    """Attention between the squares, without biases."""

    def __init__(self, width: int, heads: int, position: Position):
        super().__init__()
        if width % heads:
            raise ValueError(f"attention of width {width} does not split into {heads} heads")
        self.count, self.scale = heads, 1 / math.sqrt(width // heads)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.position = position
        self.scores, self.pattern, self.heads = nn.Identity(), nn.Softmax(-1), nn.Identity()
        self.mix = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 64, width] to the same shape."""
        query, key, value = (
            part(x).unflatten(2, (self.count, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) * self.scale + self.position(x)
        pattern = self.pattern(self.scores(scores))
        return self.mix(self.heads((pattern @ value).transpose(1, 2).flatten(2)))


class Layer(nn.Module):
    """Attention and two dense layers, each added and normed afterwards."""

    def __init__(self, width: int, hidden: int, attention: Attention):
        super().__init__()
        self.attention, self.norm1 = attention, nn.RMSNorm(width)
        self.dense1, self.act, self.dense2 = nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        self.norm2 = nn.RMSNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 64, width] to the same shape."""
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.dense2(self.act(self.dense1(x))))


class Policy(nn.Module):
    """From-square looks at to-square; what a pawn becomes is an offset of the eighth rank."""

    def __init__(self, width: int, queries: int):
        super().__init__()
        self.scale = math.sqrt(queries)
        self.query, self.key = (nn.Linear(width, queries, bias=False) for _ in range(2))
        self.promotion = nn.Linear(queries, len(PIECES), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 64, width] to logits [N, 4352]."""
        query, key = self.query(x), self.key(x)
        pairs = query @ key.transpose(1, 2) / self.scale
        offsets = self.scale * self.promotion(key[:, 56:])
        promotions = pairs[:, 48:56, 56:, None] + offsets[:, None]
        return torch.cat((pairs.flatten(1), promotions.flatten(1)), 1)


class Scalars(nn.Module):
    """A few numbers of the whole position."""

    def __init__(self, width: int, hidden: int, outputs: int):
        super().__init__()
        self.dense1, self.relu, self.dense2 = nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, width] to [N, outputs]."""
        return self.dense2(self.relu(self.dense1(x)))


def _places() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each of the 1,858 moves stands among the 4,352; and which stand elsewhere if a piece is where it is.

    Returns:
        [1858] places; [K, 2] exceptions (move, its place then); [K, 2, 2] (square, kind) of the two pieces of the mover
        that make it one: a pawn that becomes a knight, and castling, which is the king taking its own rook.
    """
    place = np.empty(MOVES, np.int64)
    start, target = np.nonzero(INDEX >= 0)
    place[INDEX[start, target]] = SQUARES * start + target
    instead, pieces = [], []
    for file, to in np.argwhere(PROMOTION_INDEX[:, :, 0] >= 0):
        first = PAIRS + 32 * file + 4 * to
        place[PROMOTION_INDEX[file, to]] = first + np.arange(3)
        instead.append((INDEX[48 + file, 56 + to], first + 3))
        pieces.append([(48 + file, PAWN)] * 2)
    for name, square, rook in (("e1h1", 6, 7), ("e1a1", 2, 0)):
        instead.append((NAMES.index(name), SQUARES * 4 + square))
        pieces.append([(4, KING), (rook, ROOK)])
    return place, np.array(instead), np.array(pieces)


class Maia3(nn.Module):
    """Policy, value and time of chess positions, for players of given ratings.

    Args:
        width: of the residual stream.
        blocks: number of layers.
        heads: attention heads of a layer.
        hidden: hidden size of a layer's dense part.
        compressed: numbers a square from which a layer sees the whole position; None: it sees the squares' mean.
        position_hidden: hidden size of that.
        generated: numbers a head that it is told of the whole position.
        history: positions of a game that a token holds.
        rating_size: numbers of a rating's embedding.
        queries: width of the policy's queries and keys, and hidden size of the other heads.
    """

    place: Tensor
    instead: Tensor
    pieces: Tensor

    def __init__(
        self, width: int = 256, blocks: int = 8, heads: int = 8, hidden: int = 512, compressed: int | None = None,
        position_hidden: int = 64, generated: int = 64, history: int = 8, rating_size: int = 128, queries: int = 256,
    ):  # fmt: skip
        super().__init__()
        self.history = history
        self.ratings = (1500.0, 1500.0)
        self.weakest, self.strongest = (
            nn.Parameter(torch.randn(rating_size)),
            nn.Parameter(torch.randn(rating_size)),
        )
        self.embedding = nn.Linear(KINDS * history + 2 * rating_size, width)
        self.bank = nn.Linear(generated, SQUARES * SQUARES, bias=False)
        self.layers = nn.Sequential(
            *(
                Layer(width, hidden, Attention(
                    width, heads, Position(width, compressed or 0, position_hidden, heads, self.bank)
                ))
                for _ in range(blocks)
            )
        )  # fmt: skip
        self.norm, self.mean_norm = nn.LayerNorm(width, NORM), nn.LayerNorm(width, NORM)
        self.policy = Policy(width, queries)
        self.value_head, self.ponder_head = Scalars(width, queries, 3), Scalars(width, queries, 1)
        self.softmax = nn.Softmax(1)
        for name, array in zip(("place", "instead", "pieces"), _places(), strict=True):
            self.register_buffer(name, torch.from_numpy(array), persistent=False)

    def encode(self, state: ChessState, ratings: tuple[float, float] | None = None) -> Tensor:
        """Positions to tokens.

        Args:
            state: N positions with what is known of their games.
            ratings: of the player to move and of the other; None: those of the attribute.

        Returns:
            [N, 64, 12 history + 2]: the twelve kinds of pieces (the mover's P N B R Q K, then the other's), of the oldest
            position first, where none is known the earliest again; then both ratings divided by 5000.
        """
        known = state.bitboards[:, : self.history]
        board = [known[:, 0]]
        for back in range(1, self.history):
            there = known[:, back] if back < known.shape[1] else np.zeros_like(board[0])
            board.append(np.where(there.any(1, keepdims=True), there, board[-1]))
        boards = np.stack(board[::-1], 1)
        # For Black the sides change places and the ranks are swapped: the bytes of a bitboard.
        turned = np.concatenate([boards[:, :, 6:], boards[:, :, :6]], 2).byteswap()
        boards = np.where(state.turn[:, None, None], boards, turned)
        bits = (boards[..., None] >> np.arange(SQUARES, dtype=np.uint64)) & np.uint64(1)
        tokens = torch.from_numpy(
            bits.transpose(0, 3, 1, 2).reshape(len(state), SQUARES, -1).astype(np.float32)
        )
        both = torch.tensor(ratings or self.ratings) / LARGEST_RATING
        tokens = torch.cat([tokens, both.expand(*tokens.shape[:2], 2)], 2)
        return tokens.to(self.embedding.weight.device)

    def transforms(self, state: ChessState) -> np.ndarray:
        """[N] uint8: zeros, no board is turned further than to the mover's side."""
        return np.zeros(len(state), np.uint8)

    def forward(self, x: Tensor) -> Maia3Output:
        """[N, 64, 12 history + 2] tokens to logits, value and what else the network gives."""
        pieces, ratings = x[:, :, :-2], x[:, :, -2:]
        embedded = [
            ratings[:, :, k, None] * self.strongest + (1 - ratings[:, :, k, None]) * self.weakest
            for k in (0, 1)
        ]
        features = self.norm(self.layers(self.embedding(torch.cat([pieces, *embedded], 2))))
        whole = self.mean_norm(features.mean(1))
        wdl = self.softmax(self.value_head(whole)).flip(1)
        logits = self._moves(self.policy(features), pieces[:, :, -KINDS:])
        return Maia3Output(logits, wdl[:, 0] - wdl[:, 2], wdl, None, self.ponder_head(whole)[:, 0])

    def _moves(self, policy: Tensor, present: Tensor) -> Tensor:
        """[N, 4352] and the pieces of the present position [N, 64, 12] to [N, 1858]."""
        logits = policy.index_select(1, self.place)
        both = present.flatten(1)[:, self.pieces[..., 0] * KINDS + self.pieces[..., 1]]
        moves, places = self.instead.unbind(1)
        there = torch.where(both.prod(2) > 0.5, policy.index_select(1, places), logits.index_select(1, moves))
        return logits.index_copy(1, moves, there)
