"""The edit-budget frontier: how small a part of a site's activations suffices to reach a given success?

For one target and many levels, single activations (channel and position, the same for all inputs) are written.
They are taken in stages, each time those for which the gradient promises most at the activations as edited so
far, and every stage is scored exactly; the first activation is the best of those that were run one by one.
What is chosen here is chosen on discovery levels: `retarget.confirm` judges each edit on others, beside
random edits of equal count and norm, and `smallest_budget` then reads off the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from goalscope.activations import capture, editing
from goalscope.showing import drawing, text
from goalscope.stats import Estimate

BUDGETS = (1e-4, 1e-3, 1e-2, 1e-1)
STRENGTHS = (1.0, 2.0, 4.0)


@dataclass(frozen=True)
class EntryEdit:
    """Values for single activations of a site, the same whatever the input."""

    __repr__, _repr_html_ = text, drawing

    entries: Tensor
    """[k] int64, indices into the flattened shape of one sample at the site"""
    values: Tensor
    """[k]"""

    def __call__(self, x: Tensor) -> Tensor:
        """The edit, for `goalscope.activations.editing`."""
        new = x.flatten(1).clone()
        new[:, self.entries] = self.values.to(x)
        return new.view(x.shape)

    def at(self, where: Tensor) -> Callable[[Tensor], Tensor]:
        """The edit itself; `where` is not read."""
        return self

    def random_direction(self, where: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """[1, ..] as many random entries, one random value each."""
        flat = torch.zeros(int(np.prod(shape[1:])))
        order = torch.randperm(len(flat), generator=generator)[: len(self.entries)]
        flat[order] = torch.randn(len(order), generator=generator)
        return flat.view(1, *shape[1:])


@dataclass(frozen=True)
class Frontier:
    """One edit for each of B budgets, chosen on discovery levels, where its scores are too good therefore."""

    __repr__, _repr_html_ = text, drawing

    budgets: tuple[float, ...]
    """[B] as asked, shares of the site's activations"""
    fractions: tuple[float, ...]
    """[B] shares that the edits write: at least one activation, whatever the budget"""
    edits: tuple[EntryEdit, ...]
    """[B]"""
    success: np.ndarray
    """[B, G] success of each discovery case"""
    bare: np.ndarray
    """[G] the same without an edit"""
    strengths: tuple[float, ...]
    """[B] how far the values lie from the channel's mean, in units of its highest or lowest activation there"""
    scored: int
    """edits that were run"""


def frontier(
    module: nn.Module,
    site: str,
    inputs: Tensor | tuple[Any, ...],
    objective: Callable[[Any], Any],
    *,
    surrogate: Callable[[Any], Tensor] | None = None,
    budgets: Sequence[float] = BUDGETS,
    strengths: Sequence[float] = STRENGTHS,
    singles: int = 32,
    batch: int = 2048,
) -> Frontier:
    """Choose activations to write, for one target.

    Args:
        module: any module; at the site a sample has any shape, [C, *space] or [C].
        site: name of the site.
        inputs: discovery inputs, a tensor [N, ..] or a tuple of them.
        objective: the module's output for all N rows -> [G] success, more is better.
        surrogate: output -> tensor with a gradient that rises with success; None where the objective has one.
        budgets: ascending shares of the site's activations.
        strengths: values tried: so many times as far from the channel's mean as its highest (or lowest)
            activation on these inputs; each budget keeps the best.
        singles: candidates for the first activation that are run one by one.
        batch: rows of a forward.

    Raises:
        ValueError: budgets outside 0..1 or not ascending; strengths or singles below 1 in number; an objective
            that is not [G] or not finite; a surrogate without a gradient; a batch below 1.
    """
    if not budgets or list(budgets) != sorted(budgets) or not (budgets[0] > 0 and budgets[-1] <= 1):
        raise ValueError(f"budgets must be ascending shares in 0..1, got {list(budgets)}")
    if not strengths or singles < 1:
        raise ValueError(f"need a strength and a candidate, got {list(strengths)} and {singles}")
    if isinstance(batch, bool) or batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch!r}")
    runs = _Runs(module, site, inputs, objective, surrogate or objective, batch)
    total = runs.clean[0].numel()
    counts = [max(1, int(budget * total)) for budget in budgets]
    bare = runs.score(None)
    best: list[tuple[float, np.ndarray, EntryEdit, float]] = []
    for strength in strengths:
        low, high = _ends(runs.clean, strength)
        for i, (edit, success) in enumerate(_grow(runs, low, high, counts, singles)):
            row = (float(success.mean()), success, edit, float(strength))
            if i == len(best):
                best.append(row)
            elif row[0] > best[i][0]:
                best[i] = row
    return Frontier(
        budgets=tuple(map(float, budgets)),
        fractions=tuple(count / total for count in counts),
        edits=tuple(row[2] for row in best),
        success=np.stack([row[1] for row in best]),
        bare=bare,
        strengths=tuple(row[3] for row in best),
        scored=runs.scored,
    )


