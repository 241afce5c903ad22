"""What an activation depends on is told by content: whatever changes an activation changes the digest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from goalscope.activations.content import digest, precision, settings_of, weights_of

ROW = torch.arange(8.0)
LONG = torch.zeros(3000)


def scaled(by: float) -> Callable[[float], float]:
    return lambda x: x * by


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ROW.reshape(2, 4), ROW.reshape(4, 2)),
        (ROW, ROW.view(torch.int32)),
        (ROW, ROW.numpy()),
        (ROW, ROW + 1e-6),
        ((LONG, (LONG,)), (LONG, (LONG.index_fill(0, torch.tensor([1500]), 1.0),))),
        ((1, (2, 3)), (1, 2, 3)),
        (1, True),
        (1, 1.0),
        ("1", 1),
        ({"a": 1}, {"b": 1}),
        (np.zeros(2), np.zeros(2, np.float32)),
        (scaled(2.0), scaled(3.0)),
        (lambda x: x * 2, lambda x: x * 3),
        (partial(max, 1), partial(max, 2)),
        (torch.float32, torch.float64),
        (functional.relu, functional.gelu),
    ],
)
def test_what_differs_has_another_digest(one: Any, other: Any):
    assert digest(one) != digest(other)


def test_what_is_equal_has_the_same_digest():
    held: list[Any] = [ROW.clone(), {"x": (1, None)}, scaled(2.0), torch.float32]
    again: list[Any] = [ROW.clone(), {"x": (1, None)}, scaled(2.0), torch.float32]
    held.append(held)  # what holds itself ends
    again.append(again)
    assert digest(held) == digest(again)
    assert digest(ROW.reshape(2, 4).T.contiguous()) == digest(ROW.reshape(2, 4).T)


class Ticking(nn.Module):
    def __init__(self, ticks: int, act: Any = torch.relu):
        super().__init__()
        self.ticks, self.act = ticks, act
        self.layer = nn.Linear(2, 2)
        self.register_buffer("scale", torch.ones(1), persistent=False)


def test_settings_are_modes_types_and_attributes():
    seen = [
        settings_of(module)
        for module in (
            Ticking(1), Ticking(2), Ticking(1, torch.tanh), Ticking(1).eval(),
            nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Sequential(nn.Linear(2, 2), nn.Tanh()),
            nn.Sequential(nn.Dropout(0.5)), nn.Sequential(nn.Dropout(0.1)),
        )
    ]  # fmt: skip
    assert len(set(seen)) == len(seen)
    assert settings_of(Ticking(1)) == settings_of(Ticking(1)), "weights are no settings"


def test_weights_count_buffers_that_a_state_dict_leaves_out():
    module = Ticking(1)
    before = weights_of(module)
    assert weights_of(module) == before
    module.scale.fill_(2.0)  # type: ignore[operator, union-attr]
    assert weights_of(module) != before


def test_precision_is_what_autocast_and_the_default_type_say():
    seen = [precision()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen.append(precision())
    try:
        torch.set_default_dtype(torch.float64)
        seen.append(precision())
    finally:
        torch.set_default_dtype(torch.float32)
    assert len(set(seen)) == 3
