"""Reversi: a stone turns over the other's that lie between it and another own one; most stones win."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np

from goalscope.worlds.boards.picture import board_picture
from goalscope.worlds.boards.state import BoardState, checked, drawn_moves, parse_position, position_text
from goalscope.worlds.contract import Step, whole_seeds

SIDE = 8
PASS = SIDE * SIDE
"""the move of who has no other"""
_WAYS = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
CORNERS = ((0, 0), (0, -1), (-1, 0), (-1, -1))


def _shifted(board: np.ndarray, way: tuple[int, int]) -> np.ndarray:
    """[N, H, W] moved one square that way; what leaves the board is gone."""
    out = np.zeros_like(board)
    (to_r, from_r), (to_c, from_c) = (
        (slice(max(w, 0), SIDE + min(w, 0)), slice(max(-w, 0), SIDE - max(w, 0))) for w in way
    )
    out[:, to_r, to_c] = board[:, from_r, from_c]
    return out


def _between(first: np.ndarray, theirs: np.ndarray, way: tuple[int, int]) -> np.ndarray:
    """[N, H, W]: the unbroken rows of the other's stones that begin beside the squares `first`, that way."""
    found = theirs & _shifted(first, way)
    for _ in range(SIDE - 3):
        found |= theirs & _shifted(found, way)
    return found


class ReversiBoard:
    """The game behind the World protocol; an action is a square, row after row, or `PASS`, only where there is no other.

    Args:
        replies: as `GomokuBoard`'s.
    """

    name = "reversi"
    no_chain = "a game of two players has too many positions"
    time_limit = 80
    observation_shape = (2, SIDE, SIDE)
    actions: type[IntEnum] = IntEnum(  # type: ignore[assignment]
        "Move", {**{f"R{r}C{c}": r * SIDE + c for r in range(SIDE) for c in range(SIDE)}, "PASS": PASS}
    )

    def __init__(self, replies: bool = True):
        self.replies = replies

    def generate(self, seeds: Sequence[int] | np.ndarray) -> BoardState:
        """[N] boards with four stones; where replies are drawn, of uneven seeds with a first move of the other side."""
        level = whole_seeds(seeds)
        n = len(level)
        stones = np.zeros((n, 2, SIDE, SIDE), bool)
        stones[:, 0, [3, 4], [4, 3]] = stones[:, 1, [3, 4], [3, 4]] = True
        start = BoardState(
            stones,
            np.zeros(n, np.int8),
            np.full((n, 2), -1, np.int8),
            np.zeros(n, np.int16),
            level,
            np.zeros(n, bool),
        )
        second = (level % np.uint64(2) == 1) & self.replies
        return self._placed(start, drawn_moves(start, self.legal(start)), second)

    def legal(self, state: BoardState) -> np.ndarray:
        """[N, 65] bool: moves that turn a stone over, else passing; where the game is over all, which change nothing."""
        own, theirs = state.own, state.theirs
        squares = self._turning(own, theirs).reshape(len(state), -1)
        return np.column_stack([squares, ~squares.any(1)]) | state.over[:, None]

    def step(self, state: BoardState, actions: np.ndarray) -> Step[BoardState]:
        """A move in each game, and the drawn reply; at its end 1 for more stones than the other, -1 for fewer.

        Args:
            state: N positions. actions: [N] squares, or 64.

        Raises:
            ValueError: no such move, or one that the rules forbid.
        """
        going, me = ~state.over, state.turn
        made = self._ended(self._placed(state, checked(actions, self.legal(state), self.name), going))
        if self.replies:
            answers = going & ~made.over
            made = self._ended(self._placed(made, drawn_moves(made, self.legal(made)), answers))
            made = dataclasses.replace(made, turn=me.copy())
        count, n = made.stones.sum((2, 3)), np.arange(len(state))
        reward = np.sign(count[n, me] - count[n, 1 - me]) * (going & made.over)
        return Step(made, reward.astype(np.float32), made.over.copy())

    def observe(self, state: BoardState) -> np.ndarray:
        """[N, 2, 8, 8] uint8: own stones, theirs."""
        return np.stack([state.own, state.theirs], 1).astype(np.uint8)

    def text(self, state: BoardState) -> list[str]:
        """The N positions as texts."""
        return [position_text(state, i) for i in range(len(state))]

    def parse(self, text: str) -> BoardState:
        """One position from its text; raises ValueError with line and column."""
        return parse_position(text, SIDE, lambda made: self._ended(made).over)

    def picture(self, state: BoardState, i: int) -> str:
        """Position i as SVG text."""
        return board_picture(state, i)

    def aims(self) -> dict[str, Callable[[BoardState], np.ndarray]]:
        """What can be brought about: a corner; at the end most stones, the other's all gone."""

        def in_corner(stones: np.ndarray) -> np.ndarray:
            return np.any([stones[:, r, c] for r, c in CORNERS], 0)

        def more(one: np.ndarray, other: np.ndarray) -> np.ndarray:
            return one.sum((1, 2)) > other.sum((1, 2))

        if not self.replies:
            return {
                "a corner": lambda s: in_corner(s.stones.any(1)),
                "a full board": lambda s: s.stones.any(1).all((1, 2)),
            }
        return {
            "an own corner": lambda s: in_corner(s.own),
            "a corner of the other side": lambda s: in_corner(s.theirs),
            "most stones": lambda s: s.over & more(s.own, s.theirs),
            "fewest stones": lambda s: s.over & more(s.theirs, s.own),
        }

    def _turning(self, own: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """[N, H, W] bool: free squares on which a stone turns some over."""
        found = np.zeros(own.shape, bool)
        for way in _WAYS:
            found |= _shifted(_between(own, theirs, way), way)
        return found & ~own & ~theirs

    def _placed(self, state: BoardState, actions: np.ndarray, where: np.ndarray) -> BoardState:
        """A move of the one whose turn it is, and the turn to the other, in the levels that are marked [N] bool."""
        i = np.flatnonzero(where)
        actions = np.asarray(actions)[i].astype(np.int64)
        stone, turns = np.zeros((len(i), SIDE, SIDE), bool), np.zeros((len(i), SIDE, SIDE), bool)
        put = np.flatnonzero(actions != PASS)
        row, column = np.divmod(actions[put], SIDE)
        stone[put, row, column] = True
        own, theirs = state.own[i], state.theirs[i]
        for way in _WAYS:
            row_of = _between(stone, theirs, way)
            closed = (own & _shifted(row_of, way)).any((1, 2))
            turns |= row_of & closed[:, None, None]
        stones, turn, last, moves = (x.copy() for x in (state.stones, state.turn, state.last, state.moves))
        stones[i, turn[i]], stones[i, 1 - turn[i]] = own | stone | turns, theirs & ~turns
        last[i] = -1
        last[i[put], 0], last[i[put], 1] = row, column
        turn[i] = 1 - turn[i]
        moves[i] += 1
        return dataclasses.replace(state, stones=stones, turn=turn, last=last, moves=moves)

    def _ended(self, state: BoardState) -> BoardState:
        first, second = state.stones[:, 0], state.stones[:, 1]
        some = self._turning(first, second) | self._turning(second, first)
        return dataclasses.replace(state, over=~some.any((1, 2)))
