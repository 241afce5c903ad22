"""Which channels carry the goal: alone, together, and what effect of one would have been found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.intervening.select import Selection, discovery_p
from goalscope.stats import POWER, Estimate, bootstrap_mean, least_effect
from goalscope.studies.about import finding
from goalscope.studies.maze_internals.measure.channels import selection
from goalscope.studies.maze_internals.setup import Setup


def channel_findings(setup: Setup, found: dict[str, np.ndarray]) -> list[Finding]:
    """The share of channels that carry the goal, those found, and sets of the strongest below all together."""
    chosen = selection(setup, found)
    return [_share(setup, found, chosen), *_each(setup, chosen), *_sets(setup, found)]


def detectable(effects: np.ndarray, rate: float, shape: str = "constant") -> float | None:
    """The least effect of one channel, alone in having one, that is found with `stats.POWER`; None where none can be.

    Simulated with the rule that decides on discovery mazes: Benjamini and Hochberg's first step over all channels.

    Args:
        effects: [C, n] of each channel on each discovery level; the channel of median scatter is taken for its noise.
        rate: false discovery rate.
        shape: of the effect over mazes, as in `stats.least_effect`.
    """
    channels, scatter = len(effects), effects.std(axis=1)
    typical = effects[np.argsort(scatter, kind="stable")[channels // 2]]

    def found(totals: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return discovery_p(totals / counts) * channels <= rate

    return least_effect(typical, shape=shape, rule=found)


def _share(setup: Setup, found: dict[str, np.ndarray], chosen: Selection) -> Finding:
    channels, site = found["effects"].shape[0], setup.layout.middle
    effects, count = found["effects"][:, : chosen.levels[0]], len(chosen.confirmed)
    least, sparse = (detectable(effects, chosen.rate, shape) for shape in ("constant", "sparse"))
    rare = "hardly ever" if sparse is None else f"from a mean of {sparse:.1%}"
    power = (
        f"{chosen.levels[0]} discovery mazes cannot show an effect of one channel, or its effects do not scatter"
        if least is None
        else f"an effect of one channel of {least:.1%}, the same in every maze, would have been found with "
        f"{POWER:.0%} power; all of it in one maze of ten: {rare}"
    )
    whole = _mean(setup, found["all"])
    most = f"all {channels} together: {whole.estimate:.1%} [{whole.low:.1%}, {whole.high:.1%}]"
    # All channels of this network were measured: they are no sample of others, so their share has no interval.
    share = count / channels
    return finding(
        "channels.carry_goal", f"share of the {channels} channels whose swap with the same maze, cheese elsewhere, "
        "changes P(reach the cheese): found on discovery mazes and confirmed on held-out mazes",
        Estimate.bare(share, channels), None,
        f"null by construction: of those confirmed at most {chosen.rate:.0%} are expected to be false",
        f"{len(chosen.found)} found on discovery mazes; {power}; {most}", setup.policy, setup.about,
        "share of channels", site,
    )  # fmt: skip


def _each(setup: Setup, chosen: Selection) -> Iterator[Finding]:
    for channel, estimate in zip(chosen.found.tolist(), chosen.held_out, strict=True):
        confirmed = "confirmed" if channel in chosen.confirmed else "not confirmed"
        yield finding(
            f"channels.channel_{channel}", f"channel {channel} as in the same maze with the cheese elsewhere: change of "
            f"P(reach the cheese), held-out mazes ({confirmed} there)", estimate, None,
            "null by construction: a channel that says nothing of the cheese is the same in both; on discovery mazes "
            f"{float(chosen.discovery[channel]):+.3f}",
            f"swapped; found on discovery mazes, {confirmed} on held-out mazes", setup.policy, setup.about,
            "difference of probabilities", setup.layout.middle,
        )  # fmt: skip


def _sets(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    """All channels, then the strongest: what becomes of the cheese's square, and of that of the donor's cheese."""
    channels = found["effects"].shape[0]
    rows = [(f"all {channels} channels", "all", "a random change as large", found["all"], found["noise"])]
    there = [(found["all.there"], found["noise.there"])]
    for row, size in enumerate(found["sizes"].tolist()):
        many = "channel" if size == 1 else "channels"
        strongest = ", ".join(map(str, found["order"][:size].tolist()))
        which = f"the {size} {many} with the strongest effect on discovery mazes ({strongest})"
        rows.append((which, f"top_{size}", f"{size} random {many}", found["top"][row], found["random"][row]))
        there.append((found["top.there"][row], found["random.there"][row]))
    unseen = not _shows(setup, found)
    for (which, key, control_name, *taken), reached in zip(rows, there, strict=True):
        for suffix, words, (values, beside) in (
            ("other_place", "change of P(reach the cheese)", taken),
            ("to_other_place", "change of P(reach that other square)", reached),
        ):
            told = finding(
                f"channels.{key}.{suffix}", f"{which} as in the same maze with the cheese elsewhere: {words}",
                _mean(setup, values), _mean(setup, beside), control_name, "swapped, held-out mazes", setup.policy,
                setup.about, "difference of probabilities", setup.layout.middle,
            )  # fmt: skip
            # Where all channels show no more than noise, no set of them could have shown anything.
            yield replace(told, invalid="ceiling") if unseen and key != "all" else told


def _shows(setup: Setup, found: dict[str, np.ndarray]) -> bool:
    """Whether the assay can show anything: all channels take more than a random change as large."""
    return _mean(setup, found["all"]).high < _mean(setup, found["noise"]).low


def _mean(setup: Setup, values: np.ndarray) -> Estimate:
    return bootstrap_mean(values, bounds=(-1, 1), seed=setup.about.seed)
