"""Contrast-consistent search, and everything simple that reads the same pairs: is it truth that was found?

Each pair holds two inputs of which exactly one has the property (a statement and its denial). The search looks, without
labels, for a probe p whose answers fit together and are sure: (p⁺ + p⁻ - 1)² + min(p⁺, p⁻)² (Burns et al. 2023, "Discovering
latent knowledge in language models without supervision"). That does not say which property: any feature that differs
within the pairs gives a probe of loss 0, so the most prominent one wins (Farquhar et al. 2023, "Challenges with
unsupervised LLM knowledge discovery"). Hence beside it, on the same held-out pairs: the first principal component of the
differences, two clusters of them, a linear discriminant and a logistic regression with labels as ceilings, and random
directions as floor. Give the activations of an untrained network to a second call.

Without labels a direction has no sign. It is chosen on the training pairs, by one bit of their labels, and judged on the
held-out ones, so that chance stays at one half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from scipy.optimize import minimize

from goalscope.activations.inputs import as_array
from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap_clustered

_STEPS, _RATE, _RIDGE = 1000, 0.01, 1e-2


@dataclass(frozen=True)
class Consistency:
    """How often each way of reading the pairs is right, on pairs of levels that nothing was fitted on."""

    __repr__, _repr_html_ = text, drawing

    accuracy: Mapping[str, Estimate]
    """way -> share of held-out pairs; 'search' is the restart of least loss, 'random' the mean over random directions"""
    direction: Mapping[str, np.ndarray]
    """way -> [D] the direction in normalised activations whose sign of x⁺ - x⁻ is the answer; none of 'random'"""
    loss: np.ndarray
    """[R] loss of each restart of the search on the training pairs"""
    restarts: np.ndarray
    """[R] accuracy of each restart on the held-out pairs"""
    random: np.ndarray
    """[100] accuracy of random directions on the held-out pairs"""
    agreement: float
    """share of held-out pairs on which the search says what the first principal component says"""
    trained: int
    """number of pairs that everything was fitted on"""


def consistency(
    positive: np.ndarray,
    negative: np.ndarray,
    truth: np.ndarray,
    level: np.ndarray,
    *,
    share: float = 0.6,
    restarts: int = 10,
    seed: int = 0,
) -> Consistency:
    """Reads pairs of activations in every way, on some levels, and judges them on the others.

    Args:
        positive: [N, D] activations of the first input of each pair. negative: [N, D] of the second.
        truth: [N] bool, the first is the true one. Used for ceilings, signs and scores, never by the search.
        level: [N] int, pairs of one level stay together.
        share: of the levels to fit on.
        restarts: R, of the search.
        seed: of the split and of all beginnings.

    Raises:
        ValueError: shapes that do not fit, numbers that are not finite, fewer than four levels, training or held-out pairs
            of one kind only, pairs without any difference.
    """
    positive, negative, truth, level = _checked(positive, negative, truth, level)
    rng = np.random.default_rng(seed)
    train = _split(level, share, rng)
    if len(np.unique(truth[train])) < 2 or len(np.unique(truth[~train])) < 2:
        raise ValueError(
            "training and held-out pairs must hold true and false first inputs both: give more pairs"
        )
    first, second = _normalised(positive, train), _normalised(negative, train)
    apart = first - second
    if not np.abs(apart[train]).max() > 1e-9:
        raise ValueError(
            "the two inputs of every pair have the same activations (once each class is centred): nothing differs"
        )
    weights, losses = _search(first[train], second[train], restarts, seed)
    directions = {"search": weights[int(losses.argmin())], **_others(apart[train], truth[train], rng)}
    turned = {name: _turned(apart, direction, truth, train) for name, direction in directions.items()}
    right = {name: (apart @ direction > 0) == truth for name, direction in turned.items()}
    drawn = [_turned(apart, d, truth, train) for d in rng.standard_normal((100, apart.shape[1]))]
    by_chance = np.stack([(apart @ d > 0) == truth for d in drawn])
    each = [_turned(apart, w, truth, train) for w in weights]
    said = [apart[~train] @ turned[name] > 0 for name in ("search", "principal component")]
    return Consistency(
        accuracy={
            **{name: bootstrap_clustered(found[~train], level[~train]) for name, found in right.items()},
            "random": bootstrap_clustered(by_chance.mean(0)[~train], level[~train], bounds=(0.0, 1.0)),
        },
        direction=turned,
        loss=losses,
        restarts=np.array([((apart @ w > 0) == truth)[~train].mean() for w in each]),
        random=by_chance[:, ~train].mean(1),
        agreement=float((said[0] == said[1]).mean()),
        trained=int(train.sum()),
    )


def _others(apart: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """[D] each: the directions that explain a search or bound it, of training pairs."""
    return {
        "principal component": _component(apart),
        "two clusters": _clusters(apart, rng),
        "discriminant (labels)": _discriminant(apart, truth),
        "logistic (labels)": _logistic(apart, truth),
    }


def search_loss(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The loss of the search for probabilities p⁺ and p⁻ [N, ...], mean over the pairs: consistent, and sure."""
    return ((first + second - 1).square() + torch.minimum(first, second).square()).mean(0)


