"""The layers of somebody else's file: each is taken once, its shape checked, and what nobody took is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

SHOWN = 8
"""names in a message"""


def listed(names: Any) -> str:
    """A few names, and how many more there are."""
    names = [str(name)[:80] for name in names]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more


class Layers:
    """Layers by name.

    Args:
        found: tensors or arrays by the file's own names.
        whose: what the file was taken for, as in "a DRC of learned-planner".

    Raises:
        ValueError: by `take`, for a layer that is not there, of another shape, or not of finite numbers; by `finish`, for
            layers that are left.
    """

    def __init__(self, found: Mapping[str, Any], whose: str):
        self.found, self.whose = dict(found), whose
        self.names = list(found)

    def __contains__(self, name: str) -> bool:
        return name in self.found

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a layer that must be there."""
        if name not in self.found:
            raise ValueError(f"the file lacks {name} of {self.whose}; it has {listed(self.names)}")
        return tuple(self.found[name].shape)

    def axis(self, name: str, axis: int) -> int:
        """The size of one axis of a layer that must be there; 0 where it has no such axis."""
        shape = self.shape(name)
        return shape[axis] if axis < len(shape) else 0

    def take(self, name: str, *shape: int | None) -> Tensor:
        """The layer, float32, in memory of its own; None in its shape is any size of 1 or more."""
        there = self.shape(name)
        fits = len(there) == len(shape) and all(
            w in (None, t) and t for t, w in zip(there, shape, strict=True)
        )
        if not fits:
            wanted = [w if w is not None else "any" for w in shape]
            said = ", ".join(str(w) for w in wanted)
            raise ValueError(f"{name} has shape {list(there)}, {self.whose} needs [{said}]")
        layer = self.found.pop(name)
        if isinstance(layer, Tensor):
            floating, numbers = layer.is_floating_point(), layer.to(torch.float32, copy=True).contiguous()
        else:
            floating = layer.dtype.kind == "f"
            with np.errstate(over="ignore"):
                numbers = torch.from_numpy(np.array(layer, np.float32, order="C", copy=True))
        if not floating:
            raise ValueError(f"{name} holds {layer.dtype}, not floating-point numbers")
        if not bool(torch.isfinite(numbers).all()):
            raise ValueError(
                f"{name} holds numbers that are not finite: the training diverged or the file is damaged"
            )
        return numbers

    def finish(self) -> None:
        """Raises ValueError where a layer was not taken."""
        if self.found:
            raise ValueError(f"{self.whose} has no {listed(self.found)}, which the file holds")
