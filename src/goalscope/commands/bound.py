"""The command `goalscope bound`: the worst that a policy does over all changes of one maze."""

from __future__ import annotations

from typing import Annotated

from goalscope.commands.parser import Argument, Option
from goalscope.viewing.kinds import text_of


def bound(
    what: Annotated[str, Argument("A file with the text of a maze.")],
    over: Annotated[
        str, Option("The changes: 'cheese' for all its places, or 'walls:K' for up to K walls turned.")
    ] = "cheese",
    policy: Annotated[str, Option("Name, path of a checkpoint, or file.py:factory.")] = "mouse-topright",
    sample: Annotated[
        int | None, Option("So many sets of walls drawn at random: an estimate, no bound.")
    ] = None,
    seed: Annotated[int, Option("Of the draw.")] = 0,
) -> None:
    """Show the least and the greatest chance that a policy reaches the cheese over all changes of a maze, and where."""
    walls = _walls(over)
    if sample is not None and walls is None:
        raise ValueError("--sample draws changes of walls: all places of the cheese are few enough to try")
    text = text_of(what)
    # What needs torch is imported where it is run: `goalscope --help` does without.
    from goalscope.viewing.bound import show_bound

    print(show_bound(policy, text, walls, sample, seed))


def _walls(over: str) -> int | None:
    """How many walls an option `--over` means; None where it means the cheese."""
    kind, _, many = over.partition(":")
    if over == "cheese":
        return None
    if kind == "walls" and many.isdecimal() and int(many):
        return int(many)
    raise ValueError(f"--over is 'cheese' or 'walls:K' with K walls at most, at least 1, got {over!r}")
