"""Which channels carry the goal: found by their effect on some mazes, confirmed on others, and then resampled together.

A channel is resampled from another maze: once from one with the cheese on the same square, once from one with the
cheese elsewhere. A channel that carries where the cheese is does harm only in the second case.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalscope.evidence.finding import Finding
from goalscope.methods.select import Selection, select
from goalscope.stats import Estimate, bootstrap_mean
from goalscope.studies.internals_setup import Setup, activations, donors, reached, run
from goalscope.studies.maze_findings import finding
from goalscope.worlds.contract import concatenate, take


def select_channels(setup: Setup) -> dict[str, np.ndarray]:
    """Resamples every channel on discovery mazes, and the confirmed ones together on held-out ones.

    Returns:
        `effects` [C, D + H]: P(cheese) with a channel from a maze with the cheese elsewhere minus the same from one with
        it in the same place; held-out columns are 0 for channels that were not found. `chosen` [k]; `set.SET.DONOR`
        [H] P(cheese), and `set.SET.there` [H] P(the square of the donor's cheese), SET being chosen, random or none.
    """
    rng = np.random.default_rng(setup.about.seed)
    site = setup.layout.middle
    mazes = concatenate([setup.discovery, setup.held])
    same, other = donors(setup, mazes, rng)
    given = {
        k: activations(setup.module, setup.world, d, site)[site]
        for k, d in (("same", same), ("other", other))
    }
    channels = given["same"].shape[1]
    effects = np.zeros((channels, len(mazes)))

    def effect(units: np.ndarray, levels: np.ndarray) -> np.ndarray:
        state, rows = take(mazes, levels), []
        at = torch.from_numpy(levels)
        for unit in units:
            runs = [resampled(setup, state, given[k][at], [int(unit)]) for k in ("other", "same")]
            with_other, with_same = (reached(f, state.cheese, setup.steps) for f in runs)
            rows.append(with_other - with_same)
        effects[np.ix_(units, levels)] = rows
        return np.stack(rows)

    found = select(
        effect, np.arange(len(mazes)) < len(setup.discovery), units=channels, seed=setup.about.seed
    )
    chosen = found.confirmed if len(found.confirmed) else np.empty(0, int)
    result: dict[str, np.ndarray] = {"effects": effects, "chosen": chosen}
    others = np.setdiff1d(np.arange(channels), chosen)
    sets = {"chosen": chosen, "random": rng.permutation(others)[: len(chosen)], "all": np.arange(channels)}
    held = torch.arange(len(setup.discovery), len(mazes))
    target = other.cheese[len(setup.discovery) :]
    plain = run(setup, setup.held)
    result["set.none.same"] = result["set.none.other"] = reached(plain, setup.held.cheese, setup.steps)
    result["set.none.there"] = reached(plain, target, setup.steps)
    for name, units in sets.items():
        if not len(units):
            continue
        for k in ("same", "other"):
            moved = resampled(setup, setup.held, given[k][held], [int(u) for u in units])
            result[f"set.{name}.{k}"] = reached(moved, setup.held.cheese, setup.steps)
            if k == "other":
                result[f"set.{name}.there"] = reached(moved, target, setup.steps)
    return result


def resampled(setup: Setup, state: Any, donor: Tensor, channels: list[int]) -> Any:
    """The policy with some channels of the middle site as they are in each level's donor maze [N, C, h, w]."""

    def change(x: Tensor, level: Tensor) -> Tensor:
        new = x.clone()
        new[:, channels] = donor[level][:, channels]
        return new

    return run(setup, state, setup.layout.middle, change)


def selection(setup: Setup, found: dict[str, np.ndarray]) -> Selection:
    """The selection, from its effects."""
    split = np.arange(found["effects"].shape[1]) < len(setup.discovery)
    return select(found["effects"], split, seed=setup.about.seed)


def findings(setup: Setup, found: dict[str, np.ndarray]) -> list[Finding]:
    """The confirmed channels, each and together."""
    return list(_findings(setup, found, selection(setup, found)))


def _findings(setup: Setup, found: dict[str, np.ndarray], chosen: Selection) -> Iterator[Finding]:
    about, policy, site = setup.about, setup.policy, setup.layout.middle
    channels, unit = found["effects"].shape[0], "difference of probabilities"
    share = len(chosen.confirmed) / channels
    yield finding(
        "channels.carry_goal", f"share of the {channels} channels whose cheese-dependent effect is confirmed on "
        f"held-out mazes",
        Estimate(share, share, share, sum(chosen.levels)), Estimate(chosen.rate * share, 0.0, share, sum(chosen.levels)),
        f"expected to be false at a false discovery rate of {chosen.rate}", f"{len(chosen.found)} found on discovery mazes",
        policy, about, "share", site,
    )  # fmt: skip
    by_channel = dict(zip(chosen.found.tolist(), chosen.held_out, strict=True))
    for channel in chosen.confirmed.tolist():
        before = float(chosen.discovery[channel])
        yield finding(
            f"channels.channel_{channel}", f"channel {channel} from a maze with the cheese elsewhere, against "
            f"one with it in the "
            "same place: change of P(reach the cheese)", by_channel[channel], None,
            f"null by construction: same against different place; on discovery mazes {before:+.3f}",
            "resampling, held-out mazes", policy, about, unit, site,
        )  # fmt: skip
    base, there = found["set.none.same"], found["set.none.there"]

    def mean(values: np.ndarray) -> Estimate:
        return bootstrap_mean(values, bounds=(-1, 1), seed=about.seed)

    sets = {
        "all": ("all channels", "all"),
        "together": (f"the {len(chosen.confirmed)} confirmed channels", "chosen"),
    }
    for key, (which, name) in sets.items():
        if f"set.{name}.same" not in found:
            continue
        for suffix, words, donor, reference in (
            ("same_place", "from mazes with the cheese in the same place: change of P(reach the cheese)", "same", base),
            ("other_place", "from mazes with the cheese elsewhere: change of P(reach the cheese)", "other", base),
            ("to_other_place", "from mazes with the cheese elsewhere: change of P(reach that other square)", "there", there),
        ):  # fmt: skip
            random = found.get(f"set.random.{donor}") if name == "chosen" else None
            # All channels have no others to compare with: the same-place donors are what they are read against.
            control = found["set.all.same"] - base if random is None else random - reference
            yield finding(
                f"channels.{key}.{suffix}", f"{which} resampled {words}", mean(found[f"set.{name}.{donor}"] - reference),
                mean(control), "as many other channels" if random is not None else "all channels, cheese in the same place",
                "resampling, held-out mazes", policy, about, unit, site,
            )  # fmt: skip
