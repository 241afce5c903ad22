"""Controls of the chess study that could have failed: own shares of the way, foreign twins, later blocks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

import chess

from goalscope.evidence.finding import Finding
from goalscope.methods.chess.square_patch import SquareEffects
from goalscope.methods.chess.twins import Twin
from goalscope.studies.about import About
from goalscope.studies.chess_lookahead.findings.made import Findings, by_id
from goalscope.studies.chess_lookahead.findings.patches import Patched, patch_findings
from goalscope.studies.chess_lookahead.measure import patches as chess_patches
from goalscope.studies.chess_lookahead.measure.patches import SLOTS, Case, matched_slots, other_twins
from goalscope.studies.chess_lookahead.setup import Subject
from goalscope.studies.chess_lookahead.words import _later_words, is_lookahead

SITES = ["blocks.0", "blocks.1", "blocks.2", "blocks.3"]
CASES = 60


def effects(third: float, way: float, later: float = 0.0, seed: int = 0) -> SquareEffects:
    """Made-up effects: the third move's square does `third` in the first half of the blocks and `later` in the others, all
    in units of the way from clean to corrupted."""
    rng = np.random.default_rng(seed)
    values = 0.02 * rng.standard_normal((CASES, len(SITES), 4 + 3 * 3 + 1))
    values[:, :2, SLOTS["third"]] += third
    values[:, 2:, SLOTS["third"]] += later
    corrupted = -way * np.ones(CASES)
    return SquareEffects(
        tuple(SITES), np.zeros(values.shape[::2], int), np.zeros(CASES), corrupted, way * values
    )


def findings(strong: SquareEffects, blank: SquareEffects, shuffled: SquareEffects) -> dict[str, Finding]:
    made = Findings(About("chess", 0, "0"))
    patched = Patched(strong, blank, shuffled, np.arange(CASES), np.ones(CASES, bool))
    patch_findings(made, Subject("net", ""), "published", patched, SITES)
    return by_id(made.made, "net")


def test_an_untrained_network_that_goes_as_far_in_shares_of_its_own_way_takes_the_claim_away() -> None:
    """Its log-odds move by a thousandth of the trained one's, so in log-odds it could not have failed the claim."""
    strong, null = effects(0.3, 4.0), effects(0.0, 4.0, seed=1)
    found = findings(strong, effects(0.3, 0.004, seed=2), null)
    margin, share = (found[f"lookahead.published.third.{name}"] for name in ("margin", "share"))
    assert margin.control_could_differ is False and margin.standing == "supported"
    assert share.control_could_differ is True and share.standing == "inconclusive"
    assert share.estimate == pytest.approx(0.3, abs=0.02) and share.control == pytest.approx(0.3, abs=0.02)
    assert not is_lookahead(found)
    assert is_lookahead(findings(strong, effects(0.0, 0.004, seed=2), null))


def test_a_corrupted_run_that_lies_above_is_a_way_in_the_other_direction() -> None:
    strong, up = effects(0.3, 4.0), effects(0.3, -4.0)  # the square takes the other metric 0.3 of its way up
    share = findings(strong, up, strong)["lookahead.published.third.share"]
    assert share.control == pytest.approx(0.3, abs=0.02)


def test_what_foreign_twins_do_stands_beside_what_own_ones_do() -> None:
    own, null = effects(0.3, 4.0), effects(0.0, 4.0, seed=3)
    found = findings(own, null, null)["lookahead.published.third.shuffled"]
    assert found.standing == "supported" and found.control == pytest.approx(0, abs=0.05)
    found = findings(own, null, effects(0.3, 4.0, seed=4))["lookahead.published.third.shuffled"]
    assert found.standing == "inconclusive" and found.control_could_differ is True


def test_later_blocks_are_told_apart_from_what_swapping_the_input_explains() -> None:
    null, third = effects(0.0, 4.0, seed=5), "lookahead.published.third"
    early = findings(effects(0.3, 4.0), null, null)
    assert early[f"{third}.margin"].low > 0.8 and early[f"{third}.later"].high < 0.1
    assert "is not shown" in _later_words(early, third)
    late = findings(effects(0.1, 4.0, later=0.3), null, null)
    assert late[f"{third}.later"].site in ("blocks.2", "blocks.3", "blocks.2 and blocks.3")
    assert late[f"{third}.beyond_input"].estimate == pytest.approx(0.8, abs=0.05)
    assert "they show more than swapping the input explains" in _later_words(late, third)


def test_every_position_gets_the_twin_of_another_that_is_turned_alike() -> None:
    board = chess.Board()
    cases = [Case(i, board, (), Twin(board, (), 0, 0, 0, 0, 1)) for i in range(9)]
    turned = np.array([0, 1, 0, 0, 1, 0, 0, 2, 1])
    player: Any = SimpleNamespace(module=SimpleNamespace(transforms=lambda state: turned), depth=1)
    order = other_twins(player, cases, 0)
    assert order[7] == -1 and (np.delete(order != np.arange(9), 7)).all()
    kept = order[order >= 0]
    assert len(set(kept)) == 8 and (turned[kept] == np.delete(turned, 7)).all()
    assert len(matched_slots("third")) == chess_patches.MATCHED
