"""Which activations carry what a maze policy pursues, and can it be edited, moved or trained away? Reads top to bottom.

Seven parts, each measured once (slow, stored, resumed after a kill) and then turned into findings, figures and words
(quick, made anew each time). What is chosen is chosen on discovery mazes; every finding is on held-out ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from goalscope.evidence.run_folder import RunFolder
from goalscope.policies.checkpoint import Policy
from goalscope.studies import frame
from goalscope.studies.about import About, Outcome
from goalscope.studies.checks import check_maze_world
from goalscope.studies.frame import Conclusion, Say
from goalscope.studies.maze import DEFAULT_POLICY, study_worlds, world_words
from goalscope.studies.maze_internals import figures as internals_figures
from goalscope.studies.maze_internals import words as internals_words
from goalscope.studies.maze_internals.findings.channels import channel_findings
from goalscope.studies.maze_internals.findings.goals import comparisons, gate, goal_findings
from goalscope.studies.maze_internals.findings.reading import reading_findings
from goalscope.studies.maze_internals.findings.retarget import retarget_findings
from goalscope.studies.maze_internals.findings.steering import steering_findings
from goalscope.studies.maze_internals.findings.training import training_findings
from goalscope.studies.maze_internals.findings.writing import writing_findings
from goalscope.studies.maze_internals.measure.channels import select_channels
from goalscope.studies.maze_internals.measure.goals import goals
from goalscope.studies.maze_internals.measure.reading import read
from goalscope.studies.maze_internals.measure.retarget import retarget
from goalscope.studies.maze_internals.measure.steering import steer
from goalscope.studies.maze_internals.measure.training import finetunings, trained
from goalscope.studies.maze_internals.measure.writing import write
from goalscope.studies.maze_internals.setup import FULL, PIXELS, QUICK, Setup, Sizes, prepare


@dataclass(frozen=True)
class Options:
    """What was asked for; the command line's defaults."""

    policy: Any = DEFAULT_POLICY
    """whatever `policies.given.policy_of` takes, if its network is one whose sites are known"""
    world: str = "maze"
    distribution: str | None = None
    """Procgen's: 'easy' or 'hard'; None is easy"""
    first_level: int = 0
    quick: bool = False
    """a quarter of the mazes"""
    seed: int = 0
    """of bootstrap, splits, donors, targets and noise"""
    out: str | None = None
    force: bool = False
    """replaces a finished run, once this one is finished"""


def study(options: Options, say: Say = lambda _: None) -> Outcome:
    """Runs the study and writes its run folder.

    Args:
        options: what to study.
        say: called with one line at each step, for progress.

    Raises:
        ValueError, KeyError, FileNotFoundError: the policy cannot be loaded, is of an architecture whose sites are not
            known, or does not take this world's observations; an option is out of range.
        FileExistsError: the output folder exists.
    """
    frame.check_number("--first-level", options.first_level, 0, 2**30)
    frame.check_seed(options.seed)
    policy = frame.given(options.policy)
    check_maze_world(options.world, options.distribution)
    world, _ = study_worlds(policy, options.world, options.distribution)
    blank = frame.control_of(policy, options.seed)
    about = frame.about(world_words(world, options.distribution), options.seed, options.quick)
    setup = prepare(policy, blank, world, _sizes(options), options.first_level, about)
    provenance = _provenance(options, policy, about)
    out = frame.folder_of(options.out, f"maze-internals-{policy.name}")
    with RunFolder.create(out, provenance, options.force) as run:
        # Checkpoints of the brief finetunings lie beside the stages: a killed run goes on, a finished one drops them.
        parts = {
            "probes": ("probes and readable channels", lambda: read(setup)),
            "writing": ("the probes' square written", lambda: write(setup)),
            "vectors": (
                "the cheese vector and the top-right vector",
                lambda: steer(setup),
            ),
            "carriers": ("channels that carry the goal", lambda: select_channels(setup)),
            "retarget": ("retargeting", lambda: retarget(setup)),
            "finetuning": ("finetuning", lambda: trained(setup, run.scratch, say)),
            "goals": ("one objective or two", lambda: goals(setup)),
        }
        found: dict[str, dict[str, Any]] = {}
        for name, (words, compute) in parts.items():
            say(words)
            found[name] = run.stage(name, compute)
        say("findings")
        return frame.finish(run, out, _conclude(setup, found), provenance, _command(options), say)


def _sizes(options: Options) -> Sizes:
    if options.world == "procgen":
        return PIXELS
    return QUICK if options.quick else FULL


def _conclude(setup: Setup, found: dict[str, dict[str, Any]]) -> Conclusion:
    """Headline, sections, findings and figures, all from what was measured."""
    compared = comparisons(setup, found["goals"])
    gated = gate(setup, found["goals"])
    findings = [
        *reading_findings(setup, found["probes"]),
        *writing_findings(setup, found["writing"]),
        *steering_findings(setup, found["vectors"]),
        *channel_findings(setup, found["carriers"]),
        *retarget_findings(setup, found["retarget"]),
        *training_findings(setup, found["finetuning"]),
        *goal_findings(setup, compared, gated),
    ]
    table = {f.id: f for f in findings}
    figures = [
        *internals_figures.reading_figures(setup, table, found["probes"]),
        *internals_figures.steering_figures(setup, table),
        *internals_figures.retarget_figures(setup, table, found["retarget"]),
        *internals_figures.training_figures(setup, table, found["finetuning"]),
        *internals_figures.goal_figures(table),
    ]
    return Conclusion(
        title=f"How does {setup.policy.name} pursue it?",
        headline=internals_words.headline(setup, table),
        sections=internals_words.sections(setup, table, gated),
        findings=findings,
        figures=figures,
        shown=internals_figures.SHOWN,
    )


def _provenance(options: Options, policy: Policy, about: About) -> dict[str, Any]:
    policies = [policy, *finetunings(policy).values()]
    first, quick = options.first_level, options.quick
    return frame.provenance("maze-internals", policies, about, first_level=first, quick=quick)


def _command(options: Options) -> str:
    return frame.command(
        "maze-internals", policy=options.policy, world=options.world, distribution=options.distribution,
        quick=options.quick, first_level=options.first_level, seed=options.seed,
    )  # fmt: skip
