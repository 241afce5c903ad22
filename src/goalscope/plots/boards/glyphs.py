"""Vector shapes of the boards: mouse, cheese, arrow, ring and flag. All take their centre and size."""

from __future__ import annotations

import math

from goalscope.plots.palette import INK, PAPER
from goalscope.plots.svg import num

_CHEESE_TOP, _CHEESE_SIDE, _CHEESE_HOLE, _CHEESE_EDGE = "#ffd452", "#f5b324", "#c98a0c", "#6b4700"
_FACE = "M-33 -8Q-33 -30 0 -30T33 -8Q30 22 0 43Q-30 22 -33 -8Z"
_FUR, _FUR_EDGE, _PINK = "#8d929b", "#2a2d33", "#f3b6c0"


def mouse(x: float, y: float, size: float) -> str:
    """A mouse's face of the given size, centred on (x, y), with a white rim for any ground."""
    shapes = (
        '<g stroke="#fff" stroke-width="16" stroke-linejoin="round"><circle cx="-27" cy="-24" r="21"/>'
        f'<circle cx="27" cy="-24" r="21"/><path d="{_FACE}"/></g>'
        f'<g fill="{_FUR}" stroke="{_FUR_EDGE}" stroke-width="5"><circle cx="-27" cy="-24" r="21"/>'
        '<circle cx="27" cy="-24" r="21"/></g>'
        f'<g fill="{_PINK}"><circle cx="-27" cy="-24" r="11"/><circle cx="27" cy="-24" r="11"/></g>'
        f'<path d="{_FACE}" fill="{_FUR}" stroke="{_FUR_EDGE}" '
        'stroke-width="5"/><g fill="#16181c"><circle cx="-13" cy="-4" r="6.5"/>'
        '<circle cx="13" cy="-4" r="6.5"/></g>'
        '<g fill="#fff"><circle cx="-11" cy="-6" r="2"/><circle cx="15" cy="-6" r="2"/></g>'
        f'<ellipse cx="0" cy="34" rx="8" ry="7" fill="{_PINK}" stroke="{_FUR_EDGE}" stroke-width="3"/>'
    )
    return f'<g transform="translate({num(x)} {num(y)}) scale({size / 100:.4f})">{shapes}</g>'


def cheese(x: float, y: float, size: float) -> str:
    """A wedge of cheese of the given size, centred on (x, y), with a white rim."""
    outline = "M-44 4L30 -36Q44 -26 44 2L44 36L-44 36Z"
    shapes = (
        f'<path d="{outline}" fill="#fff" stroke="#fff" stroke-width="18" stroke-linejoin="round"/>'
        f'<path d="M-44 4L30 -36Q44 -26 44 4Z" fill="{_CHEESE_TOP}"/><path d="M-44 4H44V36H-44Z" '
        f'fill="{_CHEESE_SIDE}"/><g fill="{_CHEESE_HOLE}"><circle cx="-18" cy="21" r="9"/>'
        '<circle cx="22" cy="24" r="7"/><circle cx="4" cy="12" r="4.5"/>'
        '<ellipse cx="20" cy="-12" rx="9" ry="6"/></g>'
        f'<path d="M-44 4H44" stroke="{_CHEESE_EDGE}" stroke-width="3.5"/><path d="{outline}" fill="none" '
        f'stroke="{_CHEESE_EDGE}" stroke-width="5.5" stroke-linejoin="round"/>'
    )
    return f'<g transform="translate({num(x)} {num(y)}) scale({size / 100:.4f})">{shapes}</g>'


def arrow_outline(x: float, y: float, d_row: float, d_column: float, reach: float) -> str:
    """Path data of a filled arrow centred on (x, y).

    Args:
        x, y: centre.
        d_row, d_column: direction and strength; length 1 is the longest arrow, below 0.04 it is a dot.
        reach: length of the longest arrow in user units.
    """
    strength = min(math.hypot(d_row, d_column), 1.0)
    if strength < 0.04:
        radius, across = num(0.06 * reach), num(0.12 * reach)
        half = f"a{radius} {radius} 0 1 0"
        return f"M{num(x - 0.06 * reach)} {num(y)}{half} {across} 0{half} -{across} 0Z"
    along_x, along_y = d_column / math.hypot(d_row, d_column), d_row / math.hypot(d_row, d_column)
    length = reach * strength
    head = min(0.36 * reach, 0.62 * length)
    half_head, half_shaft = 0.56 * head, min(0.075 * reach, 0.22 * head)
    corners = (
        (-length / 2, half_shaft),
        (length / 2 - head, half_shaft),
        (length / 2 - head, half_head),
        (length / 2, 0.0),
        (length / 2 - head, -half_head),
        (length / 2 - head, -half_shaft),
        (-length / 2, -half_shaft),
    )
    points = [(x + a * along_x - b * along_y, y + a * along_y + b * along_x) for a, b in corners]
    return "M" + "L".join(f"{num(round(px, 1))} {num(round(py, 1))}" for px, py in points) + "Z"


def ring(x: float, y: float, size: float, colour: str) -> str:
    """A square ring with rounded corners around (x, y), rimmed in white."""
    half, radius = 0.46 * size, 0.2 * size
    box = (
        f'<rect x="{num(x - half)}" y="{num(y - half)}" width="{num(2 * half)}" height="{num(2 * half)}" '
        f'rx="{num(radius)}" fill="none" stroke'
    )
    rim, line = num(0.22 * size), num(0.12 * size)
    return f'{box}="{PAPER}" stroke-width="{rim}"/>{box}="{colour}" stroke-width="{line}"/>'


def flag(x: float, y: float, size: float, colour: str) -> str:
    """A small flag of the given colour that marks the end of a path to a place where nothing lies."""
    pole = f"M{num(x - 0.2 * size)} {num(y + 0.36 * size)}V{num(y - 0.38 * size)}"
    cloth = f"M{num(x - 0.2 * size)} {num(y - 0.38 * size)}L{num(x + 0.34 * size)} {num(y - 0.18 * size)}"
    cloth += f"L{num(x - 0.2 * size)} {num(y + 0.04 * size)}Z"
    return (
        f'<path d="{pole}{cloth}" fill="{PAPER}" stroke="{PAPER}" stroke-width="{num(0.24 * size)}" '
        f'stroke-linejoin="round"/><path d="{cloth}" fill="{colour}"/>'
        f'<path d="{pole}" stroke="{INK}" stroke-width="{num(0.09 * size)}" stroke-linecap="round"/>'
    )
