"""The Sokoban recipes end to end, very short: a policy with its card, from generated levels, from files, and by PPO."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from goalscope.policies.checkpoint import load, save
from goalscope.policies.drc import DRC
from goalscope.policies.resnet import ResNet, parameters
from goalscope.training.ppo import PPO
from goalscope.training.sokoban import recipe as sokoban
from goalscope.training.sokoban.recipe import RECIPES, improve_sokoban, train_sokoban
from goalscope.worlds.sokoban import Sokoban
from goalscope.worlds.sokoban.text import levels_text


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Recipes of the same kind on tiny levels with tiny networks."""
    for name, recipe in RECIPES.items():
        imitation = replace(recipe.imitation, steps=128, levels=8, window=4)
        tiny = replace(recipe, size=6, boxes=1, layers=1, ticks=2, channels=8, hidden=8, imitation=imitation)
        monkeypatch.setitem(RECIPES, name, tiny)
    monkeypatch.setattr(sokoban, "TEST_LEVELS", 20)
    monkeypatch.setattr(sokoban, "RESNET_BLOCKS", 2)


def boxoban(folder: Path, levels: int = 8) -> Path:
    """Two files of levels where the recipe looks for them."""
    for part, first in (("train", 100), ("test", 500)):
        file = folder / "unfiltered" / part / "000.txt"
        file.parent.mkdir(parents=True)
        file.write_text(
            levels_text(Sokoban(6, 6, 1).generate(range(first, first + levels))), encoding="utf-8"
        )
    return folder


def test_what_is_packaged_will_be_small_enough():
    """With the undoctored sizes: under 500 kB and under 2 MB, in float32."""
    assert 4 * parameters(DRC(2, 3, 16, hidden=64)) < 490_000
    assert 4 * parameters(DRC(3, 3, 24, hidden=128)) < 1_980_000


