"""Training of dictionaries: what every kind must keep, that a killed one goes on to the same bytes, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from goalscope.methods.reading.dictionary import (
    KINDS,
    Dictionary,
    Planted,
    Recipe,
    Training,
    check_fits,
    train,
    use,
)
from goalscope.methods.reading.dictionary.codes import chosen, decoded, jumped
from goalscope.methods.reading.dictionary.losses import Weights, auxiliary_loss
from goalscope.methods.reading.dictionary.training import STATE, geometric_median


def weights(seed: int = 0, m: int = 12, d: int = 6) -> Weights:
    """Random ones."""
    generator = torch.Generator().manual_seed(seed)
    made = [
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((m, d), (m,), (m, d), (d,), (m,))
    ]
    return Weights(*(tensor.requires_grad_() for tensor in made))


def test_the_sparse_products_have_the_gradients_of_the_dense_ones() -> None:
    w, x = weights(), torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    values, index = chosen(x, *w.pre, 3)
    sparse = (x - decoded(values, index, w.decoder) - w.bias).square().sum()
    pre = (x - w.bias) @ w.encoder.T + w.encoder_bias
    kept = torch.where(pre >= pre.topk(3).values[:, -1:], pre, 0.0)
    dense = (x - kept @ w.decoder - w.bias).square().sum()
    torch.testing.assert_close(sparse, dense)
    leaves = [w.encoder, w.encoder_bias, w.decoder, w.bias]
    ours, theirs = torch.autograd.grad(sparse, leaves), torch.autograd.grad(dense, leaves)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_a_threshold_moves_by_what_lies_near_it() -> None:
    pre, theta = torch.tensor([[0.99, 3.0], [1.01, -2.0]]), torch.tensor([1.0, 1.0], requires_grad=True)
    z, count = jumped(pre, theta, 0.1)
    assert z.tolist() == [[0.0, 3.0], [pytest.approx(1.01), 0.0]] and count.tolist() == [1.0, 1.0]
    (of_count,) = torch.autograd.grad(count.sum(), theta, retain_graph=True)
    assert of_count.tolist() == pytest.approx([-20.0, 0.0]), (
        "two rows lie within the kernel of the first, none of the second"
    )
    (of_sum,) = torch.autograd.grad(z.sum(), theta)
    assert of_sum.tolist() == pytest.approx([-20.0, 0.0])


def test_dead_latents_alone_learn_from_the_error_that_is_left() -> None:
    w, x = weights(), torch.randn(20, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    dead = torch.tensor([1, 7])
    lifted = replace(w, encoder_bias=torch.full((12,), 5.0, dtype=torch.float64, requires_grad=True))
    auxiliary_loss(lifted, x, x, dead).backward()
    grad = w.decoder.grad
    assert grad is not None and grad[dead].abs().sum(1).min() > 0
    assert grad[[i for i in range(12) if i not in (1, 7)]].abs().sum() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_unit_rows_and_explains_more_with_time(
    kind: str, trained: dict[str, Training]
) -> None:
    made = trained[kind]
    torch.testing.assert_close(made.dictionary.decoder.norm(dim=1), torch.ones(128))
    assert made.unexplained[-1] < made.unexplained[0] - 0.1
    assert made.dictionary.kind == kind and made.dictionary.site == "here"


@pytest.mark.parametrize("kind", ["topk", "batchtopk", "matryoshka", "multitopk"])
def test_kinds_with_a_k_have_so_many_active_on_new_rows(
    kind: str, trained: dict[str, Training], fresh: Planted, level: np.ndarray
) -> None:
    assert use(trained[kind].dictionary, fresh.x, level).l0 == pytest.approx(5, abs=0.6)


@pytest.mark.parametrize("kind", ["relu", "jumprelu"])
def test_kinds_that_are_steered_have_come_nearer_to_their_k(kind: str, trained: dict[str, Training]) -> None:
    active = trained[kind].active
    assert active[0] > 20 and active[-1] < 0.6 * active[0]


def test_a_multitopk_dictionary_gives_the_reconstruction_of_k_and_not_of_four_k(
    trained: dict[str, Training], fresh: Planted
) -> None:
    made = trained["multitopk"].dictionary
    assert ((made.encode(fresh.x) > 0).sum(1) <= 5).all()
    torch.testing.assert_close(made(fresh.x), made(fresh.x, 5))
    assert not torch.allclose(made(fresh.x), made(fresh.x, 20))


def test_the_first_latents_of_a_matryoshka_dictionary_say_the_most(
    trained: dict[str, Training], fresh: Planted
) -> None:
    def alone(made: Dictionary) -> float:
        z = made.encode(fresh.x)
        z[:, 16:] = 0
        return float((made.decode(z) - fresh.x).square().sum())

    assert alone(trained["matryoshka"].dictionary) < 0.95 * alone(trained["batchtopk"].dictionary)


def test_activations_of_another_unit_give_the_same_dictionary(
    known: Planted, recipe: Callable[..., Recipe]
) -> None:
    short = recipe("jumprelu", steps=20)
    one, other = (train(known.x * factor, short).dictionary for factor in (1, 64))
    torch.testing.assert_close(other(known.x[:50] * 64), 64 * one(known.x[:50]), rtol=1e-4, atol=1e-3)


def test_negative_latents_are_kept_with_their_sign_where_asked() -> None:
    made = Dictionary(torch.eye(3), torch.zeros(3), torch.eye(3), torch.zeros(3), "topk", 1)
    x = torch.tensor([[1.0, -2.0, 0.5]])
    assert made.encode(x).tolist() == [[1.0, 0.0, 0.0]]
    assert made.encode(x, either_sign=True).tolist() == [[0.0, -2.0, 0.0]]


def test_the_geometric_median_is_not_moved_by_what_lies_far_off() -> None:
    rows = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    far = torch.cat([rows, torch.full((20, 4), 1000.0)])
    assert geometric_median(far).norm() < 0.5 < far.mean(0).norm()


class Killed(Exception):
    """What ends a training."""


@pytest.mark.parametrize("kind", ["topk", "batchtopk", "jumprelu"])
def test_a_killed_training_goes_on_to_the_same_bytes(
    kind: str, known: Planted, tmp_path: Path, recipe: Callable[..., Recipe]
) -> None:
    rows, left = known.x[:1990], [10**9]  # a kill falls into the middle of a pass
    told = recipe(kind, steps=300, batch=64, width=64)

    def chunks() -> Iterator[Tensor]:
        for chunk in rows.split(300):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            yield chunk

    whole = train(chunks, told, folder=tmp_path / "whole")
    left[0] = 68
    with pytest.raises(Killed):
        train(chunks, told, folder=tmp_path / "killed")
    assert (tmp_path / "killed" / STATE).exists()
    left[0] = 10**9
    again = train(chunks, told, folder=tmp_path / "killed")
    assert (tmp_path / "killed" / STATE).read_bytes() == (tmp_path / "whole" / STATE).read_bytes()
    assert torch.equal(again.dictionary.encoder, whole.dictionary.encoder)
    np.testing.assert_array_equal(again.unexplained, whole.unexplained)
    with pytest.raises(ValueError, match=r"holds another training.*seed: 0 there"):
        train(chunks, recipe(kind, steps=300, batch=64, width=64, seed=1), folder=tmp_path / "killed")
    with pytest.raises(ValueError, match=r"holds another training.*other activations"):
        train(rows + 1, told, folder=tmp_path / "killed")


def test_batches_are_the_same_from_wherever_they_begin(known: Planted) -> None:
    from goalscope.methods.reading.dictionary.feed import Feed

    rows = known.x[:1000]
    for given in (rows, lambda: iter(rows.split(70)), rows.split(70)):
        feed = Feed(given, 64, 0)
        one, later = feed.batches(0), feed.batches(33)
        for _ in range(33):
            next(one)
        for _ in range(5):
            assert torch.equal(next(one), next(later))


def test_what_cannot_be_trained_is_refused_in_one_line(known: Planted, recipe: Callable[..., Recipe]) -> None:
    short = recipe(steps=5)
    for rows, words in (
        (torch.full((100, 4), 2.0), "constant"),
        (torch.zeros(0, 4), "at least 1"),
        (torch.zeros(5, 3, 8, 8), r"every square is a row"),
        (iter([]), "no activations"),
        (iter([torch.randn(300, 4)]), "end after 300 rows"),
        ([torch.randn(9, 4), torch.randn(9, 5)], "chunk 1 has 5 numbers a row, 4 before"),
        (torch.tensor([[1.0, float("nan")]]), "row 0 has a number that is not finite"),
    ):
        with pytest.raises(ValueError, match=words):
            train(rows, short)
    for wrong, words in (
        ({"k": 129}, "k must be at most the width, got k 129 of 128"),
        ({"kind": "topp"}, "no kind.*topk"),
        ({"kind": "multitopk", "k": 40}, "at most 32"),
        ({"steps": 0}, "steps"),
        ({"prefixes": (64, 32)}, "prefixes must rise"),
    ):
        with pytest.raises(ValueError, match=words):
            recipe(**wrong)


def test_a_dictionary_of_another_place_or_size_is_refused_by_both_names(trained: dict[str, Training]) -> None:
    made = trained["topk"].dictionary
    check_fits(made, "here", 32)
    with pytest.raises(ValueError, match=r"'here' \(size 32\), not of 'there' \(size 32\)"):
        check_fits(made, "there", 32)
    with pytest.raises(ValueError, match="size 32, site 'here' has 16"):
        check_fits(made, "here", 16)
    with pytest.raises(ValueError, match=r"site 'here' must be \[n, 32\], got \[4, 16\]"):
        made(torch.zeros(4, 16))
    with pytest.raises(ValueError, match="k must be from 1 to 128"):
        made.encode(torch.zeros(1, 32), 129)
