"""Fits of linear read-outs: multinomial logistic and ridge regression, with the penalty chosen by inner folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from goalscope.activations.inputs import as_array, as_tensor
from goalscope.showing import drawing, text

PENALTIES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)

_RANK_TOLERANCE = 1e-10  # of the eigenvalues of the covariance of standardised activations
_WORTHWHILE = 1e-3  # share by which a weaker penalty must lower the loss to be followed further
_STEPS = 1000
_GRADIENT, _ROUGH = (
    1e-6,
    1e-4,
)  # greatest slope (rescaled) at which a fit is done; while penalties are compared

Path = Iterator[tuple[Tensor, Tensor]]
"""weight [r, K] and bias [K] for each penalty"""


@dataclass(frozen=True)
class LinearProbe:
    """A fitted read-out. Call it: [.., D] activations to log-probabilities (nats) or predictions [.., K]."""

    __repr__, _repr_html_ = text, drawing

    kind: str
    """'logistic' or 'ridge'"""
    classes: np.ndarray
    """[K] the labels, ascending; for ridge the numbers 0..K-1 of the K targets"""
    directions: Tensor
    """[K, D] float64 weights in the space of the raw activations: logits (or predictions) are
    ``x @ directions.T + bias``. Those of logistic probes sum to 0 over the classes"""
    bias: Tensor
    """[K] float64"""
    penalty: float
    """weight of half the squared coefficients of standardised activations, beside the mean loss of a row"""
    fold_loss: dict[float, float]
    """penalty -> loss of a row on inner folds; empty if there was but one to try"""

    def __call__(self, x: Tensor) -> Tensor:
        """[.., D] to [.., K]; ValueError where the last axis is not D."""
        if x.shape[-1] != self.directions.shape[1]:
            raise ValueError(f"this probe reads [.., {self.directions.shape[1]}], got {tuple(x.shape)}")
        out = x.to(self.bias) @ self.directions.T + self.bias
        return out.log_softmax(-1) if self.kind == "logistic" else out

    def maps(self, x: Tensor) -> Tensor:
        """[N, D, H, W] to [N, K, H, W]: the probe on every square, as a convolution of size 1 x 1."""
        return self(x.movedim(1, -1)).movedim(-1, 1)

    def predict(self, x: Tensor) -> np.ndarray:
        """[.., D] to the most probable label [..], or to the predictions [.., K] of ridge."""
        out = self(x).numpy()
        return self.classes[out.argmax(-1)] if self.kind == "logistic" else out


def fit_probe(
    x: Tensor,
    y: Tensor | np.ndarray,
    level: Tensor | np.ndarray,
    *,
    kind: str = "logistic",
    penalty: float | Sequence[float] = PENALTIES,
    folds: int = 4,
    seed: int = 0,
) -> LinearProbe:
    """Fit on all rows, without a judgement; `probe` gives one.

    Args:
        x: [M, D] activations.
        y: [M] integer labels, or [M] or [M, T] numbers for ridge.
        level: [M] int. Inner folds keep the rows of a level together.
        kind: "logistic" or "ridge".
        penalty: one, or those to choose from by the loss on inner folds.
        folds: number of inner folds.
        seed: of the folds.

    Raises:
        ValueError: shapes that do not fit, NaN or infinite values, one class or a constant target, a penalty
            below 0, or of 0 with at least as many directions as rows, penalties to choose from on one level.
    """
    x, target, classes, level = checked(x, y, level, kind)
    check_varied(target, classes, np.ones(len(target), bool), kind)
    return fit(x, target, classes, level, kind, penalty, folds, seed)


def checked(
    x: Tensor, y: Tensor | np.ndarray, level: Tensor | np.ndarray, kind: str
) -> tuple[Tensor, np.ndarray, np.ndarray, np.ndarray]:
    """x, target ([M] numbers of classes, or [M, T] float64), classes [K] and level [M]."""
    if kind not in ("logistic", "ridge"):
        raise ValueError(f"kind must be 'logistic' or 'ridge', got {kind!r}")
    y = as_array("y", y, "[M] labels, or [M] or [M, T] numbers for ridge")
    level = as_array("level", level, "[M] int")
    if y.ndim not in (1, 2) or level.shape != y.shape[:1] or not np.issubdtype(level.dtype, np.integer):
        raise ValueError(f"need y [M, ..] and integer level [M], got {y.shape}, {level.shape} {level.dtype}")
    x = matrix("x", x, len(y))
    if kind == "ridge":
        target = y.astype(np.float64).reshape(len(y), -1)
        if not np.isfinite(target).all():
            raise ValueError(f"y is not finite in row {int(np.argwhere(~np.isfinite(target))[0, 0])}")
        return x, target, np.arange(target.shape[1]), level
    if y.ndim != 1 or y.dtype.kind not in "iub":
        raise ValueError(f"logistic needs integer labels [M], got {y.shape} of {y.dtype}: kind='ridge'?")
    classes, target = np.unique(y, return_inverse=True)
    return x, target, classes, level


def matrix(name: str, x: Tensor, rows: int) -> Tensor:
    """x as a finite matrix of so many rows."""
    x = as_tensor(name, x, "[M, D] numbers")
    if x.ndim != 2 or len(x) != rows:
        hint = "flatten(1) it, or lay a map out with map_rows"
        raise ValueError(f"{name} must be [M, D] with M = {rows} as in y, got {tuple(x.shape)}: {hint}")
    if not x.numel():
        raise ValueError(f"{name} is {tuple(x.shape)}: there is nothing to read, it needs a row and a column")
    if not x.isfinite().all():
        row, column = (~x.isfinite()).nonzero()[0].tolist()
        raise ValueError(f"{name}[{row}, {column}] is {x[row, column].item()}: it must be finite")
    return x


def check_varied(target: np.ndarray, classes: np.ndarray, train: np.ndarray, kind: str) -> None:
    """Raises where there is nothing to tell apart on the training rows."""
    if kind == "ridge":
        for side in (train, ~train) if not train.all() else (train,):
            flat = np.ptp(target[side], axis=0) == 0
            if flat.any():
                raise ValueError(f"target {int(flat.argmax())} is constant on one side of the split")
        return
    used = np.unique(target[train])
    if len(used) < 2:
        raise ValueError(
            f"one class only on the training levels, {classes[used].tolist()}: nothing to tell apart"
        )
    if len(used) < len(classes):
        missing = np.delete(classes, used).tolist()
        raise ValueError(f"classes {missing} are on held-out levels only: split otherwise or leave them out")


def fit(
    x: Tensor,
    target: np.ndarray,
    classes: np.ndarray,
    level: np.ndarray,
    kind: str,
    penalty: float | Sequence[float],
    folds: int,
    seed: int,
) -> LinearProbe:
    """A probe from what `checked` returns; see `fit_probe`."""
    penalties = sorted({float(p) for p in np.atleast_1d(np.asarray(penalty, np.float64))}, reverse=True)
    if not penalties or not all(0 <= p < np.inf for p in penalties):
        raise ValueError(f"penalties must be finite and at least 0, got {penalty}")
    if 0.0 in penalties and x.shape[1] >= len(x):
        raise ValueError(
            f"{x.shape[1]} directions and {len(x)} rows: any labels can be fitted; use a penalty above 0"
        )
    x = x.double()
    mean, scale = x.mean(0), x.std(0, correction=0)
    varies = scale > 1e-9 * mean.abs()
    scale = torch.where(varies, scale, 1.0)
    # A turn changes neither loss nor penalty. In this basis curvatures are nearly diagonal, and D directions
    # of M < D rows become M.
    z, basis = _turned((x - mean) / scale)
    aim = torch.from_numpy(target)
    solve, loss = (_logistic, cross_entropy) if kind == "logistic" else (_ridge, mse_loss)
    losses: dict[float, float] = {}
    if len(penalties) > 1:
        names = np.unique(level)
        folds = min(folds, len(names))
        if folds < 2:
            raise ValueError(f"{len(penalties)} penalties to choose from need levels in two folds: pass one")
        order = np.random.default_rng([seed, 2]).permutation(names)
        outs = [torch.from_numpy(np.isin(level, order[i::folds])) for i in range(folds)]
        half = z.float()  # single precision is enough to compare, and twice as fast

        def lost(out: Tensor) -> Iterator[float]:
            for weight, bias in solve(half[~out], aim[~out], len(classes), penalties, _ROUGH):
                guess = half[out] @ weight + bias
                yield loss(guess, aim[out] if kind == "logistic" else aim[out].to(guess)).item() * int(
                    out.sum()
                )

        least, paths = np.inf, [lost(out) for out in outs]
        for value, *sums in zip(penalties, *paths, strict=True):
            losses[value] = sum(sums) / len(z)
            if losses[value] > least * (1 - _WORTHWHILE):
                break  # from strong to weak: what follows overfits, at growing cost
            least = losses[value]
        penalties = [min(losses, key=lambda p: losses[p])]
    weight, bias = next(iter(solve(z, aim, len(classes), penalties, _GRADIENT)))
    directions = (basis @ weight).T / scale * varies  # a constant direction gets no weight, rounding included
    return LinearProbe(kind, classes, directions, bias - directions @ mean, penalties[0], losses)


def _turned(standard: Tensor) -> tuple[Tensor, Tensor]:
    """z [M, r] and basis [D, r] of orthonormal columns, with standard = z @ basis.T."""
    wide = standard.shape[1] > len(standard)
    values, vectors = torch.linalg.eigh(standard @ standard.T if wide else standard.T @ standard)
    kept = values > _RANK_TOLERANCE * values[-1].clamp(min=1e-300)
    basis = standard.T @ (vectors[:, kept] / values[kept].sqrt()) if wide else vectors[:, kept]
    return standard @ basis, basis


def _ridge(z: Tensor, target: Tensor, classes: int, penalties: Sequence[float], tolerance: float) -> Path:
    mean, centre = z.mean(0), target.to(z).mean(0)
    moved, target = z - mean, target.to(z)
    gram, moment = moved.T @ moved / len(z), moved.T @ (target - centre) / len(z)
    for penalty in penalties:
        weight = torch.linalg.solve(gram + penalty * torch.eye(len(gram), dtype=z.dtype), moment)
        yield weight, centre - mean @ weight


def _logistic(z: Tensor, target: Tensor, classes: int, penalties: Sequence[float], tolerance: float) -> Path:
    """Penalties descend, and each fit starts where the last one ended."""
    share = (torch.bincount(target, minlength=classes).to(z) + 0.5) / (len(z) + 0.5 * classes)
    hot = one_hot(target, classes).to(z).T.contiguous()
    # Coordinates in which the curvature is about 1 in every direction: L-BFGS then needs tens of steps.
    curvature = z.square().mean(0) * (share * (1 - share)).mean()
    state = torch.zeros(classes, z.shape[1] + 1, dtype=z.dtype)
    for penalty in penalties:
        step = torch.cat([(curvature + penalty + 1e-12).rsqrt(), torch.full((1,), 2.0, dtype=z.dtype)])

        def loss(flat: np.ndarray, step: Tensor = step, penalty: float = penalty) -> tuple[float, np.ndarray]:
            # Classes on the first axis throughout: twenty times as fast as [M, K] where K is small.
            free = torch.from_numpy(flat).to(z).view(classes, -1) * step
            weight = free[:, :-1]
            chance = torch.addmm((share.log() + free[:, -1])[:, None], weight, z.T).log_softmax(0)
            value = penalty / 2 * weight.square().sum() - (chance * hot).sum() / len(z)
            off = (chance.exp_() - hot) / len(z)
            slope = torch.cat([torch.addmm(weight, off, z, beta=penalty), off.sum(1, keepdim=True)], 1)
            return value.item(), (slope * step).double().numpy().ravel()

        options = dict(maxiter=_STEPS, maxcor=20, gtol=tolerance, ftol=0.0)
        start = (state / step).double().numpy().ravel()
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
        if np.abs(found.jac).max() > 100 * tolerance:
            raise ValueError(f"no optimum after {found.nit} steps at penalty {penalty:g}: use a greater one")
        state = torch.from_numpy(found.x).to(z).view(classes, -1) * step
        yield state[:, :-1].T, share.log() + state[:, -1]
