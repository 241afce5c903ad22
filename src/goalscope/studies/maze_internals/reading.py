"""What can be read in the network: the cheese's square by linear probes, and channels that are maps of the maze.

A probe that reads the cheese shows that the information is there, not that the network uses it; on planes the raw
observation already holds it. So each probe stands beside one on the observation, one on the untrained network, and one
whose labels were dealt out anew among the mazes (Hewitt and Liang 2019, "Designing and interpreting probes with control
tasks"): what that one reads, the probe itself and not the network makes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from goalscope.evidence.finding import Finding
from goalscope.methods.reading.probe import fit_probe
from goalscope.stats import Estimate, bootstrap, bootstrap_difference, bootstrap_mean
from goalscope.studies.about import finding
from goalscope.studies.maze_internals.setup import Setup, activations, cells
from goalscope.worlds.maze.paths import distances, top_right

FEATURES = ("cheese", "mouse", "walls", "way to the cheese", "way to the corner", "top-right corner")
READABLE = 0.9
"""absolute correlation from which a channel counts as a map of a feature"""
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
        for site, tensor in maps.items():
            found[f"right.{network}.{site}"] = _probed(tensor.flatten(1), squares, level, train)
            if network == "policy":
                found[f"permuted.policy.{site}"] = _probed(tensor.flatten(1), dealt, level, train)
        early = maps[setup.layout.early]
        drawn = feature_maps(setup, early.shape[-1])
        best = _correlations(_sums(early[train], drawn[train]).sum(0)).abs().argmax(1)
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


def _correlations(sums: Tensor) -> Tensor:
    """[..., 6] to [...]; 0 where a channel or a feature never varies."""
    n, a, b, aa, bb, ab = sums.unbind(-1)
    spread = (aa - a * a / n).clamp(min=0) * (bb - b * b / n).clamp(min=0)
    return torch.where(spread > 1e-9, (ab - a * b / n) / spread.clamp(min=1e-9).sqrt(), 0.0)


def channel_table(found: dict[str, np.ndarray], network: str = "policy") -> list[tuple[int, str, float]]:
    """(channel, feature, held-out correlation), the strongest first."""
    r = _correlations(torch.from_numpy(found[f"sums.{network}"]).sum(0)).numpy()
    order = np.argsort(-np.abs(r), kind="stable")
    return [(int(c), FEATURES[found[f"features.{network}"][c]], float(r[c])) for c in order]


def findings(setup: Setup, found: dict[str, np.ndarray]) -> list[Finding]:
    """The cheese's place by layer, the observation's probe, and the number of readable channels."""
    return [
        *_probe_findings(setup, found), *_selectivity(setup, found), _beyond_observation(setup, found),
        _channel_finding(setup, found),
    ]  # fmt: skip


def _probe_findings(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    about, policy, layout = setup.about, setup.policy, setup.layout
    names = {site: f"layer_{i}" for i, site in enumerate(layout.layers)}
    reads = {
        "cheese_row": lambda right: right[:, 0],
        "cheese_column": lambda right: right[:, 1],
        "cheese_position": lambda right: right.all(1),
    }

    def share(key: str, what: str):
        return bootstrap_mean(reads[what](found[f"right.{key}"]), seed=about.seed)

    for what in reads:
        words = what.replace("cheese_", "the cheese's ").replace("position", "row and column")
        for site, name in [*names.items(), (layout.middle, "middle")]:
            yield finding(
                f"probe.{what}.{name}", f"linear probe at {site}: {words} read right, held-out mazes",
                share(f"policy.{site}", what), share(f"untrained.{site}", what), "the same probe on the untrained network",
                "ridge probe onto rows or columns, split by level", policy, about, "share of mazes", site,
            )  # fmt: skip
        yield finding(
            f"probe.{what}.observation", f"linear probe on the raw observation: {words} read right, held-out mazes",
            share("observation.input", what), share(f"untrained.{layout.middle}", what),
            f"the untrained network at {layout.middle}", "ridge probe onto rows or columns, split by level", policy, about,
            "share of mazes", "input",
        )  # fmt: skip


def _selectivity(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    """Row and column read right, less what the same probe reads of labels that say nothing of the maze."""

    def gain(key: str) -> Estimate:
        return bootstrap_difference(
            found[f"right.{key}"].all(1), found[f"permuted.{key}"].all(1), seed=setup.about.seed
        )

    layers, middle = setup.layout.layers, setup.layout.middle
    names = [
        *((f"layer_{i}", f"policy.{site}", site) for i, site in enumerate(layers)),
        ("middle", f"policy.{middle}", middle),
        ("observation", "observation.input", "input"),
    ]
    for name, key, site in names:
        chance = found[f"permuted.{key}"].all(1).mean()
        own = name == "observation"
        yield finding(
            f"probe.selectivity.{name}", f"linear probe at {site}: share of held-out mazes whose row and column of the "
            f"cheese are read right, minus the same with labels permuted over mazes ({chance:.1%})", gain(key),
            None if own else gain("observation.input"),
            "null by construction: it is itself the control of the layers" if own else "the same on the raw observation",
            "ridge probe onto rows or columns, split by level", setup.policy, setup.about, "difference of shares", site,
        )  # fmt: skip


def _beyond_observation(setup: Setup, found: dict[str, np.ndarray]) -> Finding:
    """Does the middle of the network give the cheese's square more readily than what it was shown? Paired by maze."""
    site = setup.layout.middle

    def gain(network: str) -> Estimate:
        read, seen = (found[f"right.{key}"].all(1) for key in (f"{network}.{site}", "observation.input"))
        return bootstrap_difference(read, seen, seed=setup.about.seed)

    return finding(
        "probe.beyond_observation.middle", f"linear probe at {site}: share of held-out mazes whose row and column of the "
        "cheese are read right, minus the same on the raw observation", gain("policy"), gain("untrained"),
        "the untrained network in place of the trained", "ridge probe onto rows or columns, split by level", setup.policy,
        setup.about, "difference of shares", site,
    )  # fmt: skip


def _channel_finding(setup: Setup, found: dict[str, np.ndarray]) -> Finding:
    counts = {}
    for network in ("policy", "untrained"):
        sums = found[f"sums.{network}"]

        def readable(weights: np.ndarray, sums: np.ndarray = sums) -> np.ndarray:
            mixed = torch.from_numpy(np.einsum("bn,nck->bck", weights, sums))
            return (_correlations(mixed).abs().numpy() >= READABLE).sum(1).astype(float)

        counts[network] = bootstrap(readable, len(sums), seed=setup.about.seed)
    channels = found["sums.policy"].shape[1]
    return finding(
        "channels.interpretable.early",
        f"how many of the {channels} channels follow one named feature of the maze with |r| of at least "
        f"{READABLE}, held out",
        counts["policy"], counts["untrained"], "the untrained network",
        "feature chosen on other mazes; correlation over cells and mazes", setup.policy, setup.about, "channels",
        setup.layout.early,
    )  # fmt: skip
