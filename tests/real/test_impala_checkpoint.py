"""The shared IMPALA checkpoint on the real Procgen maze: same numbers as a plain forward, and it plays."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from goalscope.methods.behaviour.reach import reach_probability
from goalscope.policies.checkpoint import load
from goalscope.policies.impala import Impala, from_state_dict
from goalscope.worlds.contract import take
from goalscope.worlds.procgen import MOVES, ProcgenMaze

DATA = os.environ.get("GOALSCOPE_DATA")
if DATA is None:
    pytest.skip("GOALSCOPE_DATA is unset: it points at the shared data", allow_module_level=True)
pytest.importorskip("procgen", reason="needs the extra goalscope[procgen]")

_path = Path(__file__).parents[1] / "policies" / "impala_reference.py"
_spec = importlib.util.spec_from_file_location("impala_reference", _path)
assert _spec and _spec.loader
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


@pytest.fixture(scope="module")
def path():
    return Path(str(DATA)) / "maze" / "maze_aisc_160m.pth"


@pytest.fixture(scope="module")
def network(path):
    return load(path).module


@pytest.fixture(scope="module")
def chain():
    """World, ten levels as in training, their (square, facing) states, and the pictures of these."""
    world = ProcgenMaze("easy", cheese_region=5)
    state = world.generate(np.arange(10))
    squares = world.squares(state)
    return world, state, squares, world.observe(world.at_squares(state, squares, slice(None)))


@torch.no_grad()
def probabilities(network, pixels, temperature=1.0):
    """[K, 15] of the actions, [K, 5] of the moves."""
    logits = [network(network.encode(pixels[i : i + 256])).logits for i in range(0, len(pixels), 256)]
    actions = torch.cat(logits).div(temperature).double().softmax(1).numpy()
    return actions, np.stack([actions[:, move == MOVES].sum(1) for move in range(5)], 1)


@torch.no_grad()
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_equals_the_functional_forward_bit_for_bit(path, network, memory):
    state_dict = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    world = ProcgenMaze("hard")
    x = network.encode(world.observe(world.generate(np.arange(16)))).contiguous(memory_format=memory)
    for module in (network, from_state_dict(state_dict)):
        assert isinstance(module, Impala)
        # The file's numbers, in the memory format that the module keeps them in.
        weights = module.state_dict()
        assert all(torch.equal(weights[name], tensor) for name, tensor in state_dict.items())
        logits, value = reference.plain_forward(weights, x)
        assert torch.equal(module(x).logits, logits)
        assert torch.equal(module(x).value, value)
    assert logits.std() > 0.5


def test_reaches_the_cheese_where_it_was_trained_and_only_with_upright_pixels(network, chain):
    _, _, squares, pixels = chain
    reach = []
    for seen in (pixels, np.ascontiguousarray(pixels[:, :, ::-1])):
        moves = probabilities(network, seen)[1]
        reach.append(reach_probability(moves, squares.next, squares.goal, 500)[squares.start].mean())
    assert reach[0] > 0.99
    assert reach[1] < 0.7


def test_exact_reach_equals_sampled_episodes(network, chain):
    """20 episodes a level through Procgen's own steps, against the chain over (square, facing)."""
    world, first, squares, pixels = chain
    # At temperature 1 these levels are all but certain, and there would be nothing to agree on.
    actions, moves = probabilities(network, pixels, temperature=4)
    steps = 40
    exact = reach_probability(moves, squares.next, squares.goal, steps)[squares.start]
    number = {
        (level, *square, facing): k
        for k, (level, square, facing) in enumerate(
            zip(squares.level.tolist(), squares.square.tolist(), squares.facing.tolist(), strict=True)
        )
    }
    level = np.repeat(np.arange(len(first)), 20)
    state, rng, ended = take(first, level), np.random.default_rng(0), np.zeros(len(level), bool)
    for step in range(steps):
        places = zip(level.tolist(), state.mouse.tolist(), state.facing.tolist(), strict=True)
        node = np.array([number[n, row, column, facing] for n, (row, column), facing in places])
        if step % 10 == 3:
            assert np.array_equal(world.observe(state), pixels[node])
        chosen = (actions[node].cumsum(1) < rng.random((len(level), 1))).sum(1).clip(max=14)
        outcome = world.step(state, chosen)
        state, ended = outcome.state, outcome.ended
    sampled = ended.reshape(-1, 20).mean(1)
    deviation = np.sqrt(exact * (1 - exact) / 20)
    assert ((exact > 0.1) & (exact < 0.9)).sum() >= 4
    assert (np.abs(sampled - exact) < 3.5 * deviation + 1e-3).all()
