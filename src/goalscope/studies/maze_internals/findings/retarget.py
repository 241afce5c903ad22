"""Findings about retargeting: every square, the far corners, one channel, the edit budget and the collateral."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.stats import Estimate, bootstrap_clustered
from goalscope.studies.about import finding
from goalscope.studies.maze_internals.measure.retarget import BUDGETS, CORNERS
from goalscope.studies.maze_internals.setup import Setup

NEAR, FAR = 8, 16
"""steps from the mouse's start: targets up to the first and from the second on are reported apart"""
UNIT = "probability"


def retarget_findings(setup: Setup, found: dict[str, np.ndarray]) -> list[Finding]:
    """All of them; cases are pairs of maze and target, intervals resample mazes."""
    return [*_moved(setup, found), *_corners(setup, found), *_few(setup, found), *_collateral(setup, found)]


def _mean(setup: Setup, values: np.ndarray, level: np.ndarray) -> Estimate:
    return bootstrap_clustered(values, level, bounds=(0, 1), seed=setup.about.seed)


def _moved(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    about, policy, site = setup.about, setup.policy, setup.layout.middle
    level, steps = found["move.level"], found["move.steps"]
    edit = f"goal moved, dose {float(found['move.dose']):g}, radius {int(found['move.radius'])} cells, chosen on other mazes"
    groups = {
        "all": (np.ones(len(level), bool), "random squares of all mazes"),
        "near": (steps <= NEAR, f"targets up to {NEAR} steps from the start"),
        "far": (steps >= FAR, f"targets {FAR} steps and more from the start"),
    }
    for name, (rows, words) in groups.items():
        if not rows.any():
            continue
        for suffix, key, question in (
            ("", "success", "edited to go to a square"), (".ceiling", "ceiling", "the cheese put on the square (ceiling)"),
            (".bare", "bare", "no edit"),
        ):  # fmt: skip
            yield finding(
                f"retarget.{name}{suffix}", f"cheese in the top right of the largest mazes, {question}: P(reach "
                f"it), {words}",
                _mean(setup, found[f"move.{key}"][rows], level[rows]), _mean(setup, found["move.floor"][rows], level[rows]),
                "noise of equal norm on the same activations", edit, policy, about, UNIT, site,
                None if key == "bare" else float(found["move.bare"][rows].mean()),
            )  # fmt: skip
    for suffix, key in (("", "success"), (".ceiling", "ceiling")):
        yield finding(
            f"retarget.every_square{suffix}", f"every free square of {setup.sizes.mapped} of these mazes, "
            f"{'edited' if key == 'success' else 'the cheese put there (ceiling)'}: P(reach it)",
            _mean(setup, found[f"map.{key}"], found["map.level"]), _mean(setup, found["map.floor"], found["map.level"]),
            "noise of equal norm on the same activations", edit, policy, about, UNIT, site,
        )  # fmt: skip


def _corners(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    for name in CORNERS:
        words = name.replace("_", "-")
        columns = {
            k: _mean(setup, found[f"corner.{name}.{k}"], found[f"corner.{name}.level"])
            for k in ("success", "floor", "ceiling", "bare")
        }
        for suffix, key, question in (
            ("", "success", "edited to go to"),
            (".ceiling", "ceiling", "the cheese put in"),
            (".bare", "bare", "no edit, target"),
        ):
            yield finding(
                f"retarget.corner.{name}{suffix}", f"cheese in the top right of the largest mazes, {question} "
                f"the {words} corner: "
                "P(reach it)", columns[key], columns["floor"], "noise of equal norm on the same activations",
                "goal moved, edit chosen on other mazes", setup.policy, setup.about, UNIT, setup.layout.middle,
                None if key == "bare" else columns["bare"].estimate,
            )  # fmt: skip


def _few(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    about, policy, site = setup.about, setup.policy, setup.layout.middle
    level = found["channel.level"]
    gain = found["channel.success"] - found["channel.bare"]
    floor = found["channel.floor"] - found["channel.bare"]
    yield finding(
        "steer.channel.reach_target",
        f"channel {int(found['channel.channel'])} raised to at least {float(found['channel.value']):.1f} at the "
        f"target's cell: "
        "change of P(reach the target)",
        bootstrap_clustered(gain, level, bounds=(-1, 1), seed=about.seed),
        bootstrap_clustered(floor, level, bounds=(-1, 1), seed=about.seed),
        "a random channel moved as far", "channel and value chosen on other mazes", policy, about,
        "difference of probabilities", site,
    )  # fmt: skip
    for i, budget in enumerate(BUDGETS):
        share, dose = float(found["budget.fraction"][i]), float(found["budget.dose"][i])
        rest, most = "", int(found["budget.most"])
        if found["budget.count"][i] == most:
            # The pattern is all that the edit writes, once at the cheese and once at the target.
            rest = f"; the edit has no more: the pattern of {most:,} values at {site}, whose activations are "
            rest += f"{float(found['budget.site']):.1%} of a forward's"
        elif share > budget:
            rest = "; the least there is: one value at the cheese and one at the target"
        yield finding(
            f"budget.share_{f'{100 * budget:g}'.replace('.', '_')}",
            f"at most {budget:.2%} of all activations of a forward edited (used: {share:.3%}{rest}): "
            "P(reach a random target)",
            _mean(setup, found["budget.success"][i], found["budget.level"]),
            _mean(setup, found["budget.floor"][i], found["budget.level"]), "noise of equal norm on the same entries",
            f"the strongest values of the moved goal, dose {dose:g}, chosen on other mazes", policy, about, UNIT, site,
        )  # fmt: skip


def _collateral(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    n = int(found["collateral.n"])
    for name, unit, words in (
        ("kl", "nats per square", "Kullback-Leibler divergence of the edited from the bare policy"),
        ("flipped", "share of squares", "share of squares whose most probable move changes"),
    ):
        yield finding(
            f"retarget.collateral.{name}", f"where the ways to target and cheese begin alike: {words}",
            _stored(found[f"collateral.{name}"], n), _stored(found[f"collateral.noise_{name}"], n),
            "noise of equal norm on the same activations", "goal moved, held-out mazes", setup.policy, setup.about, unit,
            setup.layout.middle,
        )  # fmt: skip


def _stored(row: np.ndarray, n: int) -> Estimate:
    """An estimate that was stored as (estimate, low, high)."""
    return Estimate(float(row[0]), float(row[1]), float(row[2]), n)
