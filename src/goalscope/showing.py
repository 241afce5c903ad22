"""How results and states show themselves: a few lines of text, and a static drawing in notebooks.

Any frozen dataclass takes both by `__repr__, _repr_html_ = text, drawing`. Nothing is imported here, so that every room
may use it.
"""

from __future__ import annotations

import math
from dataclasses import fields
from html import escape
from typing import Any

_LINES, _WIDTH, _BARS, _ROW, _MANY = 12, 110, 24, 18, 1_000_000


def text(self: Any) -> str:
    """A dataclass in at most 12 lines: a line a field, arrays by type, shape and range."""
    named = [(field.name, getattr(self, field.name)) for field in fields(self) if field.repr]
    lines = [f"  {name}: {_short(value)}"[:_WIDTH] for name, value in named]
    room = _LINES - 2
    if len(lines) > room:
        lines = [*lines[: room - 1], f"  and {', '.join(name for name, _ in named[room - 1 :])}"[:_WIDTH]]
    return "\n".join([f"{type(self).__name__}(", *lines, ")"])


def drawing(self: Any) -> str:
    """HTML with one static SVG: the text's lines, the spread of every array beside its line, and the first board."""
    parts, y = [], _ROW
    for field in fields(self):
        value = getattr(self, field.name)
        line = escape(f"{field.name}: {_short(value)}"[:80])
        parts.append(f'<text x="0" y="{y}" font-size="12" font-family="monospace">{line}</text>')
        parts += _spread(value, 600, y)
        y += _ROW
    for field in fields(self):
        board = getattr(self, field.name)
        if getattr(board, "ndim", 0) == 3 and str(getattr(board, "dtype", "")) == "bool" and len(board):
            parts += _squares(board[0], y)
            y += 8 * len(board[0]) + _ROW
    name = escape(type(self).__name__)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {y}" role="img" aria-label="{name}">'
        f'<title>{name}</title><rect width="720" height="{y}" fill="#fff"/>{"".join(parts)}</svg>'
    )


def interval(named: str, rows: list[tuple[str, float, float, float, str]]) -> str:
    """HTML with one static SVG: estimates with their intervals on one axis that holds them all and 0.

    Args:
        named: what is shown, above the axis.
        rows: (name, estimate, low, high, words behind it); where a limit is infinite or both are equal no bar is drawn.
    """
    numbers = [x for _, *three, _ in rows for x in three if math.isfinite(x)] + [0.0]
    low, span = min(numbers), (max(numbers) - min(numbers)) or 1.0

    def at(x: float) -> float:
        return 120 + 260 * (x - low) / span

    height = 28 * len(rows) + 2 * _ROW
    parts = [
        f'<text x="0" y="14" font-size="12">{escape(named)}</text>',
        f'<line x1="{at(0):.1f}" x2="{at(0):.1f}" y1="22" y2="{height}" stroke="#999" stroke-dasharray="2 3"/>',
    ]
    for k, (name, estimate, least, most, words) in enumerate(rows):
        y = 40 + 28 * k
        parts.append(f'<text x="0" y="{y + 4}" font-size="12">{escape(name[:18])}</text>')
        parts.append(f'<text x="400" y="{y + 4}" font-size="12">{escape(words)}</text>')
        if math.isfinite(least) and math.isfinite(most) and least < most:
            ends = f'x1="{at(least):.1f}" x2="{at(most):.1f}" y1="{y}" y2="{y}"'
            parts.append(f'<line {ends} stroke="#0072b2" stroke-width="3"/>')
        if math.isfinite(estimate):
            parts.append(
                f'<circle cx="{at(estimate):.1f}" cy="{y}" r="5" fill="{"#0072b2" if k == 0 else "#888"}"/>'
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}" role="img" aria-label="{escape(named)}">'
        f'<title>{escape(named)}</title><rect width="720" height="{height}" fill="#fff"/>{"".join(parts)}</svg>'
    )


def _short(value: Any) -> str:
    """One line of a value."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        size = f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
        numbers = _numbers(value)
        return f"{size}, {min(numbers):.4g} to {max(numbers):.4g}" if numbers else size
    if isinstance(value, dict):
        return f"{len(value)} of {', '.join(map(str, list(value)[:6]))}"
    if isinstance(value, (tuple, list)) and len(value) > 4:
        return f"{len(value)}, first {_short(value[0])}"
    if hasattr(value, "named_modules"):
        weights: Any = value
        return f"{type(value).__name__}, {sum(one.numel() for one in weights.parameters()):,} weights"
    return " ".join(str(value).split())


def _numbers(value: Any) -> list[float]:
    """The finite numbers of an array or tensor; none where it holds anything else, or too many to go through."""
    if math.prod(value.shape) > _MANY:
        return []
    flat = value.detach().cpu() if hasattr(value, "detach") else value
    listed = flat.reshape(-1).tolist() if hasattr(flat, "reshape") else []
    kept = [float(number) for number in listed if isinstance(number, (int, float))]
    return [number for number in kept if abs(number) < float("inf")]


def _spread(value: Any, x: int, y: int) -> list[str]:
    """How often numbers of an array lie where between their least and greatest, as bars."""
    numbers = _numbers(value) if hasattr(value, "dtype") else []
    if not numbers or min(numbers) == max(numbers):
        return []
    low, span = min(numbers), max(numbers) - min(numbers)
    counts = [0] * _BARS
    for number in numbers:
        counts[min(int((number - low) / span * _BARS), _BARS - 1)] += 1
    heights = [14 * count / max(counts) for count in counts]
    return [
        f'<rect x="{x + 5 * k}" y="{y - height:.1f}" width="4" height="{height:.1f}" fill="#0072b2"/>'
        for k, height in enumerate(heights)
        if height
    ]


def _squares(board: Any, y: int) -> list[str]:
    """The true squares of a board, dark."""
    return [
        f'<rect x="{8 * column}" y="{y + 8 * row}" width="8" height="8" fill="#444"/>'
        for row, squares in enumerate(board.tolist())
        for column, there in enumerate(squares)
        if there
    ]
