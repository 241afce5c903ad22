"""Sokoban: push every box onto a goal. Any size and number of boxes, as text, planes or Boxoban's 10 x 10 pixels.

Rewards are those of Racaniere et al. 2017, "Imagination-Augmented Agents" (appendix, Sokoban): -0.1 a step, +1 for a
box pushed onto a goal, -1 for one pushed off, +10 for the last one, which ends the level. Four moves and no "stay":
a policy thinks longer by being shown the same observation again. Agents that were trained with a fifth action get it by
`noop`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from goalscope.worlds.contract import Step, take
from goalscope.worlds.sokoban import edits, kernels
from goalscope.worlds.sokoban.generate import checked_seeds, generate_levels
from goalscope.worlds.sokoban.picture import level_picture
from goalscope.worlds.sokoban.state import Move, MoveOrNothing, SokobanState, solved
from goalscope.worlds.sokoban.text import level_text, parse_level

COLOURS = np.array(
    [
        [243, 248, 238],  # floor
        [254, 126, 125],  # goal
        [142, 121, 56],  # box
        [254, 95, 56],  # box on goal
        [160, 212, 56],  # player
        [219, 212, 56],  # player on goal
        [0, 0, 0],  # wall
    ],
    np.uint8,
)
"""[7, 3] red, green, blue of each kind of square in the small pictures of gym-sokoban and Boxoban"""

STEP_REWARD = np.float32(-0.1)
"""of every step that does not end in a solved level"""

KINDS = np.array([6, 0, 2, 3, 4, 5, 1])
"""[7] of each plane of the observation "kinds", the number of its kind in `COLOURS`"""


class Sokoban:
    """The Sokoban world behind the World protocol.

    Args:
        height: H, rows of a level, walls around it included, at least 4.
        width: W, columns.
        boxes: boxes (and goals) of a generated level; texts may have any number.
        time_limit: steps after which callers end an episode.
        observation: "planes" is [4, H, W] of 0 and 1 (walls, goals, boxes, player); "rgb" is [3, H, W], a pixel a
            square in Boxoban's colours; "kinds" is [7, H - 2, W - 2] of 0 and 1 without the outermost squares, which are
            walls: wall, floor, box, box on goal, player, player on goal, goal (Bush et al. 2025).
        min_pushes: a generated level needs at least this many; None is the default of `generate_levels`.
        levels: a set that `generate` draws from instead of making new levels, such as Boxoban's; all H x W.
        noop: whether doing nothing is an action too, the first of five (`MoveOrNothing`); it costs what a step costs.
    """

    name = "sokoban"
    actions: type[Move] | type[MoveOrNothing] = Move
    moves = np.array([int(m) for m in Move])
    """[A] int: the Move that each action is, -1 for doing nothing"""

    def __init__(
        self,
        height: int = 10,
        width: int = 10,
        boxes: int = 4,
        time_limit: int = 120,
        observation: Literal["planes", "rgb", "kinds"] = "planes",
        min_pushes: int | None = None,
        levels: SokobanState | None = None,
        noop: bool = False,
    ):
        if min(height, width) < 4:
            raise ValueError(
                f"height and width must be at least 4 (walls included), got {height} and {width}"
            )
        if boxes < 1:
            raise ValueError(f"boxes must be at least 1, got {boxes}")
        if observation not in ("planes", "rgb", "kinds"):
            raise ValueError(f"observation must be 'planes', 'rgb' or 'kinds', got {observation!r}")
        if levels is not None and (not len(levels) or levels.walls.shape[1:] != (height, width)):
            raise ValueError(
                f"levels must be some of {height} x {width}, got {len(levels)} of "
                f"{levels.walls.shape[1]} x {levels.walls.shape[2]}: set height and width, or stack(levels, size)"
            )
        self.height, self.width, self.boxes = height, width, boxes
        self.time_limit = time_limit
        self.observation: Literal["planes", "rgb", "kinds"] = observation
        self.min_pushes = min_pushes
        self.levels = levels
        self.noop = noop
        if noop:
            self.actions, self.moves = MoveOrNothing, np.arange(-1, len(Move))

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """(4, H, W) for planes, (3, H, W) for rgb, (7, H - 2, W - 2) for kinds."""
        if self.observation == "kinds":
            return (len(KINDS), self.height - 2, self.width - 2)
        return (4 if self.observation == "planes" else 3, self.height, self.width)

    def generate(self, seeds: Sequence[int] | np.ndarray) -> SokobanState:
        """One level per seed, solvable unless drawn from `levels`; it does not depend on the other seeds.

        Args:
            seeds: [N] non-negative integers.

        Raises:
            ValueError: no level with so many boxes, or one that takes so many pushes, fits this size.
        """
        if self.levels is not None:
            # The upper half of the product looks random, so any run of seeds draws evenly.
            drawn = (checked_seeds(seeds) >> np.uint64(32)) % np.uint64(len(self.levels))
            return take(self.levels, drawn.astype(np.int64))
        return generate_levels(seeds, self.height, self.width, self.boxes, self.min_pushes)

    def step(self, state: SokobanState, actions: np.ndarray) -> Step[SokobanState]:
        """Moves each player once; a solved level stays as it is and gives no reward.

        Args:
            state: N levels.
            actions: [N] values of `actions`.
        """
        n = len(state)
        actions = np.asarray(actions)
        if actions.shape != (n,) or actions.dtype.kind not in "iu":
            raise ValueError(f"actions must be [{n}] integers, got {actions.dtype} {list(actions.shape)}")
        boxes, player = state.boxes.copy(), np.empty_like(state.player)
        reward, ended = np.empty(n, np.float32), np.empty(n, bool)
        idle = actions == 0 if self.noop else np.zeros(n, bool)
        moves = np.where(idle, 0, actions.astype(np.int64) - 1) if self.noop else actions
        illegal = kernels.step(state.walls, state.goals, boxes, state.player, moves, player, reward, ended)
        if illegal >= 0:
            most = len(self.actions) - 1
            raise ValueError(
                f"level {illegal}: action {actions[illegal]} is not a {self.actions.__name__} (0 to {most})"
            )
        if idle.any():
            boxes[idle], player[idle] = state.boxes[idle], state.player[idle]
            ended[idle] = solved(state)[idle]
            reward[idle] = np.where(ended[idle], np.float32(0), STEP_REWARD)
        return Step(SokobanState(state.walls, state.goals, boxes, player), reward, ended)

    def observe(self, state: SokobanState) -> np.ndarray:
        """[N, 4, H, W] uint8 planes of 0 and 1, [N, 3, H, W] colours, or [N, 7, H - 2, W - 2]; see `observation`."""
        if self.observation == "kinds":
            return (_kinds(state)[:, None, 1:-1, 1:-1] == KINDS[:, None, None]).astype(np.uint8)
        if self.observation == "rgb":
            return np.ascontiguousarray(rgb(state).transpose(0, 3, 1, 2))
        planes = np.empty((len(state), 4, *state.walls.shape[1:]), np.uint8)
        kernels.observe(state.walls, state.goals, state.boxes, state.player, planes)
        return planes

    def parse(self, text: str) -> SokobanState:
        """One level from its text; one smaller than the world is centred in it, walls around. See `parse_level`."""
        return parse_level(text, (self.height, self.width))

    def text(self, state: SokobanState) -> list[str]:
        """The N levels as XSB texts of H lines."""
        return [level_text(state, i) for i in range(len(state))]

    def things(self, state: SokobanState) -> list[dict[str, tuple[int, int]]]:
        """[N] name -> square of every box and target: 'box', 'box 2', ..., 'target', ..."""
        return edits.things(state)

    def agent(self, state: SokobanState) -> np.ndarray:
        """[N, 2] int64: the players' squares."""
        return state.player.astype(np.int64)

    def free(self, state: SokobanState) -> np.ndarray:
        """[N, H, W] bool: floor on which nothing is."""
        return edits.free(state)

    def move(self, state: SokobanState, name: str, to: np.ndarray) -> SokobanState:
        """The levels with that box or target on other squares [N, 2]; see `edits.move`."""
        return edits.move(state, name, to)

    def remove(self, state: SokobanState, name: str) -> SokobanState:
        """The levels without that box or target."""
        return edits.remove(state, name)

    def add(self, state: SokobanState, name: str, to: np.ndarray) -> SokobanState:
        """The levels with one more box or target on squares [N, 2]."""
        return edits.add(state, name, to)

    def move_agent(self, state: SokobanState, to: np.ndarray) -> SokobanState:
        """The levels with the player on other squares [N, 2]."""
        return edits.move_agent(state, to)

    def aims(self) -> dict[str, Callable[[SokobanState], np.ndarray]]:
        """What can be brought about: a box on a target, every box on one."""
        return edits.aims()

    def picture(self, state: SokobanState, i: int) -> str:
        """Level i as SVG text."""
        return level_picture(state, i)


def rgb(state: SokobanState) -> np.ndarray:
    """[N, H, W, 3] uint8: one pixel a square, in Boxoban's colours (`COLOURS`)."""
    return COLOURS[_kinds(state)]


def _kinds(state: SokobanState) -> np.ndarray:
    """[N, H, W] uint8: the number of each square's kind in `COLOURS`."""
    kinds = np.empty(state.walls.shape, np.uint8)
    kernels.kinds(state.walls, state.goals, state.boxes, state.player, kinds)
    return kinds
