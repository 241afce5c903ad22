"""Does a policy plan its way through mazes, does the plan cause its moves, and what does thinking longer buy?

Each part is measured once (slow, stored, resumed after a kill) and then turned into findings, figures and words (quick,
made anew each time). Codes, directions and strengths are chosen on levels that report nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from goalscope.evidence.finding import Finding
from goalscope.evidence.run_folder import RunFolder
from goalscope.studies import frame
from goalscope.studies.about import Outcome
from goalscope.studies.frame import Conclusion, Say
from goalscope.studies.planning import figures as plan_figures
from goalscope.studies.planning import findings as plan_findings
from goalscope.studies.planning import words as plan_words
from goalscope.studies.planning.measure.reading import read
from goalscope.studies.planning.measure.thinking import close, think
from goalscope.studies.planning.measure.writing import write
from goalscope.studies.planning.setup import FULL, QUICK, Setup, Sizes, moments, shared_out, side
from goalscope.worlds.maze import Maze

DEFAULT_POLICY = "mouse-planner"


@dataclass(frozen=True)
class Options:
    """What was asked for; the command line's defaults."""

    policy: Any = DEFAULT_POLICY
    """whatever `policies.given.policy_of` takes"""
    world: str = "maze"
    """the study of Sokoban's players is `study sokoban`"""
    size: int | None = None
    """side of the mazes; None is what the policy says"""
    quick: bool = False
    """a quarter of the mazes"""
    seed: int = 0
    """of bootstrap, other ways, random vectors and the untrained network"""
    out: str | None = None
    sites: tuple[str, ...] | None = None
    """of a network of one's own: where it holds [N, C, H, W] activations, in the order of the forward"""
    blank: Any = None
    """the untrained control, as `policy`; None makes one from the policy's factory, config or layers"""
    force: bool = False
    """replaces a finished run, once this one is finished"""
    sizes: Sizes | None = None
    """how many mazes; None goes by `quick`"""


def study(options: Options, say: Say = lambda _: None) -> Outcome:
    """Runs the study and writes its run folder.

    Args:
        options: what to study.
        say: called with one line at each step, for progress.

    Raises:
        ValueError, KeyError, FileNotFoundError: the policy cannot be loaded, has a memory, does not fit the mazes, or its
            sites are not known.
        FileExistsError: the output folder exists.
    """
    frame.check_seed(options.seed)
    if options.world != "maze":
        raise ValueError(
            f"--world must be maze or sokoban (`goalscope study sokoban`), got {options.world!r}"
        )
    setup = prepare(options)
    provenance = frame.provenance(
        "planning", [setup.policy, setup.blank], setup.about, sizes=vars(setup.sizes), sites=list(setup.sites)
    )
    out = frame.folder_of(options.out, f"planning-{setup.policy.name}")
    with RunFolder.create(out, provenance, options.force) as run:
        say("reading the way")
        found = {"reading": run.stage("reading", lambda: read(setup))}
        say("writing other ways")
        found["writing"] = run.stage("writing", lambda: write(setup, found["reading"]))
        if setup.thinks:
            say("thinking longer")
            found["thinking"] = run.stage("thinking", lambda: think(setup))
        say("a wall closes")
        found["closing"] = run.stage("closing", lambda: close(setup))
        say("findings")
        return frame.finish(run, out, _conclude(setup, found), provenance, _command(options), say)


def prepare(options: Options) -> Setup:
    """The policy, its control, the mazes and the moments.

    Raises:
        ValueError, KeyError, FileNotFoundError: as `study`.
    """
    policy = frame.given(options.policy)
    world = Maze(side(policy, options.size), cheese_region=None)
    sites = moments(policy.module, options.sites)
    blank = frame.control_of(policy, options.seed, blank=options.blank)
    sizes = options.sizes or (QUICK if options.quick else FULL)
    about = frame.about(f"maze, {world.size} x {world.size}, cheese anywhere", options.seed, options.quick)
    return Setup(policy, blank, world, sites, sizes, about=about, **shared_out(world, sizes))


def _conclude(setup: Setup, found: dict[str, dict[str, Any]]) -> Conclusion:
    """Headline, sections, findings and figures, all from what was measured."""
    findings = _findings(setup, found)
    table = {f.id: f for f in findings}
    return Conclusion(
        title=f"Does {setup.policy.name} plan its way?",
        headline=plan_words.headline(setup, table),
        sections=plan_words.sections(setup, table, found),
        findings=findings,
        figures=list(plan_figures.figures(setup, table, found)),
        shown=plan_figures.SHOWN,
        further={"flips": plan_words.flips(found)},
    )


def _findings(setup: Setup, found: dict[str, dict[str, Any]]) -> list[Finding]:
    """All findings, in the order of the report."""
    return [
        *plan_findings.read_findings(setup, found["reading"]),
        *plan_findings.form_findings(setup, found["reading"]),
        *plan_findings.follow_findings(setup, found["writing"]),
        *plan_findings.think_findings(setup, found.get("thinking", {})),
        *plan_findings.replan_findings(setup, found["closing"]),
    ]


def _command(options: Options) -> str:
    return frame.command(
        "planning", world=options.world, policy=options.policy, quick=options.quick, seed=options.seed, size=options.size,
        site=options.sites, blank=options.blank,
    )  # fmt: skip
