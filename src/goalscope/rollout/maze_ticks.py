"""What thinking longer does in mazes: exact P(reach) by the number of ticks, and which levels flip.

For policies with an attribute `ticks` and with `everywhere`, which gives logits and value for the mouse on every square in
one forward (`policies.thinker`, and the map by hand of `policies.handwritten_networks`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from goalscope.policies.given import module_of
from goalscope.rollout.forward import encoded, evaluating, needs
from goalscope.rollout.maze_fields import Fields, finite
from goalscope.showing import drawing, text
from goalscope.worlds.contract import take
from goalscope.worlds.maze import MazeState

SOLVED = 0.5
"""P(reach) from which on a level counts as solved, where levels are listed"""


@dataclass(frozen=True)
class Thinking:
    """What a policy does in N mazes with each of T numbers of ticks."""

    __repr__, _repr_html_ = text, drawing

    ticks: np.ndarray
    """[T] int, growing"""
    reach: np.ndarray
    """[T, N] exact probability of reaching the cheese from the start"""
    steps: int
    """within so many steps"""

    def lost(self, solved: float = SOLVED) -> list[np.ndarray]:
        """For each number of ticks but the first: levels that the one before solved and this one does not."""
        done = self.reach >= solved
        return [np.flatnonzero(before & ~after) for before, after in pairwise(done)]

    def won(self, solved: float = SOLVED) -> list[np.ndarray]:
        """For each number of ticks but the first: levels that the one before did not solve and this one does."""
        done = self.reach >= solved
        return [np.flatnonzero(~before & after) for before, after in pairwise(done)]


def think_longer(
    policy: Any, world: Any, state: MazeState, ticks: Sequence[int], steps: int, batch: int = 32
) -> Thinking:
    """Exact P(reach) of each maze with each number of ticks; the policy's own number is put back afterwards.

    Args:
        policy: with `ticks` and `everywhere`; whatever `policies.given.policy_of` takes.
        world: `Maze`.
        state: N levels.
        ticks: numbers of ticks, growing.
        steps: time limit.
        batch: mazes in one forward.

    Raises:
        ValueError: no numbers of ticks, or they do not grow; a policy without `ticks` or `everywhere`.
    """
    numbers = np.asarray(ticks, int)
    if not len(numbers) or (np.diff(numbers) <= 0).any():
        raise ValueError(f"ticks must be numbers that grow, got {list(ticks)[:20]}")
    reach = []
    for number in numbers:
        with ticking(policy, int(number)):
            reach.append(fields_at_once(policy, world, state, batch).reach_from_start(steps))
    return Thinking(numbers, np.stack(reach), steps)


@contextmanager
def ticking(policy: Any, ticks: int) -> Iterator[None]:
    """Within, the policy thinks for so many ticks a step.

    Raises:
        ValueError: a policy without `ticks`.
    """
    module: Any = module_of(policy)
    before = getattr(module, "ticks", None)
    if not isinstance(before, int):
        raise ValueError(
            f"{type(module).__name__} has no number of `ticks`: it cannot think longer or shorter"
        )
    module.ticks = ticks
    try:
        yield
    finally:
        module.ticks = before


def fields_at_once(policy: Any, world: Any, state: MazeState, batch: int = 32) -> Fields:
    """`fields` from one forward a maze instead of one a square.

    Args:
        policy: with `everywhere`, and as many actions as there are Moves.
        world: `Maze`.
        state: N levels; where their mice are decides only which squares can be reached.
        batch: mazes in one forward.

    Raises:
        ValueError: the policy has no `everywhere`, or gives numbers that are not finite.
    """
    module: Any = module_of(policy)
    if not hasattr(module, "everywhere"):
        raise ValueError(
            f"{type(module).__name__} has no `everywhere`: it does not say at once what the mouse would do on every "
            "square; goalscope.fields asks square by square"
        )
    needs(world, ("squares", "observe"), "fields need a world of mazes")
    squares = world.squares(state)
    moves, value = [], []
    with evaluating(module):
        for first in range(0, len(state), batch):
            which = np.arange(first, min(first + batch, len(state)))
            out = module.everywhere(encoded(module, world.observe(take(state, which))))
            part = slice(squares.offsets[which[0]], squares.offsets[which[-1] + 1])
            level, (row, column) = squares.level[part] - first, squares.square[part].T.astype(int)
            at = (torch.from_numpy(level).long(), torch.from_numpy(row), torch.from_numpy(column))
            moves.append(out.logits.cpu().permute(0, 2, 3, 1)[at].double().softmax(1).numpy())
            value.append(finite(out.value.float().cpu()[at].numpy()))
    probabilities = np.concatenate(moves)
    if not np.isfinite(probabilities).all():
        raise ValueError("the policy gives logits that are not finite: its weights are damaged")
    return Fields(
        MazeState(state.walls, state.mouse, state.cheese), squares, probabilities, np.concatenate(value)
    )
