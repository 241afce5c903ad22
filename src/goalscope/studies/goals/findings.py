"""From what was measured to findings and verdicts: each an estimate over levels, beside the control that is higher.

Two controls are measured on the same levels: the untrained network of the policy's shape, and a random walk. Beside an
estimate stands whichever could explain it more easily: the one whose interval reaches higher. What decides about a
candidate is one interval; as many are asked at once, each is so wide that all hold together with 95%. A place is held
against the one that does best against it on these very levels: that choice is paid for as well, by an interval so wide that
those against all others of its kind hold at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.behaviour.agreement import Agreement, value_policy_agreement
from goalscope.policies.checkpoint import Policy
from goalscope.policies.given import CONTROL
from goalscope.stats import CONFIDENCE, RESAMPLES, Estimate, above_zero_within, bootstrap_mean, least_effect
from goalscope.studies.about import About, finding
from goalscope.studies.goals.measure.quantities import PLACES, Asked
from goalscope.studies.goals.measure.rules import Explained
from goalscope.studies.goals.measure.solving import first_levels
from goalscope.studies.goals.setup import Candidate
from goalscope.studies.value_layer import beside_readouts

MARGIN = 0.1
"""a candidate is pursued only where its whole interval lies above this, and above its control's"""
Answers = Mapping[str, np.ndarray]
"""what `quantities.measure` gives"""


@dataclass(frozen=True)
class Controls:
    """What the policy is held against, on the same levels."""

    named: Mapping[str, Answers]
    """name of the control -> its answers"""
    exact: bool
    """whether all is solved exactly, or sampled"""


@dataclass(frozen=True)
class Verdict:
    """Whether one candidate is pursued."""

    candidate: Candidate
    answer: str
    """'yes', 'no' or 'cannot tell'"""
    by: str
    """id of the finding that decides"""
    would_show: float | None
    """of 'cannot tell': the least true mean that these levels would have shown four times in five; None: not known"""


def all_findings(
    policy: Policy,
    mine: Answers,
    controls: Controls,
    asked: Asked,
    seen: Mapping[str, np.ndarray],
    about: About,
) -> list[Finding]:
    """Every finding but those of the rules and the value.

    Args:
        policy: in question. mine: its answers. controls: what they are held against. asked: of what.
        seen: key of a thing -> [C, 2] bool, the squares that it was moved to are such as the world puts it on.
        about: origin.
    """
    rivals = _rivals(asked.candidates, mine)
    told = _Teller(policy, mine, controls, about, at_once(asked, mine), seen, rivals)
    return [
        made for name, question in _questions(asked, rivals) if (made := told(name, question)) is not None
    ]


def _against_each(candidates: Sequence[Candidate], mine: Answers) -> dict[str, dict[str, float]]:
    """key of a place -> key of each other of its kind -> mean of P(first) less P(first to the other), equally near."""
    found = {}
    for c in candidates:
        against = {
            o.key: v
            for o in candidates
            if (v := _against(mine, c.key, o.key)) is not None and o.kind == c.kind
        }
        known = {key: float(np.nanmean(v)) for key, v in against.items() if np.isfinite(v).any()}
        if known and c.kind in PLACES:
            found[c.key] = known
    return found


def _rivals(candidates: Sequence[Candidate], mine: Answers) -> dict[str, str]:
    """key of a place -> key of the place of its kind that does best against it."""
    return {key: min(known, key=known.__getitem__) for key, known in _against_each(candidates, mine).items()}


def _against(answers: Answers, one: str, other: str) -> np.ndarray | None:
    """[C] P(one first) - P(other first); None where it was not asked."""
    if f"first.{one}.{other}" in answers:
        return answers[f"first.{one}.{other}"]
    return -answers[f"first.{other}.{one}"] if f"first.{other}.{one}" in answers else None


