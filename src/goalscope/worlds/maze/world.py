"""The maze: a mouse, walls, and a cheese that ends the level. Procgen's mazes by distribution, without pixels.

Mazes are spanning trees on the odd grid, their size uniform in {3, 5, ..., W} and centred in the W x W world; the mouse
starts bottom-left, the cheese lies in the top-right r x r squares or anywhere (Cobbe et al. 2020, "Leveraging
Procedural Generation"; the top-right region is that of Langosco et al. 2022, "Goal Misgeneralization in Deep RL").
Every state has a text: '#' wall, '.' free, 'M' mouse, 'C' cheese, '*' mouse on the cheese (the level is over).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from goalscope.worlds.contract import Step, whole_seeds
from goalscope.worlds.maze import kernels
from goalscope.worlds.maze.edits import lone_cheese, place_cheese, place_mouse, remove_cheese, to_free
from goalscope.worlds.maze.paths import Squares, free, free_squares
from goalscope.worlds.maze.state import MazeState, Move
from goalscope.worlds.maze.text import maze_text, parse_maze


class Maze:
    """The maze world behind the World protocol.

    Args:
        size: W, the side of the world in squares, odd and at least 3.
        cheese_region: r, the cheese is uniform on the free squares of the top-right r x r; None is anywhere.
        time_limit: steps after which callers end an episode.
    """

    name = "maze"
    actions = Move
    moves = np.array([int(m) for m in Move])
    """[A] int: the Move that each action is"""

    def __init__(self, size: int = 13, cheese_region: int | None = 5, time_limit: int = 200):
        if size < 3 or size % 2 == 0:
            raise ValueError(f"size must be odd and at least 3, got {size}")
        if cheese_region is not None and cheese_region < 1:
            raise ValueError(f"cheese_region must be at least 1 (or None for anywhere), got {cheese_region}")
        self.size = size
        self.cheese_region = cheese_region
        self.time_limit = time_limit

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """(3, W, W): planes of walls, mouse, cheese."""
        return (3, self.size, self.size)

    def generate(self, seeds: Sequence[int] | np.ndarray) -> MazeState:
        """One maze per seed; a seed's maze does not depend on the others.

        Args:
            seeds: [N] non-negative integers.

        Raises:
            ValueError: other seeds than that.
        """
        # Seeds are spread over the 64-bit space, so that neighbouring ones share no random numbers.
        seeds = whole_seeds(seeds) * np.uint64(0xD1342543DE82EF95)
        n = len(seeds)
        walls = np.ones((n, self.size, self.size), bool)
        mouse = np.empty((n, 2), np.int16)
        cheese = np.empty((n, 2), np.int16)
        kernels.generate(seeds, self.size, self.cheese_region or 0, walls, mouse, cheese)
        return MazeState(walls, mouse, cheese)

    def step(self, state: MazeState, actions: np.ndarray) -> Step[MazeState]:
        """Moves each mouse once; reward 10 on reaching the cheese, which ends the level.

        Args:
            state: N mazes.
            actions: [N] values of Move.
        """
        n = len(state)
        actions = np.asarray(actions)
        if actions.shape != (n,) or actions.dtype.kind not in "iu":
            raise ValueError(f"actions must be [{n}] integers, got {actions.dtype} {list(actions.shape)}")
        mouse = np.empty_like(state.mouse)
        reward = np.empty(n, np.float32)
        ended = np.empty(n, bool)
        illegal = kernels.step(state.walls, state.mouse, state.cheese, actions, mouse, reward, ended)
        if illegal >= 0:
            raise ValueError(f"level {illegal}: action {actions[illegal]} is not a Move (0 to 4)")
        return Step(MazeState(state.walls, mouse, state.cheese), reward, ended)

    def observe(self, state: MazeState) -> np.ndarray:
        """[N, 3, W, W] uint8 planes of 0 and 1: walls, mouse, cheese."""
        planes = np.empty((len(state), 3, *state.walls.shape[1:]), np.uint8)
        kernels.observe(state.walls, state.mouse, state.cheese, planes)
        return planes

    def squares(self, state: MazeState) -> Squares:
        """Where each mouse can get, and how; see `free_squares`."""
        return free_squares(state)

    def at_squares(self, state: MazeState, squares: Squares, index: slice) -> MazeState:
        """The levels with the mouse on the squares that `index` selects, one state a square."""
        level = squares.level[index]
        return MazeState(state.walls[level], squares.square[index], state.cheese[level])

    def parse(self, text: str) -> MazeState:
        """One maze from its text; one smaller than the world is centred in it.

        Raises:
            ValueError: with line and column, for ragged rows, an unknown character, no mouse or two, two cheeses,
                a cheese that cannot be reached, and a side that is even or exceeds the world's.
        """
        return parse_maze(text, self.size)

    def text(self, state: MazeState) -> list[str]:
        """The N mazes as texts of W lines."""
        return [maze_text(state, i) for i in range(len(state))]

    # What a study of goals asks for; see `goalscope.worlds.contract.ABILITIES`.

    def things(self, state: MazeState) -> list[dict[str, tuple[int, int]]]:
        """[N] of {"cheese": (row, column)}; empty where there is none."""
        return [{"cheese": (row, column)} if row >= 0 else {} for row, column in state.cheese.tolist()]

    def agent(self, state: MazeState) -> np.ndarray:
        """[N, 2] int64: the mice's squares."""
        return state.mouse.astype(np.int64)

    def free(self, state: MazeState) -> np.ndarray:
        """[N, W, W] bool: squares that the mouse can walk to (through the cheese, too), where neither is."""
        return free(state)

    def move(self, state: MazeState, name: str, to: np.ndarray) -> MazeState:
        """The mazes with the cheese on the free squares `to` [N, 2]; raises ValueError where it cannot be put there."""
        return place_cheese(lone_cheese(state, name, there=True), to_free(state, to))

    def remove(self, state: MazeState, name: str) -> MazeState:
        """The mazes without cheese; raises ValueError where there is none."""
        return remove_cheese(lone_cheese(state, name, there=True))

    def add(self, state: MazeState, name: str, to: np.ndarray) -> MazeState:
        """The mazes with a cheese on the free squares `to` [N, 2]; raises ValueError where there is one already."""
        return place_cheese(lone_cheese(state, name, there=False), to_free(state, to))

    def move_agent(self, state: MazeState, to: np.ndarray) -> MazeState:
        """The mazes with the mouse on the free squares `to` [N, 2]; raises ValueError where it cannot be put there."""
        return place_mouse(state, to_free(state, to))
