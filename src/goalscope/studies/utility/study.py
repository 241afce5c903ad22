"""Does a policy act for one utility, for several that are gated by a context, or for none? Reads top to bottom.

The states of all levels are enumerated and the policy asked in each (slow, stored); a small grammar gives candidate
utilities and contexts; each is judged by the likelihood of all moves in levels that nothing was fitted on, its
description paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from goalscope.evidence.run_folder import RunFolder
from goalscope.policies.checkpoint import Policy
from goalscope.studies import frame
from goalscope.studies.about import About, Outcome
from goalscope.studies.any_world import code_of, compared, world_for
from goalscope.studies.checks import LAST_LEVEL
from goalscope.studies.frame import Conclusion, Say
from goalscope.studies.utility import figures, words
from goalscope.studies.utility.findings import all_findings
from goalscope.studies.utility.measure import conclude, measure
from goalscope.studies.utility.setup import LEAST, Asked, asked_of

QUICK_LEVELS = 60
"""of a quick run"""


@dataclass(frozen=True)
class Options:
    """What was asked for; the command line's defaults."""

    policy: Any = "mouse-topright"
    """whatever `policies.given.policy_of` takes"""
    world: Any = "maze"
    """whatever `worlds.named.world_of` takes"""
    observation: str | None = None
    """of a world that is named; None is what the policy says it was trained on"""
    first_level: int = 0
    levels: int = 300
    quick: bool = False
    seed: int = 0
    """of draws, split and bootstrap"""
    limit: int = 5000
    """states of one level at most"""
    out: str | None = None
    force: bool = False
    """replaces a finished run, once this one is finished"""
    device: str = "cpu"
    blank: Any = None
    """the untrained control, as `policy`; None makes one from the policy's factory, config or layers"""


def study(options: Options, say: Say = lambda _: None) -> Outcome:
    """Runs the study and writes its run folder.

    Args:
        options: what to study.
        say: called with one line at each step, for progress.

    Raises:
        ValueError, KeyError, FileNotFoundError: the policy or world cannot be loaded or do not fit each other; the policy
            has a memory, or the world no exact chain; an option is out of range; too few levels are left.
        FileExistsError: the output folder exists.
    """
    frame.check_number("--levels", options.levels, LEAST, LAST_LEVEL)
    frame.check_number("--first-level", options.first_level, 0, LAST_LEVEL - options.levels)
    frame.check_number("--limit", options.limit, 1)
    frame.check_seed(options.seed)
    policy = frame.given(options.policy, options.device)
    world = world_for(policy, options.world, options.observation)
    count = min(options.levels, QUICK_LEVELS) if options.quick else options.levels
    policies = compared(policy, world, options.seed, options.device, options.blank)
    about = frame.about(f"{world.name}, time limit {world.time_limit}", options.seed, options.quick)
    provenance = frame.provenance(
        "utility", policies, about, first_level=options.first_level, levels=count, limit=options.limit,
        rules=code_of(world), device=options.device,
    )  # fmt: skip
    out = frame.folder_of(options.out, f"utility-{policy.name}")
    with RunFolder.create(out, provenance, options.force) as run:
        say(f"{policy.name} in {world.name}: the states of {count} levels")
        state = world.generate(np.arange(options.first_level, options.first_level + count))
        asked = asked_of(world, state, options.limit, options.seed)
        moves = {}
        for each in policies:
            say(f"{each.name}: its moves in {len(asked.states):,} states")
            stored = run.stage(f"measure-{each.name}", lambda each=each: measure(each.module, asked))
            moves[each.name] = stored["moves"]
        say("utilities")
        made = _conclude(policy, moves, asked, about)
        return frame.finish(run, out, made, provenance, _command(options, world), say)


def _conclude(policy: Policy, moves: Mapping[str, np.ndarray], asked: Asked, about: About) -> Conclusion:
    """Headline, sections, findings and figures, all from the moves."""
    made = {name: conclude(table, asked, about.seed) for name, table in moves.items()}
    mine = made.pop(policy.name)
    findings = all_findings(policy, mine, made, asked, about)
    found = {f.id: f for f in findings}
    inference = mine.inference
    return Conclusion(
        title=f"Which utility does {policy.name} act for? ({asked.world.name})",
        headline=words.headline(policy.name, mine, found),
        sections=words.sections(mine, found, asked, _how(asked)),
        findings=findings,
        figures=[
            *figures.board_figure(policy.name, moves[policy.name], asked),
            *figures.finding_figures(findings),
        ],
        shown=figures.SHOWN,
        further={
            "verdict": inference.verdict,
            "best": inference.best.name,
            "gated": None if inference.gated is None else list(inference.gated.parts),
            "tied": list(inference.tied),
            "same": list(inference.same),
        },
    )


def _how(asked: Asked) -> str:
    """What was asked, and of which levels."""
    units, levels = int(asked.unit.max()) + 1, len(asked.states.start)
    said = f"Exact, from all {len(asked.states):,} states of {units} levels"
    if levels > units:
        said += f" ({levels} with those in which a thing is moved)"
    if asked.barred:
        said += f"; {asked.barred} as generated were left out, since a thing bars the way to a corner"
    return f"{said}. {len(asked.utilities)} utilities and {len(asked.contexts)} contexts."


def _command(options: Options, world: Any) -> str:
    return frame.command(
        "utility", policy=options.policy, world=options.world if isinstance(options.world, str) else world.name,
        observation=options.observation, first_level=options.first_level, levels=options.levels, quick=options.quick,
        seed=options.seed, limit=options.limit, blank=options.blank,
    )  # fmt: skip
