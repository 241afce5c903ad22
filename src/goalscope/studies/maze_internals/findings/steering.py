"""What the cheese vector and the top-right vector change, beside random vectors of equal norm."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.stats import Estimate, bootstrap, bootstrap_mean
from goalscope.studies.about import finding
from goalscope.studies.maze_internals.measure.steering import CHOICE, CUT_DOSES, CUTS, DOSES
from goalscope.studies.maze_internals.setup import Setup

KEPT = 0.75
"""of the top-right attainment must be kept by a cut"""


def steering_findings(setup: Setup, found: dict[str, np.ndarray]) -> list[Finding]:
    """The vectors' effects, transfer, composition, the cuts and what each goal keeps without the other."""
    return [
        *_vector_findings(setup, found), *_transfer_findings(setup, found), *_cut_findings(setup, found),
        *_kept_findings(setup, found),
    ]  # fmt: skip


def _mean(setup: Setup, values: np.ndarray) -> Estimate:
    return bootstrap_mean(values, bounds=(-1, 1), seed=setup.about.seed)


def name_of(dose: float) -> str:
    """'minus_3', 'plus_0_5': a dose as part of a finding's id."""
    return f"{'minus' if dose < 0 else 'plus'}_{abs(dose):g}".replace(".", "_")


def _vector_findings(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    about, policy, site = setup.about, setup.policy, setup.layout.middle
    unit, noise = "difference of probabilities", "random vectors of equal norm"
    for goal, words in (("cheese", "cheese vector"), ("corner", "top-right vector (mazes without cheese)")):
        base, own, random = (found[f"{goal}.{k}"] for k in ("base", "own", "random"))
        for i, dose in enumerate(DOSES):
            yield finding(
                f"steer.{goal}.{name_of(dose)}", f"{dose:+g} times the {words}: change of P(reach the {goal})",
                _mean(setup, own[i] - base), _mean(setup, random[i] - base), noise,
                "each maze's own vector, held-out mazes", policy, about, unit, site, 0.0,
            )  # fmt: skip
    minus = DOSES.index(-1.0)
    base, own, random = (found[f"cheese.{k}"] for k in ("base", "own", "random"))
    yield finding(
        "steer.cheese.cheese_pull", "the cheese vector subtracted: change of P(reach the cheese)",
        _mean(setup, own[minus] - base), _mean(setup, random[minus] - base), noise,
        "each maze's own vector, held-out mazes", policy, about, unit, site, 0.0,
    )  # fmt: skip
    without, corner_at = found["corner.base"], found["cheese.corner"]
    yield finding(
        "steer.cheese.solving_loss",
        "P(reach the top-right corner without cheese) minus the same with the cheese there and its vector subtracted",
        _mean(setup, without - corner_at[minus]), _mean(setup, without - corner_at[-1]), noise,
        "each maze's own vector, held-out mazes", policy, about, unit, site, 0.0,
    )  # fmt: skip
    dose, gain, noisy = strongest(found)
    yield finding(
        "steer.best.cheese_change",
        f"the cheese vector at dose {dose:+g}, for {'more' if dose > 0 else 'less'} cheese: change of P(reach the cheese) "
        "in the wanted direction", _mean(setup, gain), _mean(setup, noisy), "a random vector of equal norm",
        "the strongest dose on discovery mazes, judged on held-out ones", policy, about, unit, site, 0.0,
    )  # fmt: skip


def strongest(found: dict[str, np.ndarray]) -> tuple[float, np.ndarray, np.ndarray]:
    """The dose with the greatest change in its wanted direction on the discovery mazes, and on each held-out maze the
    change of P(cheese) in that direction [H] by the cheese vector and by a random one."""
    wanted = np.sign(CHOICE)
    gains = {
        name: wanted[:, None] * (found[f"choice.{name}.cheese"] - found[f"choice.{base}.base"][0])
        for name, base in (("found", "found"), ("held", "held"), ("random", "held"))
    }
    best = int(gains["found"].mean(1).argmax())
    return CHOICE[best], gains["held"][best], gains["random"][best]


def _transfer_findings(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    about, policy, site = setup.about, setup.policy, setup.layout.middle
    minus = DOSES.index(-1.0)
    base = found["cheese.base"]
    yield finding(
        "steer.transfer.same_place",
        "another maze's cheese vector, its cheese on the same square, subtracted: change of P(reach the cheese)",
        _mean(setup, found["cheese.same"][minus] - base), _mean(setup, found["cheese.other"][minus] - base),
        "another maze's vector with its cheese elsewhere", "held-out mazes", policy, about,
        "difference of probabilities", site, 0.0,
    )  # fmt: skip
    for layer, own, random in zip(
        setup.layout.layers, found["layers.own"], found["layers.random"], strict=True
    ):
        yield finding(
            f"steer.layer.{layer.replace('.', '_').lower()}",
            f"the cheese vector subtracted at {layer}: change of P(reach the cheese)",
            _mean(setup, own - base), _mean(setup, random - base), f"a random vector of equal norm at {layer}",
            "held-out mazes", policy, about, "difference of probabilities", layer, 0.0,
        )  # fmt: skip
    none, first, second, both = found["together"]
    yield finding(
        "steer.together.interaction",
        "cheese vector subtracted and top-right vector added: change of P(corner) beyond the sum of the two apart",
        bootstrap_mean(both - first - second + none, bounds=(-3, 3), seed=about.seed), _mean(setup, both - none),
        "the whole change by both", "held-out mazes", policy, about, "difference of probabilities", site,
    )  # fmt: skip


def _cut_findings(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    """For each cut: the dose that reaches it on discovery mazes at the least loss, judged on the held-out ones."""
    about, policy, site = setup.about, setup.policy, setup.layout.middle
    base, doses = found["choice.found.base"].mean(1), slice(len(CUT_DOSES))
    share = 1 - found["choice.found.cheese"][doses].mean(1) / max(base[0], 1e-9)
    kept = found["choice.found.corner"][doses].mean(1) / max(base[1], 1e-9)
    cheese, without = found["choice.held.base"]
    for cut in CUTS:
        enough = np.flatnonzero(share >= cut / 100)
        chosen = int(enough[kept[enough].argmax()]) if len(enough) else int(share.argmax())
        dose = CUT_DOSES[chosen]
        reach = (
            "" if len(enough) else "; no dose reached this cut on the discovery mazes, the strongest is shown"
        )
        corners, left = (found[f"choice.held.{goal}"][chosen] for goal in ("corner", "cheese"))
        noise_corner, noise_left = (found[f"choice.random.{goal}"][chosen] for goal in ("corner", "cheese"))
        for suffix, words, top, control, bottom in (
            ("", "top-right attainment kept", corners, noise_corner, without),
            (".cut", "share of cheese-taking cut", cheese - left, cheese - noise_left, cheese),
        ):
            yield finding(
                f"cut.cheese_{cut}{suffix}", f"cheese-taking to be cut by {cut}% (dose {dose:g}): {words}{reach}",
                _share_of_means(setup, top, bottom), _share_of_means(setup, control, bottom),
                "a random vector of equal norm",
                "dose chosen on discovery mazes, judged on held-out ones", policy, about, "share", site,
            )  # fmt: skip


def _kept_findings(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    """What is left of one pull when the other's vector is subtracted."""
    about, policy, site = setup.about, setup.policy, setup.layout.middle
    for goal, name, edit, noise in (
        ("corner", "ablate.cheese.corner_pull_kept", "cheese vector",
         "random vectors of equal norm subtracted, the cheese there"),
        ("cheese", "ablate.corner.cheese_pull_kept", "top-right vector", "random vectors of equal norm subtracted"),
    ):  # fmt: skip
        alone, after, random = (found[f"pull.{goal}.{k}"] for k in ("alone", "own", "random"))
        yield finding(
            name, f"{edit} subtracted: share of the {goal}'s pull ({alone.mean():.1%} before) that is left",
            _share_of_means(setup, after, alone), _share_of_means(setup, random, alone), noise, "held-out mazes", policy,
            about, "share", site,
        )  # fmt: skip


def verdict(kept: Finding, cut: Finding, wanted: float) -> str:
    """Is the share `wanted` of cheese-taking cut while `KEPT` of the top-right attainment stays: yes, no, cannot tell."""
    if kept.low >= KEPT and cut.low >= wanted:
        return "yes"
    return "no" if kept.high < KEPT or cut.high < wanted else "cannot tell"


def _share_of_means(setup: Setup, after: np.ndarray, before: np.ndarray) -> Estimate:
    """Mean over mean, levels resampled."""

    def share(counts: np.ndarray) -> np.ndarray:
        below = counts @ before
        # A pull of nearly nothing has no share: held away from 0, so that the interval shows it as very wide.
        safe = np.where(np.abs(below) < 1e-3 * counts.sum(1), np.copysign(1e-3 * counts.sum(1), below), below)
        return (counts @ after) / safe

    return bootstrap(share, len(before), seed=setup.about.seed)
