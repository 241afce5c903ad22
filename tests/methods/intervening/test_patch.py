"""Exact patch sweeps: linear and relu networks against algebra and brute force, folding, bad input."""

from __future__ import annotations

import warnings
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from goalscope.activations import capture, editing, replace
from goalscope.activations.recompute.fold import Sweep, close, fold_of
from goalscope.methods.intervening.patch import ablation_effects, patch_effects
from goalscope.policies.checkpoint import load
from goalscope.policies.compact import Compact
from goalscope.policies.impala import Impala


def first(output: Tensor) -> Tensor:
    return output[:, 0]


@pytest.fixture
def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 2)).double()


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(7, 6, dtype=torch.float64), torch.randn(7, 6, dtype=torch.float64)


def by_hooks(module, base, source, site, index, metric) -> np.ndarray:
    """[N] effect of one patch by a full forward with a hook of its own."""
    layer, taken = module.get_submodule(site), []
    with torch.no_grad():
        handle = layer.register_forward_hook(lambda *seen: taken.append(seen[2].clone()))
        module(source)
        handle.remove()

        def write(_, x, out: Tensor) -> Tensor:
            out = out.clone()
            out[index] = taken[0][index]
            return out

        handle = layer.register_forward_hook(write)
        after = metric(module(base))
        handle.remove()
        return (after - metric(module(base))).double().numpy()


def test_effects_in_a_linear_network_are_algebra_and_add_up(linear, pair):
    clean, corrupt = pair
    result = patch_effects(linear, clean, corrupt, ["0", "1"], first)
    weights = linear[2].weight @ linear[1].weight
    change = (corrupt - clean) @ linear[0].weight.T
    assert np.allclose(result.effect["0"], (change * weights[0]).T.detach().numpy(), atol=1e-12)
    whole = result.source - result.base
    for site in ("0", "1"):
        assert np.allclose(result.effect[site].sum(0), whole, atol=1e-12)
    assert result.untouched == 0 and result.n == 7
    assert np.allclose(result.mean()["1"], result.effect["1"].mean(1))


def test_noising_and_denoising_are_each_other_mirrored_in_a_linear_network(linear, pair):
    noise = patch_effects(linear, pair[0], pair[1], ["0"], first)
    denoise = patch_effects(linear, pair[0], pair[1], ["0"], first, direction="denoising")
    assert np.allclose(noise.effect["0"], -denoise.effect["0"], atol=1e-12)
    assert np.array_equal(noise.base, denoise.source) and np.array_equal(noise.source, denoise.base)
    assert (noise.kind, denoise.kind) == ("noising", "denoising")


def test_tiny_relu_network_by_brute_force():
    """Saturation: with relu, noising and denoising differ, and effects do not add up."""
    sides, both = nn.Linear(2, 2), nn.Linear(2, 1)
    with torch.no_grad():
        sides.weight.copy_(torch.eye(2))
        sides.bias.zero_()
        both.weight.copy_(torch.tensor([[1.0, 1.0]]))
        both.bias.fill_(-1.0)
    gate = nn.Sequential(sides, nn.ReLU(), both, nn.ReLU())  # relu(a + b - 1): an AND of two bits
    clean, corrupt = torch.ones(1, 2), torch.zeros(1, 2)
    noise = patch_effects(gate, clean, corrupt, ["1"], first)
    denoise = patch_effects(gate, clean, corrupt, ["1"], first, direction="denoising")
    assert noise.effect["1"].tolist() == [[-1.0], [-1.0]]  # each is necessary
    assert denoise.effect["1"].tolist() == [[0.0], [0.0]]  # neither is sufficient
    whole = patch_effects(gate, clean, corrupt, ["1"], first, over="site")
    assert whole.effect["1"].tolist() == [[-1.0]]


