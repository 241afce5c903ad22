"""What capture and editing refuse, and in which words: the site, both shapes, the sample, how to mend it."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from goalscope.activations import add, capture, editing, recompute_from, replace, sites, zero


def edited(module: nn.Module, x: Tensor, site: str, edit: Any) -> Any:
    with editing(module, {site: edit}):
        return module(x)


@pytest.mark.parametrize(
    ("site", "words"),
    [
        ("blocks.1.relu3", r"no site 'blocks.1.relu3'.*near matches: .*blocks.1.relu[12]"),
        ("hiden", "near matches: .*hidden"),
        ("relu1", r"near matches: .*blocks.0.relu1"),
        ("zzz", r"goalscope.activations.sites"),
        ("blocks.1:side", "'blocks.1:side' is no site: write NAME"),
        ("blocks.1@x", "is no site"),
        ("blocks.1@1:out@2", "is no site"),
        (":out.logit", r"':out.logit': the output has no 'logit'; it has 0, 1, logits, value"),
        ("blocks.1:out.0", r"the output has no '0'; it is a Tensor"),
        ("stem:in.mask", r"the argument has no 'mask'; it has 0"),
        ("blocks.1@1", r"never reached 'blocks.1@1'"),
    ],
)
def test_a_site_that_is_not_there(compact: tuple[nn.Module, Tensor], site: str, words: str):
    module, x = compact
    with pytest.raises(ValueError, match=words):
        capture(module, x, [site])
    with pytest.raises(ValueError, match=words):
        edited(module, x, site, zero())


def test_a_site_that_the_forward_does_not_reach():
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    module, x = Halves(), torch.randn(3, 2)
    assert list(sites(module, x)) == ["used", ""]
    for run in (
        lambda: capture(module, x, ["used", "unused"]),
        lambda: edited(module, x, "unused", zero()),
    ):
        with pytest.raises(ValueError, match=r"Halves: never reached 'unused'; the forward does not call"):
            run()
    with pytest.raises(ValueError, match="no forward of this module ran"), editing(module, {"used": zero()}):
        pass
    with pytest.raises(ValueError, match="no edits"):
        editing(module, {})
    with pytest.raises(ValueError, match="no sites"):
        capture(module, x, [])


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda t: t[:, :3], r"shape \[4, 32, 7, 7\], the edit gave \[4, 3, 7, 7\]"),
        (lambda t: None, "gave a NoneType, not a tensor"),
        (torch.zeros(4, 32, 7, 6), r"values of shape \[4, 32, 7, 6\].*site has shape \[4, 32, 7, 7\]"),
        (add(torch.zeros(31)), r"values of shape \[31\].*\[4, 32, 7, 7\]"),
        (replace(torch.zeros(2, 5), channels=[1, 2], positions=[(0, 0)]), r"chosen part \[4, 2, 1\]"),
        (zero(channels=[32]), r"channels: 32 is not in 0\.\.31"),
        (zero(samples=[4]), r"samples: 4 is not in 0\.\.3"),
        (zero(positions=[3]), r"3 should have 2 numbers, the space axes are \[7, 7\]"),
        (zero(positions=[(0, 7)]), r"7 is not in 0\.\.6"),
        (zero(heads=[0], of=5), "32 channels .* do not make 5 equal heads"),
        ([], "an empty list edits nothing"),
        (3, "a int is no edit"),
    ],
)
def test_an_edit_that_does_not_fit_names_site_and_shapes(
    compact: tuple[nn.Module, Tensor], edit: Any, words: str
):
    module, x = compact
    with pytest.raises(ValueError, match=rf"(?s)edit at 'blocks.1': .*{words}"):
        edited(module, x, "blocks.1", edit)


def test_activations_that_are_not_finite_name_site_and_sample(compact: tuple[nn.Module, Tensor]):
    module, x = compact
    x = torch.cat([x, x, x])
    x[9, 0, 3, 3] = float("nan")
    with pytest.raises(ValueError, match=r"site 'blocks.0': sample 9 "):
        capture(module, x, ["blocks.0"])
    with pytest.raises(ValueError, match=r"site 'blocks.0': sample 9 "):
        capture(module, x, ["blocks.0"], batch=4)
    x[9, 0, 3, 3] = -float("inf")  # relu makes 0 of minus infinity: each site is looked at by itself
    with pytest.raises(ValueError, match=r"site 'stem:in': sample 9 "):
        capture(module, x, ["stem:in"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16])
def test_large_finite_activations_pass(dtype: torch.dtype):
    large = torch.full((3, 1000), torch.finfo(dtype).max, dtype=dtype)  # their sum is not finite
    assert torch.equal(capture(nn.Identity(), large, [""])[""], large)
    assert capture(nn.Identity(), torch.arange(3), [""])[""].tolist() == [0, 1, 2]


def test_batches(compact: tuple[nn.Module, Tensor]):
    module, x = compact
    found = capture(module, x, ["blocks.1", ":out.value"], batch=3)
    for site, tensor in found.items():
        parts = [capture(module, part, [site])[site] for part in x.split(3)]
        assert torch.equal(tensor, torch.cat(parts))
    for batch in (0, -1, True):
        with pytest.raises(ValueError, match="batch must be at least 1"):
            capture(module, x, ["blocks.1"], batch=batch)
    with pytest.raises(ValueError, match="0 samples"):
        capture(module, x[:0], ["blocks.1"], batch=2)
    pair = nn.Bilinear(2, 2, 2)
    with pytest.raises(ValueError, match=r"unequal numbers of samples on axis 0: \[3, 4\]"):
        capture(pair, (torch.zeros(3, 2), torch.zeros(4, 2)), [""], batch=2)
    with pytest.raises(ValueError, match="none among the inputs"):
        capture(nn.Identity(), ("text",), [""], batch=2)
    with pytest.raises(ValueError, match=r"site '' has shape \[2\] for 1 samples: axis 0 does not count"):
        capture(nn.Flatten(0), torch.zeros(3, 2), [""], batch=1)


def test_batches_keep_the_memory_format(compact: tuple[nn.Module, Tensor]):
    module, x = compact
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = capture(module, x, ["blocks.1"], batch=3)["blocks.1"]
    assert found.is_contiguous(memory_format=torch.channels_last) and not found.is_contiguous()


def test_a_captured_tensor_can_be_trained_through(compact: tuple[nn.Module, Tensor]):
    module, x = compact
    found = capture(module, x, ["hidden_relu"])["hidden_relu"]
    assert not found.requires_grad and found.grad_fn is None and not found.is_inference()
    probe = nn.Linear(64, 2)
    probe(found).sum().backward()
    assert probe.weight.grad is not None


def test_training_mode_is_said_and_not_changed():
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    x = torch.ones(5, 4)
    with pytest.warns(UserWarning, match=r"training mode and runs so.*\(1\).*module.eval\(\)") as said:
        capture(module, x, ["0"])
    assert said[0].filename == __file__ and module.training
    with pytest.warns(UserWarning, match="training mode") as said, editing(module, {"0": zero()}):
        module(x)
    assert said[0].filename == __file__
    with pytest.warns(UserWarning, match="training mode") as said:
        recompute_from(module, "0", x)
    assert len(said) == 1 and said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        capture(module.eval(), x, ["0"])
        recompute_from(module, "0", x)
        capture(nn.Linear(4, 4).train(), x, [""])


def test_torchs_fused_attention_is_left_and_that_is_said(encoder: tuple[nn.Module, Tensor]):
    module, x = encoder
    torch.backends.mha.set_fastpath_enabled(True)  # the fixture sets it back
    inner = "encoder.layers.0.linear1"
    with pytest.warns(UserWarning, match="runs unfused, equal up to rounding") as said:
        found = capture(module, x, [inner, ""])
    assert said[0].filename == __file__
    with torch.no_grad():
        assert torch.allclose(found[""], module(x), atol=1e-5)
    torch.backends.mha.set_fastpath_enabled(False)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error")
        assert torch.equal(found[""], module(x))
        assert torch.equal(capture(module, x, [inner])[inner], found[inner])
