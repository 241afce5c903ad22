"""Activations of any torch module: where they are, what they are, and what happens where they are changed.

Sites are dotted module names (`sites.py` has the grammar); nothing here knows a world or a policy.

`hooks.py` has `capture`, `editing` and `sites`, on `inputs.py` (what callers hand over), `watch.py` (hooks of one block),
`tree.py` (the modules by name, walked once), `attention.py` (torch's own, past its fused paths) and `copies.py`; `edits.py`
what can be put at a site; `recompute/` forwards from a site on; `streaming/` activations on disk; `content.py` what an
activation depends on; `metric.py` and `parts.py` what sweeps measure; `equal_norm.py` the random vectors that edits are
judged beside.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from goalscope.activations.edits import Edit, add, clamp, mean, replace, resample, zero
from goalscope.activations.equal_norm import random_of_equal_norm, scaled_to_norm
from goalscope.activations.hooks import capture, editing, sites
from goalscope.activations.recompute.from_site import recompute_from

if TYPE_CHECKING:
    from goalscope.activations.streaming import Stored, stored, stream

__all__ = [
    "Edit",
    "Stored",
    "add",
    "capture",
    "clamp",
    "editing",
    "mean",
    "random_of_equal_norm",
    "recompute_from",
    "replace",
    "resample",
    "scaled_to_norm",
    "sites",
    "stored",
    "stream",
    "zero",
]


def __getattr__(name: str) -> Any:
    """Streaming comes on first use: it loads Arrow, which nothing else here needs."""
    if name in ("Stored", "stored", "stream"):
        return getattr(import_module("goalscope.activations.streaming"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
