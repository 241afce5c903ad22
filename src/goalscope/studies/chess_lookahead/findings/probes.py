"""From what probes read to findings: where the third move ends, and whether the line ends in mate.

A gain is a paired difference over positions: it is 0 where the probe reads no more than its control does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goalscope.stats import Estimate, bootstrap
from goalscope.studies.chess_lookahead.findings.made import LEAST, SHAPES, Findings, detectable, word
from goalscope.studies.chess_lookahead.setup import Subject

CONTROLS = {
    "co-occurrence": "the first move and the board alone (co-occurrence)", "observation": "the planes",
    "untrained": "the untrained network", "random labels": "squares of other puzzles",
}  # fmt: skip
"""what the probe for the third move must beat, by the names of `measure_probes`"""
NO_CONTROL = "none: a paired difference, 0 where nothing is gained"


METHOD = "linear probe of one square, 1 of 64 right, held-out positions"
UNIT = "share of puzzles"


@dataclass(frozen=True)
class Probed:
    """What the probes for the third move got right."""

    hits: Mapping[str, np.ndarray]
    """of `measure_probes`"""
    level: np.ndarray
    """[N] int, equal where the positions are"""
    motifs: Mapping[str, np.ndarray]
    """name -> [N] bool"""
    confident: np.ndarray
    """[N] bool, the network gives its first move more than half"""

    @property
    def held(self) -> np.ndarray:
        """[N] bool: the puzzles that judge."""
        return ~self.hits["train"]

    @property
    def site(self) -> str:
        """The layer that the other puzzles chose."""
        return str(self.hits["site"])

    def share(self, found: Findings, name: str, rows: np.ndarray) -> Estimate | None:
        """How often a probe is right, on rows [N] bool."""
        return found.mean(self.hits[f"hit.{name}"][rows], self.level[rows], (0, 1))

    def gain(self, one: str, other: str) -> np.ndarray:
        """[N] right by one probe, minus right by the other."""
        return self.hits[f"hit.{one}"].astype(float) - self.hits[f"hit.{other}"]

    def minus(self, found: Findings, one: str, other: str, rows: np.ndarray) -> Estimate | None:
        """How much more often one probe is right than another, on rows [N] bool."""
        return found.mean(self.gain(one, other)[rows], self.level[rows], (-1, 1))


def probe_findings(found: Findings, subject: Subject, probed: Probed, sites: Sequence[str]) -> None:
    """Is the third move's square legible? Every layer, the chosen one against each control, one motif left out."""
    for i, each in enumerate(sites):
        question = f"a probe after block {i} names the square where the third move ends"
        found.add(
            subject, f"probe.third.block_{i}", question, probed.share(found, each, probed.held),
            probed.share(found, "co-occurrence", probed.held), "co-occurrence with the first move", METHOD, UNIT, each,
        )  # fmt: skip
    _control_findings(found, subject, probed)
    _condition_findings(found, subject, probed)
    for name in probed.motifs:
        if f"hit.without.{name}" in probed.hits:
            _motif_findings(found, subject, probed, name)


def _control_findings(found: Findings, subject: Subject, probed: Probed) -> None:
    """The chosen layer against each control, and what gain would have been shown."""
    site, held = probed.site, probed.held
    for name, words in CONTROLS.items():
        found.add(
            subject, f"probe.third.control.{word(name)}", f"accuracy of the same probe for the third move on {words}",
            probed.share(found, name, held), None, "it is a control itself", METHOD, UNIT, site,
        )  # fmt: skip
        found.add(
            subject, f"probe.third.gain.{word(name)}",
            f"accuracy of the probe for the third move minus that of the same probe on {words}",
            probed.minus(found, site, name, held), None, NO_CONTROL, METHOD, UNIT, site,
        )  # fmt: skip
    gain = probed.gain(site, "co-occurrence")[held]
    for end, (shape, said) in SHAPES.items():
        found.add(
            subject, f"probe.third.detectable{end}",
            f"the least true gain over co-occurrence, {said}, that these puzzles show four times in five",
            detectable(gain, probed.level[held], shape, (-1, 1)), None, "a property of the data: it needs none",
            "the interval's rule on made data", UNIT, site,
        )  # fmt: skip


