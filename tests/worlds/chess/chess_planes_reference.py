"""The 112 planes once more, slowly: square by square from boards of python-chess, in coordinates instead of bits."""

from __future__ import annotations

import chess
import numpy as np

KINDS = (chess.PAWN, chess.KNIGHT, chess.BISHOP, chess.ROOK, chess.QUEEN, chess.KING)


def game_of(board: chess.Board) -> list[chess.Board]:
    """The present position and those before it, newest first."""
    past = board.copy()
    game = [past.copy()]
    while past.move_stack:
        past.pop()
        game.append(past.copy())
    return game


def marked(board: chess.Board, is_first: bool) -> bool:
    """Whether lc0 marks the en-passant square that python-chess has."""
    if board.ep_square is None:
        return False
    return is_first or bool(
        board.attackers(board.turn, board.ep_square) & board.pieces(chess.PAWN, board.turn)
    )


def grid(squares, mover: bool) -> np.ndarray:
    """[8, 8] of 0 and 1 from the mover's side."""
    found = np.zeros((8, 8), np.float32)
    for square in squares:
        rank = chess.square_rank(square)
        found[rank if mover else 7 - rank, chess.square_file(square)] = 1
    return found


def pieces(board: chess.Board, mover: bool) -> np.ndarray:
    """[12, 8, 8] own and their pieces from the side of a player."""
    return np.stack([grid(board.pieces(k, c), mover) for c in (mover, not mover) for k in KINDS])


def turn(x: np.ndarray, transform: int) -> np.ndarray:
    """[..., 8, 8] after a transform of the canonical formats."""
    if transform & 1:
        x = x[..., ::-1]
    if transform & 2:
        x = x[..., ::-1, :]
    if transform & 4:
        x = np.swapaxes(x[..., ::-1, ::-1], -1, -2)
    return x


def number(x: np.ndarray) -> int:
    """A plane as the number whose bit 8 * rank + file is its square."""
    return sum(int(v) << i for i, v in enumerate(x.reshape(-1).tolist()))


def choose(board: chess.Board) -> int:
    if board.clean_castling_rights():
        return 0
    seen = pieces(board, board.turn)
    rank, file = np.argwhere(seen[5])[0]
    transform = 0
    if file < 4:
        transform, file = 1, 7 - file
    if seen[0].any() or seen[6].any():
        return transform
    if rank > 3:
        transform, rank = transform + 2, 7 - rank
    if rank + file != 7:
        return transform + 4 * bool(rank + file > 7)
    tests = [seen.sum(0), seen[:6].sum(0)] + [seen[k] + seen[6 + k] for k in (5, 4, 3, 1, 2)]
    for test in tests:
        plain, other = (number(turn(test, t)) for t in (transform, transform + 4))
        if plain != other:
            return transform + 4 * (other < plain)
    return transform


def encode(board: chess.Board, input_format: int, fill: str) -> np.ndarray:
    """[112, 8, 8] float32."""
    out = np.zeros((112, 8, 8), np.float32)
    mover, canonical = board.turn, input_format >= 3
    only_repeats = input_format in (5, 133)
    game = game_of(board)
    rights = board.clean_castling_rights()
    slot = 0
    for back in range(len(game) + 8):
        if slot == 8:
            break
        filled = back >= len(game)
        past = game[-1] if filled else game[back]
        first = filled or back == len(game) - 1
        mark = marked(past, first)
        if canonical and back and (past.clean_castling_rights() != rights or mark):
            break
        if filled and (fill == "no" or only_repeats):
            break
        if filled and fill == "fen_only" and past.fen(en_passant="fen").split(" ")[:4] == START:
            break
        repeats = past.is_repetition(2)
        if not (only_repeats and back and not repeats):
            planes = pieces(past, mover)
            if filled and mark:
                file = (past.ep_square or 0) % 8
                own = past.turn != mover
                planes[0 if own else 6][3 if own else 4, file] -= 1
                planes[0 if own else 6][1 if own else 6, file] += 1
            out[13 * slot : 13 * slot + 12] = planes
            out[13 * slot + 12] = float(repeats)
            slot += 1
        if canonical and past.halfmove_clock == 0:
            break
    sides = [
        (board.has_queenside_castling_rights(c), board.has_kingside_castling_rights(c))
        for c in (mover, not mover)
    ]
    if input_format == 1:
        for plane, right in enumerate([*sides[0], *sides[1]], 104):
            out[plane] = float(right)
    else:
        for rank, (queen_side, king_side) in zip((0, 7), sides, strict=True):
            out[104, rank, 0], out[105, rank, 7] = float(queen_side), float(king_side)
    if canonical:
        if marked(board, len(game) == 1):
            out[108, 7, (board.ep_square or 0) % 8] = 1
        out[:109] = turn(out[:109], choose(board))
    else:
        out[108] = float(not mover)
    out[109] = np.float32(board.halfmove_clock) / np.float32(100 if input_format >= 4 else 1)
    out[110] = float(input_format >= 132 and not mover)
    out[111] = 1
    return out


START = chess.STARTING_FEN.split(" ")[:4]
