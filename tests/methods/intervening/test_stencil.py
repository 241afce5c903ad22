"""Stencils: a planted pattern is recovered and put elsewhere; borders, bad input, and nothing where there is nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from goalscope.methods.intervening.stencil import place, stencil


def planted(n: int, noise: float = 0.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Differences [n, 3, 7, 9] with a known 3 x 3 pattern around random cells."""
    generator = torch.Generator().manual_seed(0)
    pattern = torch.randn(3, 3, 3, generator=generator)
    cells = torch.stack([torch.randint(0, k, (n,), generator=generator) for k in (7, 9)], 1)
    maps = torch.zeros(n, 3, 9, 11)
    for i, (r, c) in enumerate(cells.tolist()):
        maps[i, :, r : r + 3, c : c + 3] = pattern
    maps = maps[:, :, 1:8, 1:10]
    return maps + noise * torch.randn(maps.shape, generator=generator), cells, pattern


def test_a_planted_pattern_is_recovered_exactly_where_it_is_on_the_map():
    maps, cells, pattern = planted(200)
    found = stencil(maps, cells, 1)
    torch.testing.assert_close(found.values, pattern, rtol=1e-6, atol=1e-6)
    assert found.count[1, 1] == 200 and found.count[0, 0] < 200  # at the borders part of it is cut
    assert found.standard_error.max() < 1e-6


def test_with_a_larger_radius_the_rest_is_zero():
    maps, cells, pattern = planted(200)
    found = stencil(maps, cells, 2).values
    torch.testing.assert_close(found[:, 1:4, 1:4], pattern, rtol=1e-6, atol=1e-6)
    found[:, 1:4, 1:4] = 0
    assert not found.any()


def test_where_nothing_is_planted_nothing_stands_out_of_its_standard_error():
    maps, cells, _ = planted(400)
    noise = torch.randn(maps.shape, generator=torch.Generator().manual_seed(1))
    found = stencil(noise, cells, 1)
    z = found.values / found.standard_error
    assert z.abs().max() < 4 and 0.6 < z.square().mean() < 1.6
    with_pattern = stencil(maps + noise, cells, 1)
    assert (with_pattern.values / with_pattern.standard_error).abs().max() > 10


def test_placing_is_the_inverse_of_averaging():
    maps, cells, _ = planted(50)
    torch.testing.assert_close(place(stencil(maps, cells, 1), cells, 7, 9), maps, rtol=1e-6, atol=1e-6)


def test_moving_a_stencil_moves_what_a_convolution_does_with_it():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)).double()
    spot = torch.zeros(81, 1, 9, 9, dtype=torch.double)
    cells = torch.stack(torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij"), -1).view(-1, 2)
    spot[torch.arange(81), 0, cells[:, 0], cells[:, 1]] = 1
    with torch.no_grad():
        inner = ((cells >= 2) & (cells < 7)).all(1)
        found = stencil((network[0](spot) - network[0](torch.zeros_like(spot)))[inner], cells[inner], 1)
        empty = network[0](torch.zeros(1, 1, 9, 9, dtype=torch.double))
        moved = network[1](empty + place(found, cells[inner], 9, 9))
        torch.testing.assert_close(moved, network(spot)[inner])
        assert (moved - network[1](empty)).abs().max() > 0.01


def test_strongest_keeps_the_largest_values():
    maps, cells, pattern = planted(50)
    found = stencil(maps, cells, 1).strongest(4)
    assert (found.values != 0).sum() == 4
    assert found.values.abs()[found.values != 0].min() >= pattern.abs().flatten().sort().values[-5] - 1e-6


@pytest.mark.parametrize(
    "cells, radius, words",
    [
        ([[0, 9]], 1, r"cell \[0, 9\] of sample 0"),
        ([[0, 0, 0]], 1, r"cells must be"),
        ([[0, 0]], -1, "radius"),
    ],
)
def test_bad_input_is_named(cells: list, radius: int, words: str):
    with pytest.raises(ValueError, match=words):
        stencil(torch.zeros(1, 3, 7, 9), torch.tensor(cells), radius)


def test_values_that_are_not_finite_are_named_by_sample():
    maps, cells, _ = planted(5)
    maps[3, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="sample 3"):
        stencil(maps, cells, 1)


@pytest.mark.parametrize("count", [0, 28])
def test_strongest_refuses_what_is_not_there(count: int):
    maps, cells, _ = planted(5)
    with pytest.raises(ValueError, match="1 to 27"):
        stencil(maps, cells, 1).strongest(count)
