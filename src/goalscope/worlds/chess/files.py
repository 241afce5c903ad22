"""Positions and games from and to EPD and PGN, through python-chess: boards whose stacks hold the game.

`from_boards` makes states of them. What a file holds that is no position or no game is an error that names the place,
not a position less.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import chess
import chess.pgn

from goalscope.worlds.chess.state import faults


def read_epd(text: str) -> list[tuple[chess.Board, dict[str, Any]]]:
    """Positions with their operations (`bm`, `id`, ...), one a line; empty lines and those that begin with # are skipped.

    Raises:
        ValueError: a line that is no EPD, or whose position the rules exclude; the message has its number.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        board = chess.Board()
        try:
            operations = board.set_epd(line.strip())
        except (ValueError, IndexError, KeyError) as error:
            raise ValueError(f"line {number} is no EPD: {error}") from error
        if not board.is_valid():
            raise ValueError(f"line {number} holds an illegal position: {faults(board)}")
        found.append((board, operations))
    return found


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


def read_pgn(text: str) -> Iterator[tuple[chess.Board, dict[str, str]]]:
    """The last position of each game's main line, with all of its moves on the stack; and its headers.

    Raises:
        ValueError: a game that cannot be read to its end: its number and what is wrong.
    """
    source, number = io.StringIO(text), 0
    while True:
        number += 1
        try:
            game = chess.pgn.read_game(source)
        except ValueError as error:
            raise ValueError(f"game {number} cannot be read: {error}") from error
        if game is None:
            return
        if game.errors:
            raise ValueError(f"game {number} cannot be read: {game.errors[0]}")
        yield game.end().board(), dict(game.headers)


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
        game.headers.update({key: value for key, value in own.items() if key not in ("SetUp", "FEN")})
        games.append(str(game))
    return "\n\n".join(games) + ("\n" if games else "")
