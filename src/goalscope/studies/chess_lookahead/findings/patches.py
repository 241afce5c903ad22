"""From patched squares to findings: is the square where the third move ends special, and how small an effect would show?

Each half of the cases is judged at the layer where the margin over matched squares is greatest in the other half, so
every case is judged and none has a say in where.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from goalscope.methods.chess.square_patch import SquareEffects, against_matched
from goalscope.stats import Estimate
from goalscope.studies.chess_lookahead.findings.made import SHAPES, Findings, detectable, word
from goalscope.studies.chess_lookahead.measure.patches import SLOTS, TARGETS, matched_slots
from goalscope.studies.chess_lookahead.measure.probes import halves
from goalscope.studies.chess_lookahead.setup import Subject

UNIT = "log-odds of the first move"
METHOD = "square patching, corrupted into clean"
WORDS = {"first": "first move", "reply": "reply", "third": "third move"}


@dataclass(frozen=True)
class Patched:
    """The effects of one rule's cases on a network and on its untrained twin."""

    strong: SquareEffects
    blank: SquareEffects
    shuffled: SquareEffects
    """of the network, with the twins of other positions"""
    level: np.ndarray
    """[C] int, equal where the positions are"""
    forced: np.ndarray
    """[C] bool, the weak network expects the reply"""


@dataclass(frozen=True)
class Branches:
    """Cases where either of two mates suffices."""

    single: SquareEffects
    """slots as in SLOTS, 'other' is the second mate's square"""
    both: SquareEffects
    """[C, L, 1] the third move's and the other mate's square together"""
    level: np.ndarray
    """[C] int"""


def margin_of(effects: SquareEffects, target: str) -> np.ndarray:
    """[C, L] effect on the target's square minus the mean of its matched squares."""
    return against_matched(effects, SLOTS[target], matched_slots(target))


def chosen_layers(patched: Patched, target: str, seed: int, first: int = 0) -> np.ndarray:
    """[C] for each case the layer, from `first` on, where the target is furthest above its matched squares in the half of
    the cases that it is not in."""
    half = halves(patched.level, seed)
    margin = margin_of(patched.strong, target)
    layers = np.full(len(half), first)
    for judged in (half, ~half):
        others = margin[~judged & np.isfinite(margin).any(1)]
        if len(others):
            layers[judged] = first + np.nanmean(others[:, first:], axis=0).argmax()
    return layers


