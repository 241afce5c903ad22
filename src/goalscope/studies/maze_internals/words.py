"""The internals study in words: every sentence is made from findings, by rules that are written here."""

from __future__ import annotations

from collections.abc import Mapping

from goalscope.evidence.finding import Finding
from goalscope.methods.reading.probe import ProbeReport
from goalscope.studies.maze_internals.findings.steering import KEPT, verdict
from goalscope.studies.maze_internals.measure.channels import TOGETHER
from goalscope.studies.maze_internals.measure.steering import CUTS
from goalscope.studies.maze_internals.setup import Setup
from goalscope.studies.words import controls_said, headed, told

Table = Mapping[str, Finding]


def beyond(f: Finding) -> bool:
    """Whether the estimate's whole interval lies above the control's."""
    return f.low > (f.control_high if f.control_high is not None else f.low)


def below(f: Finding) -> bool:
    """Whether the estimate's whole interval lies below the control's."""
    return f.high < (f.control_low if f.control_low is not None else f.high)


def headline(setup: Setup, table: Table) -> str:
    """A verdict in one sentence, can the goal be edited and moved, then three lines with a number each."""
    policy, site = setup.policy.name, setup.layout.middle
    pull, moved, probe = (
        table[k] for k in ("steer.cheese.cheese_pull", "retarget.all", "probe.cheese_position.middle")
    )
    edits, moves = below(pull), beyond(moved)
    answer = {
        (True, True): f"The goal of {policy} can be edited away and moved inside the network, at {site}.",
        (
            True,
            False,
        ): f"The goal of {policy} can be edited away at {site}; that it can be moved is not shown.",
        (
            False,
            True,
        ): f"The goal of {policy} can be moved at {site}; that the cheese vector carries it is not shown.",
        (False, False): f"No edit at {site} was found that changes what {policy} pursues.",
    }[edits, moves]
    lines = [
        answer,
        f"Subtracting the cheese vector changes P(reach the cheese) by {told(pull)}.",
        f"Moving what the cheese adds to another square brings the mouse there in {told(moved)}.",
        f"A linear probe reads the cheese's square in {told(probe)}, "
        + (
            "more than the untrained network gives."
            if beyond(probe)
            else "which says nothing: the untrained network gives as much."
        ),
    ]
    return headed(*lines)


def sections(setup: Setup, table: Table, gated: ProbeReport | str) -> list[dict[str, str]]:
    """Key, title, question, verdict and the numbers that bear it out, of each section that has findings."""
    titles = {
        "probe": ("Where is the cheese?", "From which layer can the cheese's square be read, and does that mean anything?"),
        "channels": ("Channels", "Which channels can be read, and which carry the goal?"),
        "steer": ("Steering", "What do the cheese vector and the top-right vector do, dose by dose?"),
        "cut": ("Cutting", "Can cheese-taking be cut while the corner is still reached?"),
        "ablate": ("What is left", "How much of each goal's pull is left without the other's vector?"),
        "retarget": ("Retargeting", "Can it be sent to any square, and at what price?"),
        "budget": ("Edit budget", "How few activations suffice?"),
        "finetune": ("Finetuning", "What does finetuning do with the compute of an edit, and with a tenth of the "
        "training's?"),
        "flipped": ("Flipped reward", "Trained on with a penalty on the cheese: where does it go, and what changed?"),
        "goals": ("One objective or two?", "Is it a mixture of cheese-seeking and corner-seeking?"),
        "gate": ("A gate", "Can it be read at the decision square which goal it will follow?"),
    }  # fmt: skip
    answers, short = _answers(setup, table, gated), _verdicts(table, gated)
    return [
        {
            "key": key,
            "title": title,
            "question": question,
            "answer": answers[key],
            "verdict": short.get(key, ""),
        }
        for key, (title, question) in titles.items()
        if key in answers
    ]


