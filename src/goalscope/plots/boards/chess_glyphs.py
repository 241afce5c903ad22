"""The six chess pieces as vector shapes, White's light with a dark line, Black's the other way round."""

from __future__ import annotations

from goalscope.plots.svg import num

NAMES = {
    **dict(
        zip(
            "PNBRQK",
            (f"white {n}" for n in ("pawn", "knight", "bishop", "rook", "queen", "king")),
            strict=True,
        )
    ),
    **dict(
        zip(
            "pnbrqk",
            (f"black {n}" for n in ("pawn", "knight", "bishop", "rook", "queen", "king")),
            strict=True,
        )
    ),
}
_LIGHT, _DARK = "#ffffff", "#2a2c31"
_BASE = "M-27 38V30Q-27 27 -22 27H22Q27 27 27 30V38Z"
_BODY = {
    "p": "M0 -34A14 14 0 0 1 9 -9H15V-2H8Q9 16 20 27H-20Q-9 16 -8 -2H-15V-9H-9A14 14 0 0 1 0 -34Z",
    "r": "M-24 -36H-13V-27H-6V-36H6V-27H13V-36H24V-18L16 -12L19 27H-19L-16 -12L-24 -18Z",
    "b": "M0 -43A5 5 0 0 1 3 -34Q22 -18 17 0Q14 7 9 9V14H13V20H9Q11 24 18 27H-18Q-11 24 -9 20H-13V14H-9V9Q-14 7 -17 0"
    "Q-22 -18 -3 -34A5 5 0 0 1 0 -43Z",
    "n": "M-6 -40L2 -31Q24 -24 24 8Q24 18 20 27H-19Q-18 12 -4 3Q-2 -1 -3 -4Q-9 -1 -14 0Q-19 8 -26 6Q-33 2 -31 -6"
    "Q-22 -18 -18 -26Q-12 -32 -9 -32Z",
    "q": "M-22 27L-35 -15L-18 2L-19 -28L-6 0L0 -33L6 0L19 -28L18 2L35 -15L22 27Z",
    "k": "M-3.5 -44H3.5V-38H10V-31H3.5V-22Q8 -27 18 -26Q34 -22 32 -6Q30 8 20 15L21 27H-21L-20 15Q-30 8 -32 -6"
    "Q-34 -22 -18 -26Q-8 -27 -3.5 -22V-31H-10V-38H-3.5Z",
}
_BALLS = {"q": ((-35, -18), (-19, -31), (0, -36), (19, -31), (35, -18))}
_DETAIL = {
    "b": "M-5 -19H5M0 -25V-11",
    "n": "M-13 -19L-11 -17M6 -21Q15 -10 14 8",
    "k": "M-20 15Q0 8 20 15M0 -22V8",
    "r": "M-15 -11H15M-18 20H18",
    "q": "M-23 19Q0 12 23 19",
}


def piece(letter: str, x: float, y: float, size: float) -> str:
    """The piece of a FEN letter (capitals are White's), centred on (x, y)."""
    white, kind = letter.isupper(), letter.lower()
    fill, line = (_LIGHT, _DARK) if white else (_DARK, _LIGHT)
    shapes = f'<path d="{_BASE}"/><path d="{_BODY[kind]}"/>'
    shapes += "".join(f'<circle cx="{cx}" cy="{cy}" r="5"/>' for cx, cy in _BALLS.get(kind, ()))
    rim = f'<g fill="{_LIGHT}" stroke="{_LIGHT}" stroke-width="9" stroke-linejoin="round">{shapes}</g>'
    ink = f'<g fill="{fill}" stroke="{_DARK}" stroke-width="4" stroke-linejoin="round">{shapes}</g>'
    detail = _DETAIL.get(kind)
    inner = f'<path d="{detail}" fill="none" stroke="{line}" stroke-width="4"/>' if detail else ""
    place = f'transform="translate({num(x)} {num(y)}) scale({size / 100:.4f})"'
    return f"<g {place}>{'' if white else rim}{ink}{inner}</g>"