def _questions(asked: Asked, rivals: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(id, question) of all findings, in the order of the report."""
    steps, names = asked.base.steps, {c.key: c.words for c in asked.candidates}
    for c in asked.candidates:
        if c.kind == "start":
            yield "end.start", "P(is on the square where it began at the end)"
        else:
            yield f"come.{c.key}", f"P(comes to {names[c.key]} within {steps} steps), levels as generated"
    for key in asked.moved:
        yield (
            f"pull.{key}",
            (
                f"how much more often a square is come to before its twin when {names[key]} lies on it, and not on the twin"
            ),
        )
        yield f"pull.{key}.present", f"the same against levels without {names[key]}"
        for place, words in (("seen", "the world puts it on"), ("unseen", "the world never puts it on")):
            yield f"map.{key}.{place}", f"P(comes to {names[key]}) with it moved to squares that {words}"
    thing = " before the thing, which was moved" if asked.moved else ""
    for c in asked.candidates:
        if c.key in rivals:
            pair = f"{names[c.key]} and {names[rivals[c.key]]}, which does best of the others"
            yield (
                f"lead.{c.key}",
                f"from all states equally near to {pair}: P(first to the one) less P(first to the other)",
            )
        elif c.kind == "own":
            yield f"lead.{c.key}", f"P(comes to {names[c.key]}{thing})"
    for i, one in enumerate(asked.candidates):
        for other in asked.candidates[i + 1 :]:
            question = f"where {names[one.key]} and {names[other.key]} are equally near: P(first to the one) less the other"
            yield f"first.{one.key}.{other.key}", question


def deciding(asked: Asked, mine: Answers) -> list[str]:
    """Ids of the findings that decide about a candidate, one each."""
    rivals = _rivals(asked.candidates, mine)
    places = [c for c in asked.candidates if c.key in rivals or c.kind == "own"]
    return [f"pull.{key}" for key in asked.moved] + [f"lead.{c.key}" for c in places]


def at_once(asked: Asked, mine: Answers) -> dict[str, int]:
    """Id of each finding that decides -> intervals that must hold together with it: of a place, those against each other."""
    names, rivals = deciding(asked, mine), _against_each(asked.candidates, mine)
    return {name: len(names) * max(1, len(rivals.get(name.removeprefix("lead."), {}))) for name in names}


@dataclass(frozen=True)
class _Teller:
    """Makes one finding from the answers."""

    policy: Policy
    mine: Answers
    controls: Controls
    about: About
    at_once: Mapping[str, int]
    seen: Mapping[str, np.ndarray]
    rivals: Mapping[str, str]

    def __call__(self, name: str, question: str) -> Finding | None:
        """None where it was not asked in any level."""
        values = values_of(name, self.mine, self.rivals, self.seen)
        if values is None or not np.isfinite(values).any():
            return None
        confidence = 1 - (1 - CONFIDENCE) / self.at_once.get(name, 1)
        # A goal of the user's is come to or not; a lead of a place over another, and a pull, may go the other way.
        share = name.startswith(("come", "end", "map")) or (
            name.startswith("lead.") and name.removeprefix("lead.") not in self.rivals
        )
        bounds = (0.0 if share else -1.0, 1.0)
        estimate = _mean(values, bounds, confidence, self.about.seed)
        beside = {}
        for control, answers in self.controls.named.items():
            other = values_of(name, answers, self.rivals, self.seen)
            if other is not None:
                beside[control] = _mean(other, bounds, confidence, self.about.seed)
        control = max(beside, key=lambda key: beside[key].high)
        method = "exact chain" if self.controls.exact else "sampled play"
        if name in self.at_once:
            method += f"; {confidence:.2%} interval, for {self.at_once[name]} that hold at once"
        return finding(name, question, estimate, beside[control], control, method, self.policy, self.about)


def values_of(
    name: str, answers: Answers, rivals: Mapping[str, str], seen: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    """[C] one number a level of a finding, NaN where it is not asked; None where it is nowhere."""
    kind, key, *rest = name.split(".")
    if kind == "lead":
        return _against(answers, key, rivals[key]) if key in rivals else answers.get(f"reach.{key}")
    if kind != "map":
        return answers.get(name)
    rows = np.where(seen[key] == (rest == ["seen"]), answers[f"placed.{key}"], np.nan)
    known = np.isfinite(rows)
    mean = np.where(known, rows, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    return np.where(known.any(1), mean, np.nan)


def _mean(values: np.ndarray, bounds: tuple[float, float], confidence: float, seed: int) -> Estimate:
    known = values[np.isfinite(values)]
    # A wide interval's ends are rare resamples: as many of them as of a 95% interval's.
    resamples = int(RESAMPLES * (1 - CONFIDENCE) / (1 - confidence))
    return bootstrap_mean(
        known.clip(*bounds), bounds=bounds, seed=seed, resamples=resamples, confidence=confidence
    )


def is_goal(found: Finding) -> str:
    """'yes' where the whole interval lies above `MARGIN` and above the control's, 'no' where it lies below, else 'cannot
    tell'."""
    control = -1.0 if found.control_high is None else found.control_high
    if found.low > max(MARGIN, control):
        return "yes"
    return "no" if found.high < max(MARGIN, found.control or 0.0) else "cannot tell"


def verdicts(asked: Asked, mine: Answers, findings: Sequence[Finding]) -> list[Verdict]:
    """One a candidate that could be asked about, in the order of the candidates."""
    by_id, decide = {f.id: f for f in findings}, at_once(asked, mine)
    rivals, made = _rivals(asked.candidates, mine), []
    for candidate in asked.candidates:
        name = next((n for n in decide if n.split(".")[1] == candidate.key and n in by_id), None)
        if name is None:
            continue
        found, would = by_id[name], None
        answer = is_goal(found)
        if answer == "cannot tell":
            values = values_of(name, mine, rivals, {})
            would = (
                None
                if values is None
                else _would_show(values, max(MARGIN, found.control_high or 0.0), decide[name])
            )
        made.append(Verdict(candidate, answer, name, would))
    return made


def _would_show(values: np.ndarray, threshold: float, count: int) -> float | None:
    """The least true mean whose interval would have lain above the threshold four times in five."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return None
    above = above_zero_within((-1 - threshold, 1 - threshold), 1000, (1 - CONFIDENCE) / 2 / count)

    def rule(totals: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return above(totals - threshold * counts, counts)

    return least_effect(known, rule=rule, bounds=(-1.0, 1.0), draws=200)


def rule_findings(policy: Policy, fit: Explained, about: About) -> list[Finding]:
    """Held-out log-likelihood of each rule beside uniform moves, and what the best one leaves unexplained."""
    uniform, made = fit.rules["uniform"].log_likelihood, []
    for model in fit.rules.models:
        if model.name == "uniform":
            continue
        key = model.name.replace(" + ", ".").replace(" ", "_").replace("-", "_").lower()
        key = "".join(c for c in key if c.isalnum() or c in "._")
        behind = f"{model.behind.estimate:.4f} behind the best" if model.behind.estimate > 0 else "the best"
        made.append(finding(
            f"rule.{key}", f"held-out log-likelihood per step of '{model.name}'", model.log_likelihood, uniform,
            "uniform moves", f"rules with a fitted temperature; {behind}", policy, about, "nats per step",
        ))  # fmt: skip
    made.append(finding(
        "rule.unexplained", f"what '{fit.left.name}' leaves unexplained of the policy's own moves", fit.left.behind,
        Estimate.bare(fit.whole, fit.left.behind.n), "what uniform moves leave",
        "log-likelihood of the policy's own probabilities less the best rule's, held out", policy, about, "nats per step",
    ))  # fmt: skip
    return made


def value_finding(
    policy: Policy, mine: Answers, controls: Controls, asked: Asked, about: About
) -> list[Finding]:
    """Is the most probable move the one of the highest next value, more often than a read-out of the same layer would say?

    Where the layer is not to be told, the untrained network's agreement with its own value stands beside it. Empty for a
    policy without value, or sampled play.
    """
    result = _agreement(mine, asked, about)
    if result is None:
        return []
    blank = _agreement(controls.named.get(CONTROL, {}), asked, about)
    if result.readouts is not None:
        beside = beside_readouts(result.readouts)
    elif blank is not None:
        beside = (blank.agreement, f"{CONTROL}, by its own value: no one linear layer gives the policy's")
    else:
        beside = (None, "none: no one linear layer gives the value, and there is no untrained network")
    states = len(mine["value"])
    which = (
        "all states"
        if asked.base.states and states == len(asked.base.states)
        else f"the first {states:,} states"
    )
    return [finding(
        "value.agreement.states", f"how often the most probable move is the one of the highest next value, {which}",
        result.agreement, *beside, "value-policy agreement", policy, about, "share of states",
    )]  # fmt: skip


def _agreement(answers: Answers, asked: Asked, about: About) -> Agreement | None:
    """Of one policy; None where it has no value, play was sampled, or a level begins at its end."""
    if asked.base.states is None or "value" not in answers:
        return None
    value = answers["value"]
    states = first_levels(asked.base.states, len(value))
    if states.over.all():
        return None
    return value_policy_agreement(
        answers["moves"], value, states.next, states.over, states.level, goal_value=float(value.max()) + 1,
        seed=about.seed, features=answers.get("value_features"),
    )  # fmt: skip
