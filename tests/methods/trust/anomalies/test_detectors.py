"""Detectors of changed mechanisms, where the answer is known: by an integral, by construction, or at chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as distributions
from scipy.integrate import quad
from scipy.linalg import expm

from goalscope.methods.trust.anomalies.distances import MahalanobisFit, QuantumFit, RelativeFit, SpectralFit
from goalscope.methods.trust.anomalies.gram import GramFit
from goalscope.methods.trust.anomalies.moments import Moments
from goalscope.methods.trust.anomalies.neighbours import NeighboursFit, TrajectoryFit, rank_table
from goalscope.methods.trust.anomalies.separation import separation
from goalscope.methods.trust.anomalies.simple import NormFit, entropy, unsure, with_labels

RNG = np.random.default_rng(0)
BEGIN = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _each_test_draws_its_own():
    RNG.bit_generator.state = BEGIN


def auroc(anomalous: np.ndarray, benign: np.ndarray) -> float:
    return separation(anomalous, benign, np.arange(len(anomalous)), np.arange(len(benign))).auroc.estimate


def fitted(fit, *batches, **labels):
    for x in batches:
        fit.update(x, **labels)
    return fit.done()


def ledoit_wolf(x: np.ndarray) -> tuple[np.ndarray, float]:
    """The estimator from its definition, sample by sample."""
    y = x - x.mean(0)
    sample = y.T @ y / len(y)
    size = len(sample)
    target = np.trace(sample) / size * np.eye(size)
    noise = sum(np.square(np.outer(row, row) - sample).sum() for row in y) / len(y) ** 2
    share = min(1.0, noise / np.square(sample - target).sum())
    return (1 - share) * sample + share * target, share


def test_mean_covariance_and_shrinkage_are_those_of_the_definition_whatever_the_batches():
    x = RNG.standard_normal((300, 6)) @ RNG.standard_normal((6, 6)) + 1000
    found, share = ledoit_wolf(x)
    for parts in ([x], np.array_split(x, 7), [x[:1], x[1:]]):
        moments = Moments()
        for part in parts:
            moments.update(part)
        gaussian = moments.gaussian()
        assert gaussian.n == 300
        assert gaussian.mean == pytest.approx(x.mean(0))
        assert gaussian.shrinkage == pytest.approx(share, rel=1e-6)
        assert gaussian.covariance == pytest.approx(found, rel=1e-6, abs=1e-8)


def test_the_score_is_the_distance_by_the_shrunk_covariance():
    x = RNG.standard_normal((200, 5)) @ RNG.standard_normal((5, 5))
    new = RNG.standard_normal((20, 5))
    away = new - x.mean(0)
    wanted = np.einsum("nd,de,ne->n", away, np.linalg.inv(ledoit_wolf(x)[0]), away)
    assert fitted(MahalanobisFit(), x[:50], x[50:])(new) == pytest.approx(wanted)


def test_a_shifted_gaussian_is_found_as_often_as_the_noncentral_chi_square_says():
    size, shift = 5, 2.0
    turn = RNG.standard_normal((size, size))
    trusted, usual, strange = (RNG.standard_normal((n, size)) for n in (20000, 8000, 8000))
    strange[:, 0] += shift
    detector = fitted(MahalanobisFit(), trusted @ turn)
    found = auroc(detector(strange @ turn), detector(usual @ turn))
    wanted = quad(
        lambda s: distributions.chi2.cdf(s, size) * distributions.ncx2.pdf(s, size, shift**2), 0, 100
    )[0]
    assert 0.7 < wanted < 0.9
    assert found == pytest.approx(wanted, abs=0.012)


def two_paths(n: int, gate: bool) -> tuple[np.ndarray, np.ndarray]:
    """[N, 4] activations and [N, 2] logits of a network that computes the same by path A (units 0, 1) or B (2, 3)."""
    x = RNG.standard_normal((n, 2))
    path = np.zeros((n, 4))
    path[:, 2:] = x if gate else 0
    path[:, :2] = 0 if gate else x
    path += 0.05 * RNG.standard_normal(path.shape)
    return path, np.stack([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]], 1)


def test_another_path_to_equal_outputs_shows_inside_and_not_in_the_output():
    (trusted, _), (usual, said), (strange, said_too) = (
        two_paths(n, gate) for n, gate in ((1000, False), (1000, False), (1000, True))
    )
    for score in (unsure, entropy):
        assert auroc(score(said_too), score(said)) == pytest.approx(0.5, abs=0.04)
    for detector in (fitted(MahalanobisFit(), trusted), fitted(NeighboursFit(), trusted)):
        assert auroc(detector(strange), detector(usual)) > 0.97
    detector = fitted(RelativeFit(), trusted, label=(trusted[:, 0] > 0).astype(int))
    assert auroc(detector(strange), detector(usual)) > 0.8
    quantum = QuantumFit()
    quantum.update(trusted)
    quantum.update(np.concatenate([usual, strange[:100]]), trusted=False)
    assert auroc(quantum.done()(strange), quantum.done()(usual)) > 0.97
    assert auroc(fitted(GramFit(), trusted)(strange), fitted(GramFit(), trusted)(usual)) > 0.97


def test_quantum_entropy_is_at_chance_where_nothing_differs_and_weighs_what_the_untrusted_vary_in():
    size = 40
    scale = np.geomspace(0.3, 3, size)  # one covariance that is not whitened would drown the rest
    trusted, usual, same, strange = (RNG.standard_normal((n, size)) for n in (4000, 4000, 4000, 400))
    strange[:, 3] += 3
    detectors = {}
    for alpha in (0.0, 4.0):
        fit = QuantumFit(alpha)
        fit.update(trusted * scale)
        fit.update(np.concatenate([usual, strange]) * scale, trusted=False)
        detectors[alpha] = fit.done()
    plain = fitted(MahalanobisFit(), trusted * scale)
    for detector in (*detectors.values(), plain):
        assert auroc(detector(same * scale), detector(usual * scale)) == pytest.approx(0.5, abs=0.04)
    found = {a: auroc(d(strange * scale), d(usual * scale)) for a, d in detectors.items()}
    assert found[4.0] > found[0.0] + 0.04
    assert found[0.0] == pytest.approx(auroc(plain(strange * scale), plain(usual * scale)), abs=1e-6)


def test_quantum_scores_are_those_of_the_matrix_exponential():
    trusted, untrusted = RNG.standard_normal((500, 4)) * [1, 2, 3, 4], RNG.standard_normal((200, 4)) + 1
    fit = QuantumFit(2.0)
    fit.update(trusted)
    fit.update(untrusted, trusted=False)
    found = Moments()
    found.update(trusted)
    gaussian = found.gaussian()
    white = np.linalg.inv(np.linalg.cholesky(gaussian.covariance)).T
    x = (untrusted - gaussian.mean) @ white
    spread = x.T @ x / len(x)
    weight = expm(2.0 * spread / np.linalg.norm(spread, 2))
    wanted = np.einsum("nd,de,ne->n", x, weight, x) / np.trace(weight)
    assert fit.done()(untrusted) == pytest.approx(wanted)


def test_spectral_signatures_find_the_direction_of_a_minority():
    trusted, usual, strange = (RNG.standard_normal((n, 20)) for n in (1000, 1000, 100))
    strange[:, 7] += 6
    fit = SpectralFit()
    fit.update(trusted)
    fit.update(np.concatenate([usual, strange]), trusted=False)
    assert auroc(fit.done()(strange), fit.done()(usual)) > 0.99
    assert abs(fit.done().root[7, 0]) > 0.9


def test_relative_distance_forgets_what_is_strange_in_no_class():
    """A feature that varies alike within all classes tells nothing; one between the classes does."""
    label = RNG.integers(0, 2, 3000)
    trusted = RNG.standard_normal((3000, 2)) * [0.2, 1]
    trusted[:, 0] += np.where(label == 1, 3, -3)
    usual = trusted[:500]
    between, far = usual.copy(), usual.copy()
    between[:, 0] = 0.2 * RNG.standard_normal(500)
    far[:, 1] *= 3
    relative = fitted(RelativeFit(), trusted[500:], label=label[500:])
    plain = fitted(MahalanobisFit(), trusted[500:])
    assert auroc(relative(between), relative(usual)) > 0.99 > 0.6 > auroc(plain(between), plain(usual))
    assert auroc(relative(far), relative(usual)) < 0.6 < auroc(plain(far), plain(usual))


def test_ranks_count_trusted_samples_that_are_nearer_than_the_first_of_the_own_class():
    trusted = {"one": np.array([[0.0], [1.0], [2.0], [3.0]])}
    own = np.array([0, 1, 1, 0])
    new = {"one": np.array([[0.1], [0.1], [2.9]])}
    assert rank_table(trusted, own, new, np.array([0, 1, 1])).tolist() == [[0], [1], [1]]
    # Of themselves: the nearest other one of the class.
    assert rank_table(trusted, own, trusted, own, themselves=True).tolist() == [[2], [0], [0], [2]]


def test_a_sample_that_wanders_between_the_classes_has_strange_ranks():
    label = RNG.integers(0, 2, 1200)
    centre = np.where(label == 1, 2, -2)[:, None]
    layers = {site: centre + RNG.standard_normal((1200, 3)) for site in ("one", "two", "three")}
    fit = TrajectoryFit()
    fit.update({s: x[:800] for s, x in layers.items()}, label[:800])
    usual = {s: x[800:] for s, x in layers.items()}
    wandering = {**usual, "two": -usual["two"]}
    found = fit.done()
    assert auroc(found(wandering, label[800:]), found(usual, label[800:])) > 0.9


def test_gram_powers_see_what_goes_together_where_means_do_not():
    trusted, usual, apart = (RNG.standard_normal((400, 2, 300)) for _ in range(3))
    for x in (trusted, usual):
        x[:, 1] = x[:, 0]
    detector = fitted(GramFit(), trusted[:100], trusted[100:])
    assert auroc(detector(apart), detector(usual)) > 0.99
    assert auroc(detector(trusted), detector(usual)) == pytest.approx(0.5, abs=0.1)
    # The median of all, not a mean of the batches' medians.
    assert detector.median == pytest.approx(fitted(GramFit(), trusted).median)


def test_labels_are_a_ceiling_on_levels_that_were_not_fitted_on():
    x, level = RNG.standard_normal((1000, 30)), np.arange(1000) // 5
    strange = RNG.random(1000) < 0.3
    shifted = x + np.where(strange, 2.0, 0.0)[:, None] * np.eye(30)[4]
    found = with_labels(shifted, strange, level)
    assert auroc(found[strange], found[~strange]) > 0.85
    nothing = with_labels(x, strange, level)
    assert auroc(nothing[strange], nothing[~strange]) == pytest.approx(0.5, abs=0.06)


def test_the_norm_is_strange_on_either_side():
    trusted = RNG.standard_normal((500, 10))
    detector = fitted(NormFit(), trusted)
    for factor in (0.5, 2):
        assert auroc(detector(trusted * factor), detector(trusted)) > 0.9


@pytest.mark.parametrize("fit", [MahalanobisFit, SpectralFit, QuantumFit, NeighboursFit, GramFit, NormFit])
def test_numbers_that_are_not_finite_are_named_by_site_and_sample(fit):
    x = RNG.standard_normal((10, 3))
    made = fit(site="block 2")
    made.update(x)
    x[4, 1] = np.nan
    with pytest.raises(ValueError, match="block 2 is not finite in sample 14"):
        made.update(x)


def test_too_few_trusted_samples_are_refused():
    fit = MahalanobisFit(site="block 2")
    fit.update(RNG.standard_normal((30, 40)))
    with pytest.raises(ValueError, match="30 trusted samples of block 2 for 40 dimensions"):
        fit.done()
    with pytest.raises(ValueError, match="no samples"):
        QuantumFit().done()
    with pytest.raises(ValueError, match="2 trusted samples of activations have no neighbour of rank 5"):
        fitted(NeighboursFit(), np.ones((2, 3)))
    with pytest.raises(ValueError, match="dimensions, those before had 40"):
        fit.update(np.ones((3, 4)))
    with pytest.raises(ValueError, match="the same"):
        fitted(MahalanobisFit(), np.ones((9, 2)))
    with pytest.raises(ValueError, match="no samples of untrusted"):
        fitted(SpectralFit(), RNG.standard_normal((9, 2)))