def _checked(
    positive: np.ndarray, negative: np.ndarray, truth: np.ndarray, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    positive = as_array("positive", positive, "[N, D] activations").astype(np.float64)
    negative = as_array("negative", negative, "[N, D] activations").astype(np.float64)
    truth, level = as_array("truth", truth, "[N] bool"), as_array("level", level, "[N] int")
    if positive.ndim != 2 or positive.shape != negative.shape:
        raise ValueError(
            f"positive and negative must be [N, D] of one shape, got {positive.shape} and {negative.shape}"
        )
    if truth.shape != (len(positive),) or truth.dtype != bool or level.shape != truth.shape:
        raise ValueError(
            f"truth must be [{len(positive)}] bool and level as long, got {truth.dtype} {truth.shape} and {level.shape}"
        )
    for name, array in (("positive", positive), ("negative", negative)):
        wrong = ~np.isfinite(array).all(1)
        if wrong.any():
            raise ValueError(f"{name} is not finite in pair {int(wrong.argmax())}")
    if len(np.unique(level)) < 4:
        raise ValueError(f"at least four levels are needed to fit and to judge, got {len(np.unique(level))}")
    return positive, negative, truth, level


def _split(level: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """[N] bool, the pairs to fit on: whole levels."""
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1, got {share}")
    levels = rng.permutation(np.unique(level))
    return np.isin(level, levels[: min(max(1, round(share * len(levels))), len(levels) - 1)])


def _normalised(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Centred and scaled within the class, by the training pairs: so that which class it is cannot be read."""
    spread = x[train].std(0)
    return (x - x[train].mean(0)) / np.where(spread > 1e-12, spread, 1)


def _search(first: np.ndarray, second: np.ndarray, restarts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions [R, D] and their losses [R]: all restarts at once, by gradient descent."""
    if isinstance(restarts, bool) or restarts < 1:
        raise ValueError(f"restarts must be at least 1, got {restarts!r}")
    one, other = torch.from_numpy(first), torch.from_numpy(second)
    generator = torch.Generator().manual_seed(seed)
    size = first.shape[1]
    weight = torch.randn(size, restarts, generator=generator, dtype=one.dtype) / size**0.5
    bias = torch.zeros(restarts, dtype=one.dtype)
    weight.requires_grad_()
    bias.requires_grad_()
    optimizer = torch.optim.AdamW([weight, bias], lr=_RATE, weight_decay=_RIDGE)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss = search_loss((one @ weight + bias).sigmoid(), (other @ weight + bias).sigmoid())
        loss.sum().backward()
        optimizer.step()
    with torch.no_grad():
        final = search_loss((one @ weight + bias).sigmoid(), (other @ weight + bias).sigmoid())
    return weight.detach().numpy().T.copy(), final.numpy()


def _component(apart: np.ndarray) -> np.ndarray:
    """The first principal component of the differences."""
    return np.linalg.svd(apart - apart.mean(0), full_matrices=False)[2][0]


def _clusters(apart: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """From one centre of the differences to the other, the best of ten beginnings."""
    best, found = np.inf, apart[0]
    for _ in range(10):
        centres, which = kmeans2(apart, 2, minit="++", rng=rng)
        spread = float(np.square(apart - centres[which]).sum())
        if spread < best:
            best, found = spread, centres[1] - centres[0]
    return found


def _discriminant(apart: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Fisher's, of the differences signed by the labels, with a little of the identity."""
    signed = apart * np.where(truth, 1, -1)[:, None]
    scatter = np.cov(signed.T).reshape(signed.shape[1], -1)
    ridge = _RIDGE * max(float(np.trace(scatter)) / len(scatter), 1e-12)
    return np.linalg.solve(scatter + ridge * np.eye(len(scatter)), signed.mean(0))


def _logistic(apart: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Logistic regression without a constant: a pair turned round gets the other answer."""
    signed = apart * np.where(truth, 1, -1)[:, None]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = signed @ w
        miss = 1 / (1 + np.exp(np.clip(margin, -500, 500)))
        value = np.logaddexp(0, -margin).mean() + 0.5 * _RIDGE * w @ w
        return float(value), -(signed * miss[:, None]).mean(0) + _RIDGE * w

    return minimize(loss, np.zeros(apart.shape[1]), jac=True, method="L-BFGS-B").x


def _turned(apart: np.ndarray, direction: np.ndarray, truth: np.ndarray, train: np.ndarray) -> np.ndarray:
    """The direction or its opposite, whichever is right on more of the training pairs."""
    right = ((apart[train] @ direction > 0) == truth[train]).mean()
    return direction if right >= 0.5 else -direction
