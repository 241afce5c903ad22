"""The goals study in words: every sentence is made from findings and verdicts, by rules that are written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goalscope.evidence.finding import Finding
from goalscope.studies.goals.findings import Verdict
from goalscope.studies.goals.measure.rules import Explained
from goalscope.studies.words import number, told

Found = Mapping[str, Finding]
"""the policy's findings by id"""


def headline(policy: str, found: Found, judged: Sequence[Verdict], fit: Explained | str) -> str:
    """A verdict in one sentence, then at most three lines with a number each."""
    lines = [verdict(policy, judged)]
    judged = [v for v in judged if not _implied(v, judged)]
    best = [v for v in judged if v.answer == "yes"] or sorted(judged, key=lambda v: -found[v.by].low)[:1]
    for one in best[:2]:
        lines.append(f"{_what(one, found[one.by])}: {told(found[one.by])}.")
    if "rule.unexplained" in found and not isinstance(fit, str):
        lines.append(_unexplained(fit))
    elif best and f"come.{best[0].candidate.key}" in found:
        name, come = best[0].candidate.words, found[f"come.{best[0].candidate.key}"]
        lines.append(f"It comes to {name} in {told(come)} of levels as generated.")
    return "\n\n".join(lines)


def verdict(policy: str, judged: Sequence[Verdict]) -> str:
    """What it pursues, in one sentence; a goal of one's own is only ever come to, since nothing of it can be moved."""
    plain = [v for v in judged if not _implied(v, judged)]
    yes = [v for v in plain if v.answer == "yes"]
    # What cannot be moved or held against its like is come to, maybe on the way to something else.
    wanted = _listed([v for v in yes if v.candidate.kind != "own"])
    reached = _listed([v for v in yes if v.candidate.kind == "own"])
    open_ = _listed([v for v in plain if v.answer == "cannot tell"])
    rest = f"; whether it pursues {open_.replace(' and ', ' or ')} cannot be told" if open_ else ""
    if wanted:
        beside = f", and comes to {reached} more often than its controls" if reached else ""
        return f"{policy} pursues {wanted}{beside}{rest}."
    if reached:
        return (
            f"{policy} comes to {reached} more often than its controls, for its own sake or on its way{rest}."
        )
    if not judged:
        return f"Nothing could be asked of {policy}."
    return f"No goal was found in {policy}{rest or ': nothing that was asked about draws it'}."


