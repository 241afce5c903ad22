"""Solutions as LURD: l, u, r, d for steps and capital letters for pushes; replaying them in a level."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goalscope.showing import drawing, text
from goalscope.worlds.contract import concatenate, take
from goalscope.worlds.sokoban.state import Move, SokobanState, solved
from goalscope.worlds.sokoban.world import Sokoban

LETTERS = "udlr"
"""the letter of each Move"""


@dataclass(frozen=True)
class Replay:
    """What a sequence of moves does in one level."""

    __repr__, _repr_html_ = text, drawing

    states: SokobanState
    """T + 1 states: the start and what follows each move"""
    actions: np.ndarray
    """[T] int64, values of Move"""
    pushed: np.ndarray
    """[T] bool, True where the move pushed a box"""
    reward: np.ndarray
    """[T] float32"""
    solved: bool
    """whether the last state is solved"""

    @property
    def lurd(self) -> str:
        """The moves as LURD, pushes in capital letters."""
        return actions_lurd(self.actions, self.pushed)


def lurd_actions(lurd: str) -> np.ndarray:
    """[T] int64 Moves of a LURD text; blanks are skipped and '3r' is 'rrr'.

    Raises:
        ValueError: a letter that is none of l, u, r, d, with its place.
    """
    lurd = re.sub(r"\d+[A-Za-z]", lambda run: run[0][-1] * int(run[0][:-1]), "".join(lurd.split()))
    for i, letter in enumerate(lurd):
        if letter.lower() not in LETTERS:
            raise ValueError(
                f"move {i + 1} of the solution is {letter!r}; known are l, u, r, d (capitals push)"
            )
    return np.array([LETTERS.index(letter) for letter in lurd.lower()], np.int64)


def actions_lurd(actions: Sequence[int] | np.ndarray, pushed: Sequence[bool] | np.ndarray) -> str:
    """The LURD text of moves [T], capital where `pushed` [T]."""
    return "".join(
        LETTERS[a].upper() if push else LETTERS[a] for a, push in zip(actions, pushed, strict=True)
    )


def replay(state: SokobanState, moves: str | np.ndarray) -> Replay:
    """Plays moves in one level.

    Args:
        state: one level.
        moves: LURD text, or [T] values of Move. A text in which any letter is a capital must have its pushes,
            and no other move, in capitals.

    Raises:
        ValueError: more than one level; a move that goes nowhere, a capital that pushes nothing or a small letter
            that pushes, with its place; moves after the level is solved.
    """
    if len(state) != 1:
        raise ValueError(f"replay takes one level, got {len(state)}: select one with take(state, i)")
    text = "" if isinstance(moves, np.ndarray) else re.sub(r"[\s\d]", "", moves)
    actions = moves if isinstance(moves, np.ndarray) else lurd_actions(moves)
    capital = [letter.isupper() for letter in text] if len(text) == len(actions) else []
    world = Sokoban()  # steps levels of any size
    states, pushed, rewards = [state], np.zeros(len(actions), bool), np.zeros(len(actions), np.float32)
    for i, action in enumerate(actions):
        before = states[-1]
        outcome = world.step(before, np.array([action]))
        place = f"move {i + 1} of {len(actions)} ({Move(int(action)).name})"
        if solved(before)[0]:
            raise ValueError(f"{place}: the level is already solved")
        if np.array_equal(outcome.state.player, before.player):
            row, column = map(int, before.player[0])
            raise ValueError(f"{place}: the player at {(row, column)} cannot go there")
        pushed[i] = not np.array_equal(outcome.state.boxes, before.boxes)
        if any(capital) and capital[i] != pushed[i]:
            does = "pushes but is a small letter" if pushed[i] else "is a capital but pushes nothing"
            raise ValueError(f"{place} {does}")
        rewards[i] = outcome.reward[0]
        states.append(outcome.state)
    return Replay(concatenate(states), actions, pushed, rewards, bool(solved(take(states[-1], 0))[0]))
