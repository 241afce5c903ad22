"""Lichess puzzle files, CSV and Parquet: the position to solve, the line that solves it, rating and themes.

A puzzle's FEN is the position before the opponent's move, which is the first of its moves (Lichess database page,
"Puzzles"); it is pushed here, so that the solver sees a position with one move of history. Rows that hold no
puzzle are not dropped in silence: each is named with what is wrong with it, and the others are kept.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chess

from goalscope.worlds.chess.state import faults

COLUMNS = ("PuzzleId", "FEN", "Moves", "Rating", "Themes")
"""what is read; other columns are left alone"""
LONGEST_LINE = 200
"""plies; a longer list of moves is no puzzle but a damaged row"""
LAST_MOVE = 2**31 - 1
"""the greatest move counter that a ChessState holds"""


@dataclass(frozen=True)
class Puzzle:
    """One position with the line that solves it."""

    id: str
    board: chess.Board
    """the solver is to move; the opponent's move is on its stack"""
    line: tuple[chess.Move, ...]
    """the solver's move first, then the reply, in turn"""
    rating: int
    """Glicko-2, of Lichess"""
    themes: frozenset[str]
    """as Lichess names them: 'fork', 'mateIn2', ..."""

    def boards(self) -> list[chess.Board]:
        """The positions before each move of the line and after the last, len(line) + 1 of them, with history."""
        board = self.board.copy()
        seen = [board.copy()]
        for move in self.line:
            board.push(move)
            seen.append(board.copy())
        return seen


@dataclass(frozen=True)
class Rejected:
    """A row that holds no puzzle."""

    row: int
    """of the file, the first below the header is 1"""
    id: str
    """its PuzzleId, where it has one"""
    reason: str


@dataclass(frozen=True)
class PuzzleFile:
    """What a file holds: puzzles in its order, and the rows that are none."""

    puzzles: tuple[Puzzle, ...]
    rejected: tuple[Rejected, ...]

    def __len__(self) -> int:
        return len(self.puzzles)


def read_puzzles(path: str | os.PathLike[str], limit: int | None = None) -> PuzzleFile:
    """Reads a puzzle file of Lichess; Parquet where its name ends in '.parquet', CSV otherwise.

    Args:
        path: the file; `Themes` may be a text of words or a list of them.
        limit: rows to read at most; None reads all.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be read as what its name says, or lacks a column; `limit` below 1.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no puzzle file {path}; https://database.lichess.org/#puzzles offers them")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1 row, got {limit}")
    rows = _parquet_rows(path) if path.suffix == ".parquet" else _csv_rows(path)
    return parse_puzzles(_first(rows, limit))


def parse_puzzles(rows: Iterable[Mapping[str, Any]]) -> PuzzleFile:
    """Puzzles from rows with the `COLUMNS` of Lichess; see `read_puzzles`."""
    puzzles, rejected = [], []
    for number, row in enumerate(rows, 1):
        try:
            puzzles.append(_puzzle(row))
        except ValueError as error:
            rejected.append(Rejected(number, str(row.get("PuzzleId") or ""), str(error)))
    return PuzzleFile(tuple(puzzles), tuple(rejected))


def _puzzle(row: Mapping[str, Any]) -> Puzzle:
    """One puzzle; raises ValueError that says what is wrong with the row."""
    fen, text = str(row.get("FEN") or ""), str(row.get("Moves") or "")
    try:
        board = chess.Board(fen)
    except ValueError as error:
        raise ValueError(f"illegal FEN {fen[:90]!r}: {error}") from error
    if not board.is_valid():
        raise ValueError(f"illegal position {fen[:90]!r}: {faults(board)}")
    moves = text.split()
    if not 2 <= len(moves) <= LONGEST_LINE:
        raise ValueError(
            f"a puzzle has the opponent's move and at least one of the solver, at most {LONGEST_LINE}; "
            f"got {len(moves)} moves"
        )
    if max(board.halfmove_clock, board.fullmove_number) + len(moves) > LAST_MOVE:
        raise ValueError(f"the move counters of {fen[:90]!r} pass {LAST_MOVE} along the line")
    after = board.copy()
    line = []
    for ply, word in enumerate(moves):
        try:
            move = after.parse_uci(word)
        except ValueError as error:
            raise ValueError(
                f"illegal move {word[:12]!r} (number {ply + 1} of the line) in {after.fen()}"
            ) from error
        if not move:
            raise ValueError(f"null move {word!r} (number {ply + 1} of the line) in {after.fen()}")
        after.push(move)
        if ply == 0:
            board = after.copy()
        else:
            line.append(move)
    themes = row.get("Themes")
    words = themes.split() if isinstance(themes, str) else list(themes if themes is not None else ())
    return Puzzle(
        str(row.get("PuzzleId") or ""),
        board,
        tuple(line),
        _rating(row.get("Rating")),
        frozenset(map(str, words)),
    )


def _rating(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"Rating is {str(value)[:20]!r}, not a whole number") from error


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, reader.fieldnames or ())
            yield from reader
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not a readable CSV file ({error}); a .zst or .gz must be unpacked first"
        ) from error


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open(path, "rb") as source, pq.ParquetFile(source, pre_buffer=False) as file:
            _check_columns(path, file.schema_arrow.names)
            for batch in file.iter_batches(1024, columns=list(COLUMNS), use_threads=False):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file ({error})") from error


def _check_columns(path: Path, names: Iterable[str]) -> None:
    found = list(names)
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        raise ValueError(
            f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(found)[:200] or 'none'}. "
            "Lichess puzzle files have a header"
        )


def _first(rows: Iterator[dict[str, Any]], limit: int | None) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows):
        if limit is not None and number >= limit:
            return
        yield row
