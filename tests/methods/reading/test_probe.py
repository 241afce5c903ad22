"""Probes: a planted direction is read at its Bayes accuracy, nothing is read where nothing is, leaks do not help."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import norm
from torch import Tensor

from goalscope.methods.reading.probe import fit_probe, map_rows, probe


def planted(rows: int, width: int, strength: float, seed: int, per_level: int = 5):
    """Two classes at +-strength along a direction, in noise with unequal scales: Bayes accuracy Phi(strength)."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.nn.functional.normalize(torch.randn(width, generator=generator), dim=0)
    scales = torch.logspace(-1, 1, width)
    y = torch.randint(0, 2, (rows,), generator=generator)
    x = torch.randn(rows, width, generator=generator) + strength * (2 * y - 1)[:, None] * direction
    return x * scales + 7, y, np.arange(rows) // per_level, direction / scales


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_planted_direction_is_read_at_its_bayes_accuracy(strength):
    x, y, level, truth = planted(8000, 12, strength, seed=int(10 * strength))
    result = probe(x, y, level, observation=None, untrained=None)
    assert result.scores.score.low <= norm.cdf(strength) <= result.scores.score.high
    assert result.scores.score.estimate == pytest.approx(norm.cdf(strength), abs=0.03)
    # The read-out of these classes is 2 strength truth, in the space of the raw activations.
    found = (result.directions[1] - result.directions[0]).float()
    assert torch.cosine_similarity(found, truth, dim=0) > 0.97
    assert found.norm() == pytest.approx(float(2 * strength * truth.norm()), rel=0.2)
    assert result.selectivity.low > 0 and result.constant.gain.low > 0
    assert result.scores.macro_f1 is not None
    assert result.scores.macro_f1.estimate == pytest.approx(norm.cdf(strength), abs=0.03)


def test_nothing_planted_is_chance():
    gains = []
    for seed in range(12):
        x, y, level, _ = planted(1200, 20, 0.0, seed)
        result = probe(x, y, level, observation=None, untrained=None, seed=seed)
        gains.append(result.constant.gain)
        assert result.scores.score.low < 0.5 < result.scores.score.high
        assert not result.selectivity.excludes(0)
    assert abs(np.mean([g.estimate for g in gains])) < 0.02
    assert sum(g.excludes(0) for g in gains) <= 2


def test_controls_read_what_they_hold():
    x, y, level, _ = planted(3000, 8, 1.5, seed=1)
    blind = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    as_good = x.flip(1) * 3
    result = probe(x, y, level, observation=as_good, untrained=blind)
    assert result.observation is not None and result.untrained is not None
    assert (
        result.observation.gain.estimate == pytest.approx(0, abs=0.005)
        and not result.observation.gain.low > 0
    )
    assert result.untrained.gain.low > 0.3 and result.untrained.scores.score.estimate < 0.55
    assert result.untrained.f1_gain is not None and result.untrained.f1_gain.low > 0.3


def fingerprints(levels: int, per_level: int, seed: int) -> tuple[Tensor, np.ndarray]:
    """Activations that identify their level and hold nothing else."""
    generator = torch.Generator().manual_seed(seed)
    level = np.arange(levels * per_level) // per_level
    code = torch.randn(levels, 200, generator=generator)
    return code[level] + 0.05 * torch.randn(len(level), 200, generator=generator), level


def test_labels_that_leak_by_level_do_not_help_and_memory_is_shown():
    x, level = fingerprints(120, 10, seed=3)
    # Known from the level alone, and from nothing else.
    y = np.random.default_rng(4).integers(0, 2, 120)[level]
    result = probe(x, y, level, observation=None, untrained=None)
    score = result.scores.score
    assert abs(score.estimate - 0.5) < 0.2 and score.low < 0.5 < score.high
    assert not result.selectivity.excludes(0)
    assert result.memorised > 0.95  # it could learn random labels by heart
    assert min(result.probe.fold_loss.values()) > 0.6  # inner folds keep levels together too: chance is log 2
    # The same data with levels torn apart would have looked like a success.
    torn = fit_probe(x[::2], y[::2], level[::2], penalty=1e-3)
    assert (torn.predict(x[1::2]) == y[1::2]).mean() > 0.95
    small = probe(x[:, :2], y, level, observation=None, untrained=None)
    assert small.memorised < 0.75


