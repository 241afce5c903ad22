"""Lichess puzzle files, CSV and Parquet: the position to solve, the line that solves it, rating and themes.

A puzzle's FEN is the position before the opponent's move, which is the first of its moves (Lichess database page,
"Puzzles"); it is pushed here, so that the solver sees a position with one move of history. Rows that hold no
puzzle are not dropped in silence: each is named with what is wrong with it, and the others are kept.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chess

from goalscope.files import text_encoding
from goalscope.showing import drawing, text
from goalscope.worlds.chess.state import faults

COLUMNS = ("PuzzleId", "FEN", "Moves", "Rating", "Themes")
"""what is read; other columns are left alone"""
LONGEST_LINE = 200
"""plies; a longer list of moves is no puzzle but a damaged row"""
WIDTH = "\0width"
"""under this name a row of a CSV has its number of cells and that of the header"""
LAST_MOVE = 2**31 - 1
"""the greatest move counter that a ChessState holds"""


@dataclass(frozen=True)
class Puzzle:
    """One position with the line that solves it."""

    __repr__, _repr_html_ = text, drawing

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

    __repr__, _repr_html_ = text, drawing

    row: int
    """of the file, the first below the header is 1"""
    id: str
    """its PuzzleId, where it has one"""
    reason: str


@dataclass(frozen=True)
class PuzzleFile:
    """What a file holds: puzzles in its order, and the rows that are none."""

    __repr__, _repr_html_ = text, drawing

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
    seen: dict[str, tuple[int, Puzzle]] = {}
    for number, row in enumerate(rows, 1):
        try:
            puzzle = _puzzle(row)
            before, first = seen.setdefault(puzzle.id, (number, puzzle))
            if puzzle.id and (first.board.fen(), first.line) != (puzzle.board.fen(), puzzle.line):
                raise ValueError(f"PuzzleId {puzzle.id!r} is that of row {before}, which is another puzzle")
            puzzles.append(puzzle)
        except ValueError as error:
            rejected.append(Rejected(number, str(row.get("PuzzleId") or ""), str(error)))
    return PuzzleFile(tuple(puzzles), tuple(rejected))


def _puzzle(row: Mapping[str, Any]) -> Puzzle:
    """One puzzle; raises ValueError that says what is wrong with the row."""
    cells, columns = row.get(WIDTH) or (0, 0)
    if cells != columns:
        raise ValueError(
            f"the row has {cells} cells, the header {columns}: it is cut off, or a comma is not quoted"
        )
    fen, text = str(row.get("FEN") or ""), " ".join(_list_of(row.get("Moves"), "Moves"))
    try:
        board = chess.Board(fen)
        if board.has_chess960_castling_rights():
            board = chess.Board(fen, chess960=True)
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
    return Puzzle(
        str(row.get("PuzzleId") or ""),
        board,
        tuple(line),
        _rating(row.get("Rating")),
        frozenset(_list_of(row.get("Themes"), "Themes")),
    )


def _list_of(value: Any, column: str) -> list[str]:
    """Words of a cell: a text of words, a list, or the text of a list as Python, NumPy or JSON print it.

    Raises:
        ValueError: a word that is none, such as a list that was cut off.
    """
    if isinstance(value, str):
        text = value.strip()
        if text[:1] in ("[", "{", "(") and text[-1:] == {"[": "]", "{": "}", "(": ")"}[text[:1]]:
            quoted = re.findall(r"'([^']*)'|\"([^\"]*)\"", text)
            words = [a or b for a, b in quoted] if quoted else re.split(r"[\s,]+", text[1:-1])
        else:
            words = text.split()
    elif value is None or (isinstance(value, float) and value != value):
        words = []
    elif isinstance(value, Iterable):
        words = [str(word) for word in value]
    else:
        raise ValueError(f"{column} is {str(value)[:40]!r}, neither a text of words nor a list")
    words = [word for word in words if word]
    strange = [word for word in words if not word.isalnum() and not re.fullmatch(r"[\w-]+", word)]
    if strange:
        raise ValueError(f"{column} holds {strange[0][:40]!r}, which is no word: {str(value)[:60]!r}")
    return words


def _rating(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"Rating is {str(value)[:20]!r}, not a whole number") from error


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with open(path, "rb") as source:
            encoding = text_encoding(source.read(4096))
        with open(path, encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
            delimiter = _delimiter(file.readline())
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            names = next(reader, [])
            _check_columns(path, names)
            for cells in reader:
                if cells:
                    # A row of another length is one whose cells were shifted: it is named, not read.
                    yield dict(zip(names, cells, strict=False)) | {WIDTH: (len(cells), len(names))}
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


def _delimiter(header: str) -> str:
    """What parts the columns: a spreadsheet writes ';' or tabs."""
    return max(",;\t", key=header.count)


def _check_columns(path: Path, names: Iterable[str]) -> None:
    found = list(names)
    twice = sorted({name for name in COLUMNS if found.count(name) > 1})
    if twice:
        raise ValueError(f"{path} has the column {', '.join(twice)} more than once: drop one of them")
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
