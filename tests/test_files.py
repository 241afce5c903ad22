"""The bytes of foreign texts: marks, UTF-16, Windows-1252, and what is no text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from goalscope.commands.play import _is_fen, _text
from goalscope.evidence.argument import parse_argument
from goalscope.evidence.forecast import parse_forecasts
from goalscope.evidence.forecast import read_text as forecast_text
from goalscope.files import decoded, read_text, text_encoding
from goalscope.policies.names import parse_config
from goalscope.worlds.maze import maze_text, parse_maze
from goalscope.worlds.sokoban.text import read_level_file

LEVEL = "Title: Café ÿ\n######\n#@ $.#\n######\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_text_is_the_same_in_every_encoding(encoding: str, tmp_path: Path):
    data = LEVEL.replace("\n", "\r\n").encode(encoding)
    assert decoded(data, "x") == LEVEL.replace("\n", "\r\n")
    (tmp_path / "level.txt").write_bytes(data)
    assert read_text(tmp_path / "level.txt") == LEVEL == _text(str(tmp_path / "level.txt"))
    (level,) = read_level_file(tmp_path / "level.txt").levels
    assert level.name == "Café ÿ"


def test_lines_of_old_formats_may_be_windows_1252_beside_utf8():
    mixed = "\u2013 é\n".encode() + "\u2013 é€\n".encode("cp1252")
    assert decoded(mixed, "x", windows=True) == "\u2013 é\n\u2013 é€\n"
    with pytest.raises(ValueError, match=re.escape("x is not a text file (byte 7 is not UTF-8)")):
        decoded(mixed, "x")
    with pytest.raises(ValueError, match=re.escape("byte 4 is neither UTF-8 nor Windows-1252")):
        decoded(b"a\nab\x81", "x", windows=True)
    with pytest.raises(ValueError, match="byte 1 is a control character, byte 3 is not UTF-8"):
        decoded(b"a\x00b\xe9", "x", windows=True)


def test_what_is_no_text_is_told_where():
    with pytest.raises(ValueError, match="byte 4 is not UTF-16"):
        decoded(b"\xff\xfea\x00b", "x")
    with pytest.raises(ValueError, match="nothing follows a mark of UTF-16"):
        decoded(b"\xff\xfe", "x")
    assert decoded(b"", "x") == decoded(b"\xef\xbb\xbf", "x") == ""
    assert text_encoding(b"\x00\x00\x00\x00") == "utf-8", "zeros alone are no UTF-16"


def test_a_byte_order_mark_is_skipped_in_everything_that_is_read(tmp_path: Path):
    maze = "..C\n.#.\nM.."
    assert maze_text(parse_maze("\ufeff" + maze)) == maze
    forecast = (
        '[[forecast]]\nid = "f"\nby = "me"\nkind = "threshold"\n'
        'statement = "s"\nprobability = 0.7\nrule = "a.b > 0.3"\n'
    )
    (tmp_path / "f.toml").write_text(forecast, encoding="utf-8-sig")
    for text in (forecast_text(str(tmp_path / "f.toml"))[1], "\ufeff" + forecast):
        assert parse_forecasts(text).forecasts[0].id == "f"
    argument = 'title = "t"\ncase = "risk"\npolicy = "p"\n[[claim]]\nid = "a"\ntext = "s"\nrule = "a.b > 1"\n'
    assert parse_argument("\ufeff" + argument).claims[0].id == "a"
    config = b'{"architecture": {"name": "impala"}}'
    assert parse_config(b"\xef\xbb\xbf" + config, tmp_path) == parse_config(config, tmp_path)
    (tmp_path / "fen.txt").write_text("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1", encoding="utf-8-sig")
    assert _is_fen(_text(str(tmp_path / "fen.txt"))) and _is_fen("\ufeff4k3/8/8/8/8/8/4P3/4K3 w - -")
