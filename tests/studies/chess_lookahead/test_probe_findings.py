"""Findings from probes: gains are paired, controls are of the same size, and what the planes say too is no gain."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

from goalscope.evidence.finding import Finding
from goalscope.studies.about import About
from goalscope.studies.chess_lookahead.findings.made import Findings, detectable
from goalscope.studies.chess_lookahead.findings.probes import Probed, mate_findings, probe_findings
from goalscope.studies.chess_lookahead.measure import probes as chess_probes
from goalscope.studies.chess_lookahead.measure.player import Player
from goalscope.studies.chess_lookahead.measure.probes import halves, measure_mate, measure_probes
from goalscope.studies.chess_lookahead.setup import Subject
from goalscope.studies.chess_lookahead.words import sections

_path = Path(__file__).with_name("chess_planner.py")
_spec = importlib.util.spec_from_file_location("chess_planner", _path)
assert _spec and _spec.loader
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)

SUBJECT = Subject("net", "")
COUNT = 400


def start() -> Findings:
    return Findings(About("made", 0, "test"))


def by_name(found: Findings) -> dict[str, Finding]:
    return {f.id: f for f in found.made}


def test_rows_of_one_position_do_not_make_a_smaller_effect_detectable() -> None:
    values, level = np.random.default_rng(0).normal(size=50), np.arange(50)
    once, often = detectable(values, level), detectable(np.repeat(values, 4), np.repeat(level, 4))
    assert once is not None and often is not None
    assert once.estimate == pytest.approx(2.8 * values.std(ddof=1) / np.sqrt(50), rel=0.1)
    sparse = detectable(values, level, "sparse")
    assert sparse is None or sparse.estimate > 1.5 * once.estimate
    assert often.estimate == pytest.approx(once.estimate) and often.n == once.n == 50
    assert detectable(np.repeat(values[:4], 9), np.repeat(level[:4], 9)) is None


def mate_scores(network_knows_more: bool) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Scores [N] that all know of mate what the planes say, the network with or without more; mate and motif [N]."""
    rng = np.random.default_rng(1)
    mate, motif = rng.random(COUNT) < 0.5, rng.random(COUNT) < 0.5
    planes = mate + rng.normal(size=COUNT)
    network = planes + 3 * mate if network_knows_more else planes
    scores = {"train": np.zeros(COUNT, bool)}
    for source, values in (("", network), ("observation.", planes), ("untrained.", rng.normal(size=COUNT))):
        scores[f"score.{source}without.fork"] = values
    named = {"network": network, "observation": planes, "untrained": planes}
    return scores | {f"score.{name}": values for name, values in named.items()}, mate, motif


@pytest.mark.parametrize("knows", [False, True])
def test_mates_with_an_unseen_motif_count_where_the_planes_do_not_show_them_too(knows: bool) -> None:
    scores, mate, motif = mate_scores(knows)
    found = start()
    mate_findings(found, SUBJECT, scores, "block", np.arange(COUNT), mate, {"fork": motif})
    mine = by_name(found)
    unseen, gain = mine["probe.mate.without.fork"], mine["probe.mate.gain.fork"]
    assert unseen.low > 0.5 and unseen.control is not None and 0.6 < unseen.control < 0.9
    assert unseen.control_name == "the same probe on the planes, fork unseen"
    assert gain.estimate == pytest.approx(unseen.estimate - unseen.control)
    assert gain.control is not None and gain.control < -0.1
    assert (gain.low > 0.05) if knows else (gain.low == gain.high == 0)
    mine |= {
        f"probe.third.{kind}.observation": unseen for kind in ("gain", "control")
    }  # what the sentence begins with
    answer = next(s["answer"] for s in sections(mine, []) if s["key"] == "probe")
    assert f"for {int(knows)} of 1 motifs" in answer


def test_a_gain_has_no_control_of_another_scale() -> None:
    rng, train = np.random.default_rng(2), halves(np.arange(COUNT), 0)
    names = ("b0", "co-occurrence", "observation", "untrained", "random labels", "first", "first untrained")
    hits = {f"hit.{name}": rng.random(COUNT) < 0.3 for name in (*names, "without.fork", "dropped.fork")}
    found, has = start(), rng.random(COUNT) < 0.5
    hits |= {"train": train, "site": np.array("b0")}
    probe_findings(found, SUBJECT, Probed(hits, np.arange(COUNT), {"fork": has}, has), ["b0"])
    mine = by_name(found)
    for name in ("co_occurrence", "observation", "untrained", "random_labels"):
        gain, control = mine[f"probe.third.gain.{name}"], mine[f"probe.third.control.{name}"]
        assert gain.control is None and gain.low < 0 < gain.high
        assert gain.estimate == pytest.approx(mine["probe.third.block_0"].estimate - control.estimate)
    without, unseen = mine["probe.third.without.fork"], mine["probe.third.unseen.fork"]
    rows = has & ~train
    assert without.control is not None
    assert without.control == pytest.approx(hits["hit.dropped.fork"][rows].mean())
    assert without.control_name == "trained with fork, on as many puzzles"
    assert unseen.control is None and unseen.n == rows.sum()
    assert unseen.estimate == pytest.approx(without.estimate - without.control)


def test_a_motif_is_left_out_beside_as_many_puzzles_of_any(monkeypatch: pytest.MonkeyPatch) -> None:
    puzzles = made.made_puzzles(64)
    strong, blank = (Player(made.planner(n, [], plans=False)) for n in ("strong", "untrained"))
    index = level = np.arange(64)
    has = index % 2 == 0
    seen: list[np.ndarray] = []
    read = chess_probes.read_square

    def watched(features, target, train, *rest):
        seen.append(train)
        return read(features, target, train, *rest)

    monkeypatch.setattr(chess_probes, "read_square", watched)
    found = measure_probes(strong, blank, puzzles, index, level, {"fork": has}, ["blocks.1"], 0)
    train = found["train"]
    (at,) = [i for i, rows in enumerate(seen) if (rows == (train & ~has)).all()]
    dropped = seen[at + 1]
    assert dropped.sum() == (train & ~has).sum() < train.sum()
    assert not (dropped & ~train).any() and (dropped & has).any()
    assert found["hit.dropped.fork"].shape == (64,)


def test_a_motif_of_mates_is_left_out_for_the_controls_too() -> None:
    puzzles = made.made_puzzles(64)
    strong, blank = (
        Player(made.planner(n, p, plans=True)) for n, p in (("strong", puzzles), ("untrained", []))
    )
    index, mate = np.arange(64), np.arange(64) % 4 > 0
    has = np.arange(64) % 8 > 1
    found = measure_mate(strong, blank, puzzles, index, index, mate, {"fork": has}, "blocks.1", 0)
    kinds = ("network", "observation", "untrained", "without.fork", "observation.without.fork")
    assert found.keys() == {"train", *(f"score.{kind}" for kind in (*kinds, "untrained.without.fork"))}
    assert not np.allclose(found["score.observation.without.fork"], found["score.observation"])
    assert not np.allclose(found["score.observation.without.fork"], found["score.without.fork"])