class Residual(nn.Module):
    """Skip, pooling, batch norm in evaluation, a stride, an in-place relu: what a patch may meet."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.pool, self.act = nn.MaxPool2d(2), nn.ReLU(inplace=True)
        self.a, self.b = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.down, self.head = nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(self.act(self.norm(self.stem(x))))
        y = self.b(F.relu(self.a(torch.relu(y)))) + y
        return self.head(self.down(y).relu().mean((2, 3)))


@pytest.fixture
def residual() -> Residual:
    torch.manual_seed(0)
    module = Residual()
    module(torch.randn(32, 2, 8, 8) * 2)  # running statistics
    return module.eval()


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("batch", [5, 64])
def test_a_sweep_equals_full_forwards_with_hooks(residual, batch: int, last: bool):
    torch.manual_seed(2)
    memory = torch.channels_last if last else torch.contiguous_format
    clean, corrupt = (torch.randn(11, 2, 8, 8).to(memory_format=memory) for _ in range(2))
    sites = ["stem", "norm", "pool", "a", "b", "down", "head"]
    result = patch_effects(residual, clean, corrupt, sites, first, batch=batch)
    assert result.exact_forwards == ()
    for site in sites:
        for channel in range(len(result.parts[site])):
            index = (slice(None), slice(channel, channel + 1))
            exact = by_hooks(residual, clean, corrupt, site, index, first)
            assert np.allclose(result.effect[site][channel], exact, rtol=1e-4, atol=1e-6), (site, channel)
    assert np.abs(result.effect["stem"]).max() > 0.01


def test_single_channels_take_the_narrow_way_and_it_is_the_same(residual):
    """The narrow way must be taken (else it is not tested), and give what whole patches give."""
    torch.manual_seed(2)
    clean, corrupt = torch.randn(4, 2, 8, 8), torch.randn(4, 2, 8, 8)
    sweep = Sweep(residual, (clean,), ["stem", "a", "b", "head"])
    sweep.record((clean,))
    other, _ = sweep.read((corrupt,))
    assert [sweep.narrow(site) for site in ("stem", "a", "b", "head")] == [True, True, True, False]
    assert len(sweep.sites["stem"].ways) >= 5  # stem, norm, act, pool, relu, and the convolution that mixes
    with torch.inference_mode():
        for site in ("stem", "a", "b"):
            out = sweep.channels(site, [1, 3], other[site][:, [1, 3]])
            for g, channel in enumerate((1, 3)):
                with editing(residual, {site: replace(other[site], channels=[channel])}):
                    assert close(fold_of(out, 4, g), residual(clean)), (site, channel)
                assert not close(fold_of(out, 4, g), residual(clean))


@pytest.mark.parametrize("make", [lambda: (Compact(9, 6, 2), 9), lambda: (Impala((3, 4, 4), 8, 15), 64)])
def test_packaged_policies(make):
    torch.manual_seed(0)
    module, side = make()
    clean, corrupt = torch.rand(3, 3, side, side), torch.rand(3, 3, side, side)
    sites = [name for name, m in module.named_modules() if isinstance(m, nn.Conv2d)]
    result = patch_effects(module.eval(), clean, corrupt, sites, lambda out: out.value)
    for site in sites[::3]:
        exact = by_hooks(module, clean, corrupt, site, (slice(None), slice(1, 2)), lambda out: out.value)
        assert np.allclose(result.effect[site][1], exact, rtol=1e-4, atol=1e-6)


class BatchMixing(nn.Module):
    """Samples see each other, so patches may not share a forward."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 1), nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.second((y - y.mean(0)).relu()).sum((2, 3))


def test_what_cannot_be_folded_is_not_folded():
    torch.manual_seed(0)
    module, clean, corrupt = BatchMixing(), torch.randn(4, 1, 3, 3), torch.randn(4, 1, 3, 3)
    sweep = Sweep(module, (clean,), ["first", "second"])
    assert not sweep.foldable("first") and sweep.foldable("second")
    result = patch_effects(module, clean, corrupt, ["first"], first)
    for channel in range(3):
        index = (slice(None), slice(channel, channel + 1))
        exact = by_hooks(module, clean, corrupt, "first", index, first)
        assert np.allclose(result.effect["first"][channel], exact, atol=1e-6)


