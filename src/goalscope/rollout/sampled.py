"""Sampled play of any policy in any world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from goalscope.rollout.forward import evaluating
from goalscope.showing import drawing, text
from goalscope.worlds.contract import take


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


def play(policy: nn.Module, world: Any, state: Any, steps: int, seed: int) -> Rollout:
    """Plays with sampled actions, feed-forward or recurrent (a module with `initial_carry`).

    Args:
        policy: module with `encode`.
        world: any World.
        state: N levels to start from; left as they are.
        steps: T, time limit.
        seed: of the sampling.
    """
    generator = torch.Generator().manual_seed(seed)
    recurrent = hasattr(policy, "initial_carry")
    n = len(world.observe(state))
    actions, rewards, ended = (
        np.zeros((steps, n), np.int64),
        np.zeros((steps, n), np.float32),
        np.zeros((steps, n), bool),
    )
    over = np.zeros(n, bool)
    with evaluating(policy):
        carry: Any = policy.initial_carry(n) if recurrent else None  # type: ignore[operator]
        for t in range(steps):
            # Levels that are over are not run any more, unless a carry ties the batch together.
            going = np.arange(n) if recurrent else np.flatnonzero(~over)
            if not len(going):
                ended[t:] = True
                break
            x = policy.encode(world.observe(take(state, going)))  # type: ignore[operator]
            logits, _, *rest = policy(x, carry) if recurrent else policy(x)
            carry = rest[0] if recurrent else None
            probs = logits.double().softmax(1).cpu()
            actions[t, going] = torch.multinomial(probs, 1, generator=generator)[:, 0].numpy()
            outcome = world.step(state, actions[t])
            state, rewards[t], over = outcome.state, outcome.reward, outcome.ended
            ended[t] = over
    return Rollout(actions, rewards, ended, state)
