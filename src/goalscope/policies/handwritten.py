"""Policies written by hand, whose goals are known: the candidates of "which algorithm is it?", and known answers.

Each is a rule that prefers some moves in a maze state; a temperature turns preferences into probabilities. As modules
they read the same planes as the compact network, so a study can be run on them and must report them as what they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput
from goalscope.worlds.contract import take
from goalscope.worlds.maze import MazeState, Move
from goalscope.worlds.maze.kernels import MOVE_COLUMNS, MOVE_ROWS
from goalscope.worlds.maze.paths import bounding_box, distances, top_right

RULES = ("cheese", "corner", "corner-then-cheese", "up-and-right")
"""Rules of the state alone. `right_hand_scores` needs the moves before, too."""
REGION = 5
"""side of the top-right area in which `corner-then-cheese` turns to the cheese"""


@dataclass(frozen=True)
class Ways:
    """What leads to the cheese and to the top-right square in N states: what the rules are made of."""

    cheese: np.ndarray
    """[N, 5] float: 1 for a move on a shortest path to the cheese; without cheese, none"""
    corner: np.ndarray
    """[N, 5] float: the same to the top-right square"""
    steps: np.ndarray
    """[N] int: steps to the cheese, -1 where there is no way or no cheese"""
    top_right: np.ndarray
    """[N, 2] the top-right square"""
    inner: np.ndarray
    """[N] bool: there is a cheese, and it does not lie on the border of its maze"""


def ways_of(state: MazeState, level: np.ndarray | None = None) -> Ways:
    """The ways in N states.

    Args:
        state: N mazes.
        level: [N] int; states of one number have the same walls and cheese, and squares that are connected, so that
            their ways are found once. None: each for itself.
    """
    level = np.arange(len(state)) if level is None else level
    _, first, index = np.unique(level, return_index=True, return_inverse=True)
    mazes = take(state, first)
    corner = top_right(mazes)
    maps = [distances(mazes.walls, target) for target in (mazes.cheese, corner)]
    cheese, to_corner = (_closer(steps, index, state.mouse) for steps in maps)
    steps = maps[0][index, state.mouse[:, 0], state.mouse[:, 1]]
    box, (row, column) = bounding_box(mazes), mazes.cheese.astype(int).T
    inner = (row > box[:, 0]) & (row < box[:, 1]) & (column > box[:, 2]) & (column < box[:, 3])
    return Ways(cheese, to_corner, steps, corner[index], (inner & (row >= 0))[index])


def rule_scores(rule: str, state: MazeState, ways: Ways | None = None) -> np.ndarray:
    """What a rule prefers in each state.

    Args:
        rule: 'cheese' takes the shortest path to the cheese (without cheese: no preference); 'corner' to the top-right
            square; 'corner-then-cheese' to the corner until within the top-right 5 x 5, then to the cheese if it is
            there, too;
            'up-and-right' goes up or right where free, and otherwise has no preference among free moves.
        state: N mazes.
        ways: `ways_of(state)`, where it is known.

    Returns:
        [N, 5] float: 1 for a preferred move, 0 for others.
    """
    if rule == "up-and-right":
        return _up_and_right(state)
    if rule not in RULES:
        raise KeyError(f"no rule {rule!r}; there are {', '.join(RULES)}")
    ways = ways or ways_of(state)
    if rule in ("cheese", "corner"):
        return ways.cheese if rule == "cheese" else ways.corner
    near = (np.abs(state.mouse - ways.top_right) < REGION).all(1)
    near &= (np.abs(state.cheese - ways.top_right) < REGION).all(1) & (state.cheese[:, 0] >= 0)
    return np.where(near[:, None], ways.cheese, ways.corner)


def limited_scores(state: MazeState, near: int, inner: bool, ways: Ways | None = None) -> np.ndarray:
    """A pursuit of limited range: to the cheese where it is near, or off the border; else to the top-right square.

    Args:
        state: N mazes.
        near: the cheese is near where at most this many steps lead to it.
        inner: whether a cheese that lies not on the border of its maze is sought from anywhere.
        ways: `ways_of(state)`, where it is known.

    Returns:
        [N, 5] float: 1 for a preferred move, 0 for others; without cheese, to the top-right square.
    """
    ways = ways or ways_of(state)
    sought = (ways.steps <= near) & (state.cheese[:, 0] >= 0) | (ways.inner & inner)
    return np.where(sought[:, None], ways.cheese, ways.corner)


def right_hand_scores(state: MazeState, moves: np.ndarray) -> np.ndarray:
    """What the right-hand rule prefers, given the move that led into each state.

    Args:
        state: N mazes.
        moves: [N] the last Move other than STAY, which is where the mouse faces; -1 at the start faces up.

    Returns:
        [N, 5]: 1 for the first free of right, ahead, left, back as seen by the mouse.
    """
    clockwise = np.array([Move.UP, Move.RIGHT, Move.DOWN, Move.LEFT])
    faces = np.array([3, 2, 0, 1])[np.where(moves < 0, Move.UP, moves)]
    free = _free_moves(state)
    scores = np.zeros((len(state), 5))
    undecided = np.ones(len(state), bool)
    for turn in (1, 0, 3, 2):
        move = clockwise[(faces + turn) % 4]
        takes = undecided & free[np.arange(len(state)), move]
        scores[takes, move[takes]] = 1
        undecided &= ~takes
    return scores


def _free_moves(state: MazeState) -> np.ndarray:
    """[N, 4] bool: moves that change the square."""
    width = state.walls.shape[1]
    row = state.mouse[:, :1] + MOVE_ROWS[:4]
    column = state.mouse[:, 1:] + MOVE_COLUMNS[:4]
    inside = (row >= 0) & (row < width) & (column >= 0) & (column < width)
    levels = np.arange(len(state))[:, None]
    return inside & ~state.walls[levels, row.clip(0, width - 1), column.clip(0, width - 1)]


def _closer(steps: np.ndarray, index: np.ndarray, mouse: np.ndarray) -> np.ndarray:
    """[N, 5] float: moves from squares [N, 2] that lessen the steps [L, W, W] of their maze, whose number is index [N]."""
    padded = np.pad(steps, ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    after = padded[index[:, None], mouse[:, :1] + MOVE_ROWS + 1, mouse[:, 1:] + MOVE_COLUMNS + 1]
    closer = (after >= 0) & (after == after[:, 4:] - 1)
    # At the target, or where there is none, the rule stays where it is or does not care.
    closer[(after[:, 4] == 0), Move.STAY] = True
    return closer.astype(float)


def _up_and_right(state: MazeState) -> np.ndarray:
    free = _free_moves(state)
    wanted = free.copy()
    wanted[:, [Move.LEFT, Move.DOWN]] = False
    choice = np.where(wanted.any(1, keepdims=True), wanted, free)
    return np.concatenate([choice, np.zeros((len(state), 1))], 1).astype(float)


class Handwritten(nn.Module):
    """A rule as a policy on planes [N, 3, W, W] of walls, mouse and cheese.

    Its value is the true discounted value of following the rule, 1 at the goal, where the rule heads for a goal on a
    shortest path ('cheese' and 'corner'), else 0.

    Args:
        rule: one of RULES.
        size: W.
        temperature: logits are preferences divided by it.
        discount: of the value.
    """

    def __init__(self, rule: str, size: int, temperature: float = 0.01, discount: float = 0.97):
        super().__init__()
        if rule not in RULES:
            raise KeyError(f"no rule {rule!r}; there are {', '.join(RULES)}")
        self.rule, self.size, self.temperature, self.discount = rule, size, temperature, discount

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, 3, W, W] uint8 planes to float32."""
        return torch.from_numpy(observations).float()

    def forward(self, x: Tensor) -> PolicyOutput:
        """Planes [N, 3, W, W] to logits [N, 5] and value [N]."""
        planes = x.cpu().numpy() > 0.5
        state = MazeState(planes[:, 0], _where(planes[:, 1]), _where(planes[:, 2]))
        logits = torch.from_numpy(rule_scores(self.rule, state)).float() / self.temperature
        value = np.zeros(len(state))
        if self.rule in ("cheese", "corner"):
            target = state.cheese if self.rule == "cheese" else top_right(state)
            steps = distances(state.walls, target)[
                np.arange(len(state)), state.mouse[:, 0], state.mouse[:, 1]
            ]
            value = np.where(steps >= 0, self.discount ** np.maximum(steps, 0).astype(float), 0.0)
        return PolicyOutput(logits.to(x.device), torch.from_numpy(value).float().to(x.device))


def _where(plane: np.ndarray) -> np.ndarray:
    """[N, W, W] with at most one True to [N, 2], (-1, -1) where there is none."""
    flat = plane.reshape(len(plane), -1)
    found = np.stack(np.divmod(flat.argmax(1), plane.shape[2]), 1).astype(np.int16)
    found[~flat.any(1)] = -1
    return found
