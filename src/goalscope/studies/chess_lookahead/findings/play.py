"""From what was measured on puzzles to findings: each an estimate over positions with interval, n and control.

The unit is the position: puzzles that show the same one are resampled together. The control of a trained network is the
untrained one of its shape on the same puzzles, or what the question asks for: matched squares, co-occurrence, chance.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from goalscope.methods.chess.twins import Kept
from goalscope.stats import Estimate, bootstrap, ranks
from goalscope.studies.chess_lookahead.findings.made import LEAST, Findings, word
from goalscope.studies.chess_lookahead.setup import Subject, Table

RATINGS = ((0, 1200), (1200, 1400), (1400, 1600), (1600, 1800), (1800, 10_000))


def play_findings(
    found: Findings,
    subjects: Mapping[str, Subject],
    seen: Mapping[str, Mapping[str, np.ndarray]],
    table: Table,
) -> None:
    """Puzzle accuracy: all, by rating, by motif; and the probability of the first move. Control: untrained."""
    blank = seen["untrained"]
    scopes: list[tuple[str, str, np.ndarray]] = [("overall", "all puzzles", np.ones(len(table.level), bool))]
    for low, high in RATINGS:
        name, words = (
            f"rating_{low}",
            f"puzzles rated {low} to {high - 1}" if high < 10_000 else f"puzzles rated {low} and above",
        )
        scopes.append((f"rating.{name}", words, (table.rating >= low) & (table.rating < high)))
    scopes += [
        (f"motif.{word(m)}", f"puzzles with {m}", has)
        for m, has in table.motifs.items()
        if has.sum() >= LEAST
    ]
    for name, subject in subjects.items():
        for scope, words, rows in scopes:
            level = table.level[rows]
            share, control = (found.mean(s["solved"][rows], level, (0, 1)) for s in (seen[name], blank))
            question = f"share of {words} in which every move of the solver is the most probable one (at the end any mate)"
            found.add(
                subject, f"play.{scope}", question, share, control, "untrained", "most probable moves",
                "share of puzzles",
            )  # fmt: skip
        chance, control = (found.mean(s["first"], table.level, (0, 1)) for s in (seen[name], blank))
        found.add(
            subject, "play.first_probability", "probability of the first move of the line", chance, control,
            "untrained", "move probabilities", "probability",
        )  # fmt: skip


def filter_findings(found: Findings, subject: Subject, kept: Kept, table: Table) -> None:
    """How many puzzles pass each part of the published filter."""
    parts = (
        ("long", "three plies or more, no mate in one", kept.long),
        ("weak_misses", "the weak network gives the first move less than 5%", kept.weak_misses),
        ("strong_finds", "the strong network gives each move of the solver more than 50%", kept.strong_finds),
        ("forced", "the weak network gives the reply more than 70%", kept.forced),
        ("all", "all four together", kept.all),
    )
    for name, words, passes in parts:
        found.add(
            subject, f"filter.{name}", f"share of puzzles that pass the published filter: {words}",
            found.mean(passes, table.level, (0, 1)), None, "a count: it needs none", "puzzle filter",
            "share of puzzles",
        )  # fmt: skip


def engine_findings(
    found: Findings, subject: Subject, checked: Mapping[str, np.ndarray], table: Table
) -> None:
    """How many of the lines that were tried for twins an engine confirms."""
    found.add(
        subject, "filter.engine",
        f"share of lines in which {checked['engine']} finds each move of the solver the best by a pawn, or mating",
        found.mean(checked["confirmed"], table.level[checked["index"]], (0, 1)), None, "a count: it needs none",
        "UCI engine, fixed nodes", "share of lines",
    )  # fmt: skip


def confidence_findings(
    found: Findings,
    subject: Subject,
    strong: Mapping[str, np.ndarray],
    weak: Mapping[str, np.ndarray],
    table: Table,
) -> None:
    """Does being sure of the first move go with being sure of the later ones?"""
    rows = np.isfinite(strong["later"]) & np.isfinite(weak["later"])
    if len(np.unique(table.level[rows])) < 2 * LEAST:
        return
    first, level = strong["first"][rows], table.level[rows]
    own, other = (_correlation(first, s["later"][rows], level, found.about.seed) for s in (strong, weak))
    found.add(
        subject, "confidence.later", "rank correlation of the first move's probability with that of the later moves",
        own, other, "with the weak network's later moves", "Spearman, positions resampled", "correlation",
    )  # fmt: skip
    for name, words, part in (
        ("sure", "where the first move is the most probable half of all", first >= np.median(first)),
        ("unsure", "where it is in the less probable half", first < np.median(first)),
    ):
        estimate, control = (found.mean(s["later"][rows][part], level[part], (0, 1)) for s in (strong, weak))
        found.add(
            subject, f"confidence.{name}", f"mean probability of the solver's later moves, {words}", estimate,
            control, "the weak network on the same puzzles", "move probabilities along the line", "probability",
        )  # fmt: skip


def _correlation(x: np.ndarray, y: np.ndarray, level: np.ndarray, seed: int) -> Estimate:
    """Spearman's rho; ranks are those of the whole sample, resamples weigh positions."""
    names, index = np.unique(level, return_inverse=True)
    a, b = (r - r.mean() for r in (ranks(x), ranks(y)))
    sums = [np.bincount(index, v, len(names)) for v in (np.ones(len(a)), a, b, a * a, b * b, a * b)]

    def rho(counts: np.ndarray) -> np.ndarray:
        n, sa, sb, saa, sbb, sab = (np.einsum("bn,n->b", counts, s) for s in sums)
        spread = np.sqrt(np.maximum(saa - sa**2 / n, 0) * np.maximum(sbb - sb**2 / n, 0))
        return np.where(spread > 0, (sab - sa * sb / n) / np.where(spread > 0, spread, 1), 0.0)

    return bootstrap(rho, len(names), seed=seed)


def value_findings(
    found: Findings, subject: Subject, seen: Mapping[str, Mapping[str, np.ndarray]],
    after: Mapping[str, np.ndarray], table: Table,
) -> None:  # fmt: skip
    """Does the value know what the policy plays? Along the line, and among the first moves."""
    strong, blank = seen[subject.name], seen["untrained"]
    top = strong["first"] > 0.5
    for name, words, rows in (
        ("all", "all puzzles", np.ones(len(top), bool)),
        ("sure", "first move above 50%", top),
        ("unsure", "first move at most 50%", ~top),
    ):
        estimate, control = (
            found.mean(s["drift"][rows], table.level[rows], (-2, 2)) for s in (strong, blank)
        )
        found.add(
            subject, f"value.drift.{name}",
            f"value at the solver's last move minus at its first ({words}): 0 where all was foreseen",
            estimate, control, "untrained", "value along the line", "value (win minus loss)",
        )  # fmt: skip
    own, level = after, table.level[after["index"]]
    found.add(
        subject, "value.agreement", "how often the most probable first move is the one of the best next value",
        found.mean(own["agrees"], level, (0, 1)), found.mean(own["chance"], level, (0, 1)),
        "next values shuffled among the moves", "value of every legal move's position", "share of puzzles",
    )  # fmt: skip
    found.add(
        subject, "value.regret", "best next value minus that after the most probable first move",
        found.mean(own["regret"], level, (0, 2)), found.mean(own["shuffled_regret"], level, (0, 2)),
        "a move at random", "value of every legal move's position", "value (win minus loss)",
    )  # fmt: skip
