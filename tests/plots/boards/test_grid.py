"""Drawings of any world of squares: things and heat where they are, refusals, the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from goalscope.plots.boards.grid import GridBoard, grid_svg

Check = Callable[[str], ElementTree.Element]
SQUARES = np.pad(np.ones((2, 3), bool), 1)
HEAT = np.where(SQUARES, np.nan, np.nan)
HEAT[1, 1:4] = (0.0, 0.5, 1.0)
BOARD = GridBoard(
    SQUARES,
    (2, 1),
    {"yellow key": (1, 3), "door": (2, 3)},
    HEAT,
    "chance",
    (0.0, 1.0),
    percent=True,
    caption="first",
)


def test_a_board_is_a_sound_drawing_that_names_what_is_on_it(check_svg: Check):
    svg = grid_svg([BOARD, replace(BOARD, things={}, agent=None, caption="bare")], title="Levels")
    words = {element.text for element in check_svg(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert {
        "Levels",
        "first",
        "bare",
        "yellow key",
        "door",
        "where the agent begins",
        "YK",
        "D",
        "chance",
    } <= words
    assert "yellow key at row 1, column 3, door at row 2, column 3, the agent at row 2, column 1" in svg
    assert svg.count("row 1, column 2: chance 50.0%") == 2
    assert grid_svg([BOARD], title="Levels") == grid_svg([BOARD], title="Levels")


def test_colours_follow_the_heat_and_squares_without_a_number_are_grey():
    svg = grid_svg([BOARD], title="Levels")
    fills = [part.split('fill="')[1][:7] for part in svg.split("<rect stroke")[1:]]
    assert len(fills) == 6 and len(set(fills[:3])) == 3 and set(fills[3:]) == {"#cfd2d6"}
    assert len(set(fills)) == 4


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="at least one board"):
        grid_svg([], title="none")
    with pytest.raises(ValueError, match=r"heat as they are, got \[4, 5\] and \[2, 2\]"):
        grid_svg([replace(BOARD, heat=np.zeros((2, 2)))], title="wrong")
    with pytest.raises(ValueError, match=r"key: \(9, 0\) lies outside the 4 x 5 squares"):
        grid_svg([replace(BOARD, things={"key": (9, 0)})], title="outside")
