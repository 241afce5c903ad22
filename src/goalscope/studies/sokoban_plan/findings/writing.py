"""What writing another plan changes, beside random vectors, and the effect that would have been shown."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.stats import Estimate, bootstrap_difference, bootstrap_mean
from goalscope.studies.about import finding
from goalscope.studies.sokoban_plan.findings.probes import Arrays, site_words
from goalscope.studies.sokoban_plan.findings.solving import detectable
from goalscope.studies.sokoban_plan.measure.probes import TARGETS
from goalscope.studies.sokoban_plan.measure.writing import STRENGTHS, otherwise_chosen
from goalscope.studies.sokoban_plan.setup import Setup

EQUAL = "random vectors of equal norm"


def write_findings_of(setup: Setup, found: Arrays) -> Iterator[Finding]:
    """What a written plan does, beside random vectors; how often the level is then solved; how far off it lies."""
    for target in TARGETS:
        if f"{target}.judged" in found:
            yield from _way_findings(setup, found, target)
            if f"{target}.own" in found:
                yield _own_square(setup, found, target)
            yield _far_off(setup, found, target)


def by_level(found: Arrays, target: str, name: str) -> np.ndarray:
    """[L] the mean of an array over draws and over those symmetries of each level that count."""
    judged, values = found[f"{target}.judged"], found[f"{target}.{name}"]
    values = values.mean(0) if values.ndim == 3 else values
    there = judged.any(1)
    return (np.where(judged, values, 0).sum(1) / np.maximum(judged.sum(1), 1))[there]


def _made(
    setup: Setup, target: str, key: str, question: str, value: Estimate, control: Estimate | None, control_name: str,
    found: Arrays, unit: str = "probability", own: str = "", floor: float | None = None,
) -> Finding:  # fmt: skip
    """A finding on a family of levels; of what the player's own square does with `own` = 'own_'."""
    at, strength = found[f"{target}.{own}chosen"].astype(int)
    trial = found[f"{target}.{own}trial"]
    levels, other = trial.shape[-1], otherwise_chosen(trial, setup.about.seed)
    part = setup.layout.parts[at]
    method = (
        f"probe directions at {setup.layout.words(part)}, every tick, strength {STRENGTHS[strength]:g} of the spread; "
        f"chosen on {levels} other level{'s' * (levels > 1)}; drawn anew from these, another choice in {other:.0%}"
    )
    return finding(
        f"write.{target}_shortcut{key}", f"{target}-shortcut levels: {question}", value, control, control_name, method,
        setup.policy, setup.about, unit, site_words(setup, part, setup.layout.ticks - 1), floor,
    )  # fmt: skip


def _way_findings(setup: Setup, found: Arrays, target: str) -> Iterator[Finding]:
    """Which way is taken where the longer one is written, and whether the level is then solved."""
    seed = setup.about.seed
    written, random = by_level(found, target, "written"), by_level(found, target, "random")
    mean = partial(bootstrap_mean, bounds=(0.0, 1.0), seed=seed)
    yield _made(
        setup, target, "", "P(the longer way is taken) where it is written on all squares but the player's own",
        mean(written), mean(random), EQUAL, found, floor=0.0,
    )  # fmt: skip
    yield _made(
        setup, target, ".lift", f"P(longer way) with the plan minus that with {EQUAL}, paired",
        bootstrap_difference(written, random, bounds=(-1, 1), seed=seed), None, f"none: {EQUAL} are what is subtracted",
        found,
    )  # fmt: skip
    if (least := detectable(written - random)) is not None:
        yield _made(
            setup, target, ".detectable",
            "the least true lift, the same in every level, that these levels show four times in five", least, None,
            "a property of the data: it needs none", found,
        )  # fmt: skip
    yield _made(
        setup, target, ".bare", "P(the longer way is taken) where nothing is written",
        mean(by_level(found, target, "bare")), None,
        "null by construction: only levels that are solved by the shorter way are judged", found,
    )  # fmt: skip
    yield _made(
        setup, target, ".solved", "P(solved in the end) where the longer way is written",
        mean(by_level(found, target, "written_solved")), mean(by_level(found, target, "random_solved")), EQUAL, found,
    )  # fmt: skip


def _own_square(setup: Setup, found: Arrays, target: str) -> Finding:
    own, random = (
        bootstrap_mean(by_level(found, target, name), bounds=(0.0, 1.0), seed=setup.about.seed)
        for name in ("own", "own_random")
    )
    return _made(
        setup, target, ".own_square",
        "P(the longer way is taken) where the player's own square alone is written, with the next move", own, random,
        f"{EQUAL} on that square", found, own="own_", floor=0.0,
    )  # fmt: skip


def _far_off(setup: Setup, found: Arrays, target: str) -> Finding:
    usual = float(np.median(found[f"{target}.ordinary"]))
    far, other = (
        bootstrap_mean(found[f"{target}.{k}"] / usual, seed=setup.about.seed) for k in ("far", "far_random")
    )
    return _made(
        setup, target, ".off_manifold", "Mahalanobis distance of the written squares, in medians of clean ones", far,
        other, EQUAL, found, "times the clean median",
    )  # fmt: skip
