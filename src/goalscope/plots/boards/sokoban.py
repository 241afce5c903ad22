"""Sokoban boards as drawings, with a plan on them: one board, a filmstrip of ticks or moves, an animation.

A plan is what a probe reads (or a solution is): for every square the chance that the player, or a box, next leaves it
in each direction. Directions are UP, DOWN, LEFT, RIGHT; squares are (row, column) with row 0 on top. Everything is
static text without script: the animation is the SVG's own, and shows its first frame where that is not supported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goalscope.plots.boards import panels
from goalscope.plots.boards.glyphs import arrow_outline
from goalscope.plots.palette import BLUE, PAPER, VERMILLION
from goalscope.plots.svg import Key, document, heading, label, legend, num, rect

STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""(row, column) change of UP, DOWN, LEFT, RIGHT"""
FAINT = 0.15
"""plans below this chance are not drawn"""
_GAP = 14.0
_WALL, _FLOOR, _LINE = "#2e3138", "#f4f1e8", "#e4dfd0"
_BOX, _BOX_EDGE, _HOME, _HOME_EDGE = "#c89b5c", "#6b4a1d", "#7fb77e", "#2c5a2b"
_GOAL, _PLAYER = "#a3392b", "#5b2a86"


@dataclass(frozen=True)
class SokobanBoard:
    """One position and the plan drawn on it.

    Attributes:
        walls: [H, W] bool.
        goals: [H, W] bool.
        boxes: [H, W] bool.
        player: (row, column).
        agent_plan: [H, W, 4] chance that the player next leaves a square in each direction, or None.
        box_plan: [H, W, 4] the same of a box, or None.
        caption: a few words above the board.
    """

    walls: np.ndarray
    goals: np.ndarray
    boxes: np.ndarray
    player: Sequence[int] | np.ndarray
    agent_plan: np.ndarray | None = None
    box_plan: np.ndarray | None = None
    caption: str = ""


def filmstrip(
    boards: Sequence[SokobanBoard],
    *,
    columns: int = 4,
    title: str,
    description: str | None = None,
    panel_px: float = 190.0,
) -> str:
    """Draws boards in rows of `columns`, in reading order, with one legend; one board is a strip of one.

    Args:
        description: the text alternative; None composes one from the boards.
        panel_px: width of one board in user units.

    Returns:
        SVG text: static, the same bytes for the same input.

    Raises:
        ValueError: no board, or one whose arrays do not fit each other.
    """
    _check(boards)
    columns = max(1, min(columns, len(boards)))
    width = panels.row_width(columns, panel_px, _GAP)
    body, top = heading(title, width)

    def draw(i: int, left: float, top: float) -> tuple[list[str], float]:
        rows, squares = boards[i].walls.shape
        cell = panel_px / squares
        return [panels.moved(left, top, [*_ground(boards[i], cell), *_things(boards[i], cell)])], cell * rows

    strip, top = panels.in_rows(
        [board.caption for board in boards], draw, columns=columns, top=top, panel_px=panel_px, gap=_GAP,
        below_caption=5.0,
    )  # fmt: skip
    entries, bottom = legend(_keys(boards), 0, top, width)
    words = description or _describe(boards)
    return document(width, bottom + 4, [*body, *strip, *entries], title=title, description=words)


def animation(
    boards: Sequence[SokobanBoard],
    *,
    seconds: float = 0.7,
    title: str,
    description: str | None = None,
    size_px: float = 380.0,
) -> str:
    """Draws boards of one level one after the other in one place, again and again.

    Args:
        seconds: how long each is shown.
        description: the text alternative; None composes one from the first and the last board.
        size_px: width of the board in user units.

    Returns:
        SVG text: an animation without script.

    Raises:
        ValueError: no board, boards of different walls or goals, `seconds` not positive.
    """
    _check(boards)
    first = boards[0]
    for i, board in enumerate(boards):
        if not (np.array_equal(board.walls, first.walls) and np.array_equal(board.goals, first.goals)):
            raise ValueError(
                f"an animation shows one level, but board {i} has other walls or goals than board 0"
            )
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds}")
    cell = size_px / first.walls.shape[1]
    body, top = heading(title, size_px)
    captioned = any(board.caption for board in boards)
    rise = 21.0 if captioned else 0.0
    body.append(panels.moved(0, top + rise, _ground(first, cell)))
    for i, board in enumerate(boards):
        words = label(0, top + 13, board.caption, bold=True) if board.caption else ""
        shown = panels.moved(0, top + rise, _things(board, cell)) + words
        hidden = "" if i == 0 else ' visibility="hidden"'
        body.append(f"<g{hidden}>{_shown_in_turn(i, len(boards), seconds)}{shown}</g>")
    top += rise + cell * first.walls.shape[0] + _GAP
    entries, bottom = legend(_keys(boards), 0, top, size_px)
    said = description or f"{len(boards)} frames; first {_describe(boards[:1])} Last {_describe(boards[-1:])}"
    return document(size_px, bottom + 4, body + entries, title=title, description=said)