def _at(values: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """[C, L, ...] at each case's layer."""
    return values[np.arange(len(layers)), layers]


def _said(layers: np.ndarray, sites: list[str]) -> tuple[str, str]:
    """The layers in words and as sites."""
    used = np.unique(layers).tolist()
    words = f"block{'s' * (len(used) > 1)} {' and '.join(map(str, used))}, each chosen on the other half of the cases"
    return words, " and ".join(sites[layer] for layer in used)


def patch_findings(found: Findings, subject: Subject, rule: str, patched: Patched, sites: list[str]) -> None:
    """All findings of one twin rule."""
    for target in TARGETS:
        _by_layer(found, subject, rule, target, patched, sites)
        _confirmed(found, subject, rule, target, patched, sites)
        _above(found, subject, rule, target, patched, sites)
        _controls(found, subject, rule, target, patched, sites)
    _later(found, subject, rule, patched, sites)
    _third_move(found, subject, rule, patched, sites)


def _by_layer(
    found: Findings, subject: Subject, rule: str, target: str, patched: Patched, sites: list[str]
) -> None:
    effect = patched.strong.effect
    for layer, site in enumerate(sites):
        matched = _mean_of(effect[:, layer, matched_slots(target)])
        has = np.isfinite(matched)
        found.add(
            subject, f"lookahead.{rule}.{target}.block_{layer}",
            f"fall of the first move's log-odds when the square where the {WORDS[target]} ends is patched "
            f"after block {layer} ({rule} twins)",
            found.mean(np.where(has, effect[:, layer, SLOTS[target]], np.nan), patched.level),
            found.mean(matched, patched.level), "matched squares", METHOD, UNIT, site, 0.0,
        )  # fmt: skip


def _confirmed(
    found: Findings, subject: Subject, rule: str, target: str, patched: Patched, sites: list[str]
) -> None:
    layers = chosen_layers(patched, target, found.about.seed)
    words, site = _said(layers, sites)
    margins = [_at(margin_of(effects, target), layers) for effects in (patched.strong, patched.blank)]
    estimate, control = (found.mean(margin, patched.level) for margin in margins)
    found.add(
        subject, f"lookahead.{rule}.{target}.margin",
        f"effect of the {WORDS[target]}'s square minus that of its matched squares, {words} ({rule} twins)",
        estimate, control, "untrained network, same squares", METHOD, UNIT, site, 0.0,
    )  # fmt: skip
    for end, (shape, said) in SHAPES.items():
        found.add(
            subject, f"lookahead.{rule}.{target}.detectable{end}",
            f"the least true margin of the {WORDS[target]}'s square, {said}, that these cases show four times in five "
            f"({rule} twins)",
            detectable(margins[0], patched.level, shape), None, "a property of the data: it needs none",
            "the interval's rule on made data", UNIT, site,
        )  # fmt: skip


def _controls(
    found: Findings, subject: Subject, rule: str, target: str, patched: Patched, sites: list[str]
) -> None:
    """The margin beside controls that could fail: in shares of each network's own way, and with foreign twins."""
    layers = chosen_layers(patched, target, found.about.seed)
    words, site = _said(layers, sites)
    ways = [_share_of_way(found, e, target, layers, patched.level) for e in (patched.strong, patched.blank)]
    found.add(
        subject, f"lookahead.{rule}.{target}.share",
        f"margin of the {WORDS[target]}'s square as a share of the way from clean to corrupted, of each network its own, "
        f"{words} ({rule} twins)",
        ways[0], ways[1], "untrained network, of its own way", METHOD, "share of the way", site, 0.0,
    )  # fmt: skip
    own, foreign = (
        found.mean(_at(margin_of(e, target), layers), patched.level)
        for e in (patched.strong, patched.shuffled)
    )
    found.add(
        subject, f"lookahead.{rule}.{target}.shuffled",
        f"margin of the {WORDS[target]}'s square with each position's own twin, {words} ({rule} twins)",
        own, foreign, "twins of other positions, same squares", METHOD, UNIT, site, 0.0,
    )  # fmt: skip


def _share_of_way(
    found: Findings, effects: SquareEffects, target: str, layers: np.ndarray, level: np.ndarray
) -> Estimate | None:
    """Margins towards the corrupted run, over the distances between clean and corrupted; None where there are none."""
    margin, way = _at(margin_of(effects, target), layers), effects.clean - effects.corrupted
    there = np.isfinite(margin)
    return found.ratio((margin * np.sign(way))[there], np.abs(way)[there], level[there])


def _later(found: Findings, subject: Subject, rule: str, patched: Patched, sites: list[str]) -> None:
    """The third move's square in the later half of the blocks, and what these add to the first block.

    A patch after the first block is next to swapping the input around the square: it says little of looking ahead.
    """
    if len(sites) < 2:
        return
    layers = chosen_layers(patched, "third", found.about.seed, first=(len(sites) + 1) // 2)
    words, site = _said(layers, sites)
    own, blank = (_at(margin_of(e, "third"), layers) for e in (patched.strong, patched.blank))
    found.add(
        subject, f"lookahead.{rule}.third.later",
        f"margin of the third move's square in the later half of the blocks, {words} ({rule} twins)",
        found.mean(own, patched.level), found.mean(blank, patched.level), "untrained network, same squares", METHOD, UNIT,
        site, 0.0,
    )  # fmt: skip
    found.add(
        subject, f"lookahead.{rule}.third.beyond_input",
        f"margin of the third move's square in the later half of the blocks minus that after block 0, next to swapping the "
        f"input; {words} ({rule} twins)",
        found.mean(own - margin_of(patched.strong, "third")[:, 0], patched.level),
        found.mean(blank - margin_of(patched.blank, "third")[:, 0], patched.level), "untrained network, same squares",
        METHOD, UNIT, site, 0.0,
    )  # fmt: skip


def _above(
    found: Findings, subject: Subject, rule: str, target: str, patched: Patched, sites: list[str]
) -> None:
    """How often the target is above its matched squares; beside it, how often one of these is above the others."""
    layers = chosen_layers(patched, target, found.about.seed)
    words, site = _said(layers, sites)
    first, *others = matched_slots(target)
    margins = (
        _at(against_matched(patched.strong, one, rest), layers)
        for one, rest in ((SLOTS[target], [first, *others]), (first, others))
    )
    estimate, control = (
        found.mean(np.where(np.isfinite(m), m > 0, np.nan), patched.level, (0, 1)) for m in margins
    )
    found.add(
        subject, f"lookahead.{rule}.{target}.above",
        f"share of cases in which the {WORDS[target]}'s square does more than the mean of its matched squares, {words} "
        f"({rule} twins)",
        estimate, control, "a matched square against the others", METHOD, "share of cases", site,
    )  # fmt: skip


def _third_move(found: Findings, subject: Subject, rule: str, patched: Patched, sites: list[str]) -> None:
    """The other controls: lines that are not forced, and the square that usually follows such a first move."""
    layers = chosen_layers(patched, "third", found.about.seed)
    _, site = _said(layers, sites)
    margin = _at(margin_of(patched.strong, "third"), layers)
    forced, level = patched.forced, patched.level
    found.add(
        subject, f"lookahead.{rule}.third.forced",
        f"margin of the third move's square where the reply is forced ({rule} twins)",
        found.mean(margin[forced], level[forced]), found.mean(margin[~forced], level[~forced]),
        "where the reply is not forced", METHOD, UNIT, site,
    )  # fmt: skip
    third, usual = (_at(patched.strong.effect, layers)[:, SLOTS[name]] for name in ("third", "usual"))
    both = np.isfinite(third) & np.isfinite(usual)
    found.add(
        subject, f"lookahead.{rule}.third.usual",
        f"effect of the third move's square beside the square where third moves usually end ({rule} twins)",
        found.mean(third[both], level[both]), found.mean(usual[both], level[both]),
        "the usual square (co-occurrence)", METHOD, UNIT, site,
    )  # fmt: skip


def branch_findings(
    found: Findings, subject: Subject, branches: Branches | None, tried: int, sites: list[str]
) -> None:
    """Where either mate suffices: the line's mate, the other one, both patched together.

    There are few such puzzles, so no layer is chosen on them: effects are means over all.
    """
    if branches is None:
        return
    effect = branches.single.effect.mean(1)
    matched = _mean_of(effect[:, matched_slots("third")])
    for name, words, values in (
        ("line", "the line's mate", effect[:, SLOTS["third"]]),
        ("other", "the other mate", effect[:, SLOTS["other"]]),
        ("both", "both mates together", branches.both.effect.mean(1)[:, 0]),
    ):
        found.add(
            subject, f"lookahead.branches.{name}",
            f"either of two mates suffices ({tried} puzzles, those with a twin): effect of the square of {words}, mean "
            f"over all blocks",
            found.mean(values, branches.level), found.mean(matched, branches.level), "matched squares", METHOD, UNIT,
            f"{sites[0]} to {sites[-1]}", 0.0,
        )  # fmt: skip


def case_findings(
    found: Findings, subject: Subject, counts: Mapping[str, np.ndarray], level: np.ndarray
) -> None:
    """How many of the puzzles that were tried have a twin, by rule."""
    for rule, has in counts.items():
        found.add(
            subject, f"filter.twins.{word(rule)}",
            f"share of the puzzles tried for which a corrupted twin was found by the {rule} rule",
            found.mean(has, level, (0, 1)), None, "a count: it needs none", "search for twins", "share of puzzles",
        )  # fmt: skip


def _mean_of(values: np.ndarray) -> np.ndarray:
    """[N] mean over the slots [N, K] that are there; NaN where none is."""
    have = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(have, values, 0).sum(1) / have.sum(1)
