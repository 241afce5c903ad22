"""Run folders: whole or not there, resumed after any end, one writer, clear words when the system refuses."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from goalscope.evidence import place, run_folder
from goalscope.evidence.run_folder import RunFolder

PROVENANCE = {"policy": "abc", "seed": 1, "levels": 100}


def arrays() -> dict[str, np.ndarray]:
    return {
        "moves": np.arange(6.0).reshape(2, 3),
        "goal": np.array([True, False]),
        "name": np.array(["é", "b"]),
    }


def never() -> dict[str, np.ndarray]:
    raise AssertionError("a stored stage was computed again")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class Stop(Exception):
    """Ends a run like a kill would."""


def killed(out: Path, provenance: dict[str, object] | None = None) -> None:
    """A run that stores one stage, writes half of its files and dies."""
    with pytest.raises(Stop), RunFolder.create(out, provenance or PROVENANCE) as run:
        run.stage("one", arrays)
        (run.path / "figures").mkdir()
        (run.path / "figures" / "half.svg").write_text("<svg")
        raise Stop


# A whole run, and a resumed one


def test_a_whole_run_appears_at_once(tmp_path: Path):
    out = tmp_path / "deep" / "run"
    with RunFolder.create(out, PROVENANCE) as run:
        assert not run.resumed and run.path == tmp_path / "deep" / "run.part"
        run.stage("one", arrays)
        run.write_json("run.json", {"title": "Größe", "provenance": PROVENANCE})
        assert not out.exists()
        assert run.commit() == out == run.path
        run.write_json("after.json", 1)
    assert files(tmp_path) == ["deep", "deep/run", "deep/run/after.json", "deep/run/run.json"]
    assert json.loads((out / "run.json").read_text("utf-8"))["title"] == "Größe"


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path):
    killed(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with RunFolder.create(tmp_path / "run", dict(reversed(PROVENANCE.items()))) as run:
        assert run.resumed
        assert files(run.path) == [".work", ".work/lock", ".work/one.npz", ".work/provenance.json"]
        back = run.stage("one", never)
        run.commit()
    assert back.keys() == arrays().keys()
    for name, array in arrays().items():
        assert np.array_equal(back[name], array) and back[name].dtype == array.dtype
    assert files(tmp_path / "run") == []


def test_stages_do_not_mix(tmp_path: Path):
    with RunFolder.create(tmp_path / "run", PROVENANCE) as run:
        for name in ("a/b", "a", "..", "a%2Fb", "ä b"):
            run.stage(name, lambda name=name: {"x": np.array(len(name)), "name": np.array(name)})
        for name in ("a/b", "a", "..", "a%2Fb", "ä b"):
            assert str(run.stage(name, never)["name"]) == name
    assert files(tmp_path)[0] == "run.part" and not (tmp_path / "run").exists()


def test_a_stage_that_fails_stores_nothing(tmp_path: Path):
    with RunFolder.create(tmp_path / "run", PROVENANCE) as run:
        with pytest.raises(Stop):
            run.stage("one", lambda: (_ for _ in ()).throw(Stop))
        with pytest.raises(ValueError, match="'x' holds Python objects"):
            run.stage("one", lambda: {"x": np.array([{}])})
        assert np.array_equal(run.stage("one", arrays)["moves"], arrays()["moves"])


@pytest.mark.parametrize("kept", [0, 10, -5])
def test_half_a_stage_is_computed_again(tmp_path: Path, kept: int):
    killed(tmp_path / "run")
    path = tmp_path / "run.part" / ".work" / "one.npz"
    path.write_bytes(path.read_bytes()[:kept])
    with RunFolder.create(tmp_path / "run", PROVENANCE) as run:
        again = run.stage("one", lambda: {"x": np.array(3)})
    assert int(again["x"]) == 3


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_planted_pickle_is_not_opened(tmp_path: Path):
    killed(tmp_path / "run")
    np.savez(tmp_path / "run.part" / ".work" / "one.npz", x=np.array(Bomb(tmp_path / "ran"), dtype=object))
    with RunFolder.create(tmp_path / "run", PROVENANCE) as run:
        assert run.stage("one", arrays).keys() == arrays().keys()
    assert not (tmp_path / "ran").exists()


def test_a_run_that_stored_nothing_leaves_nothing(tmp_path: Path):
    with pytest.raises(Stop), RunFolder.create(tmp_path / "run", PROVENANCE) as run:
        (run.path / "x").write_text("")
        raise Stop
    assert files(tmp_path) == []


def test_json_that_is_not_plain(tmp_path: Path):
    with RunFolder.create(tmp_path / "run", PROVENANCE) as run:
        for value in (float("nan"), {"x": np.zeros(2)}):
            with pytest.raises(ValueError, match=r"run\.json must be plain JSON"):
                run.write_json("run.json", value)
    with pytest.raises(ValueError, match=r"provenance of .* must be plain JSON"):
        RunFolder.create(tmp_path / "run", {"path": tmp_path})


# What stands in the way


def test_another_provenance_is_refused_and_nothing_is_lost(tmp_path: Path):
    killed(tmp_path / "run")
    before = files(tmp_path)
    with pytest.raises(
        ValueError, match=r"something else \(levels: 100 there, 7 now; new: None there, 'x' now\)"
    ):
        RunFolder.create(tmp_path / "run", {**PROVENANCE, "levels": 7, "new": "x"})
    assert files(tmp_path) == before
    with RunFolder.create(tmp_path / "run", PROVENANCE) as run:
        run.stage("one", never)


def test_finished_and_foreign_folders_are_refused(tmp_path: Path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and is not a run; choose another output folder"):
        RunFolder.create(out, PROVENANCE)
    (out / "run.json").write_text("{}")
    with pytest.raises(FileExistsError, match="holds a finished run"):
        RunFolder.create(out, PROVENANCE)
    with pytest.raises(FileExistsError, match="is not a run"):
        RunFolder.create(out / "notes.txt", PROVENANCE)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        RunFolder.create(tmp_path / "link", PROVENANCE)
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("exchanges", [True, False])
def test_force_replaces_a_run_whole_and_nothing_else(
    exchanges: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if not exchanges:
        monkeypatch.setattr(place, "_exchange", lambda one, other: False)
    out = tmp_path / "run"
    out.mkdir()
    (out / "run.json").write_text("old")
    (out / "figure.svg").write_text("old")
    with pytest.raises(Stop), RunFolder.create(out, PROVENANCE, force=True) as run:
        run.write_json("run.json", {"new": 1})
        raise Stop
    assert (out / "run.json").read_text() == "old"
    with RunFolder.create(out, PROVENANCE, force=True) as run:
        run.write_json("run.json", {"new": 1})
        assert (out / "run.json").read_text() == "old"
        run.commit()
    assert files(tmp_path) == ["run", "run/run.json"] and "new" in (out / "run.json").read_text()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to(out)
    for name in ("notes", "link", "notes/mine.txt"):
        with pytest.raises(FileExistsError, match="is not a run"):
            RunFolder.create(tmp_path / name, PROVENANCE, force=True)


def test_a_run_that_cannot_take_its_place_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(place, "_exchange", lambda one, other: False)
    out, part = tmp_path / "run", tmp_path / "gone.part"
    out.mkdir()
    (out / "run.json").write_text("old")
    with pytest.raises(OSError):
        place.take_place(part, out, force=True)
    assert files(tmp_path) == ["run", "run/run.json"] and (out / "run.json").read_text() == "old"


def test_a_part_folder_that_is_not_ours_is_not_cleared(tmp_path: Path):
    (tmp_path / "run.part").mkdir()
    (tmp_path / "run.part" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an unfinished run; move it away"):
        RunFolder.create(tmp_path / "run", PROVENANCE)
    assert files(tmp_path) == ["run.part", "run.part/thesis.txt"]


def test_an_empty_folder_may_stand_there(tmp_path: Path):
    (tmp_path / "run").mkdir()
    with RunFolder.create(tmp_path / "run", PROVENANCE) as run:
        run.write_json("run.json", 1)
        run.commit()
    assert files(tmp_path / "run") == ["run.json"]


def test_a_folder_that_appears_meanwhile_is_not_overwritten(tmp_path: Path):
    with RunFolder.create(tmp_path / "run", PROVENANCE) as run:
        run.stage("one", arrays)
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "x").write_text("mine")
        with pytest.raises(FileExistsError):
            run.commit()
    assert (tmp_path / "run" / "x").read_text() == "mine" and (tmp_path / "run.part").is_dir()


# One writer

CHILD = """
import sys, time
import numpy as np
from goalscope.evidence.run_folder import RunFolder
with RunFolder.create(sys.argv[1], {"policy": "abc", "seed": 1, "levels": 100}) as run:
    run.stage("one", lambda: {"x": np.arange(3)})
    print("stored", flush=True)
    time.sleep(60)