def plan_of_moves(shape: tuple[int, int], squares: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """The plan of a path: where each square is next left to.

    Args:
        shape: (H, W).
        squares: [T, 2] where the player (or a box) is before each move.
        moves: [T] UP, DOWN, LEFT, RIGHT as 0 to 3.

    Returns:
        [H, W, 4] float of 0 and 1; a square that is left several times counts the first time.
    """
    plan = np.zeros((*shape, 4))
    for (row, column), move in zip(np.asarray(squares)[::-1], np.asarray(moves)[::-1], strict=True):
        plan[row, column] = 0
        plan[row, column, move] = 1
    return plan


def _shown_in_turn(index: int, count: int, seconds: float) -> str:
    """The animation that shows frame `index` of `count` in its turn only."""
    if count == 1:
        return ""
    times, values = ["0"], ["visible" if index == 0 else "hidden"]
    if index:
        times.append(f"{index / count:.5f}")
        values.append("visible")
    if index < count - 1:
        times.append(f"{(index + 1) / count:.5f}")
        values.append("hidden")
    return (
        f'<animate attributeName="visibility" calcMode="discrete" dur="{num(seconds * count)}s" '
        f'repeatCount="indefinite" keyTimes="{";".join(times)}" values="{";".join(values)}"/>'
    )


def _ground(board: SokobanBoard, cell: float) -> list[str]:
    """Floor, lines between squares, goals and walls."""
    rows, columns = board.walls.shape
    parts = [rect(0, 0, columns * cell, rows * cell, _WALL)]
    squares = [
        f"M{num(column * cell)} {num(row * cell)}h{num(cell)}v{num(cell)}h-{num(cell)}z"
        for row, column in np.argwhere(~board.walls)
    ]
    parts.append(f'<path d="{"".join(squares)}" fill="{_FLOOR}" stroke="{_LINE}" stroke-width="1"/>')
    for row, column in np.argwhere(board.goals):
        parts.append(_goal((column + 0.5) * cell, (row + 0.5) * cell, cell))
    return parts


def _goal(x: float, y: float, cell: float) -> str:
    r = 0.2 * cell
    path = f"M{num(x)} {num(y - r)}L{num(x + r)} {num(y)}L{num(x)} {num(y + r)}L{num(x - r)} {num(y)}Z"
    return f'<path d="{path}" fill="none" stroke="{_GOAL}" stroke-width="{num(0.08 * cell)}"/>'


def _box(x: float, y: float, cell: float, home: bool) -> str:
    fill, edge = (_HOME, _HOME_EDGE) if home else (_BOX, _BOX_EDGE)
    half, inner = 0.38 * cell, 0.38 * cell
    outline = (
        f'<rect x="{num(x - half)}" y="{num(y - half)}" width="{num(2 * half)}" height="{num(2 * half)}" '
        f'rx="{num(0.07 * cell)}" fill="{fill}" stroke="{edge}" stroke-width="{num(0.07 * cell)}"/>'
    )
    third = inner / 3
    planks = f"M{num(x - inner)} {num(y - third)}H{num(x + inner)}M{num(x - inner)} {num(y + third)}H{num(x + inner)}"
    grain = f'<path d="{planks}" stroke="{edge}" stroke-opacity="0.55" stroke-width="{num(0.035 * cell)}"/>'
    return outline + grain + (_goal(x, y, cell) if home else "")


def _player(x: float, y: float, cell: float) -> str:
    return (
        f'<circle cx="{num(x)}" cy="{num(y)}" r="{num(0.31 * cell)}" fill="{_PLAYER}" stroke="{PAPER}" '
        f'stroke-width="{num(0.06 * cell)}"/><circle cx="{num(x - 0.1 * cell)}" cy="{num(y - 0.06 * cell)}" '
        f'r="{num(0.05 * cell)}" fill="{PAPER}"/><circle cx="{num(x + 0.1 * cell)}" cy="{num(y - 0.06 * cell)}" '
        f'r="{num(0.05 * cell)}" fill="{PAPER}"/>'
    )


def _things(board: SokobanBoard, cell: float) -> list[str]:
    """Boxes, player, and the plan above them."""
    parts = []
    for row, column in np.argwhere(board.boxes):
        parts.append(_box((column + 0.5) * cell, (row + 0.5) * cell, cell, bool(board.goals[row, column])))
    row, column = map(int, board.player)
    parts.append(_player((column + 0.5) * cell, (row + 0.5) * cell, cell))
    both = board.agent_plan is not None and board.box_plan is not None
    for plan, colour, shift in ((board.box_plan, VERMILLION, 0.17), (board.agent_plan, BLUE, -0.17)):
        if plan is None:
            continue
        for row, column in np.argwhere(np.asarray(plan).max(-1) >= FAINT):
            move = int(np.argmax(plan[row, column]))
            chance = float(plan[row, column, move])
            parts.append(_arrow(row, column, move, chance, colour, shift if both else 0.0, cell))
    return parts


def _arrow(row: int, column: int, move: int, chance: float, colour: str, shift: float, cell: float) -> str:
    """An arrow on a square; where both plans are drawn, each keeps to its own side of the middle."""
    down, right = STEPS[move]
    x = (column + 0.5 + (shift if down else 0)) * cell
    y = (row + 0.5 + (shift if right else 0)) * cell
    outline = arrow_outline(x, y, down, right, 0.78 * cell)
    opacity = "" if chance > 0.99 else f' opacity="{num(max(0.25, chance))}"'
    return (
        f'<path d="{outline}" fill="{colour}" stroke="{PAPER}" stroke-width="{num(0.05 * cell)}" '
        f'paint-order="stroke"{opacity}><title>{chance:.0%}</title></path>'
    )


def _keys(boards: Sequence[SokobanBoard]) -> list[Key]:
    """The legend: only what is on some board."""
    keys = [Key("player", _player(12, 8, 22))]
    if any((board.boxes & ~board.goals).any() for board in boards):
        keys.append(Key("box", _box(12, 8, 20, False)))
    if any((board.goals & ~board.boxes).any() for board in boards):
        keys.append(Key("goal", _goal(12, 8, 26)))
    if any((board.boxes & board.goals).any() for board in boards):
        keys.append(Key("box on a goal", _box(12, 8, 20, True)))
    for name, colour, words in (
        ("agent_plan", BLUE, "where the player will go"),
        ("box_plan", VERMILLION, "where a box will be pushed"),
    ):
        if any(getattr(board, name) is not None for board in boards):
            keys.append(Key(words, f'<path d="{arrow_outline(12, 8, 0, 1, 22)}" fill="{colour}"/>'))
    return keys


def _check(boards: Sequence[SokobanBoard]) -> None:
    if not boards:
        raise ValueError("a drawing needs at least one board, got none")
    for i, board in enumerate(boards):
        shape = board.walls.shape
        if len(shape) != 2:
            raise ValueError(f"board {i}: walls are [H, W], got shape {shape}")
        for name, expected in (
            ("goals", shape), ("boxes", shape), ("agent_plan", (*shape, 4)), ("box_plan", (*shape, 4)),
        ):  # fmt: skip
            given = getattr(board, name)
            if given is not None and np.shape(given) != expected:
                raise ValueError(
                    f"board {i}: {name} has shape {np.shape(given)}, walls {shape} need {expected}"
                )
        row, column = map(int, board.player)
        if not (0 <= row < shape[0] and 0 <= column < shape[1]) or board.walls[row, column]:
            raise ValueError(f"board {i}: the player at {(row, column)} is not on the floor")


def _describe(boards: Sequence[SokobanBoard]) -> str:
    """A text alternative made from what is drawn."""
    said = []
    for board in boards:
        rows, columns = board.walls.shape
        home = int((board.boxes & board.goals).sum())
        row, column = map(int, board.player)
        said.append(
            f"{board.caption or 'board'}: {rows} by {columns} squares, {int(board.boxes.sum())} boxes, {home} of them on "
            f"goals, the player at row {row}, column {column}"
        )
    return "; ".join(said) + "."
