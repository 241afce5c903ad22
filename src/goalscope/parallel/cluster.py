"""A Ray cluster that works on tasks, as `pool.Pool` does: the same functions, the same answers, on any number of machines.

What all tasks share travels once to each machine (Ray's object store). A task whose process or machine dies is begun anew
elsewhere. Every machine must have the same goalscope, and see the folder that is written to. Ray (`goalscope[ray]`) is
imported here and nowhere else, when a cluster is asked for.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from goalscope.evidence.finding import code_version
from goalscope.parallel.interrupts import patient
from goalscope.parallel.pool import cores
from goalscope.parallel.task import RETRIES, Failed, Work, attempt, one_thread

LOCAL, AUTO = "local", "auto"
_ANSWERS = 5.0
"""seconds in which an address must answer"""
_STARTS = 3
"""times that a cluster of this machine is tried to be started"""
_LOOKS = 0.5
"""seconds between two looks at Ctrl-C"""
_CHECKED = 120.0
"""seconds in which every machine must say which goalscope it has"""


class Cluster:
    """A Ray cluster; used in a `with` block.

    Args:
        address: 'local' starts one on this machine for this block, 'auto' takes the one that this machine belongs to, else
            'HOST:PORT' of one.
        workers: tasks side by side, of 'local' alone; None is one for each core.
        say: is told what Ctrl-C does.
        folder: that every machine must see; None where nothing is written.
        version: what every machine must have; this code's.

    Raises:
        ImportError: Ray is not installed.
        ValueError: no cluster is there, or one of its machines has another goalscope or does not see the folder.
    """

    def __init__(
        self, address: str, workers: int | None = None, say: Callable[[str], None] = lambda _: None,
        folder: str | os.PathLike[str] | None = None, version: str | None = None,
    ):  # fmt: skip
        if workers is not None and address != LOCAL:
            raise ValueError("--workers belongs to --ray local and to no --ray: a cluster has its own number")
        if workers is not None and workers < 1:
            raise ValueError(f"--workers must be at least 1, got {workers}")
        self._address, self._workers, self._say, self._folder = address, workers, say, folder
        self._version = version or code_version()

    def __enter__(self) -> Cluster:
        self._ray = _imported()
        _connect(self._ray, self._address, self._workers)
        try:
            self._check()
        except BaseException:
            self._ray.shutdown()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the cluster; what still runs of this block is stopped by Ray."""
        self._ray.shutdown()

    def each(self, work: Work, tasks: Sequence[Any], shared: Any = None) -> Iterator[tuple[int, Any]]:
        """As `pool.Pool.each`, on the machines of the cluster."""
        ray, todo, waiting = self._ray, deque(range(len(tasks))), {}
        common = ray.put(shared)
        remote = ray.remote(_done).options(num_cpus=1, max_retries=RETRIES)
        most, looked = self._most(), time.monotonic()
        with patient(self._say) as asked:
            while True:
                while todo and not asked.once and len(waiting) < most:
                    number = todo.popleft()
                    waiting[remote.remote(self._version, work, common, tasks[number])] = number
                if not waiting:
                    break
                ready, _ = ray.wait(list(waiting), num_returns=1, timeout=_LOOKS)
                for reference in ready:
                    yield waiting.pop(reference), self._value(reference)
                if time.monotonic() - looked > _ANSWERS:  # machines may come and go
                    most, looked = self._most(), time.monotonic()
            if todo:
                raise KeyboardInterrupt

    def _most(self) -> int:
        """Tasks that are given out at a time: a few more than can run, so that none waits for the way back."""
        running = int(self._ray.cluster_resources().get("CPU", 1))
        return running + max(2, running // 4)

    def _value(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return Failed(f"Ray: {lines[0]}", str(error))

    def _check(self) -> None:
        """Refuses a cluster of which a machine has another goalscope, or does not see the folder."""
        ray = self._ray
        token = None
        if self._folder is not None:
            token = Path(self._folder).absolute() / f".seen-{uuid.uuid4().hex}"
            token.parent.mkdir(parents=True, exist_ok=True)
            token.touch()
        try:
            found = self._of_each_machine(None if token is None else str(token))
        except ray.exceptions.GetTimeoutError as error:
            raise ValueError(
                f"a machine of the Ray cluster {self._address} did not answer in {_CHECKED:.0f} s"
            ) from error
        except ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ValueError(f"a machine of the Ray cluster {self._address} fails: {lines[0]}") from error
        finally:
            if token is not None:
                token.unlink()
        for name, (version, sees) in found:
            if version != self._version:
                raise ValueError(_other_version(name, version, self._version))
            if not sees:
                raise ValueError(
                    f"the machine {name} of the cluster does not see {self._folder}: put it into a folder that all share"
                )

    def _of_each_machine(self, token: str | None) -> list[tuple[str, tuple[str, bool]]]:
        """(name, (its goalscope, whether it sees the file)) of every machine that lives."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ray = self._ray

        # Inside of a function, so that Ray sends the code itself: there may be no goalscope where it arrives.
        def seen(token: str | None) -> tuple[str, bool]:
            import os

            try:
                from goalscope.evidence.finding import code_version
            except ImportError as error:
                return f"none ({error})", True
            return code_version(), token is None or os.path.exists(token)

        nodes = [node for node in ray.nodes() if node["Alive"]]
        names = [f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})" for node in nodes]
        asked = [
            ray.remote(seen)
            .options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            )
            .remote(token)
            for node in nodes
        ]
        return list(zip(names, ray.get(asked, timeout=_CHECKED), strict=True))


def _done(version: str, work: Work, shared: Any, task: Any) -> Any:
    """What a process of the cluster does: one task; on a machine that came later the code is looked at too."""
    one_thread()
    if code_version() != version:
        return Failed(_other_version(socket.gethostname(), code_version(), version))
    return attempt(work, shared, task)


def _other_version(name: str, there: str, here: str) -> str:
    return (
        f"the machine {name} of the cluster has goalscope {there}, here is {here}: install the same on both"
    )


def _imported() -> Any:
    """Ray, quiet, and telling nobody of its use."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ImportError(f"--ray needs Ray: pip install 'goalscope[ray]' ({error})") from error
    return ray


def _connect(ray: Any, address: str, workers: int | None) -> None:
    """Joins the cluster, or starts one.

    Raises:
        ValueError: there is none, or the words are no address.
    """
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        _start(ray, {"num_cpus": workers or cores(), "include_dashboard": False, **quiet})
        return
    if address != AUTO:
        _answering(address)
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        with suppress(Exception):  # half of a connection; what is wrong is said below
            ray.shutdown()
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        hint = "`ray start --head` starts one, --ray local makes one for this command"
        raise ValueError(f"no Ray cluster for --ray {address} ({why}); {hint}") from error


def _start(ray: Any, options: dict[str, Any]) -> None:
    """Starts a cluster on this machine; Ray gives up after half a minute, which a busy machine may need.

    Raises:
        OSError: it does not start.
    """
    for left in reversed(range(_STARTS)):
        try:
            ray.init(address=LOCAL, **options)
            return
        except Exception as error:  # Ray raises the bare class where it waited in vain
            ray.shutdown()
            if not left:
                why = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise OSError(f"Ray does not start on this machine, tried {_STARTS} times: {why}") from error


def _answering(address: str) -> None:
    """Refuses an address at which nobody answers, at once: Ray itself would try for a minute."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None:
        raise ValueError(f"--ray takes local, auto or HOST:PORT, got {address!r}")
    try:
        socket.create_connection((host, port), timeout=_ANSWERS).close()
    except OSError as error:
        raise ValueError(
            f"no Ray cluster answers at {address} ({error.strerror or error}); `ray status` on one of its machines "
            "says its address, --ray local makes one for this command"
        ) from error
