"""PGN as it is met: what a tolerant reader loses, merges or invents is read right, or named with game and line."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

import chess
import chess.variant

from goalscope.worlds.chess.files import read_epd, read_games, read_pgn, write_epd, write_pgn
from goalscope.worlds.chess.state import from_boards

SHUFFLED = "4k3/8/8/8/8/8/8/1R3K1R w HB - 0 1"


def moves(text: str) -> list[str]:
    """The games of a text without errors, each as its moves in UCI."""
    found = read_games(text)
    assert found.errors == ()
    return [" ".join(move.uci() for move in board.move_stack) for board, _ in found.games]


GOOD = {
    "no blank line between games": ('[Event "a"]\n1. e4 1-0\n[Event "b"]\n1. d4 *', ["e2e4", "d2d4"]),
    "results alone": ('[Event "a"]\n\n*\n[Event "b"]\n\n1-0\n', ["", ""]),
    "blank lines between tags and below": ('[Event "a"]\n\n[Round "1"]\n\n\n1. e4 *', ["e2e4"]),
    "blank lines inside a game": ("1. e4\n\n{a\n\nb}\n\ne5 *", ["e2e4 e7e5"]),
    "two games on a line": ("1. e4 * 1. d4 *", ["e2e4", "d2d4"]),
    "comments, escapes, other lines": ("%x {\n; y {\n1. e4 ; c *\n% (\n{;} e5 *\n; end\n", ["e2e4 e7e5"]),
    "variations in variations": ("1. e4 e5 (1... c5 2. Nf3 (2. c3 {)} -- 1-0) *) 2. d4 *", ["e2e4 e7e5 d2d4"]),
    "judgements": ("1. e4! $1 $14 e5!? += 2. d4?! +- ⩲ *", ["e2e4 e7e5 d2d4"]),
    "clocks": ("1. e4 {[%clk 0:10:00] [%eval 0.3]} 1... e5 {[%emt 0:00:01]} *", ["e2e4 e7e5"]),
    "no room between": ("1.e4 e5 2.Nf3 2...Nc6 3 Bc4 *", ["e2e4 e7e5 g1f3 b8c6 f1c4"]),
    "long moves": ("1. e2-e4 e7e5 2. Ng1-f3 *", ["e2e4 e7e5 g1f3"]),
    "zeros and dashes": ("1. e4 e5 2. Nf3 Nc6 3. Bc4 Bc5 4. 0\u20130 ½\u2013½", ["e2e4 e7e5 g1f3 b8c6 f1c4 f8c5 e1g1"]),
    "en passant": ("1. e4 d5 2. e5 f5 3. exf6e.p. e.p. *", ["e2e4 d7d5 e4e5 f7f5 e5f6"]),
    "figurines": ("1. e4 e5 2. ♘f3 ♞c6 *", ["e2e4 e7e5 g1f3 b8c6"]),
    "Black begins": ('[FEN "4k3/8/8/8/8/8/8/4K2R b K - 0 30"]\n30... Kd7 31. O-O *', ["e8d7 e1g1"]),
    "marks of two files put together": ('\ufeff[Event "a"]\n\n1. e4 *\n\ufeff[Event "b"]\r\n\r\n1. d4 *', ["e2e4", "d2d4"]),
    "nothing": ("\n\n", []),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_games_are_read_as_they_stand(case: str):
    text, expected = GOOD[case]
    assert moves(text) == expected


BAD = {
    "German": ("1. e4 e5 2. Sf3 Sc6 *", "line 1: 'Sf3' is no legal move .*; pieces are K Q R B N, letters of other"),
    "P is a knight in Dutch": ("1. Pf3 *", "'Pf3' is no legal move .* letters of other languages"),
    "illegal": ("1. e4 e5\n2. Ke3 *", "line 2: 'Ke3' is no legal move"),
    "null move": ("1. e4 -- 2. d4 *", "'--' is a null move"),
    "null move, ChessBase": ("1. e4 Z0 2. d4 *", "'Z0' is a null move"),
    "no result": ("1. e4 e5", "it has no result at its end"),
    "cut off": ('[Event "cut"]\n\n1. d4 N', r"game 1 \(cut\) cannot be read: line 3: 'N' is no legal move"),
    "tags alone": ('[Event "a"]\n\n', "line 1: it has tags, but neither moves nor a result"),
    "a second result": ("1. e4 1-0 1-0", "game 2 cannot be read: line 1: the result '1-0' stands there without"),
    "another result": ('[Result "1-0"]\n1. e4 0-1', "its tag Result is '1-0', its moves end with '0-1'"),
    "two games in one": ("1. e4 e5\n\n1. d4 d5 *", "line 3: move 1 follows move 1: the result between two games"),
    "a game into another": ("1. e4 e5 2. d4\n1. c4 *", "line 2: move 1 follows move 2"),
    "open comment": ("1. e4 {a\nb *", "line 1: the comment that begins here with '{' is never closed"),
    "open variation": ("1. e4 e5 (1... c5 *", "a variation is opened"),
    "closed twice": ("1. e4 e5) *", r"'\)' closes no variation"),
    "comment closed twice": ("1. e4 {a} b} *", "'}' closes no comment"),
    "bad tag": ('[Event a"]\n1. e4 *', 'line 1: \'\\[Event a"\\]\' is no tag'),
    "page": ("<!DOCTYPE html><html>404</html>", r"is no legal move .* \(is this a PGN file\?\)"),
    "mail": ("Dear all, my game:\n", "'Dear' is no legal move"),
    "Atomic": ('[Variant "Atomic"]\n1. Nf3 *', "the variant 'Atomic' is not read"),
    "Crazyhouse": ('[Variant "Crazyhouse"]\n1. Nf3 *', "the variant 'Crazyhouse' is not read"),
    "no kings": ('[FEN "8/8/8/8/8/8/8/8 w - - 0 1"]\n*', "illegal position .*: no white king"),
    "no FEN": ('[FEN "8/8 w"]\n*', "illegal FEN '8/8 w'"),
    "set up, not said how": ('[SetUp "1"]\n*', "SetUp is '1' and there is no FEN tag"),
    "set up and not": ('[SetUp "0"]\n[FEN "4k3/8/8/8/8/8/8/4K3 w - - 0 1"]\n*', "SetUp is '0'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_named_with_game_and_line(case: str):
    text, message = BAD[case]
    found = read_games(text)
    assert len(found.errors) == 1 and re.search(message, found.errors[0], re.DOTALL), found.errors
    with pytest.raises(ValueError, match=r"game \d.* cannot be read: line \d"):
        list(read_pgn(text))


@pytest.mark.parametrize("bad", ["{oops", "(1... c5", "", "-- *", "{oops {", "2. Sf3 *", "<br>"])
def test_a_bad_game_takes_no_other_with_it(bad: str):
    text = f'[Event "a"]\n\n1. e4 *\n\n[Event "b"]\n\n1. d4 {bad}\n\n[Event "c"]\n\n1. c4 {{good}} *\n'
    found = read_games(text)
    assert [headers["Event"] for _, headers in found.games] == ["a", "c"]
    assert len(found.errors) == 1 and found.errors[0].startswith("game 2 (b) cannot be read: line ")


def test_tags_keep_quotation_marks_and_backslashes():
    own = {"Event": 'the "big" one', "Site": "C:\\x\\\\y"}
    ((_, headers),) = read_pgn(write_pgn([chess.Board()], [own]))
    assert headers["Event"] == own["Event"] and headers["Site"] == own["Site"]
    ((_, loose),) = read_pgn('[Event "the "big" one"] \n[Site "a"] [Round "2"]\n*')
    assert (loose["Event"], loose["Site"], loose["Round"]) == ('the "big" one', "a", "2")


def test_chess960_goes_both_ways_in_pgn_and_epd():
    board = chess.Board(SHUFFLED, chess960=True)
    board.push_san("O-O")
    ((again, headers),) = read_pgn(write_pgn([board]))
    assert again.move_stack == board.move_stack and headers["Variant"] == "Chess960"
    ((position, operations),) = read_epd("\ufeff" + " ".join(SHUFFLED.split()[:4]) + " bm O-O;\n")
    assert position.chess960 and position.is_castling(operations["bm"][0])
    ((same, _),) = read_epd(write_epd([position], [operations]))
    assert same.fen() == position.fen()


BAD_EPD = {
    "counters of a FEN": ("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1", "operations begin with '0'"),
    "cut off": ("4k3/8/8/8/8/8/4P3/4K3 w", "it has 2 of the four fields"),
    "open text": ('4k3/8/8/8/8/8/4P3/4K3 w - - id "a', "does not end"),
    "twice": ("4k3/8/8/8/8/8/4P3/4K3 w - - bm e4; bm e3;", "'bm' stands there twice"),
    "null move": ("4k3/8/8/8/8/8/4P3/4K3 w - - bm Z0;", "it has a null move"),
    "German": ("4k3/8/8/8/8/8/4P3/4K1N1 w - - bm Sf3;", "invalid san"),
}


@pytest.mark.parametrize("case", BAD_EPD)
def test_an_epd_that_would_be_read_as_less_is_refused(case: str):
    text, message = BAD_EPD[case]
    with pytest.raises(ValueError, match=f"line 2 is no EPD: .*{message}"):
        read_epd(f"# suite\n{text}\n")


def test_an_epd_has_its_counters_and_any_id():
    text = '4k3/8/8/8/8/8/4P3/4K3 w - - id "a;b \u2028 c"; hmvc 3; fmvn 20; c0 "x \\"y\\"";\n'
    ((board, operations),) = read_epd(text)
    assert (board.halfmove_clock, board.fullmove_number) == (3, 20)
    assert operations["id"] == "a;b \u2028 c" and operations["c0"] == 'x "y"'


def test_boards_of_variants_and_with_null_moves_make_no_states():
    board = chess.Board()
    board.push(chess.Move.null())
    with pytest.raises(ValueError, match="board 1 has a null move"):
        from_boards([chess.Board(), board])
    with pytest.raises(ValueError, match="board 0 is of the variant atomic"):
        from_boards([chess.variant.AtomicBoard()])
