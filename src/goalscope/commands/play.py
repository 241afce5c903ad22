"""The command `goalscope play`: one maze, Sokoban level or chess position through a policy's eyes, in the terminal."""

from __future__ import annotations

from typing import Annotated

from goalscope.commands.parser import Argument, Option
from goalscope.viewing.kinds import is_fen as _is_fen
from goalscope.viewing.kinds import is_sokoban as _is_sokoban
from goalscope.viewing.kinds import text_of as _text


def play(
    what: Annotated[str, Argument("A file with the text of a maze, a Sokoban level or a FEN; or a FEN.")],
    policy: Annotated[
        str | None,
        Option(
            help="Name, path of a checkpoint, or file.py:factory [default: mouse-topright; sokoban-small; for chess "
            "maia-1900]."
        ),
    ] = None,
    thinking: Annotated[int, Option("Sokoban: looks at the level before the first move.")] = 0,
) -> None:
    """Show a maze with a policy's arrows, a Sokoban level as it is played, or a chess position with its likeliest moves."""
    text = _text(what)
    if _is_fen(text):
        _chess(text, policy or "maia-1900")
    elif _is_sokoban(text) or (policy and _plays_sokoban(policy)):
        _sokoban(text, policy or "sokoban-small", thinking)
    else:
        _maze(text, policy or "mouse-topright")


# What needs torch is imported where it is run: `goalscope --help` does without.


def _plays_sokoban(policy: str) -> bool:
    from goalscope.viewing.level import plays_sokoban

    return plays_sokoban(policy)


def _maze(text: str, policy: str) -> None:
    from goalscope.viewing.maze import show_maze

    print(show_maze(policy, text))


def _sokoban(text: str, policy: str, thinking: int) -> None:
    from goalscope.viewing.level import play_text
    from goalscope.viewing.sokoban import show_episode

    show_episode(play_text(policy, text, thinking))


def _chess(text: str, policy: str) -> None:
    from goalscope.policies.given import policy_of
    from goalscope.viewing.chess import show_position
    from goalscope.worlds.chess.world import parse_board

    parse_board(text)  # a mistake in it is told before weights that are not there
    print(show_position(policy_of(policy), text))
