"""Published planners on the shared fixtures: what the projects' own code gives, at every tick and in every layer."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalscope.activations import capture
from goalscope.policies.checkpoint import load
from goalscope.worlds.sokoban import Sokoban

DATA = os.environ.get("GOALSCOPE_DATA")
if DATA is None:
    pytest.skip("GOALSCOPE_DATA is unset: it points at the shared data", allow_module_level=True)
HOME = Path(DATA) / "planners"
ALIGNMENT, EMERGENT, IMPALA = HOME / "a-alignment-drc", HOME / "b-emergent-planning", HOME / "c-impala"
LEELA, MAIA = HOME / "d-leela", HOME / "e-maia"

_path = Path(__file__).parents[1] / "policies" / "learned_planner" / "flax_files.py"
_spec = importlib.util.spec_from_file_location("flax_files", _path)
assert _spec and _spec.loader
flax = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(flax)


def drawn(rule: dict[str, Any]) -> dict[str, np.ndarray]:
    """The weights of a published size, which are no file but a seed and a rule."""
    rng = np.random.RandomState(rule["seed"])
    found = {}
    for key, shape, std in rule["keys"]:
        if std is None:
            found[key] = np.linspace(0.5, 1.5, shape[0], dtype=np.float32)
            continue
        found[key] = (rng.standard_normal(shape) * std).astype(np.float32)
        if key.endswith(("bn1.weight", "bn2.weight")):
            found[key] += 1
    return found


def agree(found: Any, expected: np.ndarray, tolerance: float = 2e-5) -> None:
    found = found.numpy() if isinstance(found, torch.Tensor) else found
    assert found.shape == expected.shape and np.abs(found - expected).max() < tolerance


def check_recurrent(module: Any, reference: Any, begins: np.ndarray) -> None:
    """Every step, every tick, every layer."""
    levels = reference["observations"].shape[1]
    carry = module.initial_carry(levels)
    cells = [f"core.cells.{d}{part}@*" for d in range(module.layers) for part in ("", ":out.1")]
    for t, observations in enumerate(reference["observations"]):
        going_on = torch.from_numpy(~begins[t])[:, None, None, None, None]
        carry = tuple(part * going_on for part in carry)
        x = module.encode(observations)
        seen = capture(module, (x, carry), [*cells, "core.encoder"])
        agree(seen["core.encoder"], reference["encoded"][t])
        for d in range(module.layers):
            for name, part in (("h", ""), ("c", ":out.1")):
                agree(seen[f"core.cells.{d}{part}@*"], reference[name][t][:, :, d])
        with torch.inference_mode():
            logits, value, carry = module(x, carry)
        agree(logits, reference["logits"][t])
        agree(value, reference["value"][t])


@pytest.mark.parametrize("name", ["drc11-small", "drc33-small", "drc23-small-defaults"])
def test_recurrent_networks_of_learned_planner(name: str):
    reference = np.load(ALIGNMENT / f"{name}.npz")
    module = load(ALIGNMENT / f"{name}.checkpoint").module
    check_recurrent(module, reference, reference["episode_starts"])


def test_the_recurrent_network_of_learned_planner_in_its_published_size(tmp_path: Path):
    reference, rule = (
        np.load(ALIGNMENT / "drc33-published.npz"),
        json.loads((ALIGNMENT / "drc33-published.json").read_text()),
    )
    found = {name.removeprefix("params/"): array for name, array in drawn(rule).items()}
    (tmp_path / "model").write_bytes(flax.checkpoint(found))
    (tmp_path / "cfg.json").write_bytes(flax.config(rule["net"]))
    module = load(tmp_path).module
    assert sum(p.numel() for p in module.parameters()) == rule["parameters"] == 1_285_125
    check_recurrent(module, reference, reference["episode_starts"])


@pytest.mark.parametrize(("name", "tolerance"), [("resnet-small", 2e-5), ("resnet-published", 5e-5)])
def test_residual_networks_of_learned_planner(name: str, tolerance: float, tmp_path: Path):
    folder, reference = ALIGNMENT / f"{name}.checkpoint", np.load(ALIGNMENT / f"{name}.npz")
    if not folder.is_dir():
        rule = json.loads((ALIGNMENT / f"{name}.json").read_text())
        folder, found = tmp_path, {k.removeprefix("params/"): array for k, array in drawn(rule).items()}
        (folder / "model").write_bytes(flax.checkpoint(found))
        (folder / "cfg.json").write_bytes(flax.config(rule["net"]))
    module: Any = load(folder).module
    for t, observations in enumerate(reference["observations"]):
        x = module.encode(observations)
        agree(capture(module, x, ["head.relu"])["head.relu"], reference["hidden"][t], tolerance)
        with torch.inference_mode():
            out = module(x)
        agree(out.logits, reference["logits"][t], tolerance)
        agree(out.value, reference["value"][t], tolerance)


@pytest.mark.parametrize("name", ["drc33-small", "drc19-small", "drc33-published", "drc19-published"])
def test_recurrent_networks_of_emergent_planning(name: str, tmp_path: Path):
    reference, path = np.load(EMERGENT / f"{name}.npz"), EMERGENT / f"ckp_actor_{name}.tar"
    if not path.is_file():
        path = tmp_path / path.name
        found = drawn(json.loads((EMERGENT / f"{name}.json").read_text()))
        torch.save(
            {"actor_net_state_dict": {key: torch.from_numpy(array) for key, array in found.items()}}, path
        )
    module: Any = load(path).module
    check_recurrent(module, reference, reference["done"])


def test_a_residual_network_of_emergent_planning():
    reference = np.load(EMERGENT / "resnet3-small.npz")
    module: Any = load(EMERGENT / "ckp_actor_resnet3-small.tar").module
    for t, observations in enumerate(reference["observations"]):
        x = module.encode(observations)
        seen = capture(module, x, [f"blocks.{b}" for b in range(3)])
        agree(torch.stack(list(seen.values()), 1), reference["blocks"][t])
        with torch.inference_mode():
            agree(module(x).logits, reference["logits"][t])


def test_the_world_of_emergent_planning_step_by_step():
    """Its level, its actions, its planes; its rewards, where a step costs 0.01 and here 0.1."""
    reference = np.load(EMERGENT / "env.npz")
    world = Sokoban(observation="kinds", noop=True)
    state = world.parse(str(reference["level"]))
    assert (world.observe(state)[0] == reference["observations"][0]).all()
    for t, action in enumerate(reference["actions"]):
        step = world.step(state, np.array([action]))
        state = step.state
        assert (world.observe(state)[0] == reference["observations"][t + 1]).all()
        assert step.reward[0] == pytest.approx(reference["rewards"][t] - 0.09, abs=1e-5)
        assert step.ended[0] == reference["done"][t]
    assert reference["done"][-1] and set(reference["actions"]) == set(range(5))


THEIR_SITES: dict[str, str] = {"maxpool": "pool", "relufc": "relu_fc"}
"""what procgen-tools calls a part of the network, and what it is called here; `resadd` is the block around it"""
SMALL = ["small-plain", "small-state_dict", "small-model_state_dict", "small-dataparallel"]


@pytest.mark.parametrize("name", [*SMALL, "narrow-published", "wide-published"])
def test_impala_agents_of_procgen_in_every_form(name: str, tmp_path: Path):
    path, size = IMPALA / f"{name}.pth", name if "published" in name else "small"
    if not path.is_file():
        path, rule = tmp_path / path.name, json.loads((IMPALA / f"{name}.json").read_text())
        torch.save({key: torch.from_numpy(array) for key, array in drawn(rule).items()}, path)
    reference, module = np.load(IMPALA / f"{size}.npz"), load(path).module
    # In the order of the reference: channels last sums in another one, 5e-5 of logits that reach 23.
    module = module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    x = module.encode(reference["observations"]).contiguous()
    with torch.inference_mode():
        out = module(x)
    agree(out.logits, reference["logits"])
    agree(out.value, reference["value"])
    sites = {key: key.partition(":")[2].removesuffix(".resadd") for key in reference.files if ":" in key}
    for key, site in sites.items():
        *before, last = str(site).split(".")
        ours = ".".join([*before, THEIR_SITES.get(last) or last])
        seen = capture(module, x, [ours])[ours]
        agree(seen.mean((2, 3)) if key.startswith("site-mean") else seen, reference[key])
    assert sites


@pytest.mark.parametrize("name", ["maia3-small", "maia3-small-pooled"])
def test_maia_3(name: str):
    chess = pytest.importorskip("chess", reason="needs the extra goalscope[chess]")
    from goalscope.worlds.chess.state import from_boards

    reference, module = np.load(MAIA / f"{name}.npz"), load(MAIA / f"{name}.pt").module
    ratings = zip(reference["elo_self"], reference["elo_oppo"], strict=True)
    x = torch.cat(
        [
            module.encode(from_boards([chess.Board(fen)]), (float(own), float(other)))  # type: ignore[operator]
            for fen, (own, other) in zip(reference["fens"], ratings, strict=True)
        ]
    )
    # The last number of a reference token is a time that these networks are not given.
    agree(x[:, :, :96], reference["tokens"][:, :, :96])
    seen = capture(module, x, ["policy", "layers.0", "layers.1", "value_head", "ponder_head"])
    for site, key in (
        ("policy", "logits_move"), ("layers.0", "layer0"), ("layers.1", "layer1"), ("value_head", "logits_value")
    ):  # fmt: skip
        agree(seen[site], reference[key])
    agree(seen["ponder_head"][:, 0], reference["ponder"])


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("bt4-like-134", "bt4-like"), ("bt4-like-7", "bt4-like"), ("bt4-like-6-heads", "bt4-like"),
        ("t82-like-6", "t82-like"), ("t82-like-6-embedding-unsaid", "t82-like"),
    ],
)  # fmt: skip
def test_networks_like_bt4_and_t82(name: str, of: str):
    from goalscope.policies.lc0.moves import attention_map

    reference, module = np.load(LEELA / f"{of}.npz"), load(LEELA / f"{name}.pb.gz").module
    planes = torch.from_numpy(reference["planes"])
    seen = capture(module, planes, ["body.embedding", "body.encoders.0", "body.encoders.1"])
    for site, key in (("embedding", "embedding"), ("encoders.0", "encoder0"), ("encoders.1", "encoder1")):
        agree(seen[f"body.{site}"], reference[key])
    with torch.inference_mode():
        out: Any = module(planes)
    agree(out.logits, reference["policy4288"][:, attention_map().numpy()])
    agree(out.wdl, torch.from_numpy(reference["wdl_logits"]).softmax(1).numpy())
    agree(out.moves_left, reference["moves_left"], 1e-4)
