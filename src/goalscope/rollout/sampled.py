"""Sampled play of any policy in any world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from goalscope.policies.given import module_of
from goalscope.rollout.forward import answer, encoded, evaluating, first_carry, needs
from goalscope.showing import drawing, text
from goalscope.worlds.contract import take, whole_number


@dataclass(frozen=True)
class Rollout:
    """Sampled play of N levels for T steps; after a level's end its actions are 0 and change nothing."""

    __repr__, _repr_html_ = text, drawing

    actions: np.ndarray
    """[T, N] int64"""
    rewards: np.ndarray
    """[T, N] float32"""
    ended: np.ndarray
    """[T, N] bool: the level is over after this step"""
    final: Any
    """the N states after the last step"""


def play(
    policy: Any, world: Any, state: Any, steps: int, seed: int,
    watch: Callable[[Any, int], None] | None = None,
) -> Rollout:  # fmt: skip
    """Plays with sampled actions, feed-forward or recurrent (a module with `initial_carry`).

    Where the world says which moves are `legal`, only those are taken, each as likely as the policy has it among them.

    Args:
        policy: whatever `policies.given.policy_of` takes.
        world: any World.
        state: N levels to start from; left as they are.
        steps: T, time limit.
        seed: of the sampling.
        watch: called with the N states and the number of steps before them, 0 to T, for as long as a level goes on.

    Raises:
        ValueError: the module cannot take the world's observations, or gives no logits for its actions, or a carry of
            another structure; the world lacks what is needed.
    """
    module = module_of(policy)
    needs(world, ("observe", "step", "actions", "name"), "play needs a world, see goalscope.worlds.contract")
    steps = whole_number("steps", steps)
    generator = torch.Generator().manual_seed(whole_number("seed", seed))
    recurrent = hasattr(module, "initial_carry")
    available = len(world.moves if hasattr(world, "moves") else world.actions)
    n = len(world.observe(state))
    actions, rewards, ended = (
        np.zeros((steps, n), np.int64),
        np.zeros((steps, n), np.float32),
        np.zeros((steps, n), bool),
    )
    over = np.zeros(n, bool)
    with evaluating(module):
        carry: Any = first_carry(module, n)
        for t in range(steps):
            if watch:
                watch(state, t)
            # Levels that are over are not run any more, unless a carry ties the batch together.
            going = np.arange(n) if recurrent else np.flatnonzero(~over)
            if not len(going):
                ended[t:] = True
                break
            x = encoded(module, world.observe(take(state, going)))
            logits, _, carry = answer(module, x, carry, actions=available, world=world.name)
            probs = _allowed(logits.double().cpu(), world, state, going).softmax(1)
            actions[t, going] = torch.multinomial(probs, 1, generator=generator)[:, 0].numpy()
            outcome = world.step(state, actions[t])
            state, rewards[t], over = outcome.state, outcome.reward, outcome.ended
            ended[t] = over
    if watch:
        watch(state, steps)
    return Rollout(actions, rewards, ended, state)


def _allowed(logits: torch.Tensor, world: Any, state: Any, going: np.ndarray) -> torch.Tensor:
    """The logits [M, A] of the levels that go on, -inf where the world forbids a move; as they are where it forbids none."""
    if not hasattr(world, "legal"):
        return logits
    return logits.masked_fill(~torch.from_numpy(world.legal(take(state, going))), -torch.inf)
