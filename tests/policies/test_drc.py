"""The recurrent policy: its size, what a tick is, what it remembers, where it looks; and the one without memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from goalscope.policies.checkpoint import load, save
from goalscope.policies.drc import DRC, Cell, RecurrentOutput, think
from goalscope.policies.drc.network import _taps
from goalscope.policies.resnet import ResNet, as_large_as, parameters
from goalscope.worlds.sokoban import Sokoban

CHANNELS = 6


def small(ticks: int = 2, layers: int = 2, **arguments: Any) -> DRC:
    torch.manual_seed(0)
    module = DRC(layers, ticks, CHANNELS, hidden=16, **arguments).eval()
    nn.init.normal_(module.head.policy.weight)  # type: ignore[union-attr, arg-type]
    return module


def boards(n: int = 5, size: int = 8) -> np.ndarray:
    world = Sokoban(size, size, 2)
    return world.observe(world.generate(range(n)))


def run(module: DRC, observations: np.ndarray, carry: Any = None) -> RecurrentOutput:
    with torch.inference_mode():
        x = module.encode(observations)
        return module(x, module.initial_carry(len(x)) if carry is None else carry)


def same(a: RecurrentOutput, b: RecurrentOutput) -> bool:
    return all(torch.equal(x, y) for x, y in zip((*a[:2], *a.carry), (*b[:2], *b.carry), strict=True))


def as_one_convolution(
    cell: Cell, encoded: Tensor, below: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor]:
    """The cell in one piece: one 3 x 3 convolution of observation, layer below, h, pooled planes and boundary."""
    edge = torch.ones_like(h[:, :1])
    edge[..., 1:-1, 1:-1] = 0
    pooled = cell.pool(h)[:, :, None, None].expand_as(h)
    planes = torch.cat([encoded, below, h, pooled, edge], 1)
    weight = torch.cat([cell.observation.weight, cell.recurrent.weight, cell.inject, cell.boundary.weight], 1)
    i, j, f, o = functional.conv2d(planes, weight, cell.observation.bias, padding=1).chunk(4, 1)
    c = f.sigmoid() * c + i.tanh() * j.sigmoid()
    return o.sigmoid() * c.tanh(), c


def test_the_published_network_has_as_many_parameters():
    """Taufeeque et al. 2024: DRC(3, 3) with 32 channels on 10 x 10 pixels; it is not the same function for all that."""
    assert parameters(DRC(3, 3, 32, planes=3, size=10, hidden=256, kernel=4)) == 1_285_125


def test_one_layer_of_it_is_one_convolution_of_all_planes():
    cell, rng = Cell(CHANNELS), torch.Generator().manual_seed(1)
    encoded, below, h, c = (torch.randn(3, CHANNELS, 7, 5, generator=rng) for _ in range(4))
    edge = torch.ones(1, 1, 7, 5)
    edge[..., 1:-1, 1:-1] = 0
    with torch.inference_mode():
        seen = cell.observation(encoded) + cell.boundary(edge)
        found = cell(seen, below, h, c, _taps(7, 5, h))
        expected = as_one_convolution(cell, encoded, below, h, c)
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    # Negative control: the pooled plane, which the short cut makes without a convolution, matters.
    with torch.inference_mode():
        cell.inject.zero_()
        assert (as_one_convolution(cell, encoded, below, h, c)[0] - found[0]).abs().max() > 1e-2


def test_a_tick_is_a_repeated_cell_so_two_of_one_are_one_of_two():
    """Ticks share weights and go on from the carry, so N ticks are N forwards of one tick on one observation."""
    one, four = small(ticks=1), small(ticks=4)
    four.load_state_dict(one.state_dict())
    seen = boards()
    carry, out = None, None
    for _ in range(4):
        out = run(one, seen, carry)
        carry = out.carry
    assert out is not None and same(out, run(four, seen))
    assert not same(run(one, seen), run(four, seen))


def test_thinking_is_looking_again():
    module, seen = small(), boards()
    x = module.encode(seen)
    with torch.inference_mode():
        carry = think(module, x, 3)
        first = think(module, x, 2, think(module, x, 1))
        assert carry is not None and first is not None
        assert all(torch.equal(a, b) for a, b in zip(carry, first, strict=True))
        nothing = think(module, x, 0)
        assert nothing is not None and not any(part.any() for part in nothing)
    assert not torch.equal(run(module, seen).logits, run(module, seen, carry).logits)
    with pytest.raises(ValueError, match="0 or more, got -1"):
        think(module, x, -1)


def test_the_cells_are_sites_once_a_tick_and_the_top_layer_feeds_the_first():
    module = small(ticks=3)
    below: list[Tensor] = []
    outputs: list[tuple[Tensor, Tensor]] = []
    cells: Any = module.core.cells
    handles = [cells[0].register_forward_hook(lambda m, i, o: below.append(i[1]))]
    handles.append(cells[1].register_forward_hook(lambda m, i, o: outputs.append(o)))
    out = run(module, boards())
    for handle in handles:
        handle.remove()
    assert len(outputs) == 3
    assert (
        not below[0].any() and torch.equal(below[1], outputs[0][0]) and torch.equal(below[2], outputs[1][0])
    )
    assert torch.equal(out.carry[0][:, 1], outputs[2][0]) and torch.equal(out.carry[1][:, 1], outputs[2][1])


def test_zero_carry_of_one_square_is_zero_everywhere_and_levels_do_not_mix():
    module, seen = small(), boards()
    whole = tuple(part.expand(-1, -1, -1, 8, 8).clone() for part in module.initial_carry(5))
    assert same(run(module, seen), run(module, seen, whole))
    carry = run(module, seen).carry
    # The third level begins anew: it is as if seen for the first time, and the others do not notice.
    reset = tuple(part.clone() for part in carry)
    for part in reset:
        part[2] = 0
    mixed, kept = run(module, seen, reset), run(module, seen, carry)
    assert torch.allclose(mixed.logits[2], run(module, seen).logits[2], atol=1e-6)
    others = [0, 1, 3, 4]
    assert torch.allclose(mixed.logits[others], kept.logits[others], atol=1e-6)
    assert not torch.allclose(mixed.logits[2], kept.logits[2], atol=1e-3)


def test_without_a_size_any_board_will_do_and_the_head_reads_where_the_player_stands():
    module = small(layers=1, ticks=1)
    for size in (6, 10, 13):
        assert run(module, boards(2, size)).logits.shape == (2, 4)
    features = torch.randn(1, CHANNELS, 6, 6)
    x = torch.zeros(1, 4, 6, 6)
    x[0, 3, 2, 4] = 1
    elsewhere = features.clone()
    elsewhere[0, :, 2, 4], elsewhere[0, :, 1, 1] = features[0, :, 1, 1], features[0, :, 2, 4]
    with torch.inference_mode():
        # Swapping two squares keeps mean and maximum; only the features at the player tell them apart.
        logits = module.head(features, x).logits
        assert not torch.allclose(module.head(elsewhere, x).logits, logits, atol=1e-3)
        x[0, 3, 2, 4], x[0, 3, 1, 1] = 0, 1
        assert torch.allclose(module.head(elsewhere, x).logits, logits, atol=1e-5)


def test_boards_that_do_not_fit_are_refused():
    fixed = small(size=8)
    assert run(fixed, boards()).logits.shape == (5, 4)
    with pytest.raises(ValueError, match=r"\[N, 4, 8, 8\] uint8, got \[2, 4, 10, 10\]"):
        fixed.encode(boards(2, 10))
    with pytest.raises(ValueError, match=r"\[N, 4, H, W\] uint8, got \[5, 4, 8, 8\] float64"):
        small().encode(boards().astype(float))
    with pytest.raises(ValueError, match="needs the four planes"):
        DRC(planes=3)
    pixels = DRC(1, 1, 4, planes=3, size=8, hidden=8).encode(np.full((1, 3, 8, 8), 255, np.uint8))
    assert torch.equal(pixels, torch.ones(1, 3, 8, 8))


def test_a_checkpoint_gives_the_same_numbers(tmp_path):
    module, seen = small(), boards()
    architecture = {"name": "drc", "layers": 2, "ticks": 2, "channels": CHANNELS, "hidden": 16}
    save(tmp_path / "agent", module, {"architecture": architecture}, "# Agent\n")
    found = load(tmp_path / "agent").module
    assert isinstance(found, DRC)
    assert torch.allclose(run(found, seen).logits, run(module, seen).logits, atol=1e-5)
    assert all(
        torch.equal(a, b)
        for a, b in zip(found.state_dict().values(), module.state_dict().values(), strict=True)
    )


def test_the_residual_network_is_as_large_and_does_not_think(tmp_path):
    size = parameters(DRC(3, 3, 32, hidden=128))
    channels = as_large_as(size, 8, hidden=128)
    module = ResNet(8, channels, hidden=128).eval()
    assert abs(parameters(module) / size - 1) < 0.03
    x = module.encode(boards())
    with torch.inference_mode():
        before = module(x)
        assert think(module, x, 16) is None
        after = module(x)
    assert torch.equal(before.logits, after.logits) and torch.equal(before.value, after.value)
    architecture = {"name": "resnet", "blocks": 8, "channels": channels, "hidden": 128}
    save(tmp_path / "agent", module, {"architecture": architecture}, "# Agent\n")
    assert isinstance(load(tmp_path / "agent").module, ResNet)
