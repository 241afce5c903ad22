"""Which relus of a network does its behaviour need? They are made linear, the least needed first, and the loss is watched.

A unit or channel is made linear by its mean slope: in place of max(x, 0) it gives s x, s the share of the time that its
gate is open on discovery samples. The loss is the divergence of what the network then says from what it said. In every
round the effect of each unit that is left is taken to first order in the logits, and those of least loss go; the curve is
then measured by forwards, on held-out samples that chose nothing, beside random orders on the same samples. A gate that is
always open costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.activations.hooks import capture, editing, refuse_uncounted, sample_count
from goalscope.activations.inputs import Inputs, as_inputs
from goalscope.activations.sites import tensors
from goalscope.activations.tree import first_names
from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap_clustered


@dataclass(frozen=True)
class ReluRemoval:
    """How the loss grows as relus become linear, on levels that the order was not chosen on."""

    __repr__, _repr_html_ = text, drawing

    units: tuple[tuple[str, int], ...]
    """(site, unit or channel) in the order of removal, the least needed first"""
    slope: np.ndarray
    """[U] its mean slope on the discovery samples, in the same order"""
    always: int
    """how many gates are always open on the discovery samples: they go at no loss"""
    removed: np.ndarray
    """[M] number of relus made linear at each point of the curves"""
    held_out: tuple[Estimate, ...]
    """[M] divergence from what the network said, in nats, mean over held-out samples, whole levels resampled"""
    discovery: np.ndarray
    """[M] the same on the samples that the order was chosen on"""
    random: np.ndarray
    """[M, orders] on the held-out samples, for random orders: the control"""
    affected: np.ndarray
    """[M, H] divergence of each held-out sample: which inputs are affected most"""


def remove_relus(
    module: nn.Module,
    discovery: Inputs,
    held_out: Inputs,
    level: np.ndarray,
    *,
    sites: Iterable[str] | None = None,
    of: Callable[[Any], Tensor] | None = None,
    rounds: int = 8,
    orders: int = 3,
    seed: int = 0,
) -> ReluRemoval:
    """Makes relus linear, unit by unit or channel by channel, in the order of least loss.

    Args:
        module: any module, in evaluation mode.
        discovery: its inputs, D samples: slopes and order are chosen on them.
        held_out: H others, of other levels: the curves are measured on them.
        level: [H] int, the level of each held-out sample, the unit of the intervals.
        sites: names of the relus' sites; None for every `nn.ReLU` that is called once.
        of: from the module's output to logits [N, K]; None for its first tensor.
        rounds: how often the effects are taken anew; so many points do the curves have, evenly spaced, and 0.
        orders: random orders.
        seed: of these and of the intervals.

    Raises:
        ValueError: no relus, unknown sites, logits that are not [N, K], levels of another number than held-out samples,
            fewer rounds than 1.
    """
    chosen, judged = as_inputs(discovery, module), as_inputs(held_out, module)
    level = np.asarray(level)
    if level.shape != (sample_count(judged),):
        raise ValueError(f"level must be [{sample_count(judged)}], one a held-out sample; got {level.shape}")
    if rounds < 1 or orders < 1:
        raise ValueError(f"needs at least 1 round and 1 random order, got {rounds} and {orders}")
    pick = of or _first
    named = _relus(module) if sites is None else list(dict.fromkeys(sites))
    if not named:
        raise ValueError(f"{type(module).__name__} has no nn.ReLU that is called once: name sites")
    slopes = _slopes(module, chosen, named)
    units = [(site, unit) for site in named for unit in range(len(slopes[site]))]
    removed = np.unique(np.linspace(0, len(units), rounds + 1).round().astype(int))
    order = _greedy(module, chosen, slopes, units, removed, pick)
    rng = np.random.default_rng(seed)
    shuffled = [[units[k] for k in rng.permutation(len(units))] for _ in range(orders)]
    affected = _curve(module, judged, slopes, order, removed, pick)
    return ReluRemoval(
        units=tuple(order),
        slope=np.array([float(slopes[site][unit]) for site, unit in order]),
        always=sum(int((slope == 1).sum()) for slope in slopes.values()),
        removed=removed,
        held_out=tuple(bootstrap_clustered(row, level, seed=seed) for row in affected),
        discovery=_curve(module, chosen, slopes, order, removed, pick).mean(1),
        random=np.stack(
            [_curve(module, judged, slopes, each, removed, pick).mean(1) for each in shuffled], 1
        ),
        affected=affected,
    )


def linear_at(
    slopes: Mapping[str, Tensor], units: Iterable[tuple[str, int]]
) -> dict[str, Callable[[Tensor], Tensor]]:
    """Edits that make some relus linear, for `goalscope.activations.editing`; they stand at the relus' inputs and outputs.

    Args:
        slopes: site -> [C] slope of each unit or channel.
        units: (site, unit) that become linear.
    """
    chosen: dict[str, list[int]] = {}
    for site, unit in units:
        chosen.setdefault(site, []).append(unit)
    edits: dict[str, Callable[[Tensor], Tensor]] = {}
    for site, rows in chosen.items():
        index = torch.tensor(sorted(rows))
        held: list[Tensor] = []

        def keep(x: Tensor, held: list[Tensor] = held) -> Tensor:
            held[:] = [x.clone()]
            return x

        def write(y: Tensor, held: list[Tensor] = held, index: Tensor = index, site: str = site) -> Tensor:
            y = y.clone()
            y[:, index] = held[0][:, index] * _wide(slopes[site][index], y)
            return y

        edits[f"{site}:in"], edits[site] = keep, write
    return edits


def _first(output: Any) -> Tensor:
    return next(tensor for _, tensor in tensors(output))


def _relus(module: nn.Module) -> list[str]:
    return [name for child, name in first_names(module).items() if isinstance(child, nn.ReLU)]


def _wide(each: Tensor, x: Tensor) -> Tensor:
    """One number a unit or channel, as an array that fits [N, C, ...]."""
    return each.reshape(1, -1, *[1] * (x.ndim - 2))


def _slopes(module: nn.Module, arguments: tuple[Any, ...], named: list[str]) -> dict[str, Tensor]:
    """site -> [C] share of the samples and places at which each gate is open."""
    found = {}
    for text_, before in capture(module, arguments, [f"{site}:in" for site in named]).items():
        refuse_uncounted(text_, before, 0, sample_count(arguments))
        found[text_.removesuffix(":in")] = (before > 0).to(before.dtype).transpose(0, 1).flatten(1).mean(1)
    return found


def _greedy(
    module: nn.Module,
    arguments: tuple[Any, ...],
    slopes: Mapping[str, Tensor],
    units: list[tuple[str, int]],
    removed: np.ndarray,
    pick: Callable[[Any], Tensor],
) -> list[tuple[str, int]]:
    """All units, those of least loss first, the effects taken anew in each round with the chosen ones linear."""
    order: list[tuple[str, int]] = []
    left = list(units)
    for target in removed[1:]:
        cost = _costs(module, arguments, slopes, order, pick)
        left.sort(key=lambda unit: cost[unit])
        take = int(target) - len(order)
        order, left = order + left[:take], left[take:]
    return order


def _costs(
    module: nn.Module,
    arguments: tuple[Any, ...],
    slopes: Mapping[str, Tensor],
    gone: list[tuple[str, int]],
    pick: Callable[[Any], Tensor],
) -> dict[tuple[str, int], float]:
    """Divergence that each unit's going adds, from the logits' exact derivative by how far it has gone.

    A small change z of logits with probabilities p costs ½ (Σ p z² - (Σ p z)²) nats.
    """
    shares = {
        site: torch.zeros(sample_count(arguments), len(slope), dtype=slope.dtype, requires_grad=True)
        for site, slope in slopes.items()
    }
    edits: dict[str, Any] = {}
    linear = linear_at(slopes, gone)
    for site in slopes:
        held: list[Tensor] = []

        def keep(x: Tensor, held: list[Tensor] = held) -> Tensor:
            held[:] = [x.clone()]
            return x

        def mix(y: Tensor, held: list[Tensor] = held, site: str = site) -> Tensor:
            share = shares[site].reshape(*shares[site].shape, *[1] * (y.ndim - 2))
            return y + share * (_wide(slopes[site], y) * held[0] - y)

        before, after = linear.get(f"{site}:in"), linear.get(site)
        edits[f"{site}:in"] = [keep] if before is None else [keep, before]
        edits[site] = [mix] if after is None else [after, mix]
    with torch.enable_grad(), editing(module, edits):
        logits = _logits(pick(module(*arguments)), arguments)
    chances = logits.detach().softmax(1)
    rows = [
        torch.autograd.grad(logits[:, k].sum(), list(shares.values()), retain_graph=True)
        for k in range(logits.shape[1])
    ]
    found = {}
    for site, *changes in zip(shares, *rows, strict=True):
        change = torch.stack(changes, 1)
        spread = (chances[:, :, None] * change.square()).sum(1) - (chances[:, :, None] * change).sum(
            1
        ).square()
        found |= {(site, unit): float(cost) / 2 for unit, cost in enumerate(spread.mean(0))}
    return found


def _logits(found: Any, arguments: tuple[Any, ...]) -> Tensor:
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != sample_count(arguments):
        got = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"logits must be [{sample_count(arguments)}, K], got {got}: give `of`")
    return found


@torch.no_grad()
def _curve(
    module: nn.Module,
    arguments: tuple[Any, ...],
    slopes: Mapping[str, Tensor],
    order: list[tuple[str, int]],
    removed: np.ndarray,
    pick: Callable[[Any], Tensor],
) -> np.ndarray:
    """[M, N] divergence of what is said from what was said, with the first units of an order linear."""
    said = _logits(pick(module(*arguments)), arguments).double().log_softmax(1)
    found = []
    for count in removed:
        edits: dict[str, Any] = dict(linear_at(slopes, order[:count]))
        if edits:
            with editing(module, edits):
                now = pick(module(*arguments)).double().log_softmax(1)
        else:
            now = said
        found.append((said.exp() * (said - now)).sum(1).numpy())
    return np.stack(found)
