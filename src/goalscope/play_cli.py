"""The command `goalscope play`: one maze, Sokoban level or chess position through a policy's eyes, in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def play(
    what: Annotated[
        str, typer.Argument(help="A file with the text of a maze, a Sokoban level or a FEN; or a FEN.")
    ],
    policy: Annotated[
        str | None,
        typer.Option(
            help="Name, or path of a checkpoint [default: mouse-topright; sokoban-small; maia-1900 for chess]."
        ),
    ] = None,
    thinking: Annotated[int, typer.Option(help="Sokoban: looks at the level before the first move.")] = 0,
) -> None:
    """Show a maze with a policy's arrows, a Sokoban level as it is played, or a chess position with its likeliest moves."""
    text = _text(what)
    if _is_fen(text):
        _chess(text, policy or "maia-1900")
    elif set(text) & set("@+") and set(text) & set("$*"):
        _sokoban(text, policy or "sokoban-small", thinking)
    else:
        _maze(text, policy or "mouse-topright")


def _maze(text: str, policy: str) -> None:
    from goalscope.plots.terminal import show_field
    from goalscope.rollout import vector_field

    field = vector_field(policy, text)
    row = field.maze
    print(show_field(row.walls[0], row.mouse[0], row.cheese[0], field.squares, field.moves))
    if row.cheese[0, 0] >= 0:
        print(f"P(reach the cheese within {field.steps} steps) = {field.reach_start:.3f}")


def _sokoban(text: str, policy: str, thinking: int) -> None:
    from goalscope.policies.checkpoint import load
    from goalscope.studies.sokoban_play import play_level, show_episode
    from goalscope.studies.sokoban_reader import plan_reader
    from goalscope.worlds.sokoban_text import parse_level

    loaded = load(policy)
    size = getattr(loaded.module, "size", None)
    state = parse_level(text, size and (size, size))
    show_episode(play_level(loaded.module, state, thinking, plan_reader(loaded)))


def _chess(text: str, policy: str) -> None:
    from goalscope.policies.checkpoint import load
    from goalscope.studies.chess_position import show_position
    from goalscope.worlds.chess_game import parse_board

    parse_board(text)  # a mistake in it is told before weights that are not there
    print(show_position(load(policy), text))


def _text(what: str) -> str:
    """What a file holds; a FEN stands for itself."""
    if _is_fen(what):
        return what
    try:
        return Path(what).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is not a text file (byte {error.start} is not UTF-8)") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{what!r} is neither a file nor a FEN (eight rows joined by '/')") from error


def _is_fen(text: str) -> bool:
    """Eight rows with slashes between them, of pieces and digits: neither a maze nor a plausible path."""
    rows = (text.split() or [""])[0].split("/")
    return len(rows) == 8 and all(row and not row.strip("pnbrqkPNBRQK0123456789") for row in rows)
