"""Positions and games from and to EPD and PGN, through python-chess: boards whose stacks hold the game.

`from_boards` makes states of them. What a file holds that is no position or no game is an error that names the place,
not a position less.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import chess
import chess.pgn

from goalscope.worlds.chess.pgn import read_games, read_pgn
from goalscope.worlds.chess.state import faults

__all__ = ["read_epd", "read_games", "read_pgn", "write_epd", "write_pgn"]


def read_epd(text: str) -> list[tuple[chess.Board, dict[str, Any]]]:
    """Positions with their operations (`bm`, `id`, ...), one a line; empty lines and those that begin with # are skipped.

    Raises:
        ValueError: a line that is no EPD, or whose position the rules exclude; one that is cut off, says an operation
            twice, or has a null move in it; the message has its number.
    """
    found = []
    # Not splitlines: a line separator of Unicode may stand inside an id.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        line = line.lstrip("\ufeff").strip()
        if not line or line.startswith("#"):
            continue
        try:
            _check_epd(line)
            shuffled = chess.Board(" ".join(line.split()[:4]) + " 0 1").has_chess960_castling_rights()
            board = _Chess960() if shuffled else chess.Board()
            operations = board.set_epd(line)
            if shuffled:
                board = chess.Board(board.fen(en_passant="fen"), chess960=True)
        except (ValueError, IndexError, KeyError) as error:
            raise ValueError(f"line {number} is no EPD: {error}") from error
        moves = [m for value in operations.values() for m in (value if isinstance(value, list) else [value])]
        if any(isinstance(move, chess.Move) and not move for move in moves):
            raise ValueError(f"line {number} is no EPD: it has a null move, which no game has")
        if not board.is_valid():
            raise ValueError(f"line {number} holds an illegal position: {faults(board)}")
        found.append((board, operations))
    return found


class _Chess960(chess.Board):
    """python-chess reads the moves of an operation on a new board of its own class, which must know how to castle."""

    def __init__(self, fen: str | None = chess.STARTING_FEN):
        super().__init__(fen, chess960=True)


def _check_epd(line: str) -> None:
    """Raises ValueError for what python-chess reads as less than what stands there."""
    words = line.split(None, 4)
    if len(words) < 4:
        raise ValueError(
            f"it has {len(words)} of the four fields of a position (pieces, side to move, castling, en passant); "
            "the line may be cut off"
        )
    if len(words) < 5:
        return
    if words[4][0].isdigit():
        raise ValueError(
            f"operations begin with {words[4].split()[0]!r}: a FEN has move counters there, in an EPD they "
            "are 'hmvc' and 'fmvn'"
        )
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", words[4])
    if '"' in bare:
        raise ValueError("a text begins with '\"' and does not end; the line may be cut off")
    names = [operation.split()[0] for operation in bare.split(";") if operation.strip()]
    twice = sorted({name for name in names if names.count(name) > 1 and name != "-"})
    if twice:
        raise ValueError(f"the operation {twice[0]!r} stands there twice")


def write_epd(boards: Iterable[chess.Board], operations: Sequence[dict[str, Any]] | None = None) -> str:
    """The positions as EPD, one a line; games are not kept.

    Args:
        boards: N positions.
        operations: of each; values are texts, numbers, or lists of legal moves (`bm`, `am`, `pv`).

    Raises:
        ValueError: not one set of operations for each board.
    """
    boards = list(boards)
    named = [{} for _ in boards] if operations is None else list(operations)
    if len(named) != len(boards):
        raise ValueError(f"operations must be one for each of {len(boards)} boards, got {len(named)}")
    return "".join(board.epd(**each) + "\n" for board, each in zip(boards, named, strict=True))


def write_pgn(boards: Iterable[chess.Board], headers: Sequence[dict[str, str]] | None = None) -> str:
    """The games that the boards' stacks hold.

    Args:
        boards: N boards.
        headers: of each; a game that does not begin at the start gets SetUp and FEN by itself.

    Raises:
        ValueError: not one set of headers for each board.
    """
    boards = list(boards)
    named = [{} for _ in boards] if headers is None else list(headers)
    if len(named) != len(boards):
        raise ValueError(f"headers must be one for each of {len(boards)} boards, got {len(named)}")
    games = []
    for board, own in zip(boards, named, strict=True):
        game = chess.pgn.Game.from_board(board)
        words = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in own.items()}
        # Where the game begins and by which rules, the board says; a result that differs from its end is the caller's.
        game.headers.update(
            {key: value for key, value in words.items() if key not in ("SetUp", "FEN", "Variant")}
        )
        games.append(str(game))
    return "\n\n".join(games) + ("\n" if games else "")
