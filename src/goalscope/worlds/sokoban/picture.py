"""A Sokoban level as a static SVG."""

from __future__ import annotations

from goalscope.worlds.sokoban.state import SokobanState

CELL = 32
"""user units of a square"""
_FLOOR, _WALL, _BOX, _HOME, _GOAL, _PLAYER = "#f4f1e8", "#2e3138", "#c89b5c", "#7fb77e", "#a3392b", "#5b2a86"


def level_picture(state: SokobanState, i: int) -> str:
    """Level i as SVG text, the same bytes for the same level; each thing says what it is where a pointer rests on it."""
    height, width = state.walls.shape[1:]
    body = [f'<rect width="{width * CELL}" height="{height * CELL}" fill="{_FLOOR}"/>']
    for row in range(height):
        for column in range(width):
            wall, goal, box = (bool(x[i, row, column]) for x in (state.walls, state.goals, state.boxes))
            drawn = f'<rect width="32.2" height="32.2" fill="{_WALL}"/>' * wall
            drawn += f'<circle cx="16" cy="16" r="6" fill="{_GOAL}"><title>target</title></circle>' * goal
            if box:
                words = "box on a target" if goal else "box"
                fill = _HOME if goal else _BOX
                drawn += (
                    f'<rect x="4" y="4" width="24" height="24" fill="{fill}"><title>{words}</title></rect>'
                )
            if (row, column) == tuple(state.player[i].tolist()):
                drawn += f'<circle cx="16" cy="16" r="10" fill="{_PLAYER}"><title>player</title></circle>'
            if drawn:
                body.append(f'<g transform="translate({column * CELL} {row * CELL})">{drawn}</g>')
    row, column = state.player[i].tolist()
    home = int((state.boxes[i] & state.goals[i]).sum())
    words = f"{height} by {width} squares; player at row {row}, column {column}; "
    words += f"{int(state.boxes[i].sum())} boxes, {home} home"
    size = f'width="{width * CELL}" height="{height * CELL}" viewBox="0 0 {width * CELL} {height * CELL}"'
    head = f"<title>Sokoban level</title><desc>{words}</desc>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{head}{"".join(body)}</svg>'
