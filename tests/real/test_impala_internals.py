"""The cheese vector in the shared IMPALA network, on real Procgen mazes: it takes the cheese away, and noise does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from goalscope.activations import capture, editing
from goalscope.policies.checkpoint import load, untrained
from goalscope.stats import bootstrap_mean
from goalscope.studies.about import About
from goalscope.studies.maze_internals.setup import Sizes, alike, cheese_vector, prepare, reached, run, shifted
from goalscope.worlds.maze import remove_cheese
from goalscope.worlds.procgen import ProcgenMaze

DATA = os.environ.get("GOALSCOPE_DATA")
if DATA is None:
    pytest.skip("GOALSCOPE_DATA is unset: it points at the shared data", allow_module_level=True)
pytest.importorskip("procgen", reason="needs the extra goalscope[procgen]")
SITE = "embedder.block2.res1"


@pytest.fixture(scope="module")
def setup():
    policy = load(Path(str(DATA)) / "maze" / "maze_aisc_160m.pth")
    sizes = Sizes(discovery=1, held=8, reading=1, largest=1, targets=1, mapped=0, multiples=())
    blank = untrained(policy.config, 0)
    blank = type(policy)(blank.module, "untrained", "", policy.config)
    return prepare(policy, blank, ProcgenMaze("easy"), sizes, 0, About("procgen maze, easy", 0, "test"))


def test_the_cheese_vector_lies_where_the_literature_found_it(setup) -> None:
    """Published for this network: subtracted after the first residual add of block 2, the mouse no longer goes for it."""
    assert setup.layout.middle == SITE
    held, steps = setup.held, setup.steps
    vector = cheese_vector(setup, held, SITE)
    base = reached(run(setup, held), held.cheese, steps)
    without = reached(shifted(setup, held, SITE, -vector), held.cheese, steps)
    noise = alike(vector, torch.Generator().manual_seed(0))
    control = reached(shifted(setup, held, SITE, noise), held.cheese, steps)
    fall = bootstrap_mean(without - base, bounds=(-1, 1), seed=0)
    assert fall.estimate < -0.3 and fall.high < 0
    assert abs((control - base).mean()) < 0.1


def test_with_the_vector_at_its_own_square_the_mouse_sees_no_cheese_at_all(setup) -> None:
    """Bit for bit what the bare maze gives: nothing after the site reads the cheese past it."""
    module, world, held = setup.policy.module, setup.world, setup.held
    seen, bare = (module.encode(world.observe(state)) for state in (held, remove_cheese(held)))
    with torch.inference_mode():
        there = capture(module, bare, [SITE])[SITE]
        want = module(bare).logits
        with editing(module, {SITE: lambda _: there}):
            assert torch.equal(module(seen).logits, want)
        assert not torch.equal(module(seen).logits, want)
