"""Dictionaries of data whose dictionary is known, trained once for all tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from goalscope.methods.reading.dictionary import KINDS, Planted, Recipe, Training, planted, train

K = 5
"""at least as many as nine of ten rows have"""


@pytest.fixture(scope="session")
def known() -> Planted:
    """What the dictionaries are trained on."""
    return planted(30_000)


@pytest.fixture(scope="session")
def fresh() -> Planted:
    """New rows of the same dictionary."""
    return planted(4_000, draw=1)


@pytest.fixture(scope="session")
def level() -> np.ndarray:
    """[4000] the levels of the new rows: forty rows each."""
    return np.arange(4_000) // 40


@pytest.fixture(scope="session")
def recipe() -> Callable[..., Recipe]:
    """A short training; a kind and what else differs."""
    return lambda kind="topk", **further: Recipe(
        **{"width": 128, "k": K, "kind": kind, "steps": 300, "batch": 256, "rate": 3e-3, **further}
    )


@pytest.fixture(scope="session")
def trained(known: Planted, recipe: Callable[..., Recipe]) -> dict[str, Training]:
    """A training of every kind; topk's is long enough to be held against the truth."""
    lengths = {kind: 1200 if kind == "topk" else 300 for kind in KINDS}
    return {kind: train(known.x, recipe(kind, steps=steps), site="here") for kind, steps in lengths.items()}
