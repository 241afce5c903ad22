"""The Sokoban agents that come with the package: how large, what their cards say, how good on levels never seen."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from goalscope.policies.checkpoint import load
from goalscope.policies.drc import DRC
from goalscope.policies.names import CARD, WEIGHTS, packaged
from goalscope.policies.resnet import ResNet, parameters
from goalscope.training.sokoban.recipe import RECIPES, attempt
from goalscope.worlds.contract import take
from goalscope.worlds.sokoban import Sokoban
from goalscope.worlds.sokoban.text import read_level_file

BYTES = {"sokoban-small": 500_000, "sokoban-boxoban": 2_000_000}
FOUND = {policy.name: policy for policy in packaged()}


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_small_and_its_card_says_how_it_came_about(name):
    found, recipe = FOUND[name], RECIPES[name]
    assert sum(file.stat().st_size for file in found.folder.rglob("*") if file.is_file()) < BYTES[name]
    assert {WEIGHTS, CARD} <= {file.name for file in found.folder.iterdir()}
    assert found.config["world"] == {"name": "sokoban", "size": recipe.size, "boxes": recipe.boxes}
    module = load(name).module
    assert isinstance(module, DRC)
    assert (module.layers, module.ticks, module.channels) == (recipe.layers, recipe.ticks, recipe.channels)
    for word in (f"--recipe {name}", "Steps and time", "Curve", "Limits", "sampled actions"):
        assert word in found.card


def test_small_solves_nine_of_ten_unseen_levels_and_an_untrained_one_does_not():
    world = Sokoban(8, 8, 2)
    levels = world.generate(np.arange(1000))
    assert attempt(load("sokoban-small").module, world, levels, seed=1).mean() >= 0.9
    torch.manual_seed(0)
    recipe = RECIPES["sokoban-small"]
    fresh = DRC(recipe.layers, recipe.ticks, recipe.channels, hidden=recipe.hidden)
    assert attempt(fresh, world, take(levels, slice(200)), seed=1).mean() < 0.2


def test_the_network_without_memory_is_of_equal_size_and_as_good():
    found = FOUND["sokoban-small-resnet"]
    small, plain = load("sokoban-small"), load("sokoban-small-resnet")
    assert isinstance(plain.module, ResNet) and plain.config["world"] == small.config["world"]
    assert parameters(plain.module) == pytest.approx(parameters(small.module), rel=0.02)
    assert plain.config["training"]["steps"] == small.config["training"]["steps"]
    assert sum(file.stat().st_size for file in found.folder.iterdir()) < BYTES["sokoban-small"]
    world = Sokoban(8, 8, 2)
    levels = world.generate(np.arange(1000))
    assert attempt(plain.module, world, levels, seed=1).mean() >= 0.9
    few = take(levels, slice(200))
    assert np.array_equal(attempt(plain.module, world, few), attempt(plain.module, world, few, thinking=4))


def test_boxoban_solves_half_of_the_unfiltered_test_levels():
    data = os.environ.get("GOALSCOPE_DATA")
    if not data:
        pytest.skip("set GOALSCOPE_DATA to the folder with sokoban/boxoban")
    file = Path(data) / "sokoban" / "boxoban" / "unfiltered" / "test" / "000.txt"
    levels = take(read_level_file(file).states((10, 10)), slice(300))
    assert attempt(load("sokoban-boxoban").module, Sokoban(10, 10, 4), levels, seed=1).mean() >= 0.5
