"""What a dictionary finds of one that is known, beside what finds nothing: other directions, data without a dictionary."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from goalscope.methods.reading.dictionary import (
    Dictionary,
    Planted,
    Recipe,
    Training,
    explained,
    independent,
    matched,
    neurons,
    planted,
    principal,
    progressive,
    random_like,
    recovery,
    train,
    use,
)

MARGIN = 0.25
"""mean best cosine by which the best kind must be above every direction that was not trained for it"""


@pytest.fixture(scope="module")
def frames(known: Planted, trained: dict[str, Training]) -> list:
    """What needs no sparse training."""
    few = known.x[:10_000]
    return [neurons(few), principal(few), independent(few), random_like(trained["topk"].dictionary, few)]


def test_topk_finds_the_directions_that_made_the_data_and_the_baselines_do_not(
    trained: dict[str, Training], fresh: Planted, level: np.ndarray, frames: list
) -> None:
    found = recovery(trained["topk"].dictionary, fresh)
    assert found.mean_cosine > 0.85 and np.nanmean(found.f1) > 0.45
    ours = explained(trained["topk"].dictionary, fresh.x, level).explained
    for frame in frames:
        cosine = float((fresh.directions @ frame.directions.T).abs().max(1).values.mean())
        theirs = explained(lambda x, frame=frame: frame(x, 5), fresh.x, level).explained
        assert found.mean_cosine > cosine + MARGIN, frame.name
        assert ours > theirs + 0.1, frame.name


def test_data_without_a_dictionary_gives_none_back(
    known: Planted, fresh: Planted, recipe: Callable[..., Recipe]
) -> None:
    """Gaussian rows of the same covariance: what is explained comes of the covariance alone, and no direction is found."""
    noise = (
        torch.randn(10_000, 32, generator=torch.Generator().manual_seed(3))
        @ torch.linalg.cholesky(torch.cov(known.x.T) + 1e-4 * torch.eye(32)).T
    )
    made = train(noise, recipe()).dictionary
    assert recovery(made, fresh).mean_cosine < 0.6


def test_the_truth_itself_is_recovered_whole_and_a_hidden_parent_is_absorption() -> None:
    data = planted(2_000, size=64, features=32, active=2.0, pairs=4)
    offset = torch.full((64,), 0.2)
    inverse = torch.linalg.pinv(data.directions).T
    truth = Dictionary(
        inverse, torch.zeros(32), data.directions, offset, "jumprelu", None, torch.full((32,), 0.25)
    )
    found = recovery(truth, data)
    assert found.mean_cosine == pytest.approx(1) and found.f1.min() == 1 and found.absorption.max() == 0

    # The child's direction takes the parent's along, and the parent keeps silent with it.
    parent, child = data.pairs.T
    hidden = inverse.clone()
    hidden[parent] -= 9 * inverse[child]
    absorbing = Dictionary(
        hidden, torch.zeros(32), data.directions, offset, "jumprelu", None, torch.full((32,), 0.25)
    )
    assert recovery(absorbing, data).absorption.min() == 1


def test_two_seeds_agree_more_than_a_dictionary_and_random_directions(
    known: Planted, trained: dict[str, Training], recipe: Callable[..., Recipe]
) -> None:
    first = trained["topk"].dictionary
    other = train(known.x, recipe(seed=1, steps=700)).dictionary
    same, chance = (
        matched(first.decoder, other.decoder),
        matched(first.decoder, random_like(first, known.x[:100]).directions),
    )
    assert same.same > 0.3 > chance.same == 0
    assert sorted(same.second) == list(range(128)), "each latent is the partner of one"


def test_a_frame_with_all_its_directions_gives_everything_back(fresh: Planted, frames: list) -> None:
    for frame in frames[:3]:
        torch.testing.assert_close(frame(fresh.x[:64], 32), fresh.x[:64], rtol=1e-3, atol=1e-3)


def test_independent_components_of_sources_are_the_sources() -> None:
    generator = torch.Generator().manual_seed(0)
    sources = torch.rand(6_000, 4, generator=generator) - 0.5
    mixing = torch.randn(4, 6, generator=generator)
    found = independent(sources @ mixing)
    cosine = (found.directions @ (mixing / mixing.norm(dim=1, keepdim=True)).T).abs()
    assert cosine.max(0).values.min() > 0.99 and len(found.directions) == 4


def test_multitopk_goes_on_gaining_past_its_k_where_topk_falls(
    trained: dict[str, Training], fresh: Planted
) -> None:
    curve = {
        kind: progressive(trained[kind].dictionary, fresh.x, [1, 5, 20]) for kind in ("topk", "multitopk")
    }
    assert curve["multitopk"][2] > curve["multitopk"][1] > curve["multitopk"][0]
    assert curve["topk"][2] < curve["topk"][1]


def test_use_and_error_are_counted_by_level() -> None:
    made = Dictionary(torch.eye(2), torch.zeros(2), torch.eye(2), torch.zeros(2), "topk", 1)
    x, level = torch.tensor([[1.0, 2.0], [3.0, 0.0], [-1.0, -1.0]]), np.array([7, 9, 9])
    used = use(made, x, level)
    assert used.rate.tolist() == pytest.approx([1 / 3, 1 / 3]) and used.mean.tolist() == [3.0, 2.0]
    assert used.active.tolist() == [1, 1] and used.rows.tolist() == [1, 2] and used.dead == 0
    error = explained(made, x, level, torch.zeros(2))
    assert error.error.tolist() == [1.0, 2.0] and error.total.tolist() == [5.0, 11.0]
    assert error.explained == pytest.approx(1 - 3 / 16)
    with pytest.raises(ValueError, match="constant"):
        explained(made, torch.ones(3, 2), level)
    with pytest.raises(ValueError, match="level"):
        use(made, x, level[:2])
