"""Chess positions as the 112 planes that Leela-format networks read, in every input format of lc0.

Planes are seen from the side to move, (rank, file) with rank 0 the mover's own first rank: for each of eight positions,
the present first, six of own pieces (P N B R Q K), six of theirs, one of repetition; then

* 104-107 castling: all ones for own queen side, own king side, their queen side, their king side; from `CASTLING` on
  the squares of the rooks that may castle, 104 on the queen side and 105 on the king side;
* 108 all ones where Black moves; in canonical formats the en-passant file, marked on the eighth rank;
* 109 the fifty-move count, over 100 from `HECTOPLIES` on; 110 zeros (in armageddon formats ones where Black moves);
* 111 ones.

Canonical formats also stop the history where nothing before can come back, and turn the board (see `transforms`).
After lc0's own encoder (LeelaChessZero/lc0 0.31, src/neural/encoder.cc).
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numba import njit

from goalscope.worlds.chess.state import DEPTH, ChessState

PLANES = 112
FLIP, MIRROR, TRANSPOSE = 1, 2, 4
"""bits of a transform, applied in this order: files a-h swapped; ranks swapped; across the diagonal a8-h1"""


class InputFormat(IntEnum):
    """How a position becomes planes; the numbers are those of the network files."""

    CLASSICAL = 1
    CASTLING = 2
    CANONICAL = 3
    HECTOPLIES = 4
    V2 = 5
    HECTOPLIES_ARMAGEDDON = 132
    V2_ARMAGEDDON = 133


FILLS = ("no", "fen_only", "always")
"""What stands in the place of positions before the first known one: nothing; that one again, unless it is the start
position (lc0's default, what networks are evaluated with); that one again."""

_U = np.uint64
_ONE, _FULL = _U(1), _U(0xFFFFFFFFFFFFFFFF)
_FIRST_RANK, _LEFT_FILES, _UPPER_RANKS = _U(0xFF), _U(0x0F0F0F0F0F0F0F0F), _U(0xFFFFFFFF00000000)
_ABOVE_DIAGONAL, _DIAGONAL = _U(0xE0C08000), _U(0x10204080)
_START = np.array(
    [0xFF00, 0x42, 0x24, 0x81, 0x08, 0x10, 0xFF << 48, 0x42 << 56, 0x24 << 56, 0x81 << 56, 0x08 << 56, 0x10 << 56],
    np.uint64,
)  # fmt: skip
_START_CASTLING = _U(0x8100000000000081)
_TIES = np.array([5, 4, 3, 1, 2])  # kings, queens, rooks, knights, bishops


def encode(
    state: ChessState, input_format: int = InputFormat.CLASSICAL, fill: str = "fen_only"
) -> np.ndarray:
    """The planes of N positions.

    Args:
        state: N positions, with the eight latest of their games. The V2 formats look further back, at the latest
            positions that were repetitions: they need states made with a depth beyond the fifty-move count.
        input_format: one of `InputFormat`.
        fill: one of `FILLS`.

    Returns:
        [N, 112, 8, 8] float32 in channels-last order of memory, which is what convolutions run fastest on and
        what attention bodies read as 64 squares of 112 numbers.

    Raises:
        ValueError: an unknown format or fill, or a state with less history than the format reads.
    """
    number = _checked(input_format)
    if fill not in FILLS:
        raise ValueError(f"fill must be one of {', '.join(FILLS)}, got {fill!r}")
    _check_depth(state, number)
    n = len(state)
    masks = np.zeros((n, PLANES), np.uint64)
    turned = np.zeros(n, np.uint8)
    _masks(
        state.bitboards, state.castling, state.en_passant, state.halfmove, state.repetitions, state.turn,
        state.length, int(number), FILLS.index(fill), masks, turned,
    )  # fmt: skip
    clock = state.halfmove[:, 0].astype(np.float32)
    if number >= InputFormat.HECTOPLIES:
        clock = clock / np.float32(100)
    out = np.empty((n, 8, 8, PLANES), np.float32)
    by_rank = np.ascontiguousarray(masks.view(np.uint8).reshape(n, PLANES, 8).transpose(0, 2, 1))
    _unpack(by_rank, clock, out)
    return out.transpose(0, 3, 1, 2)


def transforms(state: ChessState, input_format: int) -> np.ndarray:
    """How the canonical formats turn each board, so that moves can be read back.

    With castling rights a board stays as it is; otherwise the own king is brought to files e-h; without pawns also
    to ranks 1-4 and onto or below the diagonal h1-e4 (on it, whichever way makes the smaller number of all pieces,
    then of ours, kings, queens, rooks, knights, bishops).

    Args:
        state: N positions.
        input_format: one of `InputFormat`; those that are not canonical turn nothing.

    Returns:
        [N] uint8: a sum of `FLIP`, `MIRROR` and `TRANSPOSE`.

    Raises:
        ValueError: an unknown format.
    """
    turned = np.zeros(len(state), np.uint8)
    if _checked(input_format) >= InputFormat.CANONICAL:
        _transforms(state.bitboards, state.castling, state.turn, turned)
    return turned


def _checked(input_format: int) -> InputFormat:
    try:
        return InputFormat(input_format)
    except ValueError as error:
        known = ", ".join(f"{f.value} {f.name}" for f in InputFormat)
        raise ValueError(f"no input format {input_format}; lc0 has {known}") from error


def _check_depth(state: ChessState, number: InputFormat) -> None:
    depth = state.bitboards.shape[1]
    known = state.length > depth
    if number in (InputFormat.V2, InputFormat.V2_ARMAGEDDON):
        needed = np.minimum(state.length, state.halfmove[:, 0] + 1)
        short = np.flatnonzero(known & (needed > depth))
    else:
        short, needed = np.flatnonzero(known & (depth < DEPTH)), np.minimum(state.length, DEPTH)
    if len(short):
        row = int(short[0])
        raise ValueError(
            f"input format {number.name} reads {needed[row]} positions of row {row}, the state keeps {depth} of "
            f"its {state.length[row]}; make it with from_boards(boards, depth={int(needed[short].max())})"
        )


@njit(cache=True, inline="always")
def _swap_ranks(v):
    v = ((v >> _U(8)) & _U(0x00FF00FF00FF00FF)) | ((v & _U(0x00FF00FF00FF00FF)) << _U(8))
    v = ((v >> _U(16)) & _U(0x0000FFFF0000FFFF)) | ((v & _U(0x0000FFFF0000FFFF)) << _U(16))
    return (v >> _U(32)) | (v << _U(32))


@njit(cache=True, inline="always")
def _swap_files(v):
    v = ((v >> _U(1)) & _U(0x5555555555555555)) | ((v & _U(0x5555555555555555)) << _U(1))
    v = ((v >> _U(2)) & _U(0x3333333333333333)) | ((v & _U(0x3333333333333333)) << _U(2))
    return ((v >> _U(4)) & _U(0x0F0F0F0F0F0F0F0F)) | ((v & _U(0x0F0F0F0F0F0F0F0F)) << _U(4))


@njit(cache=True, inline="always")
def _transpose(v):
    """(rank, file) to (7 - file, 7 - rank): the 2 x 2, then 4 x 4, then 8 x 8 blocks' corners change places."""
    t = (v ^ (v >> _U(9))) & _U(0x0055005500550055)
    v = v ^ t ^ (t << _U(9))
    t = (v ^ (v >> _U(18))) & _U(0x0000333300003333)
    v = v ^ t ^ (t << _U(18))
    t = (v ^ (v >> _U(36))) & _U(0x000000000F0F0F0F)
    return v ^ t ^ (t << _U(36))


@njit(cache=True)
def _turn(v, transform):
    """A bitboard after a transform."""
    if transform & 1:
        v = _swap_files(v)
    if transform & 2:
        v = _swap_ranks(v)
    if transform & 4:
        v = _transpose(v)
    return v


@njit(cache=True)
def _choose(pieces, castling, white):
    """The transform of one board; pieces [12] as in a state."""
    if castling != _U(0):
        return 0
    ours, theirs = (0, 6) if white else (6, 0)
    king = pieces[ours + 5] if white else _swap_ranks(pieces[ours + 5])
    transform = 0
    if king & _LEFT_FILES:
        transform |= 1
        king = _swap_files(king)
    if pieces[0] | pieces[6]:
        return transform
    if king & _UPPER_RANKS:
        transform |= 2
        king = _swap_ranks(king)
    if king & _ABOVE_DIAGONAL:
        return transform | 4
    if not king & _DIAGONAL:
        return transform
    own, all_pieces = _U(0), _U(0)
    for kind in range(6):
        own |= pieces[ours + kind]
        all_pieces |= pieces[ours + kind] | pieces[theirs + kind]
    for test in range(7):
        if test == 0:
            board = all_pieces
        elif test == 1:
            board = own
        else:
            board = pieces[_TIES[test - 2]] | pieces[6 + _TIES[test - 2]]
        if not white:
            board = _swap_ranks(board)
        board = _turn(board, transform)
        other = _transpose(board)
        if board != other:
            return transform if board < other else transform | 4
    return transform


@njit(cache=True)
def _transforms(bitboards, castling, turn, out):
    for n in range(turn.shape[0]):
        out[n] = _choose(bitboards[n, 0], castling[n, 0], turn[n])


@njit(cache=True)
def _is_start(pieces, castling, white):
    if not white:
        return False
    for piece in range(12):
        if pieces[piece] != _START[piece]:
            return False
    return castling == _START_CASTLING


@njit(cache=True)
def _history(pieces, castling, en_passant, halfmove, repetitions, white, length, input_format, fill, out):
    """Planes 0 to 103 of one position, before any transform; [H, ...] arrays of the state, out [112]."""
    canonical = input_format >= 3
    only_repeats = input_format == 5 or input_format == 133
    known = min(length, pieces.shape[0])
    slot, back = 0, 0
    while slot < 8:
        h = min(back, known - 1)
        filled = back >= known
        if canonical and back > 0 and (castling[h] != castling[0] or en_passant[h] >= 0):
            return
        if filled and (fill == 0 or only_repeats):
            return
        white_moves = white == (h % 2 == 0)
        if filled and fill == 1 and en_passant[h] < 0 and _is_start(pieces[h], castling[h], white_moves):
            return
        if not (only_repeats and back > 0 and repetitions[h] == 0):
            base = 13 * slot
            for piece in range(12):
                board = pieces[h, piece]
                if filled and en_passant[h] >= 0:
                    # The position before the first known one: the pawn that has just moved two squares, one move back.
                    file = _U(en_passant[h])
                    if white_moves and piece == 6:
                        board ^= (_U(1 << 48) | _U(1 << 32)) << file
                    elif not white_moves and piece == 0:
                        board ^= (_U(1 << 8) | _U(1 << 24)) << file
                if white:
                    out[base + piece] = board
                else:
                    out[base + (piece + 6) % 12] = _swap_ranks(board)
            if repetitions[h] > 0:
                out[base + 12] = _FULL
            slot += 1
        if canonical and halfmove[h] == 0:
            return
        back += 1


@njit(cache=True)
def _rights(pieces, castling, white, input_format, out):
    """Planes 104 to 107 of one position."""
    for us in range(2):
        is_white = white == (us == 0)
        king = pieces[5] if is_white else pieces[11]
        rooks = castling if is_white else _swap_ranks(castling)
        king = king if is_white else _swap_ranks(king)
        rooks &= _FIRST_RANK
        before = king - _ONE if king else _U(0)
        queen_side, king_side = rooks & before, rooks & ~before
        if input_format == 1:
            out[104 + 2 * us] = _FULL if queen_side else _U(0)
            out[105 + 2 * us] = _FULL if king_side else _U(0)
        else:
            out[104] |= queen_side if us == 0 else queen_side << _U(56)
            out[105] |= king_side if us == 0 else king_side << _U(56)


@njit(cache=True)
def _masks(
    bitboards, castling, en_passant, halfmove, repetitions, turn, length, input_format, fill, out, turned
):
    """Fills out [N, 112] with the squares that are set in each plane."""
    for n in range(turn.shape[0]):
        white = turn[n]
        _history(
            bitboards[n], castling[n], en_passant[n], halfmove[n], repetitions[n], white, length[n],
            input_format, fill, out[n],
        )  # fmt: skip
        _rights(bitboards[n, 0], castling[n, 0], white, input_format, out[n])
        if input_format >= 3:
            if en_passant[n, 0] >= 0:
                out[n, 108] = _ONE << _U(56 + en_passant[n, 0])
            turned[n] = _choose(bitboards[n, 0], castling[n, 0], white)
        elif not white:
            out[n, 108] = _FULL
        if input_format >= 132 and not white:
            out[n, 110] = _FULL
        out[n, 109] = _FULL
        out[n, 111] = _FULL
        if turned[n]:
            for plane in range(109):
                out[n, plane] = _turn(out[n, plane], turned[n])


@njit(cache=True)
def _unpack(by_rank, clock, out):
    """by_rank [N, 8, 112] bytes, a bit a file, to out [N, 8, 8, 112]; plane 109 holds the clock [N]."""
    for n in range(by_rank.shape[0]):
        for rank in range(8):
            for file in range(8):
                for plane in range(112):
                    out[n, rank, file, plane] = np.float32((by_rank[n, rank, plane] >> file) & 1)
                out[n, rank, file, 109] = clock[n]
