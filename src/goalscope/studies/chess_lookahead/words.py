"""The chess study in words: every sentence is made from findings, by rules that are written here.

Look-ahead is claimed only where the third move's square, at layers that other cases chose, does more than its matched
squares and more than in the untrained network, both by whole intervals. Otherwise the sentence is the null result, with the
effect that the data could have shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goalscope.evidence.finding import Finding
from goalscope.studies.chess_lookahead.findings.patches import WORDS
from goalscope.studies.words import alone, number, told

RULES = ("published", "relaxed")
ENOUGH = 20
"""cases that the headline wants of a rule"""
SMALL = 0.1
"""a margin below this share of the first move's is called small beside it"""
PUBLISHED = 1.88
"""log-odds that the third move's square cost a large attention network (Jenner et al. 2024, section 3)"""


def above_control(finding: Finding | None) -> bool:
    """Whether the whole interval lies above the control's and above 0."""
    if finding is None:
        return False
    control = finding.control_high if finding.control_high is not None else finding.control
    return finding.low > max(0.0, control if control is not None else 0.0)


def answered_rule(subject: Mapping[str, Finding]) -> str | None:
    """The strictest twin rule that there are cases enough for; where none has, the one with most."""
    margins = {rule: subject[name] for rule in RULES if (name := f"lookahead.{rule}.third.margin") in subject}
    enough = [rule for rule, margin in margins.items() if margin.n >= ENOUGH]
    return enough[0] if enough else max(margins, key=lambda rule: margins[rule].n, default=None)


def is_lookahead(subject: Mapping[str, Finding]) -> bool:
    """Whether patching shows the third move's square to matter to the first move."""
    rule = answered_rule(subject)
    return rule is not None and above_control(subject.get(f"lookahead.{rule}.third.margin"))


def is_legible(subject: Mapping[str, Finding]) -> bool:
    """Whether the probe for the third move is better than every control, by whole intervals."""
    gains = [f for name, f in subject.items() if name.startswith("probe.third.gain.")]
    return bool(gains) and all(f.low > 0 for f in gains)


def headline(policy: str, subject: Mapping[str, Finding], puzzles: int) -> str:
    """One paragraph: whether its first move rests on the third, how small an effect would show, and what it solves."""
    rule = answered_rule(subject)
    parts = []
    if rule is None:
        parts.append(
            f"Whether {policy} looks ahead is not answered: too few of {puzzles} puzzles are different positions that "
            "have a corrupted twin."
        )
    else:
        margin = subject[f"lookahead.{rule}.third.margin"]
        parts.append(_verdict(subject, rule, margin, policy))
    if "probe.third.gain.co_occurrence" in subject:
        gain = subject["probe.third.gain.co_occurrence"]
        verdict = (
            "reads it better than every control"
            if is_legible(subject)
            else "is not shown to be better than every control"
        )
        control = subject.get("probe.third.control.co_occurrence")
        beside = "" if control is None else f" ({number(control.estimate)})"
        parts.append(
            f"A linear probe for the third move {verdict}: over one that knows the first move and the board "
            f"alone{beside} it gains {alone(gain)}."
        )
    if "play.overall" in subject:
        parts.append(f"It solves {alone(subject['play.overall'])} of {puzzles} puzzles.")
    return " ".join(parts)


def _verdict(subject: Mapping[str, Finding], rule: str, margin: Finding, policy: str) -> str:
    first = subject.get(f"lookahead.{rule}.first.margin")
    beside = "" if first is None else f" The first move's own square costs {alone(first, False)}."
    blank = "" if margin.control is None else f"; untrained network {number(margin.control, False)}"
    numbers = (
        f"patching the square where its third move ends costs the first move {alone(margin, False)} log-odds more than "
        f"matched squares do (n = {margin.n}, {rule} twins{blank})"
    )
    if is_lookahead(subject):
        size = ""
        if first is not None and first.estimate > 0 and margin.estimate < SMALL * first.estimate:
            size = f", though small: {margin.estimate / first.estimate:.0%} of the first move's"
        return f"{policy} shows look-ahead{size}: {numbers}.{beside}"
    least = subject.get(f"lookahead.{rule}.third.detectable")
    could = (
        ""
        if least is None
        else f" These cases would have shown {number(least.estimate, False)}, the same in every case, four times in five."
    )
    forced = subject.get(f"lookahead.{rule}.third.forced")
    part = ""
    if forced is not None and forced.low > 0:
        part = f" Where the reply is forced, one subset of several, it is {alone(forced, False)} (n = {forced.n})."
    weighed = "which is less than they do" if margin.high < 0 else "which is not told from nothing"
    return f"No look-ahead was found in {policy}: {numbers}, {weighed}.{could}{part}{beside}"


