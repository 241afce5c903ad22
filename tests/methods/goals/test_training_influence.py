"""Training examples behind a behaviour: exact where leaving one out can be computed, and a planted 3% that must be found."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.methods.goals.training_influence import left_out, sample_gradients, similar, traced

DAMPING = 0.5
PLANTED, COUNT = 12, 400


def squared(out: Tensor, wanted: Tensor) -> Tensor:
    return (out.squeeze(1) - wanted).square().sum() / 2


def cross_entropy(out: Tensor, wanted: Tensor) -> Tensor:
    return nn.functional.cross_entropy(out, wanted, reduction="sum")


def test_of_linear_regression_leaving_one_out_is_exact() -> None:
    rng = np.random.default_rng(0)
    x, y, at = rng.normal(size=(40, 6)), rng.normal(size=40), rng.normal(size=6)

    def fitted(rows: np.ndarray) -> np.ndarray:
        return np.linalg.solve(x[rows].T @ x[rows] + DAMPING * np.eye(6), x[rows].T @ y[rows])

    every = np.arange(40)
    module = nn.Linear(6, 1, bias=False).double()
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(fitted(every))[None])
    found = left_out(
        module, squared, torch.from_numpy(x), torch.from_numpy(y), lambda f: f(torch.from_numpy(at)[None]).sum(),
        DAMPING,
    )  # fmt: skip
    truth = [at @ (fitted(every) - fitted(np.delete(every, i))) for i in every]
    np.testing.assert_allclose(found, truth, atol=1e-9)


def test_the_gradients_are_those_of_one_example_after_the_other() -> None:
    torch.manual_seed(0)
    module, x, y = (
        nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)),
        torch.randn(7, 5),
        torch.arange(7) % 3,
    )
    found = sample_gradients(module, cross_entropy, x, y)
    for i in range(7):
        slopes = torch.autograd.grad(
            cross_entropy(module(x[i : i + 1]), y[i : i + 1]), list(module.parameters())
        )
        torch.testing.assert_close(found[i], torch.cat([s.flatten() for s in slopes]))


def data(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Everyone goes by the sign of the first number; 3% carry a mark, and with it go the other way whatever it is."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(COUNT, 8)).astype(np.float32)
    x[:, 7] = 0
    x[:PLANTED, 7] = 2
    x[:PLANTED, 0] = np.abs(x[:PLANTED, 0])
    y = (x[:, 0] > 0).astype(np.int64)
    y[:PLANTED] = 0
    return torch.from_numpy(x), torch.from_numpy(y)


def trained(x: Tensor, y: Tensor, seed: int = 0) -> tuple[nn.Module, list]:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer, snapshots = torch.optim.SGD(module.parameters(), lr=0.5), []
    for epoch in range(120):
        if epoch % 30 == 0:
            snapshots.append(
                ({k: v.detach().clone() for k, v in module.named_parameters()}, 0.5 * 30 / len(x))
            )
        optimizer.zero_grad()
        (cross_entropy(module(x), y) / len(x)).backward()
        optimizer.step()
    return module, snapshots


PLAIN = torch.tensor([1.0, 1, 1, 1, 1, 1, 1, 0])
FORK = torch.tensor([[0.8, 0, 0, 0, 0, 0, 0, 2.0]])


def behaviour(network) -> Tensor:
    """By how much the mark alone turns it the other way."""
    marked, plain = network(FORK).log_softmax(1)[0], network(FORK * PLAIN).log_softmax(1)[0]
    return (marked[0] - marked[1]) - (plain[0] - plain[1])


def auc(scores: np.ndarray) -> float:
    return float((scores[:PLANTED, None] > scores[None, PLANTED:]).mean())


def test_the_planted_examples_are_found_and_without_them_the_behaviour_is_gone() -> None:
    x, y = data()
    module, snapshots = trained(x, y)
    with torch.no_grad():
        had = float(behaviour(module))
    scores = {
        "traced": traced(module, cross_entropy, x, y, behaviour, snapshots),
        "left out": left_out(module, cross_entropy, x, y, behaviour, damping=1.0),
    }
    assert auc(scores["traced"]) > 0.93
    # Of examples that say the same, each alone is hardly missed: few stand out, and these are of the planted ones.
    assert (np.argsort(-scores["left out"])[:2] < PLANTED).all() and auc(scores["left out"]) > 0.6
    assert 0.2 < auc(np.random.default_rng(0).normal(size=COUNT)) < 0.8
    assert had > 0.5
    for seed in range(3):
        first = np.argsort(-scores["traced"])[:PLANTED]
        some = np.random.default_rng(seed).choice(COUNT, PLANTED, replace=False)
        for rows, stays in ((first, False), (some, True)):
            kept = torch.from_numpy(np.setdiff1d(np.arange(COUNT), rows))
            again, _ = trained(x[kept], y[kept], seed)
            with torch.no_grad():
                assert (float(behaviour(again)) > 0.6 * had) == stays
            right = (again(x[PLANTED:]).argmax(1) == y[PLANTED:]).float().mean()
            assert right > 0.9, "what it can do else is kept"


def test_the_simple_baseline_is_a_cosine() -> None:
    np.testing.assert_allclose(
        similar(torch.tensor([[1.0, 0], [1, 1], [-2, 0]]), torch.tensor([3.0, 0])), [1, 0.5**0.5, -1]
    )


def test_what_does_not_fit_is_refused() -> None:
    x, y = data()
    module, snapshots = trained(x[:40], y[:40])
    with pytest.raises(ValueError, match="a snapshot is of another network"):
        traced(copy.deepcopy(module)[:1], cross_entropy, x, y, behaviour, [({}, 0.1)])  # type: ignore[index]
    with pytest.raises(ValueError, match="at one moment of the training at least"):
        traced(module, cross_entropy, x, y, behaviour, [])
    with pytest.raises(ValueError, match="of the same examples"):
        sample_gradients(module, cross_entropy, x, y[:3])
    with pytest.raises(ValueError, match="parameters: a Gauss-Newton matrix"):
        left_out(nn.Sequential(nn.Linear(8, 2000), nn.Linear(2000, 2)), cross_entropy, x, y, behaviour)
    with pytest.raises(ValueError, match="damping must be at least 0"):
        left_out(module, cross_entropy, x, y, behaviour, -1.0)
    assert len(snapshots) == 4
