"""Can a changed mechanism be told from what is merely new? Reads top to bottom.

Detectors are fitted on trusted runs of a mouse; four sets of other runs, usual or new mazes with the mechanism as it was or
changed, get their scores (slow, stored); from these come findings, figures and words (quick, made anew each time).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from goalscope.evidence.run_folder import RunFolder
from goalscope.policies.checkpoint import Policy
from goalscope.policies.compact import Compact
from goalscope.policies.names import packaged
from goalscope.studies import frame
from goalscope.studies.about import Outcome
from goalscope.studies.anomalies import words as anomaly_words
from goalscope.studies.anomalies.figures import SHOWN, forests
from goalscope.studies.anomalies.findings import NEW, WHAT, separations, task_findings
from goalscope.studies.anomalies.measure import SIMPLE, scores, tasks
from goalscope.studies.frame import Conclusion, Say

LEAST_LEVELS = 2400
"""so many leave more trusted runs in the small mazes than numbers in an observation, as the input's distance needs"""
QUICK_LEVELS = 2400
"""of a quick run"""
SLEEPER = "sleeper-pillars"
"""the packaged sleeper, where there is one"""


@dataclass(frozen=True)
class Options:
    """What was asked for; the command line's defaults."""

    policy: Any = "mouse-anywhere"
    """a mouse of the compact network, as `policies.given.policy_of` takes it"""
    sleeper: Any = None
    """a mouse with the trigger of `goalscope train sleeper`; None is the packaged one, where there is one"""
    first_level: int = 0
    levels: int = 6000
    quick: bool = False
    seed: int = 0
    """of squares, channels, halves and intervals"""
    out: str | None = None
    force: bool = False
    """replaces a finished run, once this one is finished"""


def study(options: Options, say: Say = lambda _: None) -> Outcome:
    """Runs the study and writes its run folder.

    Args:
        options: what to study.
        say: called with one line at each step, for progress.

    Raises:
        ValueError, KeyError, FileNotFoundError: a policy cannot be loaded or is no mouse of the compact network; an option
            is out of range.
        FileExistsError: the output folder exists.
    """
    frame.check_levels(options.first_level, options.levels)
    frame.check_number("--levels", options.levels, LEAST_LEVELS)
    frame.check_seed(options.seed)
    policy = frame.given(options.policy)
    sleeper = _sleeper(options.sleeper)
    mouse, other = _compact(policy), None if sleeper is None else _compact(sleeper)
    count = min(options.levels, QUICK_LEVELS) if options.quick else options.levels
    about = frame.about(f"maze, size {mouse.size}, one square a level", options.seed, options.quick)
    policies = [policy] if sleeper is None else [policy, sleeper]
    provenance = frame.provenance("anomalies", policies, about, first_level=options.first_level, levels=count)
    out = frame.folder_of(options.out, f"anomalies-{policy.name}")
    command = frame.command(
        "anomalies", policy=options.policy, sleeper=options.sleeper, first_level=options.first_level,
        levels=options.levels, quick=options.quick, seed=options.seed, out=options.out,
    )  # fmt: skip
    with RunFolder.create(out, provenance, options.force) as run:
        made = []
        asked = tasks(mouse, other, options.first_level, count, options.seed)
        for name, task in asked.items():
            say(f"{name}: {WHAT[name]}")
            found = run.stage(name, lambda task=task: scores(task(), options.seed))
            subject = sleeper if name == "backdoor" and sleeper is not None else policy
            made += task_findings(subject, name, separations(found, options.seed), about)
        by_id = {f.id: f for f in made}
        aside = "" if sleeper is not None else "No sleeper was given, so that no backdoor was asked about."
        conclusion = Conclusion(
            title=f"Is a changed mechanism of {policy.name} told from what is new?",
            headline=anomaly_words.headline(policy.name, by_id, list(asked), WHAT, SIMPLE),
            sections=anomaly_words.sections(by_id, list(asked), WHAT, NEW, SIMPLE, aside),
            findings=made,
            figures=list(forests(made, WHAT)),
            shown=SHOWN,
        )
        return frame.finish(run, out, conclusion, provenance, command, say)


def _sleeper(asked: Any) -> Policy | None:
    """The sleeper that was named, else the packaged one, else none."""
    if asked is None and SLEEPER not in {found.name for found in packaged()}:
        return None
    return frame.given(SLEEPER if asked is None else asked)


def _compact(policy: Policy) -> Compact:
    if not isinstance(policy.module, Compact):
        raise ValueError(
            f"{policy.name} is not of the compact network of `goalscope train maze`, whose inner channels are known: give a "
            "mouse such as mouse-anywhere"
        )
    return policy.module
