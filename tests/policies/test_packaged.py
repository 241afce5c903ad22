"""The mice that come with the package: how large, how good, and from which states of training."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.policies.checkpoint import load
from goalscope.policies.names import PACKAGED, packaged, snapshots
from goalscope.rollout import play
from goalscope.worlds.maze import Maze

AGENTS = {"mouse-corner": 1, "mouse-topright": 5, "mouse-topright-2": 5, "mouse-anywhere": None}
FINETUNED = {f"mouse-topright-{reward}" for reward in ("cheese", "flipped", "same", "random")}


def test_all_are_there_with_card_and_region() -> None:
    found = {policy.name: policy for policy in packaged() if policy.name.startswith("mouse")}
    assert found.keys() == AGENTS.keys() | FINETUNED
    for name, region in AGENTS.items():
        assert found[name].config["world"]["cheese_region"] == region
        for word in ("Command", "Steps and time", "Curve", "Limits"):
            assert word in found[name].card


def test_each_file_is_below_500_kb() -> None:
    files = list(PACKAGED.glob("mouse*/**/*.safetensors"))
    assert len(files) == len(AGENTS) + len(FINETUNED) + 8
    assert max(file.stat().st_size for file in files) < 500_000


@pytest.mark.parametrize("name, region", AGENTS.items())
def test_it_solves_97_percent_of_unseen_levels_of_its_own_distribution(name: str, region: int | None) -> None:
    world = Maze(13, region)
    played = play(load(name).module, world, world.generate(np.arange(1000)), steps=200, seed=1)
    assert played.ended[-1].mean() >= 0.97


def test_the_snapshots_are_eight_and_log_spaced() -> None:
    names = snapshots("mouse-topright")
    steps = np.array([int(name.partition("@")[2]) for name in names])
    assert len(names) == 8
    assert np.allclose(steps[1:] / steps[:-1], 2, atol=0.01)
    assert load(names[0]).name == names[0]
    last, final = load(names[-1]).module.state_dict(), load("mouse-topright").module.state_dict()
    assert all((last[k] == final[k]).all() for k in final)


def test_an_unknown_snapshot_is_named_with_those_that_exist() -> None:
    with pytest.raises(KeyError, match="mouse-topright@39062"):
        load("mouse-topright@39063")
