"""What a hypothesis leaves out: claims that, added to it, move the result.

Somebody who believes in another claim about a part may allow only those swaps that both claims allow (their common
refinement). If the hypothesis names all that matters, that changes nothing: it is already as good as the module. If it
leaves something out, keeping that in place as well moves the scrubbed metric. So claims are taken from a list, the one
that moves it most first, and what they move is measured on inputs on which they were not chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from goalscope.activations.inputs import Inputs
from goalscope.methods.trust.scrubbing.hypothesis import Hypothesis, join, union, with_features
from goalscope.methods.trust.scrubbing.scrub import BATCH, NumberedMetric, Runs, measured_on
from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap_difference


@dataclass(frozen=True)
class Adversary:
    """The claims of a list that move a hypothesis most."""

    __repr__, _repr_html_ = text, drawing

    added: tuple[tuple[str, str], ...]
    """(part, claim), in the order in which they were found; none where no claim moves it on the inputs that choose"""
    joined: Estimate
    """mean metric with only the swaps that both allow, minus that of the hypothesis alone; other inputs than chose"""
    united: Estimate
    """the same with the swaps that either allows, and chains of them"""
    tried: Mapping[tuple[str, str], float]
    """(part, claim) -> what it moves by itself, on the inputs that choose"""


def adversary(
    module: nn.Module,
    inputs: Inputs,
    hypothesis: Hypothesis,
    metric: NumberedMetric,
    claims: Mapping[str, Mapping[str, np.ndarray]],
    *,
    most: int = 3,
    draws: int = 16,
    batch: int = BATCH,
    seed: int = 0,
) -> Adversary:
    """Adds claims greedily as long as the scrubbed metric moves further, either way.

    Args:
        module, inputs, hypothesis, metric, draws, batch, seed: as for `scrub`.
        claims: part -> name of a claim -> [N] labels of the inputs.
        most: claims added at most.

    Raises:
        ValueError: as `scrub`; a part that the hypothesis has not, no claims, labels of another length, fewer than four
            inputs.
    """
    runs = Runs(module, inputs, hypothesis, batch)
    labels = _labels(claims, runs)
    order = np.random.default_rng(seed).permutation(runs.count)
    choose, judge = order[: runs.count // 2], order[runs.count // 2 :]

    def scrubbed(features: Mapping[str, np.ndarray | None], numbers: np.ndarray) -> np.ndarray:
        """[B] mean over the draws. All claims are tried under the same draws as far as they allow them."""
        runs.hypothesis = with_features(base, features)
        rng, total = np.random.default_rng([seed, 1]), np.zeros(len(numbers))
        for _ in range(draws):
            total += np.concatenate(
                [measured_on(metric, runs.scrubbed(rows, rng), rows) for rows in runs.batches(numbers)]
            )
        return total / draws

    base = runs.hypothesis
    own = {name: part.feature for name, part in base.parts.items()}
    alone = scrubbed({}, choose)
    tried: dict[tuple[str, str], float] = {}
    added: list[tuple[str, str]] = []
    features, moved = dict(own), 0.0
    for turn in range(most):
        found = {
            key: float((scrubbed({**features, key[0]: join(features[key[0]], label)}, choose) - alone).mean())
            for key, label in labels.items()
            if key not in added
        }
        tried = found if turn == 0 else tried
        best = max(found, key=lambda key: abs(found[key]), default=None)
        if best is None or abs(found[best]) <= moved + _NOISE * float(np.abs(alone).max()):
            break
        added.append(best)
        moved = abs(found[best])
        features[best[0]] = join(features[best[0]], labels[best])
    united = dict(own)
    for part, claim in added:
        united[part] = union(united[part], labels[part, claim])
    plain = scrubbed({}, judge)
    joined, one = (bootstrap_difference(scrubbed(some, judge), plain) for some in (features, united))
    return Adversary(tuple(added), joined, one, tried)


_NOISE = 1e-9
"""of the metric's size: what rounding moves is no move"""


def _labels(claims: Mapping[str, Mapping[str, np.ndarray]], runs: Runs) -> dict[tuple[str, str], np.ndarray]:
    if runs.count < 4:
        raise ValueError(f"half of the inputs choose and half judge: give at least four, got {runs.count}")
    found = {}
    for part, named in claims.items():
        if part not in runs.hypothesis.parts:
            raise ValueError(
                f"claims are made of {part!r}, which is no part; there are {', '.join(runs.hypothesis.parts)}"
            )
        for name, label in named.items():
            label = np.asarray(label)
            if label.shape != (runs.count,):
                raise ValueError(
                    f"the claim {name!r} has shape {list(label.shape)}, there are {runs.count} inputs"
                )
            found[part, name] = np.unique(label, return_inverse=True)[1].reshape(-1)
    if not found:
        raise ValueError("no claims to add: name at least one for one part")
    return found