def sections(subject: Mapping[str, Finding], rejected: Sequence[str]) -> list[dict[str, str]]:
    """The report's sections: key, title, question and a one-sentence answer.

    Args:
        subject: the strong network's findings by id.
        rejected: rows of the file that are no puzzles.
    """
    answers = {
        "play": _play_words(subject),
        "filter": _filter_words(subject, rejected),
        "confidence": _confidence_words(subject),
        "value": _value_words(subject),
        "lookahead": " ".join([*(_lookahead_words(subject, rule) for rule in RULES), _branch_words(subject)]),
        "probe": _probe_words(subject),
    }
    titles = {
        "play": ("Puzzles", "Which puzzles does it solve, by rating and by motif?"),
        "filter": ("Which puzzles", "Which puzzles are fit to show look-ahead?"),
        "confidence": ("Confidence", "Where it is sure of the first move, is it sure of the later ones?"),
        "value": ("Policy and value", "Does the value know what the policy is about to play?"),
        "lookahead": ("Patched squares", "Does the first move rest on the square where the third one ends?"),
        "probe": ("Probes", "Can the third move, or the mate at the end, be read off the activations?"),
    }
    return [{"key": k, "title": t, "question": q, "answer": answers[k]} for k, (t, q) in titles.items()]


def _play_words(subject: Mapping[str, Finding]) -> str:
    if "play.overall" not in subject:
        return "Not answered: there are too few different positions."
    return (
        f"It solves {told(subject['play.overall'])} of the puzzles; its first moves have a mean probability of "
        f"{told(subject['play.first_probability'])}."
    )


def _filter_words(subject: Mapping[str, Finding], rejected: Sequence[str]) -> str:
    left_out = ""
    if rejected:
        more = f" and {len(rejected) - 3} more" if len(rejected) > 3 else ""
        left_out = f" {len(rejected)} rows of the file hold no puzzle and were left out: {'; '.join(rejected[:3])}{more}."
    if "filter.all" not in subject:
        return f"Not answered: too few puzzles.{left_out}"
    passed = {name: subject[f"filter.{name}"] for name in ("all", "weak_misses", "strong_finds", "forced")}
    twins = [
        f"{rule} twins for {told(subject[f'filter.twins.{rule}'])}"
        for rule in RULES
        if f"filter.twins.{rule}" in subject
    ]
    engine = ""
    if "filter.engine" in subject:
        engine = f" Of the lines that an engine checked it confirms {told(subject['filter.engine'])}."
    return (
        f"The published filter keeps {told(passed['all'])} (the weak network misses {told(passed['weak_misses'])}, the "
        f"strong one finds every move of {told(passed['strong_finds'])}, the reply is forced in "
        f"{told(passed['forced'])}). Of the puzzles that were tried, {' and '.join(twins) or 'none had a twin'}."
        f"{engine}{left_out}"
    )


def _confidence_words(subject: Mapping[str, Finding]) -> str:
    if "confidence.later" not in subject:
        return "Not answered: too few lines have later moves."
    rho = subject["confidence.later"]
    words = f"The rank correlation of the first move's probability with the later ones' is {told(rho, False)}"
    control = rho.control_high if rho.control_high is not None else rho.control or 0.0
    own = rho.low > control
    if rho.estimate <= 0:
        return f"{words}: being sure of the first move does not go with being sure of the later ones."
    return words + (
        ": more than with another network's later moves, so it is not the puzzles' difficulty alone."
        if own
        else ": no more than with another network's later moves, so the puzzles' difficulty may be all of it."
    )


