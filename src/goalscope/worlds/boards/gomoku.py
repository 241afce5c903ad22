"""Stones in a row: who first has so many of them in one line wins; a full board is a draw."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np

from goalscope.worlds.boards.picture import board_picture
from goalscope.worlds.boards.state import BoardState, checked, drawn_moves, parse_position, position_text
from goalscope.worlds.contract import Step, whole_seeds


def line_of(stones: np.ndarray, length: int) -> np.ndarray:
    """[N] bool: so many of the stones [N, H, W] lie in one row, column or diagonal."""
    found = np.zeros(len(stones), bool)
    height, width = stones.shape[1:]
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        rows, columns = height - down * (length - 1), width - abs(right) * (length - 1)
        if rows < 1 or columns < 1:
            continue
        first = (length - 1) * (right < 0)
        parts = [
            stones[:, k * down : k * down + rows, first + k * right : first + k * right + columns]
            for k in range(length)
        ]
        found |= np.logical_and.reduce(parts).any((1, 2))
    return found


class GomokuBoard:
    """The game behind the World protocol; an action is a square, row after row.

    Args:
        side: of the board.
        row: stones in one line that win.
        replies: whether the other side's moves are drawn by the world, who then is the first player in every second level;
            else both sides are played by the one who is asked.
    """

    name = "gomoku"
    no_chain = "a game of two players has too many positions"

    def __init__(self, side: int = 6, row: int = 4, replies: bool = True):
        if not 3 <= row <= side or side > 11:
            raise ValueError(f"side must be at most 11 and row from 3 to side, got side {side} and row {row}")
        self.side, self.row, self.replies = side, row, replies
        self.time_limit = side * side
        self.observation_shape = (4, side, side)
        squares = {f"R{r}C{c}": r * side + c for r in range(side) for c in range(side)}
        self.actions: type[IntEnum] = IntEnum("Square", squares)  # type: ignore[assignment]

    def generate(self, seeds: Sequence[int] | np.ndarray) -> BoardState:
        """[N] empty boards; where replies are drawn, of uneven seeds with a first stone of the other side."""
        level = whole_seeds(seeds)
        n = len(level)
        empty = BoardState(
            np.zeros((n, 2, self.side, self.side), bool), np.zeros(n, np.int8), np.full((n, 2), -1, np.int8),
            np.zeros(n, np.int16), level, np.zeros(n, bool),
        )  # fmt: skip
        second = (level % np.uint64(2) == 1) & self.replies
        return self._placed(empty, drawn_moves(empty, self.legal(empty)), second)

    def legal(self, state: BoardState) -> np.ndarray:
        """[N, A] bool: free squares; where the game is over all, which change nothing."""
        return (~state.stones.any(1)).reshape(len(state), -1) | state.over[:, None]

    def step(self, state: BoardState, actions: np.ndarray) -> Step[BoardState]:
        """A stone in each game, and the drawn reply; 1 for a line, -1 where the reply makes one.

        Args:
            state: N positions. actions: [N] squares.

        Raises:
            ValueError: no such square, or one that is taken.
        """
        going = ~state.over
        made = self._placed(state, checked(actions, self.legal(state), self.name), going)
        reward = (going & line_of(made.theirs, self.row)).astype(np.float32)
        made = self._ended(made)
        if self.replies:
            answers = going & ~made.over
            made = self._ended(self._placed(made, drawn_moves(made, self.legal(made)), answers))
            reward -= answers & line_of(made.theirs, self.row)
            # Where no reply came the game is over, and the turn stays with the one who is asked.
            turn = np.where(going & ~answers, state.turn, made.turn)
            made = dataclasses.replace(made, turn=turn)
        return Step(made, reward, made.over.copy())

    def observe(self, state: BoardState) -> np.ndarray:
        """[N, 4, side, side] uint8: own stones, theirs, the last move, and 1 where the first player is to move."""
        planes = np.zeros((len(state), *self.observation_shape), np.uint8)
        planes[:, 0], planes[:, 1] = state.own, state.theirs
        there = np.flatnonzero(state.last[:, 0] >= 0)
        planes[there, 2, state.last[there, 0], state.last[there, 1]] = 1
        planes[:, 3] = (state.turn == 0)[:, None, None]
        return planes

    def text(self, state: BoardState) -> list[str]:
        """The N positions as texts."""
        return [position_text(state, i) for i in range(len(state))]

    def parse(self, text: str) -> BoardState:
        """One position from its text; raises ValueError with line and column."""
        return parse_position(text, self.side, lambda made: self._ended(made).over)

    def picture(self, state: BoardState, i: int) -> str:
        """Position i as SVG text."""
        return board_picture(state, i)

    def aims(self) -> dict[str, Callable[[BoardState], np.ndarray]]:
        """What can be brought about: a line, and a full board without one."""
        either = {"a line": lambda s: line_of(s.own, self.row) | line_of(s.theirs, self.row)}
        own = {
            "an own line": lambda s: line_of(s.own, self.row),
            "a line of the other side": lambda s: line_of(s.theirs, self.row),
        }
        full = {"a full board": lambda s: s.over & ~either["a line"](s)}
        return {**(own if self.replies else either), **full}

    def _placed(self, state: BoardState, actions: np.ndarray, where: np.ndarray) -> BoardState:
        """A stone of the one whose turn it is, and the turn to the other, in the levels that are marked [N] bool."""
        i = np.flatnonzero(where)
        row, column = np.divmod(np.asarray(actions)[i].astype(np.int64), self.side)
        stones, turn, last, moves = (x.copy() for x in (state.stones, state.turn, state.last, state.moves))
        stones[i, turn[i], row, column] = True
        last[i, 0], last[i, 1] = row, column
        turn[i] = 1 - turn[i]
        moves[i] += 1
        return dataclasses.replace(state, stones=stones, turn=turn, last=last, moves=moves)

    def _ended(self, state: BoardState) -> BoardState:
        lines = line_of(state.stones[:, 0], self.row) | line_of(state.stones[:, 1], self.row)
        return dataclasses.replace(state, over=lines | state.stones.any(1).all((1, 2)))
