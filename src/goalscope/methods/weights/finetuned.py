"""What did finetuning change, and which of it carries the new behaviour?

`relative_change` says how far each layer moved; `grafting` copies the new weights of some layers into the original
and measures how much of the new behaviour comes along, and, the other way round, how much is lost where the
old weights are put back. Beside each stand control finetunings (as long, on the unchanged or on a random reward):
layers also move, and behaviour also drifts, without a cause.

The behaviour is a callable of the caller: a module in, one number for each level out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap, bootstrap_mean

Behaviour = Callable[[nn.Module], Any]


@dataclass(frozen=True)
class RelativeChange:
    """How far P parameters (and buffers of floats), and the M modules that own them, moved."""

    __repr__, _repr_html_ = text, drawing

    parameters: dict[str, float]
    """[P] name -> norm of the change over norm of the original; inf where the original is 0 and did not stay 0"""
    modules: dict[str, float]
    """[M] module name -> the same over all its own parameters and buffers"""
    total: float
    """the same over everything"""
    norms: dict[str, tuple[float, float]]
    """[P] name -> norm of the change, norm of the original"""


@dataclass(frozen=True)
class Graft:
    """What the layers of one set carry. Shares are of the whole change of behaviour; intervals resample levels."""

    __repr__, _repr_html_ = text, drawing

    layers: tuple[str, ...]
    """as asked for"""
    parameters: tuple[str, ...]
    """names of what was copied"""
    behaviour: np.ndarray
    """[N] of the original with the new weights of these layers"""
    carried: Estimate
    """share of the change that these layers bring into the original"""
    lost: Estimate
    """share of the change that goes when they alone are put back in the finetuned network"""
    relative_change: float
    """of these layers: norm of the change over norm of the original"""
    controls: dict[str, Estimate]
    """control finetuning -> share of the change that *its* weights of these layers bring into the original"""


@dataclass(frozen=True)
class Grafting:
    """Original against finetuned network, and what each set of layers carries."""

    __repr__, _repr_html_ = text, drawing

    original: np.ndarray
    """[N] behaviour of the original"""
    finetuned: np.ndarray
    """[N] behaviour of the finetuned network"""
    change: Estimate
    """finetuned - original, mean over levels: what shares are shares of"""
    grafts: dict[str, Graft]
    """name of the set -> what it carries"""
    controls: dict[str, Estimate]
    """control finetuning -> change of behaviour of the whole control network, as a share of `change`"""


def relative_change(original: nn.Module, finetuned: nn.Module) -> RelativeChange:
    """Norm of the change over norm of the original, for each parameter, each module and all.

    Args:
        original: the network before.
        finetuned: after; the same architecture.

    Raises:
        ValueError: parameters that only one has, or of different shapes (named); weights that are not finite.
    """
    old, new = _paired(original, finetuned)
    norms = {name: _norms(old[name], new[name]) for name in old}
    owners: dict[str, list[tuple[float, float]]] = {}
    for name, pair in norms.items():
        owners.setdefault(name.rpartition(".")[0], []).append(pair)
    return RelativeChange(
        parameters={name: _share([pair]) for name, pair in norms.items()},
        modules={name: _share(pairs) for name, pairs in owners.items()},
        total=_share(list(norms.values())),
        norms=norms,
    )


def graft(original: nn.Module, finetuned: nn.Module, layers: Sequence[str]) -> nn.Module:
    """A copy of the original with the finetuned weights of some layers; both networks stay as they are.

    Args:
        original: the network before.
        finetuned: after; the same architecture.
        layers: names of modules (with all that is in them) or of single parameters.

    Raises:
        ValueError: networks that do not fit (see `relative_change`), no layers.
        KeyError: a layer that neither is nor holds a parameter; the message has near matches.
    """
    old, new = _paired(original, finetuned)
    made = copy.deepcopy(original)
    target = made.state_dict()
    with torch.no_grad():
        for name in _named(old, layers):
            target[name].copy_(new[name])
    return made


def grafting(
    original: nn.Module,
    finetuned: nn.Module,
    behaviour: Behaviour,
    layer_sets: Mapping[str, Sequence[str]],
    *,
    controls: Mapping[str, nn.Module],
    seed: int = 0,
) -> Grafting:
    """How much of the new behaviour each set of layers carries.

    Args:
        original: the network before.
        finetuned: after; the same architecture.
        behaviour: module -> [N], one number a level (P(reach the cheese), say), the same levels at each call.
        layer_sets: name -> layers as in `graft`.
        controls: name -> a network finetuned as long on something else (the unchanged reward, a random one); {}
            only where there is none.
        seed: of the intervals.

    Raises:
        ValueError: networks that do not fit, behaviour that is not [N] or not finite, and a change of behaviour
            whose interval includes 0: there is nothing to be carried, and every share would be noise.
        KeyError: an unknown layer.
    """
    if not layer_sets:
        raise ValueError("no layer sets to graft")
    for control in controls.values():
        _paired(original, control)
    before = _measured(behaviour, original, "original", None)
    after = _measured(behaviour, finetuned, "finetuned", before)
    change = _change(before, after, seed)

    def share(values: np.ndarray) -> Estimate:
        return _share_of_change(values, after - before, seed)

    old, new = _paired(original, finetuned)
    grafts = {}
    for name, layers in layer_sets.items():
        names = _named(old, layers)
        carried = _measured(behaviour, graft(original, finetuned, layers), f"graft {name!r}", before)
        put_back = _measured(behaviour, graft(finetuned, original, layers), f"{name!r} put back", before)
        others = {
            other: _measured(behaviour, graft(original, module, layers), f"{name!r} of {other!r}", before)
            for other, module in controls.items()
        }
        grafts[name] = Graft(
            layers=tuple(layers),
            parameters=tuple(names),
            behaviour=carried,
            carried=share(carried - before),
            lost=share(after - put_back),
            relative_change=_share([_norms(old[n], new[n]) for n in names]),
            controls={other: share(values - before) for other, values in others.items()},
        )
    whole = {
        name: share(_measured(behaviour, module, f"control {name!r}", before) - before)
        for name, module in controls.items()
    }
    return Grafting(before, after, change, grafts, whole)


def _change(before: np.ndarray, after: np.ndarray, seed: int) -> Estimate:
    """What the finetuning changed.

    Raises:
        ValueError: nothing, as far as can be told.
    """
    change = bootstrap_mean(after - before, seed=seed)
    # (A change that is the same on all levels has no interval and is still there to be shared out.)
    if change.low <= 0 <= change.high or abs(change.estimate) < 1e-9:
        raise ValueError(
            f"the finetuning changed the behaviour by {change}: its interval includes 0, so there is no change "
            "to share out; measure more levels, or another behaviour"
        )
    return change


def _share_of_change(values: np.ndarray, change: np.ndarray, seed: int) -> Estimate:
    """Sum of `values` [N] over that of `change` [N]."""

    def statistic(counts: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):  # not finite: `bootstrap` says so
            return np.einsum("bn,n->b", counts, values) / np.einsum("bn,n->b", counts, change)

    return bootstrap(statistic, len(change), seed=seed)


def _paired(original: nn.Module, finetuned: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters and buffers of floats of both, by name."""
    old, new = (
        {name: value.detach() for name, value in module.state_dict().items() if value.is_floating_point()}
        for module in (original, finetuned)
    )
    if old.keys() != new.keys():
        lone = sorted(old.keys() ^ new.keys())
        raise ValueError(f"only one of the networks has {lone[0]!r} ({len(lone)} such): not one architecture")
    for name, value in old.items():
        if value.shape != new[name].shape:
            raise ValueError(f"{name!r} is {tuple(value.shape)} before and {tuple(new[name].shape)} after")
        if not value.isfinite().all() or not new[name].isfinite().all():
            raise ValueError(f"{name!r} has weights that are not finite")
    if not old:
        raise ValueError("the networks have no parameters")
    return old, new


