"""Results, states and policies show themselves in a few lines and in a static drawing."""

from __future__ import annotations

import importlib
from dataclasses import fields, is_dataclass, make_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import goalscope
from goalscope.methods.intervening.steer import dose_response
from goalscope.policies.checkpoint import load
from goalscope.showing import drawing, text
from goalscope.worlds.maze import Maze
from goalscope.worlds.sokoban import SokobanState

PACKAGE = Path(goalscope.__file__).parent


def results() -> list[type]:
    """The public frozen dataclasses of methods and rollout; a witness is one square with its reason, short as it is."""
    found = {}
    for file in sorted([*PACKAGE.glob("methods/**/*.py"), *PACKAGE.glob("rollout/*.py")]):
        name = ".".join(("goalscope", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        module = importlib.import_module(name)
        for one in vars(module).values():
            if isinstance(one, type) and is_dataclass(one) and one.__module__ == name:
                found[f"{name}.{one.__name__}"] = one
    return [
        one for name, one in found.items() if one.__name__ != "Witness" and not one.__name__.startswith("_")
    ]


@pytest.mark.parametrize("result", results(), ids=lambda one: one.__name__)
def test_every_result_shows_itself(result: Any):
    assert result.__repr__ is text
    assert hasattr(result, "_repr_html_")


def shown() -> list[Any]:
    empty = np.zeros((500, 8, 8), bool)
    direction = torch.ones(4)

    def run(edits: Any) -> np.ndarray:
        return np.arange(6.0) + sum(float(edit(torch.zeros(1, 4)).sum()) for edit in edits.values())

    return [
        Maze(13).generate(range(500)),
        SokobanState(empty, empty, empty, np.zeros((500, 2), np.int16)),
        load("mouse-topright"),
        dose_response(run, "x", direction, [1.0, 2.0], controls=torch.eye(4)),
    ]


def test_what_is_shown_is_short_and_static():
    for record in shown():
        assert len(repr(record).splitlines()) <= 12, repr(record)
        assert repr(record).startswith(type(record).__name__)
        html = record._repr_html_()
        assert "<svg" in html and "<script" not in html
        assert max(map(len, repr(record).splitlines())) <= 110


def test_shapes_types_and_ranges_are_those_of_the_fields():
    record = make_dataclass("Many", [(f"f{k}", Any) for k in range(20)])
    one = record(np.array([[1.0, -2.5, np.nan]]), torch.tensor([3, 4]), "<script>", *range(17))
    said = text(one).splitlines()
    assert said[1] == "  f0: float64 [1, 3], -2.5 to 1"
    assert said[2] == "  f1: int64 [2], 3 to 4"
    assert len(said) == 12 and all(field.name in text(one) for field in fields(one)[:10])
    assert "<script" not in drawing(one)
