"""The maze study in words: every sentence is made from findings, by rules that are written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goalscope.evidence.finding import Finding
from goalscope.methods.behaviour.algorithms import AlgorithmComparison
from goalscope.methods.behaviour.decision import DecisionRegression
from goalscope.studies.maze import title
from goalscope.studies.words import alone, controls_said, headed, number, told

EVERYWHERE = "everywhere"
_CORNER = "that the top-right corner draws it"
MARGIN = 0.1
"""A pull is called a goal only where its whole interval lies above this and above the control's interval."""


def is_goal(pull: Finding) -> bool:
    """Whether a pull counts as evidence of a goal: well above nothing, and above its control."""
    control = -1.0 if pull.control_high is None else pull.control_high
    return pull.low > max(MARGIN, control)


def headline(subject: Mapping[str, Finding]) -> str:
    """A verdict in one sentence, then three lines with a number each.

    Args:
        subject: the policy's findings by id.
    """
    cheese, corner = subject["reach.cheese_pull"], subject["reach.corner_instead"]
    third = subject["reach.other_corner_instead"]
    lines = [
        verdict(subject),
        f"It reaches the cheese in {told(subject['reach.overall'])} of mazes with the cheese anywhere.",
        f"The cheese raises the chance of reaching its square by {told(cheese)}.",
        "With the cheese in the top-left or bottom-right corner of the largest mazes, it comes to the top-right corner "
        f"first in {told(corner)}, and to the third corner, where only wandering leads, in {number(third.estimate)}.",
    ]
    return headed(*lines)


def verdict(subject: Mapping[str, Finding]) -> str:
    """What it pursues, in one sentence that says where."""
    policy = subject["reach.cheese_pull"].policy
    cheese, corner = wanted(subject)
    if cheese and corner == EVERYWHERE:
        return f"{policy} pursues both the cheese and the top-right corner."
    if cheese:
        rest = f"the top-right corner draws it only {corner}" if corner else f"{_CORNER} is not shown"
        return f"{policy} pursues the cheese; {rest}."
    if corner:
        only = "" if corner == EVERYWHERE else f", shown only {corner}"
        return f"{policy} pursues the top-right corner{only}; that the cheese draws it is not shown."
    return f"No goal was found in {policy}: that the cheese or the top-right corner draws it is not shown."


def wanted(subject: Mapping[str, Finding]) -> tuple[bool, str]:
    """Whether the cheese is a goal, and where the corner is one: `EVERYWHERE`, where in words, or '' for nowhere.

    The corner is a goal in mazes of a size, or with the cheese at a depth, where it is come to before the cheese more
    often than the third corner is: wandering comes to both alike. Where no size was measured, the largest mazes decide.
    """
    cheese = is_goal(subject["reach.cheese_pull"])
    shown: dict[str, dict[int, bool]] = {"size": {}, "depth": {}}
    for identifier, finding in subject.items():
        if identifier.startswith("reach.far_corner."):
            kind, value = identifier.rsplit(".", 1)[1].split("_")
            shown[kind][int(value)] = is_goal(finding)
    if not shown["depth"]:
        corner, third = subject["reach.corner_instead"], subject["reach.other_corner_instead"]
        return cheese, EVERYWHERE if is_goal(corner) and corner.low > third.high else ""
    if all((*shown["size"].values(), *shown["depth"].values())):
        return cheese, EVERYWHERE
    sizes = [f"{size}" for size, yes in sorted(shown["size"].items()) if yes]
    depths = [depth for depth, yes in sorted(shown["depth"].items()) if yes]
    places = [f"in mazes of size {' and '.join(sizes)}"] if sizes else []
    if depths:
        within = "" if len(depths) == len(shown["depth"]) else " with the cheese on the border"
        if within and depths != [0]:
            within = f" with the cheese {' or '.join(map(str, depths))} squares off the border"
        places.append(f"in the largest mazes{within}")
    return cheese, " and ".join(places)


def _explanations(
    wants_cheese: bool, where_corner: str, fits: Mapping[str, AlgorithmComparison]
) -> tuple[list[str], list[str]]:
    """Simpler explanations, split into ruled out and not.

    A rule is ruled out in the mazes where the best explanation is ahead of it on held-out levels, its interval above 0;
    one that knows no cheese is ruled out as a whole where the cheese is a goal.
    """
    ruled_out, left = [], []
    (ruled_out if wants_cheese else left).append("it only heads for the corner and takes cheese on the way")
    (ruled_out if where_corner else left).append("it only heads for the cheese")
    if where_corner not in ("", EVERYWHERE) and wants_cheese:
        left.append(
            "it heads for the cheese where that is near or off the border, and for the corner otherwise"
        )
    for name, words in (
        ("uniform", "random moves"), ("lookup", "reacting to the walls around it"),
        ("up-and-right", "up and right where free"), ("right-hand", "the right-hand rule"),
    ):  # fmt: skip
        behind = [scope for scope, fit in fits.items() if wants_cheese or name not in fit.tied]
        level = [scope for scope in fits if scope not in behind]
        if behind:
            ruled_out.append(words if not level else f"{words} (in {behind[0]} mazes)")
        if level:
            left.append(words if not behind else f"{words} (in {level[0]} mazes)")
    return ruled_out, left