def test_rare_classes_show_in_macro_f1():
    generator = torch.Generator().manual_seed(5)
    y = (torch.rand(6000, generator=generator) < 0.05).long()  # "never" dominates
    x = torch.randn(6000, 6, generator=generator) + 0.3 * y[:, None]
    result = probe(x, y, np.arange(6000) // 10, observation=None, untrained=None)
    assert result.scores.score.estimate > 0.94 and result.constant.gain.estimate == pytest.approx(0, abs=0.01)
    assert result.scores.macro_f1 is not None and result.scores.macro_f1.estimate < 0.6
    hits = np.array([[50, 10], [20, 20]])  # F1 by hand, on guesses that a fixed probe makes
    actual = np.repeat([0, 0, 1, 1], hits.ravel())
    said = np.repeat([0, 1, 0, 1], hits.ravel())
    # The training levels hold a third class as well, which no held-out row is or is taken for: it counts for nothing.
    taught = np.concatenate([said, np.full(20, 2)])
    read = torch.from_numpy(np.eye(3)[np.concatenate([taught, said])])
    train = np.arange(220) < 120
    twice = probe(
        read,
        np.concatenate([taught, actual]),
        np.arange(220) // 2,
        observation=None,
        untrained=None,
        train=train,
    )
    assert twice.scores.score.estimate == pytest.approx(0.7)
    assert twice.scores.macro_f1 is not None
    assert twice.scores.macro_f1.estimate == pytest.approx((100 / 130 + 40 / 70) / 2)


def test_many_classes_are_fitted_to_the_optimum():
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(400, 9, generator=generator).double() * torch.logspace(-2, 2, 9)
    y = (x / torch.logspace(-2, 2, 9))[:, :4].argmax(1)
    y[::3] = torch.randint(0, 4, (len(y[::3]),), generator=generator)
    penalty = 0.01
    found = fit_probe(x, y, np.arange(400), penalty=penalty)
    standard = ((x - x.mean(0)) / x.std(0, correction=0)).numpy()

    def objective(flat):
        w, b = flat[:36].reshape(4, 9), flat[36:]
        logits = torch.from_numpy(standard @ w.T + b).log_softmax(1)
        return -logits[torch.arange(400), y].mean().item() + penalty / 2 * np.square(w).sum()

    theirs = minimize(objective, np.zeros(40), method="BFGS", options=dict(gtol=1e-5))
    ours = (found.directions * x.std(0, correction=0)).numpy()
    at_ours = objective(np.concatenate([ours.ravel(), (found.bias + found.directions @ x.mean(0)).numpy()]))
    assert at_ours <= theirs.fun + 1e-8
    assert np.allclose(ours, theirs.x[:36].reshape(4, 9), atol=1e-3)
    assert torch.allclose(found(x).exp().sum(1), torch.ones(400).double())
    assert np.abs(found.directions.sum(0).numpy()).max() < 1e-4 * np.abs(found.directions.numpy()).max()


def test_more_directions_than_rows_is_the_same_fit():
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(60, 200, generator=generator).double()
    y = (x[:, 0] > 0).long()
    wide = fit_probe(x, y, np.arange(60), penalty=0.1)
    standard = (x - x.mean(0)) / x.std(0, correction=0)
    slope = (wide(x).exp() - torch.nn.functional.one_hot(y)).T @ standard / 60
    weights = wide.directions * x.std(0, correction=0)
    assert (
        slope + 0.1 * weights
    ).abs().max() < 1e-5  # the gradient of loss and penalty in all 200 directions
    with pytest.raises(ValueError, match="200 directions and 60 rows"):
        fit_probe(x, y, np.arange(60), penalty=0.0)


def test_ridge_is_the_closed_form_and_reads_row_and_column():
    generator = torch.Generator().manual_seed(8)
    square = torch.randint(0, 13, (3000, 2), generator=generator).double()
    mix = torch.randn(2, 16, generator=generator).double()
    x = square @ mix + 5 * torch.randn(3000, 16, generator=generator)
    level = np.arange(3000) // 3
    result = probe(
        x, square, level, observation=None, untrained=torch.randn(3000, 4, generator=generator), kind="ridge"
    )
    train, fit = torch.from_numpy(result.train), result.probe
    inside = x[train]
    standard = (inside - inside.mean(0)) / inside.std(0, correction=0)
    gram = standard.T @ standard / len(inside) + fit.penalty * torch.eye(16)
    moved = square[train] - square[train].mean(0)
    closed = torch.linalg.solve(gram, standard.T @ moved / len(inside))
    assert torch.allclose(fit.directions * inside.std(0, correction=0), closed.T, atol=1e-8)
    held, guess = square[~train], fit(x[~train])
    r2 = 1 - ((held - guess) ** 2).sum(0) / ((held - held.mean(0)) ** 2).sum(0)
    assert result.scores.score.estimate == pytest.approx(float(r2.mean()))
    assert result.scores.score.low > 0.3 and result.scores.macro_f1 is None
    assert result.scores.loss.estimate == pytest.approx(float(((held - guess) ** 2).mean()))
    assert result.constant.scores.score.estimate == pytest.approx(0, abs=0.01)
    assert result.untrained is not None and result.untrained.scores.score.estimate < 0.02
    assert result.selectivity.low > 0.3


def test_penalties_are_chosen_on_training_levels_alone():
    x, y, level, _ = planted(600, 40, 0.6, seed=9)
    train = level % 3 != 0
    first = probe(x, y, level, observation=None, untrained=None, train=train)
    assert len(first.probe.fold_loss) > 1
    assert first.probe.penalty == min(first.probe.fold_loss, key=lambda p: first.probe.fold_loss[p])
    spoiled, turned = x.clone(), y.clone()
    spoiled[~train] = 99 * torch.randn(int((~train).sum()), 40)
    turned[~train] = 1 - turned[~train]
    second = probe(spoiled, turned, level, observation=None, untrained=None, train=train)
    assert torch.equal(first.directions, second.directions) and first.probe.penalty == second.probe.penalty
    assert first.probe.fold_loss == second.probe.fold_loss


def test_units_of_the_activations_do_not_matter():
    x, y, level, _ = planted(500, 6, 1.0, seed=10)
    factors = torch.logspace(-2, 2, 6)
    one = probe(x, y, level, observation=None, untrained=None, penalty=0.1)
    other = probe(x * factors - 40, y, level, observation=None, untrained=None, penalty=0.1)
    assert torch.allclose(one.directions, other.directions * factors, rtol=1e-3, atol=1e-4)
    assert torch.allclose(one(x), other(x * factors - 40), atol=1e-3)


def test_a_channel_that_never_varies_gets_no_weight():
    x, y, level, _ = planted(500, 6, 1.0, seed=11)
    x[:, 3] = 12.3
    assert (probe(x, y, level, observation=None, untrained=None).directions[:, 3] == 0).all()


def test_maps_are_read_square_by_square():
    generator = torch.Generator().manual_seed(12)
    maps = torch.randn(40, 5, 3, 4, generator=generator)
    label = (maps[:, 2] > 0).long()
    mask = torch.rand(40, 3, 4, generator=generator) < 0.7
    rows, level = map_rows(maps, np.arange(40) + 100, mask)
    assert rows.shape == (int(mask.sum()), 5) and level.min() == 100
    assert torch.equal(rows[:, 2] > 0, label[mask] > 0)
    result = probe(rows, label[mask], level, observation=None, untrained=None, penalty=1e-3)
    assert result.scores.score.estimate > 0.95
    out = result.probe.maps(maps)
    assert out.shape == (40, 2, 3, 4)
    assert torch.allclose(out.movedim(1, -1)[mask], result(rows))
    everything, _ = map_rows(maps, np.arange(40))
    assert torch.equal(everything[:, 2], maps[:, 2].flatten())
    with pytest.raises(ValueError, match=r"maps \[N, C, H, W\]"):
        map_rows(maps, np.arange(39))
    with pytest.raises(ValueError, match="keep a square"):
        map_rows(maps, np.arange(40), torch.zeros(40, 3, 4, dtype=torch.bool))


def test_same_seed_same_report():
    x, y, level, _ = planted(400, 5, 1.0, seed=13)
    one, other = (probe(x, y, level, observation=x, untrained=None, seed=5) for _ in range(2))
    assert one.scores == other.scores and one.random_labels == other.random_labels
    assert torch.equal(one.directions, other.directions)


X, Y, LEVEL, _ = planted(60, 4, 1.0, seed=14)
SPLIT = np.arange(60) < 40


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (dict(x=X[:50]), r"x must be \[M, D\] with M = 60"),
        (dict(x=X[:, :, None, None]), "map_rows"),
        (dict(x=X[:, :0]), r"x is \(60, 0\): there is nothing to read"),
        (dict(untrained=X[:, :0]), r"untrained is \(60, 0\): there is nothing"),
        (dict(x=torch.where(torch.eye(60, 4) == 1, torch.nan, X)), r"x\[0, 0\] is nan"),
        (dict(observation=X[:3]), "observation must be"),
        (dict(untrained=torch.where(torch.eye(60, 4) == 1, torch.inf, X)), r"untrained\[0, 0\] is inf"),
        (dict(y=Y.float()), "integer labels"),
        (dict(y=torch.zeros(60, dtype=torch.long)), "one class only"),
        (dict(y=torch.arange(60) // 40, train=SPLIT), "one class only"),
        (dict(y=torch.arange(60) // 20, train=SPLIT), r"classes \[2\] are on held-out levels only"),
        (dict(y=torch.full((60,), torch.nan), kind="ridge"), "y is not finite in row 0"),
        (dict(y=torch.ones(60), kind="ridge"), "target 0 is constant"),
        (dict(kind="lasso"), "'logistic' or 'ridge'"),
        (dict(level=np.zeros(60, int)), "need training levels"),
        (dict(level=np.arange(60) // 7 / 1.0), "integer level"),
        (dict(train=np.arange(60) % 2 == 0), r"level 0 has rows on both sides of the split \(12 levels do\)"),
        (dict(train=np.ones(60, bool)), "need training levels and two held-out ones, got 12 and 0"),
        (dict(penalty=-1.0), "at least 0"),
        (dict(folds=1), "pass one"),
    ],
)
def test_errors_say_what_is_wrong(change, match):
    arguments = dict(x=X, y=Y, level=LEVEL, observation=None, untrained=None) | change
    with pytest.raises(ValueError, match=match):
        probe(**arguments)


def test_a_probe_reads_its_own_width_only():
    with pytest.raises(ValueError, match=r"reads \[\.\., 4\], got \(60, 3\)"):
        fit_probe(X, Y, LEVEL)(X[:, :3])
