"""What can be read in the network: probes by layer beside their controls, and channels that are maps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from goalscope.evidence.finding import Finding
from goalscope.stats import Estimate, bootstrap, bootstrap_difference, bootstrap_mean
from goalscope.studies.about import finding
from goalscope.studies.maze_internals.measure.reading import FEATURES, correlations
from goalscope.studies.maze_internals.setup import Setup

READABLE = 0.9
"""absolute correlation from which a channel counts as a map of a feature"""


def channel_table(found: dict[str, np.ndarray], network: str = "policy") -> list[tuple[int, str, float]]:
    """(channel, feature, held-out correlation), the strongest first."""
    r = correlations(torch.from_numpy(found[f"sums.{network}"]).sum(0)).numpy()
    order = np.argsort(-np.abs(r), kind="stable")
    return [(int(c), FEATURES[found[f"features.{network}"][c]], float(r[c])) for c in order]


def reading_findings(setup: Setup, found: dict[str, np.ndarray]) -> list[Finding]:
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
                float(reads[what](found[f"permuted.policy.{site}"]).mean()),
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
            return (correlations(mixed).abs().numpy() >= READABLE).sum(1).astype(float)

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
