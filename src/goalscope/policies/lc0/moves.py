"""The 1,858 moves of Leela-format networks: their order, and a position's legal ones among a network's logits.

Moves are seen from the mover's side (ranks swapped for Black) and, in canonical input formats, after the board's
transform. First come all queen and knight moves between two different squares, ordered by from-square, then
to-square (a1 = 0, b1 = 1, ...): 1,792; then the promotions from rank 7 to rank 8, by file, target file and piece
(queen, rook, bishop): 66. A knight promotion is the plain move. Castling is the king taking its own rook.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from goalscope.worlds.chess.planes import FLIP, MIRROR, TRANSPOSE

if TYPE_CHECKING:
    import chess

MOVES = 1858
PLAIN = 1792
"""moves that are no promotion to queen, rook or bishop"""
QUEEN_STEPS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
"""(rank, file), in the order of the planes of a convolutional policy head"""
KNIGHT_STEPS = ((2, 1), (1, 2), (-1, 2), (-2, 1), (-2, -1), (-1, -2), (1, -2), (2, -1))
PROMOTED = {5: 0, 4: 1, 3: 2}
"""queen, rook, bishop, as numbered by python-chess, to their order here"""


def _planes() -> np.ndarray:
    """[56 + 8, 64] int: the to-square of each kind of move from each square, -1 where it leaves the board."""
    steps = [(r * d, f * d) for r, f in QUEEN_STEPS for d in range(1, 8)] + list(KNIGHT_STEPS)
    ranks, files = np.divmod(np.arange(64), 8)
    to_rank = ranks + np.array([r for r, _ in steps])[:, None]
    to_file = files + np.array([f for _, f in steps])[:, None]
    inside = (to_rank >= 0) & (to_rank < 8) & (to_file >= 0) & (to_file < 8)
    return np.where(inside, 8 * to_rank + to_file, -1)


TARGETS = _planes()


def _indices() -> tuple[np.ndarray, np.ndarray]:
    """[64, 64] and [8, 8, 3] int64: index of a plain move and of a promotion (files and piece), -1 for none."""
    plain = np.full((64, 64), -1, np.int64)
    start = np.broadcast_to(np.arange(64), TARGETS.shape)[TARGETS >= 0]
    plain[start, TARGETS[TARGETS >= 0]] = 0
    plain[plain == 0] = np.arange(PLAIN)
    promotions = np.full((8, 8, 3), -1, np.int64)
    files, targets = np.indices((8, 8))
    promotions[abs(files - targets) <= 1] = np.arange(PLAIN, MOVES).reshape(-1, 3)
    return plain, promotions


INDEX, PROMOTION_INDEX = _indices()


def _names() -> tuple[str, ...]:
    square = [f"{file}{rank}" for rank in "12345678" for file in "abcdefgh"]
    names = [""] * MOVES
    for start, target in np.argwhere(INDEX >= 0).tolist():
        names[INDEX[start, target]] = square[start] + square[target]
    for file, target, piece in np.argwhere(PROMOTION_INDEX >= 0).tolist():
        names[PROMOTION_INDEX[file, target, piece]] = square[48 + file] + square[56 + target] + "qrb"[piece]
    return tuple(names)


NAMES = _names()
"""The moves in UCI notation, from the mover's side: NAMES[0] is 'a1b1', NAMES[1857] is 'h7h8b'."""


def _convolution_places() -> np.ndarray:
    place = np.empty(MOVES, np.int64)
    for plane, targets in enumerate(TARGETS):
        inside = np.flatnonzero(targets >= 0)
        place[INDEX[inside, targets[inside]]] = 64 * plane + inside
    for file, target, piece in np.argwhere(PROMOTION_INDEX >= 0):
        plane = 64 + 3 * (target - file + 1) + (2, 0, 1)[piece]
        place[PROMOTION_INDEX[file, target, piece]] = 64 * plane + 48 + file
    return place


_CONVOLUTION_PLACES = _convolution_places()


def convolution_map() -> Tensor:
    """[1858] int64: place of each move in 73 planes of 64 from-squares, flattened plane first.

    Queen moves by direction and distance, knight moves, then promotions by file change and piece (rook, bishop,
    queen).
    """
    return torch.from_numpy(_CONVOLUTION_PLACES.copy())


def attention_map() -> Tensor:
    """[1858] int64: place of each move in 64 x 64 from-to logits followed by 8 x 8 x 3 promotions."""
    place = np.empty(MOVES, np.int64)
    plain, promotions = INDEX >= 0, PROMOTION_INDEX >= 0
    place[INDEX[plain]] = np.flatnonzero(plain)
    place[PROMOTION_INDEX[promotions]] = 4096 + np.flatnonzero(promotions)
    return torch.from_numpy(place)


