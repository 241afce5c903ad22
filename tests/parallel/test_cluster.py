"""A Ray cluster of two machines on this one: nothing lost, nothing twice, whatever dies, and the same as one process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import parallel_tasks
from goalscope.parallel.cluster import Cluster
from goalscope.parallel.task import Failed

pytest.importorskip("ray", reason="needs goalscope[ray]")

LONGEST = 120.0
"""seconds that a test waits for something that takes a few at most"""
STARTS = 3
STORE = 80 * 2**20
"""bytes of each machine's object store, about the least that Ray takes"""


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """A cluster of two machines with one core each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    before = os.environ.get("PYTHONPATH")
    parts = [str(Path(__file__).parent), *filter(None, [before])]
    os.environ["PYTHONPATH"] = os.pathsep.join(parts)
    made = started()
    if made is not None:
        yield made
        made.shutdown()
    os.environ.pop("PYTHONPATH")
    if before is not None:
        os.environ["PYTHONPATH"] = before
    if made is None:
        pytest.skip(f"Ray, which waits half a minute, did not start on this busy machine in {STARTS} trials")


def started() -> Any:
    """Two machines; None where Ray gives up waiting for them each time."""
    from ray.cluster_utils import Cluster as Machines

    for _ in range(STARTS):
        made = Machines()
        try:
            made.add_node(num_cpus=1, object_store_memory=STORE, include_dashboard=False)
            made.add_node(num_cpus=1, object_store_memory=STORE)
            made.wait_for_nodes(timeout=int(LONGEST))
            return made
        except Exception as error:  # the bare class, or TimeoutError
            if "timed out" not in str(error).lower() and not isinstance(error, TimeoutError):
                raise
            made.shutdown()
    return None


@pytest.fixture
def cluster(machines: Any) -> Iterator[Cluster]:
    with Cluster(machines.address) as cluster:
        yield cluster


def until(*paths: Path) -> None:
    end = time.monotonic() + LONGEST
    while not all(path.exists() and path.stat().st_size for path in paths):
        assert time.monotonic() < end, f"not all of {[path.name for path in paths]} came"
        time.sleep(0.02)


def lines(path: Path) -> int:
    return len(path.read_text().split())


def test_each_task_is_done_once_with_one_thread(cluster: Cluster):
    assert sorted(cluster.each(parallel_tasks.square, range(50), 7)) == [(i, 7 + i**2) for i in range(50)]
    assert list(cluster.each(parallel_tasks.square, [], 7)) == []
    assert [value for _, value in cluster.each(parallel_tasks.threads, [0])] == ["1"]


def test_what_fails_says_why_as_a_process_does(cluster: Cluster):
    found = dict(cluster.each(parallel_tasks.fails_on_three, range(6)))
    assert {i: v for i, v in found.items() if i not in (3, 4)} == {0: 0, 1: 1, 2: 2, 5: 5}
    assert found[3].message == "there is no three"
    assert found[4].message == "RuntimeError: two lines"


def test_a_task_whose_process_dies_is_done_by_another(cluster: Cluster, tmp_path: Path):
    found = sorted(cluster.each(parallel_tasks.dies_once, range(4), str(tmp_path)))
    assert found == [(i, i) for i in range(4)]


def test_a_task_that_kills_its_process_each_time_is_given_up(cluster: Cluster):
    found = dict(cluster.each(parallel_tasks.dies_always, range(3)))
    assert found[0] == 0 and found[2] == 2
    assert isinstance(found[1], Failed) and found[1].message.startswith("Ray: ")


def test_tasks_of_a_machine_that_dies_are_done_by_another(machines: Any, tmp_path: Path):
    """Two tasks run, one on each machine; the one that is not the head is killed, and another one joins."""
    with Cluster(machines.address) as cluster:
        node = next(node for node in machines.list_all_nodes() if not node.head)
        found = iter(cluster.each(parallel_tasks.waits, range(2), str(tmp_path)))

        class Killer(threading.Thread):
            failed: BaseException | None = None

            def run(self) -> None:
                try:
                    until(tmp_path / "begun-0", tmp_path / "begun-1")
                    pids = [int((tmp_path / f"begun-{i}").read_text()) for i in (0, 1)]
                    machines.remove_node(node, allow_graceful=False)
                    end = time.monotonic() + LONGEST
                    while all(Path(f"/proc/{pid}").exists() for pid in pids):
                        assert time.monotonic() < end, "the processes of a machine that is gone go on"
                        time.sleep(0.05)
                except BaseException as error:
                    self.failed = error
                (tmp_path / "go").touch()

        killer = Killer()
        killer.start()
        assert sorted(found) == [(0, 0), (1, 1)]
        killer.join()
        assert killer.failed is None
    machines.add_node(num_cpus=1, object_store_memory=STORE)
    machines.wait_for_nodes(timeout=int(LONGEST))
    assert max(lines(tmp_path / f"begun-{i}") for i in (0, 1)) > 1, "one of the two was begun anew"


PROGRAM = """
import sys
import parallel_tasks
from goalscope.parallel.cluster import Cluster
with Cluster(sys.argv[2]) as cluster:
    print(sorted(cluster.each(parallel_tasks.waits, range(4), sys.argv[1])))
