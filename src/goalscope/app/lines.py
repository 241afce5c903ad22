"""Lines of Python that give the numbers which the page shows: what "copy as Python" copies."""

from __future__ import annotations

from collections.abc import Sequence


def maze_lines(policies: Sequence[str], text: str, steps: int) -> str:
    """The lines for policies on one maze; they leave `field` and `ends` of the last one."""
    lines = ["import goalscope", "", f'maze = """\n{text}\n"""']
    for name in policies:
        lines += [
            f"policy = goalscope.load({name!r})",
            f"field = goalscope.vector_field(policy, maze, steps={steps})",
            "print(policy.name, field.reach_start)",
            f"ends = goalscope.fields(policy, goalscope.Maze(len(field.maze.walls[0])), field.maze).occupancy({steps})",
        ]
    return "\n".join(lines) + "\n"
