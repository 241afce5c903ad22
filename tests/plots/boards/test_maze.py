"""Boards: the right arrow on the right square, shared scales, differences, and errors that name the cause."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from goalscope.plots.boards import glyphs
from goalscope.plots.boards.maze import Board, difference, maze_svg, panel_grid
from goalscope.plots.palette import MISSING, SEQUENTIAL

NAMESPACE = "{http://www.w3.org/2000/svg}"
Check = Callable[[str], ElementTree.Element]
WALLS = np.array([[0, 0, 0], [0, 1, 1], [0, 0, 0]], bool)
SQUARES = np.argwhere(~WALLS)
MOVES = np.eye(5)


def board(**given: object) -> Board:
    """A maze of 3 by 3 in which the policy always goes up."""
    up = np.tile(MOVES[2], (len(SQUARES), 1))
    defaults = {"squares": SQUARES, "probabilities": up, "value": np.arange(len(SQUARES), dtype=float)}
    return replace(Board(WALLS, (2, 0), (0, 2)), **{**defaults, **given})  # type: ignore[arg-type]


def floor(svg: str) -> dict[tuple[int, int], tuple[str, str]]:
    """Square to (colour, tooltip) of the first maze in a drawing; only cells have a width of 1."""
    found = re.findall(
        r'<rect x="(\d+)" y="(\d+)" width="1" height="1" fill="(#\w+)">(?:<title>(.*?)</title>)?', svg
    )
    return {(int(y), int(x)): (colour, tip) for x, y, colour, tip in reversed(found)}


def test_arrow_of_each_move() -> None:
    arrows = board(squares=SQUARES[:5], probabilities=MOVES, value=None).arrows()
    assert arrows is not None
    # LEFT, DOWN, UP, RIGHT, STAY as (rows, columns); row 0 is on top.
    np.testing.assert_array_equal(arrows, [[0, -1], [1, 0], [-1, 0], [0, 1], [0, 0]])


def test_uniform_policy_has_no_arrow() -> None:
    arrows = board(probabilities=np.full((len(SQUARES), 5), 0.2)).arrows()
    assert arrows is not None and np.allclose(arrows, 0)


@pytest.mark.parametrize(
    ("step", "axis", "sign"), [((0, 1), 0, 1), ((0, -1), 0, -1), ((1, 0), 1, 1), ((-1, 0), 1, -1)]
)
def test_outline_points_along_its_step(step: tuple[int, int], axis: int, sign: int) -> None:
    points = np.array(
        [list(map(float, p.split())) for p in glyphs.arrow_outline(50, 50, *step, 20).strip("MZ").split("L")]
    )
    tip = points[np.argmax(sign * points[:, axis])]
    assert tip[axis] == pytest.approx(50 + 10 * sign) and tip[1 - axis] == pytest.approx(50)
    # The head is at the tip: the widest pair of points lies in the half of the tip.
    wide = points[np.argmax(points[:, 1 - axis])]
    assert sign * (wide[axis] - 50) > 0


def test_weak_arrows_are_short_and_none_is_a_dot() -> None:
    def extent(strength: float) -> float:
        points = re.findall(r"[ML]([-\d.]+) ", glyphs.arrow_outline(0, 0, 0, strength, 100))
        return max(map(float, points)) - min(map(float, points))

    assert extent(0.5) == pytest.approx(50, abs=0.2) and extent(1.0) == pytest.approx(100, abs=0.2)
    assert extent(3.0) == extent(1.0)
    assert "a" in glyphs.arrow_outline(0, 0, 0, 0.0, 100)


def test_whole_drawing(check_svg: Check) -> None:
    svg = maze_svg(
        WALLS,
        (2, 0),
        (0, 2),
        squares=SQUARES,
        probabilities=np.tile(MOVES[3], (7, 1)),
        value=np.arange(7),
        paths={"start to cheese": np.array([[2, 0], [1, 0], [0, 0], [0, 1], [0, 2]])},
        decision_square=(1, 0),
        title="A maze",
    )
    root = check_svg(svg)
    words = {element.text for element in root.iter(NAMESPACE + "text")}
    assert {"A maze", "mouse", "cheese", "decision square", "start to cheese", "value"} <= words
    assert "mouse at row 2, column 0" in (root[1].text or "")


def test_same_input_same_bytes() -> None:
    assert panel_grid([board()], title="t") == panel_grid([board()], title="t")


def test_cells_carry_their_own_numbers_and_colours() -> None:
    cells = floor(panel_grid([board(heat_range=(0.0, 6.0))], columns=1, title="t"))
    assert set(cells) == {(row, column) for row, column in SQUARES.tolist()}
    for i, (row, column) in enumerate(SQUARES.tolist()):
        assert cells[row, column][1] == f"row {row}, column {column}: value {i}; up 100%"
    assert cells[0, 0][0] == SEQUENTIAL[0] and cells[2, 2][0] == SEQUENTIAL[-1]


def test_missing_heat_is_grey() -> None:
    value = np.arange(7.0)
    value[3] = np.nan
    cells = floor(panel_grid([board(value=value)], columns=1, title="t"))
    row, column = SQUARES[3].tolist()
    assert cells[row, column][0] == MISSING
    assert cells[2, 2][0] != MISSING


def test_row_zero_is_on_top() -> None:
    svg = panel_grid([board()], columns=1, title="t")
    places = re.findall(r'<g transform="translate\(([\d.]+) ([\d.]+)\) scale\((0\.\d+)\)"', svg)
    (cheese_x, cheese_y, _), (mouse_x, mouse_y, _) = places[:2]
    assert float(cheese_y) < float(mouse_y) and float(cheese_x) > float(mouse_x)


def test_boards_share_one_scale() -> None:
    low, high = board(value=np.zeros(7)), board(value=np.full(7, 10.0))
    alone = floor(panel_grid([low], columns=1, title="t"))[0, 0][0]
    assert floor(panel_grid([low, high], title="t"))[0, 0][0] == SEQUENTIAL[0] != alone
    assert panel_grid([low, high], title="t").count(">value</text>") == 1


def test_a_path_looks_the_same_in_every_board() -> None:
    way, other = np.array([[2, 0], [1, 0]]), np.array([[0, 0], [0, 1]])
    both = board(paths={"a": way, "b": other}, probabilities=None)
    second = board(paths={"b": other}, probabilities=None)
    svg = panel_grid([both, second], title="t")
    assert svg.count('stroke="#16181c"') == 3  # path b twice and once in the legend


def test_no_cheese() -> None:
    svg = maze_svg(WALLS, (2, 0), (-1, -1), title="t")
    assert ">cheese<" not in svg and ">mouse<" in svg
    assert svg == maze_svg(WALLS, (2, 0), None, title="t")


def test_small_maze_in_a_large_world_is_cropped() -> None:
    walls = np.ones((25, 25), bool)
    walls[10:13, 10:13] = WALLS
    cells = floor(maze_svg(walls, squares=SQUARES + 10, value=np.arange(7), title="t"))
    assert set(cells) == {(row, column) for row, column in SQUARES.tolist()}
    assert cells[0, 2][1].startswith("row 10, column 12")


def test_difference_of_a_board_with_itself_is_nothing() -> None:
    gap = difference(board(), board())
    np.testing.assert_array_equal(np.array(gap.arrows()), np.zeros((7, 2)))
    np.testing.assert_array_equal(np.array(gap.painted()), np.zeros(7))
    assert gap.diverging and gap.heat_label == "change of value"


def test_difference_matches_squares_by_place() -> None:
    order = np.array([6, 2, 0, 4])
    down = np.tile(MOVES[1], (4, 1))
    after = board(squares=SQUARES[order], probabilities=down, value=np.array([16.0, 2.0, 0.0, 3.0]))
    gap = difference(board(), after)
    np.testing.assert_array_equal(np.array(gap.squares), SQUARES[order])
    np.testing.assert_allclose(
        np.array(gap.arrows()), np.tile([1.0, 0.0], (4, 1))
    )  # up to down is a full reversal
    np.testing.assert_allclose(np.array(gap.painted()), [10.0, 0.0, 0.0, -1.0])


def test_difference_needs_the_same_walls() -> None:
    with pytest.raises(ValueError, match="same walls"):
        difference(board(), replace(board(), walls=np.zeros((3, 3), bool)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mouse": (1, 1)}, r"mouse: \(1, 1\) lies in a wall"),
        ({"cheese": (0, 3)}, r"cheese: \(0, 3\) lies outside the 3x3 maze"),
        ({"decision_square": (2, 5)}, "decision_square"),
        ({"value": np.zeros(3)}, r"value has shape \(3,\), 7 squares need \(7,\)"),
        ({"probabilities": np.zeros((7, 4))}, r"need \(7, 5\)"),
        ({"probabilities": np.full((7, 5), 0.3)}, "sum to 1"),
        ({"squares": np.zeros((7, 3), int)}, r"\[K, 2\]"),
        ({"paths": {"to corner": np.array([[0, 0], [1, 1]])}}, "path 'to corner'"),
        ({"walls": np.zeros(9, bool)}, r"\[W, W\]"),
    ],
)
def test_errors_name_the_cause(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        panel_grid([board(**given)], title="t")


def test_no_boards_and_no_title() -> None:
    with pytest.raises(ValueError, match="at least one board"):
        panel_grid([], title="t")
    with pytest.raises(ValueError, match="title"):
        panel_grid([board()], title=" ")


def test_names_are_escaped(check_svg: Check) -> None:
    bad = "<script>alert('&\"')</script>\x00"
    svg = panel_grid([board(caption=bad, paths={bad: np.array([[2, 0], [1, 0]])})], title=bad, columns=1)
    assert "<script" not in svg
    assert "<script>alert('&\"')</script>" in (check_svg(svg).get("aria-label") or "")
