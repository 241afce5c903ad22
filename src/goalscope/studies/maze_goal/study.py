"""What does a maze policy pursue: the cheese, the top-right corner, both, or nothing? Reads top to bottom.

The policy, the untrained network of its shape and the packaged agents of its size are measured on the same levels
(slow, stored, resumed after a kill, found again by other studies of the same); from these come findings, figures and
words (quick, made anew each time).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.evidence.kept import Kept
from goalscope.evidence.run_folder import RunFolder
from goalscope.methods.behaviour.algorithms import AlgorithmComparison
from goalscope.methods.behaviour.decision import DecisionRegression
from goalscope.policies.checkpoint import Policy, load
from goalscope.policies.names import packaged, snapshots
from goalscope.progress import counted
from goalscope.rollout import fields
from goalscope.studies import frame
from goalscope.studies.about import About, Outcome
from goalscope.studies.checks import check_maze_world
from goalscope.studies.frame import CONTROL, Conclusion, Placed, Say
from goalscope.studies.kept import key_of
from goalscope.studies.maze import DEFAULT_POLICY, study_worlds, world_words
from goalscope.studies.maze_goal import figures as maze_figures
from goalscope.studies.maze_goal import words as maze_words
from goalscope.studies.maze_goal.findings.algorithms import algorithms
from goalscope.studies.maze_goal.findings.behaviour import Answers, answers, behaviour_findings, uniform
from goalscope.studies.maze_goal.findings.beside import beside_findings
from goalscope.studies.maze_goal.findings.decision import decision_findings, regress
from goalscope.studies.maze_goal.findings.training import training_findings
from goalscope.studies.maze_goal.findings.value import agreement_findings
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
from goalscope.worlds.maze import Maze, place_cheese
from goalscope.worlds.maze.paths import corner

MEASURING = ("studies/maze.py", "studies/value_layer.py", "studies/maze_goal/measure")
"""the files and folders of studies that say what is measured; what was kept of other code is not found"""
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
    no_cache: bool = False
    """measures anew what was measured before, and keeps nothing of it"""
    force: bool = False
    """replaces a finished run, once this one is finished"""


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
    frame.check_levels(options.first_level, options.levels)
    frame.check_seed(options.seed)
    policy = frame.given(options.policy, options.device)
    check_maze_world(options.world, options.distribution)
    world, near = study_worlds(policy, options.world, options.distribution, options.size)
    policies = _compared(policy, world, options)
    about = frame.about(world_words(world, options.distribution), options.seed)
    provenance = _provenance(options, policies, about)
    out = frame.folder_of(options.out, f"maze-{policy.name}")
    with RunFolder.create(out, provenance, options.force) as run:
        levels = study_levels(world, near, options.first_level, options.levels)
        kept = Kept(say=say, off=options.no_cache)
        # The policy and its control first: the answer does not wait for the comparisons.
        found = {p.name: _measured(p, levels, run, kept, say) for p in (policy, policies[-1])}
        told = {name: answers(measured, about.seed) for name, measured in found.items()}
        mine = behaviour_findings(found[policy.name], told[policy.name], CONTROL, told[CONTROL], about)
        say(f"so far: {maze_words.verdict({f.id: f for f in mine})}")
        found = {p.name: found.get(p.name) or _measured(p, levels, run, kept, say) for p in policies}
        history = _history(policy, (world, near), policies[-1], options, run, kept, about, say)
        say("findings")
        made = _conclude(policies, found, told, levels, history, about)
        return frame.finish(run, out, made, provenance, _command(options), say)


def _measured(policy: Policy, levels: Levels, run: RunFolder, kept: Kept, say: Say) -> Measured:
    """What one policy does on the study's mazes."""
    before = all(kept.holds(_key(policy, levels, what)) for what in (measure, measure_far_corners))
    of = f"{len(levels.state)} mazes"
    say(f"{policy.name}: {f'measured before on these {of}' if before else f'moves on every square of {of}'}")
    arrays = _stage("measure", policy, levels, measure, run, kept)
    far = _stage("far", policy, levels, measure_far_corners, run, kept, arrays)
    return restore(policy.name, policy.sha256, arrays, levels, far)


def _stage(
    name: str, policy: Policy, levels: Levels, what: Callable[..., dict[str, np.ndarray]], run: RunFolder, kept: Kept,
    *known: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:  # fmt: skip
    """Arrays of `measure` or `measure_far_corners`: of this run where it was killed, else kept, else measured now.

    `known` was measured of the same policy on the same levels, so the key need not hold it.
    """
    key = _key(policy, levels, what)
    return run.stage(
        f"{name}-{policy.name}", lambda: kept.arrays(key, lambda: what(policy.module, levels, *known))
    )


def _key(policy: Policy, levels: Levels, what: Callable) -> str | None:
    """None in Procgen's maze, whose pictures are drawn by code that is not ours."""
    if not isinstance(levels.world, Maze):
        return None
    return key_of(policy, MEASURING, what.__name__, levels)


def _conclude(
    compared: list[Policy], found: dict[str, Measured], told: dict[str, Answers], levels: Levels, history: list[Finding],
    about: About,
) -> Conclusion:  # fmt: skip
    """Headline, sections, findings and figures, all from what was measured; `told` are answers that are known already.

    The first of those compared is the policy in question, the last its untrained control.
    """
    policy = compared[0]
    subject, blank = found[policy.name], found[CONTROL]
    findings: list[Finding] = []
    chance = uniform(blank)
    told = {chance.name: answers(chance, about.seed), **told}
    floors = told[chance.name]
    for name, measured in found.items():
        told[name] = told.get(name) or answers(measured, about.seed)
        if measured is blank:
            findings += behaviour_findings(measured, told[name], chance.name, floors, about)
        else:
            findings += behaviour_findings(measured, told[name], CONTROL, told[CONTROL], about, floors)
        findings += agreement_findings(measured, about)
    trained = {p.name: p for p in compared[1:-1]}
    findings += beside_findings(subject, policy, trained, told, floors, about)
    fits: dict[str, dict[str, AlgorithmComparison]] = {}
    regressions: dict[str, DecisionRegression | str] = {}
    for name, measured in counted(found.items(), "what describes each policy", "policies"):
        fits[name], made = algorithms(measured, about)
        findings += made
        try:
            regressions[name] = fit = regress(measured, about.seed)
        except ValueError as error:
            # Few levels, or a feature that does not vary on them: said in the report in place of the coefficients.
            regressions[name] = str(error)
        else:
            findings += decision_findings(measured, fit, about)
    about_it = {f.id: f for f in findings if f.policy == policy.name}
    chosen, fit = maze_figures.chosen_levels(subject), regressions[policy.name]
    return Conclusion(
        title=f"What does {policy.name} pursue?",
        headline=maze_words.headline(about_it),
        sections=maze_words.sections(about_it, fit, fits[policy.name], [rule for _, rule in chosen], history),
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
    policy: Policy, worlds: tuple[Any, Any], blank: Policy, options: Options, run: RunFolder, kept: Kept,
    about: About, say: Say,
) -> list[Finding]:  # fmt: skip
    """Findings on the policy's training snapshots, where it is packaged with some."""
    names = snapshots(policy.name) if options.policy == policy.name else []
    if not names or options.world != "maze":
        return []
    say(f"{len(names)} snapshots of the training of {policy.name}")
    levels = study_levels(*worlds, options.first_level, min(options.levels, SNAPSHOT_LEVELS))
    found = []
    for each in [blank, *(load(name, options.device) for name in names)]:
        arrays = _stage("training", each, levels, measure, run, kept)
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
