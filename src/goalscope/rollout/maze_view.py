"""One maze through a policy's eyes: a vector field that draws itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from goalscope.methods.behaviour import reach
from goalscope.policies.given import module_of
from goalscope.rollout.maze_fields import Fields, fields
from goalscope.showing import text
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze, MazeState, parse_maze
from goalscope.worlds.maze.paths import decision_square, shortest_path, top_right


@dataclass(frozen=True)
class VectorField:
    """A policy on one maze, the mean over facings where it sees any. Draws itself in a notebook."""

    __repr__ = text

    maze: MazeState
    """the maze, N = 1"""
    squares: np.ndarray
    """[K, 2] the free squares"""
    moves: np.ndarray
    """[K, 5] probability of each Move"""
    value: np.ndarray
    """[K] the value head"""
    reach: np.ndarray
    """[K] exact probability of reaching the cheese within the time limit"""
    reach_start: float
    """the same from where the mouse is"""
    steps: int
    """the time limit"""

    def _repr_svg_(self) -> str:
        from goalscope.plots.boards.maze import maze_svg

        walls, mouse, cheese = self.maze.walls[0], self.maze.mouse[0], self.maze.cheese[0]
        paths = {"way to the top-right corner": shortest_path(walls, mouse, top_right(self.maze)[0])}
        if cheese[0] >= 0:
            paths["way to the cheese"] = shortest_path(walls, mouse, cheese)
        return maze_svg(
            walls, mouse, cheese, squares=self.squares, probabilities=self.moves, heat=self.reach,
            heat_label="P(reach the cheese)", heat_range=(0, 1), percent=True, paths=paths,
            decision_square=decision_square(self.maze)[0], title="Where the policy goes",
            description=f"P(reach the cheese within {self.steps} steps) = {self.reach_start:.3f} from the mouse.",
        )  # fmt: skip

    def _repr_html_(self) -> str:
        return f'<div style="max-width:36em">{self._repr_svg_()}</div>'


def vector_field(policy: Any, maze: MazeState | str, *, world: Any = None, steps: int = 200) -> VectorField:
    """What a policy does on every free square of one maze.

    Args:
        policy: whatever `policies.given.policy_of` takes.
        maze: one maze (N = 1) or its text; for another world than `Maze`, a state of that world.
        world: the world that renders what the policy sees; `Maze` of the policy's size where None.
        steps: time limit of the reach probability.

    Raises:
        ValueError: more than one maze, or one too large for the policy.
    """
    module = module_of(policy)
    if world is None:
        size: Any = getattr(module, "size", None)
        world = Maze(
            size
            if size is not None
            else len(parse_maze(maze).walls[0])
            if isinstance(maze, str)
            else maze.walls.shape[1]
        )
    state = world.parse(maze) if isinstance(maze, str) else maze
    if len(state) != 1:
        raise ValueError(f"vector_field takes one maze, got {len(state)}: take(state, i) picks one")
    return average_facings(fields(module, world, state), 0, steps)


def average_facings(field: Fields, level: int, steps: int) -> VectorField:
    """One level of the fields, with one row a square: the mean over facings where the policy sees any."""
    squares = field.squares
    part = slice(squares.offsets[level], squares.offsets[level + 1])
    following = squares.next[part] - squares.offsets[level]
    probability = reach.reach_probability(field.moves[part], following, squares.goal[part], steps)
    square, which = np.unique(squares.square[part], axis=0, return_inverse=True)
    count = np.bincount(which)
    mean = [
        np.bincount(which, x, len(square)) / count
        for x in (*field.moves[part].T, field.value[part], probability)
    ]
    start = float(probability[squares.start[level] - squares.offsets[level]])
    return VectorField(take(field.maze, level), square, np.stack(mean[:5], 1), mean[5], mean[6], start, steps)
