"""What writing another plan changes, beside random vectors, and the effect that would have been shown."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.stats import Estimate, bootstrap_difference, bootstrap_mean
from goalscope.studies.about import finding
from goalscope.studies.sokoban_plan.findings.probes import Arrays, _site
from goalscope.studies.sokoban_plan.measure.probes import TARGETS
from goalscope.studies.sokoban_plan.measure.writing import STRENGTHS
from goalscope.studies.sokoban_plan.setup import Setup


def write_findings_of(setup: Setup, found: Arrays) -> Iterator[Finding]:
    """What a written plan does, beside random vectors; how often the level is then solved; how far off it lies."""
    seed = setup.about.seed
    for target in TARGETS:
        key = f"write.{target}_shortcut"
        if f"{target}.judged" not in found:
            continue
        part_at, strength_at = found[f"{target}.chosen"].astype(int)
        part = setup.layout.parts[part_at]
        site = _site(setup, part, setup.layout.ticks - 1)
        words = f"{target}-shortcut levels"
        method = (
            f"probe directions at {setup.layout.words(part)}, every tick, strength {STRENGTHS[strength_at]:g} of the "
            "spread; chosen on other levels"
        )

        def by_level(name: str, target: str = target) -> np.ndarray:
            judged, values = found[f"{target}.judged"], found[f"{target}.{name}"]
            values = values.mean(0) if values.ndim == 3 else values
            there = judged.any(1)
            return (np.where(judged, values, 0).sum(1) / np.maximum(judged.sum(1), 1))[there]

        def mean(values: np.ndarray, low: float = 0.0) -> Estimate:
            return bootstrap_mean(values, bounds=(low, 1.0), seed=seed)

        def made(
            identifier: str, question: str, value: Estimate, control: Estimate | None, control_name: str,
            unit: str = "probability", method: str = method, site: str = site,
        ) -> Finding:  # fmt: skip
            return finding(
                identifier, question, value, control, control_name, method, setup.policy, setup.about, unit, site,
            )  # fmt: skip

        written, random = by_level("written"), by_level("random")
        equal = "random vectors of equal norm"
        yield made(
            key, f"{words}: P(the longer way is taken) where it is written on all squares but the player's own",
            mean(written), mean(random), equal,
        )  # fmt: skip
        yield made(
            f"{key}.lift", f"{words}: P(longer way) with the plan minus that with {equal}, paired",
            bootstrap_difference(written, random, bounds=(-1, 1), seed=seed), None, f"none: {equal} are what is subtracted",
        )  # fmt: skip
        yield made(
            f"{key}.bare", f"{words}: P(the longer way is taken) where nothing is written", mean(by_level("bare")), None,
            "null by construction: only levels that are solved by the shorter way are judged",
        )  # fmt: skip
        yield made(
            f"{key}.solved", f"{words}: P(solved in the end) where the longer way is written",
            mean(by_level("written_solved")), mean(by_level("random_solved")), equal,
        )  # fmt: skip
        if f"{target}.own" in found:
            at, strong = found[f"{target}.own_chosen"].astype(int)
            yield made(
                f"{key}.own_square",
                f"{words}: P(the longer way is taken) where the player's own square alone is written, with the next move",
                mean(by_level("own")), mean(by_level("own_random")), f"{equal} on that square",
                method=f"probe directions at {setup.layout.words(setup.layout.parts[at])}, every tick, strength "
                f"{STRENGTHS[strong]:g} of the spread; chosen on other levels",
                site=_site(setup, setup.layout.parts[at], setup.layout.ticks - 1),
            )  # fmt: skip
        usual = float(np.median(found[f"{target}.ordinary"]))
        far, other = (
            bootstrap_mean(found[f"{target}.{k}"] / usual, seed=seed) for k in ("far", "far_random")
        )
        yield made(
            f"{key}.off_manifold", f"{words}: Mahalanobis distance of the written squares, in medians of clean ones",
            far, other, equal, "times the clean median",
        )  # fmt: skip


def smallest_effect(estimate: Finding) -> float:
    """The effect that the data would have shown with 80% power: 2.8 standard errors, from the interval's width."""
    return 2.8 * (estimate.high - estimate.low) / (2 * 1.96)