class Aliased(nn.Module):
    """A tensor with a second name: its relu may not be written over it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))
        alias = y.view(-1, 2, 2)
        return torch.relu(y) + alias.flatten(1)


def test_what_has_a_second_name_is_not_overwritten():
    torch.manual_seed(0)
    module, clean, corrupt = Aliased(), torch.randn(4, 3), torch.randn(4, 3)
    assert Sweep(module, (clean,), ["first"]).foldable("first")
    result = patch_effects(module, clean, corrupt, ["first"], first)
    exact = by_hooks(module, clean, corrupt, "first", (slice(None), slice(0, 1)), first)
    assert np.allclose(result.effect["first"][0], exact, atol=1e-6) and (exact != 0).any()


class Heads(nn.Module):
    """Tokens with a position code of as many rows as there are samples, sizes read from the input."""

    def __init__(self):
        super().__init__()
        self.mix, self.place = nn.Linear(4, 8), nn.Parameter(torch.randn(5, 8))
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, _ = x.shape
        y = (self.mix(x) + self.place.tanh()).view(n, tokens, 2, 4).softmax(1)
        return self.out(y.reshape(n, tokens, 8).tanh()).sum(1)


def test_positions_and_heads_of_tokens():
    torch.manual_seed(0)
    module, clean, corrupt = Heads(), torch.randn(5, 5, 4), torch.randn(5, 5, 4)
    assert Sweep(module, (clean,), ["mix"]).foldable("mix")
    by_token = patch_effects(module, clean, corrupt, ["mix"], first, over="positions", batch=20)
    by_head = patch_effects(module, clean, corrupt, ["mix"], first, over="heads", heads=2)
    assert by_token.parts["mix"] == (0, 1, 2, 3, 4) and by_head.parts["mix"] == (0, 1)
    for token in range(5):
        exact = by_hooks(module, clean, corrupt, "mix", (slice(None), token), first)
        assert np.allclose(by_token.effect["mix"][token], exact, atol=1e-6)
    for head in range(2):
        index = (slice(None), slice(None), slice(4 * head, 4 * head + 4))
        exact = by_hooks(module, clean, corrupt, "mix", index, first)
        assert np.allclose(by_head.effect["mix"][head], exact, atol=1e-6)


def test_positions_of_squares_and_chosen_parts(residual):
    torch.manual_seed(2)
    clean, corrupt = torch.randn(3, 2, 8, 8), torch.randn(3, 2, 8, 8)
    every = patch_effects(residual, clean, corrupt, ["pool"], first, over="positions")
    assert every.parts["pool"] == tuple(product(range(4), range(4)))
    some = patch_effects(
        residual, clean, corrupt, ["pool"], first, over="positions", parts={"pool": [(2, 1)]}
    )
    assert np.allclose(some.effect["pool"][0], every.effect["pool"][2 * 4 + 1], atol=1e-6)
    exact = by_hooks(residual, clean, corrupt, "pool", (slice(None), slice(None), 2, 1), first)
    assert np.allclose(some.effect["pool"][0], exact, atol=1e-6)


def test_a_self_patch_is_exactly_null_and_counted(residual):
    """The control: where corrupt is clean, effects are 0 to the last bit, whatever was folded."""
    torch.manual_seed(2)
    clean = torch.randn(6, 2, 8, 8)
    corrupt = clean.clone()
    corrupt[4] += 1
    result = patch_effects(residual, clean, corrupt, ["stem", "b", "head"], first)
    same = [k for k in range(6) if k != 4]
    for site, effect in result.effect.items():
        assert (effect[:, same] == 0).all() and not result.changed[site][:, same].any()
        assert np.abs(effect[:, 4]).max() > 0
    assert result.untouched == 5 * (4 + 4 + 3)


def test_an_unchanged_sample_is_null_though_more_rows_round_otherwise():
    torch.manual_seed(0)
    layers = (nn.Linear(20, 300), nn.ReLU(), nn.Linear(300, 300), nn.ReLU(), nn.Linear(300, 3))
    clean = torch.randn(3, 20)
    corrupt = clean.clone()
    corrupt[1] += 1
    result = patch_effects(nn.Sequential(*layers), clean, corrupt, ["0"], first)
    assert (result.effect["0"][:, [0, 2]] == 0).all() and (result.effect["0"][:, 1] != 0).any()


def test_a_channel_that_the_metric_does_not_read_has_no_effect(linear, pair):
    with torch.no_grad():
        linear[1].weight[:, 2] = 0
    result = patch_effects(linear, pair[0], pair[1], ["0"], first)
    assert (result.effect["0"][2] == 0).all() and result.changed["0"][2].all()
    assert (result.effect["0"][[0, 1, 3, 4]] != 0).all()


def test_resampling_is_patching_with_another_sample(linear, pair):
    clean, _ = pair
    result = ablation_effects(linear, clean, ["0"], first, seed=3)
    giver = [int(np.flatnonzero(np.isclose(result.base, value))[0]) for value in result.source]
    assert sorted(giver) == list(range(7)) and all(k != g for k, g in enumerate(giver))
    same = patch_effects(linear, clean, clean[giver], ["0"], first)
    assert np.allclose(same.effect["0"], result.effect["0"], atol=1e-12)


def test_mean_and_zero_ablation(linear, pair):
    clean, _ = pair
    value = capture(linear, clean, ["0"])["0"]
    weights = (linear[2].weight @ linear[1].weight)[0]
    mean = ablation_effects(linear, clean, ["0"], first, how="mean", batch=3)
    exact = ((value.mean(0) - value) * weights).T.detach().numpy()
    assert np.allclose(mean.effect["0"], exact, atol=1e-6) and np.isnan(mean.source).all()
    with pytest.warns(RuntimeWarning, match="never see"):
        zero = ablation_effects(linear, clean, ["0"], first, how="zero")
    assert np.allclose(zero.effect["0"], (-value * weights).T.detach().numpy(), atol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ablation_effects(linear, clean, ["0"], first, how="mean")


def test_a_module_that_cannot_be_traced_is_swept_by_full_forwards(branching: nn.Module):
    torch.manual_seed(0)
    module, clean, corrupt = branching, torch.randn(4, 6), torch.randn(4, 6)
    with pytest.warns(RuntimeWarning, match="full forwards"):
        result = patch_effects(module, clean, corrupt, ["first"], first)
    assert result.exact_forwards == ("first",)
    exact = by_hooks(module, clean, corrupt, "first", (slice(None), slice(0, 1)), first)
    assert np.allclose(result.effect["first"][0], exact) and (result.effect["first"][1:] == 0).all()


def test_bad_input_says_what_and_where(linear, pair):
    clean, corrupt = pair
    for other, words in (
        (corrupt[:5], "clean has 7 samples and corrupt 5"),
        (corrupt[:, :4], r"\[7, 6\].*\[7, 4\].*unequal size"),
        (clean.clone(), "'0'.*touches nothing"),
    ):
        with pytest.raises(ValueError, match=words):
            patch_effects(linear, clean, other, ["0"], first)
    with pytest.raises(ValueError, match="no site '3'"):
        patch_effects(linear, clean, corrupt, ["3"], first)
    with pytest.raises(ValueError, match=r"one number a sample, \[7\]; got \[7, 2\]"):
        patch_effects(linear, clean, corrupt, ["0"], lambda out: out)
    with pytest.raises(ValueError, match="no part 5; channels go from 0 to 4"):
        patch_effects(linear, clean, corrupt, ["0"], first, parts={"0": [5]})
    with pytest.raises(ValueError, match="has no positions"):
        patch_effects(linear, clean, corrupt, ["0"], first, over="positions")
    with pytest.raises(ValueError, match="do not make 2 equal heads"):
        patch_effects(linear, clean, corrupt, ["0"], first, over="heads", heads=2)
    with pytest.raises(ValueError, match="among the sites"):
        patch_effects(linear, clean, corrupt, ["0"], first, parts={"1": [0]})
    with pytest.raises(ValueError, match="at least two"):
        ablation_effects(linear, clean[:1], ["0"], first)


def test_nan_in_the_metric_names_site_part_and_sample(linear, pair):
    clean, corrupt = pair
    base = linear(clean)[:, 0].detach()

    def broken(out: Tensor) -> Tensor:
        value = out[:, 0].clone()
        value[3] = torch.where((out[3, 0] - base[3]).abs() > 1e-9, torch.nan, value[3])
        return value

    with pytest.raises(ValueError, match="nan at site '1', channels 0, sample 3"):
        patch_effects(linear, clean, corrupt, ["1"], broken)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2e-2), (torch.float64, 1e-14)])
def test_mean_ablation_keeps_the_type_of_the_site(dtype: torch.dtype, tolerance: float):
    torch.manual_seed(0)
    last = nn.Conv2d(4, 2, 1)
    module, x = nn.Sequential(nn.Conv2d(3, 4, 1), last).to(dtype), torch.randn(5, 3, 1, 1).to(dtype)
    result = ablation_effects(module, x, ["0"], lambda out: out[:, 0, 0, 0], how="mean")
    value = capture(module, x, ["0"])["0"][:, :, 0, 0].double()
    exact = ((value.mean(0) - value) * last.weight[0, :, 0, 0].detach().double()).T.numpy()
    assert np.allclose(result.effect["0"], exact, rtol=0, atol=tolerance) and np.abs(exact).max() > 0.1


def test_the_packaged_recurrent_policy_is_swept_without_full_forwards():
    policy: Any = load("sokoban-small").module
    clean, corrupt = (
        torch.rand(3, 4, 6, 6, generator=torch.Generator().manual_seed(seed)) for seed in (3, 4)
    )
    with torch.no_grad():
        carry = policy(clean, policy.initial_carry(3)).carry
    site, given = "core.cells.1@1", ((clean, carry), (corrupt, carry))
    result = patch_effects(policy, *given, [site], lambda out: out.logits[:, 0])
    assert result.exact_forwards == ()
    other = capture(policy, given[1], [site])[site]
    with torch.no_grad():
        bare = policy(*given[0]).logits[:, 0]
        for channel in (0, 7):
            with editing(policy, {site: replace(other, channels=[channel])}):
                exact = (policy(*given[0]).logits[:, 0] - bare).numpy()
            assert np.allclose(result.effect[site][channel], exact, rtol=1e-4, atol=1e-5)
            assert np.abs(exact).max() > 1e-3
