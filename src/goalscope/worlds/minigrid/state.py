"""What a MiniGrid level is: what lies on each square, the agent, what it carries and what it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from goalscope.showing import drawing, text


class Action(IntEnum):
    """What the agent can do, numbered as in the package."""

    LEFT = 0
    RIGHT = 1
    FORWARD = 2
    PICKUP = 3
    DROP = 4
    TOGGLE = 5
    DONE = 6


class Kind(IntEnum):
    """What may lie on a square, numbered as in the package's observations."""

    EMPTY = 1
    WALL = 2
    FLOOR = 3
    DOOR = 4
    KEY = 5
    BALL = 6
    BOX = 7
    GOAL = 8
    LAVA = 9


class Colour(IntEnum):
    """Numbered as in the package's observations."""

    RED = 0
    GREEN = 1
    BLUE = 2
    PURPLE = 3
    YELLOW = 4
    GREY = 5


class Facing(IntEnum):
    """Where the agent looks, numbered as in the package."""

    RIGHT = 0
    DOWN = 1
    LEFT = 2
    UP = 3


class Rule(IntEnum):
    """What ends a level, beside goal squares and lava. It belongs to the environment; what it speaks of is in the state."""

    GOAL = 0
    """nothing else"""
    OPEN = 1
    """the wanted door is opened"""
    PICK = 2
    """the wanted thing is picked up"""
    FETCH = 3
    """anything is picked up; the wanted thing is a success"""
    GO = 4
    """DONE, a success next to the target square; or TOGGLE"""
    PUT = 5
    """something is dropped, a success for a square near the target; or another thing than the wanted one is picked up"""
    MATCH = 6
    """the agent is on the target square or on its mirror image below: a success beside a thing like the one at the start"""
    IN_ORDER = 7
    """the blue door is open, a success where the red one was before; or the red one is opened while the blue one is"""


TARGETED = (Rule.GO, Rule.PUT, Rule.MATCH)
"""the rules that speak of a target square"""
MISSION = 96
"""characters of a mission at most, as in the package's FlatObsWrapper"""


@dataclass(frozen=True)
class MiniGridState:
    """N levels of H x W squares. Squares are (row, column), row 0 on top; outside the grid is wall.

    There is no step counter: a level's future depends on what is here alone.
    """

    __repr__, _repr_html_ = text, drawing

    cells: np.ndarray
    """[N, H, W, 3] uint8: Kind, Colour, and of a door 0 open, 1 closed, 2 locked"""
    inside: np.ndarray
    """[N, H, W, 2] uint8: Kind and Colour of what a box holds; 0 where nothing"""
    agent: np.ndarray
    """[N, 3] int16: row, column, Facing"""
    carries: np.ndarray
    """[N, 4] uint8: Kind and Colour of what the agent carries, then of what that holds; 0 where nothing"""
    wants: np.ndarray
    """[N, 2] uint8: Kind and Colour of what is to be opened, picked up or gone to; 0 where nothing is (see Rule)"""
    target: np.ndarray
    """[N, 2] int16: row and column of the square that the level's rule speaks of; -1 where it speaks of none"""
    mission: np.ndarray
    """[N] bytes (S96): the words that the agent is given"""
    over: np.ndarray
    """[N] bool: the level has ended"""

    def __len__(self) -> int:
        return len(self.cells)


def mission_array(words: str) -> np.ndarray:
    """[1] S96: a mission as states hold it.

    Raises:
        ValueError: longer words than that, or other letters than ASCII.
    """
    if len(words) > MISSION or not words.isascii():
        raise ValueError(f"a mission has at most {MISSION} ASCII characters, got {words!r}")
    return np.array([words.encode()], f"S{MISSION}")
