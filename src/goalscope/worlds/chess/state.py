"""Batches of chess positions with their history: one frozen dataclass of arrays, from and to python-chess.

Squares are numbered as bits: a1 = 0, b1 = 1, ..., h8 = 63. Everything is absolute (White is White, whoever is to
move); what a network sees from the mover's side is made of it in `planes.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from goalscope.showing import drawing, text

if TYPE_CHECKING:
    import chess

DEPTH = 8
"""positions that a network of 112 planes looks at, the present one included"""
PIECES = "PNBRQKpnbrqk"
"""the order of the twelve bitboards, as letters of a FEN"""


@dataclass(frozen=True)
class ChessState:
    """N positions, each with up to H positions of its game; axis 1 goes back in time, 0 is the present."""

    __repr__, _repr_html_ = text, drawing

    bitboards: np.ndarray
    """[N, H, 12] uint64: squares of White's P N B R Q K, then Black's; zero where no position is known"""
    castling: np.ndarray
    """[N, H] uint64: squares of the rooks that may still castle (a1, h1, a8, h8 in standard chess)"""
    en_passant: np.ndarray
    """[N, H] int8: file of the pawn that may be taken en passant, or -1; see `from_boards` for when it is set"""
    halfmove: np.ndarray
    """[N, H] int32: plies since the last capture or pawn move (the fifty-move count)"""
    repetitions: np.ndarray
    """[N, H] uint8: how often the same position stood before in the known game"""
    turn: np.ndarray
    """[N] bool: White is to move in the present position; the positions before alternate"""
    length: np.ndarray
    """[N] int32: positions known of the game, the present included; more than H where the game is longer"""
    fullmove: np.ndarray
    """[N] int32: number of the present full move, 1 at the start"""

    def __len__(self) -> int:
        return len(self.turn)


def faults(board: chess.Board) -> str:
    """What makes a position illegal, in words: 'no white king and opposite check'; empty where it is legal."""
    status = board.status()
    return " and ".join(
        flag.name.lower().replace("_", " ") for flag in type(status) if flag.name and flag & status
    )


def from_boards(boards: Sequence[chess.Board], depth: int = DEPTH) -> ChessState:
    """Positions of python-chess with what their move stacks hold of the game.

    En passant is marked as lc0 does: after a double push only where an enemy pawn stands beside the pushed pawn
    (python-chess marks every double push); in the first position of a stack, the one from a FEN, as given.

    Args:
        boards: N boards; they stay as they are.
        depth: H, how many positions to keep of each. Repetitions are counted in the whole stack.

    Raises:
        ValueError: depth below 1, a move counter beyond 32 bits, a board of another variant of chess, or a null move on
            a stack.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    n = len(boards)
    masks = np.zeros((n, depth, 8), np.uint64)
    rows: list[tuple[int, ...]] = []
    turn, length, fullmove = np.zeros(n, bool), np.zeros(n, np.int32), np.zeros(n, np.int64)
    where: list[int] = []
    for i, board in enumerate(boards):
        if board.uci_variant != "chess":
            raise ValueError(
                f"board {i} is of the variant {board.uci_variant}: only chess and Chess960 are played"
            )
        if not all(board.move_stack):
            raise ValueError(f"board {i} has a null move on its stack, which no game of chess has")
        game = _positions(board, depth)
        turn[i], length[i] = board.turn, len(board.move_stack) + 1
        fullmove[i] = min(board.fullmove_number, 2**62)
        kept = game[:depth]
        where.extend(range(i * depth, i * depth + len(kept)))
        rows.extend((*p, _repetitions(game, h)) for h, p in enumerate(kept))
    numbers = _columns(rows, fullmove)
    masks.reshape(-1, 8)[where] = numbers[0]
    kinds, sides = masks[:, :, :6], masks[:, :, 6:]
    bitboards = np.concatenate([kinds & sides[:, :, :1], kinds & sides[:, :, 1:]], axis=2)
    state = ChessState(
        bitboards=bitboards,
        castling=np.zeros((n, depth), np.uint64),
        en_passant=np.full((n, depth), -1, np.int8),
        halfmove=np.zeros((n, depth), np.int32),
        repetitions=np.zeros((n, depth), np.uint8),
        turn=turn,
        length=length,
        fullmove=fullmove.astype(np.int32),
    )
    fields = (state.castling, state.en_passant, state.halfmove, state.repetitions)
    for field, column in zip(fields, numbers[1:], strict=True):
        field.reshape(-1)[where] = column
    return state


