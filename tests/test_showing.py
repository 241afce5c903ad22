"""Results, states and policies show themselves in a few lines and in a static drawing."""

from __future__ import annotations

import importlib
import math
import re
from dataclasses import fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import goalscope
from goalscope.evidence.finding import Finding
from goalscope.evidence.forecast import parse_forecasts, read_text
from goalscope.methods.intervening.steer import dose_response
from goalscope.policies.checkpoint import load
from goalscope.showing import drawing, text
from goalscope.stats import Estimate
from goalscope.worlds.maze import Maze
from goalscope.worlds.sokoban import SokobanState
from goalscope.worlds.sokoban.solver import solve_many
from goalscope.worlds.sokoban.text import read_levels

PACKAGE = Path(goalscope.__file__).parent
FINDING = Finding(
    id="reach.size.13", question="P(reach the cheese)", estimate=0.5, low=0.4, high=0.6, n=10, unit="probability",
    control=0.2, control_low=0.1, control_high=0.3, control_name="untrained", method="exact chain", site="behaviour",
    policy="mouse-a", policy_sha256="", world="maze, size 13", seed=0, code_version="0.1.0+0",
)  # fmt: skip


def results() -> list[type]:
    """The public frozen dataclasses of methods, rollout and evidence, but for two that say themselves in words of their own:
    a witness is one square with its reason, a finding is read in six lines.
    """
    found = {}
    rooms = ("methods/**/*.py", "rollout/*.py", "evidence/*.py")
    for file in sorted(file for room in rooms for file in PACKAGE.glob(room)):
        name = ".".join(("goalscope", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        module = importlib.import_module(name)
        for one in vars(module).values():
            if isinstance(one, type) and is_dataclass(one) and one.__module__ == name:
                found[f"{name}.{one.__name__}"] = one
    return [
        one for one in found.values() if one.__name__ not in ("Witness", "Finding") and one.__name__[0] != "_"
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
        Estimate(0.5, 0.25, 0.75, 60),
        Estimate(0.5, -math.inf, math.inf, 1),
        FINDING,
        replace(FINDING, question="long " * 60, quick=True),
        replace(FINDING, control=None, control_low=None, control_high=None, control_name="<script>none"),
        parse_forecasts(read_text("cheese_maze")[1]),
        read_levels("#####\n#@$.#\n#####"),
        solve_many(read_levels("#####\n#@$.#\n#####").states()),
        dose_response(run, "x", direction, [1.0, 2.0], controls=torch.eye(4)),
    ]


def test_what_is_shown_is_short_and_static():
    for record in shown():
        assert len(repr(record).splitlines()) <= 12, repr(record)
        assert repr(record).startswith((type(record).__name__, "reach.size.13"))
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


def test_a_finding_says_its_numbers_its_control_and_where_it_stands():
    said = repr(FINDING).splitlines()
    assert said[0] == "reach.size.13: P(reach the cheese)"
    assert said[1] == "  0.5 [0.4, 0.6] probability, n = 10"
    assert said[2] == "  control: 0.2 [0.1, 0.3] (untrained)"
    assert said[3] == "  undeclared, claim 'apart': supported"
    assert "reach.size.13 (quick):" in repr(replace(FINDING, quick=True))


def test_an_interval_is_drawn_to_scale_and_none_where_there_is_none():
    drawn = FINDING._repr_html_()
    bars = [line for line in re.findall(r"<line [^>]*>", drawn) if "stroke-width" in line]
    left, right = (float(re.search(rf'{end}="([0-9.]+)"', bars[0]).group(1)) for end in ("x1", "x2"))  # type: ignore[union-attr]
    zero = float(re.search(r'<line x1="([0-9.]+)"', drawn).group(1))  # type: ignore[union-attr]
    assert left - zero == pytest.approx(2 * (right - left), abs=0.3)  # 0.4 from nothing, 0.2 wide
    assert len(bars) == 2
    assert "stroke-width" not in Estimate(0.5, -math.inf, math.inf, 1)._repr_html_()
    assert "stroke-width" not in Estimate(0.5, 0.5, 0.5, 1)._repr_html_()