def _condition_findings(found: Findings, subject: Subject, probed: Probed) -> None:
    """The first move by the same probe, and the third where the network is sure of the first and where it is not."""
    site, held = probed.site, probed.held
    found.add(
        subject, "probe.first", "the same probe for the square where the first move ends",
        probed.share(found, "first", held), probed.share(found, "first untrained", held), "untrained network", METHOD,
        UNIT, site,
    )  # fmt: skip
    for name, words, rows in (
        ("sure", "above 50%", held & probed.confident), ("unsure", "at most 50%", held & ~probed.confident),
    ):  # fmt: skip
        found.add(
            subject, f"probe.third.{name}", f"the probe for the third move, first move {words}",
            probed.share(found, site, rows), probed.share(found, "co-occurrence", rows),
            "co-occurrence with the first move", METHOD, UNIT, site,
        )  # fmt: skip


def _motif_findings(found: Findings, subject: Subject, probed: Probed, name: str) -> None:
    """What a probe that was trained without a motif reads of it."""
    rows = probed.held & probed.motifs[name]
    without, dropped = f"without.{name}", f"dropped.{name}"
    found.add(
        subject, f"probe.third.without.{word(name)}",
        f"the probe for the third move on {name} when it was trained without {name}",
        probed.share(found, without, rows), probed.share(found, dropped, rows),
        f"trained with {name}, on as many puzzles", METHOD, UNIT, probed.site,
    )  # fmt: skip
    found.add(
        subject, f"probe.third.unseen.{word(name)}",
        f"accuracy for the third move on {name} of the probe that was trained without {name}, minus that of one "
        "trained on as many puzzles of all motifs",
        probed.minus(found, without, dropped, rows), None, NO_CONTROL, METHOD, UNIT, probed.site,
    )  # fmt: skip


def mate_findings(
    found: Findings, subject: Subject, scores: Mapping[str, np.ndarray], site: str, level: np.ndarray,
    mate: np.ndarray, motifs: Mapping[str, np.ndarray],
) -> None:  # fmt: skip
    """Does reading of checkmate generalise to a motif that the probe has never seen?"""
    held = ~scores["train"]
    method = "linear probe of the mean and maximum over squares, held-out positions"

    def area(rows: np.ndarray, *names: str) -> Estimate | None:
        positive, negative = held & mate & rows, held & ~mate
        if min(len(np.unique(level[positive])), len(np.unique(level[negative]))) < LEAST:
            return None
        return _area([scores[f"score.{name}"] for name in names], positive, negative, level, found.about.seed)

    unit, everything = "area under the curve", np.ones(len(mate), bool)
    question = "chance that the probe finds a line that ends in mate likelier to than one that does not"
    for name, words in (("observation", "the planes"), ("untrained", "the untrained network")):
        found.add(
            subject, f"probe.mate.{word(name)}", f"{question}; control: {words}", area(everything, "network"),
            area(everything, name), f"the same probe on {words}", method, unit, site,
        )  # fmt: skip
    for name, has in motifs.items():
        if f"score.without.{name}" not in scores:
            continue
        own, planes, blank = (f"{source}without.{name}" for source in ("", "observation.", "untrained."))
        found.add(
            subject, f"probe.mate.without.{word(name)}", f"{question}: mates with {name}, unseen in training",
            area(has, own), area(has, planes), f"the same probe on the planes, {name} unseen", method, unit, site,
        )  # fmt: skip
        found.add(
            subject, f"probe.mate.gain.{word(name)}",
            f"area of the probe for mates with {name}, unseen in training, minus that of the same probe on the planes",
            area(has, own, planes), area(has, blank, planes), "untrained network minus planes", method, unit, site,
        )  # fmt: skip


def _area(
    scores: Sequence[np.ndarray], positive: np.ndarray, negative: np.ndarray, level: np.ndarray, seed: int
) -> Estimate:
    """Area under the ROC curve of one score [N], or of the first minus that of the second; positions resampled."""
    rows = np.flatnonzero(positive | negative)
    names, index = np.unique(level[rows], return_inverse=True)
    p, n = index[positive[rows]], index[negative[rows]]
    each = [
        (score[positive][:, None] > score[negative]) + 0.5 * (score[positive][:, None] == score[negative])
        for score in scores
    ]
    wins, empty = (each[0], 0.5) if len(each) == 1 else (each[0] - each[1], 0.0)

    def area(counts: np.ndarray) -> np.ndarray:
        up, down = counts[:, p], counts[:, n]
        weight = up.sum(1) * down.sum(1)
        return np.where(weight > 0, ((up @ wins) * down).sum(1) / np.maximum(weight, 1e-300), empty)

    return bootstrap(area, len(names), seed=seed)