def to_boards(state: ChessState) -> list[chess.Board]:
    """The present positions as boards of python-chess, without their games.

    Raises:
        ImportError: python-chess is not installed (`pip install 'goalscope[chess]'`).
    """
    import chess

    boards = []
    kinds = (chess.PAWN, chess.KNIGHT, chess.BISHOP, chess.ROOK, chess.QUEEN, chess.KING)
    for i in range(len(state)):
        board = chess.Board(None, chess960=False)
        for column, squares in enumerate(state.bitboards[i, 0].tolist()):
            for square in chess.scan_forward(squares):
                board.set_piece_at(square, chess.Piece(kinds[column % 6], column < 6))
        board.turn = bool(state.turn[i])
        board.castling_rights = int(state.castling[i, 0])
        file = int(state.en_passant[i, 0])
        board.ep_square = None if file < 0 else file + (40 if board.turn else 16)
        board.halfmove_clock, board.fullmove_number = int(state.halfmove[i, 0]), int(state.fullmove[i])
        standard = chess.BB_A1 | chess.BB_H1 | chess.BB_A8 | chess.BB_H8
        board.chess960 = bool(board.castling_rights & ~standard)
        boards.append(board)
    return boards


def _columns(rows: list[tuple[int, ...]], fullmove: np.ndarray) -> list[np.ndarray]:
    """Bitboards [K, 8], then castling, en passant, half-moves and repetitions, each [K]."""
    beyond = [row[10] for row in rows if row[10] > 2**31 - 1] + fullmove[fullmove > 2**31 - 1].tolist()
    if beyond:
        raise ValueError(f"a board has a move counter of {beyond[0]}: no game is that long, mend its FEN")
    masks = np.array([row[:9] for row in rows], np.uint64).reshape(-1, 9)
    masks, castling = masks[:, :8], masks[:, 8]
    small = np.array([row[9:] for row in rows], np.int64).reshape(-1, 4)
    return [masks, castling, small[:, 0], small[:, 1], np.minimum(small[:, 3], 255)]


def _positions(board: chess.Board, depth: int) -> list[tuple[int, ...]]:
    """The present position and those before it, as far back as the first `depth` and their repetitions reach.

    Each is (pawns, knights, bishops, rooks, queens, kings, white, black, castling, en passant file, half-moves,
    white to move).
    """
    # The stack itself: through copies and pops of boards the same takes twice the time.
    stack = board._stack
    sides = board.occupied_co
    game = [_position(board, sides[True], sides[False], board.clean_castling_rights(), not stack)]
    needed = depth - 1 if depth > 1 else board.halfmove_clock
    for h, past in enumerate(reversed(stack), 1):
        if h > needed:
            break
        # What a FEN says of castling may be impossible; after its first move that is mended.
        rights = past.castling_rights if h < len(stack) else board.root().clean_castling_rights()
        game.append(_position(past, past.occupied_w, past.occupied_b, rights, h == len(stack)))
        # A position can only repeat one that stands within its reversible plies, at least four of them.
        if h == depth - 1:
            needed = max(h, max(i + p[10] for i, p in enumerate(game)))
    return game


def _position(
    board: chess.Board | chess._BoardState, white: int, black: int, castling: int, is_first: bool
) -> tuple[int, ...]:
    """As in `_positions`."""
    file, turn, square = -1, board.turn, board.ep_square
    if square is not None:
        file = square & 7
        beside = square + (-8 if turn else 8)
        neighbours = (1 << beside - 1 if file > 0 else 0) | (1 << beside + 1 if file < 7 else 0)
        if not is_first and not neighbours & board.pawns & (white if turn else black):
            file = -1
    return (
        board.pawns, board.knights, board.bishops, board.rooks, board.queens, board.kings, white, black,
        castling, file, board.halfmove_clock, turn,
    )  # fmt: skip


def _repetitions(game: list[tuple[int, ...]], h: int) -> int:
    """How often the position h plies ago stood before."""
    present = game[h]
    reversible = present[10]
    if reversible < 4:
        return 0
    same = (*present[:10], present[11])
    earlier = game[h + 4 : h + 1 + reversible : 2]
    return sum((*p[:10], p[11]) == same for p in earlier)
