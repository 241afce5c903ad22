"""Linear probes: what can be read off activations with one matrix, beside everything else that could be read.

`probe` fits on some levels, judges on the others, and sets the controls beside it (Hewitt and Liang 2019,
"Designing and interpreting probes with control tasks"): the same probe on the raw observation, on an untrained
network, on labels drawn at random for each level, and the best constant. Rows of a level stay on one side of
every split, penalties are chosen on inner folds of training levels, intervals resample held-out levels.

A probe finds what is *predictive*, which need not be what the network uses. Two more numbers belong beside it:
what writing along `directions` does to behaviour (they are vectors to add at the site), and how far off the
data the written activations lie (`side_effects.mahalanobis`).

`linear.py` the fits, `scores.py` what predictions are judged by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from goalscope.activations.inputs import as_array
from goalscope.methods.reading.probe.linear import (
    PENALTIES,
    LinearProbe,
    check_varied,
    checked,
    fit,
    fit_probe,
    matrix,
)
from goalscope.methods.reading.probe.scores import Scores, gains, summary, tally
from goalscope.methods.reading.probe.scores import scores as measured
from goalscope.showing import drawing, text
from goalscope.stats import Estimate

__all__ = ["PENALTIES", "Control", "LinearProbe", "ProbeReport", "Scores", "fit_probe", "map_rows", "probe"]

TRAIN_SHARE = 0.7


@dataclass(frozen=True)
class Control:
    """What the probe must be better than, on the same held-out levels."""

    __repr__, _repr_html_ = text, drawing

    scores: Scores
    """of the control"""
    gain: Estimate
    """score of the probe minus score of the control, paired by level"""
    f1_gain: Estimate | None
    """the same in macro-F1; None for ridge"""


@dataclass(frozen=True)
class ProbeReport:
    """A probe, its scores on held-out levels and its controls. Call it as the probe."""

    __repr__, _repr_html_ = text, drawing

    probe: LinearProbe
    """fitted on the training levels"""
    scores: Scores
    """of the probe"""
    constant: Control
    """the best constant of the training levels: class frequencies, or the mean target"""
    random_labels: Control
    """the same probe for labels (or targets) drawn at random once for each level from the training rows. What
    held-out levels drew cannot be known, so this is what the shape of the data gives away without any link"""
    memorised: float
    """score for random labels on the training rows themselves: near 1 where a probe of this size can learn
    levels by heart, so that only the split by level stands between it and a spurious success"""
    observation: Control | None
    """the same probe on the raw observation; None where none was given"""
    untrained: Control | None
    """the same probe on an untrained network of the same shape; None where none was given"""
    train: np.ndarray
    """[M] bool, rows of training levels"""

    @property
    def directions(self) -> Tensor:
        """[K, D] as `LinearProbe.directions`."""
        return self.probe.directions

    @property
    def selectivity(self) -> Estimate:
        """Score minus score for random labels."""
        return self.random_labels.gain

    def __call__(self, x: Tensor) -> Tensor:
        """As `LinearProbe`."""
        return self.probe(x)


def probe(
    x: Tensor,
    y: Tensor | np.ndarray,
    level: Tensor | np.ndarray,
    *,
    observation: Tensor | None,
    untrained: Tensor | None,
    kind: str = "logistic",
    train: np.ndarray | None = None,
    penalty: float | Sequence[float] = PENALTIES,
    folds: int = 4,
    seed: int = 0,
) -> ProbeReport:
    """Fit on some levels, judge on the others, with the controls beside it.

    Args:
        x: [M, D] activations (of a map: as `map_rows` lays it out).
        y: [M] integer labels, or [M] or [M, T] numbers for ridge.
        level: [M] int, the level that each row is from.
        observation: [M, D'] what the network saw, flattened; None only where there is no such thing.
        untrained: [M, D''] activations of an untrained network of the same shape; None likewise.
        kind: "logistic" or "ridge".
        train: [M] bool, rows of training levels. None: a random 70% of the levels.
        penalty: one, or those to choose from by the loss on inner folds of training levels.
        folds: number of inner folds.
        seed: of the split, the folds, the random labels and the intervals.

    Raises:
        ValueError: shapes that do not fit, NaN or infinite values; one class (or a constant target) only on the
            training levels, or a class that only held-out levels have; a level on both sides of the split, or
            fewer than two held-out levels; a penalty below 0, or of 0 with at least as many directions as rows;
            penalties to choose from with one training level.
    """
    x, target, classes, level = checked(x, y, level, kind)
    train = _split(level, train, seed)
    check_varied(target, classes, train, kind)

    def tallies(name: str, rows: Tensor, aim: np.ndarray) -> tuple[LinearProbe, np.ndarray, np.ndarray]:
        rows = matrix(name, rows, len(target))
        inside = rows[torch.from_numpy(train)]
        made = fit(inside, aim[train], classes, level[train], kind, penalty, folds, seed)
        guess = made(rows).numpy()
        seen, unseen = (tally(kind, guess[s], aim[s], len(classes), level[s]) for s in (train, ~train))
        return made, seen, unseen

    made, _, ours = tallies("x", x, target)

    def control(theirs: np.ndarray) -> Control:
        return Control(measured(kind, theirs, seed), *gains(kind, ours, theirs, seed))

    def beside(name: str, rows: Tensor | None) -> Control | None:
        return None if rows is None else control(tallies(name, rows, target)[2])

    blank = torch.zeros(len(target), 1)  # nothing to read: the fit is its bias
    _, seen, unseen = tallies("x", x, target[_random_rows(level, train, seed)])
    return ProbeReport(
        probe=made,
        scores=measured(kind, ours, seed),
        constant=control(tallies("a constant", blank, target)[2]),
        random_labels=control(unseen),
        memorised=float(summary(kind, seen.sum(axis=0)[None])[0]),
        observation=beside("observation", observation),
        untrained=beside("untrained", untrained),
        train=train,
    )


def _random_rows(level: np.ndarray, train: np.ndarray, seed: int) -> np.ndarray:
    """[M] for each row the training row whose label its level is dealt, one for a level."""
    names, index = np.unique(level, return_inverse=True)
    return np.random.default_rng([seed, 3]).choice(np.flatnonzero(train), len(names))[index]


def map_rows(
    maps: Tensor, level: Tensor | np.ndarray, mask: Tensor | np.ndarray | None = None
) -> tuple[Tensor, np.ndarray]:
    """Every square of a map as one row, for probes that are convolutions of size 1 x 1.

    Args:
        maps: [N, C, H, W] activations.
        level: [N] int.
        mask: [N, H, W] bool, the squares to keep; None keeps all.

    Returns:
        rows [M, C] and level [M], in the order of ``labels[mask]`` (without a mask: of ``labels.flatten()``).

    Raises:
        ValueError: shapes that do not fit, a mask that is not bool or keeps nothing.
    """
    level, shape = np.asarray(level), maps.shape[:1] + maps.shape[2:]
    keep = np.ones(shape, bool) if mask is None else np.asarray(mask)
    if maps.ndim != 4 or level.shape != shape[:1] or keep.shape != shape:
        raise ValueError(
            "expected maps [N, C, H, W], level [N] and mask [N, H, W], "
            f"got {tuple(maps.shape)}, {level.shape} and {keep.shape}"
        )
    if keep.dtype != bool or not keep.any():
        raise ValueError(f"mask must be bool and keep a square, got {keep.dtype}, {int(keep.sum())} kept")
    return maps.movedim(1, -1)[torch.from_numpy(keep)], level[np.nonzero(keep)[0]]


def _split(level: np.ndarray, train: np.ndarray | None, seed: int) -> np.ndarray:
    names = np.unique(level)
    if train is None:
        order = np.random.default_rng([seed, 1]).permutation(names)
        train = np.isin(level, order[: round(TRAIN_SHARE * len(names))])
    train = as_array("train", train, "[M] bool")
    if train.shape != level.shape or train.dtype != bool:
        raise ValueError(f"train must be bool [M], M = {len(level)}, got {train.shape} of {train.dtype}")
    torn = np.intersect1d(level[train], level[~train])
    if torn.size:
        raise ValueError(f"level {torn[0]} has rows on both sides of the split ({torn.size} levels do)")
    held = len(np.unique(level[~train]))
    if held < 2 or held == len(names):
        raise ValueError(f"need training levels and two held-out ones, got {len(names) - held} and {held}")
    return train