@pytest.mark.parametrize("network", ["drc", "resnet"])
def test_a_recipe_leaves_a_policy_with_its_card(network, tmp_path):
    folder = train_sokoban("sokoban-small", 3, network=network, out=str(tmp_path / "run"))
    policy = load(folder)
    assert isinstance(policy.module, DRC if network == "drc" else ResNet)
    assert policy.config["world"] == {"name": "sokoban", "size": 6, "boxes": 1}
    assert policy.config["training"]["seed"] == 3 and policy.config["training"]["steps"] == 128
    card = (folder / "README.md").read_text(encoding="utf-8")
    option = "" if network == "drc" else " --network resnet"
    used = policy.config["training"]["precision"]
    assert f"`goalscope train sokoban --recipe sokoban-small{option} --seed 3 --precision {used}`" in card
    for word in (
        "Solved",
        "of 20 unseen generated levels with sampled actions",
        "Limits",
        "## Curve",
        "| 8 |",
    ):
        assert word in card
    assert ("not the same function" in card) == (network == "drc")
    # The same command finds its run finished and writes the same policy.
    again = load(train_sokoban("sokoban-small", 3, network=network, out=str(tmp_path / "run")))
    for a, b in zip(policy.module.state_dict().values(), again.module.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_boxoban_levels_come_from_their_folder(tmp_path, monkeypatch):
    data = boxoban(tmp_path / "data" / "sokoban" / "boxoban")
    folder = train_sokoban("sokoban-boxoban", data=str(data), out=str(tmp_path / "run"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "of 8 levels of boxoban/unfiltered/test" in card
    assert len(list((tmp_path / "sokoban-solutions").iterdir())) == 1
    monkeypatch.setenv("GOALSCOPE_DATA", str(tmp_path / "data"))
    again = train_sokoban("sokoban-boxoban", out=str(tmp_path / "other"))
    states = [load(f).module.state_dict() for f in (folder, again)]
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))
    monkeypatch.setenv("GOALSCOPE_DATA", str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match=r"no level files: clone .*boxoban-levels"):
        train_sokoban("sokoban-boxoban", out=str(tmp_path / "third"))


def test_ppo_goes_on_from_imitation(tmp_path):
    start = train_sokoban("sokoban-small", out=str(tmp_path / "run"))
    config = PPO(steps=64, levels=4, horizon=8, epochs=1, minibatch=32, learning_rate=1e-3)
    better = load(improve_sokoban(str(start), config, out=str(tmp_path / "ppo")))
    first = load(start)
    assert better.config["architecture"] == first.config["architecture"]
    assert better.config["training"]["from"] == first.sha256
    changed = [
        float((a - b).abs().max())
        for a, b in zip(first.module.state_dict().values(), better.module.state_dict().values(), strict=True)
    ]
    # Two batches of PPO move the weights a little; a fresh network would be far away.
    assert 0 < max(changed) < 0.05
    with (tmp_path / "ppo" / "curve.csv").open() as file:
        assert len(file.readlines()) == 3
    with pytest.raises(ValueError, match="not a Sokoban policy: its world is maze"):
        improve_sokoban("mouse-topright", config, out=str(tmp_path / "mouse"))
    with pytest.raises(ValueError, match="--steps must be at least 1, got 0"):
        improve_sokoban(str(start), replace(config, steps=0), out=str(tmp_path / "none"))
    assert not (tmp_path / "mouse").exists() and not (tmp_path / "none").exists()


def player(folder: Path, seed: int) -> str:
    """The path of a tiny untrained player; all of them lie in folders called policy."""
    torch.manual_seed(seed)
    architecture: dict[str, Any] = {"layers": 1, "ticks": 1, "channels": 4, "hidden": 8}
    world = {"name": "sokoban", "size": 6, "boxes": 1}
    save(
        folder / "policy",
        DRC(**architecture),
        {"architecture": {"name": "drc", **architecture}, "world": world},
        "#",
    )
    return str(folder / "policy")


def test_ppo_from_other_weights_is_another_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = PPO(steps=32, levels=4, horizon=8, epochs=1, minibatch=32)
    starts = [player(tmp_path / str(seed), seed) for seed in (0, 1)]
    ends = [load(improve_sokoban(start, config)) for start in starts]
    for start, end in zip(starts, ends, strict=True):
        sha = load(start).sha256
        assert end.config["training"]["from"] == sha
        assert (tmp_path / "runs" / f"improve-policy-{sha[:8]}-1" / "policy").is_dir()
    assert not torch.equal(*(end.module.core.cells[0].inject for end in ends))  # type: ignore[union-attr]
    # A folder that is named holds one run; the same start finds it finished.
    improve_sokoban(starts[0], config, out="named")
    before = (tmp_path / "named" / "policy" / "config.json").read_bytes()
    with pytest.raises(ValueError, match=r"named holds a run with other settings \(starting weights\)"):
        improve_sokoban(starts[1], config, out="named")
    assert (tmp_path / "named" / "policy" / "config.json").read_bytes() == before
    assert (
        load(improve_sokoban(starts[0], config, out="named")).config["training"]["from"]
        == load(starts[0]).sha256
    )


def test_a_packaged_player_keeps_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = improve_sokoban("sokoban-small", PPO(steps=8, levels=2, horizon=4, epochs=1, minibatch=8))
    assert folder == Path("runs/improve-sokoban-small-1/policy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "sokoban-large"}, "no recipe 'sokoban-large'; there are sokoban-small, sokoban-boxoban"),
        ({"network": "lstm"}, "--network must be drc or resnet, got 'lstm'"),
        ({"precision": "float16"}, "--precision must be float32 or bfloat16"),
        ({"steps": 0}, "--steps must be at least 1, got 0"),
        ({"device": "warp"}, "device 'warp' cannot be used .*; 'cpu' always can"),
    ],
)
def test_options_out_of_range_are_named(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train_sokoban(**{"recipe": "sokoban-small", "out": str(tmp_path), **options})
    assert not list(tmp_path.iterdir())