def _value_words(subject: Mapping[str, Finding]) -> str:
    parts = []
    if "value.drift.all" in subject:
        parts.append(f"Along the line its value rises by {told(subject['value.drift.all'], False)}")
        if "value.drift.sure" in subject:
            parts[-1] += f", where it is sure of the first move by {told(subject['value.drift.sure'], False)}"
        parts[-1] += "; what was foreseen would not rise."
    if "value.agreement" in subject:
        parts.append(
            f"Its first move leads to its own best next value in {told(subject['value.agreement'])}."
        )
    return " ".join(parts) or "Not answered: too few puzzles."


def _lookahead_words(subject: Mapping[str, Finding], rule: str) -> str:
    if f"lookahead.{rule}.third.margin" not in subject:
        return f"By the {rule} rule there are too few twins to answer."
    margins = [
        f"{WORDS[t]} {alone(subject[f'lookahead.{rule}.{t}.margin'], False)}"
        for t in WORDS
        if f"lookahead.{rule}.{t}.margin" in subject
    ]
    n = subject[f"lookahead.{rule}.third.margin"].n
    words = f"By the {rule} rule (n = {n}), log-odds above matched squares: {'; '.join(margins)}."
    for name, before in (
        ("forced", "Third move, forced replies"),
        ("usual", "Effect of its square beside the usual one"),
    ):
        if (f := subject.get(f"lookahead.{rule}.third.{name}")) is not None:
            words += f" {before}: {told(f, False)}."
    return words


def _branch_words(subject: Mapping[str, Finding]) -> str:
    published = f"For a large attention network {PUBLISHED} was published for the third move's square."
    if "lookahead.branches.line" not in subject:
        return f"There are too few puzzles in which either of two mates suffices. {published}"
    line, other, both = (subject[f"lookahead.branches.{name}"] for name in ("line", "other", "both"))
    return (
        f"Where either of two mates suffices (n = {line.n}) the squares cost: the line's mate {alone(line, False)}, the "
        f"other {alone(other, False)}, both together {told(both, False)}. {published}"
    )


def _probe_words(subject: Mapping[str, Finding]) -> str:
    gains = {
        words: (subject[f"probe.third.gain.{name}"], subject[f"probe.third.control.{name}"])
        for name, words in (
            ("co_occurrence", "the first move and the board alone"), ("observation", "the planes"),
            ("untrained", "the untrained network"),
        )
        if f"probe.third.gain.{name}" in subject
    }  # fmt: skip
    if not gains:
        return "Not answered: too few lines of three plies."
    said = "; ".join(
        f"{words} {alone(gain)} (which reads {number(control.estimate)})"
        for words, (gain, control) in gains.items()
    )
    words = f"Gain in accuracy of a linear probe for the third move, over the same on {said}."
    least = subject.get("probe.third.detectable")
    if least is not None:
        words += (
            f" Over the first a gain of {number(least.estimate)}, the same in every position, would have been shown four "
            "times in five."
        )
    return words + _mate_words(subject)


def _mate_words(subject: Mapping[str, Finding]) -> str:
    """Whether the reading of mate generalises: for how many unseen motifs it is above the planes by its whole interval."""
    if "probe.mate.untrained" not in subject or "probe.mate.observation" not in subject:
        return ""
    blank, planes = subject["probe.mate.untrained"], subject["probe.mate.observation"]
    words = f" That the line ends in mate is read with an area of {alone(blank, False)}"
    if blank.control is not None and planes.control is not None:
        words += f" (untrained {number(blank.control, False)}, planes {number(planes.control, False)})"
    gains = [f for name, f in subject.items() if name.startswith("probe.mate.gain.")]
    if not gains:
        return words + "."
    least = min(gains, key=lambda f: f.estimate)
    name = least.id.rsplit(".", 1)[1]
    shown = told(subject[f"probe.mate.without.{name}"], False)
    read = [f for f in gains if f.low > 0]
    return (
        f"{words}. With one motif left out of training, mates with it are read better than off the planes, by the whole "
        f"interval of the difference, for {len(read)} of {len(gains)} motifs; the least so, {name.replace('_', ' ')}: "
        f"{shown}, which is {told(least, False)} more."
    )
