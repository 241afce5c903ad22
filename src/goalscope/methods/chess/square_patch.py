"""Board-level patching: what one square's activations at one layer do for the output, and squares to compare with.

For each position, the activations of a few squares at a site are replaced by those of a corrupted twin, and the fall
of a metric is the effect of each square (noising: corrupt into clean; Jenner et al. 2024, "Evidence of Learned
Look-Ahead in a Chess-Playing Neural Network", section 3). A large effect on a square that matters to a future move
means little by itself: occupied, attacked, central squares always matter more. So each square has matched squares, of
the same occupation and attacks and at nearly the same distance, that have no part in the line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.activations.hooks import capture
from goalscope.activations.recompute.from_site import recompute_from
from goalscope.showing import drawing, text

SIDE = 8
SQUARES = SIDE * SIDE


@dataclass(frozen=True)
class SquareEffects:
    """How far a metric falls when one square at one site is taken from the corrupted run."""

    __repr__, _repr_html_ = text, drawing

    sites: tuple[str, ...]
    """[L] the sites that were patched"""
    squares: np.ndarray
    """[N, S] int, the squares that were patched; -1 where a position has fewer"""
    clean: np.ndarray
    """[N] metric of the plain run"""
    corrupted: np.ndarray
    """[N] metric of the corrupted run"""
    effect: np.ndarray
    """[N, L, S] clean metric minus metric after the patch, in units of the metric; NaN where squares is -1"""


@dataclass(frozen=True)
class Matched:
    """Squares to compare with."""

    __repr__, _repr_html_ = text, drawing

    squares: np.ndarray
    """[T, K] int, the matched squares of each target, nearest match first; -1 where there are fewer than K"""
    count: np.ndarray
    """[T] how many were found"""


def patch_squares(
    module: nn.Module,
    clean: Tensor,
    corrupted: Tensor,
    sites: Sequence[str],
    squares: np.ndarray,
    metric: Callable[[object, np.ndarray], Tensor],
    *,
    together: bool = False,
    batch: int = 128,
) -> SquareEffects:
    """Patches squares one at a time, at one site after the other, and measures the fall of a metric.

    Args:
        module: any network with sites of shape [N, C, 8, 8] or [N, 64, C].
        clean, corrupted: [N, ...] inputs, position by position twins of each other.
        sites: names of sites, see `goalscope.activations`.
        squares: [N, S] int squares as the network numbers them, row * 8 + column of its own board; -1 is none.
        metric: (output of the module, [B] int numbers of the positions) -> [B] float; higher is better.
        together: patch all S squares of a position at once: `effect` is then [N, L, 1].
        batch: positions in one forward.

    Raises:
        ValueError: shapes that do not fit, a square outside -1..63, no square at all, a site that is no board.
    """
    squares = np.asarray(squares)
    _check(clean, corrupted, sites, squares)
    n, slots = squares.shape
    groups = [squares] if together else [squares[:, [s]] for s in range(slots)]
    effect = np.full((n, len(sites), len(groups)), np.nan)
    metrics = np.full((2, n), np.nan)
    rest = None
    with torch.no_grad():
        for first in range(0, n, batch):
            part = slice(first, min(first + batch, n))
            rows = np.arange(part.start, part.stop)
            x, other = clean[part], corrupted[part]
            plain, twin = (_metric(metric, module(inputs), rows) for inputs in (x, other))
            metrics[:, part] = plain, twin
            theirs = capture(module, other, sites)
            for layer, site in enumerate(sites):
                _check_board(site, theirs[site])
                rest = recompute_from(module, site, x, like=rest)
                for slot, group in enumerate(groups):
                    chosen = group[part]
                    has = (chosen >= 0).any(1)
                    if not has.any():
                        continue
                    value = _mixed(rest.value, theirs[site], chosen)
                    fall = plain - _metric(metric, rest(value), rows)
                    effect[part, layer, slot] = np.where(has, fall, np.nan)
    return SquareEffects(tuple(sites), squares, metrics[0], metrics[1], effect)


def _metric(metric: Callable[[object, np.ndarray], Tensor], output: object, rows: np.ndarray) -> np.ndarray:
    found = metric(output, rows)
    if tuple(found.shape) != (len(rows),):
        raise ValueError(
            f"the metric gave shape {tuple(found.shape)} for {len(rows)} positions, needs one number each"
        )
    return found.double().cpu().numpy()


def _mixed(ours: Tensor, theirs: Tensor, squares: np.ndarray) -> Tensor:
    """`ours` with the squares [B, S] of each position taken from `theirs`."""
    sample, slot = np.nonzero(squares >= 0)
    square = squares[sample, slot]
    mixed = ours.clone()
    places = (slice(None), square // SIDE, square % SIDE) if ours.ndim == 4 else (square,)
    index = (sample, *places)
    mixed[index] = theirs[index]
    return mixed


def _check(clean: Tensor, corrupted: Tensor, sites: Sequence[str], squares: np.ndarray) -> None:
    if clean.shape != corrupted.shape:
        raise ValueError(
            f"clean {tuple(clean.shape)} and corrupted {tuple(corrupted.shape)} must be of one shape"
        )
    if squares.ndim != 2 or len(squares) != len(clean) or squares.dtype.kind not in "iu":
        raise ValueError(
            f"squares must be [{len(clean)}, S] integers, got {squares.dtype} {list(squares.shape)}: one row a position"
        )
    if not sites:
        raise ValueError("no sites: name at least one, such as 'blocks.0'")
    if squares.size and (squares.min() < -1 or squares.max() >= SQUARES):
        raise ValueError(
            f"squares must lie in 0..63, or be -1 for none; got {squares.min()}..{squares.max()}"
        )
    if not (squares >= 0).any():
        raise ValueError("no square to patch: all of them are -1")


def _check_board(site: str, value: Tensor) -> None:
    board = value.ndim == 4 and tuple(value.shape[2:]) == (SIDE, SIDE)
    tokens = value.ndim == 3 and value.shape[1] == SQUARES
    if not (board or tokens):
        raise ValueError(f"site {site!r} has shape {list(value.shape)}: no board [N, C, 8, 8] or [N, 64, C]")


def matched_squares(
    targets: Sequence[int] | np.ndarray,
    kind: np.ndarray,
    distance: np.ndarray,
    exclude: Sequence[int] | np.ndarray,
    *,
    most: int = 4,
    tolerance: int = 1,
    seed: int = 0,
) -> Matched:
    """Squares of one position that look like the targets but have no part in the line.

    Args:
        targets: [T] squares to find matches for; -1 finds none.
        kind: [64, F] int, what must be equal: occupation, attacked by each side.
        distance: [64] int, what must differ by at most `tolerance`, such as the distance from the first move.
        exclude: squares never taken: those of the line, and those in which the twin differs.
        most: K, how many at most for each target.
        tolerance: greatest difference of the distances.
        seed: ties are broken at random.

    Raises:
        ValueError: shapes that do not fit, squares out of range.
    """
    targets, kind, distance = np.asarray(targets, int), np.asarray(kind), np.asarray(distance)
    if kind.ndim != 2 or len(kind) != SQUARES or distance.shape != (SQUARES,) or targets.ndim != 1:
        raise ValueError(
            f"need targets [T], kind [64, F] and distance [64], got {targets.shape}, {kind.shape} and {distance.shape}"
        )
    if targets.size and (targets.min() < -1 or targets.max() >= SQUARES):
        raise ValueError(
            f"targets must lie in 0..63, or be -1 for none; got {targets.min()}..{targets.max()}"
        )
    free = np.ones(SQUARES, bool)
    free[[square for square in exclude if square >= 0]] = False
    rng = np.random.default_rng(seed)
    found = np.full((len(targets), most), -1)
    for t, target in enumerate(targets):
        if target < 0:
            continue
        off = np.abs(distance - distance[target])
        fits = free & (kind == kind[target]).all(1) & (off <= tolerance)
        fits[target] = False
        order = rng.permutation(SQUARES)
        near = order[np.argsort(off[order], kind="stable")]
        chosen = near[fits[near]][:most]
        found[t, : len(chosen)] = chosen
    return Matched(found, (found >= 0).sum(1))


def against_matched(effects: SquareEffects, target: int, matched: Sequence[int]) -> np.ndarray:
    """[N, L] effect on the target's slot minus the mean over its matched slots; NaN where either is missing.

    Args:
        effects: what `patch_squares` found.
        target: index of the slot (last axis) of the target.
        matched: indices of the slots of its matched squares.
    """
    others = effects.effect[:, :, list(matched)]
    have = np.isfinite(others)
    with np.errstate(invalid="ignore"):
        mean = np.where(have, others, 0).sum(2) / have.sum(2)
    return effects.effect[:, :, target] - mean
