"""The anomalies study in words: every sentence is made from findings, by rules that are written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goalscope.evidence.finding import Finding
from goalscope.studies.words import headed, number, told

Found = Mapping[str, Finding]
"""all findings by id"""


def seen(found: Found, task: str, simple: Sequence[str], kind: str = "detect") -> list[Finding]:
    """The detectors that lie above the best simple score, best first; neither labels nor simple scores count."""
    rows = [f for name, f in found.items() if name.startswith(f"{kind}.{task}.")]
    rows = [f for f in rows if f.id.split(".")[2] not in (*simple, "labels") and f.standing == "supported"]
    return sorted(rows, key=lambda f: -f.low)


def headline(
    policy: str, found: Found, tasks: Sequence[str], what: Mapping[str, str], simple: Sequence[str]
) -> str:
    """A verdict in one sentence, then a line a task."""
    shown = [what[task] for task in tasks if seen(found, task, simple)]
    missed = [what[task] for task in tasks if not seen(found, task, simple)]
    parts = [f"told from usual runs beyond every simple score: {'; '.join(shown)}"] * bool(shown)
    parts += [f"not shown to be: {'; '.join(missed)}"] * bool(missed)
    verdict = f"Of the changed mechanisms of {policy}, {', and '.join(parts)}."
    return headed(verdict, *(line(found, task, what, simple) for task in tasks))


def line(found: Found, task: str, what: Mapping[str, str], simple: Sequence[str]) -> str:
    """How many detectors see it, and the first of them with its number; else the one that comes nearest."""
    rows = [f for n, f in found.items() if n.startswith(f"detect.{task}.")]
    rows = [f for f in rows if f.id.split(".")[2] not in (*simple, "labels")]
    clear = seen(found, task, simple)
    best = clear[0] if clear else max(rows, key=lambda f: f.low)
    name = best.id.split(".")[2].replace("_", " ")
    words = f"{what[task][0].upper()}{what[task][1:]}: {len(clear)} of {len(rows)} detectors are above the best simple "
    return f"{words}score; AUROC of {name} {told(best, False)}."


def sections(
    found: Found, tasks: Sequence[str], what: Mapping[str, str], new: Mapping[str, str], simple: Sequence[str],
    aside: str,
) -> list[dict[str, str]]:  # fmt: skip
    """The report's sections: key, title, question and answer."""
    alarms = []
    for task in tasks:
        clear = seen(found, task, simple)
        wrong = [f for f in clear if found[f.id.replace("detect.", "novelty.")].standing != "supported"]
        alarms.append(
            f"{new[task]}: {len(wrong)} of the {len(clear)} detectors that see the change score them as high"
        )
    kept = [f"{what[task]}: {len(seen(found, task, simple, 'shifted'))} detectors" for task in tasks]
    hits = []
    for task in tasks:
        rows = [f for n, f in found.items() if n.startswith(f"hits.{task}.") and not n.endswith(".labels")]
        best = max(rows, key=lambda f: f.estimate)
        hits.append(
            f"{what[task]}: at most {number(best.estimate)}, by {best.id.split('.')[2].replace('_', ' ')}"
        )
    return [
        {
            "key": "detect", "title": "Usual mazes", "question": "Is a changed mechanism told from an unchanged one?",
            "answer": " ".join([*(line(found, task, what, simple) for task in tasks), aside]).strip(),
        },
        {
            "key": "hits", "title": "At 1% false alarms", "question": "How many changed runs are found?",
            "answer": f"{'; '.join(hits)}.",
        },
        {
            "key": "shifted", "title": "New mazes", "question": "Is the change still seen where all mazes are new?",
            "answer": f"Above the best simple score there: {'; '.join(kept)}.",
        },
        {
            "key": "novelty", "title": "False alarms", "question": "Is what is new and harmless taken for a change?",
            "answer": f"{'; '.join(alarms)}.",
        },
    ]  # fmt: skip
