"""A MiniGrid level as a static SVG: its squares, what lies on them, the agent and what it carries."""

from __future__ import annotations

from goalscope.worlds.minigrid.edits import things
from goalscope.worlds.minigrid.state import Colour, Facing, Kind, MiniGridState

CELL = 32
"""user units of a square"""
_WALL, _FLOOR, _INK = "#2e3138", "#f4f1e8", "#16181c"
_FILLS = {
    Colour.RED: "#d3312d",
    Colour.GREEN: "#2f9e44",
    Colour.BLUE: "#2763c4",
    Colour.PURPLE: "#8438b0",
    Colour.YELLOW: "#e0b000",
    Colour.GREY: "#7d828a",
}
_TURN = {Facing.RIGHT: 0, Facing.DOWN: 90, Facing.LEFT: 180, Facing.UP: 270}


def level_picture(state: MiniGridState, i: int) -> str:
    """Level i as SVG text, the same bytes for the same level; each thing says its name where a pointer rests on it."""
    height, width = state.cells.shape[1:3]
    cells, here = state.cells[i].tolist(), things(state)[i]
    names = {square: name for name, square in here.items()}
    body = [f'<rect width="{width * CELL}" height="{height * CELL}" fill="{_FLOOR}"/>']
    for row, line in enumerate(cells):
        for column, (kind, colour, status) in enumerate(line):
            drawn = _thing(kind, colour, status)
            if drawn:
                body.append(_placed(row, column, drawn, names.get((row, column), "")))
    row, column, facing = state.agent[i].tolist()
    kind, colour = state.carries[i, :2].tolist()
    carried = f"{Colour(colour).name} {Kind(kind).name}".lower() if kind else "nothing"
    turn = f'transform="rotate({_TURN[Facing(facing)]} 16 16)"'
    agent = f'<path d="M7 5L28 16L7 27L12 16Z" {turn} fill="#c2185b" stroke="#fff"/>'
    if kind:
        agent += f'<g transform="translate(16 16) scale(.5)">{_thing(kind, colour, 0)}</g>'
    body.append(_placed(row, column, agent, f"agent, carries {carried}"))
    where = ", ".join(f"{name} at row {at[0]}, column {at[1]}" for name, at in here.items())
    words = f"{height} by {width} squares; agent at row {row}, column {column}, carries {carried}; {where}"
    size = f'width="{width * CELL}" height="{height * CELL}" viewBox="0 0 {width * CELL} {height * CELL}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>MiniGrid level</title>'
        f"<desc>{words}</desc>{''.join(body)}</svg>"
    )


def _placed(row: int, column: int, drawn: str, name: str) -> str:
    title = f"<title>{name}</title>" if name else ""
    return f'<g transform="translate({column * CELL} {row * CELL})">{title}{drawn}</g>'


def _thing(kind: int, colour: int, status: int) -> str:
    """One square's content in a cell of 32 units; '' of an empty one."""
    fill = _FILLS[Colour(colour)]
    if kind == Kind.WALL:
        plain = colour == Colour.GREY
        return f'<rect width="32.2" height="32.2" fill="{_WALL if plain else fill}"/>'
    if kind == Kind.FLOOR:
        return f'<rect x="1" y="1" width="30" height="30" fill="{fill}" fill-opacity=".25"/>'
    if kind == Kind.GOAL:
        star = "M16 5L19 13L27 13L20.5 18L23 26L16 21L9 26L11.5 18L5 13L13 13Z"
        return f'<rect x="1" y="1" width="30" height="30" fill="{fill}"/><path d="{star}" fill="#fff"/>'
    if kind == Kind.LAVA:
        waves = "".join(f"M3 {y}q4 -6 8 0t8 0t8 0" for y in (9, 17, 25))
        return f'<rect width="32" height="32" fill="#e8590c"/><path d="{waves}" fill="none" stroke="#fff" stroke-width="2"/>'
    if kind == Kind.DOOR:
        return _door(fill, status)
    rim = f'stroke="{_INK}" stroke-width="1"'
    if kind == Kind.KEY:
        ring = f'<circle cx="16" cy="9" r="4.5" fill="none" stroke="{fill}" stroke-width="4"/>'
        return f'{ring}<path d="M14 13h4v15h-4ZM18 20h5v3h-5ZM18 25h5v3h-5Z" fill="{fill}"/>'
    if kind == Kind.BALL:
        return f'<circle cx="16" cy="16" r="9.5" fill="{fill}" {rim}/>'
    if kind == Kind.BOX:
        return f'<path d="M6 6h20v20h-20ZM6 16h20" fill="none" stroke="{fill}" stroke-width="3.5"/>'
    return ""


def _door(fill: str, status: int) -> str:
    if status == 0:  # open: only its leaf at the side
        return f'<rect x="1" y="1" width="6" height="30" fill="{fill}" stroke="{_INK}"/>'
    leaf = f'<rect x="2" y="2" width="28" height="28" fill="{fill}" stroke="{_INK}" stroke-width="2"/>'
    if status == 1:
        return f'{leaf}<circle cx="24" cy="16" r="2.5" fill="#fff"/>'
    return f'{leaf}<path d="M16 9a4 4 0 0 1 2 7.5l2 7h-8l2 -7a4 4 0 0 1 2 -7.5Z" fill="#fff"/>'
