"""The worst that a policy does over all changes of one maze, as text with both mazes drawn: `goalscope bound`."""

from __future__ import annotations

from goalscope.policies.given import policy_of
from goalscope.rollout.extremes import reach_extremes
from goalscope.viewing.maze import show_maze
from goalscope.worlds.maze import Maze, MazeState
from goalscope.worlds.maze.variants import Variants, cheese_anywhere, walls_toggled

STEPS = 200
"""the time limit, as everywhere"""


def show_bound(policy: str, text: str, over: str, sample: int | None = None, seed: int = 0) -> str:
    """Least and greatest P(reach the cheese) over the changes, with the maze that attains each.

    Args:
        policy: as on the command line.
        text: of the maze.
        over: 'cheese', or 'walls:K' for up to K walls turned.
        sample: draw so many changes; the least is then no bound, and the words say so.
        seed: of the draw.

    Raises:
        ValueError: another `over`, a text that is no maze, as `variants` and `fields`.
    """
    given = policy_of(policy)
    size = getattr(given.module, "size", None)
    world = Maze(size) if size else Maze(max(3, len(text.strip().splitlines()) | 1))
    made = variants_of(world.parse(text), over, sample, seed)
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


def variants_of(maze: MazeState, over: str, sample: int | None, seed: int) -> Variants:
    """The mazes that an option `--over` means."""
    kind, _, many = over.partition(":")
    if kind == "cheese" and not many and sample is None:
        return cheese_anywhere(maze)
    if kind == "walls" and many.isdecimal():
        return walls_toggled(maze, int(many), sample=sample, seed=seed)
    if kind == "cheese" and not many:
        raise ValueError("--sample draws changes of walls; all places of the cheese are few enough")
    raise ValueError(f"--over is 'cheese' or 'walls:K' with K walls at most, got {over!r}")
