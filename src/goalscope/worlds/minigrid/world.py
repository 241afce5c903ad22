"""MiniGrid: grid rooms with doors, keys, balls, boxes, lava and a goal (Chevalier-Boisvert et al. 2023, "Minigrid &
Miniworld"). The package makes the levels; they are stepped and seen here, many at once, by its rules.

The package pays 1 - 0.9 t / T for success at step t of T. A state has no clock, so a success is 1 here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from goalscope.worlds.contract import Step, concatenate, take, whole_seeds
from goalscope.worlds.minigrid import by_name, edits, kernels, package, views
from goalscope.worlds.minigrid.picture import level_picture
from goalscope.worlds.minigrid.state import TARGETED, Action, Kind, MiniGridState
from goalscope.worlds.minigrid.text import level_text, parse_level


class MiniGrid:
    """An environment of the package `minigrid` behind the World protocol.

    Args:
        environment: its name, such as "MiniGrid-DoorKey-6x6-v0".
        observation: what the policy was trained on. "partial" is the package's `image` (what the agent sees before it),
            "full" that of its FullyObsWrapper, "rgb" and "rgb-partial" the pictures of RGBImgObsWrapper and
            RGBImgPartialObsWrapper, each with the channels first; "flat" is FlatObsWrapper's; "dict" the package's own
            `image`, `direction` and `mission` (bytes), which are the fields of a record.
        time_limit: steps after which callers end an episode; None is the environment's own.

    Raises:
        ImportError: the extra is not installed.
        ValueError: no such environment, one with rules that are not known here, another observation.
    """

    actions = Action

    def __init__(
        self,
        environment: str = "MiniGrid-DoorKey-6x6-v0",
        observation: views.Observation = "partial",
        time_limit: int | None = None,
    ):
        if observation not in views.OBSERVATIONS:
            raise ValueError(
                f"observation must be one of {', '.join(views.OBSERVATIONS)}, got {observation!r}"
            )
        self._env = package.make(environment)
        self.rule = package.rule_of(self._env, environment)
        self.name = environment
        self.observation: views.Observation = observation
        missions: Any = self._env.observation_space["mission"]
        self._mission = missions.mission_func() if missions.ordered_placeholders is None else None
        self.height, self.width = int(self._env.height), int(self._env.width)
        self.view = int(self._env.agent_view_size)
        self.time_limit = int(self._env.max_steps) if time_limit is None else time_limit

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """(3, view, view); (3, W, H) of full views; of pictures 8 pixels a square; (2835,) of flat ones; () of records."""
        return views.shape(self.observation, self.height, self.width, self.view)

    def fitting(self, shape: tuple[int, ...]) -> str:
        """What to ask this world for, for an agent that takes observations of another shape; '' where nothing has it."""
        kinds = views.fitting(shape, self.height, self.width, self.view)
        return " or ".join(
            f"MiniGrid({self.name!r}, observation={kind!r}) ({views.OBSERVATIONS[kind]})" for kind in kinds
        )

    def generate(self, seeds: Sequence[int] | np.ndarray) -> MiniGridState:
        """The levels that the package's `reset(seed=...)` gives.

        Args:
            seeds: [N] non-negative integers.
        """
        seeds, levels = whole_seeds(seeds), []
        for seed in seeds if len(seeds) else [0]:
            self._env.reset(seed=int(seed))
            levels.append(package.read(self._env, self.rule))
        return take(concatenate(levels), slice(0, len(seeds)))

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
            cells, inside, agent, carries, state.wants, state.target, over, actions.astype(np.int64), int(self.rule),
            reward,
        )  # fmt: skip
        if illegal >= 0:
            raise ValueError(f"level {illegal}: action {actions[illegal]} is not an Action (0 to 6)")
        after = dataclasses.replace(
            state, cells=cells, inside=inside, agent=agent, carries=carries, over=over
        )
        return Step(after, reward, over.copy())

    def observe(self, state: MiniGridState) -> np.ndarray:
        """[N, *observation_shape] uint8, or [N] records of `image`, `direction` and `mission`; see `observation`."""
        return views.seen(state, self.observation, self.view, bool(self._env.see_through_walls))

    def parse(self, text: str) -> MiniGridState:
        """One level from its text; see `parse_level`. Without a line `mission` it has the environment's only one.

        Raises:
            ValueError: with line and column; a level of another size than the environment's, or one that does not say the
                target or mission that this environment's levels have.
        """
        state = parse_level(text, self._mission or "")
        if state.cells.shape[1:3] != (self.height, self.width):
            raise ValueError(
                f"line 5: the level has {state.cells.shape[1]} x {state.cells.shape[2]} squares, {self.name} has "
                f"{self.height} x {self.width}"
            )
        if self.rule in TARGETED and state.target[0, 0] < 0:
            raise ValueError(f"line 5: 'target ROW COLUMN' is wanted, which ends the levels of {self.name}")
        if self._mission is None and not state.mission[0]:
            raise ValueError(f"line 5: 'mission WORDS' is wanted, which differs in the levels of {self.name}")
        return state

    def text(self, state: MiniGridState) -> list[str]:
        """The N levels as texts; see `text.py`."""
        return [level_text(state, i, self._mission or "") for i in range(len(state))]

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
