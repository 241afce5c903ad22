"""The moves of a policy in every state, and what the methods make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from goalscope.methods.behaviour.reach import occupancy
from goalscope.methods.goals.utilities import (
    Inference,
    Served,
    Weights,
    infer_utility,
    maximum_entropy,
    served,
)
from goalscope.rollout import NoExactChain, chain
from goalscope.studies.any_world import Uniform
from goalscope.studies.utility.setup import Asked


@dataclass(frozen=True)
class Made:
    """What the methods make of one policy's moves."""

    inference: Inference
    served: Served
    """of the utilities that are about coming somewhere, in their order"""
    weights: Weights
    """of maximum-entropy inverse reinforcement learning, of the features `features_of` gives"""


def measure(module: nn.Module, asked: Asked) -> dict[str, np.ndarray]:
    """`moves` [K, A], the probability of each action in every state.

    Raises:
        ValueError: the policy has a memory, or does not take what the world observes.
    """
    shape = asked.states.next.shape
    if isinstance(module, Uniform):
        return {"moves": np.full(shape, 1 / shape[1])}
    try:
        return {"moves": chain(module, asked.world, asked.states).moves}
    except NoExactChain as error:
        raise ValueError(
            f"{error}. A utility is inferred from the moves in every state, which such a policy does not have; "
            "`goalscope study goals` samples its play instead"
        ) from error


def features_of(asked: Asked) -> tuple[list[str], np.ndarray]:
    """Names, and [F, K]: what the weights of the reward are weights of, the single utilities but for the near ones."""
    plain = [u for u in asked.utilities if " + " not in u.about and not u.name.startswith("near ")]
    return [u.name for u in plain], np.stack([u.worth for u in plain])


def conclude(moves: np.ndarray, asked: Asked, seed: int) -> Made:
    """From the moves [K, A] to utilities; quick."""
    states = asked.states
    weight = occupancy(moves, states.next, states.over, states.start, asked.steps).visits.clip(max=1)
    level, count = asked.unit[states.level], int(asked.unit.max()) + 1
    train = np.random.default_rng(seed).permutation(count) % 2 == 0
    options: dict[str, Any] = {}
    if asked.contexts:
        options = {
            "contexts": np.stack(list(asked.contexts.values())), "context_names": list(asked.contexts),
            "context_lengths": [asked.context_length] * len(asked.contexts),
        }  # fmt: skip
    inference = infer_utility(
        asked.best, moves, weight, level, train=train, names=[u.name for u in asked.utilities],
        lengths=[u.length for u in asked.utilities], about=[u.about for u in asked.utilities], seed=seed, **options,
    )  # fmt: skip
    targets = np.stack([u.target for u in asked.utilities if u.target is not None])
    uniform = np.full(moves.shape, 1 / moves.shape[1])
    served_ = served(
        moves, uniform, states.next, states.over, states.offsets, states.start, targets, asked.steps
    )
    weights = maximum_entropy(
        states.next, states.over, features_of(asked)[1], moves, weight, level, train=train, seed=seed
    )
    return Made(inference, served_, weights)
