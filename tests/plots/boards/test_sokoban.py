"""Drawings of Sokoban: the right arrow on the right square, frames in turn, the terminal's letters."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from goalscope.plots.boards.sokoban import FAINT, SokobanBoard, animation, filmstrip, plan_of_moves
from goalscope.plots.palette import BLUE, VERMILLION
from goalscope.plots.terminal.sokoban import show_sokoban

Check = Callable[[str], ElementTree.Element]
WALLS = np.pad(np.zeros((2, 4), bool), 1, constant_values=True)
GOALS, BOXES = np.zeros_like(WALLS), np.zeros_like(WALLS)
GOALS[1, 4] = GOALS[2, 3] = BOXES[1, 2] = BOXES[2, 3] = True


def plan(row: int, column: int, move: int, chance: float = 1.0) -> np.ndarray:
    out = np.zeros((*WALLS.shape, 4))
    out[row, column, move] = chance
    return out


BOARD = SokobanBoard(WALLS, GOALS, BOXES, (1, 1), plan(1, 1, 3), plan(1, 2, 1, 0.5), "start")


def arrows(svg: str, colour: str) -> list[np.ndarray]:
    """Corners [7, 2] of each arrow of a colour on the boards (those with a tooltip)."""
    found = re.findall(rf'<path d="M([^"Z]*)Z" fill="{colour}"[^>]*><title>', svg)
    return [np.array([list(map(float, p.split())) for p in path.split("L")]) for path in found]


def test_a_filmstrip_is_a_sound_drawing(check_svg: Check):
    root = check_svg(filmstrip([BOARD, replace(BOARD, caption="then")], title="Plan"))
    words = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Plan", "start", "then", "player", "box", "goal", "box on a goal"} <= words
    assert {"where the player will go", "where a box will be pushed"} <= words
    plain = filmstrip([replace(BOARD, agent_plan=None, box_plan=None)], title="Plan")
    assert "where" not in plain and "<title>100%" not in plain
    assert "2 boxes, 1 of them on goals, the player at row 1, column 1" in plain


@pytest.mark.parametrize(("move", "axis", "sign"), [(0, 1, -1), (1, 1, 1), (2, 0, -1), (3, 0, 1)])
def test_arrows_point_where_they_say_on_their_square(move, axis, sign):
    svg = filmstrip([replace(BOARD, agent_plan=plan(2, 1, move), box_plan=None)], title="t", panel_px=600)
    ((corners),) = arrows(svg, BLUE)
    # Squares are 100 wide; the tip is the corner furthest along, in the middle of the others.
    tip = corners[np.argmax(sign * corners[:, axis])]
    assert np.allclose(corners.mean(0), (150, 250), atol=25)
    assert tip[1 - axis] == pytest.approx((150, 250)[1 - axis]) and sign * (tip - (150, 250))[axis] > 30


def test_both_plans_are_drawn_and_faint_ones_are_not():
    svg = filmstrip([BOARD], title="t")
    assert len(arrows(svg, BLUE)) == len(arrows(svg, VERMILLION)) == 1
    assert "<title>50%</title>" in svg and 'opacity="0.5"' in svg
    faint = replace(BOARD, agent_plan=plan(1, 1, 3, FAINT / 2), box_plan=np.zeros((4, 6, 4)))
    assert not arrows(filmstrip([faint], title="t"), BLUE) + arrows(filmstrip([faint], title="t"), VERMILLION)


def test_frames_are_shown_in_turn():
    svg = animation([replace(BOARD, caption=f"tick {t}") for t in range(3)], title="t", seconds=0.5)
    root = ElementTree.fromstring(svg)
    turns = [element.attrib for element in root.iter("{http://www.w3.org/2000/svg}animate")]
    assert [turn["dur"] for turn in turns] == ["1.5s"] * 3
    for share, shown in ((0.1, 0), (0.5, 1), (0.9, 2)):
        for i, turn in enumerate(turns):
            times = np.array(list(map(float, turn["keyTimes"].split(";"))))
            now = turn["values"].split(";")[np.flatnonzero(times <= share)[-1]]
            assert now == ("visible" if i == shown else "hidden")
    hidden = [g for g in root if g.tag.endswith("}g") and g.get("visibility") == "hidden"]
    assert len(hidden) == 2, "without animation the first frame shows"
    assert "<script" not in svg and svg == animation(
        [replace(BOARD, caption=f"tick {t}") for t in range(3)], title="t", seconds=0.5
    )
    assert "<animate " not in animation([BOARD], title="t")


def test_the_plan_of_a_path():
    found = plan_of_moves((4, 6), np.array([[1, 1], [1, 2], [1, 1]]), np.array([3, 2, 1]))
    assert np.array_equal(np.argwhere(found), [[1, 1, 3], [1, 2, 2]]), "the first time counts"
    assert not plan_of_moves((4, 6), np.empty((0, 2), int), np.empty(0, int)).any()


@pytest.mark.parametrize(
    ("boards", "message"),
    [
        ([], "at least one board"),
        ([replace(BOARD, boxes=BOXES[1:])], r"board 0: boxes has shape \(3, 6\)"),
        (
            [BOARD, replace(BOARD, agent_plan=np.zeros((4, 6, 5)))],
            r"board 1: agent_plan has shape \(4, 6, 5\)",
        ),
        ([replace(BOARD, player=(0, 1))], r"the player at \(0, 1\) is not on the floor"),
        ([replace(BOARD, player=(1, 9))], r"the player at \(1, 9\) is not on the floor"),
    ],
)
def test_wrong_boards(boards, message):
    for draw in (filmstrip, animation):
        with pytest.raises(ValueError, match=message):
            draw(boards, title="t")


def test_wrong_animations():
    with pytest.raises(ValueError, match="board 1 has other walls or goals"):
        animation([BOARD, replace(BOARD, goals=BOXES)], title="t")
    with pytest.raises(ValueError, match="seconds must be positive"):
        animation([BOARD], title="t", seconds=0)


def test_the_terminal_shows_what_is_there_and_the_plan():
    lines = show_sokoban(WALLS, GOALS, BOXES, (1, 1), BOARD.agent_plan, BOARD.box_plan).split("\n")
    assert lines[1] == "███@ →$⇓    .  ███" and lines[2] == "███      *     ███"
    assert lines[0] == lines[3] == "█" * 18
    assert "→ where the player will go; ⇒ where a box will be pushed" in lines[4]
    on_goal = show_sokoban(WALLS, GOALS, BOXES, (1, 4)).split("\n")
    assert on_goal[1] == "███   $     +  ███" and "will" not in on_goal[4]
    walls, goals, boxes = (np.pad(x, 2, constant_values=x is WALLS) for x in (WALLS, GOALS, BOXES))
    wide = show_sokoban(walls, goals, boxes, (3, 3))
    assert wide.split("\n")[:4] == show_sokoban(WALLS, GOALS, BOXES, (1, 1)).split("\n")[:4], (
        "walls are cropped"
    )
