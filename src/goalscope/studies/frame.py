"""What every study does around its own question: checks, the policies, the run folder, and everything that is written.

A study reads: check the options (`checks.py`), take the policies (`given`, `control_of`), say the origin (`about`,
`provenance`, `command`), open the run folder, measure stage by stage, conclude, and `finish`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from goalscope.evidence.finding import Finding, code_version, write_findings
from goalscope.evidence.run_folder import RunFolder
from goalscope.plots.figure import Figure, write_figures
from goalscope.policies.checkpoint import Policy
from goalscope.policies.given import CONTROL, fresh, policy_of
from goalscope.report.html import write_report
from goalscope.studies.about import About, Outcome
from goalscope.studies.checks import check_levels, check_number, check_seed, folder_of

__all__ = [
    "CONTROL", "Conclusion", "Placed", "Say", "about", "check_levels", "check_number", "check_seed", "command",
    "control_of", "finish", "folder_of", "given", "provenance",
]  # fmt: skip
QUICK = "A quick run, with fewer levels than the study: "
"""how its headline begins"""
Say = Callable[[str], None]
"""takes one line of progress"""
Placed = tuple[str, str, Figure]
"""(file name, section, figure)"""


@dataclass(frozen=True)
class Conclusion:
    """All that a study makes of what it measured; quick, and made anew each time."""

    title: str
    headline: str
    sections: Sequence[Mapping[str, str]]
    """of the report: key, title, question, answer"""
    findings: list[Finding]
    figures: Sequence[Placed]
    """in the order of the report"""
    shown: Mapping[str, Sequence[str]]
    """figure name -> ids of the findings that it draws, or patterns of them"""
    further: Mapping[str, Any] = field(default_factory=dict)
    """what `run.json` holds besides, plain JSON"""


def given(policy: Any, device: str = "cpu") -> Policy:
    """The policy of an option, by the one rule of `policies.given`.

    Raises:
        ValueError: it is called 'untrained', as its own control is; or its file is damaged.
        KeyError, FileNotFoundError: there is none of this name, no such file.
    """
    loaded = policy_of(policy, device)
    if loaded.name == CONTROL:
        raise ValueError(
            f"a policy named {CONTROL!r} would be taken for its own control: rename its file or folder"
        )
    return _acting(loaded)


def control_of(policy: Policy, seed: int, device: str = "cpu", blank: Any = None) -> Policy:
    """The untrained network of a policy's shape: `blank` where it is given, else made by `policies.given.fresh`."""
    if blank is None:
        return fresh(policy, seed, device)
    return replace(_acting(policy_of(blank, device)), name=CONTROL)


def _acting(policy: Policy) -> Policy:
    """The policy without dropout, its network in evaluation mode: a copy, where the caller's is in training."""
    if not policy.module.training:
        return policy
    return replace(policy, module=copy.deepcopy(policy.module).eval())


def about(world: str, seed: int, quick: bool = False) -> About:
    """The origin of a run's findings, with the code as it is now."""
    return About(world, seed, code_version(), quick)


def provenance(study: str, policies: Sequence[Policy], about: About, **further: Any) -> dict[str, Any]:
    """Plain JSON that says what is run; a killed run goes on only where all of it is the same.

    Args:
        study: as on the command line.
        policies: all whose weights decide the outcome.
        about: world, seed and code.
        further: options of this study.
    """
    return {
        "study": study,
        "policies": {policy.name: policy.sha256 for policy in policies},
        "world": about.world,
        **further,
        "seed": about.seed,
        "code_version": about.code_version,
        "torch": torch.__version__,
    }


def command(study: str, **options: Any) -> str:
    """The command line that gives the same run: None, False and '' are left out, True is the option alone.

    A tuple is the option once for each part. A module that was given in Python stands there as its class alone.
    """
    words = ["goalscope study", study]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif isinstance(value, tuple):
            words += [f"{option} {each}" for each in value]
        elif value is not None and value is not False and value != "":
            named = value.name if isinstance(value, Policy) else value
            words.append(f"{option} {type(named).__name__ if isinstance(named, torch.nn.Module) else named}")
    return " ".join(words)


def finish(
    run: RunFolder, out: Path, made: Conclusion, provenance: Mapping[str, Any], command: str, say: Say
) -> Outcome:
    """Writes findings, figures, `run.json` and the report, and makes the run whole.

    Args:
        run: the run folder, with every stage stored.
        out: where the run then lies, as it was asked for.
        made: what is written.
        provenance: of the run.
        command: that gives the same run.
        say: takes progress.
    """
    write_findings(run.path / "findings.parquet", made.findings)
    write_figures(run.path, made.figures, made.shown)
    headline = QUICK * any(finding.quick for finding in made.findings) + made.headline
    record = {"title": made.title, "headline": headline, "sections": made.sections, **made.further}
    run.write_json("run.json", {**record, "provenance": provenance, "command": command})
    say("report")
    write_report(run.path)
    run.commit()
    return Outcome(out, headline, made.findings)
