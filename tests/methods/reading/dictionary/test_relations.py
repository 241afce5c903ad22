"""One dictionary in another, and a dictionary of a dictionary, where it is known what must come out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from goalscope.methods.reading.dictionary import (
    Dictionary,
    Planted,
    Recipe,
    Training,
    composed,
    meta,
    nearest_latents,
    stitched,
    train,
)

GONE = torch.arange(8, 16)
"""features that the small dictionary never saw"""


@pytest.fixture(scope="module")
def small(known: Planted, recipe: Callable[..., Recipe]) -> Dictionary:
    """Trained on data without some features."""
    return train(known.x - known.codes[:, GONE] @ known.directions[GONE], recipe(steps=600)).dictionary


@pytest.fixture(scope="module")
def latents(trained: dict[str, Training], fresh: Planted) -> tuple[np.ndarray, np.ndarray]:
    """Latents of the large dictionary: those of features that the small one never saw, and those of others."""
    cosine, latent = (fresh.directions @ trained["topk"].dictionary.decoder.T).max(1)
    missing = torch.isin(torch.arange(128), GONE)
    return latent[missing & (cosine > 0.8)].numpy(), latent[~missing & (cosine > 0.9)].numpy()


def test_latents_of_what_the_small_dictionary_never_saw_are_novel_and_the_others_are_not(
    small: Dictionary, trained: dict[str, Training], fresh: Planted, latents: tuple[np.ndarray, np.ndarray]
) -> None:
    found = stitched(small, trained["topk"].dictionary, fresh.x)
    missing, there = latents
    assert len(missing) >= 6 and len(there) > 40
    assert found.novel[missing].mean() > 0.9 and found.novel[there].mean() < 0.15
    assert (found.cosine[missing] < 0.8).mean() > 0.9 and np.median(found.cosine[there]) > 0.9


def test_what_both_have_is_composed_of_small_latents_and_what_one_lacks_is_not(
    small: Dictionary,
    trained: dict[str, Training],
    fresh: Planted,
    level: np.ndarray,
    latents: tuple[np.ndarray, np.ndarray],
) -> None:
    missing, there = latents
    asked = np.r_[missing, there[:20]]
    found = composed(small, trained["topk"].dictionary, fresh.x, level % 2 == 0, asked)
    ours, without = np.median(found.explained[len(missing) :]), np.median(found.explained[: len(missing)])
    assert ours > without + 0.15 and ours > np.median(found.random) + 0.2
    assert (found.weights >= 0).all() and ((found.parts >= 0) == (found.weights > 0)).all()


def test_a_dictionary_in_itself_is_composed_of_itself_whole(
    trained: dict[str, Training], fresh: Planted
) -> None:
    made = trained["topk"].dictionary
    often = np.argsort(-(made.encode(fresh.x) > 0).sum(0).numpy())[:8].copy()
    found = composed(made, made, fresh.x, np.arange(len(fresh.x)) < 2000, often, parts=1)
    assert found.parts[:, 0].tolist() == often.tolist()
    assert found.explained == pytest.approx(1)
    whole = stitched(made, made, fresh.x)
    assert not whole.novel[often].any(), "what is there already makes the error greater"


def told(**further: int) -> Recipe:
    """A short training of a meta dictionary."""
    return Recipe(**{"width": 16, "k": 2, "steps": 250, "batch": 256, "rate": 1e-2, **further})  # type: ignore[arg-type]


def test_shared_parts_are_an_excess_and_independent_atoms_are_none() -> None:
    generator = torch.Generator().manual_seed(5)
    parts = normalize(torch.randn(12, 32, generator=generator))
    pairs = torch.stack([torch.randperm(12, generator=generator)[:2] for _ in range(96)])
    rate = np.arange(1, 97) ** -0.5
    made = meta(normalize(parts[pairs].sum(1)), rate, told(), repeats=1)
    assert made.excess > 0.25
    assert nearest_latents(made.training.dictionary, parts, 1).cosine.mean() > 0.85
    none = meta(normalize(torch.randn(96, 32, generator=generator)), rate, told(), repeats=1)
    assert abs(none.excess) < 0.08 and none.explained > 0.3, "a lossy code exists for any dictionary"


def test_what_does_not_belong_together_is_refused(trained: dict[str, Training]) -> None:
    made = trained["topk"].dictionary
    eye = Dictionary(torch.eye(4), torch.zeros(4), torch.eye(4), torch.zeros(4), "topk", 1, None, "there")
    with pytest.raises(ValueError, match="'there' of size 4, 'here' of size 32"):
        stitched(eye, made, torch.zeros(3, 32))
    with pytest.raises(ValueError, match="both sides need rows"):
        composed(made, made, torch.zeros(3, 32), np.ones(3, bool), np.arange(2))
    with pytest.raises(ValueError, match="4 latents fire: a meta dictionary of 16"):
        meta(torch.eye(4), np.ones(4), told())
    with pytest.raises(ValueError, match="not negative"):
        meta(torch.eye(4), np.array([1, 1, 1, -1.0]), told())
    with pytest.raises(ValueError, match=r"directions \[M, 32\] and a count from 1 to 128"):
        nearest_latents(made, torch.zeros(2, 32), 129)
