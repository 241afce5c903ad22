"""Files of Procgen agents in every form that people have: wrapped, of old torch, with a memory, without blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from goalscope.policies.checkpoint import load, save, untrained
from goalscope.policies.impala import Impala
from goalscope.policies.impala.convert import GRU_LAYERS
from goalscope.policies.impala.others import Nature, RecurrentImpala

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), np.uint8)

FORMS: dict[str, Callable[[Any, Path], None]] = {
    "plain": lambda state, path: torch.save(state, path),
    "state_dict": lambda state, path: torch.save({"state_dict": state}, path),
    "model_state_dict": lambda state, path: torch.save(
        {"model_state_dict": state, "optimizer_state_dict": {"state": {0: {"exp_avg": torch.ones(2)}}}}, path
    ),
    "of DataParallel": lambda state, path: torch.save({f"module.{k}": v for k, v in state.items()}, path),
    "of old torch": lambda state, path: torch.save(
        {"model_state_dict": state}, path, _use_new_zipfile_serialization=False
    ),
}


def drawn(module: nn.Module) -> nn.Module:
    """Heads and biases of ordinary size: a zeroed layer would hide a difference."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.1)
    return module.eval()


def theirs(module: nn.Module) -> dict[str, Tensor]:
    """The state dict by the names that the project gives."""
    return {GRU_LAYERS.get(name, name): layer for name, layer in module.state_dict().items()}


KINDS: dict[str, Callable[[], nn.Module]] = {
    "narrow": lambda: Impala((2, 4, 4), 8),
    "wide": lambda: Impala((8, 16, 16), 8),
    "with memory": lambda: RecurrentImpala((2, 4, 4), 8),
    "nature": lambda: Nature(8),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_network_loads_in_every_form(kind: str, form: str, tmp_path: Path):
    module: Any = drawn(KINDS[kind]())
    FORMS[form](theirs(module), tmp_path / "n.pth")
    policy = load(tmp_path / "n.pth")
    mine: Any = policy.module
    carry = (mine.initial_carry(2) + 0.5,) if kind == "with memory" else ()
    assert type(mine) is type(module) and policy.config["architecture"]["actions"] == 15
    with torch.inference_mode():
        expected, out = module(mine.encode(PIXELS), *carry), mine(mine.encode(PIXELS), *carry)
    assert all(torch.equal(a, b) for a, b in zip(out, expected, strict=True)) and out.logits.std() > 1e-3
    assert list(untrained(policy.config, 0).module.state_dict()) == list(mine.state_dict())


def test_the_memory_is_torchs_gated_recurrent_unit_reset_where_levels_begin(tmp_path: Path):
    module: Any = drawn(RecurrentImpala((2, 4, 4), 8))
    torch.save({"state_dict": theirs(module)}, tmp_path / "n.pth")
    mine: Any = load(tmp_path / "n.pth").module
    gru = nn.GRU(8, 8)
    gru.load_state_dict(
        {name.removeprefix("gru.gru."): v for name, v in theirs(module).items() if "gru" in name}
    )
    state, carry = torch.zeros(1, 2, 8), mine.initial_carry(2)
    with torch.inference_mode():
        for step, going_on in enumerate(torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])):
            x = mine.encode(np.roll(PIXELS, step, 3))
            state = gru(mine.embedder(x)[None], state * going_on[None, :, None])[1]
            out = mine(x, carry * going_on[:, None])
            carry = out.carry
            assert torch.allclose(carry, state[0], atol=1e-6)
            assert torch.allclose(
                out.logits, functional.linear(state[0], mine.fc_policy.weight, mine.fc_policy.bias), atol=1e-6
            )
        forgetful = mine.gru(mine.embedder(x), torch.zeros(2, 8))
    assert not torch.allclose(carry[0], forgetful[0], atol=1e-3)
    assert torch.allclose(carry[1], forgetful[1], atol=1e-6)


@pytest.mark.parametrize(("side", "squares"), [(64, 4), (84, 7)])
def test_the_small_network_reads_the_side_that_its_dense_layer_says(side: int, squares: int, tmp_path: Path):
    module = drawn(Nature(8, 5, side))
    torch.save(theirs(module), tmp_path / "n.pth")
    policy = load(tmp_path / "n.pth")
    assert policy.module.state_dict()["embedder.layers.7.weight"].shape == (8, 64 * squares**2)
    assert policy.config["architecture"] == {"name": "nature", "hidden": 8, "actions": 5, "side": side}
    assert policy.module(policy.module.encode(np.zeros((1, 3, side, side), np.uint8)))[0].shape == (1, 5)  # type: ignore[operator]
    with pytest.raises(
        ValueError, match=rf"takes observations \[N, 3, {side}, {side}\] uint8, got \[1, 3, 13, 13\]"
    ):
        policy.module.encode(np.zeros((1, 3, 13, 13), np.uint8))  # type: ignore[operator]


def test_a_network_with_a_memory_is_saved_like_any(tmp_path: Path):
    module = drawn(RecurrentImpala((2, 4, 4), 8))
    torch.save(theirs(module), tmp_path / "n.pth")
    policy = load(tmp_path / "n.pth")
    save(tmp_path / "own.safetensors", policy.module, policy.config)
    again = load(tmp_path / "own.safetensors").module.state_dict()
    assert all(torch.equal(again[name], layer) for name, layer in module.state_dict().items())


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("with memory", {"gru.gru.bias_hh_l0": None}, r"lacks the layer gru\.memory\.bias"),
        ("with memory", {"gru.gru.weight_ih_l1": torch.zeros(24, 8)}, r"a layer 'gru\.gru\.weight_ih_l1' that"),
        ("with memory", {"gru.gru.weight_hh_l0": torch.zeros(12, 4)}, r"gru\.memory\.weight has shape \(12, 4\), expected"),
        ("nature", {"gru.gru.weight_ih_l0": torch.zeros(24, 8)}, "a memory .* and no blocks"),
        ("nature", {"embedder.layers.7.weight": torch.zeros(8, 99)}, r"shape \(8, 99\), expected \(hidden, 1024 or 3136\)"),
        ("nature", {"embedder.layers.2.weight": torch.zeros(64, 32, 3, 3)}, r"layers\.2\.weight has shape"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(kind: str, change: dict[str, Any], words: str, tmp_path: Path):
    state = {**theirs(KINDS[kind]()), **change}
    torch.save({name: layer for name, layer in state.items() if layer is not None}, tmp_path / "n.pth")
    with pytest.raises(ValueError, match=f"read as an IMPALA network: .*{words}"):
        load(tmp_path / "n.pth")
