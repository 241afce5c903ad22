"""Retargeting: which few activations have to be written so that the agent goes to a square of our choice?

`search` chooses channels and values on discovery mazes, written at the position that stands for the target;
`confirm` judges an edit on mazes that the search has not seen, beside random edits of equal size (the floor),
the bare network, and, where the caller measured it, the goal moved in the input (the ceiling).

What success is, the caller says: an objective that maps the module's output to one number for each case (an
exact reach probability, the log-probability of the move towards the target). Candidates are scored exactly,
many in one forward; a gradient may say which are worth it, and never more than that.

`frontier.frontier` chooses single activations of a whole site under a budget instead, and `confirm` judges those
edits too; `side_effects.collateral` says what an edit changes where it should change nothing.

`runner.py` has the cases, the edits and the forwards that hold many of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.activations import scaled_to_norm
from goalscope.methods.intervening.retarget.runner import KINDS, Cases, Edit, Runner, TargetEdit, written
from goalscope.progress import counted
from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap_clustered

__all__ = ["Cases", "Confirmation", "Edit", "Search", "TargetEdit", "confirm", "search"]

STRENGTHS = (1.0, 2.0, 4.0)
FLOOR_DRAWS = 8


@dataclass(frozen=True)
class Search:
    """An edit found on discovery cases. Its scores there are selected, hence too good: `confirm` it."""

    __repr__, _repr_html_ = text, drawing

    edit: TargetEdit
    trace: np.ndarray
    """[S, G] success of each case without an edit, after each channel that was taken, after each that was dropped"""
    alone: np.ndarray
    """[C, V] mean success of each single channel and value; NaN where it was not scored"""
    values: np.ndarray
    """[C, V] the values that were tried"""
    scored: int
    """candidates that were run"""
    levels: np.ndarray
    """levels of the discovery cases"""


@dataclass(frozen=True)
class Confirmation:
    """An edit on held-out cases. Intervals resample levels; every case weighs the same."""

    __repr__, _repr_html_ = text, drawing

    success: Estimate
    """with the edit"""
    bare: Estimate
    """without"""
    floor: Estimate
    """with random edits of equal count and norm, averaged over the draws"""
    beyond_floor: Estimate
    """success - floor, paired"""
    ceiling: Estimate | None
    """what the caller gave as the best that can be hoped for"""
    below_ceiling: Estimate | None
    """ceiling - success, paired"""
    cases: dict[str, np.ndarray]
    """[G] each: success, bare, floor (mean of draws), level, and ceiling if given; for maps by target"""
    fraction: float
    """activations that the edit changes, of all at the site"""
    norm_share: float
    """norm of the change over norm of the activations, mean over rows"""


def search(
    module: nn.Module,
    site: str,
    cases: Cases,
    *,
    kind: str = "replace",
    values: Tensor | Sequence[float] | None = None,
    channels: Sequence[int] | None = None,
    most: int = 4,
    worthwhile: float = 1e-3,
    preselect: int | None = None,
    batch: int = 2048,
) -> Search:
    """Greedy forward choice of channels and values, then every channel is dropped that turned out useless.

    Args:
        module: any module whose site is [N, C, *space].
        site: name of the site.
        cases: discovery cases.
        kind: "replace" the activation, "add" to it, or clamp it ("at_least", "at_most").
        values: [V] or [C, V] to try; None: 1, 2 and 4 times as far from the channel's mean as its highest and
            its lowest activation on these inputs.
        channels: those to choose from; None for all.
        most: channels to take at most.
        worthwhile: gain in mean success below which no channel is taken or kept.
        preselect: run only that many candidates a round, those with the highest gain by the gradient.
        batch: rows of a forward.

    Raises:
        ValueError: a site that is not [N, C, *space] or `where` of another shape or empty for a row; an
            objective that is not [G] or not finite; settings out of range.
    """
    if kind not in KINDS or most < 1 or (preselect is not None and preselect < 1):
        raise ValueError(f"kind must be one of {KINDS}, most and preselect at least 1: {kind!r}, {most}")
    runner = Runner(module, site, cases, batch)
    table = _values(runner.clean, kind, values)
    pool = _pool(channels, len(table))
    edit, alone, scored = TargetEdit(kind, (), ()), np.full(table.shape, np.nan), 0
    trace = [runner.score([edit])[0]]
    while len(edit.channels) < most:
        tries = [(c, v) for c in pool if c not in edit.channels for v in range(table.shape[1])]
        if preselect is not None:
            tries = _ranked(runner, edit, tries, table)[:preselect]
        if not tries:
            break
        made = [TargetEdit(kind, (*edit.channels, c), (*edit.values, float(table[c, v]))) for c, v in tries]
        scores = runner.score(made)
        scored += len(made)
        means = scores.mean(axis=1)
        if not edit.channels:
            alone[tuple(np.array(tries).T)] = means
        best = int(means.argmax())
        if means[best] - trace[-1].mean() < worthwhile:
            break
        edit = made[best]
        trace.append(scores[best])
    edit, trace = _pruned(runner, edit, trace, worthwhile)
    return Search(edit, np.stack(trace), alone, table.numpy(), scored, np.unique(cases.level))


def confirm(
    found: Search | Edit,
    module: nn.Module,
    site: str,
    cases: Cases | Iterable[Cases],
    *,
    ceiling: np.ndarray | None = None,
    bounds: tuple[float, float] | None = (0.0, 1.0),
    floor_draws: int = FLOOR_DRAWS,
    batch: int = 2048,
    seed: int = 0,
) -> Confirmation:
    """Judge an edit on cases that it was not chosen on.

    Args:
        found: what `search` returned (then a discovery level among the cases is an error), or an edit.
        module: the module.
        site: name of the site.
        cases: held-out cases; an iterable of them is gone through one by one (a maze with all its targets, say).
        ceiling: [G] success in the same cases with the goal moved in the input.
        bounds: least and greatest possible success; None where there is none.
        floor_draws: random edits.
        batch: rows of a forward.
        seed: of the random edits and the intervals.

    Raises:
        ValueError: an empty edit, one that changes no activation, discovery levels among the cases, no cases, a
            ceiling that is not [G].
    """
    edit = found.edit if isinstance(found, Search) else found
    seen = found.levels if isinstance(found, Search) else np.empty(0, np.int64)
    _check(edit, floor_draws)
    parts, runner = [], None
    every = [cases] if isinstance(cases, Cases) else cases
    for i, one in enumerate(counted(every, "the edit on held-out cases", "cases")):
        runner = Runner(module, site, one, batch, edits=2 + floor_draws, like=runner)
        parts.append(_measured(edit, runner, floor_draws, seed + i))
    if not parts:
        raise ValueError("no held-out cases")
    if not any(part[2] for part in parts):
        raise ValueError(f"the edit changes no activation at {site!r}")
    columns = _columns([part[0] for part in parts], seen, ceiling)

    gain = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])

    def over_levels(one: str, other: str | None = None) -> Estimate:
        values = columns[one] - (0.0 if other is None else columns[other])
        span = bounds if other is None else gain
        return bootstrap_clustered(values, columns["level"], bounds=span, seed=seed)

    return Confirmation(
        success=over_levels("success"),
        bare=over_levels("bare"),
        floor=over_levels("floor"),
        beyond_floor=over_levels("success", "floor"),
        ceiling=over_levels("ceiling") if ceiling is not None else None,
        below_ceiling=over_levels("ceiling", "success") if ceiling is not None else None,
        cases=columns,
        fraction=float(np.mean([part[1] for part in parts])),
        norm_share=float(np.mean([part[2] for part in parts])),
    )


def _check(edit: Edit, floor_draws: int) -> None:
    if floor_draws < 1:
        raise ValueError(f"the floor needs at least one draw, got {floor_draws}")
    if isinstance(edit, TargetEdit) and not edit.channels:
        raise ValueError("the edit is empty: the search found nothing that raises success")


def _columns(
    parts: list[dict[str, np.ndarray]], seen: np.ndarray, ceiling: np.ndarray | None
) -> dict[str, np.ndarray]:
    """The columns of all cases, none of them of a level that was seen, and the ceiling's where there is one."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    both = np.intersect1d(seen, columns["level"])
    if both.size:
        raise ValueError(f"level {both[0]} was searched on ({both.size} such): confirm on others")
    if ceiling is not None:
        columns["ceiling"] = np.asarray(ceiling, np.float64)
        if columns["ceiling"].shape != columns["level"].shape:
            raise ValueError(f"ceiling must be [{len(columns['level'])}], got {columns['ceiling'].shape}")
    return columns