def _square_maps() -> np.ndarray:
    """[8, 64] int: where each square goes under each transform."""
    squares = np.arange(64)
    maps = np.empty((8, 64), np.int64)
    for transform in range(8):
        rank, file = np.divmod(squares, 8)
        file = 7 - file if transform & FLIP else file
        rank = 7 - rank if transform & MIRROR else rank
        if transform & TRANSPOSE:
            rank, file = 7 - file, 7 - rank
        maps[transform] = 8 * rank + file
    return maps


SQUARES = _square_maps()
"""[8, 64] int: where each square of the mover's board goes under each transform of the canonical formats"""


@dataclass(frozen=True)
class LegalMoves:
    """The legal moves of N positions and their places among a network's logits."""

    moves: list[list[chess.Move]]
    """for each position its legal moves, as python-chess gives them"""
    row: np.ndarray
    """[K] int64: the position of each move, all positions' moves one after another"""
    index: np.ndarray
    """[K] int64: its place in 0..1857"""

    def mask(self) -> Tensor:
        """[N, 1858] bool: True where a move is legal."""
        mask = torch.zeros(len(self.moves), MOVES, dtype=torch.bool)
        mask[torch.from_numpy(self.row), torch.from_numpy(self.index)] = True
        return mask


def legal_moves(boards: Sequence[chess.Board], transforms: np.ndarray | None = None) -> LegalMoves:
    """Legal moves and their indices.

    Args:
        boards: N positions.
        transforms: [N] of the canonical input formats, `Lc0.transforms(state)`; None turns nothing.

    Raises:
        ValueError: the transforms are not one a position.
    """
    if transforms is not None and np.shape(transforms) != (len(boards),):
        raise ValueError(f"transforms must be [{len(boards)}], one a board, got {list(np.shape(transforms))}")
    moves = [list(board.legal_moves) for board in boards]
    counts = [len(found) for found in moves]
    row = np.repeat(np.arange(len(boards)), counts)
    ends = [_ends(board, found) for board, found in zip(boards, moves, strict=True)]
    table = np.array([end for found in ends for end in found], np.int64).reshape(-1, 3)
    black = np.array([not board.turn for board in boards], bool)
    turned = np.zeros(len(boards), np.int64) if transforms is None else np.asarray(transforms, np.int64)
    mirrored = np.where(black, 56, 0)[row]
    start = SQUARES[turned[row], table[:, 0] ^ mirrored]
    target = SQUARES[turned[row], table[:, 1] ^ mirrored]
    piece = table[:, 2]
    index = INDEX[start, target]
    promotes = piece >= 0
    index[promotes] = PROMOTION_INDEX[start[promotes] & 7, target[promotes] & 7, piece[promotes]]
    return LegalMoves(moves, row, index)


def _ends(board: chess.Board, moves: list[chess.Move]) -> list[tuple[int, int, int]]:
    """(from, to, promotion or -1) of each move, castling as the king that takes its rook."""
    king = board.king(board.turn)
    own = board.occupied_co[board.turn]
    found = []
    for move in moves:
        start, target = move.from_square, move.to_square
        if start == king and abs(start - target) == 2 and not own >> target & 1:
            rank = 255 << (start & 56)
            rooks = board.castling_rights & rank
            side = rooks & -(1 << start) if target > start else rooks & ((1 << start) - 1)
            target = side.bit_length() - 1 if side else target
        found.append((start, target, PROMOTED.get(move.promotion or 0, -1)))
    return found


def log_probabilities(logits: Tensor, legal: LegalMoves, temperature: float = 1.0) -> Tensor:
    """Log-probabilities over each position's legal moves; the logits stay as they are.

    Args:
        logits: [N, 1858].
        legal: of the same N positions.
        temperature: divides the logits; above 0.

    Returns:
        [N, 1858], minus infinity where a move is illegal.

    Raises:
        ValueError: other shapes, a temperature that is not positive, or a position without a legal move (named).
    """
    if tuple(logits.shape) != (len(legal.moves), MOVES):
        raise ValueError(
            f"logits must be [{len(legal.moves)}, {MOVES}] for these positions, got {list(logits.shape)}"
        )
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    over = [i for i, moves in enumerate(legal.moves) if not moves]
    if over:
        raise ValueError(f"position {over[0]} has no legal move (mate or stalemate): leave it out")
    mask = legal.mask().to(logits.device)
    return (logits / temperature).masked_fill(~mask, -torch.inf).log_softmax(1)


def move_probabilities(
    logits: Tensor, legal: LegalMoves, temperature: float = 1.0
) -> list[list[tuple[chess.Move, float]]]:
    """For each position its legal moves with their probabilities, the likeliest first.

    Args and errors as in `log_probabilities`.
    """
    logs = log_probabilities(logits.detach().float(), legal, temperature)
    chosen = logs[torch.from_numpy(legal.row), torch.from_numpy(legal.index)].exp().tolist()
    found, at = [], 0
    for moves in legal.moves:
        pairs = list(zip(moves, chosen[at : at + len(moves)], strict=True))
        found.append(sorted(pairs, key=lambda pair: -pair[1]))
        at += len(moves)
    return found
