"""How often levels are solved after how many looks at the start, which levels flip, and who goes in circles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.stats import (
    Estimate,
    above_zero_within,
    binomial_interval,
    bootstrap_difference,
    least_effect,
)
from goalscope.studies.about import finding
from goalscope.studies.sokoban_plan.setup import Setup


def detectable(gain: np.ndarray) -> Estimate | None:
    """The least true mean of gains [N] in -1..1, the same in every level, that would be told from 0 four times in five.

    Simulated from the scatter over levels; None where they do not differ or no such gain is found so often.
    """
    if len(gain) < 2:
        return None
    size = least_effect(gain, rule=above_zero_within((-1, 1)), bounds=(-1, 1))
    return None if size is None else Estimate.bare(size, len(gain))


def share(values: np.ndarray) -> Estimate:
    """A share of levels with its exact interval."""
    return binomial_interval(int(values.sum()), len(values))


def difference(first: np.ndarray, second: np.ndarray, seed: int) -> Estimate:
    """Paired difference of two shares; where no level differs, the interval is what so many levels may hide."""
    return bootstrap_difference(first, second, bounds=(-1, 1), seed=seed)


def solving_findings(setup: Setup, name: str, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    """Solve rates, gains and flips of one set, and its early cycles."""
    levels, about, policy = setup.sets[name], setup.about, setup.policy
    blank = share(found["untrained.solved.0"])
    method = "episodes with the most probable moves"
    words = f"{levels.words}: "

    def made(
        identifier: str, question: str, value: Estimate, control: Estimate | None, control_name: str
    ) -> Finding:
        return finding(identifier, words + question, value, control, control_name, method, policy, about)

    for looks in levels.thinking:
        said = f"P(solved) after {looks} looks at the start"
        yield made(
            f"solve.{name}.think_{looks}", said, share(found[f"solved.{looks}"]), blank, "untrained network"
        )
    bare = found["solved.0"]
    for looks in levels.thinking[1:]:
        now = found[f"solved.{looks}"]
        yield made(
            f"thinking.{name}.gain_{looks}", f"change of P(solved) by {looks} looks, paired",
            difference(now, bare, about.seed), None, "none: the same levels without looks are what is compared with",
        )  # fmt: skip
        if (least := detectable(now.astype(float) - bare)) is not None:
            yield made(
                f"thinking.{name}.detectable_{looks}",
                f"the least true change of P(solved) by {looks} looks, the same in every level, that these levels show four "
                "times in five",
                least, None, "a property of the data: it needs none",
            )  # fmt: skip
        yield made(
            f"thinking.{name}.to_solved_{looks}", f"share of levels that only {looks} looks solve",
            share(now & ~bare), share(bare & ~now), "share that is solved only without looks",
        )  # fmt: skip
        yield made(
            f"thinking.{name}.to_unsolved_{looks}", f"share of levels that are solved only without the {looks} looks",
            share(bare & ~now), share(now & ~bare), "share that only the looks solve",
        )  # fmt: skip
    yield from _cycle_findings(setup, name, found, made)


def _cycle_findings(setup: Setup, name: str, found: dict[str, np.ndarray], made: Any) -> Iterator[Finding]:
    levels = setup.sets[name]
    circling = found["cycle.0"]
    for looks in levels.thinking:
        yield made(
            f"cycles.{name}.think_{looks}", f"share that comes back to a position within eight moves, {looks} looks",
            share(found[f"cycle.{looks}"]), share(found["untrained.cycle.0"]), "untrained network",
        )  # fmt: skip
    for looks in levels.thinking[1:]:
        if circling.any() and not circling.all():
            yield made(
                f"cycles.{name}.vanish_{looks}", f"share of the early cycles that {looks} looks make vanish",
                share(~found[f"cycle.{looks}"][circling]), share(found[f"cycle.{looks}"][~circling]),
                "share of the other levels that gain one",
            )  # fmt: skip


def plain_findings(setup: Setup, name: str, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    """The network without memory on one set."""
    levels, about, plain = setup.sets[name], setup.about, setup.plain
    if plain is None:
        return
    first, last = levels.thinking[0], levels.thinking[-1]
    mine, other = found[f"solved.{first}"], found[f"plain.solved.{first}"]
    method = "episodes with the most probable moves"
    yield finding(
        f"resnet.{name}.gain", f"{levels.words}: P(solved) by the recurrent network minus that by {plain.name}, paired",
        difference(mine, other, about.seed), None, "none: the other network on the same levels is what is compared with",
        method, setup.policy, about,
    )  # fmt: skip
    yield finding(
        f"resnet.{name}.solve", f"{levels.words}: P(solved) by the network without memory",
        share(other), share(found["untrained.solved.0"]), "untrained network", method, plain, about,
    )  # fmt: skip
    yield finding(
        f"resnet.{name}.flips", f"{levels.words}: share that {last} looks change in the network without memory",
        share(other != found[f"plain.solved.{last}"]), share(mine != found[f"solved.{last}"]), "the recurrent network",
        method, plain, about,
    )  # fmt: skip