def _values(clean: Tensor, kind: str, values: Tensor | Sequence[float] | None) -> Tensor:
    """[C, V] values to try."""
    channels = clean.shape[1]
    if values is not None:
        table = torch.as_tensor(values, dtype=clean.dtype)
        table = table.expand(channels, -1) if table.ndim == 1 else table
        if table.ndim != 2 or len(table) != channels or not table.shape[1] or not table.isfinite().all():
            raise ValueError(f"values must be finite [V] or [{channels}, V], got {tuple(table.shape)}")
        return table
    flat = clean.movedim(1, 0).flatten(1)
    mean = flat.mean(1)
    strength = torch.tensor(STRENGTHS, dtype=clean.dtype)
    reach = torch.cat([(end - mean)[:, None] * strength for end in (flat.amax(1), flat.amin(1))], 1)
    return reach if kind == "add" else mean[:, None] + reach


def _pool(channels: Sequence[int] | None, count: int) -> list[int]:
    pool = list(range(count)) if channels is None else [int(c) for c in channels]
    if not pool or not all(0 <= c < count for c in pool):
        raise ValueError(f"channels must be some of 0..{count - 1}, got {channels}")
    return pool


def _ranked(
    runner: Runner, edit: TargetEdit, tries: list[tuple[int, int]], table: Tensor
) -> list[tuple[int, int]]:
    """Candidates by the gain that the gradient promises, highest first."""
    slope, now, where = runner.slope(edit), runner.edited(edit), runner.cases.where
    gains = [
        float((slope[:, c] * (written(edit.kind, now[:, c], float(table[c, v])) - now[:, c]) * where).sum())
        for c, v in tries
    ]
    return [tries[i] for i in np.argsort(-np.array(gains), kind="stable")]


