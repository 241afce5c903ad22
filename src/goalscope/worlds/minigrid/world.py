"""MiniGrid: grid rooms with doors, keys, balls, boxes, lava and a goal (Chevalier-Boisvert et al. 2023, "Minigrid &
Miniworld"). The package makes the levels; they are stepped and seen here, many at once, by its rules.

The package pays 1 - 0.9 t / T for success at step t of T. A state has no clock, so a success is 1 here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from goalscope.worlds.contract import Step, concatenate, whole_seeds
from goalscope.worlds.minigrid import by_name, edits, kernels, package
from goalscope.worlds.minigrid.picture import level_picture
from goalscope.worlds.minigrid.state import Action, Kind, MiniGridState
from goalscope.worlds.minigrid.text import level_text, parse_level

AGENT = 10
"""the package's number of the agent in full views"""


class MiniGrid:
    """An environment of the package `minigrid` behind the World protocol.

    Args:
        environment: its name, such as "MiniGrid-DoorKey-6x6-v0".
        observation: "partial" is the package's `image` (what the agent sees before it), "full" that of its
            FullyObsWrapper; both with the channels first, as policies take them: [3, across, down].
        time_limit: steps after which callers end an episode; None is the environment's own.

    Raises:
        ImportError: the extra is not installed.
        ValueError: no such environment, one with rules that are not known here, another observation.
    """

    actions = Action

    def __init__(
        self,
        environment: str = "MiniGrid-DoorKey-6x6-v0",
        observation: Literal["partial", "full"] = "partial",
        time_limit: int | None = None,
    ):
        if observation not in ("partial", "full"):
            raise ValueError(f"observation must be 'partial' or 'full', got {observation!r}")
        self._env = package.make(environment)
        self.name = environment
        self.observation: Literal["partial", "full"] = observation
        self.height, self.width = int(self._env.height), int(self._env.width)
        self.view = int(self._env.agent_view_size)
        self.time_limit = int(self._env.max_steps) if time_limit is None else time_limit

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """(3, view, view), or (3, W, H) of full views."""
        return (3, self.view, self.view) if self.observation == "partial" else (3, self.width, self.height)

    def generate(self, seeds: Sequence[int] | np.ndarray) -> MiniGridState:
        """The levels that the package's `reset(seed=...)` gives.

        Args:
            seeds: [N] non-negative integers, at least one.
        """
        levels = []
        for seed in whole_seeds(seeds):
            self._env.reset(seed=int(seed))
            levels.append(package.read(self._env))
        return concatenate(levels)

    def step(self, state: MiniGridState, actions: np.ndarray) -> Step[MiniGridState]:
        """One action in each level; a level that is over stays as it is and gives no reward.

        Args:
            state: N levels.
            actions: [N] values of Action.
        """
        n = len(state)
        actions = np.asarray(actions)
        if actions.shape != (n,) or actions.dtype.kind not in "iu":
            raise ValueError(f"actions must be [{n}] integers, got {actions.dtype} {list(actions.shape)}")
        cells, inside, agent = state.cells.copy(), state.inside.copy(), state.agent.copy()
        carries, over, reward = state.carries.copy(), state.over.copy(), np.empty(n, np.float32)
        illegal = kernels.step(
            cells, inside, agent, carries, state.wants, over, actions.astype(np.int64), reward
        )
        if illegal >= 0:
            raise ValueError(f"level {illegal}: action {actions[illegal]} is not an Action (0 to 6)")
        return Step(MiniGridState(cells, inside, agent, carries, state.wants, over), reward, over.copy())

    def observe(self, state: MiniGridState) -> np.ndarray:
        """[N, 3, across, down] uint8: Kind, Colour and status; see `observation`."""
        if self.observation == "full":
            full = np.ascontiguousarray(state.cells.transpose(0, 3, 2, 1))
            row, column, facing = state.agent.astype(np.int64).T
            shown = np.stack([np.full(len(state), AGENT), np.zeros(len(state), int), facing], 1)
            full[np.arange(len(state)), :, column, row] = shown
            return full
        out = np.empty((len(state), *self.observation_shape), np.uint8)
        kernels.see(state.cells, state.agent, state.carries, bool(self._env.see_through_walls), out)
        return out

    def parse(self, text: str) -> MiniGridState:
        """One level from its text; see `parse_level`.

        Raises:
            ValueError: with line and column; or a level of another size than the environment's.
        """
        state = parse_level(text)
        if state.cells.shape[1:3] != (self.height, self.width):
            raise ValueError(
                f"line 5: the level has {state.cells.shape[1]} x {state.cells.shape[2]} squares, {self.name} has "
                f"{self.height} x {self.width}"
            )
        return state

    def text(self, state: MiniGridState) -> list[str]:
        """The N levels as texts; see `text.py`."""
        return [level_text(state, i) for i in range(len(state))]

    # What a study of goals asks for; see `goalscope.worlds.contract`. What the agent carries lies nowhere.

    def things(self, state: MiniGridState) -> list[dict[str, tuple[int, int]]]:
        """[N] of {"yellow key": (row, column)}: doors, keys, balls, boxes, goals, lava; see `edits.things`."""
        return edits.things(state)

    def agent(self, state: MiniGridState) -> np.ndarray:
        """[N, 2] int64: the agents' squares."""
        return state.agent[:, :2].astype(np.int64)

    def free(self, state: MiniGridState) -> np.ndarray:
        """[N, H, W] bool: empty squares that walls do not keep the agent from; see `by_name.free`."""
        return by_name.free(state)

    def move(self, state: MiniGridState, name: str, to: np.ndarray) -> MiniGridState:
        """The levels with that thing (with all that it holds) on the free squares `to` [N, 2]; raises ValueError."""
        return edits.move(state, by_name.squares_named(state, name), by_name.free_squares(state, to))

    def remove(self, state: MiniGridState, name: str) -> MiniGridState:
        """The levels with that thing's square empty; raises ValueError where none lies."""
        return edits.remove(state, by_name.squares_named(state, name))

    def add(self, state: MiniGridState, name: str, to: np.ndarray) -> MiniGridState:
        """The levels with one more "yellow key" (a door comes closed) on the free squares `to` [N, 2]; raises ValueError."""
        kind, colour = by_name.kind_named(name)
        closed = int(kind == Kind.DOOR)
        return edits.add(state, by_name.free_squares(state, to), kind, colour, closed)

    def move_agent(self, state: MiniGridState, to: np.ndarray) -> MiniGridState:
        """The levels with the agent, looking as before, on the free squares `to` [N, 2]; raises ValueError."""
        return edits.move_agent(state, by_name.free_squares(state, to))

    def picture(self, state: MiniGridState, i: int) -> str:
        """Level i as SVG text."""
        return level_picture(state, i)
