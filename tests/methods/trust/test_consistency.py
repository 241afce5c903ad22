"""Pairs with a planted truth: who finds it, and who finds the loudest feature instead."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from goalscope.methods.trust.consistency import consistency, search_loss

UNSUPERVISED = ("search", "principal component", "two clusters")
LABELLED = ("discriminant (labels)", "logistic (labels)")


def pairs(loud: float, seed: int = 0, n: int = 300, size: int = 12):
    """Axis 0 says which of the two is true, axis 1 something else that differs within the pair, `loud` times as much."""
    rng = np.random.default_rng(seed)
    truth, other = rng.random(n) < 0.5, rng.random(n) < 0.5
    mean = np.zeros((n, size))
    mean[:, 0] = np.where(truth, 1, -1)
    mean[:, 1] = loud * np.where(other, 1, -1)
    noise = 0.3 * rng.standard_normal((2, n, size))
    # Scaling each axis by its own spread would make all equally loud: so the truth stands on one axis, the other on six.
    if loud:
        mean[:, 2:8] = mean[:, [1]]
    shift = rng.standard_normal(size) * 5  # what tells first from second inputs, and must not count
    return mean + noise[0] + shift, -mean + noise[1], truth, np.arange(n) // 2, other


def test_a_planted_truth_without_a_rival_is_found_by_all():
    positive, negative, truth, level, _ = pairs(loud=0)
    found = consistency(positive, negative, truth, level)
    for way in (*UNSUPERVISED, *LABELLED):
        assert found.accuracy[way].low > 0.9, way
    assert found.accuracy["random"].estimate < 0.8
    assert found.agreement > 0.95
    assert found.accuracy["search"].n == len(np.unique(level)) - round(0.6 * len(np.unique(level)))


def test_a_louder_rival_is_found_instead_by_all_that_see_no_labels():
    positive, negative, truth, level, other = pairs(loud=1)
    found = consistency(positive, negative, truth, level)
    for way in UNSUPERVISED:
        assert found.accuracy[way].high < 0.75, way
    for way in LABELLED:
        assert found.accuracy[way].low > 0.9, way
    taken_for_truth = consistency(positive, negative, other, level)
    for way in UNSUPERVISED:
        assert taken_for_truth.accuracy[way].low > 0.9, way


def test_any_feature_that_differs_within_pairs_has_loss_nought():
    """The theorem: p⁺ = h and p⁻ = 1 - h is consistent and sure for whatever h is 0 or 1."""
    h = torch.tensor([0.0, 1, 1, 0])
    assert search_loss(h, 1 - h) == 0
    assert search_loss(torch.full((4,), 0.5), torch.full((4,), 0.5)) == 0.25
    assert search_loss(h, h) > 0


def test_random_labels_are_found_by_nobody_on_held_out_pairs():
    positive, negative, _, level, _ = pairs(loud=1)
    noise = np.random.default_rng(5).random(len(level)) < 0.5
    found = consistency(positive, negative, noise, level)
    for way, accuracy in found.accuracy.items():
        assert accuracy.low < 0.5 < accuracy.high, way


def test_pairs_of_one_level_stay_together():
    """Activations that name their level alone tell nothing of a held-out one; split by pair they would."""
    rng = np.random.default_rng(1)
    level = np.repeat(np.arange(40), 10)
    of_level = rng.random(40) < 0.5
    code = rng.standard_normal((40, 80))
    x = code[level] + 0.01 * rng.standard_normal((400, 80))
    found = consistency(x, -x, of_level[level], level)
    assert found.accuracy["logistic (labels)"].low < 0.5 < found.accuracy["logistic (labels)"].high


def test_all_restarts_are_told_and_the_seed_decides():
    positive, negative, truth, level, _ = pairs(loud=0, n=120)
    one, two = (consistency(positive, negative, truth, level, restarts=4) for _ in range(2))
    assert one.loss.shape == one.restarts.shape == (4,)
    assert np.array_equal(one.loss, two.loss)
    assert one.accuracy == two.accuracy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p, n, t, lv: (p, n[:-1], t, lv), "one shape"),
        (lambda p, n, t, lv: (p, n, t.astype(int), lv), "bool"),
        (lambda p, n, t, lv: (np.where(np.arange(len(p))[:, None] == 7, np.nan, p), n, t, lv), "pair 7"),
        (lambda p, n, t, lv: (p, n, t, np.zeros(len(p), int)), "four levels"),
        (lambda p, n, t, lv: (p, n, np.ones(len(p), bool), lv), "both"),
        (lambda p, n, t, lv: (p, p + 3, t, lv), "nothing differs"),
    ],
)
def test_what_cannot_be_judged_is_named(change, words):
    positive, negative, truth, level, _ = pairs(loud=0, n=40)
    with pytest.raises(ValueError, match=words):
        consistency(*change(positive, negative, truth, level))
