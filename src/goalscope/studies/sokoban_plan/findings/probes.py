"""What probes read of the plan, how it forms tick by tick, and what is left of it on larger boards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.reading.probe.scores import gains, scores
from goalscope.stats import Estimate, bootstrap_ratio
from goalscope.studies.about import finding
from goalscope.studies.sokoban_plan.measure.beside import WINDOW_SIDES
from goalscope.studies.sokoban_plan.measure.probes import OTHER, TARGETS, best_part, looks_followed
from goalscope.studies.sokoban_plan.setup import Setup

PLANS = {
    "agent": "the move by which the player next leaves each square",
    "box": "the push by which a box next leaves it",
}
SEEN = {
    "observation": "the observation at the square",
    **{f"window_{k}": f"the observation of the {k} x {k} squares around" for k in WINDOW_SIDES},
}
OF = "the same probe on "
WINDOW = f"window_{WINDOW_SIDES[-1]}"
"""the largest one"""
METHOD, UNIT = "1 x 1 linear probe, held-out levels", "macro-F1"
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
    for target in TARGETS:
        yield from _part_findings(setup, found, target)
        yield from _control_findings(setup, found, target)
        yield from _gain_findings(setup, found, target)
        yield from _difference_findings(setup, found, target)


def _tally(setup: Setup, found: Arrays, target: str, name: str) -> Estimate:
    return f1(found[f"tally.{target}.{name}"], setup.about.seed)


def _part_findings(setup: Setup, found: Arrays, target: str) -> Iterator[Finding]:
    floor = _tally(setup, found, target, "constant").estimate
    for where in setup.layout.parts:
        for tick in range(setup.layout.ticks):
            mine, other = (
                _tally(setup, found, target, f"{n}.{where}.{tick}") for n in ("policy", "untrained")
            )
            yield finding(
                f"probe.{target}.{_id(where)}.tick_{tick + 1}",
                f"how well {PLANS[target]} is read, {setup.layout.words(where)}, tick {tick + 1}", mine, other,
                "untrained network", METHOD, setup.policy, setup.about, UNIT, site_words(setup, where, tick), floor,
            )  # fmt: skip


def _control_findings(setup: Setup, found: Arrays, target: str) -> Iterator[Finding]:
    part, last = best_part(setup, found, target), setup.layout.ticks - 1
    best = _tally(setup, found, target, f"policy.{part}.{last}")
    said = SEEN | _labels(setup) | {"constant": "the most frequent label"}
    floor = _tally(setup, found, target, "constant").estimate
    for name, words in said.items():
        yield finding(
            f"probe.{target}.beside.{name}",
            f"how well {PLANS[target]} is read, {setup.layout.words(part)}, beside {words}", best,
            _tally(setup, found, target, name), words, METHOD, setup.policy, setup.about, UNIT,
            site_words(setup, part, last), None if name == "constant" else floor,
        )  # fmt: skip


def _labels(setup: Setup) -> dict[str, str]:
    """The controls that are no observation: what is read, or which network reads it, is another."""
    said = {
        "random": "labels drawn at random",
        "other_level": "the plans of other levels, at the same squares",
    }
    if setup.other is not None:
        said[OTHER] = f"{OF}{setup.other.name}, trained too, on the same episodes"
    return said


def _gain_findings(setup: Setup, found: Arrays, target: str) -> Iterator[Finding]:
    part, last = best_part(setup, found, target), setup.layout.ticks - 1
    plan, sums = PLANS[target], {name: found[f"tally.{target}.{name}"] for name in (
        *SEEN, *_labels(setup), "both", f"policy.{part}.{last}", f"untrained.{part}.{last}")}  # fmt: skip
    less = (
        SEEN
        | _labels(setup)
        | {f"untrained.{part}.{last}": "the untrained network", "random": "random labels"}
    )
    for name, words in less.items():
        yield finding(
            f"probe.{target}.gain.{name.split('.')[0]}", f"reading {plan}: {setup.layout.words(part)} minus {words}",
            f1_gain(sums[f"policy.{part}.{last}"], sums[name], setup.about.seed), None,
            f"none: {words} is what is subtracted", METHOD, setup.policy, setup.about, UNIT,
            site_words(setup, part, last),
        )  # fmt: skip
    yield finding(
        f"probe.{target}.beyond_window", f"reading {plan}: what the memory adds to {SEEN[WINDOW]}",
        f1_gain(sums["both"], sums[WINDOW], setup.about.seed), None,
        "none: the window alone is what is subtracted", METHOD, setup.policy, setup.about, UNIT,
        site_words(setup, setup.layout.parts[-1], last),
    )  # fmt: skip


def _difference_findings(setup: Setup, found: Arrays, target: str) -> Iterator[Finding]:
    """On how many squares the memory and a window say different things, and which of them is right there."""
    part, last, seed = best_part(setup, found, target), setup.layout.ticks - 1, setup.about.seed
    site, where = site_words(setup, part, last), setup.layout.words(part)
    for side in WINDOW_SIDES:
        squares, apart, mine, theirs = found[f"differ.{target}.window_{side}"].T
        window = SEEN[f"window_{side}"]
        yield finding(
            f"probe.{target}.differs.window_{side}",
            f"share of squares on which the probe on {where} and {window} say different things of {PLANS[target]}",
            bootstrap_ratio(apart, squares, bounds=(0, 1), seed=seed), None, "a count: it needs none", METHOD,
            setup.policy, setup.about, "share of squares", site,
        )  # fmt: skip
        if apart.any():
            estimate, control = (bootstrap_ratio(v, apart, bounds=(0, 1), seed=seed) for v in (mine, theirs))
            yield finding(
                f"probe.{target}.right_where_differs.window_{side}",
                f"where the probe on {where} and {window} say different things of {PLANS[target]}: how often the memory's "
                "is right",
                estimate, control, f"how often {window} is", METHOD, setup.policy, setup.about, "share of squares", site,
            )  # fmt: skip


def _id(part: str) -> str:
    return "all_layers" if part == "all" else f"layer_{int(part) + 1}"


def site_words(setup: Setup, part: str, tick: int) -> str:
    """The sites of a part at a tick, as findings name them."""
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
                    site_words(setup, part, tick),
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
                site_words(setup, part, end[1]),
            )  # fmt: skip


def larger_findings(setup: Setup, found: Arrays) -> Iterator[Finding]:
    """The probes of the policy's own boards, read on larger ones."""
    seed = setup.about.seed
    for target in TARGETS:
        yield finding(
            f"larger.probe.{target}",
            f"how well {PLANS[target]} is read on {setup.sets['larger'].words}, by the probe of {setup.size} x {setup.size}",
            f1(found[f"tally.{target}.policy"], seed), f1(found[f"tally.{target}.window"], seed), SEEN[WINDOW],
            "1 x 1 linear probe, fitted on smaller boards", setup.policy, setup.about, "macro-F1",
        )  # fmt: skip
