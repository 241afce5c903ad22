"""Edits change exactly the part that is named, as an element by element loop would."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from goalscope.activations import Edit, add, clamp, mean, replace, resample, zero

SHAPES = [(3, 4), (3, 5, 4), (3, 4, 2, 5), (2, 4, 2, 2, 3)]


def channel_axis(tensor: Tensor) -> int:
    return 1 if tensor.ndim >= 4 else tensor.ndim - 1


def by_loop(
    tensor: Tensor, part: dict[str, Any], change: Callable[[float, tuple[int, ...]], float]
) -> Tensor:
    """The edit, one number after the other."""
    new, axis = tensor.clone(), channel_axis(tensor)
    for index in product(*map(range, tensor.shape)):
        space = tuple(k for i, k in enumerate(index) if i not in (0, axis))
        positions = part.get("positions")
        if (
            index[0] in part.get("samples", [index[0]])
            and index[axis] in part.get("channels", [index[axis]])
            and (positions is None or space in [p if isinstance(p, tuple) else (p,) for p in positions])
        ):
            new[index] = change(float(tensor[index]), index)
    return new


@st.composite
def parts(draw: st.DrawFn) -> tuple[Tensor, dict[str, Any]]:
    """A tensor and any part of it."""
    shape = draw(st.sampled_from(SHAPES))
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))).double()
    axis = channel_axis(tensor)
    space = [size for i, size in enumerate(shape) if i not in (0, axis)]
    part: dict[str, Any] = {}
    for name, size in (("samples", shape[0]), ("channels", shape[axis])):
        if draw(st.booleans()):
            part[name] = draw(st.lists(st.integers(0, size - 1), min_size=1, unique=True))
    if space and draw(st.booleans()):
        places = list(product(*map(range, space)))
        chosen = draw(st.lists(st.sampled_from(places), min_size=1, max_size=4, unique=True))
        part["positions"] = [p[0] for p in chosen] if len(space) == 1 else chosen
    return tensor, part


@settings(deadline=None, max_examples=60)
@given(parts())
def test_a_part_is_every_combination_and_nothing_else(case: tuple[Tensor, dict[str, Any]]):
    tensor, part = case
    was, axis = tensor.clone(), channel_axis(tensor)
    other = torch.randn(tensor.shape, dtype=torch.float64)
    per_channel = torch.randn(tensor.shape[axis], dtype=torch.float64)
    means = tensor.movedim(axis, 0).flatten(1).mean(1)
    expected: list[tuple[Edit, Any]] = [
        (zero(**part), lambda old, at: 0.0),
        (replace(2.5, **part), lambda old, at: 2.5),
        (replace(other, **part), lambda old, at: other[at]),
        (replace(other[0], **part), lambda old, at: other[0][at[1:]]),
        (add(per_channel, -2.0, **part), lambda old, at: old - 2 * per_channel[at[axis]]),
        (clamp(-0.3, 0.4, **part), lambda old, at: min(max(old, -0.3), 0.4)),
        (clamp(high=per_channel, **part), lambda old, at: min(old, float(per_channel[at[axis]]))),
        (mean(**part), lambda old, at: means[at[axis]]),
    ]
    for edit, change in expected:
        assert torch.allclose(edit(tensor), by_loop(tensor, part, change), rtol=1e-12, atol=1e-12)
    assert torch.equal(tensor, was)


def test_values_of_the_parts_own_shape_and_one_for_each_chosen_channel():
    tensor = torch.zeros(3, 4, 2, 5)
    values = torch.arange(1.0, 13.0).reshape(2, 2, 3)
    places = [(0, 1), (1, 4), (0, 0)]
    edited = replace(values, samples=[2, 0], channels=[3, 1], positions=places)(tensor)
    for s, c, p in product(range(2), range(2), range(3)):
        assert edited[[2, 0][s], [3, 1][c], places[p][0], places[p][1]] == values[s, c, p]
    assert (edited != 0).sum() == 12
    edited = add([10.0, 20.0], channels=[3, 1])(tensor)
    assert edited[:, 3].eq(10).all() and edited[:, 1].eq(20).all() and not edited[:, [0, 2]].any()


def test_heads_are_blocks_and_another_channel_axis_may_be_named():
    tensor = torch.randn(2, 3, 8)
    assert torch.equal(zero(heads=[1, -1], of=4)(tensor), zero(channels=[2, 3, 6, 7])(tensor))
    turned = zero(channels=[2], channel_axis=1, positions=[5])(tensor)
    assert (turned != tensor).nonzero().tolist() == [[0, 2, 5], [1, 2, 5]]


def test_a_channel_mean_is_unchanged_by_averaging_twice():
    tensor = torch.randn(4, 3, 2, 2).double()
    once = mean()(tensor)
    assert once.flatten(2).std(2).max() < 1e-12 and torch.allclose(mean()(once), once)


@pytest.mark.parametrize("shape", SHAPES)
def test_resampling_gives_every_sample_another_ones(shape: tuple[int, ...]):
    tensor = torch.randn(9, *shape[1:])
    drawn = resample(seed=4)(tensor)
    sources = [next(k for k in range(9) if torch.equal(row, tensor[k])) for row in drawn]
    assert sorted(sources) == list(range(9)) and all(k != source for k, source in enumerate(sources))
    assert torch.equal(resample(seed=4)(tensor), drawn) and not torch.equal(resample(seed=5)(tensor), drawn)
    pool = torch.randn(3, *shape[1:])
    assert all(any(torch.equal(row, other) for other in pool) for row in resample(pool)(tensor))
    one = resample(pool, samples=[1], channels=[0])(tensor)
    assert 0 < (one != tensor).sum() <= tensor[0].numel() // shape[channel_axis(tensor)]


def test_two_samples_swap():
    assert resample()(torch.tensor([[1.0], [2.0]])).tolist() == [[2.0], [1.0]]


@pytest.mark.parametrize("make", [zero, mean, lambda **p: add(1.0, **p), lambda **p: clamp(0.0, **p)])
def test_gradients_flow_through_and_around_the_part(make: Any):
    tensor = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(make(channels=[1, 2]), tensor)
    assert torch.autograd.gradcheck(make(), tensor)


def test_values_take_the_type_of_the_site():
    tensor = torch.zeros(2, 3, dtype=torch.bfloat16)
    assert replace(torch.ones(3).double())(tensor).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: zero(channels=[]), "channels is empty: such an edit touches nothing"),
        (lambda: zero(positions=()), "positions is empty"),
        (lambda: mean(samples=torch.tensor([], dtype=torch.int64)), "samples is empty"),
        (lambda: zero(chanels=[1]), "no such restriction: chanels; there are samples, channels"),
        (lambda: zero(heads=[1]), "heads and of go together"),
        (lambda: zero(heads=[1], of=2, channels=[1]), "not both"),
        (lambda: clamp(), "low, high or both"),
    ],
)
def test_an_edit_that_makes_no_sense(make: Any, words: str):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("edit", "shape", "words"),
    [
        (zero(channels=[1, 1]), (2, 3), "one is named twice"),
        (zero(channels=[1, -2]), (2, 3), "one is named twice"),
        (zero(positions=[(0, 0), (0, 0)]), (2, 3, 4, 4), "one is named twice"),
        (zero(positions=[0]), (2, 3), r"shape \[2, 3\] has no positions"),
        (zero(channels=[0]), (2,), r"shape \[2\] has no channels"),
        (zero(channel_axis=0), (2, 3), "no axis after the samples"),
        (mean(), (1, 3), "the mean over one sample changes nothing"),
        (resample(), (1, 3), "no other one in its batch"),
        (resample(torch.zeros(5, 4)), (2, 3), r"values \[M, 3\] for a site of shape \[2, 3\], got \[5, 4\]"),
        (zero(samples=[0]), (), "no samples"),
    ],
)
def test_an_edit_that_does_not_fit(edit: Edit, shape: tuple[int, ...], words: str):
    with pytest.raises(ValueError, match=words):
        edit(torch.zeros(shape))
