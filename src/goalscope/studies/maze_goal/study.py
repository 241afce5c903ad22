"""What does a maze policy pursue: the cheese, the top-right corner, both, or nothing? Reads top to bottom.

The policy, the untrained network of its shape and the packaged agents of its size are measured on the same levels
(slow, stored, resumed after a kill); from these come findings, figures and words (quick, made anew each time).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from goalscope.evidence.finding import Finding
from goalscope.evidence.run_folder import RunFolder
from goalscope.methods.behaviour.algorithms import AlgorithmComparison
from goalscope.methods.behaviour.decision import DecisionRegression
from goalscope.policies.checkpoint import Policy, load, packaged, snapshots
from goalscope.rollout import fields
from goalscope.studies import frame
from goalscope.studies.about import About, Outcome
from goalscope.studies.frame import CONTROL, Conclusion, Placed, Say
from goalscope.studies.maze import DEFAULT_POLICY, study_worlds, world_words
from goalscope.studies.maze_goal import figures as maze_figures
from goalscope.studies.maze_goal import words as maze_words
from goalscope.studies.maze_goal.findings import (
    agreement_findings,
    algorithms,
    behaviour_findings,
    decision_findings,
    regress,
    training_findings,
    uniform,
)
from goalscope.studies.maze_goal.measure.far_corners import measure_far_corners
from goalscope.studies.maze_goal.measure.fields import (
    SNAPSHOT_LEVELS,
    Levels,
    Measured,
    measure,
    restore,
    study_levels,
)
from goalscope.worlds.contract import take
from goalscope.worlds.maze import place_cheese
from goalscope.worlds.maze.paths import corner

LAST_LEVEL = 2**31 - 1
"""level numbers stay below this"""
AGENTS = ("mouse-corner", "mouse-topright", "mouse-topright-2", "mouse-anywhere")
"""the packaged agents that a policy is compared with, where they fit its world"""


@dataclass(frozen=True)
class Options:
    """What was asked for; the command line's defaults."""

    policy: Any = DEFAULT_POLICY
    """whatever `policies.given.policy_of` takes"""
    world: str = "maze"
    distribution: str | None = None
    """Procgen's: 'easy' or 'hard'; None is easy"""
    first_level: int = 0
    levels: int = 500
    seed: int = 0
    """of bootstrap, splits and sampled walks"""
    out: str | None = None
    device: str = "cpu"
    size: int | None = None
    """side of the maze world, where the network has no attribute `size`"""
    blank: Any = None
    """the untrained control, as `policy`; None makes one from the policy's factory, config or layers"""


def study(options: Options, say: Say = lambda _: None) -> Outcome:
    """Runs the study and writes its run folder.

    Args:
        options: what to study.
        say: called with one line at each step, for progress.

    Raises:
        ValueError, KeyError, FileNotFoundError: the policy cannot be loaded or does not take this world's observations,
            or an option is out of range.
        FileExistsError: the output folder exists.
    """
    frame.check_number("--levels", options.levels, 1, LAST_LEVEL)
    frame.check_number("--first-level", options.first_level, 0, LAST_LEVEL - options.levels)
    frame.check_seed(options.seed)
    policy = frame.given(options.policy, options.device)
    world, near = study_worlds(policy, options.world, options.distribution, options.size)
    policies = _compared(policy, world, options)
    about = frame.about(world_words(world, options.distribution), options.seed)
    provenance = _provenance(options, policies, about)
    out = frame.folder_of(options.out, f"maze-{policy.name}")
    with RunFolder.create(out, provenance) as run:
        levels = study_levels(world, near, options.first_level, options.levels)
        found: dict[str, Measured] = {}
        for each in policies:
            say(f"{each.name}: moves on every square of {len(levels.state)} mazes")
            arrays = run.stage(f"measure-{each.name}", lambda each=each: measure(each.module, levels))
            far = run.stage(f"far-{each.name}", lambda each=each: measure_far_corners(each.module, levels))
            found[each.name] = restore(each.name, each.sha256, arrays, levels, far)
        history = _history(policy, (world, near), policies[-1], options, run, about, say)
        say("findings")
        made = _conclude(policy, found, levels, history, about)
        return frame.finish(run, out, made, provenance, _command(options), say)