def _verdicts(table: Table, gated: ProbeReport | str) -> dict[str, str]:
    """The answer of each section in a few words; one that needs its number is left to the numbers ('' or none)."""
    cuts = [n for n in CUTS if _cut(table, n) == "yes"]
    shares = [f for i, f in table.items() if i.startswith("budget.") and beyond(f)]
    said = {
        "probe": _either(
            beyond(table["probe.cheese_position.middle"]),
            "The cheese's square can be read, better than from random weights",
            "The cheese's square can be read, but no better than from random weights: nothing learned is shown",
        )
        + _either(
            beyond(table["probe.write.reach_target"]),
            "; where another is written, the mouse follows.",
            "; that the mouse follows another, written square is not shown.",
        ),
        "channels": _channel_verdict(table),
        "steer": _either(
            below(table["steer.cheese.cheese_pull"]),
            "Subtracting the cheese vector takes the mouse off the cheese, as random vectors do not",
            "That the cheese vector does more than random vectors is not shown",
        )
        + _either(
            beyond(table["steer.corner.plus_1"]),
            "; adding the top-right vector draws it to the corner.",
            "; no pull of the top-right vector is shown.",
        ),
        "cut": f"Cheese-taking can be cut by {max(cuts)}% with the corner still reached."
        if cuts
        else "That cheese-taking can be cut with the corner still reached is not shown.",
        "retarget": _retarget_verdict(table),
        "budget": f"{shares[0].question.split(' of all')[0].capitalize()} of the activations are shown to suffice."
        if shares
        else "No share of the activations is shown to move it further than noise does.",
        "goals": _either(
            table["goals.plain.cheese.corner"].low > _best_single(table).high,
            "A mixture of both rules describes it better than any single one.",
            "That a mixture of both rules describes it better than a single one is not shown.",
        ),
    }
    if not isinstance(gated, str):
        said["gate"] = _either(
            beyond(table["gate.accuracy"]),
            "Which goal it will follow can be read at the decision square.",
            "No gate was found.",
        )
    return said | _training_verdicts(table)


def _retarget_verdict(table: Table) -> str:
    anywhere = beyond(table["retarget.all"])
    corners = all(beyond(table[f"retarget.corner.{k}"]) for k in ("top_left", "bottom_right"))
    if anywhere and corners:
        return "It can be sent to other squares, even to the far corners, more often than by noise."
    if anywhere:
        return "It can be sent to other squares, more often than by noise; to the far corners, that is not shown."
    if corners:
        return "It can be sent to the far corners, more often than by noise; to squares at random, that is not shown."
    return "That it can be sent to other squares, or to the far corners, is not shown."


def _either(shown: bool, yes: str, no: str) -> str:
    return yes if shown else no


def _channel_verdict(table: Table) -> str:
    """Single channels, then all of them, then the fewest."""
    carry, whole = table["channels.carry_goal"], table["channels.all.other_place"]
    count = round(carry.estimate * carry.n)
    single = f"{count} of {carry.n} channels carry" if count else "No single channel is shown to carry"
    if not below(whole):
        return f"{single} where the cheese is; all together do no more than a random change as large."
    least = _least_set(table)
    sets = "no set of the strongest is shown to do" if least is None else f"the {least} strongest do"
    return f"{single} where the cheese is; all together do, and {sets} more than as many random ones."


def _least_set(table: Table) -> int | None:
    """The fewest of the strongest channels that are shown to take more than as many random ones."""
    sets = {size: table[i] for size in TOGETHER if (i := f"channels.top_{size}.other_place") in table}
    return next((size for size, f in sets.items() if below(f)), None)


def _training_verdicts(table: Table) -> dict[str, str]:
    """Of finetuning, and of training against the cheese; empty where neither was run."""
    said = {}
    if "finetune.matched.cheese_change" in table:
        said["finetune"] = _either(
            beyond(table["finetune.matched.cheese_change"]),
            "With the compute of an edit, finetuning changes what it goes for",
            "With the compute of an edit, finetuning is not shown to change what it goes for",
        ) + _either(
            beyond(table["steer.best.cheese_change"]), "; the edit does.", "; the edit is not, either."
        )
    if "flipped.reach" in table:
        said["flipped"] = _either(
            below(table["flipped.reach"]),
            "It gives up the cheese",
            "That it gives up the cheese is not shown",
        ) + _either(
            beyond(table["flipped.top_right"]),
            "; without cheese it goes to the corner more often than before.",
            "; that it goes to the corner instead is not shown.",
        )
    return said


