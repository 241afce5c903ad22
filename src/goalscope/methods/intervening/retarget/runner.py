"""Cases to be retargeted, edits at their targets, and forwards that hold many edits of the same inputs at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from goalscope.activations.recompute.from_site import Remainder, recompute_from
from goalscope.progress import counted
from goalscope.showing import drawing, text

KINDS = ("replace", "add", "at_least", "at_most")


@dataclass(frozen=True)
class Cases:
    """Inputs with a target each, and what success on them is. N rows of input make G cases."""

    __repr__, _repr_html_ = text, drawing

    inputs: Tensor | tuple[Any, ...]
    """what the module takes: a tensor [N, ..], or a tuple of them"""
    where: Tensor
    """[N, *space] bool, the positions at the site that stand for the row's target; [N] where a site has none"""
    objective: Callable[[Any], Any]
    """the module's output for the N rows -> [G] success, more is better"""
    level: np.ndarray
    """[G] int, the level of each case: the unit of every interval"""
    surrogate: Callable[[Any], Tensor] | None = None
    """output -> tensor with a gradient that falls and rises with success; None where the objective has one"""


@dataclass(frozen=True)
class TargetEdit:
    """Values to write into some channels, wherever the target is. Activations are [N, C, *space]."""

    __repr__, _repr_html_ = text, drawing

    kind: str
    """'replace', 'add', 'at_least' or 'at_most' (clamps)"""
    channels: tuple[int, ...]
    """[k]"""
    values: tuple[float, ...]
    """[k]"""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {self.kind!r}")
        if len(self.channels) != len(self.values):
            raise ValueError(
                f"{len(self.channels)} channels, but {len(self.values)} values: give one value a channel"
            )

    def at(self, where: Tensor) -> Callable[[Tensor], Tensor]:
        """The edit for `goalscope.activations.editing`, on inputs whose targets are at `where` [N, *space]."""

        def edit(x: Tensor) -> Tensor:
            outside = [channel for channel in self.channels if not 0 <= channel < x.shape[1]]
            if outside:
                raise ValueError(
                    f"channel {outside[0]} is not in 0..{x.shape[1] - 1}: the site has shape {list(x.shape)}"
                )
            new = x.clone()
            for channel, value in zip(self.channels, self.values, strict=True):
                new[:, channel] = torch.where(where, written(self.kind, x[:, channel], value), x[:, channel])
            return new

        return edit

    def random_direction(self, where: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """[N, C, *space] as many random channels at the same places, one random value each."""
        order = torch.randperm(shape[1], generator=generator)[: len(self.channels)]
        values = torch.zeros(shape[1])
        values[order] = torch.randn(len(order), generator=generator)
        return values.view(1, -1, *[1] * (where.ndim - 1)) * where[:, None]


class Edit(Protocol):
    """What `confirm` judges: `TargetEdit`, `frontier.EntryEdit`, or the caller's own."""

    def at(self, where: Tensor) -> Callable[[Tensor], Tensor]:
        """The edit on inputs whose targets are at `where`."""
        ...

    def random_direction(self, where: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """A change of as many random activations, of any norm, that broadcasts to `shape`."""
        ...


class Runner:
    """Cases at a site, with several copies of the rows in one forward, recomputed from the site.

    Args:
        module, site: where.
        cases: what is edited.
        batch: rows of a forward at most.
        edits: so many are asked for at a time; None is more than a forward holds.
        like: a runner of the same module, whose graph is used again.
    """

    def __init__(
        self,
        module: nn.Module,
        site: str,
        cases: Cases,
        batch: int,
        *,
        edits: int | None = None,
        like: Runner | None = None,
    ):
        if isinstance(batch, bool) or batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch!r}")
        self.site, self.cases = site, cases
        inputs = cases.inputs if isinstance(cases.inputs, tuple) else (cases.inputs,)
        rows = len(cases.where)
        wrong = [tuple(t.shape) for t in inputs if isinstance(t, Tensor) and len(t) != rows]
        if wrong or cases.where.dtype != torch.bool or not rows:
            raise ValueError(
                f"where must be bool [N, *space] for inputs [N, ..], got {cases.where.shape}, {wrong}"
            )
        self.spans = [slice(first, min(first + batch, rows)) for first in range(0, rows, batch)]
        self.copies = max(1, min(batch // rows, edits or batch))
        self.runs: list[Remainder] = []
        for span in self.spans:
            before = self.runs[-1] if self.runs else like and like.runs[-1]
            tiled = tuple(_tiled(t, span, self.copies) for t in inputs)
            self.runs.append(recompute_from(module, site, tiled, like=before))
        self.clean = torch.cat(
            [r.value[: s.stop - s.start] for r, s in zip(self.runs, self.spans, strict=True)]
        )
        if self.clean.ndim < 2 or self.clean.shape[:1] + self.clean.shape[2:] != cases.where.shape:
            raise ValueError(
                f"site {site!r} is {tuple(self.clean.shape)}; where must be {tuple(self.clean.shape[:1])} + "
                f"{tuple(self.clean.shape[2:])} (no channels), got {tuple(cases.where.shape)}"
            )
        if not cases.where.reshape(rows, -1).any(1).all():
            raise ValueError("where names no position in some row: an edit there would touch nothing")

    def edited(self, edit: Edit) -> Tensor:
        """[N, C, *space] activations with the edit."""
        return edit.at(self.cases.where)(self.clean)

    def score(self, edits: Sequence[Edit]) -> np.ndarray:
        """[E, G] success with each edit."""
        return self.score_values(self.edited(edit) for edit in counted(edits, "edits at the target", "edits"))

    def score_values(self, values: Iterable[Tensor]) -> np.ndarray:
        """[E, G] success with each activations at the site."""
        scores, waiting = [], iter(values)
        with torch.no_grad():
            while group := list(islice(waiting, self.copies)):
                full = group + group[-1:] * (self.copies - len(group))  # such a forward has a fixed batch
                outputs = [
                    run(torch.cat([value[span] for value in full]))
                    for run, span in zip(self.runs, self.spans, strict=True)
                ]
                scores += [self.success(outputs, i) for i in range(len(group))]
        return np.stack(scores)

    def slope(self, edit: Edit) -> Tensor:
        """[N, C, *space] gradient of the summed surrogate at the edited activations."""
        value = self.edited(edit).requires_grad_()
        outputs = [
            run(torch.cat([value[span]] * self.copies))
            for run, span in zip(self.runs, self.spans, strict=True)
        ]
        success = (self.cases.surrogate or self.cases.objective)(self.rows(outputs, 0))
        if not isinstance(success, Tensor) or not success.requires_grad:
            raise ValueError("the objective has no gradient: give Cases a surrogate, or no preselect")
        return torch.autograd.grad(success.sum(), value)[0]

    def rows(self, outputs: list[Any], copy: int) -> Any:
        """The output for all rows of one copy, in the structure of the module's output."""

        def joined(*leaves: Any) -> Any:
            if not isinstance(leaves[0], Tensor):
                return leaves[0]
            sizes = [span.stop - span.start for span in self.spans]
            return torch.cat([t[copy * n : (copy + 1) * n] for t, n in zip(leaves, sizes, strict=True)])

        return pytree.tree_map(joined, outputs[0], *outputs[1:])

    def success(self, outputs: list[Any], copy: int) -> np.ndarray:
        """[G] success of one copy, checked."""
        success = self.cases.objective(self.rows(outputs, copy))
        success = np.asarray(success.cpu() if isinstance(success, Tensor) else success, np.float64)
        if success.shape != np.shape(self.cases.level):
            raise ValueError(
                f"objective gives {success.shape}, level is {np.shape(self.cases.level)}: one a case"
            )
        if not np.isfinite(success).all():
            raise ValueError(
                f"site {self.site!r}: objective is not finite in case {int(np.argmin(np.isfinite(success)))}"
            )
        return success


def _tiled(value: Any, span: slice, copies: int) -> Any:
    return torch.cat([value[span]] * copies) if isinstance(value, Tensor) else value


def written(kind: str, old: Tensor, value: float) -> Tensor:
    """`old` with a value written into it."""
    if kind == "add":
        return old + value
    if kind == "at_least":
        return old.clamp(min=value)
    return old.clamp(max=value) if kind == "at_most" else torch.full_like(old, value)