def smallest_budget(
    fractions: Sequence[float], held_out: Sequence[Estimate], success: float
) -> tuple[float | None, float | None]:
    """The smallest fraction written that reaches a success on held-out levels.

    Args:
        fractions: [B] as in `Frontier`.
        held_out: [B] success of each edit on held-out levels (`retarget.Confirmation.success`).
        success: what is to be reached.

    Returns:
        the least fraction whose estimate reaches it, and the least whose whole interval does; None where there
        is none.

    Raises:
        ValueError: lengths that differ.
    """
    if len(fractions) != len(held_out):
        raise ValueError(f"{len(fractions)} fractions, but {len(held_out)} estimates")
    reached = [f for f, e in zip(fractions, held_out, strict=True) if e.estimate >= success]
    surely = [f for f, e in zip(fractions, held_out, strict=True) if e.low >= success]
    return min(reached, default=None), min(surely, default=None)


class _Runs:
    """The module on the discovery inputs with the site edited."""

    def __init__(self, module, site: str, inputs, objective, surrogate, batch: int):
        self.module, self.site, self.objective, self.surrogate = module, site, objective, surrogate
        self.inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        self.rows = next(len(t) for t in self.inputs if isinstance(t, Tensor))
        self.batch, self.scored = batch, 0
        with torch.no_grad():
            self.clean = capture(module, self.inputs, [site])[site]
        if self.clean.ndim < 2 or len(self.clean) != self.rows:
            raise ValueError(
                f"site {site!r} must be [N, ..] with N = {self.rows}, got {tuple(self.clean.shape)}"
            )

    def output(self, edit: Callable[[Tensor], Tensor] | None) -> Any:
        outputs = []
        for first in range(0, self.rows, self.batch):
            part = [t[first : first + self.batch] if isinstance(t, Tensor) else t for t in self.inputs]
            if edit is None:
                outputs.append(self.module(*part))
                continue
            with editing(self.module, {self.site: edit}):
                outputs.append(self.module(*part))
        return pytree.tree_map(lambda *t: torch.cat(t) if isinstance(t[0], Tensor) else t[0], *outputs)

    def score(self, edit: EntryEdit | None) -> np.ndarray:
        """[G] success."""
        self.scored += edit is not None
        with torch.no_grad():
            success = self.objective(self.output(edit))
        success = np.asarray(success.cpu() if isinstance(success, Tensor) else success, np.float64)
        if success.ndim != 1 or not np.isfinite(success).all():
            raise ValueError(f"site {self.site!r}: the objective must be finite [G], got {success.shape}")
        return success

    def slope(self, edit: EntryEdit | None) -> Tensor:
        """[D] gradient of the summed surrogate over all rows, at the activations as edited."""
        total = torch.zeros_like(self.clean[:1])
        seen: list[Tensor] = []

        def watched(x: Tensor) -> Tensor:
            seen.append((x if edit is None else edit(x)).detach().requires_grad_())
            return seen[-1]

        success = self.surrogate(self.output(watched))
        if not isinstance(success, Tensor) or not success.requires_grad:
            raise ValueError("the objective has no gradient: give a surrogate that has one")
        for slope in torch.autograd.grad(success.sum(), seen):
            total += slope.sum(0, keepdim=True)
        return total.flatten()


def _ends(clean: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """[D] lowest and highest value to write, by channel (axis 1)."""
    flat = clean.movedim(1, 0).flatten(1)
    mean = flat.mean(1)
    ends = [mean + strength * (end - mean) for end in (flat.amin(1), flat.amax(1))]
    low, high = (end.view(-1, *[1] * (clean.ndim - 2)).expand(clean.shape[1:]).flatten() for end in ends)
    return low, high


def _grow(
    runs: _Runs, low: Tensor, high: Tensor, counts: Sequence[int], singles: int
) -> Iterator[tuple[EntryEdit, np.ndarray]]:
    """The edit and its success for each count, each edit an extension of the one before."""
    ends = torch.stack([low, high])
    clean = runs.clean.mean(0).flatten()

    def ranked(edit: EntryEdit | None) -> Tensor:
        """[2 D] indices into `ends`, highest promised gain first."""
        gains = runs.slope(edit) * (ends - clean)
        if edit is not None:
            gains[:, edit.entries] = -torch.inf
        return gains.flatten().argsort(descending=True, stable=True)

    def made(chosen: Tensor) -> EntryEdit:
        return EntryEdit(chosen % len(low), ends.flatten()[chosen])

    tries = [made(one[None]) for one in ranked(None)[:singles]]
    scores = [runs.score(edit) for edit in tries]
    best = int(np.argmax([score.mean() for score in scores]))
    edit, success = tries[best], scores[best]
    for count in counts:
        while len(edit.entries) < count:
            order = ranked(edit)
            first = order[torch.sort(_first_of_each(order % len(low))).values]  # one end of each activation
            more = made(first[: min(len(edit.entries), count - len(edit.entries))])
            edit = EntryEdit(torch.cat([edit.entries, more.entries]), torch.cat([edit.values, more.values]))
            success = runs.score(edit)
        yield edit, success


def _first_of_each(numbers: Tensor) -> Tensor:
    """Where each different number stands first."""
    return torch.from_numpy(np.unique(numbers.numpy(), return_index=True)[1])
