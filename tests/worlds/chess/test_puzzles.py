"""Puzzle files: the opponent's move is made first, bad rows are named and the others kept. EPD and PGN come back."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

import chess

from goalscope.worlds.chess.files import read_epd, read_pgn, write_epd, write_pgn
from goalscope.worlds.chess.puzzles import COLUMNS, Puzzle, parse_puzzles, read_puzzles

GOOD = {
    "PuzzleId": "00sHx", "FEN": "q3k1nr/1pp1nQpp/3p4/1P2p3/4P3/B1PP1b2/B5PP/5K2 b k - 0 17", "Moves": "e8d7 a2e6 d7d8 f7f8",
    "Rating": "1760", "Themes": "mate mateIn2 middlegame short",
}  # fmt: skip
BAD = [
    ({"FEN": "not a fen"}, "illegal FEN"),
    ({"FEN": "8/8/8/8/8/8/8/8 w - - 0 1"}, "illegal position .*: no white king and no black king and empty"),
    (
        {"FEN": GOOD["FEN"].replace(" 17", " 99999999999")},
        "move counters of .* pass 2147483647 along the line",
    ),
    ({"FEN": GOOD["FEN"].replace(" 0 17", " 2147483646 17")}, "move counters of .* pass 2147483647"),
    ({"Moves": "e8d7 a2e6 d7e7 f7f8"}, r"illegal move 'd7e7' \(number 3 of the line\)"),
    ({"Moves": "e8d7 a2e6 d7d8 zz"}, r"illegal move 'zz' \(number 4"),
    ({"Moves": "e8d7"}, "at least one of the solver"),
    ({"Moves": "0000 a2e6"}, "null move"),
    ({"Rating": "high"}, "Rating is 'high'"),
    ({"FEN": None}, "illegal FEN"),
]


def written(path: Path, rows: list[dict]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*COLUMNS, "GameUrl"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def check(puzzle: Puzzle) -> None:
    assert puzzle.id == "00sHx" and puzzle.rating == 1760 and "mateIn2" in puzzle.themes
    assert puzzle.board.turn == chess.WHITE and puzzle.board.peek().uci() == "e8d7"
    assert [move.uci() for move in puzzle.line] == ["a2e6", "d7d8", "f7f8"]
    boards = puzzle.boards()
    assert len(boards) == 4 and boards[-1].is_checkmate() and boards[0].fen() == puzzle.board.fen()


def test_csv(tmp_path: Path) -> None:
    file = read_puzzles(written(tmp_path / "puzzles.csv", [GOOD, GOOD]))
    assert len(file) == 2 and not file.rejected
    check(file.puzzles[1])
    assert len(read_puzzles(tmp_path / "puzzles.csv", limit=1)) == 1


@pytest.mark.parametrize("themes", [GOOD["Themes"], GOOD["Themes"].split()])
def test_parquet_with_themes_as_text_or_list(tmp_path: Path, themes: object) -> None:
    row = {**GOOD, "Rating": 1760, "Themes": themes, "Popularity": 90}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "puzzles.parquet")
    check(read_puzzles(tmp_path / "puzzles.parquet").puzzles[0])


def test_bad_rows_are_named_and_the_others_kept(tmp_path: Path) -> None:
    rows = [GOOD]
    for change, _ in BAD:
        rows += [{**GOOD, **change}, GOOD]
    file = read_puzzles(written(tmp_path / "puzzles.csv", rows))
    assert len(file) == len(BAD) + 1
    assert [r.row for r in file.rejected] == [2 * (i + 1) for i in range(len(BAD))]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_what_is_wrong_with_a_row(change: dict, message: str) -> None:
    (rejected,) = parse_puzzles([{**GOOD, **change}]).rejected
    assert rejected.id == "00sHx"
    assert re.search(message, rejected.reason), rejected.reason


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no puzzle file"):
        read_puzzles(tmp_path / "missing.csv")
    (tmp_path / "a.csv").write_text("id,fen\n1,2\n")
    with pytest.raises(ValueError, match="lacks the columns PuzzleId, FEN"):
        read_puzzles(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(b"\x28\xb5\x2f\xfd\xff\xfe zstd")
    with pytest.raises(ValueError, match="must be unpacked first"):
        read_puzzles(tmp_path / "a.csv")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        read_puzzles(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="at least 1 row"):
        read_puzzles(written(tmp_path / "b.csv", [GOOD]), limit=0)


def test_epd_comes_back() -> None:
    text = 'r1bqkb1r/pppp1ppp/2n2n2/4p2Q/2B1P3/8/PPPP1PPP/RNB1K1NR w KQkq - bm Qxf7#; id "mate";\n'
    ((board, operations),) = read_epd(f"# a comment\n\n{text}")
    assert operations["bm"] == [chess.Move.from_uci("h5f7")] and operations["id"] == "mate"
    assert write_epd([board], [operations]) == text
    with pytest.raises(ValueError, match="line 2 is no EPD"):
        read_epd(f"{text}nonsense")
    with pytest.raises(ValueError, match="line 1 holds an illegal position: no white king"):
        read_epd("8/8/8/8/8/8/8/8 w - -")
    with pytest.raises(ValueError, match="one for each of 1 boards"):
        write_epd([board], [])


def test_pgn_comes_back_with_its_moves() -> None:
    board = chess.Board("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1")
    for word in ("e2e4", "e8e7", "e4e5"):
        board.push_uci(word)
    text = write_pgn([board, chess.Board()], [{"Event": "end game"}, {}])
    (again, headers), (start, _) = list(read_pgn(text))
    assert (
        again.move_stack == board.move_stack and again.fen() == board.fen() and headers["Event"] == "end game"
    )
    assert start.fen() == chess.STARTING_FEN
    with pytest.raises(ValueError, match="game 2 cannot be read"):
        list(read_pgn("1. e4 e5 *\n\n1. e5 *\n"))


@pytest.mark.parametrize(
    "themes",
    [
        "['mateIn2', 'short']", "['mateIn2' 'short']", '["mateIn2","short"]', "[mateIn2 short]", "{mateIn2,short}",
        " mateIn2  short", ["mateIn2", "short"], ("short", "mateIn2"),
    ],
)  # fmt: skip
def test_themes_in_every_form_of_a_list(themes: object) -> None:
    (puzzle,) = parse_puzzles([{**GOOD, "Themes": themes}]).puzzles
    assert puzzle.themes == {"mateIn2", "short"}
    (empty,) = parse_puzzles([{**GOOD, "Themes": "[]"}]).puzzles
    assert empty.themes == frozenset()


def test_moves_may_be_a_list_too() -> None:
    for moves in (GOOD["Moves"].split(), str(GOOD["Moves"].split())):
        check(parse_puzzles([{**GOOD, "Moves": moves}]).puzzles[0])


@pytest.mark.parametrize("themes", ["['mateIn2', 'sho", "mateIn2 'short'", 3.5])
def test_a_damaged_list_of_themes_is_rejected(themes: object) -> None:
    (rejected,) = parse_puzzles([{**GOOD, "Themes": themes}]).rejected
    assert "Themes" in rejected.reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_of_spreadsheets(tmp_path: Path, encoding: str, delimiter: str) -> None:
    names = ["Themes", "Rating", "FEN", "PuzzleId", "Moves"]
    with open(tmp_path / "a.csv", "w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(
            file, names, delimiter=delimiter, extrasaction="ignore", quoting=csv.QUOTE_ALL
        )
        writer.writeheader()
        writer.writerow(GOOD)
    check(read_puzzles(tmp_path / "a.csv").puzzles[0])


def test_rows_that_were_shifted_or_cut_off_are_named(tmp_path: Path) -> None:
    good = ",".join(GOOD.values())
    (tmp_path / "a.csv").write_text(
        f"{','.join(GOOD)}\n{good}\n{good},more\n\n{good.rsplit(',', 1)[0]}\n{good}\n"
    )
    file = read_puzzles(tmp_path / "a.csv")
    assert len(file) == 2 and [r.row for r in file.rejected] == [2, 3]
    assert "the row has 6 cells, the header 5" in file.rejected[0].reason
    (tmp_path / "a.csv").write_text(f"{','.join(GOOD)},FEN\n{good},x\n")
    with pytest.raises(ValueError, match="the column FEN more than once"):
        read_puzzles(tmp_path / "a.csv")


def test_an_id_of_two_puzzles_is_named_and_the_same_row_twice_is_kept() -> None:
    other = {**GOOD, "Moves": "e8d7 a2e6"}
    file = parse_puzzles([GOOD, GOOD, other, {**other, "PuzzleId": "x"}])
    assert len(file) == 3 and "'00sHx' is that of row 1" in file.rejected[0].reason
    nameless = {**GOOD, "PuzzleId": ""}
    assert len(parse_puzzles([nameless, {**nameless, "Moves": "e8d7 a2e6"}])) == 2
