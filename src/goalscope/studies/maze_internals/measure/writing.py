"""Is what a probe reads also what the network uses? The probe's own directions are written, and the mouse watched.

A representation can be read without being used. So the square that the probes of `internals_reading` read is changed
along their directions, by as much as a cheese that really moves changes the activations, and it is measured whether
the mouse goes to the new square, and how far from ordinary the written activations are.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from goalscope.methods.intervening.side_effects import mahalanobis
from goalscope.methods.reading.probe import fit_probe
from goalscope.studies.maze_internals.measure.reading import PENALTIES, train_levels
from goalscope.studies.maze_internals.setup import APART, Setup, activations, alike, reached, run, shifted
from goalscope.worlds.maze import place_cheese

ORDINARY = 0.95
"""share of held-out clean activations that lie nearer than an extraordinary one"""


def write(setup: Setup) -> dict[str, np.ndarray]:
    """Writes another square for the cheese into each held-out maze.

    Returns:
        `reach.{none,written,random,moved}` [H] P(reach the target): bare, along the probes' directions, along random
        ones of equal norm, with the cheese itself put there; `read.{written,random,moved}` [H] bool, whether the
        probes then read the target; `off.{written,random,moved}` [H] the share of cells whose activations lie further
        from clean ones than 95% of held-out clean ones do.
    """
    rng, generator = np.random.default_rng(setup.about.seed), torch.Generator().manual_seed(setup.about.seed)
    held, site = setup.held, setup.layout.middle
    clean = activations(setup.module, setup.world, setup.reading, site)[site]
    squares = np.asarray(setup.reading.cheese).astype(np.int64)
    train = train_levels(setup)
    rows = [_directions(clean[train].flatten(1), squares[train, axis], train) for axis in (0, 1)]
    target = _targets(setup, rng)
    here = activations(setup.module, setup.world, held, site)[site]
    moved = activations(setup.module, setup.world, place_cheese(held, target), site)[site]
    size = (moved - here).flatten(1).norm(dim=1)
    vector = _written(rows, np.asarray(held.cheese).astype(np.int64), target, here, size)
    noise = alike(vector, generator)
    away = {"written": here + vector, "random": here + noise, "moved": moved}
    found = {"reach.none": reached(run(setup, held), target, setup.steps)}
    found["reach.written"] = reached(shifted(setup, held, site, vector), target, setup.steps)
    found["reach.random"] = reached(shifted(setup, held, site, noise), target, setup.steps)
    found["reach.moved"] = reached(run(setup, place_cheese(held, target)), target, setup.steps)
    for name, edited in away.items():
        found |= {f"off.{name}": _off(clean, edited, setup), f"read.{name}": _read(rows, edited, target)}
    return found


def _directions(x: Tensor, label: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, Tensor, Tensor]:
    """The rows (or columns) that were learned, the probe's direction for each, and its biases."""
    known, place = np.unique(label, return_inverse=True)
    probe = fit_probe(
        x, np.eye(len(known))[place], np.flatnonzero(train), kind="ridge", penalty=PENALTIES, folds=3
    )
    return known, probe.directions, probe.bias


def _targets(setup: Setup, rng: np.random.Generator) -> np.ndarray:
    """[H, 2] for each held-out maze a random free square, away from cheese and mouse."""
    held = setup.held
    squares = setup.world.squares(held)
    chosen = []
    for level in range(len(held)):
        free = np.unique(squares.square[squares.level == level], axis=0).astype(np.int64)
        fits = (np.abs(free - held.cheese[level]).sum(1) > APART) & (free != held.mouse[level]).any(1)
        chosen.append(free[rng.choice(np.flatnonzero(fits))])
    return np.array(chosen)


def _written(
    rows: list[tuple[np.ndarray, Tensor, Tensor]],
    old: np.ndarray,
    new: np.ndarray,
    like: Tensor,
    size: Tensor,
) -> Tensor:
    """[H, C, h, w]: towards the new row and column, away from the old ones, of the given norms."""
    total = torch.zeros(len(like), like[0].numel(), dtype=torch.float64)
    for axis, (known, weights, _) in enumerate(rows):
        for square, sign in ((new, 1.0), (old, -1.0)):
            at = np.searchsorted(known, square[:, axis]).clip(max=len(known) - 1)
            # A row that no training maze had its cheese in has no direction.
            there = torch.from_numpy(known[at] == square[:, axis])
            total += sign * torch.where(there[:, None], weights[torch.from_numpy(at)], 0.0)
    scale = size.double() / total.norm(dim=1).clamp(min=1e-12)
    return (total * scale[:, None]).view(like.shape).to(like.dtype)


def _read(rows: list[tuple[np.ndarray, Tensor, Tensor]], edited: Tensor, target: np.ndarray) -> np.ndarray:
    """[H] bool: whether the probes read both the row and the column of the target."""
    x = edited.flatten(1).double()
    guess = [known[(x @ weights.T + bias).argmax(1).numpy()] for known, weights, bias in rows]
    return (np.stack(guess, 1) == target).all(1)


def _off(clean: Tensor, edited: Tensor, setup: Setup) -> np.ndarray:
    """[H]: the share of cells that are extraordinary, each cell a vector of channels."""
    cells = clean.shape[2] * clean.shape[3]
    by_cell = [x.movedim(1, -1).reshape(-1, x.shape[1]) for x in (clean, edited)]
    level = np.repeat(np.arange(len(clean)), cells)
    far = mahalanobis(by_cell[0], by_cell[1], level=level, seed=setup.about.seed)
    return (far.percentile > ORDINARY).reshape(len(edited), cells).mean(1)
