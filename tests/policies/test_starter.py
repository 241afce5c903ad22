"""MiniGrid agents of rl-starter-files: read from their files, and what is not read is said by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalscope.policies import PolicyOutput
from goalscope.policies.checkpoint import load, untrained
from goalscope.policies.starter import Starter

VIEW = np.random.default_rng(0).integers(0, 9, (5, 3, 7, 7)).astype(np.uint8)


def saved(path: Path, module: torch.nn.Module, **more: torch.Tensor) -> Path:
    """As their training writes it: weights beside counters, the optimiser and the vocabulary."""
    state = {"num_frames": 1, "model_state": {**module.state_dict(), **more}, "vocab": {"key": 1}}
    torch.save(state, path)
    return path


def answered(module: Any, observations: np.ndarray) -> PolicyOutput:
    return module(module.encode(observations))


def test_a_file_of_theirs_is_read_as_it_is(tmp_path: Path):
    torch.manual_seed(0)
    module = Starter()
    policy = load(saved(tmp_path / "Empty.pt", module))
    assert policy.config["architecture"] == {"name": "starter", "embedding": 64, "actions": 7}
    with torch.inference_mode():
        mine, its = answered(policy.module, VIEW), answered(module, VIEW)
    # Convolutions in another order of memory sum in another order.
    assert torch.allclose(mine.logits, its.logits, atol=1e-6) and torch.allclose(
        mine.value, its.value, atol=1e-6
    )
    blank = untrained(policy.config, 1).module.state_dict()
    assert not torch.equal(blank["actor.2.weight"], module.state_dict()["actor.2.weight"])


def test_sizes_come_from_the_file(tmp_path: Path):
    policy = load(saved(tmp_path / "wide.pt", Starter(embedding=576, actions=3)))
    assert answered(policy.module, np.zeros((2, 3, 11, 11), np.uint8)).logits.shape == (2, 3)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("memory_rnn.weight_ih", r"agent with a memory \(layers memory_rnn\.\*\)"),
        ("text_rnn.weight_ih_l0", r"reads the mission's words"),
        ("word_embedding.weight", r"reads the mission's words"),
        ("image_conv.9.weight", r"architecture starter has no layer 'image_conv\.9\.weight'"),
    ],
)
def test_memory_words_and_unknown_layers_are_refused_by_name(tmp_path: Path, layer: str, message: str):
    path = saved(tmp_path / "agent.pt", Starter(), **{layer: torch.zeros(256, 64)})
    with pytest.raises(ValueError, match=message):
        load(path)


def test_a_file_cut_short_says_what_is_missing(tmp_path: Path):
    state = Starter().state_dict()
    del state["actor.2.weight"]
    torch.save({"model_state": state}, tmp_path / "agent.pt")
    with pytest.raises(ValueError, match=r"lacks the layer actor\.2\.weight"):
        load(tmp_path / "agent.pt")


def test_a_view_of_another_size_is_refused_with_what_fits():
    for shape in ((3, 19, 19), (3, 4, 4), (4, 7, 7)):
        with pytest.raises(ValueError, match=r"the partial view, \[N, 3, 7, 7\].*observation='partial'"):
            Starter().encode(np.zeros((1, *shape), np.uint8))
