"""From what the methods made to findings: each beside the control that reaches higher, untrained or a random walk."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.policies.checkpoint import Policy
from goalscope.stats import Estimate, bootstrap_clustered
from goalscope.studies.about import About, finding
from goalscope.studies.utility.measure import Made
from goalscope.studies.utility.setup import Asked, Utility

STEP = "bits per step"


def all_findings(
    policy: Policy, mine: Made, controls: Mapping[str, Made], asked: Asked, about: About
) -> list[Finding]:
    """Every finding of the policy.

    Args:
        policy: in question. mine: what was made of its moves. controls: name -> what was made of a control's.
        asked: what was asked. about: origin.
    """
    found, best = mine.inference, mine.inference.best

    def told(
        name: str, question: str, estimate: Estimate, beside: dict[str, Estimate], method: str, unit: str
    ) -> Finding:
        control = max(beside, key=lambda key: beside[key].high)
        return finding(name, question, estimate, beside[control], control, method, policy, about, unit)  # fmt: skip

    paid = "held-out likelihood of all moves, exact chain"
    made = [told(
        "explains.best", f"what the best single utility, '{best.name}', explains beyond uniform moves", best.gain,
        {name: made.inference.best.gain for name, made in controls.items()}, f"{paid}; the controls' own best", STEP,
    )]  # fmt: skip
    if found.gated is not None and found.gate_gain is not None:
        made.append(told(
            "gated.gain", f"by how much '{found.gated.name}' is ahead of every single utility, its length paid",
            found.gate_gain, _gates(controls), f"{paid}; the pair chosen on other levels; the controls' own pairs", STEP,
        ))  # fmt: skip
    made.append(finding(
        "left.unexplained", "what the best explanation leaves of the policy's own moves", _left(mine),
        Estimate.bare(found.whole.estimate, found.whole.n), "what uniform moves leave", paid, policy, about, STEP,
    ))  # fmt: skip
    for u in asked.utilities:
        beside = {name: _gain(made, u) for name, made in controls.items()}
        question = f"what '{u.name}' explains beyond uniform moves ({u.length:.1f} bits to say)"
        made.append(told(f"explains.{u.key}", question, _gain(mine, u), beside, paid, STEP))
    targets = [u for u in asked.utilities if u.target is not None]
    for i, u in enumerate(targets):
        values = {name: _served(made, i, asked, about.seed) for name, made in {"": mine, **controls}.items()}
        question = f"'{u.name}': -log2 of the chance that uniform moves come as soon, beyond what they get themselves"
        made.append(told(f"served.{u.key}", question, values.pop(""), values, "exact chain", "bits"))
    made.append(told(
        "irl.explains", "what a weighted sum of the features explains beyond uniform moves", mine.weights.gain,
        {name: made.weights.gain for name, made in controls.items()}, "maximum-entropy inverse RL, held out", STEP,
    ))  # fmt: skip
    return made


def _gates(controls: Mapping[str, Made]) -> dict[str, Estimate]:
    gains = {name: made.inference.gate_gain for name, made in controls.items()}
    return {name: gain for name, gain in gains.items() if gain is not None}


def _gain(made: Made, utility: Utility) -> Estimate:
    return next(model.gain for model in made.inference.singles if model.name == utility.name)


def _left(made: Made) -> Estimate:
    """What the model of the verdict leaves."""
    found = made.inference
    model = found.gated if found.verdict == "several" and found.gated is not None else found.best
    left = found.whole.estimate - model.gain.estimate
    return Estimate(left, left - (model.gain.high - model.gain.estimate), left + model.gain.estimate - model.gain.low,
                    found.whole.n)  # fmt: skip


def _served(made: Made, i: int, asked: Asked, seed: int) -> Estimate:
    beyond = made.served.bits[i] - made.served.null[i]
    known = np.isfinite(beyond)
    return bootstrap_clustered(beyond[known], asked.unit[known], seed=seed)