"""


def child(out: Path) -> subprocess.Popen[str]:
    """Another process that has stored a stage and sleeps in its run."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite that runs in the background passes on that Ctrl-C is to be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None and process.stdout.readline() == "stored\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_second_process_waits_its_turn_and_resumes_after_the_first_is_ended(tmp_path: Path, number: int):
    out = tmp_path / "run"
    process = child(out)
    with pytest.raises(ValueError, match=rf"being written by another process \(pid {process.pid}\)"):
        RunFolder.create(out, PROVENANCE)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0 and not out.exists()
    with RunFolder.create(out, PROVENANCE) as run:
        assert run.resumed and run.stage("one", never)["x"].tolist() == [0, 1, 2]
        run.commit()


def test_a_lock_file_of_a_dead_process_is_no_lock(tmp_path: Path):
    killed(tmp_path / "run")
    (tmp_path / "run.part" / ".work" / "lock").write_text("1")  # pid 1 lives: what counts is who holds it
    with RunFolder.create(tmp_path / "run", PROVENANCE) as run:
        assert run.resumed
        assert (run.path / ".work" / "lock").read_text() == str(os.getpid())


def test_a_run_that_finishes_between_opening_and_locking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = run_folder.fcntl.flock

    def finishes_first(lock: int, how: int) -> None:
        os.rename(tmp_path / "run.part", tmp_path / "run")
        real(lock, how)

    monkeypatch.setattr(run_folder.fcntl, "flock", finishes_first)
    with pytest.raises(FileExistsError):
        RunFolder.create(tmp_path / "run", PROVENANCE)
    assert (tmp_path / "run" / ".work").is_dir()


