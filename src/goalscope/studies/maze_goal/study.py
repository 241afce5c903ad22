"""What does a maze policy pursue: the cheese, the top-right corner, both, or nothing? Reads top to bottom.

The policy, the untrained network of its shape and the packaged agents of its size are measured on the same levels
(slow, stored, resumed after a kill); from these come findings, figures and words (quick, made anew each time).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import torch

from goalscope.evidence.finding import Finding, code_version, write_findings
from goalscope.evidence.run_folder import RunFolder
from goalscope.plots.figure import Figure, write_figures
from goalscope.policies.checkpoint import Policy, load, packaged, snapshots, untrained
from goalscope.report.html import write_report
from goalscope.rollout import fields
from goalscope.studies.maze_goal import figures as maze_figures
from goalscope.studies.maze_goal import words as maze_words
from goalscope.studies.maze_goal.findings import (
    LEAST_MAZES,
    About,
    agreement_findings,
    algorithm_findings,
    behaviour_findings,
    decision_findings,
    regress,
    small,
    uniform,
    which_algorithm,
)
from goalscope.studies.maze_goal.measure import REGION, Levels, Measured, measure, restore, study_levels
from goalscope.studies.maze_goal.training import LEVELS as SNAPSHOT_LEVELS
from goalscope.studies.maze_goal.training import training_figure, training_findings
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze, place_cheese
from goalscope.worlds.maze.paths import corner

DEFAULT_POLICY = "mouse-topright"
AGENTS = ("mouse-corner", "mouse-topright", "mouse-topright-2", "mouse-anywhere")
"""the packaged agents that a policy is compared with, where they fit its world"""


@dataclass(frozen=True)
class Options:
    """What was asked for; the command line's defaults."""

    policy: str | Policy = DEFAULT_POLICY
    """name, path, or one that is loaded or made by hand"""
    world: str = "maze"
    distribution: str | None = None
    """Procgen's: 'easy' or 'hard'; None is easy"""
    first_level: int = 0
    levels: int = 500
    seed: int = 0
    """of bootstrap, splits and sampled walks"""
    out: str | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Outcome:
    """A finished study."""

    folder: Path
    headline: str
    findings: list[Finding]

    @property
    def report(self) -> Path:
        """The report's path."""
        return self.folder / "report.html"

    def _repr_html_(self) -> str:
        drawn = (self.folder / "figures" / name for name in ("headline.svg", "pulls.svg"))
        figures = "".join(path.read_text(encoding="utf-8") for path in drawn if path.exists())
        return f'<p>{escape(self.headline)}</p><div style="max-width:40em">{figures}</div>'


