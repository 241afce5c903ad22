"""A Sokoban board as text, for the terminal, with the plan of the player and of the boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from goalscope.plots.boards.sokoban import FAINT

AGENT, BOX = "↑↓←→", "⇑⇓⇐⇒"
"""UP, DOWN, LEFT, RIGHT, where the player will go and where a box will be pushed"""


def show_sokoban(
    walls: np.ndarray,
    goals: np.ndarray,
    boxes: np.ndarray,
    player: ArrayLike,
    agent_plan: np.ndarray | None = None,
    box_plan: np.ndarray | None = None,
) -> str:
    """The board in the letters of XSB, three columns a square: what is there, a box's plan, the player's plan.

    Args:
        walls: [H, W] bool.
        goals: [H, W] bool.
        boxes: [H, W] bool.
        player: (row, column).
        agent_plan: [H, W, 4] chance of leaving a square UP, DOWN, LEFT, RIGHT next, or None for no plan.
        box_plan: [H, W, 4] the same of a box.

    Returns:
        H lines and a key, without a line end. What is wall all around is left out.
    """
    here = tuple(int(x) for x in np.asarray(player))
    lines = []
    for row, line in enumerate(walls):
        cells = []
        for column, wall in enumerate(line):
            if wall:
                cells.append("███")
                continue
            goal, box = bool(goals[row, column]), bool(boxes[row, column])
            thing = "+@"[not goal] if (row, column) == here else "*$"[not goal] if box else " ."[goal]
            cells.append(thing + _arrow(box_plan, row, column, BOX) + _arrow(agent_plan, row, column, AGENT))
        lines.append(cells)
    free = ~np.asarray(walls)
    tall, wide = np.flatnonzero(free.any(1)), np.flatnonzero(free.any(0))
    top, bottom = max(tall[0] - 1, 0), min(tall[-1] + 2, len(walls))
    left, right = max(wide[0] - 1, 0), min(wide[-1] + 2, walls.shape[1])
    key = "@ player, $ box, . goal, * box on a goal, + player on a goal"
    if agent_plan is not None:
        key += f"; {AGENT[3]} where the player will go"
    if box_plan is not None:
        key += f"; {BOX[3]} where a box will be pushed"
    return "\n".join(["".join(cells[left:right]) for cells in lines[top:bottom]] + [key])


def _arrow(plan: np.ndarray | None, row: int, column: int, letters: str) -> str:
    if plan is None or plan[row, column].max() < FAINT:
        return " "
    return letters[int(np.argmax(plan[row, column]))]
