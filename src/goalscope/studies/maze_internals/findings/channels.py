"""Which channels carry the goal: alone, together, and what effect of one would have been found."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.intervening.select import Selection, discovery_p
from goalscope.stats import POWER, Estimate, bootstrap_mean, least_effect
from goalscope.studies.about import finding
from goalscope.studies.maze_internals.measure.channels import selection
from goalscope.studies.maze_internals.setup import Setup


def channel_findings(setup: Setup, found: dict[str, np.ndarray]) -> list[Finding]:
    """The share of channels that carry the goal, and those found, each and together."""
    chosen = selection(setup, found)
    return [_share(setup, found, chosen), *_each(setup, chosen), *_together(setup, found, chosen)]


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
    # All channels of this network were measured: they are no sample of others, so their share has no interval.
    share = count / channels
    return finding(
        "channels.carry_goal", f"share of the {channels} channels whose cheese-dependent effect is found on discovery "
        "mazes and confirmed on held-out mazes", Estimate(share, share, share, channels), None,
        f"null by construction: of those confirmed at most {chosen.rate:.0%} are expected to be false",
        f"{len(chosen.found)} found on discovery mazes; {power}", setup.policy, setup.about, "share of channels", site,
    )  # fmt: skip


def _each(setup: Setup, chosen: Selection) -> Iterator[Finding]:
    for channel, estimate in zip(chosen.found.tolist(), chosen.held_out, strict=True):
        confirmed = "confirmed" if channel in chosen.confirmed else "not confirmed"
        yield finding(
            f"channels.channel_{channel}", f"channel {channel} from a maze with the cheese elsewhere, against one with "
            f"it in the same place: change of P(reach the cheese), held-out mazes ({confirmed} there)", estimate, None,
            "null by construction: same against different place; on discovery mazes "
            f"{float(chosen.discovery[channel]):+.3f}",
            f"resampling; found on discovery mazes, {confirmed} on held-out mazes", setup.policy, setup.about,
            "difference of probabilities", setup.layout.middle,
        )  # fmt: skip


def _together(setup: Setup, found: dict[str, np.ndarray], chosen: Selection) -> Iterator[Finding]:
    """Sets of channels resampled: what becomes of the cheese's square, and of that of the other donor's cheese."""
    changes = {
        key.removeprefix("set."): values - found["none.there" if key.endswith(".there") else "none"]
        for key, values in found.items()
        if key.startswith("set.")
    }
    count, confirmed = len(chosen.found), len(chosen.confirmed)
    sets = {
        "all": ("all channels", "all"),
        "together": (
            f"the {count} {'channel' if count == 1 else 'channels'} found on discovery mazes "
            f"({confirmed} confirmed on held-out)",
            "found",
        ),
    }
    left = len(found["random"])
    others = f"{left} other {'channel' if left == 1 else 'channels'}"
    for key, (which, name) in sets.items():
        if f"{name}.same" not in changes:
            continue
        for suffix, words, donor in (
            ("same_place", "from mazes with the cheese in the same place: change of P(reach the cheese)", "same"),
            ("other_place", "from mazes with the cheese elsewhere: change of P(reach the cheese)", "other"),
            ("to_other_place", "from mazes with the cheese elsewhere: change of P(reach that other square)",
             "other.there"),
        ):  # fmt: skip
            # All channels have no others to compare with: the same-place donors are what they are read against.
            against = f"random.{donor}" if name == "found" else f"all.{donor.replace('other', 'same')}"
            control, control_name = changes.get(against), others
            if name == "all":
                control_name = "all channels, cheese in the same place"
            if suffix == "same_place" and name == "all":
                control, control_name = (
                    None,
                    "null by construction: it is itself the control of the other place",
                )
            elif control is None:
                control_name = "null by construction: no channel is left that was not found"
            yield finding(
                f"channels.{key}.{suffix}", f"{which} resampled {words}", _mean(setup, changes[f"{name}.{donor}"]),
                None if control is None else _mean(setup, control), control_name, "resampling, held-out mazes",
                setup.policy, setup.about, "difference of probabilities", setup.layout.middle,
            )  # fmt: skip


def _mean(setup: Setup, values: np.ndarray) -> Estimate:
    return bootstrap_mean(values, bounds=(-1, 1), seed=setup.about.seed)