"""


def test_a_driver_that_is_killed_leaves_nothing_half_done(machines: Any, tmp_path: Path):
    words = [sys.executable, "-c", PROGRAM, str(tmp_path), machines.address]
    driver = subprocess.Popen(words)
    until(tmp_path / "begun-0", tmp_path / "begun-1")
    pids = [int((tmp_path / f"begun-{i}").read_text()) for i in (0, 1)]
    driver.kill()
    driver.wait()
    end = time.monotonic() + LONGEST
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end, "the tasks of a driver that is gone go on"
        time.sleep(0.05)
    (tmp_path / "go").touch()
    with Cluster(machines.address) as cluster:
        found = sorted(cluster.each(parallel_tasks.waits, range(4), str(tmp_path)))
    assert found == [(i, i) for i in range(4)]
    assert all(lines(tmp_path / f"begun-{i}") > 1 for i in (0, 1))


def test_a_machine_with_another_goalscope_is_refused_by_name(machines: Any, tmp_path: Path):
    other = tmp_path / "goalscope" / "evidence"
    other.mkdir(parents=True)
    (other.parent / "__init__.py").touch()
    (other / "__init__.py").touch()
    (other / "finding.py").write_text("def code_version():\n    return '0.0.1+0123'\n")
    node = machines.add_node(num_cpus=0, object_store_memory=STORE, env_vars={"PYTHONPATH": str(tmp_path)})
    machines.wait_for_nodes(timeout=int(LONGEST))
    try:
        with pytest.raises(ValueError) as refused, Cluster(machines.address):
            pass
    finally:
        machines.remove_node(node, allow_graceful=True)
    assert f"({node.node_id[:8]}) of the cluster has goalscope 0.0.1+0123, here is " in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_task_looks_at_the_code_too(cluster: Cluster):
    """For machines that join later."""
    cluster._version = "0.0.2"
    ((_, found),) = cluster.each(parallel_tasks.square, [1], 1)
    assert "of the cluster has goalscope" in found.message and "here is 0.0.2" in found.message


def test_no_cluster_is_said_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(ValueError, match=f"no Ray cluster answers at {address}") as refused,
            Cluster(address),
        ):
            pass
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("address", ["mars", "", "mars:earth"])
def test_words_that_are_no_address_are_refused(address: str):
    with pytest.raises(ValueError, match="--ray takes local, auto or HOST:PORT, got"), Cluster(address):
        pass


def test_a_number_of_workers_belongs_to_a_cluster_of_ones_own():
    with pytest.raises(ValueError, match="--workers belongs to --ray local"):
        Cluster("auto", workers=2)


GRID = """out = "{out}"
[[study]]
study = "goals"
policies = ["grid-corner", "{broken}"]
world = "minigrid:MiniGrid-Empty-Random-6x6-v0"
levels = 4
"""


def test_a_real_sweep_gives_the_bytes_of_the_study_itself(
    machines: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("minigrid", reason="needs goalscope[minigrid]")
    from goalscope.commands.main import main
    from goalscope.policies.names import PACKAGED
    from goalscope.studies import study

    out, broken = tmp_path / "runs", tmp_path / "broken.safetensors"
    broken.write_bytes((PACKAGED / "grid-corner" / "model.safetensors").read_bytes()[:1000])
    (tmp_path / "grid.toml").write_text(GRID.format(out=out, broken=broken))
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", str(tmp_path / "grid.toml"), "--ray", machines.address])
    assert stopped.value.code == 1
    assert "1 made now, 0 there before, 1 failed" in capsys.readouterr().out
    (made,) = out.glob("goals-grid-corner-0-*")
    world = "minigrid:MiniGrid-Empty-Random-6x6-v0"
    study("goals", "grid-corner", world=world, levels=4, out=str(tmp_path / "alone"))
    one, other = (folder / "findings.parquet" for folder in (made, tmp_path / "alone"))
    assert one.read_bytes() == other.read_bytes()