# What the system refuses


@pytest.mark.parametrize("out", ["file/run", "file/deep/run", "x" * 300])
def test_a_place_that_cannot_be_written(tmp_path: Path, out: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"output folder .* cannot be made \(.+\); choose another"):
        RunFolder.create(tmp_path / out, PROVENANCE)
    assert files(tmp_path) == ["file"]


def test_a_folder_of_the_system_that_cannot_be_written():
    with pytest.raises(OSError, match="cannot be made"):
        RunFolder.create("/proc/goalscope-run", PROVENANCE)


def test_a_full_disk_keeps_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(file: object, **_: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "run"
    with pytest.raises(OSError, match="No space left") as caught, RunFolder.create(out, PROVENANCE) as run:
        run.stage("one", arrays)
        monkeypatch.setattr(np, "savez", full)
        run.stage("two", arrays)
    assert "make room" in str(caught.value) and "run.part" in str(caught.value)
    monkeypatch.undo()
    with RunFolder.create(out, PROVENANCE) as run:
        assert files(run.path) == [".work", ".work/lock", ".work/one.npz", ".work/provenance.json"]
        run.stage("one", never)
        run.stage("two", arrays)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_really_full_device_is_told_the_same_way(tmp_path: Path):
    out = tmp_path / "run"
    words = r"No space left.*give the same command again"
    with pytest.raises(OSError, match=words), RunFolder.create(out, PROVENANCE) as run:
        run.stage("one", arrays)
        (run.path / "report.html").symlink_to("/dev/full")
        (run.path / "report.html").write_text("x")
    with RunFolder.create(out, PROVENANCE) as run:
        run.stage("one", never)
        assert not (run.path / "report.html").is_symlink()


def test_other_errors_pass_as_they_are(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as caught, RunFolder.create(tmp_path / "run", PROVENANCE) as run:
        (run.path / "missing").read_text()
    assert caught.value.errno == errno.ENOENT


def test_one_process_cannot_open_a_run_twice(tmp_path: Path):
    with RunFolder.create(tmp_path / "run", PROVENANCE), pytest.raises(ValueError, match="another process"):
        RunFolder.create(tmp_path / "run", PROVENANCE)
