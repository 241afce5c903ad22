"""Estimates with their controls: what is read of the way, how it forms, what writing another one does, what thinking buys.

The level is the unit everywhere: what is read on the squares of a way is one share a level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.stats import (
    Estimate,
    above_zero_within,
    binomial_interval,
    bootstrap_difference,
    bootstrap_mean,
    least_effect,
)
from goalscope.studies.about import finding
from goalscope.studies.planning.measure.reading import CODES, chosen_code
from goalscope.studies.planning.measure.windows import sides_for
from goalscope.studies.planning.measure.writing import STRENGTHS, WAYS, WHEN, otherwise_chosen
from goalscope.studies.planning.setup import Setup

Arrays = Mapping[str, np.ndarray]
SHARE = "share of squares"
NEAR, FAR = 8, 24
"""steps to the cheese up to which a square is near, and from which it is far"""
FAR_CHEESE = 40
"""steps from the start to the cheese from which it is far"""
SOLVED = 0.5
"""chance of coming to the cheese from which a level counts as solved"""
SHUFFLES = 50
"""of the steps of a way, behind the control of the front"""
EQUAL = "random vectors of equal norm"
FOLLOWED = "another way, into a branch without cheese, is followed at every step"
CODE_WORDS = {"move": "the right move", "steps": "the steps that are left, of which the move follows"}
WAY_WORDS = {
    "probe": "the probe's directions", "mean": "differences of mean activations", "steps": "the probe of steps left",
}  # fmt: skip


def by_level(values: np.ndarray, level: np.ndarray) -> np.ndarray:
    """[L] mean of values [R] in each level."""
    _, index = np.unique(level, return_inverse=True)
    return np.bincount(index, values) / np.bincount(index)


def mean(values: np.ndarray, setup: Setup) -> Estimate:
    """Mean over levels of shares."""
    return bootstrap_mean(values.astype(float), bounds=(0, 1), seed=setup.about.seed)


def gain(ours: np.ndarray, theirs: np.ndarray, setup: Setup) -> Estimate:
    """Mean difference of shares, paired by level."""
    return bootstrap_difference(
        ours.astype(float), theirs.astype(float), bounds=(-1, 1), seed=setup.about.seed
    )


def rivals(setup: Setup) -> dict[str, str]:
    """What the reading must beat, by the names of `read`, in words."""
    windows = {f"window_{k}": f"the {k} x {k} squares around" for k in sides_for(setup.world.size)}
    return {
        "observation": "the observation at the square", **windows, "untrained": "the untrained network",
        "other_goal": "ways to other squares of the same mazes",
    }  # fmt: skip


def read_findings(setup: Setup, found: Arrays) -> Iterator[Finding]:
    """What is read at the last moment, and by how much more than by each control."""
    code, level = chosen_code(found), found["level"]
    mine = by_level(found[f"policy.{code}"], level)
    others = {
        name: by_level(found[name], found["other_goal.level"] if name == "other_goal" else level)
        for name in rivals(setup)
    }
    method = f"linear probe of {CODE_WORDS[code]} at {setup.sites[-1]}, held-out levels; the code was chosen on other levels"

    def made(
        name: str, question: str, value: Estimate, control: Estimate | None, words: str, **more: Any
    ) -> Finding:
        return finding(
            name,
            question,
            value,
            control,
            words,
            method,
            setup.policy,
            setup.about,
            SHARE,
            setup.sites[-1],
            **more,
        )

    asked = "on how many squares of the way to come the right move is read"
    floor = float(others["observation"].mean())
    widest = f"window_{sides_for(setup.world.size)[-1]}"
    yield made(
        "read.way", asked, mean(mine, setup), mean(others[widest], setup), rivals(setup)[widest], floor=floor
    )
    for each in CODES:
        value = mean(by_level(found[f"policy.{each}"], level), setup)
        yield made(
            f"read.code.{each}", f"{asked}, from a probe of {CODE_WORDS[each]}", value, mean(others["untrained"], setup),
            "untrained network", floor=floor,
        )  # fmt: skip
    for name, words in rivals(setup).items():
        yield made(
            f"read.beside.{name}", f"{asked}, beside {words}", mean(mine, setup), mean(others[name], setup), words,
            floor=None if name == "observation" else floor,
        )  # fmt: skip
        both = len(mine) == len(others[name])
        difference = gain(mine, others[name], setup) if both else unpaired(mine, others[name], setup)
        yield made(
            f"read.gain.{name}", f"reading the way: the network minus {words}", difference, None,
            f"none: {words} is what is subtracted",
        )  # fmt: skip
    yield made(
        "read.does", "on how many squares of the way what is read is what it then does",
        mean(by_level(found["does"], level), setup), mean(by_level(found["right"], level), setup),
        "how often what it does is right",
    )  # fmt: skip


def unpaired(ours: np.ndarray, theirs: np.ndarray, setup: Setup) -> Estimate:
    """Difference of two means over levels that are not the same ones: the intervals' ends far apart, so it is too wide."""
    a, b = mean(ours, setup), mean(theirs, setup)
    return Estimate(a.estimate - b.estimate, a.low - b.high, a.high - b.low, min(a.n, b.n))


