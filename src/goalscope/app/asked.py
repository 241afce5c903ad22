"""What a request may hold: each part is read by its name and kind, and refused in one line where it is another."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

Asked = Mapping[str, Any]
"""the JSON object of a request"""


def read(body: bytes) -> Asked:
    """The JSON object of a request's body.

    Raises:
        ValueError: it is none.
    """
    try:
        found = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the request is not JSON: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise ValueError(f"the request must be a JSON object, got {type(found).__name__}")
    return found


def text(asked: Asked, name: str, default: str | None = None, most: int = 20_000) -> str:
    """A text of at most so many characters; it must be given where there is no default."""
    value = asked.get(name, default)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, got {_kind(value)}")
    if len(value) > most:
        raise ValueError(f"{name} has {len(value):,} characters, at most {most:,} are taken")
    return value


def one_of(asked: Asked, name: str, known: Sequence[str]) -> str:
    """One of the known words; the first where none is given."""
    value = text(asked, name, known[0], 200)
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}, got {value!r:.60}")
    return value


def whole(asked: Asked, name: str, default: int, least: int, last: int) -> int:
    """A whole number of `least` to `last`."""
    value = asked.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, got {_kind(value)}")
    if not least <= value <= last:
        raise ValueError(f"{name} must be at least {least} and at most {last}, got {str(value)[:40]}")
    return value


def number(asked: Asked, name: str, default: float, least: float, last: float) -> float:
    """A finite number of `least` to `last`."""
    value = asked.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a number, got {_kind(value)}")
    if not least <= value <= last:
        raise ValueError(f"{name} must be at least {least:g} and at most {last:g}, got {value:g}")
    return float(value)


def square(asked: Asked, name: str, side: int) -> tuple[int, int] | None:
    """(row, column) inside a grid of that side; None where none is given."""
    value = asked.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{name} must be [row, column], got {_kind(value)}")
    row, column = (whole({name: part}, name, 0, 0, side - 1) for part in value)
    return row, column


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {value!r:.40}"