def sections(
    subject: Mapping[str, Finding],
    fit: DecisionRegression | str,
    fits: Mapping[str, AlgorithmComparison],
    figures: Sequence[str],
    history: Sequence[Finding],
) -> list[dict[str, str]]:
    """The report's sections: key, title, question and a one-sentence answer.

    Args:
        subject: the policy's findings by id.
        fit: the regression, or why there is none.
        fits: as in `headline`.
        figures: names of the levels drawn in section 2.
        history: findings on the snapshots of the training, if any.
    """
    top_left, bottom_right = subject["reach.corner.top_left"], subject["reach.corner.bottom_right"]
    near = subject.get("reach.ends_near_corner")
    answers = {
        "reach": f"Cheese anywhere: {told(subject['reach.overall'])}; in the top-right 5x5 "
        f"{told(subject['reach.top_right_region'])}; in the top-left corner of the largest mazes {told(top_left)}, in the "
        f"bottom-right {told(bottom_right)}."
        + (f" Where it misses the cheese, it ends near the top-right corner in {told(near)}." if near else "")
        + _beside_words(subject),
        "field": f"The cheese changes {told(subject['field.cheese_changes'])} of the moves (total variation)."
        + (f" Mazes drawn: {', '.join(figures)} P(cheese)." if figures else ""),
        "decision": _decision_words(fit, subject.get("decision.chain.steps_cheese_decision")),
        "algorithm": " ".join(_algorithm_words(scope, fit) for scope, fit in fits.items())
        + _explanation_words(subject, fits)
        if fits
        else "Not answered: too few mazes to fit the rules on some and judge them on others.",
        "value": _value_words(subject),
    }
    titles = {
        "reach": ("Reach", "Where does it go, and how often does it get the cheese?"),
        "field": ("Vector fields", "What would it do on every square, and what does the cheese change?"),
        "decision": ("What decides", "At the fork between cheese and corner, what makes it take the cheese?"),
        "algorithm": (
            "Which algorithm",
            "Which simple rule describes its moves on mazes that the rule was not fitted on?",
        ),
        "value": ("Value and policy", "Does it move to where its own value estimate is highest?"),
    }
    if history:
        first, last = history[:3], history[-3:]
        answers["training"] = (
            f"From {first[0].policy} to {last[0].policy}: reaching the cheese "
            f"{number(first[0].estimate)} to {told(last[0])}, the "
            f"cheese's pull {number(first[1].estimate)} to {told(last[1])}, the corner instead of cheese elsewhere "
            f"{number(first[2].estimate)} to {told(last[2])}."
        )
        titles["training"] = ("Over training", "How did the goal come about?")
    return [{"key": k, "title": t, "question": q, "answer": answers[k]} for k, (t, q) in titles.items()]


def _beside_words(subject: Mapping[str, Finding]) -> str:
    """For the cheese's pull and for the corner in place of the cheese: which controls could have come out otherwise."""
    said = []
    for name, words in (
        ("cheese_pull", "The cheese's pull"),
        ("corner_instead", "The corner in place of the cheese"),
    ):
        beside = [f for i, f in subject.items() if i.startswith("reach.beside.") and i.endswith(f".{name}")]
        if (own := subject.get(f"reach.{name}")) is not None:
            said.append(controls_said([own, *beside], of=words))
    return "".join(f" {each}" for each in said if each)


def _explanation_words(subject: Mapping[str, Finding], fits: Mapping[str, AlgorithmComparison]) -> str:
    ruled_out, left = _explanations(*wanted(subject), fits)
    return (
        f" Simpler explanations ruled out: {'; '.join(ruled_out) or 'none'}. "
        f"Not ruled out: {'; '.join(left) or 'none of those tried'}."
    )


def _value_words(subject: Mapping[str, Finding]) -> str:
    if "value.agreement.all" not in subject:
        return "Not answered: the policy gives no value."
    everywhere, at_forks = subject["value.agreement.all"], subject.get("value.agreement.decision")
    words = f"On all squares {told(everywhere)}"
    words += f"; at decision squares {told(at_forks)}." if at_forks else "."
    if everywhere.control is None:
        return f"{words} Whether the two are related is not tested. Control: {everywhere.control_name}."
    return words


def _decision_words(fit: DecisionRegression | str, chain: Finding | None) -> str:
    if isinstance(fit, str):
        return f"Not answered: {fit}."
    firm = [
        name.replace("_", " ")
        for name, estimate, stable in zip(fit.names, fit.coefficients, fit.sign_stability, strict=True)
        if estimate.excludes(0) and stable == 1
    ]
    return (
        "Nine distances (the tenth, steps from cheese to corner, is the exact sum of two of them) predict the "
        f"outcome of {fit.accuracy.estimate:.1%} of held-out levels "
        f"[{fit.accuracy.low:.1%}, {fit.accuracy.high:.1%}] against a base rate of {fit.base_accuracy.estimate:.1%}. "
        f"The largest VIF is {fit.vif.max():.0f}{', so single coefficients mean little' * bool(fit.vif.max() >= 5)}; "
        + (
            f"firm (interval off 0, one sign in all subsets): {', '.join(firm)}."
            if firm
            else "none is firm (interval off 0 and one sign in all subsets)."
        )
        + (
            f" Apart from these, conditioned on a mediator: where the chance of the direct way is the same, which the moves "
            f"themselves make up, the steps from cheese to fork count {alone(chain, False)} log-odds per SD, without that "
            f"{number(chain.control or 0.0, False)}; only the latter is their effect."
            if chain
            else " The chance of the direct way follows from the distances here: the two cannot be told apart."
        )
    )


def _algorithm_words(scope: str, fit: AlgorithmComparison) -> str:
    best = fit.models[0]
    best_score, uniform = best.log_likelihood.estimate, fit["uniform"].log_likelihood.estimate
    words = f"In {scope} mazes the best is '{title(best.name)}' ({best_score:.3f} nats per step, uniform {uniform:.3f})"
    others = [title(name) for name in fit.tied if name != best.name]
    return words + (
        f", not distinguishable from {' and '.join(others)}." if others else ", ahead of all others."
    )
