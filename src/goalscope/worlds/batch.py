"""Levels of a batch: picked out, joined, copied, compared. A state is a dataclass of arrays, first axis the level."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

S = TypeVar("S")


def take(state: S, index: Any) -> S:
    """The levels of `state` that `index` (integers, slice or boolean mask along the first axis) selects."""
    if isinstance(index, (int, np.integer)):
        index = [int(index)]
    fields = {f.name: getattr(state, f.name)[index] for f in dataclasses.fields(state)}  # type: ignore[arg-type]
    return dataclasses.replace(state, **fields)  # type: ignore[type-var]


def concatenate(states: Iterable[S]) -> S:
    """One batch from several of the same world."""
    states = list(states)
    if not states:
        raise ValueError("concatenate needs at least one state")
    names = [f.name for f in dataclasses.fields(states[0])]  # type: ignore[arg-type]
    fields = {name: np.concatenate([getattr(s, name) for s in states]) for name in names}
    return dataclasses.replace(states[0], **fields)  # type: ignore[type-var]


def copied(state: Any) -> Any:
    """A state with arrays of its own."""
    return dataclasses.replace(
        state, **{f.name: getattr(state, f.name).copy() for f in dataclasses.fields(state)}
    )


def equal(a: Any, b: Any) -> bool:
    """Whether all arrays of two states are."""
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
