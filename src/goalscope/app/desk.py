"""What the page may touch, fixed when the server starts: policies by name, and a folder of runs.

A request names a policy, never a path or a file of Python: what is not on this list cannot be loaded from the page.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goalscope.app.edited import Learning
from goalscope.policies.checkpoint import Policy
from goalscope.policies.given import policy_of
from goalscope.policies.names import packaged, snapshots

KEPT = 12
"""loaded policies that are kept: a slider over snapshots comes back to the same few"""


@dataclass
class Desk:
    """The policies and the runs of one server.

    Attributes:
        given: the policy of the command line; it is shown first.
        name: what it is called on the page: the packaged name that was typed, or the policy's own.
        runs: the folder of the run folders; None where there is none.
        learning: edits that take a while to be learnt.
        lock: held while anything is computed: requests of one page wait for each other, not for the processor.
    """

    given: Policy
    name: str
    runs: Path | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    learning: Learning = field(default_factory=Learning)
    _loaded: dict[str, Policy] = field(default_factory=dict)
    _rows: list[dict[str, Any]] = field(default_factory=list)

    def policy(self, name: str) -> Policy:
        """A policy of the list, loaded once.

        Raises:
            KeyError: it is not on the list.
        """
        if name == self.name:
            return self.given
        if name not in self._loaded:
            if not any(name in (row["name"], *row["snapshots"]) for row in self.policies()):
                raise KeyError(f"no policy of this page is called {name!r:.80}: choose one of its list")
            if len(self._loaded) >= KEPT:
                self._loaded.pop(next(iter(self._loaded)))
            self._loaded[name] = policy_of(name)
        return self._loaded[name]

    def policies(self) -> list[dict[str, Any]]:
        """Every policy that may be asked for: `name`, `world`, `about` (a line), `size` of its mazes, `snapshots`."""
        self._rows = self._rows or self._listed()
        return self._rows

    def _listed(self) -> list[dict[str, Any]]:
        rows = [
            _row(each.name, each.config, _summary(each.card), snapshots(each.name)) for each in packaged()
        ]
        if any(self.name in (row["name"], *row["snapshots"]) for row in rows):
            return sorted(rows, key=lambda row: self.name not in (row["name"], *row["snapshots"]))
        size = getattr(self.given.module, "size", None)
        own = _row(self.name, self.given.config, "given on the command line", [])
        return [{**own, "size": own["size"] or (size if isinstance(size, int) else None)}, *rows]


def _row(name: str, config: dict[str, Any], about: str, states: list[str]) -> dict[str, Any]:
    world = config.get("world", {})
    size = config.get("architecture", {}).get("size")
    return {
        "name": name, "world": str(world.get("name", "")), "about": about, "snapshots": states,
        "size": size if isinstance(size, int) else None,
    }  # fmt: skip


def _summary(card: str) -> str:
    return next((line for line in card.splitlines() if line and not line.startswith("#")), "")
