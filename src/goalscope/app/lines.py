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


def edit_lines(kind: str, how: float | tuple[int, int], steps: int) -> str:
    """The lines that follow for the policy edited: `kind` is 'cheese' with a dose, or 'send' with a square."""
    if kind == "cheese":
        lines = [
            "from goalscope.app.edited import cheese_fields",
            f"edited = cheese_fields(policy, field.maze, {how!r})",
            f"print(edited.reach_from_start({steps})[0])",
        ]
    else:
        lines = [
            "from goalscope.app.edited import learn, reach_of, sent_fields",
            f"edited = sent_fields(policy, field.maze, {how!r}, learn(policy))",
            f"print(reach_of(edited, {how!r}, {steps}))",
        ]
    return "\n".join(lines) + "\n"