def form_findings(setup: Setup, found: Arrays) -> Iterator[Finding]:
    """What is read at each moment, near the cheese and far from it, and how many moments a step further takes."""
    level, steps, count = found["level"], found["steps"], len(setup.sites)
    if count == 1:
        return
    method = "linear probes, one for each moment, held-out levels"

    def made(
        name: str,
        question: str,
        value: Estimate,
        control: Estimate | None,
        words: str,
        t: int,
        unit: str = SHARE,
    ) -> Finding:
        return finding(
            name, question, value, control, words, method, setup.policy, setup.about, unit, setup.sites[t]
        )

    places = {"moment": steps > 0, "near.moment": steps <= NEAR, "far.moment": steps >= FAR}
    words = {
        "moment": "",
        "near.moment": f", {NEAR} steps from the cheese or nearer",
        "far.moment": f", {FAR} steps or more",
    }
    for place, squares in places.items():
        if not squares.any():
            continue
        for t in range(count):
            mine, blank = (
                mean(by_level(found[k][t][squares], level[squares]), setup)
                for k in ("moments", "moments_untrained")
            )
            yield made(
                f"form.{place}_{t + 1}", f"squares of the way whose right move is read at moment {t + 1}{words[place]}",
                mine, blank, "untrained network", t,
            )  # fmt: skip
    rises = [
        gain(by_level(found[k][-1], level), by_level(found[k][0], level), setup)
        for k in ("moments", "moments_untrained")
    ]
    yield made(
        "form.rise",
        f"right moves read at moment {count} minus at moment 1",
        rises[0],
        rises[1],
        "untrained network",
        count - 1,
    )
    # A square where the observation is right already may be read right from the first moment on by chance.
    hard = ~found["observation"].astype(bool)
    slopes = fronts(found["moments"][:, hard], steps[hard], level[hard], setup.about.seed)
    if len(slopes[0]) > 1:
        mine, shuffled = (bootstrap_mean(s, seed=setup.about.seed) for s in slopes)
        yield made(
            "form.front", "moments later that a square's right move is read for good, a step further from the cheese",
            mine, shuffled, "the steps of the way's squares shuffled", count - 1, "moments a step",
        )  # fmt: skip


