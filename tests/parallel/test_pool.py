"""Processes side by side: nothing lost, nothing twice, whatever dies; Ctrl-C once and twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import parallel_tasks
from goalscope.parallel.pool import Pool
from goalscope.parallel.task import RETRIES, Failed

LONGEST = 60.0
"""seconds that a test waits for something that takes well below one"""


@pytest.fixture(scope="module")
def pool():
    with Pool(2) as pool:
        yield pool


def until(path: Path) -> None:
    end = time.monotonic() + LONGEST
    while not path.exists() or not path.stat().st_size:
        assert time.monotonic() < end, f"{path.name} did not come"
        time.sleep(0.02)


def test_each_task_is_done_once_whatever_the_order(pool: Pool):
    found = list(pool.each(parallel_tasks.square, range(50), 7))
    assert sorted(found) == [(i, 7 + i**2) for i in range(50)]
    assert list(pool.each(parallel_tasks.square, [], 7)) == []


def test_a_process_of_a_pool_keeps_to_one_thread(pool: Pool):
    assert [value for _, value in pool.each(parallel_tasks.threads, [0])] == ["1"]


def test_what_fails_says_why_in_one_line_and_does_not_stop_the_rest(pool: Pool):
    found = dict(pool.each(parallel_tasks.fails_on_three, range(6)))
    assert {i: v for i, v in found.items() if i not in (3, 4)} == {0: 0, 1: 1, 2: 2, 5: 5}
    assert found[3].message == "there is no three"
    assert found[4].message == "RuntimeError: two lines"
    assert "fails_on_three" in found[3].trace


def test_a_task_whose_process_dies_is_done_by_another(tmp_path: Path):
    with Pool(2) as pool:
        assert sorted(pool.each(parallel_tasks.dies_once, range(4), str(tmp_path))) == [
            (i, i) for i in range(4)
        ]


def test_a_task_that_kills_its_process_each_time_is_given_up(tmp_path: Path):
    with Pool(1) as pool:
        found = dict(pool.each(parallel_tasks.dies_always, range(3)))
    assert found[0] == 0 and found[2] == 2
    assert found[1] == Failed(f"its process died {RETRIES + 1} times (SIGKILL)")


def test_what_cannot_be_sent_back_is_a_failure(pool: Pool):
    ((_, found),) = pool.each(parallel_tasks.unsendable, [0])
    assert "cannot be sent back" in found.message


def test_a_pool_has_at_least_one_process():
    with pytest.raises(ValueError, match="--workers must be at least 1, got 0"):
        Pool(0)


PROGRAM = """
import sys
import parallel_tasks
from goalscope.parallel.pool import Pool
if __name__ == "__main__":
    with Pool(2, say=lambda line: print(line, flush=True)) as pool:
        for number, _ in pool.each(parallel_tasks.waits, range(5), sys.argv[1]):
            print("done", number, flush=True)
"""


@pytest.fixture
def running(tmp_path: Path):
    """A process that has begun two of five tasks, which wait."""
    (tmp_path / "program.py").write_text(PROGRAM)
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    until(tmp_path / "begun-0")
    until(tmp_path / "begun-1")
    yield process
    process.kill()
    process.communicate()


def pids(tmp_path: Path) -> list[int]:
    return [int((tmp_path / f"begun-{i}").read_text().split()[0]) for i in (0, 1)]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def until_gone(pid: int) -> None:
    end = time.monotonic() + LONGEST
    while not gone(pid):
        assert time.monotonic() < end, f"process {pid} did not end"
        time.sleep(0.02)


def test_ctrl_c_once_finishes_what_runs_and_begins_nothing(running: subprocess.Popen, tmp_path: Path):
    os.killpg(running.pid, signal.SIGINT)  # as the terminal does: to all processes
    assert running.stdout is not None
    assert "what runs is finished" in running.stdout.readline()
    (tmp_path / "go").touch()
    out, err = running.communicate(timeout=LONGEST)
    assert sorted(out.split("\n")) == ["", "done 0", "done 1"]
    assert "KeyboardInterrupt" in err and not (tmp_path / "begun-2").exists()


def test_ctrl_c_twice_stops_at_once(running: subprocess.Popen, tmp_path: Path):
    os.killpg(running.pid, signal.SIGINT)
    assert running.stdout is not None
    running.stdout.readline()
    os.killpg(running.pid, signal.SIGINT)
    out, _ = running.communicate(timeout=LONGEST)
    assert out == "" and running.returncode != 0
    for pid in pids(tmp_path):
        until_gone(pid)
    assert not (tmp_path / "finished-0").exists()


def test_processes_end_with_whoever_started_them(running: subprocess.Popen, tmp_path: Path):
    running.kill()
    for pid in pids(tmp_path):
        until_gone(pid)
