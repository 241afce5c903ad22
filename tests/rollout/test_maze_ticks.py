"""Thinking longer in mazes: the fields of one forward are those of one a square, and flips are told apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from goalscope.activations import editing
from goalscope.policies.compact import Compact
from goalscope.policies.thinker import Thinker
from goalscope.rollout import fields
from goalscope.rollout.maze_fields import fields_at_once
from goalscope.rollout.maze_ticks import Thinking, think_longer, ticking
from goalscope.worlds.maze import Maze

WORLD = Maze(7, None)
MAZES = WORLD.generate(np.arange(12))


def square_by_square(levels: np.ndarray) -> dict:
    """Edits that change nothing: with them every square is asked for itself."""
    return {"head": lambda x: x}


def thinker() -> Thinker:
    torch.manual_seed(3)
    module = Thinker(2, 8).eval()
    nn.init.normal_(module.head.weight)
    return module


def test_fields_of_one_forward_a_maze_are_those_of_one_a_square():
    module = thinker()
    at_once = fields_at_once(module, WORLD, MAZES, batch=5)
    each = fields(module, WORLD, MAZES, edits=square_by_square)
    assert at_once.moves.shape == each.moves.shape and np.ptp(each.moves) > 0.2
    np.testing.assert_allclose(at_once.moves, each.moves, atol=1e-5)
    np.testing.assert_allclose(at_once.value, each.value, atol=1e-5)
    assert np.array_equal(at_once.squares.next, each.squares.next)


def test_fields_ask_once_a_maze_unless_something_is_edited_or_hooked():
    module, asked = thinker(), []
    forward, module.forward = module.forward, lambda x: asked.append(len(x)) or forward(x)  # type: ignore[method-assign]
    bare = fields(module, WORLD, MAZES)
    assert not asked
    handle = module.stem.register_forward_hook(lambda *_: None)
    hooked = fields(module, WORLD, MAZES)
    handle.remove()
    assert sum(asked) == len(bare.squares)
    np.testing.assert_allclose(hooked.moves, bare.moves, atol=1e-5)
    with editing(module, {"blocks.0@1": lambda h: torch.zeros_like(h)}):
        emptied = fields(module, WORLD, MAZES)
    assert np.ptp(emptied.moves, axis=0).max() < 1e-6 < np.ptp(bare.moves, axis=0).max()


def test_each_number_of_ticks_is_the_policy_with_that_number_and_its_own_comes_back():
    module = thinker()
    found = think_longer(module, WORLD, MAZES, [1, 3], steps=30)
    assert module.ticks == 2
    for ticks, reach in zip((1, 3), found.reach, strict=True):
        module.ticks = ticks
        np.testing.assert_allclose(
            reach,
            fields(module, WORLD, MAZES, edits=square_by_square).reach_from_start(30),
            atol=1e-5,
            rtol=1e-4,
        )
    assert not np.allclose(*found.reach, atol=1e-3)
    with pytest.raises(RuntimeError), ticking(module, 9):
        raise RuntimeError
    assert module.ticks == 3


def test_levels_that_flip_are_listed_by_which_way_they_flip():
    reach = np.array([[0.1, 0.9, 0.5, 0.2], [0.8, 0.4, 0.5, 0.2], [0.8, 0.7, 0.1, 0.6]])
    thinking = Thinking(np.array([2, 4, 8]), reach, 30)
    assert [x.tolist() for x in thinking.won()] == [[0], [1, 3]]
    assert [x.tolist() for x in thinking.lost()] == [[1], [2]]
    assert [x.tolist() for x in thinking.lost(0.85)] == [[1], []]


def test_what_cannot_think_is_refused():
    with pytest.raises(ValueError, match="Compact has no `everywhere`"):
        fields_at_once(Compact(7), WORLD, MAZES)
    with pytest.raises(ValueError, match="Compact has no number of `ticks`"):
        think_longer(Compact(7), WORLD, MAZES, [1], 30)
    for ticks in ([], [2, 2], [4, 1]):
        with pytest.raises(ValueError, match="ticks must be numbers that grow"):
            think_longer(thinker(), WORLD, MAZES, ticks, 30)
    broken = thinker()
    nn.init.constant_(broken.head.bias, float("nan"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not finite"):
        fields_at_once(broken, WORLD, MAZES)
