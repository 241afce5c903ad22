"""Does a Sokoban policy plan, does the plan cause its moves, and what does thinking longer buy? Reads top to bottom.

Each part is measured once (slow, stored, resumed after a kill) and then turned into findings, figures and words (quick,
made anew each time). Parts and strengths are chosen on levels that report nothing. A null result comes with the effect
that the data could have shown.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goalscope.evidence.finding import Finding
from goalscope.evidence.run_folder import RunFolder
from goalscope.studies import frame
from goalscope.studies.about import Outcome
from goalscope.studies.frame import Conclusion, Say
from goalscope.studies.sokoban_plan import figures as sokoban_figures
from goalscope.studies.sokoban_plan import words as sokoban_words
from goalscope.studies.sokoban_plan.findings.probes import larger_findings, plan_findings, probe_findings
from goalscope.studies.sokoban_plan.findings.solving import plain_findings, solving_findings
from goalscope.studies.sokoban_plan.findings.writing import write_findings_of
from goalscope.studies.sokoban_plan.measure.probes import forming, read
from goalscope.studies.sokoban_plan.measure.solving import LARGER, read_larger, solve_set
from goalscope.studies.sokoban_plan.measure.writing import write
from goalscope.studies.sokoban_plan.setup import (
    Setup,
    Sizes,
    described,
    layout,
    level_sets,
    other_player,
    sizes_of,
    told,
    without_memory,
)

DEFAULT_POLICY = "sokoban-small"


@dataclass(frozen=True)
class Options:
    """What was asked for; the command line's defaults."""

    policy: Any = DEFAULT_POLICY
    """whatever `policies.given.policy_of` takes"""
    levels: str | None = None
    """a file of Boxoban or XSB levels, beside the generated ones"""
    quick: bool = False
    """a fifth of the levels"""
    seed: int = 0
    """of bootstrap, moments, shortcut levels, random vectors and the untrained network"""
    out: str | None = None
    sites: tuple[str, ...] | None = None
    """where a network that is neither DRC nor ResNet keeps [N, C, H, W] activations"""
    size: int | None = None
    """side of the boards, of a policy whose config does not say it"""
    boxes: int | None = None
    """likewise"""
    blank: Any = None
    """the untrained control, as `policy`; None makes one from the policy's factory, config or layers"""
    force: bool = False
    """replaces a finished run, once this one is finished"""
    sizes: Sizes | None = None
    """how many levels; None goes by `quick` and by how slow the network is"""


def study(options: Options, say: Say = lambda _: None) -> Outcome:
    """Runs the study and writes its run folder.

    Args:
        options: what to study.
        say: called with one line at each step, for progress.

    Raises:
        ValueError, KeyError, FileNotFoundError: the policy or the levels cannot be loaded, no level fits the policy, or
            its sites are not known.
        FileExistsError: the output folder exists.
    """
    frame.check_seed(options.seed)
    setup = prepare(options)
    provenance = _provenance(options, setup)
    out = frame.folder_of(options.out, f"sokoban-{setup.policy.name}")
    with RunFolder.create(out, provenance, options.force) as run:
        found: dict[str, dict[str, Any]] = {}
        for name, levels in setup.sets.items():
            say(f"{len(levels)} {levels.words}")
            found[f"solve-{name}"] = run.stage(f"solve-{name}", lambda some=levels: solve_set(setup, some))
        say("probes of the plan")
        probes = found["probes"] = run.stage("probes", lambda: read(setup))
        say("the plan tick by tick")
        found["forming"] = run.stage("forming", lambda: forming(setup, probes))
        if LARGER in setup.sets:
            found["larger"] = run.stage("larger", lambda: read_larger(setup, probes))
        found["writing"] = run.stage("writing", lambda: write(setup, probes, say))
        say("findings")
        return frame.finish(run, out, _conclude(setup, found), provenance, _command(options), say)


def prepare(options: Options) -> Setup:
    """The policy, its control, the levels and the sites.

    Raises:
        ValueError, KeyError, FileNotFoundError: as `study`.
    """
    policy = told(frame.given(options.policy), options.size, options.boxes)
    size, boxes = described(policy)
    places = layout(policy.module, options.sites)
    blank = frame.control_of(policy, options.seed, blank=options.blank)
    sizes = options.sizes or sizes_of(policy, options.quick)
    sets = level_sets(policy, sizes, options.levels)
    about = frame.about(f"sokoban, {size} x {size}, {boxes} boxes", options.seed, options.quick)
    plain, other = without_memory(policy), other_player(policy)
    return Setup(policy, blank, plain, other, places, size, boxes, sizes, sets, about)


def _conclude(setup: Setup, found: dict[str, dict[str, Any]]) -> Conclusion:
    """Headline, sections, findings and figures, all from what was measured."""
    findings = _findings(setup, found)
    table = {f.id: f for f in findings}
    return Conclusion(
        title=f"Does {setup.policy.name} plan?",
        headline=sokoban_words.headline(setup, table),
        sections=sokoban_words.sections(setup, table, found),
        findings=findings,
        figures=list(sokoban_figures.figures(setup, table, found)),
        shown=sokoban_figures.SHOWN,
        further={"flips": sokoban_words.flips(setup, found)},
    )


def _findings(setup: Setup, found: dict[str, dict[str, Any]]) -> list[Finding]:
    """All findings, in the order of the report."""
    made: list[Finding] = []
    for name in setup.sets:
        made += solving_findings(setup, name, found[f"solve-{name}"])
        made += plain_findings(setup, name, found[f"solve-{name}"])
    made += probe_findings(setup, found["probes"])
    made += plan_findings(setup, found["probes"], found["forming"])
    made += write_findings_of(setup, found["writing"])
    if "larger" in found:
        made += larger_findings(setup, found["larger"])
    return made


def _provenance(options: Options, setup: Setup) -> dict[str, Any]:
    further = {p.name: p for p in (setup.plain, setup.other) if p is not None}
    policies = [setup.policy, setup.blank, *further.values()]
    levels = Path(options.levels) if options.levels else None
    return frame.provenance(
        "sokoban",
        policies,
        setup.about,
        levels=levels.name if levels else "generated",
        levels_sha256=hashlib.sha256(levels.read_bytes()).hexdigest() if levels else "",
        left_out=setup.sets["file"].note if levels else "",
        sizes=vars(setup.sizes),
        sites=list(options.sites or ()),
    )


def _command(options: Options) -> str:
    levels = Path(options.levels).name if options.levels else None
    return frame.command(
        "sokoban", policy=options.policy, levels=levels, quick=options.quick, seed=options.seed,
        size=options.size, boxes=options.boxes, site=options.sites, blank=options.blank,
    )  # fmt: skip
