"""What can be read in the network: the cheese's square by linear probes, and channels that are maps of the maze.

A probe that reads the cheese shows that the information is there, not that the network uses it; on planes the raw
observation already holds it. So each probe stands beside one on the observation, one on the untrained network, and one
whose labels were dealt out anew among the mazes (Hewitt and Liang 2019, "Designing and interpreting probes with control
tasks"): what that one reads, the probe itself and not the network makes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from goalscope.methods.reading.probe import fit_probe
from goalscope.progress import counted
from goalscope.studies.maze_internals.setup import Setup, activations, cells
from goalscope.worlds.maze.paths import distances, top_right

FEATURES = ("cheese", "mouse", "walls", "way to the cheese", "way to the corner", "top-right corner")
PENALTIES = (0.1, 1.0, 10.0, 100.0)
COORDINATES = ("row", "column")


def read(setup: Setup) -> dict[str, np.ndarray]:
    """Runs the probes and correlates the channels.

    Returns:
        `right.NETWORK.SITE` [H, 2] bool: on held-out levels, is the cheese's row, its column read right; NETWORK is policy,
        untrained or observation. `permuted.NETWORK.SITE` [H, 2] bool: the same where every level, held-out ones too,
        has the label of another by chance; NETWORK is policy or observation. `features.NETWORK` [C]: the feature that
        each early channel follows best on the training levels. `sums.NETWORK` [H, C, 6]: what their correlations on
        each held-out level are made of.
    """
    state, train = setup.reading, train_levels(setup)
    squares = np.asarray(state.cheese).astype(np.int64)
    level = np.arange(len(state))
    dealt = squares[np.random.default_rng(setup.about.seed).permutation(len(state))]
    pixels = torch.from_numpy(setup.world.observe(state)).float().flatten(1)
    found = {
        "right.observation.input": _probed(pixels, squares, level, train),
        "permuted.observation.input": _probed(pixels, dealt, level, train),
    }
    for network, policy in (("policy", setup.policy), ("untrained", setup.blank)):
        maps = activations(policy.module, setup.world, state, *setup.layout.layers)
        for site, tensor in counted(maps.items(), f"probes, {policy.name}", "layers"):
            found[f"right.{network}.{site}"] = _probed(tensor.flatten(1), squares, level, train)
            if network == "policy":
                found[f"permuted.policy.{site}"] = _probed(tensor.flatten(1), dealt, level, train)
        early = maps[setup.layout.early]
        drawn = feature_maps(setup, early.shape[-1])
        best = correlations(_sums(early[train], drawn[train]).sum(0)).abs().argmax(1)
        held = drawn[~train]
        chosen = _sums(early[~train], held)[:, torch.arange(len(best)), best]
        found |= {f"features.{network}": best.numpy(), f"sums.{network}": chosen.numpy()}
    return found


def train_levels(setup: Setup) -> np.ndarray:
    """[N] bool: levels that probes are fitted on."""
    return np.arange(len(setup.reading)) % 10 < 7


def _probed(x: Tensor, squares: np.ndarray, level: np.ndarray, train: np.ndarray) -> np.ndarray:
    right = []
    for axis in range(len(COORDINATES)):
        label = squares[:, axis]
        # Ridge onto one target for each row of the world: a closed form, a hundredth of the logistic's time. A row in
        # which no training level has its cheese cannot be learned; it then counts as read wrong.
        rows, place = np.unique(label[train], return_inverse=True)
        probe = fit_probe(
            x[train], np.eye(len(rows))[place], level[train], kind="ridge", penalty=PENALTIES, folds=3
        )
        right.append(rows[probe(x[~train]).argmax(1).numpy()] == label[~train])
    return np.stack(right, 1)


def feature_maps(setup: Setup, side: int) -> Tensor:
    """[N, F, side, side]: the named features of the reading levels, each cell the most that a square of it has."""
    state = setup.reading
    n, size = len(state), state.walls.shape[1]
    corner = top_right(state)
    one = np.zeros((n, len(FEATURES), size, size), np.float32)
    at = np.arange(n)
    for k, square in ((0, state.cheese), (1, state.mouse), (5, corner)):
        one[at, k, square[:, 0], square[:, 1]] = 1
    one[:, 2] = state.walls
    start = distances(state.walls, state.mouse)
    for k, square in ((3, state.cheese), (4, corner)):
        there = distances(state.walls, square)
        one[:, k] = (start >= 0) & (start + there == start[at, square[:, 0], square[:, 1]][:, None, None])
    rows, columns = np.indices((size, size)).reshape(2, -1)
    to = cells(setup, np.stack([rows, columns], 1), side)
    flat = torch.from_numpy(one).flatten(2)
    index = torch.from_numpy(to[:, 0] * side + to[:, 1]).expand(flat.shape)
    return (
        torch.zeros(n, len(FEATURES), side * side)
        .scatter_reduce(2, index, flat, "amax")
        .unflatten(2, (side, side))
    )


def _sums(maps: Tensor, drawn: Tensor) -> Tensor:
    """[N, C, F, 6]: by level, 1, a, b, aa, bb, ab summed over the cells."""
    a, b = maps.double().flatten(2), drawn.double().flatten(2)
    n, channels, features = len(a), a.shape[1], b.shape[1]
    one = torch.full((n, channels, features), float(a.shape[2]), dtype=torch.float64)
    left = [t.sum(2)[:, :, None].expand_as(one) for t in (a, a * a)]
    right = [t.sum(2)[:, None].expand_as(one) for t in (b, b * b)]
    return torch.stack([one, left[0], right[0], left[1], right[1], a @ b.transpose(1, 2)], 3)


def correlations(sums: Tensor) -> Tensor:
    """[..., 6] to [...]; 0 where a channel or a feature never varies."""
    n, a, b, aa, bb, ab = sums.unbind(-1)
    spread = (aa - a * a / n).clamp(min=0) * (bb - b * b / n).clamp(min=0)
    return torch.where(spread > 1e-9, (ab - a * b / n) / spread.clamp(min=1e-9).sqrt(), 0.0)
