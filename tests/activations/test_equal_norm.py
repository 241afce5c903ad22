"""Random vectors of equal norm: as long as what they stand beside, and in no direction of their own."""

from __future__ import annotations

import pytest
import torch

from goalscope.activations import random_of_equal_norm, scaled_to_norm


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_vector_has_the_norm_of_its_own_row():
    vectors = (
        torch.randn(5, 3, 4, generator=generator(1)) * torch.tensor([0.0, 1e-3, 1.0, 7.0, 1e4])[:, None, None]
    )
    drawn = random_of_equal_norm(vectors, generator())
    assert drawn.shape == vectors.shape and drawn.dtype == vectors.dtype
    assert torch.allclose(drawn.flatten(1).norm(dim=1), vectors.flatten(1).norm(dim=1), rtol=1e-5)


def test_the_directions_have_no_favourite():
    vector = torch.zeros(6, dtype=torch.float64)
    vector[0] = 2.0
    drawn = random_of_equal_norm(vector.expand(4000, 6), generator())
    assert drawn.mean(0).abs().max() < 5 * 2 / (6 * 4000) ** 0.5
    # Each axis holds a sixth of the squared norm, that of the vector too.
    assert torch.allclose(drawn.square().mean(0), torch.full((6,), 4 / 6, dtype=torch.float64), rtol=0.1)


def test_entries_are_drawn_only_where_the_vector_has_some():
    vectors = torch.randn(3, 2, 5, 5, generator=generator(2))
    vectors[:, :, 1:4] = 0
    drawn = random_of_equal_norm(vectors, generator(), where_nonzero=True)
    assert ((drawn != 0) == (vectors != 0)).all()
    assert torch.allclose(drawn.flatten(1).norm(dim=1), vectors.flatten(1).norm(dim=1))


def test_the_same_seed_draws_the_same_and_the_next_call_another():
    vectors = torch.ones(2, 8)
    source = generator()
    first, second = (random_of_equal_norm(vectors, source) for _ in range(2))
    assert torch.equal(first, random_of_equal_norm(vectors, generator()))
    assert not torch.allclose(first, second) and not torch.allclose(first[0], first[1])


def test_noise_of_any_form_takes_the_norm_and_keeps_its_direction():
    noise = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]])
    scaled = scaled_to_norm(noise, torch.tensor([[0.0, 10.0], [1.0, 1.0], [0.0, 0.0]]))
    assert torch.allclose(scaled, torch.tensor([[6.0, 8.0], [0.0, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize(
    ("vectors", "match"),
    [
        (torch.ones(3), r"\[N, \.\.\].*vector\[None\]"),
        (torch.ones(2, 3, dtype=torch.int64), "floating point"),
        (torch.tensor([[1.0, float("nan")]]), "not finite"),
    ],
)
def test_what_has_no_norm_is_said(vectors: torch.Tensor, match: str):
    with pytest.raises(ValueError, match=match):
        random_of_equal_norm(vectors, generator())
