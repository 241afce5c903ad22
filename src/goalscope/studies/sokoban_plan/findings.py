"""From what was measured to findings: probes, plans that form, plans that are written, larger boards.

The unit is the level: squares of one level are never independent samples, so intervals resample levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.reading.probe.scores import gains, scores
from goalscope.stats import Estimate, bootstrap_difference, bootstrap_mean
from goalscope.studies.about import finding
from goalscope.studies.sokoban_plan.probes import TARGETS, WINDOW, best_part, looks_followed
from goalscope.studies.sokoban_plan.setup import Setup
from goalscope.studies.sokoban_plan.solving import detectable
from goalscope.studies.sokoban_plan.writing import STRENGTHS

PLANS = {
    "agent": "the move by which the player next leaves each square",
    "box": "the push by which a box next leaves it",
}
SEEN = {
    "observation": "a probe on the observation at the square",
    "window": f"a probe on the observation of the {WINDOW} x {WINDOW} squares around",
}
Arrays = Mapping[str, np.ndarray]


def f1(sums: np.ndarray, seed: int) -> Estimate:
    """Macro-F1 of sums by level."""
    made = scores("logistic", sums, seed).macro_f1
    if made is None:
        raise ValueError("these sums are not of a logistic probe")
    return made


def f1_gain(ours: np.ndarray, theirs: np.ndarray, seed: int) -> Estimate:
    """Macro-F1 of ours minus that of theirs, paired by level."""
    made = gains("logistic", ours, theirs, seed)[1]
    if made is None:
        raise ValueError("these sums are not of a logistic probe")
    return made


def probe_findings(setup: Setup, found: Arrays) -> Iterator[Finding]:
    """F1 of every part and tick beside the untrained network, and what the best part adds to each control."""
    seed, last = setup.about.seed, setup.layout.ticks - 1
    method, unit = "1 x 1 linear probe, held-out levels", "macro-F1"
    for target in TARGETS:

        def estimate(name: str, target: str = target) -> Estimate:
            return f1(found[f"tally.{target}.{name}"], seed)

        part = best_part(setup, found, target)
        best = f"policy.{part}.{last}"
        plan = PLANS[target]
        for where in setup.layout.parts:
            for tick in range(setup.layout.ticks):
                yield finding(
                    f"probe.{target}.{_id(where)}.tick_{tick + 1}",
                    f"how well {plan} is read, {setup.layout.words(where)}, tick {tick + 1}",
                    estimate(f"policy.{where}.{tick}"), estimate(f"untrained.{where}.{tick}"), "untrained network",
                    method, setup.policy, setup.about, unit, _site(setup, where, tick),
                )  # fmt: skip
        site = _site(setup, part, last)
        for name in ("observation", "window", "random", "constant"):
            words = (
                SEEN.get(name)
                or {"random": "labels drawn at random", "constant": "the most frequent label"}[name]
            )
            yield finding(
                f"probe.{target}.{name}", f"how well {plan} is read: {words}", estimate(name), estimate(best),
                f"the probe on {setup.layout.words(part)}", method, setup.policy, setup.about, unit,
                "observation" if name in SEEN else site,
            )  # fmt: skip
        for name, words in (
            *SEEN.items(),
            (f"untrained.{part}.{last}", "the untrained network"),
            ("random", "random labels"),
        ):
            yield finding(
                f"probe.{target}.gain.{name.split('.')[0]}", f"reading {plan}: {setup.layout.words(part)} minus {words}",
                f1_gain(found[f"tally.{target}.{best}"], found[f"tally.{target}.{name}"], seed), None,
                f"none: {words} is what is subtracted", method, setup.policy, setup.about, unit, site,
            )  # fmt: skip
        yield finding(
            f"probe.{target}.beyond_window",
            f"reading {plan}: what the memory adds to {SEEN['window']}",
            f1_gain(found[f"tally.{target}.both"], found[f"tally.{target}.window"], seed), None,
            "none: the window alone is what is subtracted", method, setup.policy, setup.about, unit,
            _site(setup, setup.layout.parts[-1], last),
        )  # fmt: skip


def _id(part: str) -> str:
    return "all_layers" if part == "all" else f"layer_{int(part) + 1}"


def _site(setup: Setup, part: str, tick: int) -> str:
    return ", ".join(setup.layout.sites(part, tick))


def plan_findings(setup: Setup, probes: Arrays, found: Arrays) -> Iterator[Finding]:
    """F1 at each tick of the first looks, and how much it rises."""
    seed, looks, ticks = setup.about.seed, looks_followed(setup.module), setup.layout.ticks
    method, unit = "1 x 1 linear probe during the looks at the start", "macro-F1"
    for target in TARGETS:
        part = best_part(setup, probes, target)
        for look in range(looks):
            for tick in range(ticks):
                mine, other = (found[f"tally.{target}.{n}.{look}.{tick}"] for n in ("policy", "untrained"))
                yield finding(
                    f"plan.tick.{target}.look_{look + 1}_tick_{tick + 1}",
                    f"how well {PLANS[target]} is read at look {look + 1}, tick {tick + 1}",
                    f1(mine, seed), f1(other, seed), "untrained network", method, setup.policy, setup.about, unit,
                    _site(setup, part, tick),
                )  # fmt: skip
        if looks * ticks == 1:
            continue
        spans = {
            "first_look": (0, ticks - 1),
            "all_looks": (looks - 1, ticks - 1),
            "later_looks": (looks - 1, ticks - 1),
        }
        for name, end in spans.items():
            begin = (0, ticks - 1) if name == "later_looks" else (0, 0)
            if begin == end:
                continue
            rises = {}
            for network in ("policy", "untrained"):
                late, early = (
                    found[f"tally.{target}.{network}.{look}.{tick}"] for look, tick in (end, begin)
                )
                rises[network] = f1_gain(late, early, seed)
            yield finding(
                f"plan.rise.{target}.{name}",
                f"{PLANS[target]}: F1 at look {end[0] + 1}, tick {end[1] + 1} minus that at look {begin[0] + 1}, "
                f"tick {begin[1] + 1}",
                rises["policy"], rises["untrained"], "untrained network", method, setup.policy, setup.about, unit,
                _site(setup, part, end[1]),
            )  # fmt: skip


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
        if (least := detectable(written - random)) is not None:
            yield made(
                f"{key}.detectable",
                f"{words}: the least true lift, the same in every level, that these levels show four times in five",
                least, None, "a property of the data: it needs none", method="the interval's rule on made data",
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


def larger_findings(setup: Setup, found: Arrays) -> Iterator[Finding]:
    """The probes of the policy's own boards, read on larger ones."""
    seed = setup.about.seed
    for target in TARGETS:
        yield finding(
            f"larger.probe.{target}",
            f"how well {PLANS[target]} is read on {setup.sets['larger'].words}, by the probe of {setup.size} x {setup.size}",
            f1(found[f"tally.{target}.policy"], seed), f1(found[f"tally.{target}.window"], seed), SEEN["window"],
            "1 x 1 linear probe, fitted on smaller boards", setup.policy, setup.about, "macro-F1",
        )  # fmt: skip
