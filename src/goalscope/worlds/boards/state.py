"""A position of two players' stones: what it is, how it is written, and the moves of the side whose moves are drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from goalscope.showing import drawing, text

LETTERS = "XO"
"""of the first and the second player's stones"""
_FORM = "'level NUMBER', 'moves NUMBER', 'turn X' or 'turn O', 'last ROW COLUMN' or 'last -'"


@dataclass(frozen=True)
class BoardState:
    """N positions on H x W squares. Coordinates are (row, column), row 0 on top."""

    __repr__, _repr_html_ = text, drawing

    stones: np.ndarray
    """[N, 2, H, W] bool: the first player's and the second's"""
    turn: np.ndarray
    """[N] int8: whose move it is, 0 or 1; where the other side's moves are drawn, always the one who is asked"""
    last: np.ndarray
    """[N, 2] int8: the square of the last move, -1 where there is none"""
    moves: np.ndarray
    """[N] int16: how many there were, passing among them"""
    level: np.ndarray
    """[N] uint64: what the drawn moves are drawn from"""
    over: np.ndarray
    """[N] bool: the game has ended"""

    def __len__(self) -> int:
        return len(self.stones)

    @property
    def own(self) -> np.ndarray:
        """[N, H, W] bool: the stones of the one whose move it is."""
        return self.stones[np.arange(len(self)), self.turn]

    @property
    def theirs(self) -> np.ndarray:
        """[N, H, W] bool: the other's."""
        return self.stones[np.arange(len(self)), 1 - self.turn]


def drawn_moves(state: BoardState, legal: np.ndarray) -> np.ndarray:
    """[N] one of the legal moves [N, A] each, drawn from the level's number and the count of moves, whatever else is asked.

    The draw is splitmix64's (Steele, Lea & Flood 2014).
    """
    x = (state.level * np.uint64(1000) + state.moves.astype(np.uint64) + np.uint64(1)) * np.uint64(
        0x9E3779B97F4A7C15
    )
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    count = legal.sum(1)
    which = (x >> np.uint64(11)) % np.maximum(count, 1).astype(np.uint64)
    return (legal.cumsum(1) > which[:, None].astype(np.int64)).argmax(1)


def position_text(state: BoardState, i: int) -> str:
    """Position i: its level, count of moves, turn, last move, and the rows of X, O and '.'."""
    grid = np.full(state.stones.shape[2:], ".")
    for player, letter in enumerate(LETTERS):
        grid[state.stones[i, player]] = letter
    row, column = state.last[i].tolist()
    last = "-" if row < 0 else f"{row} {column}"
    head = f"level {state.level[i]}\nmoves {state.moves[i]}\nturn {LETTERS[state.turn[i]]}\nlast {last}\n"
    return head + "\n".join(" ".join(line) for line in grid.tolist())


def parse_position(text: str, side: int, over: Callable[[BoardState], np.ndarray]) -> BoardState:
    """One position from its text.

    Args:
        text: as `position_text` writes it. side: of the board. over: whether positions [1] are at their end.

    Raises:
        ValueError: with line and column, for another form.
    """
    lines = [line.split() for line in text.strip("\n").split("\n")]
    if len(lines) != 4 + side or [line[:1] for line in lines[:4]] != [
        ["level"],
        ["moves"],
        ["turn"],
        ["last"],
    ]:
        raise ValueError(
            f"line 1: the lines {_FORM} and {side} rows of X, O and '.' are wanted, got {len(lines)} lines"
        )
    level, moves, turn, last = (line[1:] for line in lines[:4])
    for number, words in enumerate((level, moves, [] if last == ["-"] else last), 1):
        wrong = [word for word in words if not word.isdecimal()]
        if wrong or (number < 3 and len(words) != 1) or (number == 3 and words and len(words) != 2):
            raise ValueError(f"line {number if number < 3 else 4}, column 1: {_FORM} are wanted")
    if turn not in (["X"], ["O"]):
        raise ValueError("line 3, column 6: the turn is X or O")
    for number, line in enumerate(lines[4:], 5):
        wrong = [i for i, letter in enumerate(line) if letter not in ("X", "O", ".")]
        if wrong or len(line) != side:
            column = 1 + 2 * (wrong[0] if wrong else min(len(line), side))
            raise ValueError(
                f"line {number}, column {column}: {side} of X, O and '.', apart by spaces, are wanted"
            )
    grid = np.array(lines[4:])
    square = [-1, -1] if last == ["-"] else [int(word) for word in last]
    if max(square) >= side:
        raise ValueError(f"line 4, column 6: the square {tuple(square)} lies outside {side} x {side}")
    made = BoardState(
        np.stack([grid == letter for letter in LETTERS])[None], np.array([LETTERS.index(turn[0])], np.int8),
        np.array([square], np.int8), np.array([int(moves[0])], np.int16), np.array([int(level[0])], np.uint64),
        np.zeros(1, bool),
    )  # fmt: skip
    return dataclasses.replace(made, over=over(made))


def checked(actions: np.ndarray, legal: np.ndarray, names: str) -> np.ndarray:
    """[N] actions, once they are numbers and legal [N, A].

    Raises:
        ValueError: another shape or type, no such action, or one that the rules forbid.
    """
    actions = np.asarray(actions)
    if actions.shape != (len(legal),) or actions.dtype.kind not in "iu":
        raise ValueError(
            f"actions must be [{len(legal)}] integers, got {actions.dtype} {list(actions.shape)}"
        )
    outside = (actions < 0) | (actions >= legal.shape[1])
    if outside.any():
        i = int(outside.argmax())
        raise ValueError(f"level {i}: action {actions[i]} is none of 0 to {legal.shape[1] - 1}")
    forbidden = ~legal[np.arange(len(legal)), actions]
    if forbidden.any():
        i = int(forbidden.argmax())
        raise ValueError(
            f"level {i}: {names} forbids move {actions[i]} here; legal(state) says which it allows"
        )
    return actions
