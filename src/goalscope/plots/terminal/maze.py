"""A maze with a policy's arrows as text, for the terminal."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

ARROWS = "←↓↑→·"
"""LEFT, DOWN, UP, RIGHT, STAY"""
SURE = 0.5
"""a most probable move below this is drawn thin"""
THIN = "⇠⇣⇡⇢·"


def show_field(
    walls: np.ndarray, mouse: ArrayLike, cheese: ArrayLike, squares: np.ndarray, probabilities: np.ndarray
) -> str:
    """The maze, two columns a square: walls solid, arrows for the most probable move, M the mouse, C the cheese.

    Args:
        walls: [W, W] bool. mouse, cheese: (row, column); (-1, -1) is none.
        squares: [K, 2]. probabilities: [K, 5] in the order LEFT, DOWN, UP, RIGHT, STAY.
    """
    rows = [["██" if wall else "  " for wall in line] for line in walls]
    for (row, column), chances in zip(squares, probabilities, strict=True):
        best = int(np.argmax(chances))
        rows[row][column] = (ARROWS if chances[best] >= SURE else THIN)[best] + " "
    for letter, square in (("C", cheese), ("M", mouse)):
        row, column = (int(x) for x in np.asarray(square))
        if row >= 0:
            rows[row][column] = letter + rows[row][column][0]
    # What is solid all around says nothing.
    free = ~np.asarray(walls)
    lines, columns = np.flatnonzero(free.any(1)), np.flatnonzero(free.any(0))
    rows = [row[columns[0] : columns[-1] + 1] for row in rows[lines[0] : lines[-1] + 1]]
    key = f"M mouse, C cheese, arrow: most probable move ({THIN[3]} where below {SURE:.0%})"
    frame = "█" * (2 * len(rows[0]) + 4)
    return "\n".join([frame, *("██" + "".join(line) + "██" for line in rows), frame, key])
