"""Does writing along the probes move the mouse, do the probes then read it, and how far off does it lie?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.stats import bootstrap_mean
from goalscope.studies.about import finding
from goalscope.studies.maze_internals.setup import Setup


def writing_findings(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    """Whether writing along the probes moves the mouse, whether the probes then read it, and how far off it lies."""
    about, policy, site = setup.about, setup.policy, setup.layout.middle

    def change(key: str):
        return bootstrap_mean(found[key] - found["reach.none"], bounds=(-1, 1), seed=about.seed)

    method = "rows and columns of the ridge probes, norm of a cheese that moves"
    yield finding(
        "probe.write.reach_target",
        "another square for the cheese written along the probes' directions: change of P(reach it), held-out mazes",
        change("reach.written"), change("reach.random"), "random directions of equal norm", method, policy, about,
        "probability", site,
    )  # fmt: skip
    yield finding(
        "probe.write.ceiling",
        "the cheese itself put on that square: change of P(reach it), held-out mazes",
        change("reach.moved"), change("reach.random"), "random directions of equal norm", method, policy, about,
        "probability", site,
    )  # fmt: skip
    yield finding(
        "probe.write.read", "the probes read the square that was written along their directions, held-out mazes",
        bootstrap_mean(found["read.written"], seed=about.seed), bootstrap_mean(found["read.random"], seed=about.seed),
        "random directions of equal norm", method, policy, about, "share of mazes", site,
    )  # fmt: skip
    yield finding(
        "probe.write.off_manifold",
        "cells of the written activations that lie further off than 95% of clean ones (Mahalanobis)",
        bootstrap_mean(found["off.written"], seed=about.seed), bootstrap_mean(found["off.moved"], seed=about.seed),
        "activations of the cheese really moved", method, policy, about, "share of cells", site,
    )  # fmt: skip