def _named(parameters: Mapping[str, Tensor], layers: Sequence[str]) -> list[str]:
    if isinstance(layers, str) or not len(layers):
        raise ValueError(f"layers must be a sequence of names, got {layers!r}")
    found: dict[str, None] = {}
    for layer in layers:
        names = [n for n in parameters if n == layer or n.startswith(f"{layer}.") or layer == ""]
        if not names:
            parts = [".".join(n.split(".")[:i]) for n in parameters for i in range(1, n.count(".") + 2)]
            near = get_close_matches(layer, list(dict.fromkeys(parts)), n=3)
            hint = f"; near: {', '.join(near)}" if near else ""
            raise KeyError(f"no layer {layer!r} with parameters{hint}")
        found.update(dict.fromkeys(names))
    return list(found)


def _measured(behaviour: Behaviour, module: nn.Module, name: str, like: np.ndarray | None) -> np.ndarray:
    values = behaviour(module)
    values = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, np.float64)
    if values.ndim != 1 or not len(values) or (like is not None and values.shape != like.shape):
        wanted = "[N]" if like is None else str(like.shape)
        raise ValueError(f"{name}: behaviour must give one number a level, {wanted}, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: behaviour is not finite in level {int(np.argmin(np.isfinite(values)))}")
    return values


def _norms(old: Tensor, new: Tensor) -> tuple[float, float]:
    """Norm of the change and of the original."""
    return float((new.double() - old.double()).norm()), float(old.double().norm())


def _share(pairs: Sequence[tuple[float, float]]) -> float:
    """Root of the summed squares of the changes over that of the originals."""
    change, size = (float(np.linalg.norm(column)) for column in zip(*pairs, strict=True))
    return change / size if size > 0 else (np.inf if change > 0 else 0.0)
