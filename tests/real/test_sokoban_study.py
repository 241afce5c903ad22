"""The Sokoban study with the packaged policy: level 53, Microban, Boxoban, and the reader of its plan."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from goalscope.policies.checkpoint import load
from goalscope.studies.sokoban_plan.setup import QUICK, level_sets
from goalscope.studies.sokoban_plan.study import Options, study
from goalscope.viewing.plan_reader import plan_reader
from goalscope.viewing.sokoban import play_level
from goalscope.worlds.contract import take
from goalscope.worlds.sokoban import Sokoban, SokobanState
from goalscope.worlds.sokoban.text import read_levels

DATA = os.environ.get("GOALSCOPE_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="GOALSCOPE_DATA is unset: it points at the shared data")
SOKOBAN = Path(str(DATA)) / "sokoban"
FEW = replace(QUICK, levels=24, others=10, file=10, episodes=50, first=16, shortcuts=5, chosen=2)


def test_the_study_of_the_packaged_policy_and_level_53(tmp_path: Path) -> None:
    options = Options(levels=str(SOKOBAN / "level_53.txt"), out=str(tmp_path / "run"), sizes=FEW)
    outcome = study(options)
    found = {f.id: f for f in outcome.findings}
    solved, player = found["solve.generated.think_0"], found["write.agent_shortcut"]
    assert solved.estimate > 0.7 and solved.control == 0 and len(solved.policy_sha256) == 64
    assert found["probe.agent.gain.observation"].low > 0 and found["probe.box.gain.untrained"].low > 0
    assert player.control is not None and player.estimate > player.control + 0.4
    assert found["solve.file.think_16"].n == 1
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    answers = {section["key"]: section["answer"] for section in record["sections"]}
    assert "'53' is solved after" in answers["solve"]
    assert set(record["flips"]["file"]["4"]) == {"to_solved", "to_unsolved"}


@pytest.mark.parametrize("file, shapes", [
    ("microban.txt", 4), ("boxoban/unfiltered/test/000.txt", 1), ("boxoban/medium/valid/000.txt", 1),
])  # fmt: skip
def test_level_files_of_all_kinds_are_taken(file: str, shapes: int) -> None:
    sizes = replace(FEW, levels=2, others=2, file=40)
    chosen = level_sets(load("sokoban-small"), sizes, str(SOKOBAN / file))["file"]
    assert len(chosen) == sum(map(len, chosen.groups)) == len(set(chosen.names)) == 40
    assert len(chosen.groups) >= shapes and "after the first 40" in chosen.note


def test_the_plan_is_read_from_the_memory_while_it_plays() -> None:
    policy = load("sokoban-small")
    read = plan_reader(policy, levels=60)
    assert read is not None
    text = (SOKOBAN / "boxoban" / "unfiltered" / "test" / "000.txt").read_text()
    level = read_levels(text).levels[0].state
    episode = play_level(policy.module, level, 2, read)
    agent, box = episode.plans[0]
    assert agent is not None and box is not None and agent.shape == box.shape == (10, 10, 4)
    assert agent.any() and not (agent.any(-1) & level.walls[0]).any()
    # Where it draws an arrow on a square that the player does leave, the direction is mostly the right one.
    right = []
    for state in (take(_generated(), i) for i in range(20)):
        played = play_level(policy.module, state, 0, read)
        drawn, done = played.plans[0][0], play_level(policy.module, state).plans[0][0]
        assert drawn is not None and done is not None
        both = drawn.any(-1) & done.any(-1)
        right += (drawn[both].argmax(-1) == done[both].argmax(-1)).tolist()
    assert len(right) > 40 and np.mean(right) > 0.5


def _generated() -> SokobanState:
    return Sokoban(8, 8, 2).generate(np.arange(9_000_000, 9_000_020))
