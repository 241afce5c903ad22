"""The verbs on any module's inside, for whatever acts: a name, a path, a `Policy`, or a module. See `policies/given.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from goalscope import activations
from goalscope.policies.given import module_of


def sites(policy: Any, *inputs: Any, **options: Any) -> dict[str, tuple[int, ...]]:
    """Every place at which activations can be read or changed; see `goalscope.activations.sites`."""
    return activations.sites(module_of(policy), *inputs, **options)


def capture(policy: Any, inputs: Any, names: Iterable[str], **options: Any) -> dict[str, Tensor]:
    """Activations at some sites; see `goalscope.activations.capture`."""
    return activations.capture(module_of(policy), inputs, names, **options)


def editing(policy: Any, edits: Mapping[str, Any], **options: Any) -> AbstractContextManager[Any]:
    """Changes activations while a `with` block lasts; see `goalscope.activations.editing`.

    A name or path is loaded anew at each call, and its network is nobody else's: give the `Policy` or module that is run.
    """
    if isinstance(policy, str):
        raise TypeError(
            f"editing needs the network that is run, not its name: policy = goalscope.load({policy!r}), then "
            "editing(policy, ...) and policy.module(x)"
        )
    return activations.editing(module_of(policy), edits, **options)
