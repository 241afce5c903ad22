"""The chess study in words: every sentence is made from findings, by rules that are written here.

Look-ahead is claimed only where the third move's square, at layers that other cases chose, does more than its matched
squares, and more than in the untrained network, in log-odds and as a share of each network's own way from clean to
corrupted, all by whole intervals. Otherwise the sentence is the null result, with the
effect that the data could have shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goalscope.evidence.finding import Finding
from goalscope.studies.chess_lookahead.findings.patches import WORDS
from goalscope.studies.words import alone, controls_said, headed, number, told

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
    """Whether patching shows the third move's square to matter to the first move, by more than in the untrained network.

    An untrained network's log-odds hardly move whatever is patched; as a share of its own way it could do as much.
    """
    rule = answered_rule(subject)
    if rule is None or not above_control(subject.get(f"lookahead.{rule}.third.margin")):
        return False
    share = subject.get(f"lookahead.{rule}.third.share")
    return share is None or above_control(share)


def is_legible(subject: Mapping[str, Finding]) -> bool:
    """Whether the probe for the third move is better than every control, by whole intervals."""
    gains = [f for name, f in subject.items() if name.startswith("probe.third.gain.")]
    return bool(gains) and all(f.low > 0 for f in gains)


def headline(policy: str, subject: Mapping[str, Finding], puzzles: int) -> str:
    """A verdict in one sentence, whether its first move rests on the third; then patching, probing and playing in a line
    each."""
    rule = answered_rule(subject)
    if rule is None:
        verdict = (
            f"Whether {policy} looks ahead is not answered: too few of {puzzles} puzzles are different positions that "
            "have a corrupted twin."
        )
        return headed(verdict, _probe_line(subject), _play_line(subject, puzzles))
    margin = subject[f"lookahead.{rule}.third.margin"]
    return headed(
        _verdict(subject, rule, margin, policy), _patch_line(subject, rule, margin), _probe_line(subject),
        _play_line(subject, puzzles),
    )  # fmt: skip


def _verdict(subject: Mapping[str, Finding], rule: str, margin: Finding, policy: str) -> str:
    if is_lookahead(subject):
        first, size = subject.get(f"lookahead.{rule}.first.margin"), ""
        if first is not None and first.estimate > 0 and margin.estimate < SMALL * first.estimate:
            size = f", though small: {margin.estimate / first.estimate:.0%} of what the first move's own square does"
        return f"{policy} shows look-ahead{size}."
    if above_control(margin):
        return (
            f"No look-ahead was found in {policy}: what the square where its third move ends does, an untrained network "
            "shows as well."
        )
    weighed = "does less for the first move than" if margin.high < 0 else "is not told from"
    return f"No look-ahead was found in {policy}: the square where its third move ends {weighed} matched squares."


def _patch_line(subject: Mapping[str, Finding], rule: str, margin: Finding) -> str:
    """The third move's square, and how small an effect would have been shown."""
    least = subject.get(f"lookahead.{rule}.third.detectable")
    could = (
        ""
        if least is None or is_lookahead(subject)
        else f"; {number(least.estimate, False)}, the same in every case, would have been shown four times in five"
    )
    blank = "" if margin.control is None else f"; untrained network: {number(margin.control, False)}"
    numbers = f"{alone(margin, False)[:-1]}{blank}]"
    return (
        f"Patching the square where its third move ends costs the first move {numbers} log-odds more than matched squares "
        f"do (n = {margin.n}, {rule} twins{could})."
    )


def _probe_line(subject: Mapping[str, Finding]) -> str:
    if "probe.third.gain.co_occurrence" not in subject:
        return ""
    verdict = (
        "reads it better than every control"
        if is_legible(subject)
        else "is not shown to be better than every control"
    )
    control = subject.get("probe.third.control.co_occurrence")
    beside = "" if control is None else f" ({number(control.estimate)})"
    return (
        f"A linear probe for the third move {verdict}: over one that knows the first move and the board alone{beside} it "
        f"gains {alone(subject['probe.third.gain.co_occurrence'])}."
    )


def _play_line(subject: Mapping[str, Finding], puzzles: int) -> str:
    return (
        f"It solves {told(subject['play.overall'])} of {puzzles} puzzles."
        if "play.overall" in subject
        else ""
    )


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
    third = f"lookahead.{rule}.third"
    n = subject[f"{third}.margin"].n
    words = [f"By the {rule} rule (n = {n}), log-odds above matched squares: {'; '.join(margins)}."]
    forced = subject.get(f"{third}.forced")
    if forced is not None:
        part = " (one subset of several)" if forced.low > 0 else ""
        words.append(f"Third move, forced replies{part}: {told(forced, False)}.")
    for name, before, percent in (
        ("usual", "Effect of its square beside the usual one", False),
        ("share", "Its margin as a share of the way from clean to corrupted", True),
        ("shuffled", "With its own twin, and with those of other positions on the same squares", False),
    ):
        if (f := subject.get(f"{third}.{name}")) is not None:
            words.append(f"{before}: {told(f, percent)}.")
    controls = (subject[i] for k in ("margin", "share", "shuffled") if (i := f"{third}.{k}") in subject)
    return " ".join([*words, controls_said(controls, percent=False), _later_words(subject, third)])


def _later_words(subject: Mapping[str, Finding], third: str) -> str:
    """What the later blocks do, where a patch is no longer next to swapping the input."""
    later, beyond = (subject.get(f"{third}.{k}") for k in ("later", "beyond_input"))
    if later is None or beyond is None:
        return ""
    verdict = (
        "they show more than swapping the input explains"
        if above_control(later) and above_control(beyond)
        else "that they do more than swapping the input explains is not shown"
    )
    return (
        f"The later half of the blocks alone: {told(later, False)}, over block 0, next to swapping the input, "
        f"{alone(beyond, False)}: {verdict}."
    )


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
