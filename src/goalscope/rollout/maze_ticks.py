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

from goalscope.policies.given import module_of
from goalscope.rollout.maze_fields import BATCH, fields_at_once
from goalscope.showing import drawing, text
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
    policy: Any, world: Any, state: MazeState, ticks: Sequence[int], steps: int, batch: int = BATCH
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