def _listed(judged: Sequence[Verdict]) -> str:
    """'the key, the door and the start'; more than four are counted by their kind."""
    names = [v.candidate.words for v in judged]
    if len(names) > 4:
        names = [*names[:3], f"{len(names) - 3} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _what(one: Verdict, found: Finding) -> str:
    if one.by.startswith("pull."):
        return f"Moved elsewhere, {one.candidate.words} draws it there, above a twin square"
    if one.candidate.kind == "own":
        return f"It comes to {one.candidate.words}{' first' if 'before the thing' in found.question else ''}"
    where = f"{one.candidate.words} and another are equally near"
    return f"Where {where}, it comes to {one.candidate.words} first, in balance"


def _implied(one: Verdict, judged: Sequence[Verdict]) -> bool:
    """An edge says no more where one of its corners is pursued."""
    side = one.candidate.name.split()[0]
    return one.candidate.kind == "edge" and any(
        v.answer == "yes" and v.candidate.kind == "corner" and side in v.candidate.name.split()[0].split("-")
        for v in judged
    )


def _unexplained(fit: Explained) -> str:
    share = fit.left.behind.estimate / fit.whole if fit.whole > 0 else 0.0
    return (
        f"The rule that explains its moves best is '{fit.left.name}'; it leaves {number(max(share, 0.0))} of what uniform "
        f"moves leave unexplained ({fit.left.behind.estimate:.3f} of {fit.whole:.3f} nats per step)."
    )


def sections(
    found: Found, judged: Sequence[Verdict], fit: Explained | str, how: str, asides: Sequence[str]
) -> list[dict[str, str]]:
    """The report's sections: key, title, question and answer.

    Args:
        found: the policy's findings by id. judged: the verdicts.
        fit: the rules, or why there are none.
        how: whether all is exact or sampled, and why. asides: what was not asked, and why.
    """
    answers = {
        "come": f"{how} {_most(found, 'come.')} {' '.join(asides)}".strip(),
        "pull": _judged_words(found, judged, "pull."),
        "lead": _judged_words(found, judged, "lead."),
        "first": _most(found, "first.", apart=True),
        "map": _map_words(found),
        "rule": f"Not answered: {fit}." if isinstance(fit, str) else _rule_words(fit),
        "value": _value_words(found),
    }  # fmt: skip
    if "end.start" in found:
        answers["end"] = f"At the end it is where it began in {told(found['end.start'])} of levels."
    titles = {
        "come": ("Coming there", "Does it come there, beyond an untrained network and a random walk?"),
        "pull": ("Things", "Does it go elsewhere when a thing lies elsewhere?"),
        "lead": ("Places", "With the things moved, is it still a place that it comes to first?"),
        "first": ("Which first", "Where two are equally near, which does it come to first?"),
        "map": ("All placements", "Does it come to a thing also where the world never puts it?"),
        "end": ("Staying", "Does it stay where it begins?"),
        "rule": ("Which rule", "Which simple rule explains its moves, and what is left unexplained?"),
        "value": ("Value and policy", "Does it move to where its own value estimate is highest?"),
    }
    return [
        {"key": key, "title": title, "question": question, "answer": answers[key]}
        for key, (title, question) in titles.items()
        if key in answers
    ]


def _value_words(found: Found) -> str:
    if "value.agreement.states" not in found:
        return "Not answered: no exact chain, or no value."
    agreement = found["value.agreement.states"]
    related = {
        "supported": "The two are related",
        "untested": "Whether the two are related is not tested",
    }.get(agreement.standing, "That the two are related is not shown")
    return f"In {told(agreement)} of states. {related}."


def _most(found: Found, prefix: str, apart: bool = False) -> str:
    """The findings of a section that stand farthest from their control, in words."""
    rows = [f for name, f in found.items() if name.startswith(prefix)]
    if not rows:
        return "Not asked: no level has two of them equally near, or play was sampled." if apart else ""
    clear = [f for f in rows if f.standing == "supported"]
    if not clear:
        return f"In none of {len(rows)} is the estimate above its control."
    most = sorted(clear, key=lambda f: -abs(f.estimate))[:3]
    return "; ".join(f"{f.question}: {told(f)}" for f in most) + "."


def _judged_words(found: Found, judged: Sequence[Verdict], prefix: str) -> str:
    """The verdicts of a section, each with its number; of 'cannot tell' what would have been seen."""
    rows = [v for v in judged if v.by.startswith(prefix)]
    if not rows:
        what = "things" if prefix == "pull." else "places"
        return f"Not asked: the world does not say what lies where, moves no {what}, or has none."
    said = []
    for one in rows:
        words = f"{one.candidate.words}: {one.answer} ({told(found[one.by])})"
        if one.answer == "cannot tell":
            would = "what would have been seen is not known"
            if one.would_show is not None:
                would = f"a true value of {number(one.would_show)} would have been seen four times in five"
            words += f", {would}"
        said.append(words)
    return f"{'; '.join(said)}."[0].upper() + f"{'; '.join(said)}."[1:]


def _map_words(found: Found) -> str:
    rows = {name: f for name, f in found.items() if name.startswith("map.")}
    if not rows:
        return "Not asked: the world moves no things."
    said = []
    for key in dict.fromkeys(name.split(".")[1] for name in rows):
        name, unseen = key.replace("_", " "), rows.get(f"map.{key}.unseen")
        if unseen is None:
            said.append(
                f"The world puts the {name} everywhere; it comes to it in {told(rows[f'map.{key}.seen'])}"
            )
            continue
        beside = (
            f", and where it does in {told(rows[f'map.{key}.seen'])}" if f"map.{key}.seen" in rows else ""
        )
        said.append(f"It comes to the {name} in {told(unseen)} where the world never puts it{beside}")
    return ". ".join(said) + "."


def _rule_words(fit: Explained) -> str:
    best = next(model for model in fit.rules.models if model.name == fit.left.name)
    ties = [name for name in fit.rules.tied if name != best.name]
    words = f"The best rule is '{best.name}' ({best.log_likelihood.estimate:.3f} nats per step, uniform "
    words += f"{fit.rules['uniform'].log_likelihood.estimate:.3f})"
    better = [m.name for m in fit.rules.models[: fit.rules.models.index(best)] if not m.members]
    if better:
        words += f", behind {' and '.join(better)}, which knows no goal. "
    else:
        words += f", not distinguishable from {', '.join(ties[:5])}. " if ties else ", ahead of all others. "
    return words + _unexplained(fit)
