"""Which activations carry what a maze policy pursues, and can it be edited, moved or trained away? Reads top to bottom.

Seven parts, each measured once (slow, stored, resumed after a kill) and then turned into findings, figures and words
(quick, made anew each time). What is chosen is chosen on discovery mazes; every finding is on held-out ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from goalscope.evidence.finding import Finding, code_version, write_findings
from goalscope.evidence.run_folder import RunFolder
from goalscope.plots.figure import write_figures
from goalscope.policies.checkpoint import Policy, load, untrained
from goalscope.report.html import write_report
from goalscope.studies.maze_goal.findings import About
from goalscope.studies.maze_goal.study import DEFAULT_POLICY, Outcome, study_worlds, world_words
from goalscope.studies.maze_internals import channels as internals_channels
from goalscope.studies.maze_internals import figures as internals_figures
from goalscope.studies.maze_internals import goals as internals_goals
from goalscope.studies.maze_internals import reading as internals_reading
from goalscope.studies.maze_internals import retarget as internals_retarget
from goalscope.studies.maze_internals import retarget_findings as internals_targets
from goalscope.studies.maze_internals import steering as internals_steering
from goalscope.studies.maze_internals import training as internals_training
from goalscope.studies.maze_internals import words as internals_words
from goalscope.studies.maze_internals import writing as internals_writing
from goalscope.studies.maze_internals.setup import FULL, PIXELS, QUICK, Setup, Sizes, prepare


@dataclass(frozen=True)
class Options:
    """What was asked for; the command line's defaults."""

    policy: str | Policy = DEFAULT_POLICY
    """name, path, or one that is loaded or made by hand"""
    world: str = "maze"
    distribution: str | None = None
    """Procgen's: 'easy' or 'hard'; None is easy"""
    first_level: int = 0
    quick: bool = False
    """a quarter of the mazes"""
    seed: int = 0
    """of bootstrap, splits, donors, targets and noise"""
    out: str | None = None


def study(options: Options, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Runs the study and writes its run folder.

    Args:
        options: what to study.
        say: called with one line at each step, for progress.

    Raises:
        ValueError, KeyError, FileNotFoundError: the policy cannot be loaded, is of an architecture whose sites are not
            known, or does not take this world's observations; an option is out of range.
        FileExistsError: the output folder exists.
    """
    if not 0 <= options.first_level < 2**30 or not 0 <= options.seed < 2**31:
        raise ValueError(
            f"--first-level must be 0 to {2**30 - 1} and --seed 0 to {2**31 - 1}, got {options.first_level} "
            f"and {options.seed}"
        )
    policy = load(options.policy) if isinstance(options.policy, str) else options.policy
    world, _ = study_worlds(policy, options.world, options.distribution)
    blank = untrained(policy.config, seed=options.seed)
    sizes = _sizes(options)
    about = About(world_words(world, options.distribution), options.seed, code_version())
    setup = prepare(policy, blank, world, sizes, options.first_level, about)
    provenance = _provenance(options, policy, about)
    out = Path(options.out or f"runs/maze-internals-{policy.name}")
    with RunFolder.create(out, provenance) as run:
        parts = {
            "probes": ("probes and readable channels", lambda: internals_reading.read(setup)),
            "writing": ("the probes' square written", lambda: internals_writing.write(setup)),
            "vectors": (
                "the cheese vector and the top-right vector",
                lambda: internals_steering.steer(setup),
            ),
            "carriers": ("channels that carry the goal", lambda: internals_channels.select_channels(setup)),
            "retarget": ("retargeting", lambda: internals_retarget.retarget(setup)),
            "finetuning": ("finetuning", lambda: _trained(setup, run, say)),
            "goals": ("one objective or two", lambda: internals_goals.goals(setup)),
        }
        found: dict[str, dict[str, Any]] = {}
        for name, (words, compute) in parts.items():
            say(words)
            found[name] = run.stage(name, compute)
        say("findings")
        headline, sections, findings, figures = _conclude(setup, found)
        write_findings(run.path / "findings.parquet", findings)
        write_figures(run.path, figures, internals_figures.SHOWN)
        record = {"title": f"How does {policy.name} pursue it?", "headline": headline, "sections": sections}
        run.write_json("run.json", {**record, "provenance": provenance, "command": _command(options)})
        say("report")
        write_report(run.path)
        run.commit()
    return Outcome(out, headline, findings)


def _sizes(options: Options) -> Sizes:
    if options.world == "procgen":
        return PIXELS
    return QUICK if options.quick else FULL


def _trained(setup: Setup, run: RunFolder, say: Callable[[str], None]) -> dict[str, Any]:
    """Checkpoints of the brief finetunings lie beside the stages: a killed run goes on, a finished one drops them."""
    return internals_training.trained(setup, run.scratch, say)


def _conclude(
    setup: Setup, found: dict[str, dict[str, Any]]
) -> tuple[str, list[dict[str, str]], list[Finding], list[Any]]:
    """Headline, sections, findings and figures, all from what was measured."""
    compared = internals_goals.comparisons(setup, found["goals"])
    gated = internals_goals.gate(setup, found["goals"])
    findings = [
        *internals_reading.findings(setup, found["probes"]),
        *internals_writing.findings(setup, found["writing"]),
        *internals_steering.findings(setup, found["vectors"]),
        *internals_channels.findings(setup, found["carriers"]),
        *internals_targets.findings(setup, found["retarget"]),
        *internals_training.findings(setup, found["finetuning"]),
        *internals_goals.findings(setup, compared, gated),
    ]
    table = {f.id: f for f in findings}
    figures = [
        *internals_figures.reading_figures(setup, table, found["probes"]),
        *internals_figures.steering_figures(setup, table),
        *internals_figures.retarget_figures(setup, table, found["retarget"]),
        *internals_figures.training_figures(setup, table, found["finetuning"]),
        *internals_figures.goal_figures(table),
    ]
    sections = internals_words.sections(setup, table, gated)
    return internals_words.headline(setup, table), sections, findings, figures


def _provenance(options: Options, policy: Policy, about: About) -> dict[str, Any]:
    further = internals_training.finetunings(policy)
    return {
        "study": "maze-internals",
        "policies": {p.name: p.sha256 for p in (policy, *further.values())},
        "world": about.world,
        "first_level": options.first_level,
        "quick": options.quick,
        "seed": options.seed,
        "code_version": about.code_version,
        "torch": torch.__version__,
    }


def _command(options: Options) -> str:
    name = options.policy if isinstance(options.policy, str) else options.policy.name
    words = ["goalscope study maze-internals", f"--policy {name}", f"--world {options.world}"]
    words += [f"--distribution {options.distribution}"] if options.distribution else []
    words += ["--quick"] if options.quick else []
    words += [f"--first-level {options.first_level}", f"--seed {options.seed}"]
    return " ".join(words)
