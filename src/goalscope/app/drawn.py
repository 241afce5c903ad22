"""Pictures for the page: the same boards as in the reports, each alone and whole, with one scale and legend below."""

from __future__ import annotations

import re
from collections.abc import Sequence

from goalscope.plots.boards import panels, parts
from goalscope.plots.boards.parts import Board
from goalscope.plots.svg import document, legend

SIDE = 560.0
"""of a board in user units; the page draws it at any size"""
EDGE = 12.0
"""left of a scale, whose first number stands half outside of it"""


def boards_svg(boards: Sequence[Board]) -> list[str]:
    """One SVG a board, on shared scales: nothing but the maze, so that the page knows where each square lies."""
    ranges, order = panels.heat_ranges(boards), parts.path_order(boards)
    found = []
    for board in boards:
        body, height = parts.maze(board, SIDE, ranges, order)
        title = board.caption or "maze"
        found.append(
            _bare(document(SIDE, height, body, title=title, description=f"painted: {board.heat_label}"))
        )
    return found


def key_svg(boards: Sequence[Board]) -> str:
    """The legend and the scales of the boards."""
    entries, bottom = legend(parts.keys(boards), 0, 0, SIDE - EDGE)
    scales, bottom = panels.scale_bars(boards, panels.heat_ranges(boards), bottom, SIDE - EDGE)
    labels = ", ".join(dict.fromkeys(board.heat_label for board in boards))
    body = [panels.moved(EDGE, 0, [*entries, *scales])]
    return _bare(document(SIDE, bottom + 4, body, title="Legend", description=f"scale of {labels}"))


def _bare(svg: str) -> str:
    """Without the style of the outermost element: the page sizes it, and takes no inline style."""
    return re.sub(r' style="[^"]*"', "", svg, count=1)
