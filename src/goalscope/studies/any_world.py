"""What the studies of any world share: its world and controls, and what is where in its levels."""

from __future__ import annotations

import dataclasses
from inspect import isfunction
from typing import Any

import numpy as np
from torch import Tensor, nn

from goalscope.activations.content import digest
from goalscope.policies.checkpoint import Policy
from goalscope.studies import frame
from goalscope.worlds.contract import take
from goalscope.worlds.named import world_of

WALK = "random walk"
"""the control that no network is"""
CORNERS = {"top-left": (0, 0), "top-right": (0, 1), "bottom-left": (1, 0), "bottom-right": (1, 1)}
EDGES = {"top": (0, 0), "bottom": (0, 1), "left": (1, 0), "right": (1, 1)}
"""name -> (0 for rows, 1 for columns; 0 for the first, 1 for the last)"""


class Uniform(nn.Module):
    """The random walk: every action as likely as any other."""

    def __init__(self, actions: int):
        super().__init__()
        self.actions = actions

    def forward(self, x: Tensor) -> Tensor:
        """[N, ...] to logits [N, A], all 0."""
        return x.new_zeros((len(x), self.actions))


def world_for(policy: Policy, world: Any, observation: str | None) -> Any:
    """The world; a named one with the observation and size that the policy states, where it does."""
    settings: dict[str, Any] = {"observation": observation} if observation is not None else {}
    if isinstance(world, str):
        kind, own = world.partition(":")[0], policy.config.get("world") or {}
        if kind == own.get("name") and "observation" in own:
            settings = {"observation": own["observation"], **settings}
        if kind == "sokoban" and kind == own.get("name"):
            settings |= {"height": own["size"], "width": own["size"], "boxes": own["boxes"]}
        if kind == "maze" and isinstance(getattr(policy.module, "size", None), int):
            settings["size"] = policy.module.size
    return world_of(world, **settings)


def compared(policy: Policy, world: Any, seed: int, device: str, given: Any = None) -> list[Policy]:
    """The policy, the untrained network of its shape (of a policy without weights there is none), and the random walk."""
    has = given is not None or any(True for _ in policy.module.parameters())
    blank = [frame.control_of(policy, seed, device, given)] if has else []
    actions = len(world.moves if hasattr(world, "moves") else world.actions)
    return [policy, *blank, Policy(Uniform(actions), WALK, "", {})]


def code_of(world: Any) -> str:
    """sha256 of the code of a user's world, so that a changed one does not go on with an old run; ours is in `about`."""
    own = [
        c
        for c in type(world).__mro__
        if c.__module__.split(".")[0] not in ("goalscope", "builtins", "typing")
    ]
    return digest([(name, part) for c in own for name, part in sorted(vars(c).items()) if isfunction(part)])


def distinct(state: Any) -> Any:
    """The levels without repeats: a level that the world gives twice is one, however often it is played."""
    parts = [np.ascontiguousarray(getattr(state, f.name)) for f in dataclasses.fields(state)]
    rows = np.concatenate(
        [x.reshape(len(x), -1).view(np.uint8).reshape(len(x), -1) for x in parts if x.size], axis=1
    )
    return take(state, np.sort(np.unique(rows, axis=0, return_index=True)[1]))


def open_squares(world: Any, start: Any) -> np.ndarray:
    """[N, H, W] bool: squares that are free, or where the agent or a thing is."""
    found = world.free(start).copy()
    for i, (here, agent) in enumerate(zip(world.things(start), world.agent(start), strict=True)):
        for square in (*here.values(), tuple(agent)):
            found[i][tuple(square)] = True
    return found


def one_square(shape: tuple[int, ...], square: np.ndarray) -> np.ndarray:
    """[N, H, W] bool: the square [N, 2] of each level, none where its row is negative."""
    mask = np.zeros(shape, bool)
    there = np.flatnonzero(square[:, 0] >= 0)
    mask[there, square[there, 0], square[there, 1]] = True
    return mask


def place_masks(world: Any, start: Any) -> dict[str, np.ndarray]:
    """name -> [N, H, W] bool: the open square nearest to each corner of all open ones, the outermost line on each side,
    and the square on which the agent begins."""
    squares = open_squares(world, start)
    shape = squares.shape
    lines = [squares.any(2), squares.any(1)]
    ends = [(line.argmax(1), line.shape[1] - 1 - line[:, ::-1].argmax(1)) for line in lines]
    index = np.indices(shape[1:])
    masks = {}
    for name, (bottom, right) in CORNERS.items():
        away = sum(
            (index[axis] - ends[axis][end][:, None, None]) ** 2 for axis, end in ((0, bottom), (1, right))
        )
        nearest = np.where(squares, away, np.iinfo(np.int64).max).reshape(len(squares), -1).argmin(1)
        masks[f"{name} corner"] = one_square(shape, np.stack(np.divmod(nearest, shape[2]), 1))
    for name, (axis, end) in EDGES.items():
        masks[f"{name} edge"] = squares & (index[axis] == ends[axis][end][:, None, None])
    masks["start"] = one_square(shape, world.agent(start))
    return masks