def fronts(
    moments: np.ndarray, steps: np.ndarray, level: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """[L] slope of the moment from which a square is read right for good on its steps to the cheese, and on shuffled ones.

    The shuffled slope is the mean of `SHUFFLES` of them, so that the control is not as uncertain as a single draw.

    Squares that are wrong at the last moment have none; neither have levels with fewer than three others.
    """
    rng = np.random.default_rng([seed, 27])
    settled = len(moments) - np.logical_and.accumulate(moments[::-1]).sum(0)
    slopes: tuple[list[float], list[float]] = ([], [])
    for each in np.unique(level):
        rows = (level == each) & moments[-1]
        x, y = steps[rows].astype(float), settled[rows].astype(float)
        if len(x) < 3:
            continue
        centred = x - x.mean()
        shuffled = np.stack([rng.permutation(centred) for _ in range(SHUFFLES)])
        for kept, rows_of in zip(slopes, (centred[None], shuffled), strict=True):
            kept.append(float((rows_of @ y).mean() / (centred @ centred)))
    return np.array(slopes[0]), np.array(slopes[1])


def follow_findings(setup: Setup, found: Arrays) -> Iterator[Finding]:
    """How often another way that is written is followed, beside random vectors; and where the whole state is swapped."""
    if "judged" not in found:
        return
    yield from _written(setup, found, "", "on all squares but the mouse's own")
    yield from _off_manifold(setup, found)
    yield from _written(setup, found, "own_", "on the mouse's own square alone")
    judged = found["judged"].astype(bool)
    swap, other = (found[k][judged].astype(float) for k in ("swap", "swap_random"))
    method = "state of the same maze with the cheese at the way's end, on all squares but the mouse's own"
    control, question = (
        "the state with the cheese at another square",
        f"{FOLLOWED}, where the state is swapped",
    )
    for name, value, beside, words in (
        ("follow.swap", mean(swap, setup), mean(other, setup), control),
        ("follow.swap.lift", gain(swap, other, setup), None, f"none: {control} is what is subtracted"),
    ):
        yield finding(name, question, value, beside, words, method, setup.policy, setup.about)


def _written(setup: Setup, found: Arrays, key: str, where: str) -> Iterator[Finding]:
    """What is written somewhere, as a share, as a difference from random vectors, and the least that would be shown."""
    judged, name = found["judged"].astype(bool), "follow.own_square" if key else "follow.way"
    mine = found["own" if key else "written"][judged].astype(float)
    random = found[f"{key}random"][:, judged].mean(0)
    method = writing_words(found, key, setup.about.seed)
    made = partial(finding, method=method, found=setup.policy, about=setup.about)
    question = f"{FOLLOWED}, where it is written {where}"
    yield made(name, question, mean(mine, setup), mean(random, setup), EQUAL, floor=0.0)
    nothing = f"none: {EQUAL} are what is subtracted"
    yield made(f"{name}.lift", f"{question}, minus {EQUAL}", gain(mine, random, setup), None, nothing)
    if len(mine) > 1:
        least = least_effect(mine - random, rule=above_zero_within((-1, 1)), bounds=(-1, 1))
        if least is not None:
            asked = "the least true lift, the same in every level, that is shown four times in five"
            bare = Estimate.bare(least, len(mine))
            yield made(f"{name}.detectable", asked, bare, None, "a property of the data: it needs none")


def _off_manifold(setup: Setup, found: Arrays) -> Iterator[Finding]:
    usual = float(np.median(found["ordinary"]))
    far, other = (bootstrap_mean(found[k] / usual, seed=setup.about.seed) for k in ("far", "far_random"))
    yield finding(
        "follow.way.off_manifold", "Mahalanobis distance of the written squares, in medians of clean ones", far, other,
        EQUAL, writing_words(found, "", setup.about.seed), setup.policy, setup.about, "times the clean median",
    )  # fmt: skip


def writing_words(found: Arrays, key: str, seed: int) -> str:
    """How directions, moments and strength were chosen, and how fragile that is."""
    i, j, k = found[f"{key}chosen"].astype(int)
    trial = found[f"{key}trial"]
    return (
        f"{WAY_WORDS[WAYS[i]]}, {WHEN[j]} moment, strength {STRENGTHS[k]:g}; chosen on {trial.shape[-1]} other "
        f"levels; drawn anew from these, another choice in {otherwise_chosen(trial, seed):.0%}"
    )


def think_findings(setup: Setup, found: Arrays) -> Iterator[Finding]:
    """Exact chances to come to the cheese by ticks, and the levels that flip."""
    if "ticks" not in found:
        return
    ticks, reach, own = found["ticks"], found["reach"], setup.module.ticks
    method, far = "exact chain", found["steps"] >= FAR_CHEESE

    def made(name: str, question: str, value: Estimate, control: Estimate | None, words: str) -> Finding:
        return finding(name, question, value, control, words, method, setup.policy, setup.about)

    blank = "untrained network"
    for place, rows, words in (("all", far | True, ""), ("far", far, f", {FAR_CHEESE} steps away or more")):
        if not rows.any():
            continue
        for t, chance in zip(ticks, reach, strict=True):
            question = f"chance of coming to the cheese{words}, {t} ticks a step"
            yield made(
                f"think.{place}.ticks_{t}",
                question,
                mean(chance[rows], setup),
                mean(found["untrained"][rows], setup),
                blank,
            )
        at = int(np.flatnonzero(ticks == own)[0])
        for other in (int(np.searchsorted(ticks, max(1, own // 4))), len(ticks) - 1):
            if other == at:
                continue
            few, many = min(at, other), max(at, other)
            yield made(
                f"think.{place}.{'gain' if other < at else 'longer'}",
                f"chance of coming to the cheese{words}: {ticks[many]} ticks minus {ticks[few]}, paired",
                gain(reach[many][rows], reach[few][rows], setup), None, "none: the same levels with fewer ticks",
            )  # fmt: skip
    solved = reach >= SOLVED
    for t, before, now in zip(ticks[1:], solved[:-1], solved[1:], strict=True):
        up, down = (binomial_interval(int(flip.sum()), len(flip)) for flip in (now & ~before, before & ~now))
        yield made(
            f"think.to_solved_{t}",
            f"share of levels that {t} ticks solve and the number before does not",
            up,
            down,
            "share the other way round",
        )
        yield made(
            f"think.to_unsolved_{t}",
            f"share of levels that {t} ticks do not solve any more",
            down,
            up,
            "share the other way round",
        )


def replan_findings(setup: Setup, found: Arrays) -> Iterator[Finding]:
    """What is done where a wall closes on the way."""
    takes = found["takes"]
    if not len(takes):
        return
    method = "most probable moves to the opening, then the exact chain"
    yield finding(
        "replan.takes", "share of levels where the mouse walks through an opening that makes the way shorter",
        binomial_interval(int(takes.sum()), len(takes)), None, "none: it says how many levels the next number is of",
        method, setup.policy, setup.about,
    )  # fmt: skip
    if takes.any():
        yield finding(
            "replan.reach", "chance of coming to the cheese from there, once the opening has closed in front of the mouse",
            mean(found["reach"], setup), mean(found["untrained"], setup), "untrained network", method, setup.policy,
            setup.about,
        )  # fmt: skip
