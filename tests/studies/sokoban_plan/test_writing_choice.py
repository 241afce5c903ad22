"""Part and strength of what is written are chosen on levels of their own; the others have no say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from goalscope.studies.sokoban_plan.measure import writing
from goalscope.worlds.sokoban.symmetries import SYMMETRIES


def test_part_and_strength_are_chosen_on_the_choosing_levels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each group of levels obeys another part and strength; what is judged is what the choosing ones obey."""
    ahead, own = writing.AHEAD, writing.OWN
    obeys = {
        ("choosing", ahead): ("low", 2), ("choosing", own): ("high", 1),
        ("held", ahead): ("high", 5), ("held", own): ("low", 6),
    }  # fmt: skip
    made_of: list[tuple[str, str, float]] = []

    class Writer:
        def __init__(
            self, setup: Any, levels: str, target: str, part: str, vectors: Any, squares: str = ahead
        ):
            self.part, self.strength, self.squares = part, float(vectors), squares
            made_of.append((levels, part, self.strength))

    def taken(setup: Any, levels: str, writer: Writer, target: str) -> np.ndarray:
        part, strength = obeys[levels, writer.squares]
        success = writer.part == part and writer.strength == pytest.approx(writing.STRENGTHS[strength])
        return np.full(SYMMETRIES, success)

    monkeypatch.setattr(writing, "Writer", Writer)
    monkeypatch.setattr(writing, "taken", taken)
    monkeypatch.setattr(
        writing, "directions", lambda setup, probes, target, part, strength: torch.tensor(strength)
    )
    monkeypatch.setattr(writing, "random_like", lambda vectors, setup: [vectors])
    monkeypatch.setattr(
        writing, "run", lambda *given: SimpleNamespace(solved=np.ones(SYMMETRIES, bool), of=given)
    )
    monkeypatch.setattr(writing, "shorter_way", lambda *given: np.ones(SYMMETRIES, bool))
    monkeypatch.setattr(writing, "ways_taken", lambda *given: (np.ones(SYMMETRIES, bool), None))
    monkeypatch.setattr(writing, "_kept_example", lambda *given: {})
    monkeypatch.setattr(writing, "_far", lambda *given: {})
    setup: Any = SimpleNamespace(layout=SimpleNamespace(parts=("high", "low")))
    levels: tuple[Any, Any] = ("choosing", "held")
    found = writing._write(setup, {}, "agent", *levels)
    assert found["trial"].shape == found["own_trial"].shape == (2, len(writing.STRENGTHS), 1)
    assert found["chosen"].tolist() == [1, 2] and found["own_chosen"].tolist() == [0, 1]
    judged = {(part, round(strength, 6)) for levels, part, strength in made_of if levels == "held"}
    assert judged == {("low", writing.STRENGTHS[2]), ("high", writing.STRENGTHS[1])}


def test_of_equal_successes_the_weakest_is_taken() -> None:
    assert writing._best(np.array([[0.1, 0.5, 0.5], [0.2, 0.5, 0.4]])) == (0, 1)