def _answers(setup: Setup, table: Table, gated: ProbeReport | str) -> dict[str, str]:
    middle, seen = table["probe.cheese_position.middle"], table["probe.cheese_position.observation"]
    readable, carry = table["channels.interpretable.early"], table["channels.carry_goal"]
    count = round(carry.estimate * carry.n)
    written = {k: table[f"probe.write.{k}"] for k in ("read", "reach_target", "ceiling", "off_manifold")}
    answers = {
        "probe": f"At {setup.layout.middle} in {told(middle)} of mazes; the raw observation alone gives {told(seen)}: "
        f"a paired difference of {told(table['probe.beyond_observation.middle'])}. Less what the same probe reads "
        f"of labels permuted over mazes: {told(table['probe.selectivity.middle'])}. "
        + (
            "The network makes it more readable than chance wiring does."
            if beyond(middle)
            else "Random weights leave it as readable: the probe is no evidence of anything learned."
        )
        + f" {controls_said([middle, seen])}"
        + f" Another square written along the probes' directions is then read in {told(written['read'])} and changes "
        f"P(reach it) by {told(written['reach_target'])}, a cheese that really moves by {told(written['ceiling'])}; "
        f"{told(written['off_manifold'])} of the written cells are extraordinary.",
        "channels": f"{readable.estimate:.0f} channels [{readable.low:.0f}, {readable.high:.0f}] at "
        f"{readable.site} follow one "
        f"named feature almost perfectly (untrained: {readable.control or 0:.0f}). "
        f"{count} of the {carry.n} channels at "
        f"{carry.site} are confirmed to carry where the cheese is ({carry.method}). " + _set_words(table),
        "steer": f"Subtracted, the cheese vector changes P(cheese) by {told(table['steer.cheese.cheese_pull'])}; added, by "
        f"{told(table['steer.cheese.plus_1'])}. The vector of another maze with its cheese in the same place: "
        f"{told(table['steer.transfer.same_place'])}. Top-right vector added: "
        f"{told(table['steer.corner.plus_1'])}, subtracted: "
        f"{told(table['steer.corner.minus_1'])}. "
        + controls_said([table["steer.cheese.cheese_pull"], table["steer.transfer.same_place"]]),
        "cut": f"At a loss of at most {1 - KEPT:.0%} of the top-right attainment, judged on held-out mazes by both "
        "intervals: " + " ".join(_cut_words(table, n) for n in CUTS),
        "ablate": f"Cheese vector subtracted: {told(table['ablate.cheese.corner_pull_kept'])} of the corner's "
        f"pull. Top-right "
        f"vector subtracted: {told(table['ablate.corner.cheese_pull_kept'])} of the cheese's pull.",
        "retarget": f"On the largest mazes with the cheese in the top right: {told(table['retarget.all'])}; ceiling "
        f"{told(table['retarget.all.ceiling'])}, no edit {told(table['retarget.all.bare'])}. Top-left corner "
        f"{told(table['retarget.corner.top_left'])}, bottom-right {told(table['retarget.corner.bottom_right'])}.",
        "budget": " ".join(_budget_words(f) for i, f in table.items() if i.startswith("budget.")),
        "goals": _goal_words(table),
        "gate": f"Not answered: {gated}."
        if isinstance(gated, str)
        else f"In {told(table['gate.accuracy'])} of held-out mazes ({table['gate.accuracy'].control_name}); "
        + (
            "better than its controls."
            if beyond(table["gate.accuracy"])
            else "no better than its controls: no gate was found."
        ),
    }
    return answers | _training_answers(setup, table)


