"""The worst and the best that a policy does over a finite set of mazes: exact, and with the maze that attains it.

Where the set is all that may happen, these are bounds of the policy's behaviour, on whole ways and not on single steps.
Over a random part of it the least is only the least that was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from goalscope.rollout.maze_fields import fields
from goalscope.showing import drawing, text
from goalscope.worlds.batch import take
from goalscope.worlds.maze import MazeState, Move

_AT_ONCE = 256
"""mazes whose squares are held at once; memory is bounded by it"""


@dataclass(frozen=True)
class Extremes:
    """The least and the greatest of one probability over K mazes."""

    __repr__, _repr_html_ = text, drawing

    least: float
    greatest: float
    least_at: MazeState
    """the maze (N = 1) in which it is least; the first of several"""
    greatest_at: MazeState
    """the maze in which it is greatest; the first of several"""
    values: np.ndarray
    """[K] the probability in each maze"""


def reach_extremes(policy: Any, world: Any, mazes: MazeState, steps: int) -> Extremes:
    """P(reach the cheese within `steps`) from where the mouse is, solved exactly in each maze.

    Args:
        policy: feed-forward; whatever `policies.given.policy_of` takes.
        world: `Maze`, or another whose states are mazes.
        mazes: K mazes, such as those of `worlds.maze.variants`.
        steps: the time limit.

    Raises:
        ValueError: as `fields`; or no mazes.
    """
    return _extremes(mazes, lambda part: fields(policy, world, part).reach_from_start(steps))


def move_extremes(policy: Any, world: Any, mazes: MazeState, move: Move) -> Extremes:
    """The probability of one move where the mouse is (the mean over facings, of a policy that sees any).

    Args:
        policy, world, mazes: as for `reach_extremes`.
        move: the move.

    Raises:
        ValueError: as `reach_extremes`.
    """
    return _extremes(mazes, lambda part: _moves_at_start(policy, world, part)[:, int(move)])


def _moves_at_start(policy: Any, world: Any, mazes: MazeState) -> np.ndarray:
    field = fields(policy, world, mazes)
    squares = field.squares
    here = (squares.square == mazes.mouse[squares.level]).all(1)
    count = np.bincount(squares.level[here], minlength=len(mazes))
    sums = [np.bincount(squares.level[here], field.moves[here, k], len(mazes)) for k in range(len(Move))]
    return np.stack(sums, 1) / count[:, None]


def _extremes(mazes: MazeState, measure: Any) -> Extremes:
    if not len(mazes):
        raise ValueError("no mazes were given: there is no least of none")
    parts = [measure(take(mazes, slice(first, first + _AT_ONCE))) for first in range(0, len(mazes), _AT_ONCE)]
    values = np.concatenate(parts)
    low, high = int(values.argmin()), int(values.argmax())
    return Extremes(float(values[low]), float(values[high]), take(mazes, low), take(mazes, high), values)
