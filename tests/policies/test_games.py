"""Files of small games' players: told by their layers, turned for torch, refused where they are something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from goalscope.policies.checkpoint import load, untrained


def gymnax(value: bool = True, hidden: int = 5) -> dict[str, Tensor]:
    torch.manual_seed(0)
    shapes = {"Dense_0": (18, hidden), "Dense_1": (hidden, hidden), "Dense_2": (hidden, 4)}
    if value:
        shapes |= {"critic_fc_1": (18, hidden), "critic_fc_2": (hidden, hidden), "critic_fc_v": (hidden, 1)}
    kernels = {f"{name}.kernel": torch.randn(shape) for name, shape in shapes.items()}
    return kernels | {f"{name}.bias": torch.randn(shape[1]) for name, shape in shapes.items()}


@pytest.mark.parametrize("value", [True, False])
def test_a_gymnax_agent_reads_its_planes_with_the_channels_last(tmp_path: Path, value: bool):
    tensors = gymnax(value)
    save_file(tensors, tmp_path / "agent.safetensors")
    policy = load(tmp_path / "agent.safetensors")
    planes = np.random.default_rng(0).integers(2, size=(6, 2, 3, 3)).astype(np.uint8)
    module: Any = policy.module
    with torch.inference_mode():
        out = module(module.encode(planes))
    x = torch.from_numpy(planes.transpose(0, 2, 3, 1).reshape(6, -1)).float()
    for i in range(3):
        x = x @ tensors[f"Dense_{i}.kernel"] + tensors[f"Dense_{i}.bias"]
        x = x.relu() if i < 2 else x
    assert torch.allclose(out.logits if value else out, x, atol=1e-5)
    assert policy.config["architecture"]["value"] is value
    blank = untrained(policy.config, 0).module.state_dict()
    assert blank.keys() == module.state_dict().keys()
    with pytest.raises(ValueError, match=r"reads 18 numbers of planes .*got \[1, 2, 4, 4\]"):
        module.encode(np.zeros((1, 2, 4, 4), np.uint8))


def test_an_agent_with_a_memory_is_refused_by_name(tmp_path: Path):
    tensors = {"Dense_0.kernel": torch.zeros(4, 4), "LSTMCell_0.hf.kernel": torch.zeros(4, 4)}
    save_file(tensors, tmp_path / "agent.safetensors")
    with pytest.raises(ValueError, match=r"agent with a memory \(layer LSTMCell_0\.hf\.kernel\)"):
        load(tmp_path / "agent.safetensors")


def test_other_layers_are_named(tmp_path: Path):
    path = tmp_path / "agent.safetensors"
    for change, message in (
        ({"Dense_7.kernel": torch.zeros(2, 2)}, r"has other layers than such a player: 'Dense_7'"),
        ({"Dense_1.bias": torch.zeros(9)}, r"size mismatch for actor\.2\.bias"),
    ):
        save_file(gymnax() | change, path)
        with pytest.raises(ValueError, match=message):
            load(path)
    cut = gymnax()
    del cut["critic_fc_2.bias"]
    save_file(cut, path)
    with pytest.raises(ValueError, match=r"Missing key.*critic\.2\.bias"):
        load(path)