def _set_words(table: Table) -> str:
    """What all channels take, which is the most that any can; then the sets of the strongest beside random ones."""
    whole, there = table["channels.all.other_place"], table["channels.all.to_other_place"]
    words = (
        f"All channels as in the same maze with the cheese elsewhere change P(reach the cheese) by {told(whole)}, and "
        f"P(reach that other square) by {told(there)}"
    )
    if not below(whole):
        return f"{words}: no more than a random change as large, so nothing is said of single channels or of sets."
    sets = {size: table[i] for size in TOGETHER if (i := f"channels.top_{size}.other_place") in table}
    least = _least_set(table)
    verdict = (
        "No set of the strongest channels is shown to take more than random ones"
        if least is None
        else f"The fewest shown to take more than as many random channels: {least}"
    )
    listed = ", ".join(f"{size} {told(f)}" for size, f in sets.items())
    return f"{words}: the most that any could show. {verdict} (strongest on discovery mazes, held-out mazes: {listed})."


def _cut_words(table: Table, per_cent: int) -> str:
    """Whether so much is cut and enough kept, and by how much."""
    kept, cut = (table[f"cut.cheese_{per_cent}{suffix}"] for suffix in ("", ".cut"))
    return f"{per_cent}%: {_cut(table, per_cent)} (cut {told(cut)}, kept {told(kept)})."


def _cut(table: Table, per_cent: int) -> str:
    """'yes', 'no' or 'cannot tell': is so much cut, and enough kept."""
    kept, cut = (table[f"cut.cheese_{per_cent}{suffix}"] for suffix in ("", ".cut"))
    return verdict(kept, cut, per_cent / 100)


def _budget_words(f: Finding) -> str:
    """The share that was allowed, the one that was used, and what came of it."""
    most, used = f.question.split(" of all")[0], f.question.split("(used: ")[1].split("): ")[0]
    return f"{most.capitalize()} (used: {used}): {told(f)}."


def _training_answers(setup: Setup, table: Table) -> dict[str, str]:
    answers = {}
    parts = []
    if "finetune.matched.cheese_change" in table:
        parts.append(
            f"With the edit's compute, in the wanted direction: a change of "
            f"{told(table['finetune.matched.cheese_change'])}, the edit: {told(table['steer.best.cheese_change'])}."
        )
    if "finetune.tenth.reach" in table:
        parts.append(
            f"With less than a tenth of the training's: reaches the cheese in "
            f"{told(table['finetune.tenth.reach'])}, the corner "
            f"first in {told(table['finetune.tenth.corner_instead'])}."
        )
    answers["finetune"] = " ".join(parts) or (
        f"Not answered: no finetuning of {setup.policy.name} is packaged, and none is run on this world; "
        "`goalscope train finetune` makes them for the mice."
    )
    if "flipped.reach" in table:
        weights = [f for i, f in table.items() if i.startswith("flipped.weights.")]
        most = max(weights, key=lambda f: f.estimate / max(f.control or 0, 1e-9))
        answers["flipped"] = (
            f"It reaches the cheese in {told(table['flipped.reach'])} and, without cheese, the top-right corner in "
            f"{told(table['flipped.top_right'])}. The layer that moved most beyond the controls is {most.site} "
            f"({most.estimate:.3f} against {most.control or 0:.3f})."
        )
    return answers


def _best_single(table: Table) -> Finding:
    """The single rule that describes the unedited policy best."""
    rules = (table[f"goals.plain.{k}"] for k in ("cheese", "corner", "corner_then_cheese"))
    return max(rules, key=lambda f: f.estimate)


def _goal_words(table: Table) -> str:
    plain, single = table["goals.plain.cheese.corner"], _best_single(table)
    gain = plain.estimate - single.estimate
    return (
        f"Unedited, the mixture of both scores {plain.estimate:.3f} nats per step [{plain.low:.3f}, "
        f"{plain.high:.3f}], the best "
        f"single rule {single.estimate:.3f} [{single.low:.3f}, {single.high:.3f}] (gain {gain:+.3f}); "
        f"{plain.method.split('; ')[-1]}."
    )
