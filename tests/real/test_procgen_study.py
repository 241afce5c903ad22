"""The study on the real game, with the shared IMPALA checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from goalscope.studies.maze_goal.study import Options, study

DATA = os.environ.get("GOALSCOPE_DATA")
pytestmark = pytest.mark.skipif(
    DATA is None, reason="GOALSCOPE_DATA is not set: the real checkpoint is not there"
)


@pytest.fixture
def checkpoint() -> str:
    return str(Path(DATA or "") / "maze" / "maze_aisc_160m.pth")


def test_the_study_runs_whole_and_says_what_it_is_about(checkpoint: str, tmp_path: Path) -> None:
    outcome = study(Options(checkpoint, world="procgen", first_level=40, levels=8, out=str(tmp_path / "run")))
    found = {f.id: f for f in outcome.findings if f.policy == "maze_aisc_160m"}
    near = found["reach.top_right_region"]
    assert near.control is not None and near.estimate > max(0.95, near.control + 0.2)
    assert found["reach.overall"].n == 8
    assert found["reach.overall"].world == "procgen maze, easy, time limit 500"
    assert len(found["reach.overall"].policy_sha256) == 64
    assert {f.policy for f in outcome.findings} == {"maze_aisc_160m", "untrained"}
    assert "maze_aisc_160m" in outcome.report.read_text()


def test_pixels_on_the_plane_world_are_refused_with_the_mend(checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="add --world procgen"):
        study(Options(checkpoint, levels=3, out=str(tmp_path / "run")))


def test_planes_on_the_pixel_world_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"takes observations \[N, 3, 13, 13\]"):
        study(Options("mouse-topright", world="procgen", levels=3, out=str(tmp_path / "run")))
    assert list(tmp_path.iterdir()) == []
