"""Any Gymnasium environment as a world: what it can do by itself, and what it can with a few functions of the user's.

`played.py` states that are histories, `inner.py` states that are read from inside; `checks.py` what is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from goalscope.worlds.foreign.inner import InnerState, InnerWorld, Inside
from goalscope.worlds.foreign.played import PlayedState, PlayedWorld

__all__ = ["InnerState", "InnerWorld", "Inside", "PlayedState", "PlayedWorld", "from_gymnasium"]


def from_gymnasium(
    make: Callable[[], Any],
    time_limit: int | None = None,
    inside: Inside | None = None,
    abilities: Mapping[str, Callable[..., Any]] | None = None,
) -> PlayedWorld | InnerWorld:
    """A world of a Gymnasium environment with numbered actions and array observations.

    By itself it can be played, and its policy's activations captured: a state is a seed and the actions since, which
    are played again where they must be. It has no things, edits or exact chain. With `inside` a state is what is inside
    the environment: it can be edited, and where it is deterministic and small enough there is an exact chain.

    Args:
        make: a function without arguments that makes the environment, such as lambda: gymnasium.make("CartPole-v1").
        time_limit: steps after which callers end an episode; None is the environment's own.
        inside: how what is inside is read, written and seen.
        abilities: name of `goalscope.worlds.contract.ABILITIES` -> a function of yours that takes the world and then what
            the ability takes, as in {"move_agent": lambda world, state, to: dataclasses.replace(state, inner=...)}.

    Raises:
        TypeError: `make` makes no environment.
        ValueError: continuous or unnumbered actions, observations that are no array, no time limit, levels that their
            seeds do not repeat, `inside` that leaves something out, abilities without it or by other names.
    """
    if inside is None:
        if abilities:
            raise ValueError(
                f"{', '.join(abilities)} need states that can be edited: give `inside` with them, which reads and writes "
                "what is inside the environment"
            )
        return PlayedWorld(make, time_limit)
    return InnerWorld(make, time_limit, inside, abilities or {})
