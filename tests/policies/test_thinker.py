"""The mouse that thinks: what a tick is, how far it tells, that walls hold nothing, and the reflex of equal size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from goalscope.activations.hooks import capture
from goalscope.activations.recompute.from_site import recompute_from
from goalscope.policies.checkpoint import load, save
from goalscope.policies.resnet import parameters
from goalscope.policies.thinker import Thinker
from goalscope.training.maze.planner import NETWORKS
from goalscope.worlds.maze import Maze


def small(ticks: int = 3, tied: bool = True) -> Thinker:
    torch.manual_seed(0)
    return Thinker(ticks, 6, tied).eval()


def observations(n: int = 4, size: int = 9) -> np.ndarray:
    world = Maze(size, None)
    return world.observe(world.generate(range(n)))


def run(module: Any, seen: np.ndarray) -> Tensor:
    with torch.inference_mode():
        logits, value = module(module.encode(seen))
        return torch.cat([logits, value[:, None]], 1)


def test_a_mouse_reads_what_stands_at_its_own_square_of_what_holds_everywhere():
    module, world = small(), Maze(9, None)
    state = world.generate(range(4))
    with torch.inference_mode():
        everywhere = module.everywhere(module.encode(world.observe(state)))
    assert everywhere.logits.shape == (4, 5, 9, 9) and everywhere.value.shape == (4, 9, 9)
    own = run(module, world.observe(state))
    for i, (row, column) in enumerate(state.mouse):
        torch.testing.assert_close(own[i, :5], everywhere.logits[i, :, row, column])
        torch.testing.assert_close(own[i, 5], everywhere.value[i, row, column])


def test_what_is_known_spreads_by_two_squares_a_tick():
    """The stem tells one square on, every tick two more: of a corridor, no square beyond that hears of the cheese."""
    x = torch.ones(2, 3, 1, 41)
    x[:, 0], x[:, 1:] = 0, 0
    x[0, 2, 0, 0] = 1
    for ticks in (1, 2, 5):
        with torch.inference_mode():
            logits = small(ticks).everywhere(x).logits
        differs = (logits[0] != logits[1]).any(0)[0].numpy()
        assert np.flatnonzero(differs).max() == 1 + 2 * ticks


def test_a_maze_in_a_larger_world_is_the_same_maze():
    module, seen = small(5), observations(6, 7)
    larger = np.zeros((6, 3, 15, 13), np.uint8)
    larger[:, 0] = 1
    larger[:, :, 5:12, 2:9] = seen
    torch.testing.assert_close(run(module, larger), run(module, seen), atol=1e-6, rtol=1e-5)


def test_ticks_can_be_set_afterwards_and_are_the_calls_of_one_block():
    short, long = small(2), small(5)
    seen = observations()
    assert not torch.equal(run(short, seen), run(long, seen))
    short.ticks = 5
    assert torch.equal(run(short, seen), run(long, seen))
    found = capture(long, long.encode(seen), ["blocks.0@0", "blocks.0@4", "head"])
    assert found["blocks.0@4"].shape == (4, 6, 9, 9)
    with torch.inference_mode():
        torch.testing.assert_close(long.head(found["blocks.0@4"]), found["head"])
    walls = torch.from_numpy(seen[:, :1]).bool().expand(-1, 6, -1, -1)
    assert not found["blocks.0@4"][walls].any() and found["blocks.0@4"][~walls].any()


@pytest.mark.parametrize("tied", [True, False])
def test_a_hooked_forward_is_the_bare_one_and_can_be_recomputed_from_a_tick(tied: bool):
    module, seen = small(3, tied), observations()
    bare = run(module, seen)
    site = "blocks.0@1" if tied else "blocks.1"
    x = module.encode(seen)
    held = capture(module, x, [site, ":out.logits"])
    assert torch.equal(held[":out.logits"], bare[:, :5])
    assert torch.equal(run(module, seen), bare)
    with torch.inference_mode():
        rest = recompute_from(module, site, x)
        assert torch.equal(rest(held[site]).logits, bare[:, :5])
        assert not torch.equal(rest(torch.zeros_like(held[site])).logits, bare[:, :5])


def test_the_reflex_is_as_large_and_cannot_think_longer():
    planner, reflex = Thinker(**NETWORKS["planner"]), Thinker(**NETWORKS["reflex"])
    assert abs(parameters(reflex) / parameters(planner) - 1) < 0.02
    assert len({id(block) for block in reflex.blocks}) == reflex.ticks
    reflex.ticks = 2
    run(reflex, observations())
    reflex.ticks = 5
    with pytest.raises(ValueError, match="ticks must be 1 to 4, for every tick has its own weights, got 5"):
        run(reflex, observations())
    planner.ticks = 0
    with pytest.raises(ValueError, match="ticks must be 1 or more, got 0"):
        run(planner, observations())


def test_it_takes_planes_of_a_maze_only():
    with pytest.raises(ValueError, match=r"\[N, 3, H, W\] of walls, mouse and cheese, got \[4, 4, 9, 9\]"):
        small().encode(np.zeros((4, 4, 9, 9), np.uint8))


@pytest.mark.parametrize("tied", [True, False])
def test_a_saved_one_comes_back(tied: bool, tmp_path):
    module = small(3, tied)
    config = {"architecture": {"name": "thinker", "ticks": 3, "channels": 6, "tied": tied}}
    save(tmp_path / "m", module, config, "# card")
    loaded: Any = load(tmp_path / "m").module
    assert loaded.ticks == 3 and loaded.tied == tied
    torch.testing.assert_close(run(loaded, observations()), run(module, observations()))
