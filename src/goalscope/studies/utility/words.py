"""The utility study in words: every sentence is made from what was inferred, by rules that are written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.studies.utility.measure import Made, features_of
from goalscope.studies.utility.setup import Asked
from goalscope.studies.words import headed, number, told

Found = Mapping[str, Finding]
"""the policy's findings by id"""
MOST = 4
"""ties that are named"""


def verdict(policy: str, made: Made) -> str:
    """One, several, none, or that it cannot be told."""
    found = made.inference
    if found.verdict == "several" and found.gated is not None:
        gate, inside, outside = found.gated.parts
        return f"{policy} acts for several utilities, gated by '{gate}': there '{inside}', else '{outside}'."
    if found.verdict == "one":
        return f"{policy} acts for one utility: '{found.best.name}'{implied(made)}."
    if found.verdict == "none":
        return f"{policy} acts for none of the utilities that were asked about."
    ties = ", ".join(f"'{name}'" for name in [found.best.name, *found.tied][:MOST])
    more = f" and {len(found.tied) + 1 - MOST} more" if len(found.tied) >= MOST else ""
    return f"Which utility {policy} acts for cannot be told, these tie: {ties}{more}."


def implied(made: Made) -> str:
    """What is the same by its best moves, in brackets."""
    same = made.inference.same
    return f" (the same moves are best for {_listed(same)})" if same else ""


def _listed(names: Sequence[str]) -> str:
    shown = [f"'{name}'" for name in names[:MOST]]
    return ", ".join(shown) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")


def headline(policy: str, made: Made, found: Found) -> str:
    """The verdict, then at most three lines with a number each."""
    lines = [_explained(made, found)]
    if "gated.gain" in found:
        lines.append(f"The best gated pair is ahead of every single utility by {_told(found['gated.gain'])} bits per step, "
                     "with its longer description paid.")  # fmt: skip
    served = [f for name, f in found.items() if name.startswith("served.")]
    if served:
        most = max(served, key=lambda f: f.low)
        name = most.question.partition("'")[2].partition("'")[0]
        lines.append(f"Best served is '{name}': {_told(most)} bits beyond what uniform moves get.")
    return headed(verdict(policy, made), *lines)


def _told(finding: Finding) -> str:
    return told(finding, percent=False)


def _explained(made: Made, found: Found) -> str:
    inference = made.inference
    whole, gain = inference.whole.estimate, inference.whole.estimate - found["left.unexplained"].estimate
    if whole <= 0.02:
        return f"Its moves are uniform, but for {number(whole, percent=False)} bits per step: there is nothing to explain."
    which = "That explains" if inference.verdict in ("one", "several") else "The best single utility explains"
    return f"{which} {number(max(gain, 0) / whole)} of what uniform moves leave ({gain:.2f} of {whole:.2f} bits per step)."


def sections(made: Made, found: Found, asked: Asked, how: str) -> list[dict[str, str]]:
    """The report's sections: key, title, question and answer."""
    answers = {
        "explains": (
            "Single utilities", "Which explains the moves in levels that it was not fitted on?", _singles(made, how, asked),
        ),
        "gated": ("Several, gated", "Do two utilities explain more than any one, each where a context says?",
                  _gated(made, found)),
        "left": ("What is left", "What does the best explanation leave of the policy's own moves?",
                 f"{_told(found['left.unexplained'])} bits per step."),
        "served": ("How well each is served", "How unlikely do uniform moves do as well?", _served(found)),
        "irl": ("Inverse reinforcement learning", "Which weights of the same features make its moves likely?",
                _weights(made, found, asked)),
    }  # fmt: skip
    return [
        {"key": key, "title": title, "question": question, "answer": answer}
        for key, (title, question, answer) in answers.items()
    ]


def _singles(made: Made, how: str, asked: Asked) -> str:
    found = made.inference
    best = f"'{found.best.name}' explains {found.best.gain.estimate:.2f} of {found.whole.estimate:.2f} bits per step."
    ties = [name for name in found.tied if name not in found.same]
    said = [how, best]
    if found.same:
        said.append(f"The same moves are best for {_listed(found.same)} in every state that it comes to.")
    if ties:
        said.append(f"Not told from it: {_listed(ties)}.")
    if asked.missed:
        said.append(
            f"Not asked, since no level has a way there that does not begin there: {', '.join(asked.missed)}."
        )
    return " ".join(said)


def _gated(made: Made, found: Found) -> str:
    gated = made.inference.gated
    if gated is None:
        return "Not asked: no context tells states apart."
    return (
        f"Chosen on {made.inference.train_levels} levels: '{gated.name}' ({gated.length:.0f} bits to say). On "
        f"{made.inference.held_out_levels} others it is ahead of the best single utility by "
        f"{_told(found['gated.gain'])} bits per step, its length paid."
    )  # fmt: skip


def _served(found: Found) -> str:
    rows = sorted((f for n, f in found.items() if n.startswith("served.")), key=lambda f: -f.estimate)[:3]
    names = [f.question.partition("'")[2].partition("'")[0] for f in rows]
    return "; ".join(f"'{n}' {_told(f)} bits" for n, f in zip(names, rows, strict=True)) + "."


def _weights(made: Made, found: Found, asked: Asked) -> str:
    names, weights = features_of(asked)[0], made.weights.weights
    order = np.argsort(-np.abs(weights))[:3]
    said = ", ".join(f"'{names[i]}' {weights[i]:+.2f}" for i in order)
    return f"The largest: {said}. They explain {_told(found['irl.explains'])} bits per step."
