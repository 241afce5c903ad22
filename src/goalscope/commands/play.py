"""The command `goalscope play`: one maze, Sokoban level or chess position through a policy's eyes, in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SOLVER_NODES = 200_000
"""positions searched for a solution of a level that the policy did not solve: a second or two"""
SOLVER_SQUARES = 10_000
"""of the largest board that is searched"""


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
    elif _is_sokoban(text) or (policy and _plays_sokoban(policy)):
        _sokoban(text, policy or "sokoban-small", thinking)
    else:
        _maze(text, policy or "mouse-topright")


def _maze(text: str, policy: str) -> None:
    from goalscope.plots.terminal.maze import show_field
    from goalscope.rollout import vector_field

    field = vector_field(policy, text)
    row = field.maze
    print(show_field(row.walls[0], row.mouse[0], row.cheese[0], field.squares, field.moves))
    if row.cheese[0, 0] >= 0:
        print(f"P(reach the cheese within {field.steps} steps) = {field.reach_start:.3f}")


def _plays_sokoban(policy: str) -> bool:
    from goalscope.policies.checkpoint import load

    return load(policy).config.get("world", {}).get("name") == "sokoban"


def _sokoban(text: str, policy: str, thinking: int) -> None:
    from goalscope.policies.checkpoint import load
    from goalscope.studies.sokoban_plan.setup import described
    from goalscope.viewing.plan_reader import plan_reader
    from goalscope.viewing.sokoban import play_level, show_episode
    from goalscope.worlds.sokoban.solver import Outcome, solve
    from goalscope.worlds.sokoban.text import parse_level, stack

    level = parse_level(text)  # a mistake in it is told before one in the policy's name
    loaded = load(policy)
    side, _ = described(loaded)
    fixed = getattr(loaded.module, "size", None)
    # As in the study, smaller levels are played in walls up to the policy's size: it sees how wide they are.
    height, width = (fixed or max(length, side) for length in level.walls.shape[1:])
    episode = play_level(loaded.module, stack([level], (height, width)), thinking, plan_reader(loaded))
    searched = not episode.solved and level.walls.size <= SOLVER_SQUARES
    if searched and solve(level, SOLVER_NODES).outcome is Outcome.NO_SOLUTION:
        raise ValueError("this level has no solution: no sequence of moves brings every box onto a goal")
    show_episode(episode)


def _chess(text: str, policy: str) -> None:
    from goalscope.policies.checkpoint import load
    from goalscope.viewing.chess import show_position
    from goalscope.worlds.chess.world import parse_board

    parse_board(text)  # a mistake in it is told before weights that are not there
    print(show_position(load(policy), text))


def _text(what: str) -> str:
    """What a file holds; a FEN stands for itself."""
    if _is_fen(what):
        return what
    try:
        text = Path(what).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is not a text file (byte {error.start} is not UTF-8)") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{what!r} is neither a file nor a FEN (eight rows joined by '/')") from error
    if not text.strip("\ufeff \t\r\n"):
        raise ValueError(f"{what} is empty: it must hold a maze, a Sokoban level or a FEN")
    return text


def _is_fen(text: str) -> bool:
    """Eight rows with slashes between them, of pieces and digits: neither a maze nor a plausible path."""
    rows = (text.split() or [""])[0].split("/")
    return len(rows) == 8 and all(row and not row.strip("pnbrqkPNBRQK0123456789") for row in rows)


def _is_sokoban(text: str) -> bool:
    """Whether there is a player or a box. '*' is one on a goal; in a maze, which has no blanks, a mouse on the cheese."""
    found = set(text)
    return bool(found & set("@+$")) or ("*" in found and bool(found & set(" -_")))
