"""Figures show themselves, and lie in a run folder as the report reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from goalscope.plots import Figure, forest, write_figures
from goalscope.plots.svg import clean, num, text_width, wrap


@pytest.fixture
def figure() -> Figure:
    return Figure.of(forest(["a < b"], [1], [0], [2], title="Up & down"), "What <b> to see")


def test_words_come_from_the_drawing(figure: Figure) -> None:
    assert figure.title == "Up & down"
    assert figure.alt == "a < b 1.00 (0.00 to 2.00)"
    assert figure._repr_svg_() == figure.svg
    html = figure._repr_html_()
    assert figure.svg in html and "What &lt;b&gt; to see" in html and "<script" not in html


def test_drawing_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="<desc>"):
        Figure.of("<svg/>")


def test_index_lists_what_is_written(tmp_path: Path, figure: Figure) -> None:
    placed = [("one", "reach", figure), ("two", "headline", figure)]
    index = write_figures(tmp_path, placed, {"two": ("reach.size.*",), "not in this run": ("a.b",)})
    entries = json.loads(index.read_text(encoding="utf-8"))
    assert [(e["file"], e["section"]) for e in entries] == [("one.svg", "reach"), ("two.svg", "headline")]
    assert set(entries[0]) == {"file", "title", "caption", "alt", "section", "findings"}
    assert [e["findings"] for e in entries] == [[], ["reach.size.*"]]
    assert (tmp_path / "figures" / "one.svg").read_text(encoding="utf-8") == figure.svg
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("name", ["../out", "a/b", "", ".hidden", "a b"])
def test_names_stay_in_the_folder(tmp_path: Path, figure: Figure, name: str) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        write_figures(tmp_path, [(name, "reach", figure)])
    assert not list(tmp_path.iterdir())


def test_two_figures_of_one_name_and_no_folder(tmp_path: Path, figure: Figure) -> None:
    with pytest.raises(ValueError, match="two figures"):
        write_figures(tmp_path, [("a", "reach", figure), ("a", "reach", figure)])
    with pytest.raises(FileNotFoundError, match="run folder"):
        write_figures(tmp_path / "none", [])


def test_text_helpers() -> None:
    assert num(1.0) == "1" and num(-0.001) == "0" and num(2.345) == "2.35" and num(10.0) == "10"
    assert clean("a\x00<b>\ud800") == "a &lt;b&gt; "
    assert text_width("WW", 10) > text_width("ii", 10)
    lines = wrap("one two three " + "x" * 60, 80, 12)
    assert "".join(lines).replace(" ", "") == "onetwothree" + "x" * 60
    assert all(text_width(line, 12) <= 80 for line in lines)
