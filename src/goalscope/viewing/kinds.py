"""What a text shows: a maze, a Sokoban level or a chess position."""

from __future__ import annotations

from goalscope.files import read_text


def text_of(what: str) -> str:
    """What a file holds; a FEN stands for itself."""
    if is_fen(what):
        return what
    try:
        text = read_text(what, windows=True)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{what!r} is neither a file nor a FEN (eight rows joined by '/')") from error
    if not text.strip():
        raise ValueError(f"{what} is empty: it must hold a maze, a Sokoban level or a FEN")
    return text


def is_fen(text: str) -> bool:
    """Eight rows with slashes between them, of pieces and digits: neither a maze nor a plausible path."""
    rows = (text.removeprefix("\ufeff").split() or [""])[0].split("/")
    return len(rows) == 8 and all(row and not row.strip("pnbrqkPNBRQK0123456789") for row in rows)


def is_sokoban(text: str) -> bool:
    """Whether there is a player or a box. '*' is one on a goal; in a maze, which has no blanks, a mouse on the cheese."""
    found = set(text)
    return bool(found & set("@+$")) or ("*" in found and bool(found & set(" -_")))