def study(options: Options, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Runs the study and writes its run folder.

    Args:
        options: what to study.
        say: called with one line at each step, for progress.

    Raises:
        ValueError, KeyError, FileNotFoundError: the policy cannot be loaded or does not take this world's observations,
            or an option is out of range.
        FileExistsError: the output folder exists.
    """
    if options.levels < 1:
        raise ValueError(f"--levels must be at least 1, got {options.levels}")
    if options.first_level < 0 or options.seed < 0:
        raise ValueError(
            f"--first-level and --seed must not be negative, got {options.first_level} and {options.seed}"
        )
    if options.first_level + options.levels >= 2**31 - 1 or options.seed >= 2**31:
        raise ValueError("--first-level, --levels and --seed must stay below 2147483647")
    policy = load(options.policy, options.device) if isinstance(options.policy, str) else options.policy
    if policy.name == "untrained":
        raise ValueError(
            "a policy named 'untrained' would be taken for its own control: rename its file or folder"
        )
    world, near = study_worlds(policy, options.world, options.distribution)
    policies = _compared(policy, world, options)
    about = About(world_words(world, options.distribution), options.seed, code_version())
    provenance = _provenance(options, policies, about)
    out = Path(options.out or f"runs/maze-{policy.name}")
    with RunFolder.create(out, provenance) as run:
        levels = study_levels(world, near, options.first_level, options.levels)
        found: dict[str, Measured] = {}
        for each in policies:
            say(f"{each.name}: moves on every square of {len(levels.state)} mazes")
            arrays = run.stage(f"measure-{each.name}", lambda each=each: measure(each.module, levels))
            found[each.name] = restore(each.name, each.sha256, arrays, levels)
        history = _history(policy, (world, near), policies[-1], options, run, about, say)
        say("findings")
        headline, sections, findings, figures = _conclude(policy, found, levels, history, about)
        write_findings(run.path / "findings.parquet", findings)
        write_figures(run.path, figures, maze_figures.SHOWN)
        record = {"title": f"What does {policy.name} pursue?", "headline": headline, "sections": sections}
        run.write_json("run.json", {**record, "provenance": provenance, "command": _command(options)})
        say("report")
        write_report(run.path)
        run.commit()
    return Outcome(out, headline, findings)


def _conclude(
    policy: Policy, found: dict[str, Measured], levels: Levels, history: list[Finding], about: About
) -> tuple[str, list[dict[str, str]], list[Finding], list[tuple[str, str, Figure]]]:
    """Headline, sections, findings and figures, all from what was measured."""
    subject, blank = found[policy.name], found["untrained"]
    findings: list[Finding] = []
    for measured in found.values():
        findings += behaviour_findings(measured, blank if measured is not blank else uniform(blank), about)
        findings += agreement_findings(measured, about)
    fits, fit = {}, ""
    for measured in found.values():
        for scope, mazes in (("small", small(subject.base.maze)), ("large", ~small(subject.base.maze))):
            if mazes.sum() >= LEAST_MAZES:
                compared = which_algorithm(measured, mazes, about.seed)
                findings += algorithm_findings(measured, compared, scope, about)
                if measured is subject:
                    fits[scope] = compared
        try:
            regression = regress(measured, about.seed)
        except ValueError as error:
            # Few levels, or a feature that does not vary on them: said in the report in place of the coefficients.
            regression = str(error)
        else:
            findings += decision_findings(measured, regression, about)
        if measured is subject:
            fit = regression
    mine = {f.id: f for f in findings if f.policy == policy.name}
    chosen = maze_figures.chosen_levels(subject)
    figures = list(maze_figures.headline_figure(subject, chosen)) if chosen else []
    figures += maze_figures.reach_figures(findings, policy.name)
    if chosen:
        drawn = take(levels.state, [level for level, _ in chosen])
        moved = fields(policy.module, levels.world, place_cheese(drawn, corner(drawn, top=True, right=False)))
        figures += maze_figures.field_figures(subject, moved, chosen)
    if not isinstance(fit, str):
        figures += maze_figures.decision_figures(fit, [f for f in findings if f.policy == policy.name])
    figures += maze_figures.explanation_figures(findings, policy.name)
    figures += training_figure(history)
    sections = maze_words.sections(mine, fit, fits, [rule for _, rule in chosen], history)
    compared = [
        f for f in findings if f.id == "reach.corner_instead" and f.policy not in (policy.name, blank.name)
    ]
    return maze_words.headline(mine, fits, compared), sections, findings + history, figures


def _history(
    policy: Policy, worlds: tuple[Any, Any], blank: Policy, options: Options, run: RunFolder, about: About,
    say: Callable[[str], None],
) -> list[Finding]:  # fmt: skip
    """Findings on the policy's training snapshots, where it is packaged with some."""
    names = snapshots(policy.name) if options.policy == policy.name else []
    if not names or options.world != "maze":
        return []
    say(f"{len(names)} snapshots of the training of {policy.name}")
    levels = study_levels(*worlds, options.first_level, min(options.levels, SNAPSHOT_LEVELS))
    return training_findings([load(n, options.device) for n in names], blank, levels, run.stage, about)


def study_worlds(policy: Policy, world: str, distribution: str | None) -> tuple[Any, Any]:
    """The world with the cheese anywhere, and the same with the cheese in the top-right 5 x 5.

    Args:
        policy: that will act in it. world: 'maze' or 'procgen'. distribution: Procgen's.

    Raises:
        ValueError: another world, or one that does not fit the policy or the distribution.
    """
    if world == "procgen":
        from goalscope.worlds.procgen import ProcgenMaze

        return ProcgenMaze(distribution or "easy"), ProcgenMaze(distribution or "easy", REGION)
    if world != "maze":
        raise ValueError(f"--world must be maze or procgen, got {world!r}")
    if distribution is not None:
        raise ValueError("--distribution is Procgen's: add --world procgen, or leave it out")
    size = getattr(policy.module, "size", None)
    if not isinstance(size, int):
        raise ValueError(
            f"{policy.name} does not see the maze world's planes (it takes pixels?): add --world procgen"
        )
    return Maze(size, cheese_region=None), Maze(size, REGION)


def _compared(policy: Policy, world: Any, options: Options) -> list[Policy]:
    """The policy, the untrained network of its shape, and the packaged agents that take the same observations."""
    blank = untrained(policy.config, seed=options.seed, device=options.device)
    others = [load(p.name, options.device) for p in packaged() if p.name in AGENTS and p.name != policy.name]
    fitting = [p for p in others if options.world == "maze" and p.module.size == world.size]
    return [policy, *fitting, blank]


def world_words(world: Any, distribution: str | None) -> str:
    """What a finding says of its world."""
    if isinstance(world, Maze):
        return f"maze, size {world.size}, cheese anywhere, time limit {world.time_limit}"
    return f"procgen maze, {distribution or 'easy'}, time limit {world.time_limit}"


def _provenance(options: Options, policies: list[Policy], about: About) -> dict[str, Any]:
    return {
        "study": "maze",
        "policies": {p.name: p.sha256 for p in policies},
        "world": about.world,
        "first_level": options.first_level,
        "levels": options.levels,
        "seed": options.seed,
        "device": options.device,
        "code_version": about.code_version,
        "torch": torch.__version__,
    }


def _command(options: Options) -> str:
    name = options.policy if isinstance(options.policy, str) else options.policy.name
    words = ["goalscope study maze", f"--policy {name}", f"--world {options.world}"]
    words += [f"--distribution {options.distribution}"] if options.distribution else []
    words += [f"--first-level {options.first_level}", f"--levels {options.levels}", f"--seed {options.seed}"]
    return " ".join(words)
