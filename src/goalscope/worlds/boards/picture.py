"""A position of stones as a static SVG."""

from __future__ import annotations

from goalscope.worlds.boards.state import BoardState

CELL = 32
"""user units of a square"""
_BOARD, _LINE, _STONES = "#e9dcc0", "#8a7a55", ("#16181c", "#ffffff")


def board_picture(state: BoardState, i: int) -> str:
    """Position i as SVG text, the same bytes for the same position; the last move has a ring."""
    height, width = state.stones.shape[2:]
    across, down = width * CELL, height * CELL
    lines = "".join(f"M0 {r * CELL}h{across}" for r in range(1, height))
    lines += "".join(f"M{c * CELL} 0v{down}" for c in range(1, width))
    body = f'<rect width="{across}" height="{down}" fill="{_BOARD}"/><path d="{lines}" stroke="{_LINE}"/>'
    counts = state.stones[i].sum((1, 2)).tolist()
    for player, name in enumerate(("first", "second")):
        for row, column in zip(*(at.tolist() for at in state.stones[i, player].nonzero()), strict=True):
            last = (row, column) == tuple(state.last[i].tolist())
            ring = ' stroke="#c2185b" stroke-width="3"' if last else f' stroke="{_STONES[0]}"'
            at = f'cx="{column * CELL + CELL // 2}" cy="{row * CELL + CELL // 2}" r="12"'
            title = f"<title>{name} player: row {row}, column {column}</title>"
            body += f'<circle {at} fill="{_STONES[player]}"{ring}>{title}</circle>'
    words = (
        f"{height} by {width} squares; {counts[0]} stones of the first player, {counts[1]} of the second; "
    )
    words += "over" if state.over[i] else f"the {('first', 'second')[state.turn[i]]} player is to move"
    size = f'width="{across}" height="{down}" viewBox="0 0 {across} {down}"'
    head = f"<title>Position</title><desc>{words}</desc>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{head}{body}</svg>'
