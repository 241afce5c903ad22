"""Chess boards: every piece on its square, heat and arrows where they belong, whichever side is below."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest

from goalscope.plots.boards.chess import Arrow, ChessBoard, chess_grid, chess_svg, placement
from goalscope.plots.palette import DIVERGING, SEQUENTIAL
from goalscope.plots.terminal.chess import show_chess

START = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR"
SCHOLAR = "r1bqkb1r/pppp1ppp/2n2n2/4p2Q/2B1P3/8/PPPP1PPP/RNB1K1NR"
Check = Callable[[str], ElementTree.Element]


def squares(svg: str) -> dict[str, tuple[str, float, float]]:
    """Name of a square to (colour, x, y) of its cell."""
    found = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)"[^>]* fill="(#\w+)"><title>([a-h][1-8]):', svg)
    return {name: (colour, float(x), float(y)) for x, y, colour, name in found}


def test_placement() -> None:
    placed = placement(START)
    assert len(placed) == 32 and placed[0, 0] == "r" and placed[7, 4] == "K" and placed[6, 3] == "P"
    assert placement("8/8/8/8/8/8/8/8") == {}


@pytest.mark.parametrize(
    ("fen", "message"),
    [
        ("8/8", "2 rows"),
        ("9/8/8/8/8/8/8/8", "no piece"),
        ("7/8/8/8/8/8/8/8", "has 7 squares"),
        ("", "0 rows"),
    ],
)
def test_what_is_no_placement(fen: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        placement(fen)


def test_drawing_is_sound(check_svg: Check) -> None:
    boards = [
        ChessBoard(SCHOLAR, arrows=(Arrow((3, 7), (1, 5), "first move"),), caption="The line"),
        ChessBoard(
            SCHOLAR, np.eye(8), "effect", rings={"third move": ((1, 5),)}, flipped=True, caption="Block 3"
        ),
        ChessBoard(START, np.full((8, 8), np.nan), "effect", caption="Nothing measured"),
    ]
    svg = chess_grid(boards, columns=2, title="Look-ahead")
    check_svg(svg)
    assert svg == chess_grid(boards, columns=2, title="Look-ahead")
    assert "first move h5 to f7" in svg and "effect is greatest on a8" in svg


@pytest.mark.parametrize("flipped", [False, True])
def test_squares_lie_where_they_should(flipped: bool, check_svg: Check) -> None:
    svg = chess_svg(START, flipped=flipped)
    check_svg(svg)
    found = squares(svg)
    assert len(found) == 64
    side = -1 if flipped else 1
    assert side * (found["h1"][1] - found["a1"][1]) > 0 and side * (found["a1"][2] - found["a8"][2]) > 0
    assert found["a1"][0] == found["h8"][0] != found["h1"][0] == found["a8"][0]
    dark = found["a1"][0]
    assert int(dark[1:3], 16) < int(found["h1"][0][1:3], 16), "a1 is a dark square"
    assert "e1: white king" in svg and "d8: black queen" in svg and "e4: empty" in svg


def test_heat_is_painted_on_its_square() -> None:
    heat = np.zeros((8, 8))
    heat[0, 0], heat[7, 1] = 1, 0.5  # a8 and b1
    found = squares(chess_svg(START, heat=heat, heat_range=(0, 1)))
    assert found["a8"][0] == SEQUENTIAL[-1] and found["c3"][0] == SEQUENTIAL[0]
    assert found["b1"][0] == SEQUENTIAL[3]
    heat[0, 0] = -1
    found = squares(chess_svg(START, heat=heat, diverging=True))
    assert found["a8"][0] == DIVERGING[0] and found["c3"][0] == DIVERGING[3]


def test_an_arrow_ends_on_its_square() -> None:
    svg = chess_svg(START, arrows=[Arrow((6, 4), (4, 4), "first move")], size_px=415)
    path = re.findall(r'<path d="M([^"]+)Z" fill="#d55e00" fill-opacity', svg)[0]
    points = np.array([[float(n) for n in p.split()] for p in path.split("L")])
    # 15 units of edge, 50 a square: e4 is column 4, row 4.
    assert [15 + 4.5 * 50, 4.5 * 50] in points.tolist()
    assert points[:, 1].max() < 6.5 * 50 and points[:, 1].min() == 4.5 * 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heat": np.zeros((8, 7))}, "must be"),
        ({"arrows": [Arrow((0, 0), (8, 0), "x")]}, "off the board"),
        ({"rings": {"x": ((-1, 0),)}}, "off the board"),
    ],
)
def test_wrong_input_is_named(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chess_svg(START, **change)
    with pytest.raises(ValueError, match="at least one board"):
        chess_grid([], title="x")


def test_terminal() -> None:
    text = show_chess(
        START, True, [("e4", 0.5), ("d4", 0.25), ("Nf3", 0.25)], 0.06, outcomes=(0.3, 0.46, 0.24), moves_left=80.4,
        number=2,
    )  # fmt: skip
    lines = text.split("\n")
    assert lines[0] == "8 ♜ ♞ ♝ ♛ ♚ ♝ ♞ ♜" and lines[7] == "1 ♖ ♘ ♗ ♕ ♔ ♗ ♘ ♖" and lines[3].startswith("5 ·")
    assert "White to move" in lines and "e4  50.0% " + "█" * 12 in lines and "1 other moves: 25.0%" in lines
    assert "value +0.060 (win minus loss for the side to move): win 30.0%, draw 46.0%, loss 24.0%" in lines
    assert lines[-1] == "about 80 moves to the end"
    assert "Black to move" in show_chess(SCHOLAR, False, [], -1.0)
