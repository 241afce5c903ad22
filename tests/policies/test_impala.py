"""The IMPALA network equals a plain functional forward bit for bit, and names the layer that does not fit."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from goalscope.policies.impala import Impala, Residual, from_state_dict

# Tests are imported file by file, not as a package, so the reference beside this file is loaded by its path.
_spec = importlib.util.spec_from_file_location(
    "impala_reference", Path(__file__).with_name("impala_reference.py")
)
assert _spec and _spec.loader
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = Impala()
    for parameter in network.parameters():  # heads of ordinary size: a zeroed layer would hide a difference
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 3, 64, 64), np.uint8)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@torch.no_grad()
def test_equals_the_functional_forward_bit_for_bit(network, pixels, memory):
    x = network.encode(pixels).contiguous(memory_format=memory)
    logits, value = network(x)
    expected_logits, expected_value = reference.plain_forward(network.state_dict(), x)
    assert torch.equal(logits, expected_logits)
    assert torch.equal(value, expected_value)
    assert logits.shape == (5, 15)
    assert value.shape == (5,)
    assert logits.std() > 1e-3


@torch.no_grad()
def test_every_relu_and_residual_sum_is_a_site(network, pixels):
    seen = {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, (i[0], o)))
    network(network.encode(pixels))
    relus = [name for name, module in network.named_modules() if isinstance(module, torch.nn.ReLU)]
    assert len(relus) == 14  # two in each of six residual blocks, one before and one after the dense layer
    for name in relus:
        before, after = seen[name]
        assert torch.equal(after, F.relu(before))
        assert (before < 0).any(), name
    for name in (f"embedder.block{b}.res{r}" for b in (1, 2, 3) for r in (1, 2)):
        stream, after = seen[name]
        assert torch.equal(after, seen[f"{name}.conv2"][1] + stream)
    assert torch.equal(seen["embedder.block2.res2"][0], seen["embedder.block2.res1"][1])
    assert seen["embedder.block2.res1"][1].shape == (5, 32, 16, 16)


def test_encode_divides_by_255_channels_last(network, pixels):
    x = network.encode(pixels)
    assert x.dtype == torch.float32
    assert torch.equal(x, torch.from_numpy(pixels).float() / 255)
    nhwc = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert torch.equal(x, network.encode(nhwc))
    assert x.is_contiguous(memory_format=torch.channels_last)
    for wrong in (pixels[:, :1], pixels.astype(np.float32)):
        with pytest.raises(ValueError, match="uint8"):
            network.encode(wrong)


@torch.no_grad()
def test_untrained_policy_is_near_uniform(pixels):
    torch.manual_seed(1)
    network = Impala()
    probabilities = network(network.encode(pixels)).logits.softmax(1)
    assert (probabilities - 1 / 15).abs().max() < 0.02


@torch.no_grad()
def test_state_dict_round_trip_with_other_widths(pixels):
    network = Impala((4, 6, 8), hidden=10, actions=5)
    copy = from_state_dict(network.state_dict())
    x = copy.encode(pixels)
    assert torch.equal(copy(x).logits, network(x).logits)
    assert not copy.training
    assert isinstance(copy.embedder.block1.res1, Residual)


def test_from_state_dict_names_layer_and_both_shapes(network):
    good = network.state_dict()
    cases = {
        r"fc\.weight has shape \(256, 100\), expected \(256, 2048\)": {
            "embedder.fc.weight": torch.zeros(256, 100)
        },
        r"block2\.conv\.weight has shape \(32, 3, 3, 3\), expected \(32, 16, 3, 3\)": {
            "embedder.block2.conv.weight": torch.zeros(32, 3, 3, 3)
        },
        r"block1\.conv\.bias has shape \(\)": {"embedder.block1.conv.bias": torch.zeros(())},
        r"'fc_polcy\.bias'.*near matches: fc_policy\.bias": {"fc_polcy.bias": torch.zeros(15)},
    }
    for message, change in cases.items():
        with pytest.raises(ValueError, match=message):
            from_state_dict({**good, **change})
    renamed = {("policy.weight" if name == "fc_policy.weight" else name): t for name, t in good.items()}
    with pytest.raises(
        ValueError, match=r"lacks the layer fc_policy\.weight \(15, 256\); policy\.weight is there"
    ):
        from_state_dict(renamed)


def test_three_channel_numbers():
    with pytest.raises(ValueError, match="three"):
        Impala((16, 32))
