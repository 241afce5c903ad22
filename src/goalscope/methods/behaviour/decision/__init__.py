"""What decides P(cheese): a regression that shows its collinearity instead of hiding it.

The response of a level is a probability, not a coin toss (an exact reach probability), so the model is the
fractional logit (Papke and Wooldridge 1996, "Econometric methods for fractional response variables"):
E[response] = sigmoid(intercept + sum of coefficient times standardised feature), fitted by the Bernoulli
quasi-likelihood. With correlated features one such fit says little about any single one of them. So beside
each coefficient stand: its interval over resampled levels, its variance inflation factor, the sign that it
has beside every subset of the other features, its effect alone, and what the whole model predicts of
held-out levels.

Features may even determine each other: in a tree, the steps from the cheese to the corner *are* the steps
from the cheese to the decision square plus those from there to the corner. No data can tell the three
coefficients apart, so each of them is reported as unidentified, with an interval from -inf to inf and an
infinite variance inflation factor; the others, and the predictions, are not touched by it.

What is itself an outcome of the choice (the probability of the moves towards the cheese, say) must not stand among the
features: a feature that works through it then loses its effect, and may get the other sign, since among levels of
equal mediator only those differ in the feature that differ in other things too (Rosenbaum 1984, "The consequences of
adjustment for a concomitant variable that has been affected by the treatment"). `conditioned` fits such a model, apart
from the main one and under names that say so. All fits of a kind are solved at once, in `newton.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goalscope.methods.behaviour.decision.newton import fit_many, sigmoid
from goalscope.showing import drawing, text
from goalscope.stats import (
    Estimate,
    bootstrap_difference,
    bootstrap_mean,
    percentile_interval,
    resample_counts,
)

MAX_FEATURES = 12

_RANK_TOLERANCE = 1e-7  # of the singular values of the standardised features


@dataclass(frozen=True)
class DecisionRegression:
    """The regression of a response in 0..1 on P features of N levels. Coefficients are log-odds per SD."""

    __repr__, _repr_html_ = text, drawing

    names: tuple[str, ...]
    """[P] the features"""
    coefficients: tuple[Estimate, ...]
    """[P] in the model of all features, 95% intervals over resampled training levels; -inf to inf where
    unidentified (the estimate is then the least of the equally good solutions)"""
    identified: np.ndarray
    """[P] bool, False where the feature is part of an exact linear relation among the features"""
    intercept: Estimate
    """log-odds of a level whose features are all average"""
    alone: tuple[Estimate, ...]
    """[P] coefficient in the model of this feature alone"""
    vif: np.ndarray
    """[P] variance inflation factors; 1 is uncorrelated with the others"""
    correlation: np.ndarray
    """[P, P] correlations of the features on the training levels"""
    sign_stability: np.ndarray
    """[P] share of the 2^(P-1) subsets of the other features beside which the coefficient has its commoner
    sign: 1 never flips, 1/2 is a coin toss. Subsets beside which it is not identified are left out, here and
    below"""
    positive_share: np.ndarray
    """[P] share of those subsets beside which the coefficient is above 0"""
    subset_low: np.ndarray
    """[P] least coefficient over those subsets"""
    subset_high: np.ndarray
    """[P] greatest coefficient over those subsets"""
    log_loss: Estimate
    """held out, nats a level: -(y log p + (1 - y) log(1 - p))"""
    base_log_loss: Estimate
    """the same of the mean response of the training levels, predicted everywhere"""
    log_loss_gain: Estimate
    """base minus model on the same levels: above 0 where the features help"""
    accuracy: Estimate
    """held out: the chance that the outcome which the model holds for more likely happens (y or 1 - y; 1/2
    where p = 1/2)"""
    base_accuracy: Estimate
    """the same of the outcome that is more likely on average over the training levels"""
    accuracy_gain: Estimate
    """model minus base on the same levels"""
    best_accuracy: float
    """the same of an oracle that knows each y: mean of max(y, 1 - y), the ceiling"""
    prediction: np.ndarray
    """[N] p of every level, training levels included"""
    mean: np.ndarray
    """[P] of the features on the training levels, subtracted before the fit"""
    scale: np.ndarray
    """[P] standard deviations of the features on the training levels, divided by before the fit"""


def fractional_logit(
    features: np.ndarray,
    response: np.ndarray,
    names: Sequence[str],
    *,
    train: np.ndarray,
    seed: int = 0,
    resamples: int = 1000,
) -> DecisionRegression:
    """Fit on the training levels, judge on the others.

    Args:
        features: [N, P] one row a level.
        response: [N] in 0..1.
        names: [P] of the features, in the order of the columns.
        train: [N] bool, the levels to fit on; the others are held out.
        seed: seed of the resampling.
        resamples: number of resamples of the training levels.

    Raises:
        ValueError: shapes that do not fit, NaN, a response outside 0..1, repeated names, more than 12
            features (the subsets double with each), no held-out levels, not more training levels than
            coefficients, a feature that is constant on the training levels (named).
    """
    fit = _fitted(features, response, names, train, seed, resamples)
    design, target, counts = fit.design, fit.target, fit.counts
    width = design.shape[1]
    subsets = np.arange(2**width)[:, None] >> np.arange(width) & 1 == 1
    known = subsets & _identified(design, subsets)
    fits = np.where(known, fit_many(design, target, subsets)[:, 1:], np.nan)
    positive = np.nanmean(np.where(known, fits > 0, np.nan), axis=0)
    held_out = ~np.asarray(train)
    return DecisionRegression(
        names=tuple(names),
        coefficients=fit.estimates[1:],
        identified=fit.identified,
        intercept=fit.estimates[0],
        alone=tuple(_alone(design[:, [column]], target, counts) for column in range(width)),
        vif=vif(design),
        correlation=np.corrcoef(design, rowvar=False).reshape(width, width),
        sign_stability=np.maximum(positive, 1 - positive),
        positive_share=positive,
        subset_low=np.nanmin(fits, axis=0),
        subset_high=np.nanmax(fits, axis=0),
        **_held_out(
            fit.prediction[held_out], np.asarray(response, float)[held_out], float(target.mean()), seed
        ),
        prediction=fit.prediction,
        mean=fit.mean,
        scale=fit.scale,
    )


@dataclass(frozen=True)
class _Fitted:
    """The model of all features on the n training levels."""

    design: np.ndarray
    """[n, P] standardised features"""
    target: np.ndarray
    """[n] response"""
    counts: np.ndarray
    """[B, n] how often each level is in each resample"""
    estimates: tuple[Estimate, ...]
    """[1 + P] intercept first"""
    identified: np.ndarray
    """[P] bool"""
    prediction: np.ndarray
    """[N] of every level"""
    mean: np.ndarray
    """[P]"""
    scale: np.ndarray
    """[P]"""


def _fitted(
    features: np.ndarray, response: np.ndarray, names: Sequence[str], train: np.ndarray, seed: int, resamples: int
) -> _Fitted:  # fmt: skip
    """Coefficients and their intervals; raises as `fractional_logit`."""
    features, response, train = _checked(features, response, names, train)
    mean, scale = features[train].mean(axis=0), features[train].std(axis=0)
    _check_constant(features[train], names)
    standard = (features - mean) / scale
    design, target = standard[train], response[train]
    count, width = design.shape
    everything = np.ones((1, width), bool)
    full = fit_many(design, target, everything)[0]
    counts = resample_counts(count, resamples=resamples, seed=seed)
    replicates = fit_many(design, target, np.repeat(everything, resamples, axis=0), counts, start=full)
    low, high = percentile_interval(replicates)
    identified = _identified(design, everything)[0]
    low[1:], high[1:] = np.where(identified, low[1:], -np.inf), np.where(identified, high[1:], np.inf)
    estimates = [Estimate(float(full[i]), float(low[i]), float(high[i]), count) for i in range(width + 1)]
    prediction = sigmoid(full[0] + standard @ full[1:])
    return _Fitted(design, target, counts, tuple(estimates), identified, prediction, mean, scale)


@dataclass(frozen=True)
class Conditioned:
    """What is left of each feature where a mediator stays the same. These are not effects of the features."""

    __repr__, _repr_html_ = text, drawing

    mediator: str
    """what the features work through: it comes after the choice or is part of it"""
    names: tuple[str, ...]
    """[P] the features, without the mediator"""
    coefficients: tuple[Estimate, ...]
    """[P] beside all other features and the mediator, log-odds per SD, as in `DecisionRegression`"""
    of_mediator: Estimate
    """its own coefficient"""
    flipped: tuple[str, ...]
    """features whose interval lies on one side of 0 without the mediator and on the other side with it"""


def conditioned(
    main: DecisionRegression,
    features: np.ndarray,
    response: np.ndarray,
    mediator: np.ndarray,
    name: str,
    *,
    train: np.ndarray,
    seed: int = 0,
    resamples: int = 1000,
) -> Conditioned:
    """The model of `main` with a mediator beside the features, to be reported beside it and never in its place.

    Args:
        main: the regression on the features alone, whose coefficients are what the features do by whatever way.
        features: [N, P] as there.
        response: [N] as there.
        mediator: [N] what they work through.
        name: what it is called.
        train: [N] bool, as there.
        seed: seed of the resampling.
        resamples: number of resamples of the training levels.

    Raises:
        ValueError: as `fractional_logit`; a mediator that is not [N] or has the name of a feature.
    """
    mediator = np.asarray(mediator, dtype=np.float64)
    if mediator.shape != np.shape(response):
        raise ValueError(
            f"the mediator must be [N] like the response {np.shape(response)}, got {mediator.shape}"
        )
    both = np.column_stack([features, mediator])
    # Not the whole regression: how its coefficients fare beside subsets says nothing where a mediator is one of them.
    *kept, of_mediator = _fitted(both, response, [*main.names, name], train, seed, resamples).estimates[1:]
    flipped = (
        feature
        for feature, before, after in zip(main.names, main.coefficients, kept, strict=True)
        if before.high < 0 < after.low or after.high < 0 < before.low
    )
    return Conditioned(name, main.names, tuple(kept), of_mediator, tuple(flipped))


def vif(features: np.ndarray) -> np.ndarray:
    """Variance inflation factors [P] of features [N, P]: 1 / (1 - R²) of each on the others and a constant.

    They are the diagonal of the inverse correlation matrix (Marquardt 1970, "Generalized inverses, ridge
    regression, biased linear estimation, and nonlinear estimation", section 5); inf for features that are
    part of an exact linear relation.

    Raises:
        ValueError: a constant feature.
    """
    features = np.asarray(features, dtype=np.float64)
    width = features.shape[1]
    _check_constant(features, [f"column {i}" for i in range(width)])
    correlation = np.corrcoef(features, rowvar=False).reshape(width, width)
    # Where a feature is outside every exact relation, the pseudo-inverse has the entry of an inverse.
    factors = np.diag(np.linalg.pinv(correlation, rcond=1e-13, hermitian=True))
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    return np.where(_identified(standard, np.ones((1, width), bool))[0], factors, np.inf)


def _checked(
    features: np.ndarray, response: np.ndarray, names: Sequence[str], train: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    features, response = np.asarray(features, dtype=np.float64), np.asarray(response, dtype=np.float64)
    train = np.asarray(train)
    if features.ndim != 2 or response.shape != features.shape[:1] or train.shape != response.shape:
        raise ValueError(
            "expected features [N, P], response [N] and train [N], "
            f"got {features.shape}, {response.shape} and {train.shape}"
        )
    width = features.shape[1]
    if train.dtype != bool:
        raise ValueError(f"train must be bool [N], got {train.dtype}")
    if len(names) != width or len(set(names)) != width:
        raise ValueError(f"{width} features need as many different names, got {list(names)}")
    if not 1 <= width <= MAX_FEATURES:
        raise ValueError(f"{width} features: between 1 and {MAX_FEATURES} can be fitted beside all subsets")
    if not np.isfinite(features).all():
        row, column = np.argwhere(~np.isfinite(features))[0]
        raise ValueError(
            f"feature {names[column]!r} is {features[row, column]} in row {row}: leave such levels out"
        )
    if not ((response >= 0) & (response <= 1)).all():
        row = int(np.flatnonzero(~((response >= 0) & (response <= 1)))[0])
        raise ValueError(f"response must lie in 0..1, got {response[row]} in row {row}")
    if train.all():
        raise ValueError("train holds every level: leave some out to judge the model on")
    if train.sum() <= width + 1:
        raise ValueError(
            f"{int(train.sum())} training levels are too few for {width} features and an intercept"
        )
    return features, response, train


def _check_constant(features: np.ndarray, names: Sequence[str]) -> None:
    constant = features.std(axis=0) <= 1e-12 * np.maximum(1.0, np.abs(features).max(axis=0, initial=0))
    if constant.any():
        listed = ", ".join(repr(name) for name, flat in zip(names, constant, strict=True) if flat)
        raise ValueError(f"constant on the training levels: {listed}. Leave it out")


def _identified(standard: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """[B, P] bool: which coefficients the model of each subset [B, P] of standardised features determines.

    A coefficient is undetermined where a null vector of the chosen columns, that is a null vector of all
    columns that vanishes outside the chosen ones, has an entry at it.
    """
    _, singular, directions = np.linalg.svd(standard, full_matrices=False)
    null = directions[singular < _RANK_TOLERANCE * singular[0]].T  # [P, D]
    if null.shape[1] == 0:
        return np.ones(chosen.shape, bool)
    outside = np.where(chosen[:, :, None], 0.0, null)  # [B, P, D]
    vanishing = np.eye(null.shape[1]) - np.linalg.pinv(outside, rcond=1e-6) @ outside  # [B, D, D] projections
    return np.linalg.norm(null @ vanishing, axis=2) < 1e-6


def _alone(column: np.ndarray, target: np.ndarray, counts: np.ndarray) -> Estimate:
    chosen = np.ones((1, 1), bool)
    fit = fit_many(column, target, chosen)[0]
    # Levels of one value are one level of their mean response: distances take few values, and there are many resamples.
    values, place = np.unique(column[:, 0], return_inverse=True)
    of_value = (place[:, None] == np.arange(len(values))).astype(np.float64)
    times, total = counts @ of_value, (counts * target) @ of_value
    response = total / np.maximum(times, 1)
    replicates = fit_many(values[:, None], response, np.repeat(chosen, len(counts), axis=0), times, start=fit)
    low, high = percentile_interval(replicates[:, 1])
    return Estimate(float(fit[1]), float(low), float(high), len(target))


def _held_out(prediction: np.ndarray, response: np.ndarray, base: float, seed: int) -> dict:
    def loss(p: np.ndarray | float) -> np.ndarray:
        p = np.clip(p, 1e-12, 1 - 1e-12)
        return -(response * np.log(p) + (1 - response) * np.log(1 - p))

    def right(p: np.ndarray | float) -> np.ndarray:
        return np.where(p == 0.5, 0.5, np.where(np.asarray(p) > 0.5, response, 1 - response))

    share, gain = (0.0, 1.0), (-1.0, 1.0)
    return {
        "log_loss": bootstrap_mean(loss(prediction), seed=seed),
        "base_log_loss": bootstrap_mean(loss(base), seed=seed),
        "log_loss_gain": bootstrap_difference(loss(base), loss(prediction), seed=seed),
        "accuracy": bootstrap_mean(right(prediction), bounds=share, seed=seed),
        "base_accuracy": bootstrap_mean(right(base), bounds=share, seed=seed),
        "accuracy_gain": bootstrap_difference(right(prediction), right(base), bounds=gain, seed=seed),
        "best_accuracy": float(np.maximum(response, 1 - response).mean()),
    }
