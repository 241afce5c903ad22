"""The worst that a policy does over all changes of one maze, as text with both mazes drawn: `goalscope bound`."""

from __future__ import annotations

from goalscope.policies.given import policy_of
from goalscope.rollout.extremes import reach_extremes
from goalscope.viewing.maze import show_maze
from goalscope.worlds.maze import Maze
from goalscope.worlds.maze.variants import Variants, cheese_anywhere, walls_toggled

STEPS = 200
"""the time limit, as everywhere"""


def show_bound(
    policy: str, text: str, walls: int | None = None, sample: int | None = None, seed: int = 0
) -> str:
    """Least and greatest P(reach the cheese) over the changes, with the maze that attains each.

    Args:
        policy: as on the command line.
        text: of the maze.
        walls: up to so many walls are turned; None puts the cheese on each square instead.
        sample: draw so many changes of walls; the least is then no bound, and the words say so.
        seed: of the draw.

    Raises:
        ValueError: a text that is no maze; as `variants` and `fields`.
    """
    given = policy_of(policy)
    size = getattr(given.module, "size", None)
    world = Maze(size) if size else Maze(max(3, len(text.strip().splitlines()) | 1))
    maze = world.parse(text)
    made = cheese_anywhere(maze) if walls is None else walls_toggled(maze, walls, sample=sample, seed=seed)
    found = reach_extremes(given, world, made.state, STEPS)
    count = len(made.state)
    kind = "Bound" if made.all else f"No bound, but the extremes of {count} changes drawn at random"
    lines = [
        f"{kind}: {made.what}; {count} mazes{_closed(made)}.",
        f"P(reach the cheese within {STEPS} steps) is at least {found.least:.4f} and at most {found.greatest:.4f}"
        f"{'' if made.all else ' in these'}; mean {found.values.mean():.4f}.",
        "", f"Least, {found.least:.4f}:", show_maze(policy, world.text(found.least_at)[0]),
        "", f"Greatest, {found.greatest:.4f}:", show_maze(policy, world.text(found.greatest_at)[0]),
    ]  # fmt: skip
    return "\n".join(lines)


def _closed(made: Variants) -> str:
    return f" ({made.closed} more in which no way leads to the cheese are left out)" if made.closed else ""