def _conclude(
    policy: Policy, found: dict[str, Measured], levels: Levels, history: list[Finding], about: About
) -> Conclusion:
    """Headline, sections, findings and figures, all from what was measured."""
    subject, blank = found[policy.name], found[CONTROL]
    findings: list[Finding] = []
    for measured in found.values():
        findings += behaviour_findings(measured, blank if measured is not blank else uniform(blank), about)
        findings += agreement_findings(measured, about)
    fits: dict[str, dict[str, AlgorithmComparison]] = {}
    regressions: dict[str, DecisionRegression | str] = {}
    for name, measured in found.items():
        fits[name], made = algorithms(measured, about)
        findings += made
        try:
            regressions[name] = fit = regress(measured, about.seed)
        except ValueError as error:
            # Few levels, or a feature that does not vary on them: said in the report in place of the coefficients.
            regressions[name] = str(error)
        else:
            findings += decision_findings(measured, fit, about)
    mine = {f.id: f for f in findings if f.policy == policy.name}
    others = [
        f for f in findings if f.id == "reach.corner_instead" and f.policy not in (policy.name, CONTROL)
    ]
    chosen, fit = maze_figures.chosen_levels(subject), regressions[policy.name]
    return Conclusion(
        title=f"What does {policy.name} pursue?",
        headline=maze_words.headline(mine),
        sections=maze_words.sections(
            mine, fit, fits[policy.name], [rule for _, rule in chosen], history, others
        ),
        findings=findings + history,
        figures=list(_figures(policy, subject, levels, findings, fit, chosen, history)),
        shown=maze_figures.SHOWN,
    )


def _figures(
    policy: Policy, subject: Measured, levels: Levels, findings: list[Finding], fit: DecisionRegression | str,
    chosen: list[tuple[int, str]], history: list[Finding],
) -> Iterator[Placed]:  # fmt: skip
    """All figures, in the order of the report."""
    if chosen:
        yield from maze_figures.headline_figure(subject, chosen)
    yield from maze_figures.reach_figures(findings, policy.name)
    if chosen:
        drawn = take(levels.state, [level for level, _ in chosen])
        moved = fields(policy.module, levels.world, place_cheese(drawn, corner(drawn, top=True, right=False)))
        yield from maze_figures.field_figures(subject, moved, chosen)
    if not isinstance(fit, str):
        yield from maze_figures.decision_figures(fit, [f for f in findings if f.policy == policy.name])
    yield from maze_figures.explanation_figures(findings, policy.name)
    yield from maze_figures.training_figure(history)


def _history(
    policy: Policy, worlds: tuple[Any, Any], blank: Policy, options: Options, run: RunFolder, about: About,
    say: Say,
) -> list[Finding]:  # fmt: skip
    """Findings on the policy's training snapshots, where it is packaged with some."""
    names = snapshots(policy.name) if options.policy == policy.name else []
    if not names or options.world != "maze":
        return []
    say(f"{len(names)} snapshots of the training of {policy.name}")
    levels = study_levels(*worlds, options.first_level, min(options.levels, SNAPSHOT_LEVELS))
    found = []
    for each in [blank, *(load(name, options.device) for name in names)]:
        arrays = run.stage(f"training-{each.name}", lambda each=each: measure(each.module, levels))
        found.append(restore(each.name, each.sha256, arrays, levels))
    return training_findings(found[1:], found[0], about)


def _compared(policy: Policy, world: Any, options: Options) -> list[Policy]:
    """The policy, the packaged agents that take the same observations, and the untrained network of its shape."""
    blank = frame.control_of(policy, options.seed, options.device, options.blank)
    others = [load(p.name, options.device) for p in packaged() if p.name in AGENTS and p.name != policy.name]
    fitting = [p for p in others if options.world == "maze" and p.module.size == world.size]
    return [policy, *fitting, blank]


def _provenance(options: Options, policies: list[Policy], about: About) -> dict[str, Any]:
    first, count, device = options.first_level, options.levels, options.device
    return frame.provenance("maze", policies, about, first_level=first, levels=count, device=device)


def _command(options: Options) -> str:
    return frame.command(
        "maze", policy=options.policy, world=options.world, distribution=options.distribution,
        first_level=options.first_level, levels=options.levels, seed=options.seed, size=options.size,
        blank=options.blank,
    )  # fmt: skip
