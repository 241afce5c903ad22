"""What lies where in MiniGrid levels, and the same levels with something moved, removed, added, or the agent elsewhere.

An edited level is not over, wherever its agent was.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from goalscope.worlds.minigrid.state import Colour, Facing, Kind, MiniGridState

STANDS = (Kind.EMPTY, Kind.FLOOR)
"""where an agent may be put: on goal or lava the level would be over"""


def things(state: MiniGridState) -> list[dict[str, tuple[int, int]]]:
    """What lies in each of N levels, walls and floor left out: name ("yellow key", then "yellow key 2") -> square."""
    found = []
    for cells in state.cells:
        here: dict[str, tuple[int, int]] = {}
        many: dict[str, int] = {}
        for row, column in np.argwhere(cells[:, :, 0] >= Kind.DOOR).tolist():
            kind, colour, _ = map(int, cells[row, column])
            name = f"{Colour(colour).name} {Kind(kind).name}".lower()
            many[name] = many.get(name, 0) + 1
            here[name if many[name] == 1 else f"{name} {many[name]}"] = (row, column)
        found.append(here)
    return found


def remove(state: MiniGridState, squares: np.ndarray) -> MiniGridState:
    """The levels with the squares [N, 2] empty (a wall that is removed is a way).

    Raises:
        ValueError: a square outside the grid.
    """
    n, rows, columns = squares_of(state, squares)
    cells, inside = state.cells.copy(), state.inside.copy()
    cells[n, rows, columns] = (Kind.EMPTY, 0, 0)
    inside[n, rows, columns] = 0
    return _edited(state, cells=cells, inside=inside)


def move(state: MiniGridState, squares: np.ndarray, to: np.ndarray) -> MiniGridState:
    """The levels with what lies on the squares [N, 2] on the squares `to` [N, 2], with all that it holds.

    Where it is what the level's target square is about, that goes with it.

    Raises:
        ValueError: a square outside the grid; nothing lies on the one, or something (or the agent) on the other.
    """
    n, rows, columns = squares_of(state, squares)
    _, new_rows, new_columns = squares_of(state, to)
    bare = state.cells[n, rows, columns, 0] == Kind.EMPTY
    if bare.any():
        i = int(bare.argmax())
        raise ValueError(
            f"level {i}: nothing lies on ({rows[i]}, {columns[i]}); things(state) says what lies where"
        )
    out = remove(state, squares)
    _free(out, new_rows, new_columns)
    out.cells[n, new_rows, new_columns] = state.cells[n, rows, columns]
    out.inside[n, new_rows, new_columns] = state.inside[n, rows, columns]
    meant = (state.target[:, 0] == rows) & (state.target[:, 1] == columns)
    target = np.where(meant[:, None], np.stack([new_rows, new_columns], 1), state.target)
    return dataclasses.replace(out, target=target.astype(np.int16))


def add(
    state: MiniGridState, squares: np.ndarray, kind: Kind, colour: Colour, status: int = 0
) -> MiniGridState:
    """The levels with one more thing each, on the empty squares [N, 2]; status is a door's: 0 open, 1 closed, 2 locked.

    Raises:
        ValueError: a square outside the grid, or not empty; no kind, colour or status.
    """
    kind, colour = Kind(kind), Colour(colour)
    if status not in ((0, 1, 2) if kind == Kind.DOOR else (0,)):
        raise ValueError(
            f"status must be 0 (of doors also 1 closed, 2 locked), got {status!r} for a {kind.name.lower()}"
        )
    n, rows, columns = squares_of(state, squares)
    _free(state, rows, columns)
    cells = state.cells.copy()
    cells[n, rows, columns] = (kind, colour, status)
    return _edited(state, cells=cells)


def move_agent(state: MiniGridState, squares: np.ndarray, facing: Facing | None = None) -> MiniGridState:
    """The levels with the agent on the squares [N, 2], looking as before where `facing` is None.

    Raises:
        ValueError: a square outside the grid, or one where nobody can stand.
    """
    n, rows, columns = squares_of(state, squares)
    there = state.cells[n, rows, columns]
    stands = np.isin(there[:, 0], STANDS) | ((there[:, 0] == Kind.DOOR) & (there[:, 2] == 0))
    if not stands.all():
        i = int((~stands).argmax())
        raise ValueError(
            f"level {i}: the agent cannot be put on ({rows[i]}, {columns[i]}), where a "
            f"{Kind(int(there[i, 0])).name.lower()} lies"
        )
    agent = state.agent.copy()
    agent[:, 0], agent[:, 1] = rows, columns
    if facing is not None:
        agent[:, 2] = Facing(facing)
    return _edited(state, agent=agent)


def _edited(state: MiniGridState, **fields: np.ndarray) -> MiniGridState:
    return dataclasses.replace(state, over=np.zeros(len(state), bool), **fields)  # type: ignore[arg-type]


def squares_of(state: MiniGridState, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squares [N, 2] as indices: levels, rows and columns, [N] int64 each.

    Raises:
        ValueError: another shape than that, or a square outside the grid.
    """
    squares = np.asarray(squares)
    if squares.shape != (len(state), 2) or squares.dtype.kind not in "iu":
        raise ValueError(
            f"squares must be [{len(state)}, 2] integers, got {squares.dtype} {list(squares.shape)}"
        )
    height, width = state.cells.shape[1:3]
    outside = ((squares < 0) | (squares >= (height, width))).any(1)
    if outside.any():
        i = int(outside.argmax())
        raise ValueError(f"level {i}: square {tuple(squares[i].tolist())} lies outside {height} x {width}")
    squares = squares.astype(np.int64)
    return np.arange(len(state)), squares[:, 0], squares[:, 1]


def _free(state: MiniGridState, rows: np.ndarray, columns: np.ndarray) -> None:
    n = np.arange(len(state))
    taken = state.cells[n, rows, columns, 0] != Kind.EMPTY
    taken |= (state.agent[:, 0] == rows) & (state.agent[:, 1] == columns)
    if taken.any():
        i = int(taken.argmax())
        raise ValueError(f"level {i}: the square ({rows[i]}, {columns[i]}) is not free")
