"""One maze through a policy's eyes: where it would go from every square, as text."""

from __future__ import annotations

from goalscope.plots.terminal.maze import show_field
from goalscope.rollout import vector_field


def show_maze(policy: str, text: str) -> str:
    """The maze with a policy's arrows and, where there is a cheese, how likely the mouse reaches it.

    Raises:
        ValueError: a text that is no maze, a policy of another world.
    """
    field = vector_field(policy, text)
    row = field.maze
    shown = show_field(row.walls[0], row.mouse[0], row.cheese[0], field.squares, field.moves)
    if row.cheese[0, 0] >= 0:
        shown += f"\nP(reach the cheese within {field.steps} steps) = {field.reach_start:.3f}"
    return shown