def _pruned(
    runner: Runner, edit: TargetEdit, trace: list[np.ndarray], worthwhile: float
) -> tuple[TargetEdit, list[np.ndarray]]:
    """Without the channels that later ones made useless; the trace ends with what is left."""
    while len(edit.channels) > 1:
        keep = [[j for j in range(len(edit.channels)) if j != i] for i in range(len(edit.channels))]
        fewer = [
            TargetEdit(edit.kind, tuple(edit.channels[j] for j in k), tuple(edit.values[j] for j in k))
            for k in keep
        ]
        scores = runner.score(fewer)
        best = int(scores.mean(axis=1).argmax())
        if trace[-1].mean() - scores[best].mean() >= worthwhile:
            break
        edit = fewer[best]
        trace = [*trace, scores[best]]
    return edit, trace


def _measured(
    edit: Edit, runner: Runner, draws: int, seed: int
) -> tuple[dict[str, np.ndarray], float, float]:
    """Columns [G], share of activations changed, norm of the change over norm of the activations."""
    clean, where = runner.clean, runner.cases.where
    edited = runner.edited(edit)
    change = edited - clean
    generator = torch.Generator().manual_seed(seed)

    def random() -> Tensor:
        along = edit.random_direction(where, clean.shape, generator).to(clean).expand_as(clean)
        return clean + scaled_to_norm(along, change)  # 0 where an edit touches nothing

    scores = runner.score_values(chain([clean, edited], (random() for _ in range(draws))))
    columns = {
        "success": scores[1],
        "bare": scores[0],
        "floor": scores[2:].mean(axis=0),
        "level": np.asarray(runner.cases.level),
    }
    share = change.flatten(1).norm(dim=1) / clean.flatten(1).norm(dim=1).clamp(min=1e-30)
    return columns, float((change != 0).float().mean()), float(share.mean())
